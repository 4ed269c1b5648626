"""reports: write the tables and figures of one study."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

from dmn.artifacts import sha256
from dmn.evaluation.answers import read_all_rows, read_all_samples
from dmn.report.writer import write_study_report
from dmn.stages.arguments import add, add_files
from dmn.stages.study import add_study, find_study


def write_study(
    module: ModuleType, rows: list[str], samples: list[str], options: Any, out: str
) -> None:
    """Write all files of one study's report."""
    table = read_all_rows(rows)
    sources = {file: sha256(file) for file in [*rows, *samples]}
    write_study_report(module, table, read_all_samples(samples), options, Path(out).parent, sources)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage reports`."""
    add_study(parser)
    add(parser, out="rows.csv of the study; its other files lie beside it")
    add_files(parser, "rows", "tables of the study's jobs")
    add_files(parser, "samples", "per-sample answers of the jobs")


def main(arguments: argparse.Namespace) -> None:
    """Write one study's report."""
    module, options = find_study(arguments)
    write_study(module, arguments.rows, arguments.samples, options, arguments.out)
