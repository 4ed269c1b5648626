"""Compiled read of one schedule: a chunk of classes for a part of the queries (section 12).

By hand, because no library reads a memory that changes with every image, but as one call an image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from dmn.engine.compiled.exponential import TILE
from dmn.engine.compiled.loops import (
    SUMS,
    add,
    add_along,
    add_shifted,
    close,
    close_biased,
    constant,
    cross,
    hide,
    hold,
    snapshot,
    weigh,
    weigh_shifted,
)
from dmn.engine.compiled.options import OPTIONS


class Rows(NamedTuple):
    """The R slots that a chunk of classes reads in a block, class by class, fixed slots first.

    start [chunk+1]: slots of each class; row: its row of the products; place: its row in the
    class's Gram matrix; column: the query of the block whose image it holds, -1 if it is older;
    low, high: queries that see it, high beyond the block if it stays; weight: of the readouts that
    do not depend on the query.
    """

    start: np.ndarray
    row: np.ndarray
    place: np.ndarray
    column: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weight: np.ndarray


class Shift(NamedTuple):
    """Class-wise biases as corrections of raw products; see dmn.engine.biases.

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
def _width(offset, c):
    """Return how many rows the Gram matrix of class c has."""
    return int(np.sqrt(float(offset[c + 1] - offset[c])) + 0.5)


@njit(**OPTIONS)
def _gram_update(gram, width, products, tiles, rows, first, last, begin, end, shift, affine, c):
    """Write the products of the values that enter in this part to the class's Gram matrix.

    Two slots live at once only after the later one was written, and then its image was a query
    that saw the earlier: its column of `products` has all that is needed.
    """
    columns, highs, places, row = rows.column, rows.high, rows.place, rows.row
    value_shift, value_norm, value_square = (
        shift.value_shift, shift.value_norm, shift.value_square,
    )  # fmt: skip
    for late in range(first, last):
        column = columns[late]
        if not begin <= column < end:
            continue
        own = places[late]
        for early in range(first, last):
            # who was overwritten before may have left its place to another
            if columns[early] > column or highs[early] <= begin:
                continue
            product = products[row[early] * tiles * TILE + column - begin]
            if affine:
                product = product + value_shift[early]
                product = product + value_shift[late] + value_square[c]
                product = product * value_norm[early] * value_norm[late]
            gram[own * width + places[early]] = product
            gram[places[early] * width + own] = product


@njit(**OPTIONS)
def _weigh_tile(
    key, rows, first, last, q0, at, tiles, beta, shift, affine, c, weights, slots
):  # fmt: skip
    """Fill the weights of the slots of a class that a tile sees; return their number.

    q0: first query of the tile in the block; at: its column of the products.
    """
    lows, highs, row, row_weight = rows.low, rows.high, rows.row, rows.weight
    key_extra, key_shift, key_norm = shift.key_extra, shift.key_shift, shift.key_norm
    query_norm = shift.query_norm
    B, count = tiles * TILE, 0
    for r in range(first, last):
        low, high = max(lows[r] - q0, 0), min(highs[r] - q0, TILE)
        if low >= high:
            continue
        if beta == 0:
            constant(row_weight[r], weights, count)
        elif affine:
            weigh_shifted(
                key, row[r] * B + at, beta, key_extra, c * B + at, key_shift[r], key_norm[r],
                query_norm, q0, weights, count,
            )  # fmt: skip
        else:
            weigh(key, row[r] * B + at, beta, weights, count)
        if low > 0 or high < TILE:
            hide(weights, count, low, high)
        slots[count] = r
        count += 1
    return count


