"""Several stream orders from one product of all pairs of images (method.md, section 12)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numba import njit
from torch import Tensor

from dmn.engine.compiled.exponential import TILE
from dmn.engine.compiled.loops import SUMS, WIDE, add, close, cross, snapshot, weigh
from dmn.engine.compiled.options import INLINE, OPTIONS
from dmn.engine.recorded import Stream, blocks
from dmn.method.dynamic_memory import Schedule
from dmn.method.text import COLUMNS, LEAST_COLUMNS, fitting_columns, padded, softmax_of_columns
from dmn.workers import Workers

if TYPE_CHECKING:
    from dmn.network import DualMemoryNetwork

CHUNK_ROWS = 512
# bytes of the logits of a block: they shall stay in the last-level cache
BUDGET = 1 << 25
# what the compiled loop costs, in multiply-adds of a large product: a slot and a pair of slots
SLOT_COST, PAIR_COST = 36, 1
# steps are compared as float32, which has all integers up to here
MOST_IMAGES = 1 << 24


@njit(**INLINE)
def _show(weights, i, rank, ranks, at, shown, to):
    """Copy the weights of slot i, 0 for the queries that come before its image."""
    w, r, s = np.uintp(i) * WIDE, np.uintp(at), np.uintp(to) * WIDE
    zero = rank - rank
    for q in range(WIDE):
        weight = weights[w + q]
        shown[s + q] = weight if rank <= ranks[r + q] else zero


@njit(**INLINE)
def _count(rank, ranks, at, seen):
    """Count a slot for the queries that see it."""
    r = np.uintp(at)
    zero, one = seen.dtype.type(0), seen.dtype.type(1)
    for q in range(WIDE):
        count = seen[q]
        seen[q] = count + (one if rank <= ranks[r + q] else zero)


@njit(**OPTIONS)
def _read_order(
    products, first, B, at, weights, gram, width, members, rank, ranks, fixed, lengths, shown,
    totals, order, seen, sums, kept,
):  # fmt: skip
    """Add up the slots of one class for one tile in one order; the sums of each length go to kept.

    members [S]: slots of the class by entropy; rank [S]: first step that sees each.
    """
    count = len(members)
    for i in range(count):
        order[i] = members[i]
        _show(weights, members[i], rank[members[i]], ranks, at, shown, i)
    cross(gram, width, order, count, shown, totals)
    sums[:] = 0
    seen[:] = 0
    for i in range(count):
        m = members[i]
        if i >= fixed:
            for n in range(len(lengths)):
                if i - fixed >= lengths[n]:
                    snapshot(lengths[n], seen, sums, kept, n * SUMS)
            _count(rank[m], ranks, at, seen)
        add(products, (first + m) * B + at, shown, totals, i, gram[m * width + m], sums)
    for n in range(len(lengths)):
        snapshot(lengths[n], seen, sums, kept, n * SUMS)


@njit(**OPTIONS)
def read_orders(
    products, start, members, rank, ranks, gram, offset, fixed, beta, lengths, scale, c0, logits,
):  # fmt: skip
    """Read a chunk of classes in all orders; fill logits [orders, lengths, C, B] from c0.

    products [R, B]; start [chunk+1]: rows of each class; members [orders, R]: the rows of a class
    by entropy, fixed ones first, counted from its first; rank [orders, R]: first step that sees a
    row; ranks [orders, B]: steps of the queries; gram, offset [chunk+1]: products of the rows of
    each class.
    """
    most = 0
    for c in range(len(start) - 1):
        most = max(most, start[c + 1] - start[c])
    weights = np.zeros((most + 1) * TILE, products.dtype)
    shown, totals = np.zeros_like(weights), np.zeros_like(weights)
    order = np.zeros(most + 1, np.int64)
    seen, sums = np.zeros(TILE, products.dtype), np.zeros(SUMS, products.dtype)
    kept = np.zeros(len(lengths) * SUMS, products.dtype)
    B, C, L = products.shape[1], logits.shape[2], len(lengths)
    flat, answers = products.reshape(-1), logits.reshape(-1)
    for c in range(len(start) - 1):
        first, last = start[c], start[c + 1]
        own, width = gram[offset[c] : offset[c + 1]], last - first
        for at in range(0, B, TILE):
            for i in range(width):
                weigh(flat, (first + i) * B + at, beta, weights, i)
            for o in range(len(members)):
                _read_order(
                    flat, first, B, at, weights, own, width, members[o, first:last],
                    rank[o, first:last], ranks[o], fixed, lengths, shown, totals, order, seen,
                    sums, kept,
                )  # fmt: skip
                for n in range(L):
                    to = ((o * L + n) * C + c0 + c) * B + at
                    close(kept, n * SUMS, scale, answers, to)


def worthwhile(network: DualMemoryNetwork, schedules: Sequence[Schedule]) -> bool:
    """Say whether all pairs cost less than the schedules of all orders, one after the other.

    They serve reads by similarity of a memory by entropy, on a CPU, without projections of
    slots or queries; they pay where the orders together see more slots than there are images.
    """
    if not supported(network) or not schedules or len(schedules[0].label) >= MOST_IMAGES:
        return False
    D, C, label = network.dimension, network.classes, schedules[0].label
    of_class = np.bincount(label, minlength=C).astype(float)
    pairs = len(label) * D + len(schedules) * _loop_cost(of_class)
    single = 0.0
    for schedule in schedules:
        stored = schedule.stored
        alive = float((schedule.end[stored] - stored).sum()) / max(1, len(label))
        single += alive * D + C * float(_loop_cost(np.array([alive / C])))
    return pairs < single


def supported(network: DualMemoryNetwork) -> bool:
    """Say whether the network's reads need nothing but raw products."""
    p = network.projections
    plain = all(b is None for b in (p.query, p.key, p.value, p.output))
    by_similarity = network.readout == "similarity" and network.entry_rule == "entropy"
    return plain and by_similarity and network.device.type == "cpu"


