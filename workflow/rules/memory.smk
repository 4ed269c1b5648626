"""memory: the static memory, the labelled features of a K-shot training set.

REQUIRED INPUTS: data/features/<dataset>/<backbone>/{text,train,split=<seed>}.safetensors
OUTPUTS: data/memory/<dataset>/<backbone>/split=<seed>/shots=<K>.safetensors
"""


rule static_memory:
    """Put the text feature and the K shots of each class into its slots, for every K."""
    input:
        text=paths.TEXT_FEATURES,
        train=paths.TRAIN_FEATURES,
        code=sources("dmn.stages.memory"),
    output:
        expand(paths.MEMORY, shots=CONFIG.shots, allow_missing=True),
    log:
        paths.beside(paths.LOG, paths.MEMORY_FOLDER),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.MEMORY_FOLDER)
    priority: EARLY
    resources:
        mem_mb=mem_mb("static_memory"),
        runtime=runtime("static_memory"),
    params:
        shots=CONFIG.shots,
    message:
        "Build the static memories of {params.shots} shots, split seed {wildcards.split}"
    shell:
        "python -m dmn stage memory --text {input.text:q} --train {input.train:q}"
        " --shots {params.shots} --out {output:q} 2>&1 | tee {log:q}"
