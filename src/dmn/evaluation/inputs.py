"""What a study gets, read from the input files of its job."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dmn.artifacts import read_json, read_tensor_metadata, read_tensors, sha256
from dmn.config import Config
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import told_apart
from dmn.errors import ArtifactError
from dmn.evaluation.contract import Part, StudyData
from dmn.evaluation.shots import read_shots

if TYPE_CHECKING:
    from dmn.method.projections import Projections

Label = TypeVar("Label")
# an equal number of files for each split seed, seed after seed
BY_SPLIT = ("train", "val", "memory", "projection")


@dataclass(frozen=True)
class Inputs:
    """The input files of a job by what they hold.

    train, val: one a split seed; memory: for each split seed one a number of shots; projection:
    for each split seed and number of shots one a training seed; shifts: for each kind of
    corruption one a severity; images: the archives, where pictures of test images are shown.
    """

    text: str
    test: str
    lists: str
    train: Sequence[str] = ()
    val: Sequence[str] = ()
    memory: Sequence[str] = ()
    projection: Sequence[str] = ()
    shifts: Sequence[str] = ()
    images: Sequence[str] = ()

    def by_split(self, count: int) -> Iterator[Inputs]:
        """Yield for each of `count` split seeds its own files and those that belong to none."""
        for name in BY_SPLIT:
            if (found := len(getattr(self, name))) % count:
                raise ArtifactError(
                    f"--{name} has {found} files for {count} split seeds; give as many for each"
                )
        for place in range(count):
            own: dict[str, Any] = {name: self._share(name, place, count) for name in BY_SPLIT}
            yield replace(self, **own)

    def _share(self, name: str, place: int, count: int) -> Sequence[str]:
        files = getattr(self, name)
        size = len(files) // count
        return files[place * size : (place + 1) * size]

    def files(self) -> list[str]:
        """Return all files."""
        values = (getattr(self, field.name) for field in fields(self))
        return [file for value in values for file in ([value] if isinstance(value, str) else value)]

    def sha256(self) -> str:
        """Return one hash over the files and their names."""
        lines = (f"{_sha256(file)}  {file}\n" for file in sorted(self.files()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


# files that belong to no split are hashed once a job
_sha256 = cache(sha256)


def read_part(path: str) -> Part:
    """Read one part's features."""
    tensors, facts = read_tensors(path), read_tensor_metadata(path)
    groups = {name: np.array(values) for name, values in facts.get("groups", {}).items()}
    return Part(tensors["views"], tensors["labels"].astype(np.int64), facts["ids"], groups)


def read_memory(path: str, shots: int) -> np.ndarray:
    """Read a static memory [C, 1+K, D]: of each class its text feature, then K shots."""
    memory = read_tensors(path)["memory"]
    if memory.shape[1] != 1 + shots:
        raise ArtifactError(f"{path} has {memory.shape[1] - 1} shots of a class, not {shots}")
    return memory


def read_projections(path: str) -> Projections:
    """Read trained projections."""
    import torch

    from dmn.method.projections import Projections

    build = getattr(Projections, read_tensor_metadata(path)["kind"])
    return build(**{name: torch.from_numpy(value) for name, value in read_tensors(path).items()})


def read_data(
    inputs: Inputs, config: Config, entry: DatasetEntry, backbone: str, split_seed: int
) -> StudyData:
    """Read the inputs of one split seed into what a study gets; the configuration labels them."""
    shots = config.shots if inputs.train or inputs.memory else []
    cells = product(shots, config.seeds.training) if inputs.projection else ()
    corruptions = config.corruptions if inputs.shifts else None
    shifts = product(corruptions.kinds, corruptions.severities) if corruptions else ()
    train, val_file = _one("train", inputs.train), _one("val", inputs.val)
    val = read_part(val_file) if val_file else None
    return StudyData(
        dataset=entry.name,
        backbone=backbone,
        split_seed=split_seed,
        class_names=told_apart(read_json(inputs.lists)["classes"]),
        logit_scale=read_tensor_metadata(inputs.text)["logit_scale"],
        text=read_tensors(inputs.text)["text"],
        test=read_part(inputs.test),
        # a data set may have no image to validate on
        val=val if val is not None and len(val) else None,
        train=read_shots(train, max(shots)) if train else None,
        memories={
            k: read_memory(file, k) for k, file in _labelled("memory", shots, inputs.memory).items()
        },
        projections={
            cell: read_projections(file)
            for cell, file in _labelled("projection", cells, inputs.projection).items()
        },
        shifts={
            shift: read_part(file)
            for shift, file in _labelled("shifts", shifts, inputs.shifts).items()
        },
        entry=entry,
    )


def _one(option: str, files: Sequence[str]) -> str | None:
    if len(files) > 1:
        raise ArtifactError(f"--{option} has {len(files)} files for one split seed; give one")
    return files[0] if files else None


def _labelled(option: str, labels: Iterable[Label], files: Sequence[str]) -> dict[Label, str]:
    """Return the files of an option by what the configuration says that they are; maybe none."""
    wanted = list(labels)
    if files and len(files) != len(wanted):
        raise ArtifactError(
            f"--{option} has {len(files)} files; the configuration has {len(wanted)} of them"
        )
    return dict(zip(wanted, files, strict=False))
