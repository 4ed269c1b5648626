"""features: unit-norm embeddings of prompts and of all views, float16, extracted once.

REQUIRED INPUTS: data/download/<dataset>/*, data/encoder/<backbone>.safetensors, data/splits/...
OUTPUTS: data/features/<dataset>/<backbone>/{text,test,train,val}*.safetensors
"""


rule text_features:
    """Encode the prompts of each class; the mean of a class's unit vectors, made unit again."""
    input:
        files=archives("prompts", "templates"),
        weights=paths.ENCODER,
        split=paths.SPLIT,
        code=sources("dmn.stages.features"),
    output:
        paths.TEXT_FEATURES,
    log:
        paths.beside(paths.LOG, paths.TEXT_FEATURES),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.TEXT_FEATURES)
    wildcard_constraints:
        dataset=one_of(FROM_IMAGES),
    priority: EARLY
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=mem_mb("text_features"),
        runtime=runtime("text_features"),
    params:
        config=keys("text_features"),
        dataset=facts("text_features"),
    message:
        "Encode the prompts of {wildcards.dataset} with {wildcards.backbone}"
    shell:
        "python -m dmn stage features text --dataset {params.dataset:q}"
        " --backbone {wildcards.backbone:q} --weights {input.weights:q} --split {input.split:q}"
        " --config {params.config:q} --out {output:q} --files {input.files:q} --threads {threads} 2>&1 | tee {log:q}"


rule test_features:
    """Encode all views of the test images."""
    input:
        files=archives("archive", tested=True),
        weights=paths.ENCODER,
        split=paths.SPLIT,
        code=sources("dmn.stages.features"),
    output:
        paths.TEST_FEATURES,
    log:
        paths.beside(paths.LOG, paths.TEST_FEATURES),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.TEST_FEATURES)
    wildcard_constraints:
        dataset=one_of(FROM_IMAGES),
    priority: EARLY
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=mem_mb("test_features"),
        runtime=runtime("test_features"),
    params:
        config=keys("test_features"),
        dataset=facts("test_features"),
    message:
        "Encode the test images of {wildcards.dataset} with {wildcards.backbone}"
    shell:
        "python -m dmn stage features test --dataset {params.dataset:q}"
        " --backbone {wildcards.backbone:q} --weights {input.weights:q} --split {input.split:q}"
        " --config {params.config:q} --out {output:q} --files {input.files:q} --threads {threads} 2>&1 | tee {log:q}"


rule few_shot_features:
    """Encode the training and validation images that a split seed draws."""
    input:
        files=archives("archive"),
        weights=paths.ENCODER,
        split=paths.SPLIT,
        shots=paths.SHOTS,
        code=sources("dmn.stages.features"),
    output:
        train=paths.TRAIN_FEATURES,
        val=paths.VAL_FEATURES,
    log:
        paths.beside(paths.LOG, paths.TRAIN_FEATURES),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.TRAIN_FEATURES)
    wildcard_constraints:
        dataset=one_of(FROM_IMAGES),
    priority: EARLY
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=mem_mb("few_shot_features"),
        runtime=runtime("few_shot_features"),
    params:
        config=keys("few_shot_features"),
        dataset=facts("few_shot_features"),
    message:
        "Encode the shots of {wildcards.dataset}, split seed {wildcards.split}"
    shell:
        "python -m dmn stage features shots --dataset {params.dataset:q}"
        " --backbone {wildcards.backbone:q} --weights {input.weights:q} --split {input.split:q}"
        " --shots {input.shots:q} --config {params.config:q} --train {output.train:q}"
        " --val {output.val:q} --files {input.files:q} --threads {threads} 2>&1 | tee {log:q}"


rule shift_features:
    """Encode the test images under one corruption, at all severities."""
    input:
        files=archives("archive", tested=True),
        weights=paths.ENCODER,
        split=paths.SPLIT,
        code=sources("dmn.stages.features"),
    output:
        expand(
            paths.SHIFT_FEATURES,
            severity=CONFIG.corruptions.severities,
            allow_missing=True,
        ),
    log:
        paths.beside(
            paths.LOG, paths.SHIFT_FEATURES.replace(",severity={severity}", "")
        ),
    benchmark:
        paths.beside(
            paths.BENCHMARK, paths.SHIFT_FEATURES.replace(",severity={severity}", "")
        )
    wildcard_constraints:
        dataset=one_of(FROM_IMAGES),
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=mem_mb("shift_features"),
        runtime=runtime("shift_features"),
    params:
        config=keys("shift_features"),
        dataset=facts("shift_features"),
    message:
        "Encode the test images of {wildcards.dataset} under {wildcards.corruption}"
    shell:
        "python -m dmn stage features shift --dataset {params.dataset:q}"
        " --backbone {wildcards.backbone:q} --weights {input.weights:q} --split {input.split:q}"
        " --corruption {wildcards.corruption:q} --config {params.config:q}"
        " --out {output:q} --files {input.files:q} --threads {threads} 2>&1 | tee {log:q}"


rule import_features:
    """Check features that others published and bring them into the pipeline's form."""
    input:
        files=lambda wildcards: TARGETS.archives(
            wildcards.dataset, backbone=wildcards.backbone
        ),
        split=paths.SPLIT,
        code=sources("dmn.stages.imported"),
    output:
        text=paths.TEXT_FEATURES,
        test=paths.TEST_FEATURES,
    log:
        paths.beside(paths.LOG, paths.TEST_FEATURES),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.TEST_FEATURES)
    wildcard_constraints:
        dataset=one_of(PRECOMPUTED),
    resources:
        mem_mb=mem_mb("import_features"),
        runtime=runtime("import_features"),
    params:
        config=keys("import_features"),
        dataset=facts("import_features"),
    message:
        "Check and import the features of {wildcards.dataset}, {wildcards.backbone}"
    shell:
        "python -m dmn stage imported features --dataset {params.dataset:q}"
        " --backbone {wildcards.backbone:q} --split {input.split:q}"
        " --config {params.config:q} --text {output.text:q} --test {output.test:q}"
        " --files {input.files:q} 2>&1 | tee {log:q}"


rule import_few_shot_features:
    """Take the imported features of the images that a split seed draws."""
    input:
        files=lambda wildcards: TARGETS.archives(
            wildcards.dataset, backbone=wildcards.backbone
        ),
        split=paths.SPLIT,
        shots=paths.SHOTS,
        code=sources("dmn.stages.imported"),
    output:
        train=paths.TRAIN_FEATURES,
        val=paths.VAL_FEATURES,
    log:
        paths.beside(paths.LOG, paths.TRAIN_FEATURES),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.TRAIN_FEATURES)
    wildcard_constraints:
        dataset=one_of(PRECOMPUTED),
    resources:
        mem_mb=mem_mb("import_few_shot_features"),
        runtime=runtime("import_few_shot_features"),
    params:
        dataset=facts("import_few_shot_features"),
    message:
        "Import the shots of {wildcards.dataset}, split seed {wildcards.split}"
    shell:
        "python -m dmn stage imported shots --dataset {params.dataset:q}"
        " --backbone {wildcards.backbone:q} --split {input.split:q}"
        " --shots {input.shots:q} --train {output.train:q}"
        " --val {output.val:q} --files {input.files:q} 2>&1 | tee {log:q}"
