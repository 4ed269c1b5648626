"""Every artifact's hash against the manifest `reports/all` and against dvc.lock."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from dmn.artifacts import CHUNK, sha256
from dmn.audit.checks import Check, judged
from dmn.errors import ArtifactError
from dmn.pipeline import paths
from dmn.schema import read_yaml

LOCK = "dvc.lock"
STAGE = "experiments"
CACHE = ".dvc/cache/files/md5"
NOT_ARTIFACTS = (paths.SCRATCH, f"{paths.DATA}/manual", f"{paths.DATA}/README.md")


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
    """Compare what the lock says was made, and from what, with what is here."""
    if not (root / LOCK).is_file():
        return Check("hashes in dvc.lock", "note", f"there is no {LOCK}; dvc repro writes it")
    stage = read_yaml(root / LOCK, "the lock file").get("stages", {}).get(STAGE)
    if stage is None:
        return Check("hashes in dvc.lock", "fail", f"{LOCK} has no stage {STAGE}; run dvc repro")
    ignored = _ignored(root)
    problems: list[str] = []
    for kind in ("deps", "outs"):
        for entry in stage.get(kind, []):
            problems += _differences(root, entry, ignored)
    return judged(
        "hashes in dvc.lock",
        problems,
        f"{len(stage.get('outs', []))} outputs and {len(stage.get('deps', []))} sources as locked",
        f"not as locked: run dvc repro if you changed them, dvc checkout if not ({STAGE})",
    )


def md5(path: Path) -> str:
    """Return the MD5 by which DVC names a file; a checksum, not a protection."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def folder_listing(folder: Path, ignored: list[str]) -> list[dict[str, str]]:
    """Return the files of a folder as DVC lists them in a .dir object."""
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder, ignored))
    return [{"md5": md5(folder / name), "relpath": name} for name in names]


def folder_md5(listing: list[dict[str, str]]) -> str:
    """Return DVC's hash of a folder: the MD5 of its listing as JSON."""
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _files(folder: Path, ignored: list[str]) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(fnmatch(part, name) for part in parts for name in ignored):
            yield path


def _ignored(root: Path) -> list[str]:
    file = root / ".dvcignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.strip().rstrip("/") for line in lines if line.strip() and line[0] != "#"]


def _differences(root: Path, entry: dict[str, Any], ignored: list[str]) -> list[str]:
    name, wanted = entry["path"], entry["md5"]
    path = root / name
    if not path.exists():
        return [f"{name} is missing"]
    if path.is_file():
        return [] if md5(path) == wanted else [f"{name} differs"]
    listing = folder_listing(path, ignored)
    if folder_md5(listing) == wanted:
        return []
    stored = root / CACHE / wanted[:2] / wanted[2:]
    if not stored.is_file():
        return [
            f"{name}/ differs (its listing {wanted} is not in the cache: dvc fetch names files)"
        ]
    before = {item["relpath"]: item["md5"] for item in json.loads(stored.read_text())}
    now = {item["relpath"]: item["md5"] for item in listing}
    words = {True: "differs", False: "is missing"}
    return [
        f"{name}/{file} {words[file in now] if file in before else 'is not in the lock'}"
        for file in sorted({*before, *now})
        if before.get(file) != now.get(file)
    ]
