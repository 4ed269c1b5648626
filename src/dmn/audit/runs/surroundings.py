"""What a run was made with beside its configuration: versions, locked packages, source files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dmn.artifacts import read_rows
from dmn.audit.environment import LOCK
from dmn.audit.records import Record
from dmn.pipeline import paths

Differences = dict[str, tuple[str | None, str | None]]


def packages(folder: Path) -> dict[str, str]:
    """Return the locked version of each package; none where a run's folder has no lock."""
    lock = folder / LOCK
    if not lock.is_file():
        return {}
    text = lock.read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, flags=re.MULTILINE))


def versions(folder: Path) -> dict[str, str]:
    """Return the versions that measured the rows of a run's reports, as the rows say."""
    found: dict[str, set[str]] = {}
    for table in sorted((folder / paths.REPORTS / "studies").glob("*/rows.csv")):
        rows = read_rows(table)
        for text in rows["versions"].unique() if "versions" in rows else ():
            for name, _, version in (part.strip().partition(" ") for part in text.split(";")):
                found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(several)) for name, several in found.items()}


def code(records: Mapping[str, Record]) -> dict[str, str]:
    """Return the checksum of each source file that the records name; several where it changed."""
    found: dict[str, set[str]] = {}
    for record in records.values():
        for name in record.code:
            if name in record.checksums:
                found.setdefault(name, set()).add(
                    record.checksums[name].removeprefix("sha256:")[:12]
                )
    return {name: ", ".join(sorted(several)) for name, several in found.items()}


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> Differences:
    """Return what differs, where both sides are known."""
    if not (old and new):
        return {}
    names = sorted({*old, *new})
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}


def surroundings(
    before: Path, after: Path, old: Mapping[str, Record], new: Mapping[str, Record]
) -> dict[str, Differences]:
    """Return by kind what differs between two runs' surroundings; old, new: their records."""
    kinds = {
        "version": (versions(before), versions(after)),
        "locked package": (packages(before), packages(after)),
        "source file": (code(old), code(new)),
    }
    return {kind: differences(*both) for kind, both in kinds.items()}


def cause(old: Record | None, new: Record | None) -> str:
    """Return in words why a file differs, as the records of both runs tell."""
    if old is None or new is None:
        return "no record says why"
    return "; ".join(_causes(old, new)) or "made from the same code, parameters and inputs"


def _causes(old: Record, new: Record) -> Iterator[str]:
    if old.params != new.params:
        yield "its parameters differ"
    for what, a, b in (("source", old.code, new.code), ("input", old.data, new.data)):
        apart = [n for n in sorted({*a, *b}) if old.checksums.get(n) != new.checksums.get(n)]
        if apart:
            more = f" and {len(apart) - 1} more" if len(apart) > 1 else ""
            yield f"{what} that differs: {apart[0]}{more}"
