"""What a stream shows, image after image: parts in order, each met by a memory that is empty.

Most streams are one such leg; a memory that is emptied at a change of domain meets several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dmn.evaluation.contract import Part, StudyData, stream_order
from dmn.evaluation.experiment import take
from dmn.evaluation.streams.recipes import ABSENT, Drawn, Scenario, batch_ends, draw
from dmn.randomness import generator

UNKNOWN = -1  # label of an image whose class has no text
ROUNDS = 2  # of the domains that come again


@dataclass(frozen=True)
class Leg:
    """A part [M] in the order in which it comes, its rows among all N, ends of its batches."""

    part: Part
    rows: np.ndarray
    ends: np.ndarray

    def between(self, start: int, stop: int) -> Leg:
        """Return the leg from one image to another; its batches are cut there."""
        ends = self.ends[(self.ends > start) & (self.ends < stop)]
        return Leg(
            take(self.part, np.arange(start, stop)),
            self.rows[start:stop],
            np.append(ends, stop) - start,
        )


@dataclass(frozen=True)
class Course:
    """A stream of one seed: its name, legs, and text [C', D] of the vocabulary that they meet."""

    name: str
    legs: tuple[Leg, ...]
    text: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The rows of all images [M] as they come."""
        return np.concatenate([leg.rows for leg in self.legs])

    @property
    def labels(self) -> np.ndarray:
        """The labels [M] in the vocabulary, UNKNOWN for those without text."""
        return np.concatenate([leg.part.labels for leg in self.legs])


def world(data: StudyData, text: np.ndarray) -> StudyData:
    """Return what a zero-shot method of a vocabulary is given, without any other part."""
    return replace(
        data, text=text, val=None, train=None, memories={}, projections={}, shifts={}, thumbnails={}
    )


def courses(data: StudyData, name: str, scenario: Scenario, seed: int) -> Iterator[Course]:
    """Yield a scenario's stream of one seed; of an open set a second one without the unknown."""
    drawn = draw(data.test.labels, len(data.text), scenario, seed)
    course = _course(data, name, drawn)
    yield course
    known = course.labels != UNKNOWN
    if not known.all():
        ends = np.unique(known.cumsum()[drawn.ends - 1])
        fewer = replace(drawn, rows=drawn.rows[known], ends=ends[ends > 0])
        yield _course(data, f"{name}, {ABSENT}", fewer)


def _course(data: StudyData, name: str, drawn: Drawn) -> Course:
    place = np.full(len(data.text), UNKNOWN)
    place[drawn.vocabulary] = np.arange(len(drawn.vocabulary))
    part = take(data.test, drawn.rows)
    part = replace(part, labels=place[part.labels])
    return Course(name, (Leg(part, drawn.rows, drawn.ends),), data.text[drawn.vocabulary])


def domains(data: StudyData, severity: int, batch: int, seed: int) -> Iterator[Course]:
    """Yield streams over the shifted copies of a severity, each image in one domain only.

    All have the same images in the same domains: domain after domain with one memory (continual),
    with one emptied at each change (reset), in several rounds (recurring), or mixed; and, where
    there are more severities, with severities that rise to it within each domain (gradual), so
    that its images are less shifted. As in Marsden et al., arXiv 2306.00650.
    """
    kinds = sorted({kind for kind, own in data.shifts if own == severity})
    if len(kinds) < 2:
        return
    N = len(data.test)
    rows = np.array_split(stream_order(seed, N, "domains"), len(kinds))
    views = data.test.views.copy()
    for kind, own in zip(kinds, rows, strict=True):
        views[own] = data.shifts[kind, severity].views[own]
    rounds = [
        half for r in range(ROUNDS) for half in (np.array_split(own, ROUNDS)[r] for own in rows)
    ]
    mixed = generator(seed, "stream order", "mixed domains", N).permutation(N)
    for name, found in (
        ("continual", [np.concatenate(rows)]),
        ("reset", rows),
        ("recurring", [np.concatenate(rounds)]),
        ("mixed", [mixed]),
    ):
        yield _over_domains(data, f"domains, {name}", views, found, batch)
    levels = sorted({own for kind, own in data.shifts if kind in kinds and own <= severity})
    if len(levels) > 1:
        views = data.test.views.copy()
        for kind, own in zip(kinds, rows, strict=True):
            for level, some in zip(levels, np.array_split(own, len(levels)), strict=True):
                views[some] = data.shifts[kind, level].views[some]
        yield _over_domains(data, "domains, gradual", views, [np.concatenate(rows)], batch)


def _over_domains(
    data: StudyData, name: str, views: np.ndarray, found: list[np.ndarray], batch: int
) -> Course:
    whole = replace(data.test, views=views)
    legs = (Leg(take(whole, rows), rows, batch_ends(len(rows), batch)) for rows in found)
    return Course(name, tuple(legs), data.text)
