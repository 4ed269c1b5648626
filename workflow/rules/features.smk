"""features: unit-norm embeddings of prompts and of all views, float16, extracted once.

REQUIRED INPUTS: data/download/<dataset>/*, data/encoder/<backbone>.safetensors, data/splits/...
OUTPUTS: data/features/<dataset>/<backbone>/{text,test,train,val}*.safetensors
"""

FROM_IMAGES = [name for name in CONFIG.datasets if TARGETS.has_images(name)]
PRECOMPUTED = [name for name in CONFIG.datasets if name not in FROM_IMAGES]


rule text_features:
    """Encode the prompts of each class; the mean of a class's unit vectors, made unit again."""
    input:
        files=lambda wildcards: TARGETS.archives(wildcards.dataset),
        weights=paths.ENCODER,
        split=paths.SPLIT,
        registry=lambda wildcards: TARGETS.registry(wildcards.dataset),
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
    resources:
        gpu=GPU,
    params:
        config=encoder_keys("pretraining", "prompts", "numerics", "download"),
    message:
        "Encode the prompts of {wildcards.dataset} with {wildcards.backbone}"
    shell:
        "python -m dmn stage features text --dataset {wildcards.dataset:q}"
        " --backbone {wildcards.backbone:q} --weights {input.weights:q} --split {input.split:q}"
        " --config {params.config:q} --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


rule test_features:
    """Encode all views of the test images."""
    input:
        files=lambda wildcards: TARGETS.archives(wildcards.dataset),
        weights=paths.ENCODER,
        split=paths.SPLIT,
        registry=lambda wildcards: TARGETS.registry(wildcards.dataset),
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
    resources:
        gpu=GPU,
    params:
        config=encoder_keys("pretraining", "views", "numerics", "download"),
    message:
        "Encode the test images of {wildcards.dataset} with {wildcards.backbone}"
    shell:
        "python -m dmn stage features test --dataset {wildcards.dataset:q}"
        " --backbone {wildcards.backbone:q} --weights {input.weights:q} --split {input.split:q}"
        " --config {params.config:q} --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


rule few_shot_features:
    """Encode the training and validation images that a split seed draws."""
    input:
        files=lambda wildcards: TARGETS.archives(wildcards.dataset),
        weights=paths.ENCODER,
        split=paths.SPLIT,
        shots=paths.SHOTS,
        registry=lambda wildcards: TARGETS.registry(wildcards.dataset),
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
    resources:
        gpu=GPU,
    params:
        config=encoder_keys("pretraining", "views", "numerics", "download"),
    message:
        "Encode the shots of {wildcards.dataset}, split seed {wildcards.split}"
    shell:
        "python -m dmn stage features shots --dataset {wildcards.dataset:q}"
        " --backbone {wildcards.backbone:q} --weights {input.weights:q} --split {input.split:q}"
        " --shots {input.shots:q} --config {params.config:q} --train {output.train:q}"
        " --val {output.val:q} --files {input.files:q} 2>&1 | tee {log:q}"


rule shift_features:
    """Encode the test images under one corruption, at all severities."""
    input:
        files=lambda wildcards: TARGETS.archives(wildcards.dataset),
        weights=paths.ENCODER,
        split=paths.SPLIT,
        registry=lambda wildcards: TARGETS.registry(wildcards.dataset),
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
    resources:
        gpu=GPU,
    params:
        config=encoder_keys(
            "pretraining", "views", "corruptions", "numerics", "download"
        ),
    message:
        "Encode the test images of {wildcards.dataset} under {wildcards.corruption}"
    shell:
        "python -m dmn stage features shift --dataset {wildcards.dataset:q}"
        " --backbone {wildcards.backbone:q} --weights {input.weights:q} --split {input.split:q}"
        " --corruption {wildcards.corruption:q} --config {params.config:q}"
        " --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


rule import_features:
    """Check features that others published and bring them into the pipeline's form."""
    input:
        files=lambda wildcards: TARGETS.archives(wildcards.dataset, wildcards.backbone),
        split=paths.SPLIT,
        code=sources("dmn.stages.features"),
    output:
        text=paths.TEXT_FEATURES,
        test=paths.TEST_FEATURES,
    log:
        paths.beside(paths.LOG, paths.TEST_FEATURES),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.TEST_FEATURES)
    wildcard_constraints:
        dataset=one_of(PRECOMPUTED),
    params:
        config=keys("download", "prompts"),
    message:
        "Check and import the features of {wildcards.dataset}, {wildcards.backbone}"
    shell:
        "python -m dmn stage features import --dataset {wildcards.dataset:q}"
        " --backbone {wildcards.backbone:q} --split {input.split:q}"
        " --config {params.config:q} --text {output.text:q} --test {output.test:q}"
        " --files {input.files:q} 2>&1 | tee {log:q}"


rule import_few_shot_features:
    """Take the imported features of the images that a split seed draws."""
    input:
        files=lambda wildcards: TARGETS.archives(wildcards.dataset, wildcards.backbone),
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
        dataset=one_of(PRECOMPUTED),
    params:
        config=keys("download"),
    message:
        "Import the shots of {wildcards.dataset}, split seed {wildcards.split}"
    shell:
        "python -m dmn stage features import-shots --dataset {wildcards.dataset:q}"
        " --backbone {wildcards.backbone:q} --split {input.split:q}"
        " --shots {input.shots:q} --config {params.config:q} --train {output.train:q}"
        " --val {output.val:q} --files {input.files:q} 2>&1 | tee {log:q}"
