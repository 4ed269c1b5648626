"""Models that read alike but for their fixed slots, and what the compiled read of them needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dmn.engine.biases import Biases
from dmn.engine.compiled.orders import Moved, Order, Slots
from dmn.engine.schedule import write_schedule
from dmn.engine.together.requests import Answered, Request
from dmn.method.products import fitting_rows
from dmn.method.projections import Projections

READ = ("query", "key", "value", "output")
# rules under which a short memory is the first part of a long one: the surest, or the latest
NESTED = ("entropy", "fifo")


class Asker(NamedTuple):
    """One beta of one request: the beta's number, and its sets of fixed slots in the group."""

    request: int
    beta: int
    dynamic: int
    static: int | None


class Factors:
    """The rows that meet every image in one product: images first, then what models add.

    Rows are added [C, D] at a time, a plane: one fixed slot or one bias of every class.
    """

    def __init__(self, x: Tensor) -> None:
        self.parts, self.first = [x], [0]
        self.height = len(x)

    def place(self, plane: Tensor) -> int:
        """Return the row of class 0 of a plane, which is added unless it is there already."""
        for part, first in zip(self.parts[1:], self.first[1:], strict=True):
            if torch.equal(part, plane):
                return first
        self.parts.append(plane)
        self.first.append(self.height)
        self.height += len(plane)
        return self.first[-1]

    def joined(self) -> Tensor:
        """Return all rows [M, D], with rows of zeros up to what a product shall have."""
        like = self.parts[0]
        found = like.new_zeros(fitting_rows(self.height), like.shape[1])
        for part, first in zip(self.parts, self.first, strict=True):
            found[first : first + len(part)] = part
        return found


def grouped(
    requests: Sequence[Request], answered: Sequence[Answered], places: Sequence[int]
) -> list[list[tuple[int, int]]]:
    """Return the numbers of request and beta at these places, group by group."""
    groups: list[list[tuple[int, int]]] = []
    for one in ((place, b) for place in places for b in range(len(requests[place].betas))):
        for group in groups:
            if _alike(requests, answered, group[0], one):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _alike(
    requests: Sequence[Request],
    answered: Sequence[Answered],
    first: tuple[int, int],
    second: tuple[int, int],
) -> bool:
    """Say whether two requests with their betas differ in their fixed slots only."""
    a, b = requests[first[0]], requests[second[0]]
    one, other = a.model, b.model
    fields = ("logit_scale", "update_before_read", "entry_rule", "seed")
    labels = zip(answered[first[0]], answered[second[0]], strict=True)
    return (
        (a.lengths, a.betas[first[1]]) == (b.lengths, b.betas[second[1]])
        and all(getattr(one, name) == getattr(other, name) for name in fields)
        and all(_equal(getattr(one.projections, n), getattr(other.projections, n)) for n in READ)
        and all(np.array_equal(*pair) for pair in labels)
        and torch.equal(one.columns, other.columns)
    )


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and torch.equal(a, b))


