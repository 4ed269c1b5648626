"""reports: write the tables and figures of one study."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from dmn.artifacts import (
    read_rows,
    read_tensor_metadata,
    read_tensors,
    sha256,
)
from dmn.evaluation.contract import split_sample_name
from dmn.report.writer import write_study_report
from dmn.stages.arguments import add, add_files
from dmn.stages.study import add_study, find_study


def read_all_samples(files: list[str]) -> dict[tuple[str, str, int, str], dict[str, Any]]:
    """Return per-sample answers by (dataset, backbone, split seed, orders)."""
    samples: dict[tuple[str, str, int, str], dict[str, Any]] = {}
    for file in files:
        facts = read_tensor_metadata(file)
        for name, array in read_tensors(file).items():
            split, own = split_sample_name(name)
            key = (facts["dataset"], facts["backbone"], split, facts["orders"])
            samples.setdefault(key, {"class_names": facts["class_names"]})[own] = array
    return samples


def write_study(
    module: ModuleType, rows: list[str], samples: list[str], options: Any, out: str
) -> None:
    """Write all files of one study's report."""
    # text whatever it looks like: classes are called 1 and 007
    text = {"training_seed": str, "class_name": str}
    table = pd.concat([read_rows(file, dtype=text) for file in rows], ignore_index=True)
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
