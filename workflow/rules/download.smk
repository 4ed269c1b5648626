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
    resources:
        mem_mb=mem_mb("download_file"),
        runtime=runtime("download_file"),
    params:
        # a file is its checksum; where it comes from, and how patiently, makes it no other
        file=lambda wildcards: TARGETS.identity(**wildcards),
        # what a person brings is known by its content, whatever its times say
        brought=lambda wildcards: TARGETS.brought(**wildcards),
    message:
        "Download {wildcards.file} of {wildcards.dataset}"
    shell:
        "python -m dmn stage download file --dataset {wildcards.dataset:q}"
        ' --file {wildcards.file:q} --config "$DMN_CONFIGURATION"'
        " --out {output:q} 2>&1 | tee {log:q}"


rule download_manifest:
    """List the files of a data set with sizes, hashes, source, licence and citation."""
    input:
        files=archives(),
        code=sources("dmn.stages.download"),
    output:
        paths.DOWNLOAD_MANIFEST,
    log:
        paths.beside(paths.LOG, paths.DOWNLOAD_MANIFEST),
    benchmark:
        paths.beside(paths.BENCHMARK, paths.DOWNLOAD_MANIFEST)
    resources:
        mem_mb=mem_mb("download_manifest"),
        runtime=runtime("download_manifest"),
    params:
        dataset=facts("download_manifest"),
    message:
        "List the files of {wildcards.dataset}"
    shell:
        "python -m dmn stage download manifest --dataset {params.dataset:q}"
        " --out {output:q} --files {input.files:q} 2>&1 | tee {log:q}"


ruleorder: download_manifest > download_file
