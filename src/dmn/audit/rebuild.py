"""Rebuild a figure or everything in a folder of its own and compare each artifact.

The copy starts empty: nothing of the checkout's data is used, except what came from outside
(downloads, released weights) and, where features are the line at which exactness begins, the
recorded features (docs/exactness.md).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmn.artifacts import write_text
from dmn.audit.checks import Check
from dmn.audit.commands import copy_sources, last_lines, run
from dmn.audit.configuration import run_config
from dmn.audit.differences import Difference, difference
from dmn.audit.hashes import read_manifest
from dmn.audit.records import RECORDS, Record, read_records
from dmn.audit.runs.comparison import PHASES, chain_order, phase
from dmn.config import Config
from dmn.datasets.registry import find_dataset, load_registry
from dmn.errors import ArtifactError, nearest
from dmn.pipeline import paths
from dmn.pipeline.run import snakemake

CONFIG = "rebuild.yaml"
LOG = "rebuild.log"
EVERYTHING = "all"


@dataclass(frozen=True)
class Rebuilt:
    """The files that were made again, and those of them that differ, causes before effects."""

    target: str
    files: tuple[str, ...]
    differing: Mapping[str, Difference]
    records: Mapping[str, Record]


def from_outside(config: Config) -> list[str]:
    """Return what a rebuild takes as it is, because it came from the network or from a person."""
    registry = load_registry(config.download.registry)
    kept = [
        f"{paths.DATA}/download/{name}"
        for name in config.datasets
        if find_dataset(name, registry).kind != "digits"
    ]
    kept += [
        paths.fill(paths.ENCODER, backbone=name)
        for name in config.backbones
        if name in config.encoders and config.encoders[name].model != "embedded"
    ]
    return kept


def prepare(root: Path, scratch: Path, kept: Sequence[str]) -> None:
    """Fill `scratch` with the sources, the reports' configuration and the kept artifacts."""
    if scratch.exists() and any(scratch.iterdir()):
        raise ArtifactError(f"{scratch} is not empty; choose a new folder for the rebuild")
    copy_sources(root, scratch)
    write_text(scratch / CONFIG, (root / paths.RUN_CONFIG).read_text(encoding="utf-8"))
    for name in kept:
        if (root / name).is_dir():
            shutil.copytree(root / name, scratch / name, dirs_exist_ok=True)
        elif (root / name).is_file():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, scratch / name)
    # their records say that they are up to date
    if kept and (root / RECORDS).is_dir():
        shutil.copytree(root / RECORDS, scratch / RECORDS, dirs_exist_ok=True)


def make(scratch: Path, targets: Sequence[str], cores: int, *options: str) -> None:
    """Run Snakemake in `scratch`; its output is kept in rebuild.log."""
    command = snakemake("--cores", str(cores), "--configfile", CONFIG, *options, "--", *targets)
    result = run(command, scratch)
    with open(scratch / LOG, "a", encoding="utf-8") as log:
        log.write(result.stdout)
    if result.returncode:
        raise ArtifactError(
            f"the rebuild of {', '.join(targets)} failed; see {scratch / LOG}, which ends: "
            + last_lines(result.stdout)
        )


def known_target(root: Path, target: str) -> str:
    """Return `target`, if the manifest lists it or it means everything."""
    target = target.removeprefix("./")
    listed = read_manifest(root)
    if target in (EVERYTHING, paths.MANIFEST):
        return EVERYTHING
    if target not in listed:
        raise ArtifactError(f"no artifact {target!r} in reports/all; {nearest(target, listed)}")
    return target


def rebuild(
    root: Path, scratch: Path, target: str, cores: int, recorded_features: bool = False
) -> Rebuilt:
    """Make `target` (a file, or `all`) again in `scratch` and compare all that it took."""
    target = known_target(root, target)
    kept = from_outside(run_config(root))
    if recorded_features:
        kept += [f"{paths.DATA}/{name}" for name in PHASES[: PHASES.index("features") + 1]]
    prepare(root, scratch, kept)
    make(scratch, [target], cores)
    return compare(root, scratch, target)


def compare(root: Path, scratch: Path, target: str) -> Rebuilt:
    """Compare what the scratch folder has with the checkout."""
    listed = [*read_manifest(root), paths.MANIFEST]
    files = chain_order([n for n in listed if target == EVERYTHING or (scratch / n).is_file()])
    found = {name: difference(root / name, scratch / name) for name in files}
    differing = {name: gap for name, gap in found.items() if gap is not None}
    return Rebuilt(target, tuple(files), differing, read_records(scratch))


def extract_again(root: Path, scratch: Path, cores: int, tolerance: float) -> Check:
    """Extract all features again and compare them with the recorded ones, within `tolerance`."""
    names = [name for name in read_manifest(root) if phase(name) == "features"]
    make(scratch, names, cores, "--force")
    gaps = {name: difference(root / name, scratch / name) for name in chain_order(names)}
    far = [
        f"{name}: {gap.text}"
        for name, gap in gaps.items()
        if gap is not None and not gap.within(tolerance)
    ]
    close = [gap.largest or 0.0 for gap in gaps.values() if gap is not None]
    if far:
        summary = f"{len(far)} of {len(names)} files are not within {tolerance:g}"
        return Check("features again", "fail", summary, tuple(far))
    if close:
        summary = f"{len(names)} files within {tolerance:g}; largest deviation {max(close):.3g}"
        return Check("features again", "ok", summary)
    return Check("features again", "ok", f"{len(names)} files, all identical")


def describe(rebuilt: Rebuilt, name: str) -> str:
    """Return one line on a differing file: which rule made it, and how it differs."""
    record = rebuilt.records.get(name)
    rule = f" (rule {record.rule})" if record else ""
    return f"{name}{rule}: {rebuilt.differing[name].text}"


def check_rebuilt(rebuilt: Rebuilt) -> Check:
    """Name the first artifact of the chain that differs, and how; then all others."""
    wanted = "all" if rebuilt.target == EVERYTHING else f"{rebuilt.target} and what it takes"
    if not rebuilt.differing:
        return Check("rebuild", "ok", f"{wanted}: {len(rebuilt.files)} files, all identical")
    first, *rest = (describe(rebuilt, name) for name in rebuilt.differing)
    count = f"{len(rebuilt.differing)} of {len(rebuilt.files)} files differ"
    return Check("rebuild", "fail", f"{wanted}: {count}; the first is {first}", tuple(rest))