@njit(**OPTIONS)
def _add_tile(
    value, rows, slots, count, first, fixed, q0, at, tiles, shift, affine, slot_output, biased, c,
    gram, width, members, weights, totals, lengths, seen, sums, kept,
):  # fmt: skip
    """Add up the slots of a tile in the order of entropy; keep the sums of shorter memories."""
    lows, highs, row = rows.low, rows.high, rows.row
    value_extra, value_norm = shift.value_extra, shift.value_norm
    shorter, B = len(lengths) - 1, tiles * TILE
    sums[:] = 0
    seen[:] = 0
    for i in range(count):
        r = slots[i]
        if shorter > 0 and r - first >= fixed:
            for n in range(shorter):
                if i - fixed >= lengths[n]:
                    snapshot(lengths[n], seen, sums, kept, n * SUMS)
                    if biased:
                        hold(lengths[n], seen, sums, 2 * TILE, kept, n * SUMS + 2 * TILE)
            for q in range(max(lows[r] - q0, 0), min(highs[r] - q0, TILE)):
                seen[q] += 1
        diagonal = gram[members[i] * width + members[i]]
        if affine:
            add_shifted(
                value, row[r] * B + at, value_extra, c * B + at, value_norm[r], weights, totals, i,
                diagonal, sums,
            )  # fmt: skip
        else:
            add(value, row[r] * B + at, weights, totals, i, diagonal, sums)
        if biased:
            add_along(slot_output[r], weights, i, sums)
    for n in range(shorter):
        snapshot(lengths[n], seen, sums, kept, n * SUMS)
        if biased:
            hold(lengths[n], seen, sums, 2 * TILE, kept, n * SUMS + 2 * TILE)
    kept[shorter * SUMS : (shorter + 1) * SUMS] = sums


@njit(**OPTIONS)
def read_classes(
    key, value, products, rows, fixed, begin, end, beta, shift, affine, output, biased, gram,
    offset, lengths, scale, c0, logits,
):  # fmt: skip
    """Read a chunk of classes for a part of a block of queries; fill logits [lengths, C, B].

    key, value, products [rows, b]: of slots with the queries begin to end, padded to b, for keys,
    values and Gram matrices; the first `fixed` slots of a class are the fixed part. beta 0 takes
    `rows.weight` in place of the exponential. Slots come in the order of entropy, so the sums
    after the first l of those that a query sees are the answer of a memory of length l; `lengths`
    ascend, and the last is the schedule's own. The chunk's first class is c0.
    """
    most = 0
    for c in range(len(rows.start) - 1):
        most = max(most, rows.start[c + 1] - rows.start[c])
    weights = np.zeros((most + 1) * TILE, key.dtype)
    totals = np.zeros((most + 1) * TILE, key.dtype)
    slots, members = np.zeros(most, np.int64), np.zeros(most + 1, np.int64)
    sums, seen = np.zeros(SUMS, key.dtype), np.zeros(TILE, key.dtype)
    kept = np.zeros(len(lengths) * SUMS, key.dtype)
    b, C, B = key.shape[1], logits.shape[1], logits.shape[2]
    tiles = b // TILE
    keys, values, answers = key.reshape(-1), value.reshape(-1), logits.reshape(-1)
    raw, query_output = products.reshape(-1), output.query.reshape(-1)
    flat = Shift(
        shift.query_norm, shift.key_norm, shift.key_shift, shift.value_norm, shift.value_shift,
        shift.value_square, shift.key_extra.reshape(-1), shift.value_extra.reshape(-1),
    )  # fmt: skip
    for c in range(len(rows.start) - 1):
        first, last = rows.start[c], rows.start[c + 1]
        own = gram[offset[c] : offset[c + 1]]
        width = _width(offset, c)
        _gram_update(
            own, width, raw, tiles, rows, first, last, begin, end, shift, affine, c
        )  # fmt: skip
        for tile in range(tiles):
            at = tile * TILE
            count = _weigh_tile(
                keys, rows, first, last, begin + at, at, tiles, beta, flat, affine, c, weights,
                slots,
            )  # fmt: skip
            for i in range(count):
                members[i] = rows.place[slots[i]]
            cross(own, width, members, count, weights, totals)
            _add_tile(
                values, rows, slots, count, first, fixed, begin + at, at, tiles, flat, affine,
                output.slot, biased, c, own, width, members, weights, totals, lengths, seen, sums,
                kept,
            )  # fmt: skip
            for n in range(len(lengths)):
                to = (n * C + c0 + c) * B + begin + at
                if biased:
                    close_biased(
                        kept, n * SUMS, output.square[c], query_output, c * b + at, scale, answers,
                        to,
                    )  # fmt: skip
                else:
                    close(kept, n * SUMS, scale, answers, to)
