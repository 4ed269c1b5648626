"""encoder: the frozen weights that turn images and prompts into features.

REQUIRED INPUTS: none; a local checkpoint where the configuration names one.
OUTPUTS: data/encoder/<backbone>.safetensors, and .history.csv for the embedded encoder
"""

EMBEDDED = [b for b in TARGETS.encoders if CONFIG.encoders[b].model == "embedded"]
RELEASED = [b for b in TARGETS.encoders if b not in EMBEDDED]


rule pretrain_encoder:
    """Train the embedded small CLIP on glyphs drawn from fonts, with captions."""
    input:
        code=sources("dmn.stages.encoder"),
    output:
        weights=paths.ENCODER,
        history=paths.ENCODER_HISTORY,
    log:
        paths.beside(paths.LOG, paths.ENCODER),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.ENCODER)
    wildcard_constraints:
        backbone=one_of(EMBEDDED),
    # one for each tower
    threads: 2
    resources:
        mem_mb=mem_mb("pretrain_encoder"),
        runtime=runtime("pretrain_encoder"),
    params:
        config=keys("pretrain_encoder"),
    message:
        "Pretrain the embedded encoder {wildcards.backbone} on glyphs (a minute or two, once)"
    shell:
        "python -m dmn stage encoder pretrain --config {params.config:q}"
        " --weights {output.weights:q} --history {output.history:q} 2>&1 | tee {log:q}"


rule fetch_encoder:
    """Fetch released weights, or read a local checkpoint, and keep them as safetensors."""
    input:
        checkpoint=lambda wildcards: CONFIG.encoders[wildcards.backbone].checkpoint
        or [],
        code=sources("dmn.stages.encoder"),
    output:
        weights=paths.ENCODER,
    log:
        paths.beside(paths.LOG, paths.ENCODER),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.ENCODER)
    wildcard_constraints:
        backbone=one_of(RELEASED),
    retries: 2
    resources:
        mem_mb=mem_mb("fetch_encoder"),
        runtime=runtime("fetch_encoder"),
    params:
        config=keys("fetch_encoder"),
    message:
        "Fetch the weights of {wildcards.backbone}"
    shell:
        "python -m dmn stage encoder fetch --backbone {wildcards.backbone:q}"
        " --config {params.config:q} --weights {output.weights:q} 2>&1 | tee {log:q}"
