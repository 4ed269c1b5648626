"""What a study gets and gives: features of one data set, backbone and split in, tidy rows out.

A study is one module of dmn.studies with
    TITLE, QUESTION            one line each, for the page
    NEEDS                      what it is given beside features and memories: see `Need`
    REQUIRES                   those of them that it cannot be measured without; may be left out
    READS                      which keys of the configuration: a job is given no others
    Options                    a pydantic model, its section in the configuration
    TABLES, FIGURES            names of what `report` makes
    code(options)              not a must: modules and files that it reads by name, not by import
    measure(data, config, options, order_seeds) -> Measurement
    report(rows, samples, options) -> Report
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from dmn.randomness import generator
from dmn.schema import Strict

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from dmn.datasets.registry import DatasetEntry
    from dmn.evaluation.gathered.finished import Finished
    from dmn.method.projections import Projections

# training: the paper's training settings of the data set; images: pictures of the test images
Need = Literal["projection", "training", "shifts", "images"]
# what `dmn.evaluation.experiment` reads, and what training projections in a study does
EXPERIMENT = (
    *("settings", "splits.validation_shots", "model", "fusion"),
    *("numerics.device", "numerics.dtype"),
)
TRAINING = ("training", "model.beta", "model.position")


class StudyOptions(Strict):
    """Base of the options of a study."""

    smallest_difference: float = Field(
        0.5, ge=0, description="as reports.smallest_difference, which it takes the place of"
    )


@dataclass(frozen=True)
class Part:
    """Features of one part of a data set: views [N, V, D], labels [N], ids [N].

    groups: values [N] of each thing that images are grouped by, such as domain or hospital.
    """

    views: np.ndarray
    labels: np.ndarray
    ids: Sequence[str]
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class StudyData:
    """All that a study may read, of one data set, backbone and split seed.

    text [C, D]; train views [C, K, V, D] of the largest K, shots in the order that they are drawn;
    memories: the static memory [C, 1+K, D] by K, of each class its text feature, then its shots;
    projections by (K, training seed); shifts by (kind, severity). `train` and `val` are None where
    the data set has only a test part. entry: of the registry, as far as the study needs it.
    finished: what a job that was stopped had answered.
    """

    dataset: str
    backbone: str
    split_seed: int
    class_names: list[str]
    logit_scale: float
    text: np.ndarray
    test: Part
    val: Part | None = None
    train: np.ndarray | None = None
    memories: dict[int, np.ndarray] = field(default_factory=dict)
    projections: dict[tuple[int, int], Projections] = field(default_factory=dict)
    shifts: dict[tuple[str, int], Part] = field(default_factory=dict)
    thumbnails: dict[str, np.ndarray] = field(default_factory=dict)
    entry: DatasetEntry | None = None
    finished: Finished | None = None

    @property
    def place(self) -> str:
        """Return data set, backbone and split in words, for who waits for them."""
        return f"{self.dataset}, {self.backbone}, split {self.split_seed}"


@dataclass(frozen=True)
class Measurement:
    """Tidy rows, one a measurement with all its keys, and what each sample was answered."""

    rows: pd.DataFrame
    samples: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Tables and figures by the names that the study declares, and findings in words.

    A finding is one sentence made from the rows; no number in it is written by hand.
    """

    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Figure]
    findings: list[str]


@dataclass(frozen=True)
class Cell:
    """One setting of the paper: zero_shot, or training_free or few_shot with K shots."""

    setting: str
    shots: int = 0
    training_seed: int | None = None

    def keys(self) -> dict[str, Any]:
        """Return the cell as columns of a row."""
        training = "none" if self.training_seed is None else str(self.training_seed)
        return {"setting": self.setting, "shots": self.shots, "training_seed": training}


def sample_name(split_seed: int, name: str) -> str:
    """Return the name that a sample's array has in a file of several split seeds."""
    return f"split={split_seed}/{name}"


def split_sample_name(name: str) -> tuple[int, str]:
    """Return the split seed and the own name of an array that `sample_name` named."""
    split, _, own = name.partition("/")
    return int(split.removeprefix("split=")), own


def stream_order(order_seed: int, count: int, purpose: str = "test") -> np.ndarray:
    """Return a permutation [N] of the rows: a stream order depends on seed, part and N only."""
    return generator(order_seed, "stream order", purpose, count).permutation(count)
