"""download: archives as their homes publish them, checked, never unpacked into an artifact.

REQUIRED INPUTS: none, or archives that the user brings (data/manual/<dataset>/).
OUTPUTS: data/download/<dataset>/<file>, data/download/<dataset>/manifest.json
"""


rule download_file:
    """Fetch or export one file of a data set and check it against the registry."""
    input:
        code=sources("dmn.stages.download"),
    output:
        paths.ARCHIVE,
    log:
        paths.beside(paths.LOG, paths.ARCHIVE),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.ARCHIVE)
    retries: 1
    params:
        config=keys("download"),
    message:
        "Download {wildcards.file} of {wildcards.dataset}"
    shell:
        "python -m dmn stage download file --dataset {wildcards.dataset:q}"
        " --file {wildcards.file:q} --config {params.config:q}"
        " --out {output:q} 2>&1 | tee {log:q}"


rule download_manifest:
    """List the files of a data set with sizes, hashes, source, licence and citation."""
    input:
        files=lambda wildcards: TARGETS.archives(wildcards.dataset),
        registry=lambda wildcards: TARGETS.registry(wildcards.dataset),
        code=sources("dmn.stages.download"),
    output:
        paths.DOWNLOAD_MANIFEST,
    log:
        paths.beside(paths.LOG, paths.DOWNLOAD_MANIFEST),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.DOWNLOAD_MANIFEST)
    params:
        config=keys("download"),
    message:
        "List the files of {wildcards.dataset}"
    shell:
        "python -m dmn stage download manifest --dataset {wildcards.dataset:q}"
        " --config {params.config:q} --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


ruleorder: download_manifest > download_file
