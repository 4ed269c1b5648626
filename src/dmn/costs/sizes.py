"""The sizes that a cost depends on: of one data set and backbone, as a configuration takes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dmn.config import Config
from dmn.datasets.formats.choice import files_of
from dmn.datasets.imported import ImportedFeatures
from dmn.datasets.registry import DatasetEntry
from dmn.encoders.models import EMBEDDED, embed_dim
from dmn.errors import DmnError
from dmn.pipeline import paths
from dmn.pipeline.targets import Targets

FLOAT32_BYTES = 4
# where neither the registry nor a file says
IMAGES, DIMENSION = 1000, 512


@dataclass(frozen=True)
class Sizes:
    """N test images of V views, C classes, D dimensions, the K's, and what else is a number.

    validation: images of a class; trainings: training seeds; images: whether features are
    extracted here; length: slots of a class, L; double: float64.
    """

    N: int
    V: int
    C: int
    D: int
    shots: tuple[int, ...]
    trainings: int
    validation: int
    settings: tuple[str, ...]
    length: int
    images: bool = True
    double: bool = True

    @property
    def most(self) -> int:
        """Return the largest K, 0 without shots."""
        return max(self.shots, default=0)

    @property
    def cells(self) -> dict[str, int]:
        """Return the number of cells by setting."""
        K = len(self.shots)
        known = {"zero_shot": 1, "training_free": K, "few_shot": K * self.trainings}
        return {name: known[name] for name in self.settings}

    @property
    def number_bytes(self) -> int:
        """Return the bytes of a number that is computed with."""
        return 8 if self.double else 4


def dimension(config: Config, entry: DatasetEntry, backbone: str) -> int:
    """Return a backbone's D; of features that others made, what the bytes of their file tell."""
    if entry.kind == "features":
        found = _stored_numbers(entry, backbone)
        count = sum(filter(None, entry.sizes.model_dump().values()))
        return max(1, round(found / count)) if found and count else DIMENSION
    model = config.encoders[backbone].model
    if model == EMBEDDED:
        return config.pretraining.architecture.embed_dim
    return embed_dim(model)


def _stored_numbers(entry: DatasetEntry, backbone: str) -> float:
    stored = {one.file for one in files_of(entry, backbone).features.values()}
    return sum(entry.files[name].expected_bytes for name in stored) / FLOAT32_BYTES


def stored_shape(targets: Targets, dataset: str, backbone: str) -> tuple[int, int, int] | None:
    """Return N, V and D of features that others made, where their files are there and fit."""
    entry = targets.entries[dataset]
    if entry.kind != "features":
        return None
    brought = Path(targets.config.download.manual) / dataset
    files = []
    for file in targets.files(dataset, backbone):
        target = Path(paths.fill(paths.ARCHIVE, dataset=dataset, file=file.name))
        files.append(target if target.exists() else brought / file.name)
    if not all(file.exists() for file in files):
        return None
    try:
        opened = ImportedFeatures(entry, files, backbone)
        pool, rows = opened.parts["test"]
    except DmnError:
        # the job that reads them says what is wrong
        return None
    shape = opened.features[pool].shape
    return len(rows), shape[1] if len(shape) == 3 else 1, opened.dimension


def sizes_of(targets: Targets, dataset: str, backbone: str) -> Sizes:
    """Return the sizes of a data set with a backbone, from its files where they are there."""
    config, entry = targets.config, targets.entries[dataset]
    few_shot, images = targets.few_shot(dataset), entry.kind != "features"
    N, V, D = stored_shape(targets, dataset, backbone) or (
        entry.sizes.test or IMAGES,
        config.views.test if images else 1,
        dimension(config, entry, backbone),
    )
    return Sizes(
        N=N,
        V=V,
        C=entry.classes,
        D=D,
        shots=tuple(config.shots) if few_shot else (),
        trainings=len(config.seeds.training),
        validation=config.splits.validation_shots if few_shot else 0,
        settings=_served(config.settings, few_shot),
        length=config.model.length,
        images=images,
        double=config.numerics.dtype == "float64",
    )


def _served(settings: Iterable[str], few_shot: bool) -> tuple[str, ...]:
    return tuple(name for name in settings if few_shot or name == "zero_shot")
