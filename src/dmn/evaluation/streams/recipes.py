"""Streams of test images: which come, in which order and which together, each a seeded recipe.

A scenario says which classes and how many of their images come, and one arrangement puts them into
an order. Labels decide when an image comes, never what it is answered (docs/streams.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from dmn.evaluation.contract import stream_order
from dmn.randomness import generator
from dmn.schema import Strict

Arrangement = Literal["random", "sorted", "dirichlet", "bursts", "few_classes", "arriving"]

ABSENT = "without the unknown"  # the twin of a stream that has unknown classes


class Scenario(Strict):
    """A stream's recipe."""

    arrangement: Arrangement = Field("random", description="the order of what comes")
    concentration: float = Field(
        0.1, gt=0, description="Dirichlet parameter of `dirichlet`; less is more correlated"
    )
    burst: int = Field(20, ge=1, description="images of one class in a row in `bursts`, at most")
    classes: tuple[int, int] = Field(
        (1, 4), description="least and most classes of a batch in `few_classes`"
    )
    stages: int = Field(4, ge=1, description="of `arriving`: with each come further classes")
    batch: int = Field(
        64, ge=0, description="images that are answered together where a method can; 0: all"
    )
    present: float = Field(1.0, gt=0, le=1, description="share of the classes that come at all")
    imbalance: float = Field(
        1.0, ge=1, description="images of the largest class for one of the smallest"
    )
    unknown: float = Field(
        0.0, ge=0, lt=1, description="share of the classes that have no text: open set"
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if not 1 <= self.classes[0] <= self.classes[1]:
            raise ValueError("classes are a least and a most number, 1 or more")
        return self


@dataclass(frozen=True)
class Drawn:
    """One stream: rows [M] of the part as they come, ends [B] of the batches, vocabulary [C'].

    The vocabulary has the classes with text, ascending; images of others may come.
    """

    rows: np.ndarray
    ends: np.ndarray
    vocabulary: np.ndarray


Draws = np.random.Generator


def sorted_by_class(labels: np.ndarray, draws: Draws) -> np.ndarray:
    """Return rows [N] class after class, in random order of classes and within a class."""
    return np.concatenate([draws.permutation(rows) for rows in _by_class(labels, draws)])


def correlated(labels: np.ndarray, draws: Draws, concentration: float) -> np.ndarray:
    """Return rows [N] in as many chunks as classes, each class spread by a Dirichlet draw.

    As in the literature on test-time adaptation (Gong et al., arXiv 2208.05117): shares of a class
    over the chunks are Dirichlet; in a chunk the classes follow one another.
    """
    classes = _by_class(labels, draws)
    chunks: list[list[np.ndarray]] = [[] for _ in classes]
    for rows in classes:
        shares = draws.dirichlet(np.full(len(classes), concentration))
        ends = (shares.cumsum()[:-1] * len(rows)).round().astype(int)
        for chunk, piece in zip(chunks, np.split(draws.permutation(rows), ends), strict=True):
            chunk.append(piece)
    pieces = [chunk[i] for chunk in chunks for i in draws.permutation(len(chunk))]
    return np.concatenate(pieces)


def in_bursts(labels: np.ndarray, draws: Draws, length: int) -> np.ndarray:
    """Return rows [N] in runs of one class, `length` long or shorter, in random order."""
    runs = [
        rows[start : start + length]
        for rows in map(draws.permutation, _by_class(labels, draws))
        for start in range(0, len(rows), length)
    ]
    return np.concatenate([runs[i] for i in draws.permutation(len(runs))])


def few_classes(
    labels: np.ndarray, draws: Draws, bounds: tuple[int, int], batch: int
) -> list[np.ndarray]:
    """Return batches of rows, each of few classes, until every image has come.

    The number of a batch's classes is uniform between the bounds, its images are drawn from all
    that is left of them (Zanella et al., StatA, arXiv 2501.03729; here without replacement).
    """
    left = [draws.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    batches = []
    while left:
        count = min(len(left), int(draws.integers(bounds[0], bounds[1] + 1)))
        chosen = draws.choice(len(left), count, replace=False)
        pool = draws.permutation(np.concatenate([left[c] for c in chosen]))
        taken = pool[: batch or len(pool)]
        batches.append(taken)
        for c in chosen:
            left[c] = left[c][~np.isin(left[c], taken)]
        left = [rows for rows in left if len(rows)]
    return batches


def arriving(labels: np.ndarray, draws: Draws, stages: int) -> np.ndarray:
    """Return rows [N] of a stream in whose course classes arrive: one group with each stage.

    The images of a class are spread evenly over the stages from its first one on; a stage is in
    random order.
    """
    groups = np.array_split(draws.permutation(np.unique(labels)), stages)
    parts: list[list[np.ndarray]] = [[] for _ in range(stages)]
    for first, group in enumerate(groups):
        for c in group:
            rows = draws.permutation(np.flatnonzero(labels == c))
            for stage, own in enumerate(np.array_split(rows, stages - first), start=first):
                parts[stage].append(own)
    return np.concatenate([draws.permutation(np.concatenate(p)) for p in parts if p])


def long_tail(labels: np.ndarray, draws: Draws, imbalance: float) -> np.ndarray:
    """Return rows whose class counts fall exponentially, from all of one to 1 / imbalance of it.

    Cui et al., arXiv 1901.05555: class i of C, in random order, keeps n imbalance^(-i / (C - 1)),
    n the largest count; a class that has fewer keeps what it has, none less than one image.
    """
    classes = _by_class(labels, draws)
    most = max(len(rows) for rows in classes)
    kept = []
    for rank, rows in enumerate(classes):
        wanted = most * imbalance ** (-rank / max(1, len(classes) - 1))
        kept.append(draws.permutation(rows)[: max(1, round(wanted))])
    return np.sort(np.concatenate(kept))


def _by_class(labels: np.ndarray, draws: Draws) -> list[np.ndarray]:
    classes = draws.permutation(np.unique(labels))
    return [np.flatnonzero(labels == c) for c in classes]


Recipe = Callable[[np.ndarray, Draws, Scenario], "np.ndarray | list[np.ndarray]"]
# a line each; random order needs no labels
_RECIPES: dict[str, Recipe] = {
    "sorted": lambda labels, draws, _: sorted_by_class(labels, draws),
    "dirichlet": lambda labels, draws, s: correlated(labels, draws, s.concentration),
    "bursts": lambda labels, draws, s: in_bursts(labels, draws, s.burst),
    "few_classes": lambda labels, draws, s: few_classes(labels, draws, s.classes, s.batch),
    "arriving": lambda labels, draws, s: arriving(labels, draws, s.stages),
}
assert {"random", *_RECIPES} == set(get_args(Arrangement))


def draw(labels: np.ndarray, classes: int, scenario: Scenario, seed: int) -> Drawn:
    """Return a scenario's stream of one seed from a part with labels [N] of C `classes`.

    Scenarios that differ in one thing share the draws of all others.
    """

    def draws(name: str) -> Draws:
        return generator(seed, "stream order", name, len(labels))

    vocabulary = _some(np.arange(classes), 1 - scenario.unknown, draws("unknown classes"))
    rows = np.arange(len(labels))
    present = _some(np.unique(labels), scenario.present, draws("present classes"))
    rows = rows[np.isin(labels, present)]
    if scenario.imbalance > 1:
        rows = rows[long_tail(labels[rows], draws("long tail"), scenario.imbalance)]
    arrangement = scenario.arrangement
    if arrangement == "random":
        whole = stream_order(seed, len(labels))
        placed = whole[np.isin(whole, rows)]
        return Drawn(placed, batch_ends(len(placed), scenario.batch), vocabulary)
    found = _RECIPES[arrangement](labels[rows], draws(arrangement), scenario)
    if isinstance(found, list):
        ends = np.cumsum([len(batch) for batch in found])
        return Drawn(rows[np.concatenate(found)], ends, vocabulary)
    return Drawn(rows[found], batch_ends(len(found), scenario.batch), vocabulary)


def _some(classes: np.ndarray, share: float, draws: Draws) -> np.ndarray:
    """Return a share of the classes, ascending, two at least where there are as many."""
    count = max(min(2, len(classes)), round(share * len(classes)))
    return np.sort(draws.permutation(classes)[:count])


def batch_ends(count: int, batch: int) -> np.ndarray:
    """Return where the batches of `count` images end, the last with what is left."""
    return np.array([*range(batch, count, batch), count] if batch else [count], dtype=np.int64)
