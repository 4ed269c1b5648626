"""Every artifact's hash against the manifest `reports/all` and against dvc.lock."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmn.artifacts import sha256
from dmn.audit.checks import Check, judged
from dmn.audit.commands import answer
from dmn.errors import ArtifactError
from dmn.pipeline import paths
from dmn.pipeline.paths import fill
from dmn.schema import read_yaml
from dmn.studies.table import STUDIES

LOCK = "dvc.lock"
STAGE = "experiments"
WORDS = {
    "modified": "differs",
    "deleted": "is missing",
    "added": "is not in the lock",
    "new": "is not in the lock",
}
NOT_ARTIFACTS = (
    *(paths.SCRATCH, f"{paths.DATA}/manual", f"{paths.DATA}/README.md"),
    f"{paths.REPORTS}/README.md",
    # made when they are asked for
    *(fill(paths.STUDY_MANIFEST, study=study) for study in STUDIES),
)


def read_manifest(root: Path, name: str = paths.MANIFEST) -> dict[str, str]:
    """Return the SHA-256 of each file that a manifest lists."""
    try:
        text = (root / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"cannot read {name} ({error}); make it with: snakemake --cores 2 {name}"
        ) from None
    hashes = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if match is None:
            raise ArtifactError(
                f"{name}, line {number} is not a hash and a name; delete it and run again"
            )
        hashes[match[2]] = match[1]
    return hashes


def check_manifest(root: Path) -> Check:
    """Compare each file with its hash in reports/all."""
    problems = []
    hashes = read_manifest(root)
    for name, wanted in hashes.items():
        if not (root / name).is_file():
            problems.append(f"{name} is missing")
        elif (found := sha256(root / name)) != wanted:
            problems.append(f"{name} has {found[:12]}, listed is {wanted[:12]}")
    return judged(
        "hashes in reports/all",
        problems,
        f"{len(hashes)} artifacts and reports as listed",
        f"{len(problems)} of {len(hashes)} files are not as listed",
    )


def check_extra(root: Path) -> Check:
    """Name the files below data/ and reports/ that the manifest does not list."""
    listed = {*read_manifest(root), paths.MANIFEST}
    found = (
        path.relative_to(root).as_posix()
        for folder in (paths.DATA, paths.REPORTS)
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    )
    extra = [name for name in found if name not in listed and not name.startswith(NOT_ARTIFACTS)]
    if not extra:
        return Check("files not listed", "ok", "none: every file belongs to this configuration")
    summary = f"{len(extra)} files of other configurations, such as a removed seed"
    return Check("files not listed", "note", summary, tuple(extra))


def check_lock(root: Path) -> Check:
    """Ask DVC what is not as it locked it: sources by name, outputs file by file."""
    if not (root / LOCK).is_file():
        return Check("hashes in dvc.lock", "note", f"there is no {LOCK}; dvc repro writes it")
    stage = read_yaml(root / LOCK, "the lock file").get("stages", {}).get(STAGE)
    if stage is None:
        return Check("hashes in dvc.lock", "fail", f"{LOCK} has no stage {STAGE}; run dvc repro")
    outs = [entry["path"] for entry in stage.get("outs", [])]
    status = answer(dvc("status", "--json", STAGE), root)
    data = answer(dvc("data", "status", "--granular", "--json", *outs), root)
    return judged(
        "hashes in dvc.lock",
        [*changed_sources(status), *changed_outputs(data)],
        f"{len(outs)} outputs and {len(stage.get('deps', []))} sources as locked",
        f"not as locked: run dvc repro if you changed them, dvc checkout if not ({STAGE})",
    )


def dvc(*arguments: str) -> list[str]:
    """Return the command line of this environment's DVC."""
    return [sys.executable, "-m", "dvc", *arguments]


def changed_sources(status: Mapping[str, Any]) -> list[str]:
    """Return what `dvc status --json` says of a stage's sources and command; not of its outputs.

    It calls outputs "not in cache" whether or not they differ; `dvc data status` tells.
    """
    found = []
    for said in status.get(STAGE, []):
        if said == "changed command":
            found.append(f"the command of {STAGE} differs")
        elif isinstance(said, dict):
            found += [f"{name} {WORDS[how]}" for name, how in said.get("changed deps", {}).items()]
    return sorted(found)


def changed_outputs(status: Mapping[str, Any]) -> list[str]:
    """Return what `dvc data status --granular --json` says of outputs, file by file.

    A folder is named only where DVC has no listing of it, so cannot name its files.
    """
    changes = status.get("uncommitted", {})
    found = {name: word for how, word in WORDS.items() for name in changes.get(how, [])}
    for move in changes.get("renamed", []):
        found |= {move["old"]: WORDS["deleted"], move["new"]: WORDS["added"]}
    folders = [name for name in found if name.endswith("/")]
    for folder in folders:
        if any(name.startswith(folder) and name not in folders for name in found):
            del found[folder]
        else:
            found[folder] += " (dvc fetch lets DVC name the files)"
    return [f"{name} {word}" for name, word in sorted(found.items())]
