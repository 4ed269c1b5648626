"""Three first experiments with the method, one command each.

The dynamic memory alone, the static memory alone, or both with text, on any data set of the
registry; the features that they need are made first, by the workflow:

    dmn try dynamic --dataset flowers102
    dmn try static
    dmn try both --dataset imagenet
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from dmn.config import Config
from dmn.datasets.registry import DatasetEntry, find_dataset, load_registry
from dmn.errors import ConfigError
from dmn.evaluation.inputs import Inputs
from dmn.pipeline import paths
from dmn.pipeline.asked import CONFIG_HELP, Asked
from dmn.pipeline.paths import fill
from dmn.pipeline.run import make
from dmn.pipeline.runs.home import NAME_HELP
from dmn.pipeline.runs.start import enter
from dmn.seeds import given_seeds

if TYPE_CHECKING:
    import pandas as pd

    from dmn.evaluation.contract import StudyData

EXPERIMENTS = {
    "dynamic": ("text", "dynamic"),
    "static": ("text", "static"),
    "both": ("text", "dynamic", "static", "fused"),
}


def configured(file: str | None, dataset: str, backbone: str | None) -> Asked:
    """Return what a file, or the default, asks for, with one data set and backbone."""
    changes: dict[str, object] = {"datasets": [dataset]}
    if backbone is not None:
        changes["backbones"] = [backbone]
    return Asked(file, changes)


def inputs(config: Config, entry: DatasetEntry, split: int, shots: int) -> Inputs:
    """Return the artifacts that an experiment reads; few-shot ones where the data set has them."""
    keys = {"dataset": entry.name, "backbone": config.backbones[0], "split": split, "shots": shots}

    def file(template: str) -> str:
        return fill(template, **keys)

    found = Inputs(file(paths.TEXT_FEATURES), file(paths.TEST_FEATURES), file(paths.SPLIT))
    if not entry.few_shot:
        return found
    train, val = [file(paths.TRAIN_FEATURES)], [file(paths.VAL_FEATURES)]
    return replace(found, train=train, val=val, memory=[file(paths.MEMORY)])


def run(
    data: StudyData, config: Config, what: str, shots: int, order_seeds: list[int]
) -> pd.DataFrame:
    """Return accuracies in zero-shot and with `shots`, means over stream orders.

    Intervals are over orders and test images.
    """
    from dmn.evaluation.answers import attach, pack
    from dmn.evaluation.experiment import Experiment, study_cells
    from dmn.evaluation.summaries import summarise

    rows = []
    for cell in study_cells(data, config):
        if cell.setting != "few_shot" and cell.shots in (0, shots):
            for run in Experiment(data, config, cell).runs(order_seeds):
                rows += [r for r in run.accuracy_rows() if r["component"] in EXPERIMENTS[what]]
    measured = pack(rows, len(data.test))
    name, net, split = data.dataset, data.backbone, data.split_seed
    placed = measured.rows.assign(dataset=name, backbone=net, split_seed=split)
    jobs = {(name, net, split, str(seed)): measured.samples for seed in order_seeds}
    answered = attach(placed, jobs)
    table = summarise(answered, ["setting", "shots", "component", "weights"])
    return table[["setting", "shots", "component", "weights", "mean", "low", "high"]]


def prepared(arguments: argparse.Namespace) -> tuple[StudyData, Config, int]:
    """Make the features that `declare_data` asks for; return them, the configuration and K.

    Raises ConfigError for shots that are not configured.
    """
    at_home = enter(arguments.name, Asked(arguments.config))
    dataset = arguments.dataset or at_home.config().datasets[0]
    asked = configured(at_home.file, dataset, arguments.backbone)
    config = asked.config()
    shots = arguments.shots or max(config.shots)
    if shots not in config.shots:
        raise ConfigError(f"--shots {shots} is not among the configured shots {config.shots}")
    entry = find_dataset(config.datasets[0], load_registry(config.download.registry))
    files = inputs(config, entry, arguments.split, shots)
    make(files.files(), asked, arguments.cores)

    import torch

    from dmn.evaluation.inputs import read_data

    torch.set_num_threads(config.numerics.threads)
    one = config.model_copy(update={"shots": [shots]})
    data = read_data(files, one, entry, config.backbones[0], arguments.split)
    return data, one, shots


def declare_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which features are read, and how they are made."""
    parser.add_argument("--dataset", help="a name in the registry (the first configured)")
    parser.add_argument("--backbone", help="a name in `encoders` of the configuration")
    parser.add_argument("--shots", type=int, help="images per class (the most configured)")
    parser.add_argument("--split", type=int, default=0, help="split seed (0)")
    parser.add_argument("--cores", default="all", help="jobs at once for the features (all cores)")
    parser.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    parser.add_argument("--name", metavar="NAME", help=NAME_HELP)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn try`."""
    parser.add_argument("what", choices=sorted(EXPERIMENTS), help="which memories answer")
    declare_data(parser)
    parser.add_argument("--orders", default="0-9", help="order seeds (0-9)")


def main(arguments: argparse.Namespace) -> None:
    """Make the features, run one experiment and print its table."""
    order_seeds = given_seeds("--orders", arguments.orders)
    data, config, shots = prepared(arguments)
    table = run(data, config, arguments.what, shots, order_seeds)
    head = f"Accuracy in percent on {data.dataset} ({data.backbone}), split {data.split_seed}, "
    text = table.to_string(index=False, float_format="%.2f", na_rep="")
    sys.stdout.write(
        f"{head}orders {arguments.orders}, with 95% intervals over orders and test images\n{text}\n"
    )
