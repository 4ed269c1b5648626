"""Configuration and helpers of all phases; whatever computes stands in the package, tested."""

import os
import re
import sys
from pathlib import Path

from dmn.costs.jobs import Costs
from dmn.errors import DmnError
from dmn.pipeline import paths
from dmn.pipeline.configuration import load_run
from dmn.pipeline.run import check_targets
from dmn.pipeline.runs import home, progress
from dmn.pipeline.sources import REPORTING, sources
from dmn.pipeline.targets import Targets

# jobs run the interpreter that runs Snakemake, whether or not its environment is activated
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()])
)
# the C library keeps what a job frees; fresh pages for each tensor cost a tenth of an evaluation
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 30))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 33))
os.environ.setdefault("MALLOC_TOP_PAD_", str(1 << 26))


# the folder of a named run has its configuration (docs/dvc.md)
if home.is_run(Path.cwd()):

    configfile: home.CONFIG


try:
    CONFIG = load_run(config, "the configuration")
    TARGETS = Targets(CONFIG)
    COSTS = Costs(TARGETS)
    if workflow.is_main_process:
        TARGETS.check_present()
except DmnError as error:
    raise WorkflowError(str(error)) from None

# for jobs that write the whole configuration, or read of it what makes no other result
RESOLVED = CONFIG.model_dump_json()
os.environ.update(DMN_CONFIGURATION=RESOLVED)

THREADS = CONFIG.numerics.threads
GPU = int(CONFIG.numerics.device != "cpu")
# shots, memories and projections first: most studies wait for them, few for the shifts
EARLY = 10


wildcard_constraints:
    **paths.WILDCARDS,


def keys(rule):
    """Return a params function: the keys that a rule reads (dmn.pipeline.reads), as JSON text."""
    return lambda wildcards: TARGETS.keys(rule, **wildcards)


def facts(rule):
    """Return a params function: the facts of its data set that a rule reads, as JSON text."""
    return lambda wildcards: TARGETS.facts(rule, **wildcards)


def mem_mb(rule):
    """Return a resources function: the MB that a job asks a cluster for; nothing is run anew."""
    return lambda wildcards, attempt: COSTS.mem_mb(rule, attempt, **wildcards)


def runtime(rule):
    """Return a resources function: the minutes that a job asks a cluster for."""
    return lambda wildcards, attempt: COSTS.runtime(rule, attempt, **wildcards)


def archives(*roles, **options):
    """Return an input function: the files of its data set that a rule reads."""
    return lambda wildcards: TARGETS.archives(wildcards.dataset, *roles, **options)


def study_files(wildcards):
    """Return the files of a study's report, or the nearest name of one that is not configured."""
    try:
        check_targets([paths.fill(paths.STUDY_MANIFEST, **wildcards)], CONFIG.studies)
    except DmnError as error:
        raise WorkflowError(str(error)) from None
    return TARGETS.study_files(wildcards.study)


def one_of(names):
    """Return a regular expression that matches `names` and nothing else."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


onstart:
    # not of a dry run, which writes nothing
    try:
        home.guard(CONFIG, Path.cwd())
    except DmnError as error:
        raise WorkflowError(str(error)) from None
    if progress.ASKED in os.environ:
        print(progress.expectation(COSTS.expected()))


onerror:
    print(
        "A job failed. The last lines of its log say why: see the file after 'log:' above."
    )
