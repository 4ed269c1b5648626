"""Compiled loops of the blocked evaluation, with sums in a fixed order (method.md, section 12).

Queries are the fast axis of every loop and sums run over slots one by one, so a result depends
neither on the vector width nor on how queries are cut into blocks. `contract` allows fused
multiply-adds, which does not change the order of a sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from dmn.exponential import OPTIONS, TILE, exp


class Rows(NamedTuple):
    """The R slots that a chunk of classes reads in a block, class by class, fixed slots first.

    start [chunk+1]: rows of each class; place: its row in the class's Gram matrix; written: step
    of the write (-1 fixed); column: its column of the Gram products if new in this block, else
    -1; low, high: queries of the block that see it; stays: seen by the next block; weight: of
    the readouts that do not depend on the query.
    """

    start: np.ndarray
    place: np.ndarray
    written: np.ndarray
    column: np.ndarray
    low: np.ndarray
    high: np.ndarray
    stays: np.ndarray
    weight: np.ndarray


class Shift(NamedTuple):
    """Class-wise biases as corrections of raw products; see dmn.stream.Biases.

    A key product is query_norm * key_norm * (product + key_extra + key_shift), a value product
    value_norm * (product + value_extra), both norms being reciprocal.
    """

    query_norm: np.ndarray
    key_norm: np.ndarray
    key_shift: np.ndarray
    value_norm: np.ndarray
    value_shift: np.ndarray
    value_square: np.ndarray
    key_extra: np.ndarray
    value_extra: np.ndarray


class Output(NamedTuple):
    """An output bias b: <v_j, b> [R], <x, b> [chunk, B] and |b|^2 [chunk]."""

    slot: np.ndarray
    query: np.ndarray
    square: np.ndarray


@njit(**OPTIONS)
def _gram_local(gram, width, products, rows, first, last, shift, affine, c, local):
    """Fill `local` [R, R] below and on the diagonal with products of the class's values.

    Two slots live at once only after the later one was written, and then its image was a query
    that saw the earlier: the product is in `products` already, or in `gram` from a block before.
    """
    for a in range(last - first):
        for b in range(a + 1):
            late, early = first + a, first + b
            if rows.written[early] > rows.written[late]:
                late, early = early, late
            column = rows.column[late]
            if column < 0:
                local[a, b] = gram[rows.place[late] * width + rows.place[early]]
            elif affine:
                raw = products[early, column] + shift.value_shift[early]
                raw = raw + shift.value_shift[late] + shift.value_square[c]
                local[a, b] = raw * shift.value_norm[early] * shift.value_norm[late]
            else:
                local[a, b] = products[early, column]


@njit(**OPTIONS)
def _gram_keep(gram, width, rows, first, last, local):
    """Write the products of new slots that stay back to the class's Gram matrix."""
    for a in range(last - first):
        for b in range(a + 1):
            i, j = first + a, first + b
            new = rows.column[i] >= 0 or rows.column[j] >= 0
            if new and rows.stays[i] and rows.stays[j]:
                gram[rows.place[i] * width + rows.place[j]] = local[a, b]
                gram[rows.place[j] * width + rows.place[i]] = local[a, b]


@njit(**OPTIONS)
def _cross(local, a, active, count, weights, total):
    """Set total [T] to sum_i G_ai w_i over the active slots before slot a, in order."""
    for q in range(TILE):
        total[q] = 0
    i = 0
    while i + 8 <= count:
        g0, g1 = local[a, active[i]], local[a, active[i + 1]]
        g2, g3 = local[a, active[i + 2]], local[a, active[i + 3]]
        g4, g5 = local[a, active[i + 4]], local[a, active[i + 5]]
        g6, g7 = local[a, active[i + 6]], local[a, active[i + 7]]
        for q in range(TILE):
            s = total[q] + g0 * weights[i, q]
            s = s + g1 * weights[i + 1, q]
            s = s + g2 * weights[i + 2, q]
            s = s + g3 * weights[i + 3, q]
            s = s + g4 * weights[i + 4, q]
            s = s + g5 * weights[i + 5, q]
            s = s + g6 * weights[i + 6, q]
            total[q] = s + g7 * weights[i + 7, q]
        i += 8
    while i < count:
        g0 = local[a, active[i]]
        for q in range(TILE):
            total[q] = total[q] + g0 * weights[i, q]
        i += 1


