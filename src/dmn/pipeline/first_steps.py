"""Three first experiments with the method, one command each.

The dynamic memory alone, the static memory alone, or both with text, on any data set of the
registry; the features that they need are made first, by the workflow:

    python -m dmn.pipeline.first_steps dynamic --dataset flowers102
    python -m dmn.pipeline.first_steps static
    python -m dmn.pipeline.first_steps both --dataset imagenet
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING

from dmn.config import Config, load
from dmn.datasets.registry import find_dataset, load_registry
from dmn.errors import ArtifactError, ConfigError, run_main
from dmn.pipeline import paths
from dmn.pipeline.paths import fill
from dmn.schema import merge, read_yaml
from dmn.seeds import seed_range

if TYPE_CHECKING:
    import pandas as pd

    from dmn.evaluation.contract import StudyData

EXPERIMENTS = {
    "dynamic": ("text", "dynamic"),
    "static": ("text", "static"),
    "both": ("text", "dynamic", "static", "fused"),
}


def configured(file: str | None, dataset: str, backbone: str | None) -> Config:
    """Return the configuration of a file, or the default one, for one data set and backbone."""
    changes: dict[str, object] = {"datasets": [dataset]}
    if backbone is not None:
        changes["backbones"] = [backbone]
    return load(merge(read_yaml(file) if file else {}, changes), file or "the command line")


def inputs(config: Config, split: int, shots: int) -> list[str]:
    """Return the artifacts that an experiment reads; few-shot ones where the data set has them."""
    dataset, backbone = config.datasets[0], config.backbones[0]
    keys = {"dataset": dataset, "backbone": backbone, "split": split, "shots": shots}
    found = [paths.SPLIT, paths.TEXT_FEATURES, paths.TEST_FEATURES]
    if find_dataset(dataset, load_registry(config.download.registry)).few_shot:
        found += [paths.TRAIN_FEATURES, paths.VAL_FEATURES, paths.MEMORY]
    return [fill(template, **keys) for template in found]


def make(files: list[str], config: Config, configfile: str | None, cores: int) -> None:
    """Let the workflow make what is missing. Raises ArtifactError where it cannot."""
    changes = [f"datasets=[{config.datasets[0]}]", f"backbones=[{config.backbones[0]}]"]
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *files, "--quiet"]
    command += ["--configfile", configfile] if configfile else []
    if subprocess.run([*command, "--config", *changes], check=False).returncode:
        raise ArtifactError(
            f"the workflow could not make {', '.join(files)}; its message above says why"
        )


def run(
    data: StudyData, config: Config, what: str, shots: int, order_seeds: list[int]
) -> pd.DataFrame:
    """Return accuracies in zero-shot and with `shots`, means over stream orders with intervals."""
    import pandas as pd

    from dmn.evaluation.experiment import Experiment, study_cells
    from dmn.evaluation.statistics import summarise

    rows = []
    for cell in study_cells(data, config):
        if cell.setting != "few_shot" and cell.shots in (0, shots):
            for run in Experiment(data, config, cell).runs(order_seeds):
                rows += [r for r in run.accuracy_rows() if r["component"] in EXPERIMENTS[what]]
    table = summarise(pd.DataFrame(rows), ["setting", "shots", "component", "weights"])
    return table[["setting", "shots", "component", "weights", "mean", "low", "high"]]


def main() -> None:
    """Make the features, run one experiment and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m dmn.pipeline.first_steps",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=sorted(EXPERIMENTS), help="which memories answer")
    parser.add_argument("--dataset", default="digits", help="a name in the registry (digits)")
    parser.add_argument("--backbone", help="a name in `encoders` of the configuration")
    parser.add_argument("--shots", type=int, help="images per class (the most configured)")
    parser.add_argument("--split", type=int, default=0, help="split seed (0)")
    parser.add_argument("--orders", default="0-9", help="order seeds (0-9)")
    parser.add_argument("--cores", type=int, default=2, help="cores for the features (2)")
    parser.add_argument("--configfile", help="a YAML file over the defaults")
    arguments = parser.parse_args()
    config = configured(arguments.configfile, arguments.dataset, arguments.backbone)
    shots = arguments.shots or max(config.shots)
    if shots not in config.shots:
        raise ConfigError(f"--shots {shots} is not among the configured shots {config.shots}")
    files = inputs(config, arguments.split, shots)
    make(files, config, arguments.configfile, arguments.cores)

    import torch

    from dmn.evaluation.inputs import Inputs, read_data

    torch.set_num_threads(config.numerics.threads)
    data = read_data(Inputs(files), config, arguments.split)
    table = run(data, config, arguments.what, shots, list(seed_range(arguments.orders)))
    head = f"Accuracy in percent on {data.dataset} ({data.backbone}), split {data.split_seed}, "
    text = table.to_string(index=False, float_format="%.2f", na_rep="")
    sys.stdout.write(f"{head}orders {arguments.orders}, with 95% intervals\n{text}\n")


if __name__ == "__main__":
    run_main(main)
