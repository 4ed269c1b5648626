"""Several stream orders from one product of all pairs of images (method.md, section 12)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dmn.engine.compiled.orders import read_orders
from dmn.engine.recorded import Stream, blocks
from dmn.engine.schedule import Schedule
from dmn.method.model import Model
from dmn.method.products import (
    COLUMNS,
    LEAST_COLUMNS,
    fitting_columns,
    padded,
    softmax_of_columns,
)
from dmn.workers import Workers

CHUNK_ROWS = 512
# bytes of the logits of a block: they shall stay in the last-level cache
BUDGET = 1 << 25
# what the compiled loop costs, in multiply-adds of a large product: a slot and a pair of slots
SLOT_COST, PAIR_COST = 36, 1
# steps are compared as float32, which has all integers up to here
MOST_IMAGES = 1 << 24


def worthwhile(model: Model, schedules: Sequence[Schedule]) -> bool:
    """Say whether all pairs cost less than the schedules of all orders, one after the other.

    They serve reads by similarity of a memory by entropy, on a CPU, without projections of
    slots or queries; they pay where the orders together see more slots than there are images.
    """
    if not supported(model) or not schedules or len(schedules[0].label) >= MOST_IMAGES:
        return False
    D, C, label = model.dimension, model.classes, schedules[0].label
    of_class = np.bincount(label, minlength=C).astype(float)
    pairs = len(label) * D + len(schedules) * _loop_cost(of_class)
    single = 0.0
    for schedule in schedules:
        stored = schedule.stored
        alive = float((schedule.end[stored] - stored).sum()) / max(1, len(label))
        single += alive * D + C * float(_loop_cost(np.array([alive / C])))
    return pairs < single


def supported(model: Model) -> bool:
    """Say whether the model's reads need nothing but raw products."""
    p = model.projections
    plain = all(b is None for b in (p.query, p.key, p.value, p.output))
    by_similarity = model.readout == "similarity" and model.entry_rule == "entropy"
    return plain and by_similarity and model.device.type == "cpu"


def _loop_cost(slots: np.ndarray) -> float:
    return float((slots * (SLOT_COST + PAIR_COST * slots / 2)).sum())


class PairReader:
    """Reads the dynamic memories of several orders of a stream, for blocks of its rows.

    stream: in the order of its rows; permutations of the rows; lengths ascend.
    """

    def __init__(
        self,
        model: Model,
        stream: Stream,
        permutations: Sequence[np.ndarray],
        lengths: Sequence[int],
        betas: Sequence[float],
    ) -> None:
        self.C, self.F, self.D = model.fixed.shape
        self.stream = stream
        self.scalar = stream.entropy.dtype.type
        self.lengths = np.asarray(lengths, self.scalar)
        self.betas = [self.scalar(beta) for beta in betas]
        self.scale = self.scalar(model.logit_scale)
        N, C = len(stream), self.C
        row = np.lexsort((stream.entropy, stream.label))
        label = stream.label[row]
        counts = self.F + np.bincount(label, minlength=C)
        self.start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        fixed = (self.start[:-1, None] + np.arange(self.F)).reshape(-1)
        mine = np.arange(N) + self.F * (label + 1)
        source = np.empty(C * self.F + N, np.int64)
        source[fixed], source[mine] = np.arange(C * self.F), C * self.F + row
        self.table = stream.table[torch.from_numpy(source)]
        self.ranks = np.empty((len(permutations), N), self.scalar)
        self.rank = np.full((len(permutations), len(source)), -1, self.scalar)
        self.members = np.empty((len(permutations), len(source)), np.int64)
        self.members[:, fixed] = np.tile(np.arange(self.F), C)
        for o, order in enumerate(permutations):
            self.ranks[o, order] = np.arange(N)
            self.rank[o, mine] = self.ranks[o, row] + (not model.update_before_read)
            # of equal entropies the one that comes earlier in this order goes first
            turn = np.lexsort((self.ranks[o, row], stream.entropy[row], label))
            self.members[o, mine] = mine[turn] - self.start[label]
        self._grams()
        self.local = threading.local()

    def _grams(self) -> None:
        width = np.diff(self.start)
        self.offset = np.concatenate([[0], np.cumsum(width**2)]).astype(np.int64)
        gram = torch.empty(int(self.offset[-1]), dtype=self.table.dtype)
        for c in range(self.C):
            own = self.table[self.start[c] : self.start[c + 1]]
            gram[self.offset[c] : self.offset[c + 1]] = (own @ own.mT).reshape(-1)
        self.gram = gram.numpy()

    def read(self, pool: Workers, size: int, give: Callable[[slice, Tensor], None]) -> None:
        """Give rows of the stream and their answers [orders, lengths, betas, b, C] to `give`."""
        answers = len(self.ranks) * len(self.lengths) * len(self.betas) * self.C
        fit = BUDGET // max(1, answers * self.table.element_size()) // COLUMNS * COLUMNS
        spans = blocks(len(self.stream), max(LEAST_COLUMNS, min(size, fit)))
        list(pool.map(lambda span: give(slice(*span), self._block(*span)), spans))

    def _block(self, start: int, stop: int) -> Tensor:
        """Return the answers to a block in a thread's own buffer."""
        queries = padded(self.stream.x[start:stop], fitting_columns(stop - start))
        B = len(queries)
        ranks = np.full((len(self.ranks), B), -2, self.scalar)
        ranks[:, : stop - start] = self.ranks[:, start:stop]
        shape = (len(self.betas), len(self.ranks), len(self.lengths), self.C, B)
        found = self._buffer("found", *shape[1:3], shape[0], stop - start, self.C)
        logits = self._buffer("logits", *shape)
        first = 0
        while first < self.C:
            last = int(np.searchsorted(self.start, self.start[first] + CHUNK_ROWS, "right")) - 1
            last = max(first + 1, last)
            r0, r1 = int(self.start[first]), int(self.start[last])
            products = self._buffer("products", r1 - r0, B)
            torch.mm(self.table[r0:r1], queries.mT, out=products)
            offset = self.offset[first : last + 1]
            for b, beta in enumerate(self.betas):
                read_orders(
                    products.numpy(), self.start[first : last + 1] - r0,
                    self.members[:, r0:r1], self.rank[:, r0:r1], ranks,
                    self.gram[offset[0] : offset[-1]], offset - offset[0], self.F, beta,
                    self.lengths, self.scale, first, logits[b].numpy(),
                )  # fmt: skip
            first = last
        for b, o, n in np.ndindex(shape[:3]):
            softmax_of_columns(logits[b, o, n], 0, found[o, n, b])
        return found

    def _buffer(self, name: str, *shape: int) -> Tensor:
        """Return a thread's own scratch tensor, kept between blocks."""
        store, size = self.local.__dict__, int(np.prod(shape))
        if name not in store or store[name].numel() < size:
            store[name] = torch.empty(size, dtype=self.table.dtype)
        return store[name][:size].reshape(shape)
