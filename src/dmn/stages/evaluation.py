"""evaluation: stream the test images through the network and measure one study.

One job serves one data set and backbone, a group of split seeds and a group of stream orders.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch

import dmn
from dmn.artifacts import write_rows, write_tensors
from dmn.config import Config, from_argument
from dmn.datasets.images import read_thumbnails
from dmn.evaluation.contract import StudyData, sample_name
from dmn.evaluation.gathered.finished import Finished
from dmn.evaluation.inputs import Inputs, read_data
from dmn.pipeline import paths
from dmn.seeds import given_seeds
from dmn.stages.arguments import add, add_config, add_files, add_threads
from dmn.stages.entry import find_entry
from dmn.stages.study import add_study, find_study


def provenance(inputs: Inputs, data: StudyData, config: Config) -> dict[str, str]:
    """Return the columns that say how the rows were made: with the views that there are."""
    model, views = config.model, data.test.views.shape[1]
    protocol = (
        f"views={views} share={model.view_share} L={model.length} beta={model.beta} "
        f"readout={model.readout} projection={model.projection}:{model.position} "
        f"shots={config.splits.sampling} {config.numerics.dtype}"
    )
    versions = f"dmn {dmn.__version__}; torch {torch.__version__.split('+')[0]}"
    return {"protocol": protocol, "versions": versions, "inputs_sha256": inputs.sha256()}


def measure(
    module: ModuleType, data: StudyData, config: Config, options: Any, order_seeds: list[int]
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return the rows of one split with the keys that are the same in all, and its samples."""
    measured = module.measure(data, config, options, order_seeds)
    keys = {
        "study": module.__name__.rpartition(".")[2],
        "dataset": data.dataset,
        "backbone": data.backbone,
        "split_seed": data.split_seed,
    }
    rows = pd.concat([pd.DataFrame(keys, index=measured.rows.index), measured.rows], axis=1)
    return rows, measured.samples


def thumbnails(data: StudyData, archives: Sequence[str]) -> dict[str, np.ndarray]:
    """Return small pictures of the test images by id, where the job has the archives."""
    if not archives or data.entry is None:
        return {}
    return read_thumbnails(data.entry, archives, Path(paths.SCRATCH), data.test.ids)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the files of `Inputs`."""
    add(parser, "text", "test", lists="split.json of the data set")
    add_files(parser, "train", "features of the training images, one for each split seed")
    add_files(parser, "val", "features of the validation images, one for each split seed")
    add_files(parser, "memory", "static memories: by split seed and number of shots")
    add_files(parser, "projection", "projections: by split seed, number of shots, training seed")
    add_files(parser, "shifts", "features of shifted test images: by corruption and severity")
    add_files(parser, "images", "archives that pictures of the test images are read from")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage evaluation`."""
    add_study(parser)
    add(parser, "dataset", "backbone")
    add(parser, splits="split seeds, such as 0-2", orders="order seeds, such as 0-9")
    add(parser, rows="table to write (CSV)", samples="per-sample answers to write (safetensors)")
    add_inputs(parser)
    add_config(parser)
    add_threads(parser)


def main(arguments: argparse.Namespace) -> None:
    """Run one study on one cell of the design and write its rows and per-sample answers."""
    config = from_argument(arguments.config)
    module, options = find_study(arguments)
    splits = given_seeds("--splits", arguments.splits)
    order_seeds = given_seeds("--orders", arguments.orders)
    entry = find_entry(arguments.dataset, config)
    torch.set_num_threads(arguments.threads)
    inputs = Inputs(**{field.name: getattr(arguments, field.name) for field in fields(Inputs)})
    finished = Finished(Path(f"{arguments.rows}.unfinished"))
    tables: list[pd.DataFrame] = []
    samples: dict[str, np.ndarray] = {}
    for split, own in zip(splits, inputs.by_split(len(splits)), strict=True):
        data = read_data(own, config, entry, arguments.backbone, split)
        data = replace(data, finished=finished)
        data.thumbnails.update(thumbnails(data, own.images))
        rows, answers = measure(module, data, config, options, order_seeds)
        tables.append(rows.assign(**provenance(own, data, config)))
        samples |= {sample_name(split, name): array for name, array in answers.items()}
    write_rows(arguments.rows, pd.concat(tables, ignore_index=True))
    facts = {"study": arguments.study, "dataset": data.dataset, "backbone": data.backbone}
    facts |= {"orders": arguments.orders, "class_names": data.class_names}
    write_tensors(arguments.samples, samples, facts)
    finished.remove()
