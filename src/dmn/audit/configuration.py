"""The configuration and seeds of the reports, and whether the files came from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dmn.artifacts import sha256
from dmn.audit.checks import Check, judged
from dmn.audit.commands import last_lines, run
from dmn.audit.hashes import read_manifest
from dmn.audit.records import RECORDS, read_records
from dmn.config import Config
from dmn.config.writing import commented_yaml
from dmn.pipeline import paths
from dmn.pipeline.configuration import load_run
from dmn.pipeline.run import job_counts, snakemake
from dmn.pipeline.runs.home import changed_keys, is_run, remake
from dmn.pipeline.runs.progress import NOTHING
from dmn.pipeline.targets import Targets
from dmn.schema import read_yaml


def run_config(root: Path) -> Config:
    """Return the configuration that the reports were made with."""
    return load_run(read_yaml(root / paths.RUN_CONFIG), paths.RUN_CONFIG)


def check_configuration(root: Path) -> Check:
    """Read the resolved configuration and compare it with the defaults and the manifest."""
    config = run_config(root)
    targets = Targets(config)
    asked = {*targets.data(), *targets.reports()}
    missing = sorted(asked - set(read_manifest(root)))
    problems = [f"{name} is asked for, but reports/all does not list it" for name in missing]
    if (root / paths.RUN_CONFIG).read_text(encoding="utf-8") != commented_yaml(config):
        problems.append(f"{paths.RUN_CONFIG} was not written by this code")
    demo, plain = load_run({}).model_dump(mode="json"), config.model_dump(mode="json")
    changes = list(changed_keys(demo, plain))
    summary = f"{len(changes)} keys differ from the demo" if changes else "the demo's defaults"
    if problems:
        return Check("configuration", "fail", summary, tuple(problems))
    if changes and not is_run(root):
        kept = f"dmn run --name NAME --config {paths.RUN_CONFIG}"
        summary += f", which dvc repro here would make again (to keep these reports: {kept})"
    return Check("configuration", "ok", f"{summary}; all {len(asked)} files it asks for are listed")


def check_seeds(root: Path) -> Check:
    """Name the seeds, so that a reader sees which draws the reports stand on."""
    config = run_config(root)
    seeds = config.seeds
    text = (
        f"splits {_listed(seeds.split)}; orders {_listed(seeds.order)}; "
        f"training {_listed(seeds.training)}; views {config.views.seed}; "
        f"encoder {config.pretraining.seed}"
    )
    return Check("seeds", "ok", text)


def _listed(values: list[Any]) -> str:
    return ", ".join(str(value) for value in values)


def check_records(root: Path) -> Check:
    """Compare the code and data that made each file with what is here now."""
    records = read_records(root)
    if not records:
        summary = f"{RECORDS} is empty: nobody can say which code made the files; dvc pull"
        return Check("records", "note", summary)
    hashes: dict[str, str | None] = {}
    problems = []
    for name in [*read_manifest(root), paths.MANIFEST]:
        record = records.get(name)
        if record is None:
            problems.append(f"{name} has no record")
        elif record.incomplete:
            problems.append(f"{name} was not finished")
        else:
            problems += [
                f"{name} came from another {source}"
                for source, checksum in record.checksums.items()
                if _hash(root, source, hashes) != checksum.removeprefix("sha256:")
            ]
    code = len({source for record in records.values() for source in record.code})
    return judged(
        "records",
        problems,
        f"each file came from the inputs and the {code} source files that are here",
        f"{len(problems)} inputs have changed since ({remake(root)} makes the files again)",
    )


def _hash(root: Path, name: str, known: dict[str, str | None]) -> str | None:
    if name not in known:
        known[name] = sha256(root / name) if (root / name).is_file() else None
    return known[name]


def check_plan(root: Path) -> Check:
    """Ask Snakemake itself what it would run."""
    dry_run = ("--dry-run", "--nolock", "--cores", "1", "--configfile", paths.RUN_CONFIG)
    result = run(snakemake(*dry_run, "--", "all"), root)
    if result.returncode:
        text = tuple(last_lines(result.stdout).splitlines())
        return Check("plan", "fail", "snakemake cannot plan the run", text)
    if NOTHING in result.stdout:
        return Check("plan", "ok", "snakemake plans 0 jobs")
    jobs = job_counts(result.stdout)
    details = tuple(f"{rule}: {count}" for rule, count in jobs.items())
    summary = f"snakemake plans {sum(jobs.values())} jobs; run them with: {remake(root)}"
    return Check("plan", "fail", summary, details)