@njit(**OPTIONS)
def _finish(kept, n, output, biased, c, tile, scale, logits, at):
    """Turn sums into logits s <a, x> (method.md, section 7, steps 5 to 7)."""
    zero, one = scale - scale, scale / scale
    for q in range(TILE):
        square = kept[n, 1, q]
        inverse = one / np.sqrt(square) if square > zero else zero
        cosine = kept[n, 0, q] * inverse
        if biased:
            along = kept[n, 2, q] * inverse
            length = output.square[c] + along + along
            if square > zero:
                length = length + one
            cosine = cosine + output.query[c, tile * TILE + q]
            cosine = cosine / np.sqrt(length) if length > zero else zero
        logits[n, at, tile, q] = scale * cosine


@njit(**OPTIONS)
def _exponents(key, r, tile, beta, weights, i):
    """Set weights[i] to -beta (1 - <u, k>) of slot r."""
    for q in range(TILE):
        weights[i, q] = beta * key[r, tile, q] - beta


@njit(**OPTIONS)
def _shifted_exponents(key, r, tile, beta, extra, c, more, own, norm, weights, i):
    """Set weights[i] to -beta (1 - <u, k>) of slot r with query and key biases."""
    for q in range(TILE):
        k = key[r, tile, q] + extra[c, tile * TILE + q] + more
        weights[i, q] = beta * (k * own * norm[tile * TILE + q]) - beta


@njit(**OPTIONS)
def _exponential(weights, i):
    """Raise e to weights[i], in place: this form becomes vector instructions."""
    for q in range(TILE):
        weights[i, q] = exp(weights[i, q])


@njit(**OPTIONS)
def _hide(weights, i, low, high):
    """Set weights[i] to 0 for the queries that do not see the slot."""
    for q in range(low):
        weights[i, q] = 0
    for q in range(high, TILE):
        weights[i, q] = 0


@njit(**OPTIONS)
def _numerator(value, r, tile, weights, i, state):
    """Add w <v, x> of slot r."""
    for q in range(TILE):
        state[0, q] = state[0, q] + weights[i, q] * value[r, tile, q]


@njit(**OPTIONS)
def _shifted_numerator(value, r, tile, extra, c, norm, weights, i, state):
    """Add w <v, x> of slot r with a value bias."""
    for q in range(TILE):
        v = (value[r, tile, q] + extra[c, tile * TILE + q]) * norm
        state[0, q] = state[0, q] + weights[i, q] * v


@njit(**OPTIONS)
def _square(total, diagonal, weights, i, state):
    """Add w (2 sum_i G_ij w_i + G_jj w) to the squared norm; weight 0 adds exactly 0."""
    for q in range(TILE):
        w, t = weights[i, q], total[q]
        state[1, q] = state[1, q] + w * (t + t + diagonal * w)


@njit(**OPTIONS)
def _along(slot_output, weights, i, state):
    """Add w <v, b> of the output bias b."""
    for q in range(TILE):
        state[2, q] = state[2, q] + weights[i, q] * slot_output


