"""Compiled reading of one block of images by several models in many stream orders (section 12).

What a memory holds beyond its fixed slots depends on the order alone, and what the fixed slots add
depends on the model alone. So the sums over the images that entered are made once an order, those
over the fixed slots once a model, and the products between the two once for all orders.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from dmn.engine.compiled.exponential import TILE
from dmn.engine.compiled.loops import (
    SUMS,
    TWICE,
    WIDE,
    add,
    add_along,
    close,
    close_biased,
    cross,
    hold,
    weigh,
    weigh_shifted,
)
from dmn.engine.compiled.options import INLINE, OPTIONS


class Slots(NamedTuple):
    """The R slots of all classes: of each class the fixed slots of every model, then its images.

    start [C+1]; row [R]: of the products; gram: products of the values of each class's slots, flat
    from offset [C+1] on; sets, places: which fixed slots each set has, places[sets[s]:sets[s+1]].
    """

    start: np.ndarray
    row: np.ndarray
    gram: np.ndarray
    offset: np.ndarray
    sets: np.ndarray
    places: np.ndarray


class Order(NamedTuple):
    """When the images of a class are seen, in each order.

    members [orders, R]: of each class its images, those that stay in a shorter memory first,
    counted from the class's first slot, after as many of no meaning as there are fixed slots;
    first, last [orders, R]: steps that see a slot; steps [orders, B]: of the queries.
    """

    members: np.ndarray
    first: np.ndarray
    last: np.ndarray
    steps: np.ndarray


class Moved(NamedTuple):
    """Class-wise biases as corrections of raw products; see dmn.engine.biases.

    Of the R slots, of the B queries and of the C classes; key, value, output: the rows of the
    products where the biases of class 0 stand.
    """

    query_norm: np.ndarray
    key_norm: np.ndarray
    key_shift: np.ndarray
    value_norm: np.ndarray
    slot_output: np.ndarray
    output_square: np.ndarray
    key: int
    value: int
    output: int


@njit(**INLINE)
def _take(products, at, values, i):
    p, v = np.uintp(at), np.uintp(i) * WIDE
    for q in range(WIDE):
        values[v + q] = products[p + q]


@njit(**INLINE)
def _take_shifted(products, at, extra_at, norm, values, i):
    p, e, v = np.uintp(at), np.uintp(extra_at), np.uintp(i) * WIDE
    for q in range(WIDE):
        values[v + q] = (products[p + q] + products[e + q]) * norm


@njit(**INLINE)
def _copy(weights, i, shown, to):
    w, s = np.uintp(i) * WIDE, np.uintp(to) * WIDE
    for q in range(WIDE):
        shown[s + q] = weights[w + q]


@njit(**INLINE)
def _show(weights, i, first, last, steps, at, shown, to):
    """Copy the weights of slot i, 0 for the queries that do not see its image."""
    w, r, s = np.uintp(i) * WIDE, np.uintp(at), np.uintp(to) * WIDE
    zero = weights.dtype.type(0)
    for q in range(WIDE):
        step, weight = steps[r + q], weights[w + q]
        weight = weight if first <= step else zero
        shown[s + q] = weight if step < last else zero


@njit(**INLINE)
def _count(first, steps, at, seen):
    """Count a slot for the queries that see it."""
    r = np.uintp(at)
    zero, one = seen.dtype.type(0), seen.dtype.type(1)
    for q in range(WIDE):
        count = seen[q]
        seen[q] = count + (one if first <= steps[r + q] else zero)


@njit(**INLINE)
def _mix(gram, row, weights, place, mixed, to):
    """Add the product of slot `place` with another to what all fixed slots have with that."""
    g, w, m = gram[row + place], np.uintp(place) * WIDE, np.uintp(to) * WIDE
    for q in range(WIDE):
        mixed[m + q] = mixed[m + q] + g * weights[w + q]


@njit(**INLINE)
def _add_mixed(mixed, i, shown, to, sums, part):
    """Add the products of a slot with the fixed slots of a set."""
    m, s, p = np.uintp(i) * WIDE, np.uintp(to) * WIDE, np.uintp(part) * WIDE
    for q in range(WIDE):
        sums[p + q] = sums[p + q] + shown[s + q] * mixed[m + q]


@njit(**INLINE)
def _join(base, sums, at, mixed_part, whole):
    """Add the sums of the fixed slots, of the images, and twice those between them."""
    a, m = np.uintp(at), np.uintp(mixed_part) * WIDE
    for q in range(WIDE):
        both = sums[a + m + q]
        whole[q] = base[q] + sums[a + q]
        whole[WIDE + q] = base[WIDE + q] + sums[a + WIDE + q] + (both + both)
        whole[TWICE + q] = base[TWICE + q] + sums[a + TWICE + q]


@njit(**OPTIONS)
def _weigh_class(
    products, B, at, c, slots, beta, moved, affine, weights, values,
):  # fmt: skip
    """Fill weights and values of all slots of a class for one tile of queries."""
    first, last = slots.start[c], slots.start[c + 1]
    for i in range(last - first):
        r = first + i
        p = slots.row[r] * B + at
        if affine:
            weigh_shifted(
                products, p, beta, products, (moved.key + c) * B + at, moved.key_shift[r],
                moved.key_norm[r], moved.query_norm, at, weights, i,
            )  # fmt: skip
            _take_shifted(
                products, p, (moved.value + c) * B + at, moved.value_norm[r], values, i
            )  # fmt: skip
        else:
            weigh(products, p, beta, weights, i)
            _take(products, p, values, i)


@njit(**OPTIONS)
def _add_set(slots, s, gram, width, weights, values, slot_output, shown, totals, order, base):
    """Add up the fixed slots of one set for one tile."""
    places = slots.places[slots.sets[s] : slots.sets[s + 1]]
    for i in range(len(places)):
        order[i] = places[i]
        _copy(weights, places[i], shown, i)
    cross(gram, width, order, len(places), shown, totals)
    base[:] = 0
    for i in range(len(places)):
        place = places[i]
        add(values, place * TILE, shown, totals, i, gram[place * width + place], base)
        if len(slot_output):
            add_along(slot_output[place], shown, i, base)


@njit(**OPTIONS)
def _add_order(
    gram, width, fixed, members, first, last, steps, at, lengths, weights, values, slot_output,
    mixed, sets, shown, totals, order, seen, sums, kept,
):  # fmt: skip
    """Add up the images of one class for one tile in one order; the sums of each length to kept.

    mixed [sets, images]: products of the images with the fixed slots of each set.
    """
    count, parts = len(members), len(sums) // TILE
    for i in range(count):
        order[i] = members[i]
        _show(weights, members[i], first[members[i]], last[members[i]], steps, at, shown, i)
    cross(gram, width, order, count, shown, totals)
    sums[:] = 0
    seen[:] = 0
    for i in range(count):
        m = members[i]
        for n in range(len(lengths)):
            if i >= lengths[n]:
                for part in range(parts):
                    hold(lengths[n], seen, sums, part * TILE, kept, (n * parts + part) * TILE)
        _count(first[m], steps, at, seen)
        add(values, m * TILE, shown, totals, i, gram[m * width + m], sums)
        if len(slot_output):
            add_along(slot_output[m], shown, i, sums)
        for s in range(sets):
            _add_mixed(mixed, s * (width - fixed) + m - fixed, shown, i, sums, 3 + s)
    for n in range(len(lengths)):
        for part in range(parts):
            hold(lengths[n], seen, sums, part * TILE, kept, (n * parts + part) * TILE)


@njit(**INLINE)
def _close(sums, c, B, at, products, moved, biased, scale, answers, to):
    if biased:
        output = (moved.output + c) * B + at
        close_biased(sums, 0, moved.output_square[c], products, output, scale, answers, to)
    else:
        close(sums, 0, scale, answers, to)


@njit(**OPTIONS)
def read_orders(
    products, slots, fixed, orders, beta, moved, affine, biased, lengths, scale, dynamic, static,
):  # fmt: skip
    """Fill the logits of all classes for a block of B queries.

    products [M, B]; `fixed` slots of a class come before its images; dynamic [sets, orders,
    lengths, C, B]: the first sets are what dynamic memories begin with; static [sets, C, B]: all
    sets read alone. A length counts the images that a query sees, in the order of entropy.
    """
    most = 0
    for c in range(len(slots.start) - 1):
        most = max(most, slots.start[c + 1] - slots.start[c])
    D, orders_count, L, C, B = dynamic.shape
    weights = np.zeros((most + 1) * TILE, products.dtype)
    values, shown, totals = np.zeros_like(weights), np.zeros_like(weights), np.zeros_like(weights)
    mixed = np.zeros(D * (most - fixed) * TILE, products.dtype)
    order = np.zeros(most + 1, np.int64)
    seen, sums = np.zeros(TILE, products.dtype), np.zeros((3 + D) * TILE, products.dtype)
    kept, whole = np.zeros(L * len(sums), products.dtype), np.zeros(SUMS, products.dtype)
    base = np.zeros((len(slots.sets) - 1, SUMS), products.dtype)
    flat, answers, alone = products.reshape(-1), dynamic.reshape(-1), static.reshape(-1)
    for c in range(C):
        a, z = slots.start[c], slots.start[c + 1]
        gram, width = slots.gram[slots.offset[c] : slots.offset[c + 1]], z - a
        slot_output = moved.slot_output[a:z] if biased else moved.slot_output[:0]
        for at in range(0, B, TILE):
            _weigh_class(flat, B, at, c, slots, beta, moved, affine, weights, values)
            for s in range(len(base)):
                _add_set(
                    slots, s, gram, width, weights, values, slot_output, shown, totals, order,
                    base[s],
                )  # fmt: skip
                _close(
                    base[s], c, B, at, flat, moved, biased, scale, alone, (s * C + c) * B + at
                )  # fmt: skip
            for s in range(D):
                for i in range(fixed, width):
                    to = s * (width - fixed) + i - fixed
                    mixed[to * TILE : (to + 1) * TILE] = 0
                    for place in slots.places[slots.sets[s] : slots.sets[s + 1]]:
                        _mix(gram, i * width, weights, place, mixed, to)
            for o in range(orders_count):
                _add_order(
                    gram, width, fixed, orders.members[o, a + fixed : z], orders.first[o, a:z],
                    orders.last[o, a:z], orders.steps[o], at, lengths, weights, values,
                    slot_output, mixed, D, shown, totals, order, seen, sums, kept,
                )  # fmt: skip
                for n in range(L):
                    for s in range(D):
                        _join(base[s], kept, n * len(sums), 3 + s, whole)
                        to = (((s * orders_count + o) * L + n) * C + c) * B + at
                        _close(whole, c, B, at, flat, moved, biased, scale, answers, to)
