"""Several stream orders from one product of all pairs of images (method.md, section 12)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from numba import njit
from torch import Tensor

from dmn.dynamic_memory import Schedule
from dmn.exponential import OPTIONS, TILE, softmax_columns
from dmn.kernels import _cross, _exponential, _exponents, _numerator, _square
from dmn.recording import Stream, blocks, padded

if TYPE_CHECKING:
    from dmn.network import DualMemoryNetwork

CHUNK_ROWS = 512
BLOCK = 256
# bytes of the logits of a block: they shall stay in the last-level cache
BUDGET = 1 << 26
# what the compiled loop costs, in multiply-adds of a large product: a slot and a pair of slots
SLOT_COST, PAIR_COST = 64, 4
# steps are compared as float32, which has all integers up to here
MOST_IMAGES = 1 << 24


@njit(**OPTIONS)
def _visible(weights, r, rank, ranks, tile, masked, i, sees):
    """Set masked[i] to the weights of slot r, 0 for the queries that come before its write."""
    one = weights.dtype.type(1)
    zero = weights.dtype.type(0)
    for q in range(TILE):
        sees[q] = one if rank <= ranks[tile, q] else zero
    for q in range(TILE):
        masked[i, q] = weights[r, q] * sees[q]


@njit(**OPTIONS)
def _full(length, n, k, seen, state, kept):
    """Keep the sums of queries whose memory of this length is full, before the next slot."""
    for q in range(TILE):
        kept[n, k, q] = state[k, q] if seen[q] <= length else kept[n, k, q]


@njit(**OPTIONS)
def _count(seen, sees):
    for q in range(TILE):
        seen[q] = seen[q] + sees[q]


@njit(**OPTIONS)
def _close(kept, n, tile, scale, logits, at):
    """Turn sums into logits s <a, x> (method.md, section 7, steps 5 to 7)."""
    zero, one = scale - scale, scale / scale
    for q in range(TILE):
        square = kept[n, 1, q]
        inverse = one / np.sqrt(square) if square > zero else zero
        logits[n, at, tile, q] = scale * (kept[n, 0, q] * inverse)


@njit(**OPTIONS)
def _turn(gram, members, first, n, local):
    """Fill `local` below and on the diagonal with the Gram matrix in an order's own turn."""
    for a in range(n):
        for b in range(a + 1):
            local[a, b] = gram[(members[a] - first) * n + members[b] - first]


@njit(**OPTIONS)
def _read_order(
    values, tile, weights, members, rank, ranks, first, fixed, local, active, lengths, masked,
    total, state, seen, sees, kept,
):  # fmt: skip
    """Sum up the slots of one class for one tile and order; sums of each length go to kept."""
    state[:] = 0
    seen[:] = 0
    n = len(members)
    for i in range(n):
        r = members[i]
        _visible(weights, r - first, rank[r], ranks, tile, masked, i, sees)
        if i >= fixed:
            for m in range(len(lengths)):
                if i - fixed >= lengths[m]:
                    _full(lengths[m], m, 0, seen, state, kept)
                    _full(lengths[m], m, 1, seen, state, kept)
            _count(seen, sees)
        _cross(local, i, active, i, masked, total)
        _numerator(values, r, tile, masked, i, state)
        _square(total, local[i, i], masked, i, state)
    for m in range(len(lengths)):
        _full(lengths[m], m, 0, seen, state, kept)
        _full(lengths[m], m, 1, seen, state, kept)