class Group:
    """Askers whose images enter, are seen and are weighed alike.

    `fixed`: how many planes any of the askers has as fixed slots; `lengths`: how many images a
    query sees at most. Under entry rules that do not nest they are endless, and what the compiled
    loop takes for an order is one order at one length.
    """

    def __init__(
        self,
        members: Sequence[tuple[int, int]],
        requests: Sequence[Request],
        answered: Answered,
        factors: Factors,
    ) -> None:
        self.request, self.answered = requests[members[0][0]], answered
        self.model, self.beta = self.request.model, self.request.betas[members[0][1]]
        self.kind = answered.entropy.dtype
        self.planes: list[int] = []
        self.sets: list[list[int]] = []
        dynamic = [self._set(requests[place].model.fixed, factors) for place, _ in members]
        self.dynamic_sets = len(self.sets)
        memories = (requests[place].model.static for place, _ in members)
        static = [None if m is None else self._set(m, factors) for m in memories]
        self.askers = [Asker(*m, d, s) for m, d, s in zip(members, dynamic, static, strict=True)]
        self.bias_rows = self._biases(self.model.projections, factors)
        self.nests = self.model.entry_rule in NESTED
        limits = [np.inf if length is None else length for length in self.request.lengths]
        self.lengths = np.asarray(limits if self.nests else [np.inf], self.kind)
        self._rows()

    def _set(self, slots: Tensor, factors: Factors) -> int:
        """Return the number of a set of fixed slots [C, F, D]."""
        rows = [factors.place(slots[:, k].contiguous()) for k in range(slots.shape[1])]
        self.planes += [row for row in dict.fromkeys(rows) if row not in self.planes]
        own = [self.planes.index(row) for row in rows]
        if own not in self.sets:
            self.sets.append(own)
        return self.sets.index(own)

    def _biases(self, p: Projections, factors: Factors) -> list[int]:
        """Return the rows of key, value and output bias; one that is not there is zero."""
        self.affine = any(b is not None for b in (p.query, p.key, p.value))
        self.biased = p.output is not None
        used = [self.affine, self.affine, self.biased]
        zero = torch.zeros_like(self.model.text)
        given = [zero if b is None else b for b in (p.key, p.value, p.output)]
        return [factors.place(b) if u else 0 for b, u in zip(given, used, strict=True)]

    def _rows(self) -> None:
        """List the slots: of each class the planes, then its images by entropy."""
        label, entropy = self.answered
        C, N, self.fixed = self.model.classes, len(label), len(self.planes)
        self.image = np.lexsort((entropy, label))
        self.label = label[self.image]
        counts = self.fixed + np.bincount(label, minlength=C)
        self.start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.mine = np.arange(N) + self.fixed * (self.label + 1)
        self.row = np.empty(self.start[-1], np.int64)
        fixed = self.start[:-1, None] + np.arange(self.fixed)
        self.row[fixed] = np.arange(C)[:, None] + np.asarray(self.planes, np.int64)
        self.row[self.mine] = self.image

    def finish(self, left: Tensor) -> None:
        """Take in the products of each class's values, and what biases do to the slots."""
        count = np.diff(self.start)
        label = np.repeat(np.arange(len(count)), count)
        used = self.row if self.affine or self.biased else self.row[:0]
        slots = left[torch.from_numpy(used)]
        facts = Biases.of(
            self.model.projections, slots, left[: len(self.image)], label[: len(used)]
        )
        self.moved = Moved(
            facts.query_norm, facts.key_norm, facts.key_shift, facts.value_norm,
            facts.slot_output, facts.output_square, *self.bias_rows,
        )  # fmt: skip
        offset = np.concatenate([[0], np.cumsum(count**2)]).astype(np.int64)
        gram = np.empty(offset[-1], self.kind)
        for c, (first, last) in enumerate(pairwise(self.start.tolist())):
            own = left[torch.from_numpy(self.row[first:last])]
            products = (own @ own.mT).numpy()
            if self.affine:
                shift, norm = facts.value_shift[first:last], facts.value_norm[first:last]
                products = products + shift[:, None] + shift + facts.value_square[c]
                products = products * norm[:, None] * norm
            gram[offset[c] : offset[c + 1]] = products.reshape(-1)
        sets = np.cumsum([0, *map(len, self.sets)]).astype(np.int64)
        places = np.asarray([place for own in self.sets for place in own], np.int64)
        self.slots = Slots(self.start, self.row, gram, offset, sets, places)

    def order(self, permutations: Sequence[np.ndarray], steps: np.ndarray) -> Order:
        """Return when images are seen in each order; steps [orders, N] of the images by row."""
        turns = 1 if self.nests else len(self.request.lengths)
        shape, delay = (len(permutations) * turns, len(self.row)), not self.model.update_before_read
        members = np.zeros(shape, np.int32)
        first, last = np.zeros(shape, self.kind), np.zeros(shape, self.kind)
        for o, order in enumerate(permutations):
            rank = steps[o, self.image]
            if self.model.entry_rule == "fifo":
                turn = np.lexsort((-rank, self.label))
            else:
                # of equal entropies the one that comes earlier in this order goes first
                turn = np.lexsort((rank, self.answered.entropy[self.image], self.label))
            for n in range(turns):
                at, forever = o * turns + n, np.full_like(rank, np.inf)
                enters, leaves = (rank, forever) if self.nests else self._stay(order, n)
                members[at, self.mine] = self.mine[turn] - self.start[self.label]
                first[at, self.mine], last[at, self.mine] = enters + delay, leaves + delay
        return Order(members, first, last, steps)

    def _stay(self, order: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps [N] at which each image enters and leaves a memory; endless: never."""
        model, (label, entropy) = self.model, self.answered
        schedule = write_schedule(
            label[order], entropy[order], model.classes, self.request.lengths[number],
            model.entry_rule, model.seed,
        )  # fmt: skip
        N = len(order)
        enters, leaves = np.empty(N, self.kind), np.empty(N, self.kind)
        enters[order] = np.where(schedule.slot >= 0, np.arange(N), np.inf)
        leaves[order] = np.where(schedule.end < N, schedule.end, np.inf)
        return enters[self.image], leaves[self.image]
