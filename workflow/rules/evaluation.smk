"""evaluation: the test images as a stream; one job measures one study over some splits and orders.

REQUIRED INPUTS: data/features/..., data/memory/..., data/projection/...
OUTPUTS: data/evaluation/<study>/<dataset>/<backbone>/splits=<first>-<last>/orders=<first>-<last>.*
"""

STUDY_SECTIONS = (
    "settings",
    "shots",
    "seeds",
    "splits",
    "views",
    "model",
    "training",
    "fusion",
    "corruptions",
    "numerics",
    "download",
)


rule evaluate:
    """Stream the test images through the dynamic memory in each order and measure a study."""
    input:
        unpack(lambda wildcards: TARGETS.evaluation_inputs(**wildcards)),
        code=lambda wildcards: TARGETS.evaluation_code(wildcards.study),
    output:
        rows=paths.ROWS,
        samples=paths.SAMPLES,
    log:
        paths.beside(paths.LOG, paths.ROWS),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.ROWS)
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: TARGETS.settings(
            *STUDY_SECTIONS, study=wildcards.study
        ),
    message:
        "Evaluate {wildcards.study}: {wildcards.dataset}, {wildcards.backbone},"
        " split seeds {wildcards.splits}, orders {wildcards.orders}"
    shell:
        "python -m dmn.stages.evaluation --study {wildcards.study} --settings {params.settings:q}"
        " --splits {wildcards.splits} --orders {wildcards.orders} --rows {output.rows:q}"
        " --samples {output.samples:q}"
        " --inputs {input:q} 2>&1 | tee {log:q}"
