"""evaluation: stream the test images through the network and measure one study.

One job serves one data set and backbone, a group of split seeds and a group of stream orders. It
finds its inputs by their names, which are those of src/dmn/pipeline/paths.py.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch

import dmn
from dmn.artifacts import write_rows, write_tensors
from dmn.config import Config, from_argument, study_options
from dmn.errors import ConfigError, run_main
from dmn.evaluation.contract import StudyData, sample_name
from dmn.evaluation.inputs import Inputs, read_data, thumbnails
from dmn.seeds import seed_range
from dmn.stages.arguments import add, add_files, add_settings, command


def provenance(inputs: Inputs, config: Config) -> dict[str, str]:
    """Return the columns that say how the rows were made."""
    model, views = config.model, config.views
    protocol = (
        f"views={views.test} share={model.view_share} L={model.length} beta={model.beta} "
        f"readout={model.readout} projection={model.projection}:{model.position} "
        f"shots={config.splits.sampling} {config.numerics.dtype}"
    )
    versions = f"dmn {dmn.__version__}; torch {torch.__version__.split('+')[0]}"
    return {"protocol": protocol, "versions": versions, "inputs_sha256": inputs.sha256()}


def seeds(option: str, text: str) -> list[int]:
    """Return the seeds that an option names; ConfigError for anything else."""
    try:
        return list(seed_range(text))
    except ValueError as error:
        raise ConfigError(f"--{option}: {error}") from None


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


def main() -> None:
    """Run one study on one cell of the design and write its rows and per-sample answers."""
    parser = command("evaluation", __doc__)
    add(parser, study="name of the study", splits="split seeds, such as 0-2")
    add(parser, orders="order seeds, such as 0-9")
    add(parser, rows="table to write (CSV)", samples="per-sample answers to write (safetensors)")
    add_settings(parser)
    add_files(parser, "inputs", "features, memories, projections, lists and archives")
    arguments = parser.parse_args()
    config = from_argument(arguments.settings)
    options = study_options(arguments.study, config.studies.get(arguments.study, {}))
    splits, order_seeds = seeds("splits", arguments.splits), seeds("orders", arguments.orders)
    torch.set_num_threads(config.numerics.threads)
    inputs = Inputs([file for file in arguments.inputs if not file.endswith(".py")])
    module = importlib.import_module(f"dmn.studies.{arguments.study}")
    tables: list[pd.DataFrame] = []
    samples: dict[str, np.ndarray] = {}
    for split in splits:
        data = read_data(inputs, config, split)
        data.thumbnails.update(thumbnails(inputs, data, config))
        rows, answers = measure(module, data, config, options, order_seeds)
        tables.append(rows.assign(**provenance(inputs.of_split(split), config)))
        samples |= {sample_name(split, name): array for name, array in answers.items()}
    write_rows(arguments.rows, pd.concat(tables, ignore_index=True))
    facts = {"study": arguments.study, "dataset": data.dataset, "backbone": data.backbone}
    facts |= {"orders": arguments.orders, "class_names": data.class_names}
    write_tensors(arguments.samples, samples, facts)


if __name__ == "__main__":
    run_main(main)
