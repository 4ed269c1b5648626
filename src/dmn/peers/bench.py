"""The peers' inputs in one cell, and what each peer answers there, by way of choosing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import numpy as np

from dmn.config import Config
from dmn.digests import of_arrays
from dmn.evaluation.contract import Cell, StudyData, stream_order
from dmn.evaluation.experiment import validation_part
from dmn.peers.contract import Cost, Given, Images, Peer, Sizes
from dmn.peers.formulas import unit
from dmn.peers.selection import on_validation, right_answers

Choice = Literal["released", "validation"]


@dataclass(frozen=True)
class Answers:
    """What a peer answered, by row of the part.

    chosen: [N] by way of choosing; candidates: [G, N], with each candidate; validated: right
    answers [G] on validation images, None where there are none.
    """

    chosen: dict[str, np.ndarray]
    candidates: np.ndarray
    validated: np.ndarray | None = None


@dataclass
class Bench:
    """The same inputs for every peer of one cell: data, shots and validation images."""

    data: StudyData
    config: Config
    cell: Cell
    _fits: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    @cached_property
    def given(self) -> Given:
        """What a peer has before the first image."""
        text, scale, K = unit(self.data.text), self.data.logit_scale, self.cell.shots
        if not K:
            return Given(text, scale, seed=self.data.split_seed)
        assert self.data.train is not None
        shots, views = unit(self.data.memories[K][:, 1:]), self.data.train[:, :K]
        return Given(text, scale, shots, views, self.data.split_seed)

    @cached_property
    def test(self) -> Images:
        """The test images by row."""
        return Images(self.data.test.views)

    @cached_property
    def validation(self) -> tuple[Images, np.ndarray] | None:
        """The validation images that the cell may use and their labels, if there are any."""
        part = validation_part(self.data, self.config, self.cell)
        return None if part is None else (Images(part.views), part.labels)

    def serves(self, peer: Peer) -> bool:
        """Whether the cell has what a peer needs."""
        settings = ("training_free", "few_shot") if self.cell.shots else ("zero_shot",)
        views = "views" not in peer.needs or self.test.cached.shape[1] > 1
        return views and any(setting in peer.settings for setting in settings)

    def setting(self, peer: Peer) -> str:
        """Return the setting that a peer's answers count for: few_shot where it is trained."""
        return self.cell.setting if self.cell.setting in peer.settings else peer.settings[-1]

    def cost(self, peer: Peer) -> Cost:
        """Return what an answer costs."""
        (C, D), (N, V, _) = self.given.text.shape, self.test.cached.shape
        return peer.cost(Sizes(C, D, self.cell.shots, N, V), peer.options)

    def answers(
        self, peer: Peer, order_seeds: Sequence[int], choices: Sequence[Choice] = ("validation",)
    ) -> list[Answers]:
        """Return a peer's answers in each order; those of one that knows no order are shared."""
        if not peer.in_order:
            return [self._answers(peer, None, choices)] * len(order_seeds)
        return [self._answers(peer, seed, choices) for seed in order_seeds]

    def _answers(self, peer: Peer, seed: int | None, choices: Sequence[Choice]) -> Answers:
        searched = "validation" in choices
        first, candidates = self._test_answers(peer, seed, searched)
        chosen = {peer.fixed: first}
        own = peer.released.get(self.data.dataset)
        if own is not None and "released" in choices:
            chosen["released"] = self._run(peer, self.test, [own], seed, "test")[0]
        validated = None
        if len(candidates) and self.validation is not None:
            images, labels = self.validation
            found = self._run(peer, images, peer.candidates, seed, "validation")
            chosen["validation"] = candidates[on_validation(found, labels)]
            validated = right_answers(found, labels)
        return Answers(chosen, candidates, validated)

    def _test_answers(
        self, peer: Peer, seed: int | None, searched: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return answers [N] with the fixed options and [G, N] with each candidate."""
        wanted = [peer.options, *(peer.candidates if searched else ())]
        if self.cell.shots:
            found = self._run(peer, self.test, wanted, seed, "test")
        else:
            # neither text nor test images belong to a split: a job of several runs them once
            key = (self._digest, peer.name, str(wanted), seed)
            if key not in _KEPT:
                _KEPT[key] = self._run(peer, self.test, wanted, seed, "test")
            found = _KEPT[key]
        return found[0], found[1:]

    @cached_property
    def _digest(self) -> str:
        return of_arrays(self.given.logit_scale, self.data.text, self.data.test.views)

    def _run(
        self, peer: Peer, images: Images, wanted: Sequence[Any], seed: int | None, purpose: str
    ) -> np.ndarray:
        """Return the answers [len(wanted), N] by row, in the order of a seed or as they stand."""
        count = len(images)
        order = np.arange(count) if seed is None else stream_order(seed, count, purpose)
        found = np.empty((len(wanted), count), dtype=np.int16)
        shown = images if seed is None else images.take(order)
        for place, scores in enumerate(self._scores(peer, shown, wanted)):
            found[place, order] = scores.argmax(axis=1)
        return found

    def _scores(self, peer: Peer, images: Images, wanted: Sequence[Any]) -> Iterator[np.ndarray]:
        if peer.shares:
            yield from islice(peer.sweep(self._fit(peer, wanted[0]), images, wanted), len(wanted))
            return
        for options in wanted:
            yield peer.answer(self._fit(peer, options), images, options)

    def _fit(self, peer: Peer, options: Any) -> Any:
        """Return what a peer made beforehand; with a sweep it suits all candidates."""
        shared = set(peer.searched) if peer.shares else set()
        key = (peer.name, options.model_dump_json(exclude=shared))
        if key not in self._fits:
            self._fits[key] = peer.fit(self.given, options)
        return self._fits[key]


_KEPT: dict[tuple[Any, ...], np.ndarray] = {}
