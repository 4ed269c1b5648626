"""Snakemake's records: which rule, code, parameters and inputs made each file.

Snakemake keeps one JSON file for each output in `.snakemake/metadata`, named by the output's path
in URL-safe base64, cut into folders that begin with `@` where it is long.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dmn.errors import ArtifactError

RECORDS = Path(".snakemake/metadata")


@dataclass(frozen=True)
class Record:
    """How one file was made."""

    output: str
    rule: str
    inputs: tuple[str, ...]
    checksums: Mapping[str, str]
    params: tuple[str, ...]
    command: str
    start: float
    end: float
    incomplete: bool

    @cached_property
    def code(self) -> tuple[str, ...]:
        """The source files among the inputs."""
        return tuple(name for name in self.inputs if name.endswith(".py"))

    @cached_property
    def data(self) -> tuple[str, ...]:
        """The artifacts among the inputs."""
        return tuple(name for name in self.inputs if not name.endswith(".py"))


def read_records(root: Path) -> dict[str, Record]:
    """Return the records of a checkout by output; none where nothing was run or pulled."""
    folder = root / RECORDS
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    records = (_read(path, folder) for path in files if path.name != ".snakemake_timestamp")
    return {record.output: record for record in records}


def _read(path: Path, folder: Path) -> Record:
    coded = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
    try:
        output = urlsafe_b64decode(coded).decode()
        values = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            output=output,
            rule=values["rule"],
            inputs=tuple(values["input"]),
            checksums=values.get("input_checksums") or {},
            params=tuple(values.get("params") or ()),
            command=values.get("shellcmd") or "",
            start=values["starttime"],
            end=values["endtime"],
            incomplete=bool(values.get("incomplete")),
        )
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} is not a record of Snakemake ({error}); delete it and run snakemake again"
        ) from None


def upstream(records: Mapping[str, Record], targets: Iterable[str]) -> list[Record]:
    """Return the records of `targets` and of all they came from, causes before effects."""
    found: dict[str, Record] = {}

    def visit(name: str) -> None:
        record = records.get(name)
        if record is None or name in found:
            return
        for source in sorted(record.data):
            visit(source)
        found[name] = record

    for target in sorted(targets):
        visit(target)
    return list(found.values())
