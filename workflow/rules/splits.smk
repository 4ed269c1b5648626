"""splits: train, validation and test lists, and the shots that a split seed draws.

REQUIRED INPUTS: data/download/<dataset>/*
OUTPUTS: data/splits/<dataset>/split.json, data/splits/<dataset>/split=<seed>.json
"""


rule split:
    """Bring a data set's published split into one form: [path, label, class name]."""
    input:
        files=lambda wildcards: TARGETS.archives(wildcards.dataset),
        registry=lambda wildcards: TARGETS.registry(wildcards.dataset),
        code=sources("dmn.stages.splits"),
    output:
        paths.SPLIT,
    log:
        paths.beside(paths.LOG, paths.SPLIT),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.SPLIT)
    params:
        config=keys("download"),
    message:
        "Read the split of {wildcards.dataset}"
    shell:
        "python -m dmn stage splits lists --dataset {wildcards.dataset:q}"
        " --config {params.config:q} --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


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
    params:
        config=keys("splits", "shots"),
    message:
        "Draw the shots of {wildcards.dataset}, split seed {wildcards.split}"
    shell:
        "python -m dmn stage splits shots --split {input.split:q} --seed {wildcards.split}"
        " --config {params.config:q} --out {output:q} 2>&1 | tee {log:q}"
