"""memory: the static memory, the labelled features of a K-shot training set.

REQUIRED INPUTS: data/features/<dataset>/<backbone>/{text,train,split=<seed>}.safetensors
OUTPUTS: data/memory/<dataset>/<backbone>/shots=<K>/split=<seed>.safetensors
"""


rule static_memory:
    """Put the text feature and the K shots of each class into its slots."""
    input:
        text=paths.TEXT_FEATURES,
        train=paths.TRAIN_FEATURES,
        code=sources("dmn.stages.memory"),
    output:
        paths.MEMORY,
    log:
        paths.beside(paths.LOG, paths.MEMORY),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.MEMORY)
    message:
        "Build the static memory of {wildcards.shots} shots, split seed {wildcards.split}"
    shell:
        "python -m dmn.stages.memory --text {input.text:q} --train {input.train:q}"
        " --shots {wildcards.shots} --out {output:q} 2>&1 | tee {log:q}"
