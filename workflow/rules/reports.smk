"""reports: tables and figures of each study, the page, and the manifest of everything.

REQUIRED INPUTS: data/evaluation/...
OUTPUTS: reports/studies/<study>/*, reports/<study>, reports/index.html, reports/config.yaml,
    reports/all
"""

from hashlib import sha256


localrules:
    run_config,
    study_manifest,
    manifest,


# of the studies, what it takes to check their options and name their tables and figures
STUDY_NAMES = sources(
    *(f"dmn.studies.{study}" for study in CONFIG.studies),
    without=REPORTING,
    called=False,
)


# one rule a study, because each study declares its own tables and figures
for study in CONFIG.studies:

    rule:
        name:
            f"report_{study}"
        input:
            rows=TARGETS.evaluation_rows(study),
            samples=TARGETS.evaluation_samples(study),
            code=sources("dmn.stages.reports", f"dmn.studies.{study}"),
        output:
            **TARGETS.study_outputs(study),
        log:
            f"logs/reports/{study}.log",
        benchmark:
            f"benchmarks/reports/{study}.tsv"
        resources:
            mem_mb=mem_mb(f"report_{study}"),
            runtime=runtime(f"report_{study}"),
        params:
            study=study,
            options=TARGETS.report_options(study),
        message:
            "Write the report {params.study}"
        shell:
            "python -m dmn stage reports --study {params.study}"
            " --options {params.options:q} --out {output.rows:q}"
            " --rows {input.rows:q} --samples {input.samples:q} 2>&1 | tee {log:q}"


rule page:
    """Gather all studies on one self-contained page."""
    input:
        summaries=expand(paths.STUDY_SUMMARY, study=list(CONFIG.studies)),
        downloads=expand(paths.DOWNLOAD_MANIFEST, dataset=CONFIG.datasets),
        config=paths.RUN_CONFIG,
        code=sources("dmn.stages.page"),
    output:
        paths.PAGE,
    log:
        "logs/reports/page.log",
    benchmark:
        "benchmarks/reports/page.tsv"
    resources:
        mem_mb=mem_mb("page"),
        runtime=runtime("page"),
    message:
        "Write the page {output}"
    shell:
        "python -m dmn stage page --config {input.config:q} --out {output:q}"
        " --summaries {input.summaries:q} --downloads {input.downloads:q} 2>&1 | tee {log:q}"


rule run_config:
    """Keep the whole resolved configuration beside the reports."""
    input:
        code=sources("dmn.pipeline.asked"),
        studies=STUDY_NAMES,
    output:
        paths.RUN_CONFIG,
    log:
        "logs/reports/config.log",
    params:
        # one line, because Snakemake prints both values where one has changed
        hash=sha256(RESOLVED.encode()).hexdigest()[:16],
    message:
        "Write the resolved configuration"
    shell:
        'python -m dmn config --config "$DMN_CONFIGURATION" --out {output:q}'
        " 2>&1 | tee {log:q}"


rule study_manifest:
    """Hash the tables and figures of one study; check with: sha256sum --check reports/<study>"""
    input:
        files=study_files,
        code=sources("dmn.pipeline.manifest"),
    output:
        paths.STUDY_MANIFEST,
    log:
        "logs/reports/{study}.manifest.log",
    wildcard_constraints:
        study=r"(?!all$)[a-z_]+",
    message:
        "Hash the files of {output}"
    shell:
        "python -m dmn stage manifest --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


rule manifest:
    """Hash every artifact and report; check with: sha256sum --check reports/all"""
    input:
        TARGETS.reports() + TARGETS.data(),
        config=paths.RUN_CONFIG,
        code=sources("dmn.pipeline.manifest"),
        studies=STUDY_NAMES,
    output:
        paths.MANIFEST,
    log:
        "logs/reports/manifest.log",
    message:
        "Hash {output}: all artifacts and reports"
    shell:
        # thousands of names do not fit on a command line
        "python -m dmn stage manifest --out {output:q} --config {input.config:q} 2>&1 | tee {log:q}"
