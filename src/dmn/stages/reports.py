"""reports: write the tables and figures of one study, or the page of all studies."""

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
from dmn.report.page import read_facts, write_page
from dmn.report.summary import read_summary
from dmn.report.writer import write_study_report
from dmn.stages.arguments import add, add_files, add_options, find_study


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
    parser.add_argument("action", choices=["study", "page"], help="what to write")
    parser.add_argument("--study", help="name of the study (action study)")
    parser.add_argument("--config", help="the resolved configuration (action page)")
    add(parser, out="rows.csv of the study (its other files lie beside it), or the page to write")
    add_options(parser)
    add_files(parser, "rows", "tables of the study's jobs (action study)")
    add_files(parser, "samples", "per-sample answers of the jobs (action study)")
    add_files(parser, "summaries", "summary.json of each study (action page)")
    add_files(parser, "downloads", "manifest.json of each data set (action page)")


def main(arguments: argparse.Namespace) -> None:
    """Write one study's report or the page."""
    if arguments.action == "study":
        module, options = find_study(arguments)
        write_study(module, arguments.rows, arguments.samples, options, arguments.out)
    else:
        summaries = [read_summary(file) for file in arguments.summaries]
        facts = read_facts(arguments.config, arguments.downloads)
        write_page(summaries, facts, Path(arguments.out))
