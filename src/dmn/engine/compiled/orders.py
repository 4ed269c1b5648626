"""Compiled reading of one block of images in many stream orders (method.md, section 12)."""

from __future__ import annotations

import numpy as np
from numba import njit

from dmn.engine.compiled.exponential import TILE
from dmn.engine.compiled.loops import SUMS, WIDE, add, close, cross, snapshot, weigh
from dmn.engine.compiled.options import INLINE, OPTIONS


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
