"""evaluation: the test images as a stream; one job measures one study over some splits and orders.

REQUIRED INPUTS: data/features/..., data/memory/..., data/projection/...
OUTPUTS: data/evaluation/<study>/<dataset>/<backbone>/splits=<first>-<last>/orders=<first>-<last>.*
"""


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
    threads: THREADS
    resources:
        gpu=GPU,
        mem_mb=mem_mb("evaluate"),
        runtime=runtime("evaluate"),
    params:
        config=keys("evaluate"),
        dataset=facts("evaluate"),
        options=lambda wildcards: TARGETS.options(wildcards.study),
    message:
        "Evaluate {wildcards.study}: {wildcards.dataset}, {wildcards.backbone},"
        " split seeds {wildcards.splits}, orders {wildcards.orders}"
    shell:
        "python -m dmn stage evaluation --study {wildcards.study} --dataset {params.dataset:q}"
        " --backbone {wildcards.backbone:q} --splits {wildcards.splits} --orders {wildcards.orders}"
        " --config {params.config:q} --options {params.options:q}"
        " --rows {output.rows:q} --samples {output.samples:q}"
        " --text {input.text:q} --test {input.test:q} --lists {input.lists:q}"
        " --train {input.train:q} --val {input.val:q} --memory {input.memory:q}"
        " --projection {input.projection:q} --shifts {input.shifts:q} --images {input.images:q}"
        " --threads {threads} 2>&1 | tee {log:q}"
