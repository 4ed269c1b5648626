"""splits: bring a published split into one form, or draw the shots of a split seed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dmn.artifacts import read_json, write_json
from dmn.config import Config, from_argument
from dmn.datasets.images import read_split
from dmn.datasets.splits import Split, sample_shots, sample_validation
from dmn.pipeline import paths
from dmn.stages.arguments import add, add_config, add_files
from dmn.stages.entry import find_entry


def draw(split: Split, seed: int, config: Config) -> dict[str, Any]:
    """Return for each K the drawn positions by class, and those of the validation images.

    Zero-shot settings take all validation images, few-shot ones the first min(K, all) of a class.
    """
    options = config.splits
    drawn = sample_shots(split, seed, config.shots, options.sampling, options.validation_shots)
    tables = [shots.train for shots in drawn.values()]
    validation, part = sample_validation(
        split, seed, tables, options.validation_shots, options.sampling
    )
    train = {str(shots): [list(rows) for rows in drawn[shots].train] for shots in config.shots}
    return {
        "dataset": split.dataset,
        "seed": seed,
        "sampling": options.sampling,
        "train": train,
        "val": [list(rows) for rows in validation],
        "val_from": part,
    }


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage splits`."""
    parser.add_argument("action", choices=["lists", "shots"], help="what to write")
    parser.add_argument("--dataset", help="data set, by name or facts (action lists)")
    parser.add_argument("--split", help="split.json of the data set (action shots)")
    parser.add_argument("--seed", type=int, help="split seed (action shots)")
    add(parser, "out")
    add_config(parser)
    add_files(parser, "files", "the downloaded files (action lists)")


def main(arguments: argparse.Namespace) -> None:
    """Write split.json or split=<seed>.json."""
    config = from_argument(arguments.config)
    if arguments.action == "lists":
        entry = find_entry(arguments.dataset, config)
        write_json(arguments.out, read_split(entry, arguments.files, Path(paths.SCRATCH)).to_json())
    else:
        split = Split.from_json(read_json(arguments.split), arguments.split)
        write_json(arguments.out, draw(split, arguments.seed, config))