@njit(**OPTIONS)
def read_orders(
    products, start, members, rank, ranks, gram, offset, fixed, beta, lengths, scale, c0, logits,
):  # fmt: skip
    """Read a chunk of classes in all orders; fill logits [orders, lengths, C, B] from c0.

    products [R, B]; start [chunk+1]: rows of each class; members [orders, R]: these rows by
    entropy, fixed ones first; rank [orders, R]: first step that sees a row; ranks [orders, B]:
    steps of the queries; gram, offset [chunk+1]: products of each class's rows.
    """
    most = 0
    for c in range(len(start) - 1):
        most = max(most, start[c + 1] - start[c])
    local = np.zeros((most, most), products.dtype)
    weights, masked = np.zeros((2, most + 1, TILE), products.dtype)
    total, state = np.zeros(TILE, products.dtype), np.zeros((3, TILE), products.dtype)
    kept = np.zeros((len(lengths), 3, TILE), products.dtype)
    active = np.arange(most + 1)
    # counts and steps are of the weights' own type: loops over one type become vectors
    seen, sees = np.zeros((2, TILE), products.dtype)
    tiles = products.shape[1] // TILE
    values = products.reshape(-1, tiles, TILE)
    tiled = logits.reshape(logits.shape[0], logits.shape[1], logits.shape[2], tiles, TILE)
    steps = ranks.reshape(-1, tiles, TILE)
    for c in range(len(start) - 1):
        first, last = start[c], start[c + 1]
        own = gram[offset[c] : offset[c + 1]]
        for tile in range(tiles):
            for r in range(last - first):
                _exponents(values, first + r, tile, beta, weights, r)
                _exponential(weights, r)
            for o in range(len(members)):
                mine = members[o, first:last]
                _turn(own, mine, first, last - first, local)
                _read_order(
                    values, tile, weights, mine, rank[o], steps[o], first, fixed, local, active,
                    lengths, masked, total, state, seen, sees, kept,
                )  # fmt: skip
                for m in range(len(lengths)):
                    _close(kept, m, tile, scale, tiled[o], c0 + c)


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

    stream: in the order of its rows; orders: permutations of the rows; lengths ascend.
    """

    def __init__(
        self,
        network: DualMemoryNetwork,
        stream: Stream,
        orders: Sequence[np.ndarray],
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
        self.ranks = np.empty((len(orders), N), self.scalar)
        self.rank = np.full((len(orders), len(source)), -1, self.scalar)
        self.members = np.empty((len(orders), len(source)), np.int64)
        self.members[:, fixed] = fixed
        for o, order in enumerate(orders):
            self.ranks[o, order] = np.arange(N)
            self.rank[o, mine] = self.ranks[o, row] + (not network.update_before_read)
            # of equal entropies the one that comes earlier in this order goes first
            turn = np.lexsort((self.ranks[o, row], stream.entropy[row], label))
            self.members[o, mine] = mine[turn]
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

    def read(self, found: Tensor, pool: ThreadPoolExecutor, size: int) -> None:
        """Fill found [orders, lengths, betas, N, C], by row of the stream."""
        answers = found.shape[0] * found.shape[1] * found.shape[2] * self.C
        fit = BUDGET // max(1, answers * found.element_size()) // TILE * TILE
        spans = blocks(len(self.stream), max(TILE, min(BLOCK, size, fit)))
        list(pool.map(lambda span: self._block(found, *span), spans))

    def _block(self, found: Tensor, start: int, stop: int) -> None:
        queries = padded(self.stream.x[start:stop])
        B = len(queries)
        ranks = np.full((len(self.ranks), B), -2, self.scalar)
        ranks[:, : stop - start] = self.ranks[:, start:stop]
        shape = (len(self.betas), *found.shape[:2], self.C, B)
        logits = self._buffer("logits", *shape).numpy()
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
                    self.members[:, r0:r1] - r0, self.rank[:, r0:r1], ranks,
                    self.gram[offset[0] : offset[-1]], offset - offset[0], self.F, beta,
                    self.lengths, self.scale, first, logits[b],
                )  # fmt: skip
            first = last
        for b, o, n in np.ndindex(shape[:3]):
            softmax_columns(logits[b, o, n], found[o, n, b, start:stop].numpy())

    def _buffer(self, name: str, *shape: int) -> Tensor:
        """Return a thread's own scratch tensor, kept between blocks."""
        store, size = self.local.__dict__, int(np.prod(shape))
        if name not in store or store[name].numel() < size:
            store[name] = torch.empty(size, dtype=self.table.dtype)
        return store[name][:size].reshape(shape)
