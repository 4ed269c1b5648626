"""Take the clock out of Snakemake's records, so that equal runs leave equal records.

Snakemake decides by code, parameters and checksums; start, end and its job number are for
`snakemake --report` only. Without them DVC can version the records, and a fresh clone that makes
everything anew ends with the lock file that it began with.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from dmn.artifacts import read_json, write_text
from dmn.errors import ArtifactError

RECORDS = Path(".snakemake/metadata")


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with its times at zero and its job number from rule, command and log."""
    job = json.dumps([record.get(key) for key in ("rule", "shellcmd", "log")])
    number = int(hashlib.sha256(job.encode()).hexdigest()[:12], 16)
    return {**record, "starttime": 0.0, "endtime": 0.0, "job_hash": number}


def rewrite(folder: Path) -> int:
    """Rewrite all records below `folder`; return how many changed."""
    if not folder.is_dir():
        raise ArtifactError(f"no records in {folder}; run snakemake first")
    changed = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = json.dumps(timeless(read_json(path)), sort_keys=True)
        if path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            changed += 1
    return changed


def main(arguments: argparse.Namespace) -> None:
    """Rewrite the records of the current folder."""
    sys.stderr.write(f"{rewrite(RECORDS)} records made timeless\n")
