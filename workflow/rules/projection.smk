"""projection: query, key, value, output and text projections, trained from zero on the shots.

REQUIRED INPUTS: data/features/..., data/memory/...
OUTPUTS: data/projection/<dataset>/<backbone>/<kind>/split=<seed>/training=<seed>/shots=<K>.*
"""


rule train_projection:
    """Train the projections of each K on cached training views."""
    input:
        text=paths.TEXT_FEATURES,
        train=paths.TRAIN_FEATURES,
        memory=expand(paths.MEMORY, shots=CONFIG.shots, allow_missing=True),
        code=sources("dmn.stages.projection"),
    output:
        weights=expand(paths.PROJECTION, shots=CONFIG.shots, allow_missing=True),
        curves=expand(paths.TRAINING_CURVE, shots=CONFIG.shots, allow_missing=True),
    log:
        paths.beside(paths.LOG, paths.PROJECTION_FOLDER),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.PROJECTION_FOLDER)
    priority: EARLY
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=mem_mb("train_projection"),
        runtime=runtime("train_projection"),
    params:
        config=keys("train_projection"),
        dataset=facts("train_projection"),
        shots=CONFIG.shots,
    message:
        "Train the {wildcards.projection} projections of {params.shots} shots,"
        " split seed {wildcards.split}"
    shell:
        "python -m dmn stage projection --dataset {params.dataset:q}"
        " --kind {wildcards.projection} --seed {wildcards.training} --text {input.text:q}"
        " --train {input.train:q} --memory {input.memory:q} --config {params.config:q}"
        " --weights {output.weights:q} --curves {output.curves:q} --threads {threads} 2>&1 | tee {log:q}"
