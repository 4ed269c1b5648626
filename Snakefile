# Dual Memory Networks, from download to report.
#
# Path grammar (src/dmn/pipeline/paths.py):  data/<phase>/<dataset>/<backbone>/<key>=<value>...
# A phase is a rule file here, a folder in data/ and a module in src/dmn/stages/, by the same word.
#
#   snakemake --cores 8 reports/all                          the embedded demo
#   cd runs/NAME && snakemake --cores 8 reports/all          another configuration (docs/dvc.md)
#   snakemake --cores 8 reports/all --config seeds='{split: [0-2, 3]}'
from snakemake.utils import min_version

min_version("9.10")


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/encoder.smk"
include: "workflow/rules/splits.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/memory.smk"
include: "workflow/rules/projection.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/reports.smk"


# every artifact by name, because Snakemake does not miss an intermediate whose product is there
rule all:
    default_target: True
    input:
        paths.MANIFEST,
        TARGETS.reports(),
        TARGETS.data(),