def _loop_cost(slots: np.ndarray) -> float:
    return float((slots * (SLOT_COST + PAIR_COST * slots / 2)).sum())


class PairReader:
    """Reads the dynamic memories of several orders of a stream, for blocks of its rows.

    stream: in the order of its rows; permutations of the rows; lengths ascend.
    """

    def __init__(
        self,
        network: DualMemoryNetwork,
        stream: Stream,
        permutations: Sequence[np.ndarray],
        lengths: Sequence[int],
        betas: Sequence[float],
    ) -> None:
        self.C, self.F, self.D = network.fixed.shape
        self.stream = stream
        self.scalar = stream.entropy.dtype.type
        self.lengths = np.asarray(lengths, self.scalar)
        self.betas = [self.scalar(beta) for beta in betas]
        self.scale = self.scalar(network.logit_scale)
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
            self.rank[o, mine] = self.ranks[o, row] + (not network.update_before_read)
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

    def read(self, found: Tensor, pool: Workers, size: int) -> None:
        """Fill found [orders, lengths, betas, N, C], by row of the stream."""
        answers = found.shape[0] * found.shape[1] * found.shape[2] * self.C
        fit = BUDGET // max(1, answers * found.element_size()) // COLUMNS * COLUMNS
        spans = blocks(len(self.stream), max(LEAST_COLUMNS, min(size, fit)))
        list(pool.map(lambda span: self._block(found, *span), spans))

    def _block(self, found: Tensor, start: int, stop: int) -> None:
        queries = padded(self.stream.x[start:stop], fitting_columns(stop - start))
        B = len(queries)
        ranks = np.full((len(self.ranks), B), -2, self.scalar)
        ranks[:, : stop - start] = self.ranks[:, start:stop]
        shape = (len(self.betas), *found.shape[:2], self.C, B)
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
            softmax_of_columns(logits[b, o, n], 0, found[o, n, b, start:stop])

    def _buffer(self, name: str, *shape: int) -> Tensor:
        """Return a thread's own scratch tensor, kept between blocks."""
        store, size = self.local.__dict__, int(np.prod(shape))
        if name not in store or store[name].numel() < size:
            store[name] = torch.empty(size, dtype=self.table.dtype)
        return store[name][:size].reshape(shape)
