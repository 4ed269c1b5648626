"""splits: train, validation and test lists, and the shots that a split seed draws.

REQUIRED INPUTS: data/download/<dataset>/*
OUTPUTS: data/splits/<dataset>/split.json, data/splits/<dataset>/split=<seed>.json
"""

FROM_IMAGES = [name for name in CONFIG.datasets if TARGETS.has_images(name)]
PRECOMPUTED = [name for name in CONFIG.datasets if name not in FROM_IMAGES]


rule split:
    """Bring a data set's published split into one form: [path, label, class name]."""
    input:
        files=archives("archive", "split", "classes", "names", "shards", "subset"),
        code=sources("dmn.stages.splits"),
    output:
        paths.SPLIT,
    log:
        paths.beside(paths.LOG, paths.SPLIT),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.SPLIT)
    wildcard_constraints:
        dataset=one_of(FROM_IMAGES),
    resources:
        mem_mb=mem_mb("split"),
        runtime=runtime("split"),
    params:
        dataset=facts("split"),
    message:
        "Read the split of {wildcards.dataset}"
    shell:
        "python -m dmn stage splits lists --dataset {params.dataset:q}"
        " --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


rule import_split:
    """Take the rows of features that others published for a split."""
    input:
        files=archives(),
        code=sources("dmn.stages.imported"),
    output:
        paths.SPLIT,
    log:
        paths.beside(paths.LOG, paths.SPLIT),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.SPLIT)
    wildcard_constraints:
        dataset=one_of(PRECOMPUTED),
    resources:
        mem_mb=mem_mb("import_split"),
        runtime=runtime("import_split"),
    params:
        dataset=facts("import_split"),
    message:
        "Read the rows of {wildcards.dataset}"
    shell:
        "python -m dmn stage imported split --dataset {params.dataset:q}"
        " --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


rule shots:
    """Draw the labelled images of a split seed: K of each class, and validation images."""
    input:
        split=paths.SPLIT,
        code=sources("dmn.stages.splits"),
    output:
        paths.SHOTS,
    log:
        paths.beside(paths.LOG, paths.SHOTS),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.SHOTS)
    resources:
        mem_mb=mem_mb("shots"),
        runtime=runtime("shots"),
    params:
        config=keys("shots"),
    message:
        "Draw the shots of {wildcards.dataset}, split seed {wildcards.split}"
    shell:
        "python -m dmn stage splits shots --split {input.split:q} --seed {wildcards.split}"
        " --config {params.config:q} --out {output:q} 2>&1 | tee {log:q}"
