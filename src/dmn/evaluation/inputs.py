"""What a study gets, read from the input files of its job, found by their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from dmn.artifacts import read_json, read_tensor_metadata, read_tensors, sha256
from dmn.config import Config
from dmn.datasets.images import read_thumbnails
from dmn.datasets.registry import find_dataset, load_registry
from dmn.errors import ArtifactError
from dmn.evaluation.contract import Part, StudyData
from dmn.evaluation.shots import read_shots
from dmn.method.projections import Projections
from dmn.pipeline import paths


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
    """Read one part's features; None where the data set has no such part, or no image in it."""
    if path is None:
        return None
    tensors, facts = read_tensors(path), read_tensor_metadata(path)
    if not len(tensors["labels"]):
        return None
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