@njit(**OPTIONS)
def _read_tile(
    keys,
    values,
    tile,
    rows,
    first,
    last,
    fixed,
    beta,
    shift,
    affine,
    output,
    biased,
    c,
    local,
    lengths,
    weights,
    total,
    active,
    state,
    seen,
    kept,
):
    """Sum up the slots of class c for the queries of one tile: state [3, T], kept if shorter."""
    # arrays by themselves, since a call that passes a whole tuple costs more than its loop
    lows, highs, row_weight, slot_output = rows.low, rows.high, rows.weight, output.slot
    key_extra, key_shift, key_norm = shift.key_extra, shift.key_shift, shift.key_norm
    value_extra, value_norm, query_norm = shift.value_extra, shift.value_norm, shift.query_norm
    q0 = tile * TILE
    count = 0
    for r in range(first, last):
        low, high = max(lows[r] - q0, 0), min(highs[r] - q0, TILE)
        if low >= high:
            continue
        if r - first >= fixed and len(lengths) > 1:
            _snapshot(lengths, seen, low, high, state, kept)
        _cross(local, r - first, active, count, weights, total)
        if beta == 0:
            weights[count] = row_weight[r]
        elif affine:
            _shifted_exponents(
                keys, r, tile, beta, key_extra, c, key_shift[r], key_norm[r], query_norm,
                weights, count,
            )  # fmt: skip
        else:
            _exponents(keys, r, tile, beta, weights, count)
        if beta != 0:
            _exponential(weights, count)
        if low > 0 or high < TILE:
            _hide(weights, count, low, high)
        if affine:
            _shifted_numerator(
                values, r, tile, value_extra, c, value_norm[r], weights, count, state
            )
        else:
            _numerator(values, r, tile, weights, count, state)
        _square(total, local[r - first, r - first], weights, count, state)
        if biased:
            _along(slot_output[r], weights, count, state)
        active[count] = r - first
        count += 1


@njit(**OPTIONS)
def read_classes(
    key,
    value,
    products,
    rows,
    fixed,
    beta,
    shift,
    affine,
    output,
    biased,
    gram,
    offset,
    keep,
    lengths,
    scale,
    c0,
    logits,
):
    """Read a chunk of classes for a block of queries; fill logits [lengths, C, B] from c0.

    key, value [R, B]: products of slots and queries; the first `fixed` rows of a class are the
    fixed part. beta 0 takes `rows.weight` in place of the exponential. Slots come in the order
    of entropy, so the state after the first l of those that a query sees is the answer of a
    memory of length l; `lengths` ascend, and the last is the schedule's own.
    """
    count_classes = len(rows.start) - 1
    most = 0
    for c in range(count_classes):
        most = max(most, rows.start[c + 1] - rows.start[c])
    local = np.zeros((most, most), key.dtype)
    weights = np.zeros((most + 1, TILE), key.dtype)
    total = np.zeros(TILE, key.dtype)
    active = np.zeros(most + 1, np.int64)
    state = np.zeros((3, TILE), key.dtype)
    kept = np.zeros((len(lengths), 3, TILE), key.dtype)
    seen = np.zeros(TILE, np.int64)
    # a tile axis of constant length lets the compiler see that no index is negative
    tiles = key.shape[1] // TILE
    keys, values = key.reshape(-1, tiles, TILE), value.reshape(-1, tiles, TILE)
    tiled = logits.reshape(logits.shape[0], logits.shape[1], tiles, TILE)
    for c in range(count_classes):
        first, last = rows.start[c], rows.start[c + 1]
        width = int(np.sqrt(float(offset[c + 1] - offset[c])) + 0.5)
        own = gram[offset[c] : offset[c + 1]]
        _gram_local(own, width, products, rows, first, last, shift, affine, c, local)
        if keep:
            _gram_keep(own, width, rows, first, last, local)
        for tile in range(tiles):
            state[:] = 0
            seen[:] = 0
            _read_tile(
                keys, values, tile, rows, first, last, fixed, beta, shift, affine, output, biased,
                c, local, lengths, weights, total, active, state, seen, kept,
            )  # fmt: skip
            for n in range(len(lengths)):
                for q in range(TILE):
                    if seen[q] <= lengths[n] or n == len(lengths) - 1:
                        for k in range(3):
                            kept[n, k, q] = state[k, q]
                _finish(kept, n, output, biased, c, tile, scale, tiled, c0 + c)


@njit(**OPTIONS)
def _snapshot(lengths, seen, low, high, state, kept):
    """Keep the sums of queries whose memory of a shorter length is full, before the next slot."""
    for q in range(low, high):
        for n in range(len(lengths) - 1):
            if seen[q] == lengths[n]:
                for k in range(3):
                    kept[n, k, q] = state[k, q]
        seen[q] += 1
