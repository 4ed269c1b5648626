"""projection: query, key, value, output and text projections, trained from zero on the shots.

REQUIRED INPUTS: data/features/..., data/memory/...
OUTPUTS: data/projection/<dataset>/<backbone>/<kind>/shots=<K>/split=<seed>/training=<seed>.*
"""


rule train_projection:
    """Train the projections of one memory on cached training views."""
    input:
        text=paths.TEXT_FEATURES,
        train=paths.TRAIN_FEATURES,
        memory=paths.MEMORY,
        registry=lambda wildcards: TARGETS.registry(wildcards.dataset),
        code=sources("dmn.stages.projection"),
    output:
        weights=paths.PROJECTION,
        curve=paths.TRAINING_CURVE,
    log:
        paths.beside(paths.LOG, paths.PROJECTION),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.PROJECTION)
    resources:
        gpu=GPU,
    params:
        settings=settings("model", "training", "numerics", "download"),
    message:
        "Train the {wildcards.projection} projections, {wildcards.shots} shots,"
        " split seed {wildcards.split}"
    shell:
        "python -m dmn.stages.projection --dataset {wildcards.dataset:q}"
        " --kind {wildcards.projection} --seed {wildcards.training} --text {input.text:q}"
        " --train {input.train:q} --memory {input.memory:q} --settings {params.settings:q}"
        " --weights {output.weights:q} --curve {output.curve:q} 2>&1 | tee {log:q}"
