"""evaluation: stream the test images through the network and measure one study.

One job serves one data set and backbone, a group of split seeds and a group of stream orders. It
finds its inputs by their names, which are those of src/dmn/paths.py.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch

import dmn
from dmn import paths
from dmn.artifacts import (
    read_json,
    read_tensor_metadata,
    read_tensors,
    sha256,
    write_rows,
    write_tensors,
)
from dmn.config import Config, from_argument, study_settings
from dmn.datasets.images import read_thumbnails
from dmn.datasets.registry import find_dataset, load_registry
from dmn.errors import ArtifactError, ConfigError, run_main
from dmn.projections import Projections
from dmn.seeds import seed_range
from dmn.stages.arguments import add, add_files, add_settings, command
from dmn.stages.memory import read_shots
from dmn.study import Part, StudyData, sample_name


def pattern(template: str) -> re.Pattern[str]:
    """Return a path template as a regular expression with the wildcards as groups."""
    parts = re.split(r"\{(\w+)\}", template)
    text = ""
    for position, part in enumerate(parts):
        text += f"(?P<{part}>{paths.WILDCARDS[part]})" if position % 2 else re.escape(part)
    return re.compile(text)


class Inputs:
    """The input files of a job, found by the templates that they match."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = list(files)

    def all(self, template: str) -> list[tuple[str, dict[str, str]]]:
        """Return the files that match a template, each with its wildcards."""
        matches = ((file, pattern(template).fullmatch(file)) for file in self.files)
        return [(file, match.groupdict()) for file, match in matches if match]

    def one(self, template: str) -> str | None:
        """Return the file that matches a template, or None."""
        found = self.all(template)
        return found[0][0] if found else None

    def required(self, template: str) -> str:
        """Return the file that matches a template; ArtifactError where there is none."""
        file = self.one(template)
        if file is None:
            raise ArtifactError(f"--inputs has no file like {template}; it has {self.files}")
        return file

    def of_split(self, seed: int) -> Inputs:
        """Return the files of one split seed, and those that belong to no split."""
        named = ((file, re.search(r"\bsplit=(\d+)", file)) for file in self.files)
        return Inputs([file for file, name in named if name is None or int(name[1]) == seed])

    def sha256(self) -> str:
        """Return one hash over the artifacts (not the code) and their names."""
        lines = (f"{_sha256(file)}  {file}\n" for file in sorted(self.files))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


# files that belong to no split are hashed once a job
_sha256 = cache(sha256)


def read_part(path: str | None) -> Part | None:
    """Read one part's features; None where the data set has no such part."""
    if path is None:
        return None
    tensors, facts = read_tensors(path), read_tensor_metadata(path)
    return Part(tensors["views"], tensors["labels"].astype(np.int64), facts["ids"])


def read_data(inputs: Inputs, config: Config, split_seed: int) -> StudyData:
    """Read the inputs of one split seed into what a study gets."""
    inputs = inputs.of_split(split_seed)
    text_file = inputs.required(paths.TEXT_FEATURES)
    keys = inputs.all(paths.TEXT_FEATURES)[0][1]
    test_file = inputs.required(paths.TEST_FEATURES)
    train, val = inputs.one(paths.TRAIN_FEATURES), inputs.one(paths.VAL_FEATURES)
    test = read_part(test_file)
    assert test is not None
    projections = {
        (int(found["shots"]), int(found["training"])): read_projections(file)
        for file, found in inputs.all(paths.PROJECTION)
    }
    return StudyData(
        dataset=keys["dataset"],
        backbone=keys["backbone"],
        split_seed=split_seed,
        class_names=read_json(inputs.required(paths.SPLIT))["classes"],
        logit_scale=read_tensor_metadata(text_file)["logit_scale"],
        text=read_tensors(text_file)["text"],
        test=test,
        val=read_part(val),
        train=read_shots(train, max(config.shots)) if train else None,
        memory={
            int(found["shots"]): read_tensors(file)["memory"][:, 1:]
            for file, found in inputs.all(paths.MEMORY)
        },
        projections=projections,
        shifts={
            (found["corruption"], int(found["severity"])): part
            for file, found in inputs.all(paths.SHIFT_FEATURES)
            if (part := read_part(file)) is not None
        },
    )


def read_projections(path: str) -> Projections:
    """Read trained projections."""
    build = getattr(Projections, read_tensor_metadata(path)["kind"])
    return build(**{name: torch.from_numpy(value) for name, value in read_tensors(path).items()})


def thumbnails(inputs: Inputs, data: StudyData, config: Config) -> dict[str, np.ndarray]:
    """Return small pictures of the test images by id, where the job has the archives."""
    archives = [file for file, _ in inputs.all(paths.ARCHIVE)]
    if not archives:
        return {}
    entry = find_dataset(data.dataset, load_registry(config.download.registry))
    return read_thumbnails(entry, archives, data.test.ids)


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
    module: ModuleType, data: StudyData, config: Config, settings: Any, orders: list[int]
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return the rows of one split with the keys that are the same in all, and its samples."""
    measured = module.measure(data, config, settings, orders)
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
    settings = study_settings(arguments.study, config.studies.get(arguments.study, {}))
    splits, orders = seeds("splits", arguments.splits), seeds("orders", arguments.orders)
    torch.set_num_threads(config.numerics.threads)
    inputs = Inputs([file for file in arguments.inputs if not file.endswith(".py")])
    module = importlib.import_module(f"dmn.studies.{arguments.study}")
    tables: list[pd.DataFrame] = []
    samples: dict[str, np.ndarray] = {}
    for split in splits:
        data = read_data(inputs, config, split)
        data.thumbnails.update(thumbnails(inputs, data, config))
        rows, answers = measure(module, data, config, settings, orders)
        tables.append(rows.assign(**provenance(inputs.of_split(split), config)))
        samples |= {sample_name(split, name): array for name, array in answers.items()}
    write_rows(arguments.rows, pd.concat(tables, ignore_index=True))
    facts = {"study": arguments.study, "dataset": data.dataset, "backbone": data.backbone}
    facts |= {"orders": arguments.orders, "class_names": data.class_names}
    write_tensors(arguments.samples, samples, facts)


if __name__ == "__main__":
    run_main(main)
