"""evaluation: the test images as a stream; one job measures one study over a group of orders.

REQUIRED INPUTS: data/features/..., data/memory/..., data/projection/...
OUTPUTS: data/evaluation/<study>/<dataset>/<backbone>/split=<seed>/orders=<first>-<last>.*
"""


def evaluation_inputs(wildcards):
    """Return the features, memories and projections that a study reads."""
    keys = dict(dataset=wildcards.dataset, backbone=wildcards.backbone)
    cell = (wildcards.dataset, wildcards.backbone, wildcards.split)
    needs = TARGETS.needs(wildcards.study)
    inputs = {
        "text": paths.fill(paths.TEXT_FEATURES, **keys),
        "test": paths.fill(paths.TEST_FEATURES, **keys),
        "lists": paths.fill(paths.SPLIT, dataset=wildcards.dataset),
        "code": sources("dmn.stages.evaluation", f"dmn.studies.{wildcards.study}"),
    }
    if wildcards.dataset in TARGETS.few_shot_sets():
        inputs["train"] = paths.fill(paths.TRAIN_FEATURES, split=wildcards.split, **keys)
        inputs["val"] = paths.fill(paths.VAL_FEATURES, split=wildcards.split, **keys)
        inputs["memory"] = TARGETS.memory(*cell)
        if "projection" in needs:
            inputs["projection"] = TARGETS.projection(*cell)
    if "shifts" in needs:
        inputs["shifts"] = TARGETS.shifts(wildcards.dataset, wildcards.backbone)
    if "images" in needs:
        inputs["images"] = TARGETS.images(wildcards.dataset)
    return inputs


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
        unpack(evaluation_inputs),
    output:
        rows=paths.ROWS,
        samples=paths.SAMPLES,
    params:
        settings=lambda wildcards: TARGETS.settings(*STUDY_SECTIONS, study=wildcards.study),
    log:
        paths.beside(paths.LOG, paths.ROWS),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.ROWS)
    resources:
        gpu=GPU,
    message:
        "Evaluate {wildcards.study}: {wildcards.dataset}, {wildcards.backbone},"
        " split seed {wildcards.split}, orders {wildcards.orders}"
    shell:
        "python -m dmn.stages.evaluation --study {wildcards.study} --settings {params.settings:q}"
        " --split {wildcards.split} --orders {wildcards.orders} --rows {output.rows:q}"
        " --samples {output.samples:q}"
        " --inputs {input:q} 2>&1 | tee {log:q}"
