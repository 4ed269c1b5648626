"""Compiled search for the classes that can win a fusion of probabilities (method.md, section 10).

Floats that are not negative are in the order of their bits, and whole numbers are compared and
collected faster: each row is looked at twice, and the second time it is in the cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from dmn.engine.compiled.options import OPTIONS

# every product and sum rounds by itself, as numpy's do: nothing is fused here
EXACT = {name: value for name, value in OPTIONS.items() if name != "fastmath"}
INLINE = {**EXACT, "forceinline": True}
# classes that are looked at together
LANES = np.uintp(64)


def bits(x: float) -> int:
    """Return the bits of a float as a whole number of the same size."""
    raise NotImplementedError  # compiled code only


@overload(bits, inline="always")
def _bits(x):
    if x == types.float32:
        return lambda x: np.float32(x).view(np.int32)
    return lambda x: np.float64(x).view(np.int64)


@njit(**INLINE)
def _leader(text, dynamic, static, at, C, tops):
    """Return the first class of the largest sum in the row at `at`; fill each block's largest."""
    best = bits(text[at] - text[at])
    zero, place = best, np.uintp(0)
    for block, first in enumerate(range(np.uintp(0), C, LANES)):
        top = zero
        for c in range(at + first, at + min(first + LANES, C)):
            top = max(top, bits(text[c] + dynamic[c] + static[c]))
        if top > best:
            best, place = top, first
        tops[block] = top
    for c in range(place, C):
        if bits(text[at + c] + dynamic[at + c] + static[at + c]) == best:
            return c
    return place


@njit(**INLINE)
def _survivors(bits_of, at, C, tops, limits, found):
    """Fill `found` with the classes of a row beyond a limit in any prediction; return how many."""
    t, d, s = bits_of
    t0, d0, s0 = limits
    least, kept = min(t0, min(d0, s0)), 0
    for block, first in enumerate(range(np.uintp(0), C, LANES)):
        # a probability is at most its class's sum
        if tops[block] > least:
            for c in range(first, min(first + LANES, C)):
                found[kept] = c
                kept += ((t0 - t[at + c]) | (d0 - d[at + c]) | (s0 - s[at + c])) < 0
    return kept


@njit(**INLINE)
def _front(text, dynamic, static, at, found, count, margin):
    """Keep of the classes `found`, ascending, those that none of the others beats; return how many.

    A class never comes first where one before it has as much of all three, since rounding keeps
    the order and the first of equals wins. Nor where any other has more of all three by the
    margin, which is more than rounding can take away. 0 if one is no probability.
    """
    kept = 0
    for i in range(count):
        c = np.uintp(found[i])
        t, d, s = text[at + c], dynamic[at + c], static[at + c]
        if not (t >= 0 and d >= 0 and s >= 0):
            return 0
        beaten = False
        for k in range(kept):
            r = at + np.uintp(found[k])
            if t <= text[r] and d <= dynamic[r] and s <= static[r]:
                beaten = True
                break
        if beaten:
            continue
        t, d, s = t * margin, d * margin, s * margin
        left = 0
        for k in range(kept):
            r = at + np.uintp(found[k])
            if text[r] > t or dynamic[r] > d or static[r] > s:
                found[left] = found[k]
                left += 1
        found[left] = c
        kept = left + 1
    return kept


@njit(**EXACT)
def _longer(array, room):
    """Return a copy of array [..., M] with room for more."""
    wider = np.empty((*array.shape[:-1], room), array.dtype)
    wider[..., : array.shape[-1]] = array
    return wider


@njit(**EXACT)
def collect(text, dynamic, static, bits_of, C, margin, start):
    """Find the classes of each row that come first under any weights that are not negative.

    text, dynamic, static [N * C] and their bits. Fills start [N + 1]; returns classes [M] and
    values [3, M], row by row, and the first row that has no probabilities, -1 for none.
    """
    N, width, used = len(start) - 1, np.uintp(C), 0
    found, tops = np.empty(C + 1, np.int32), np.empty(C // 64 + 1, bits_of[0].dtype)
    classes, values = np.empty(4 * N + C, np.int32), np.empty((3, 4 * N + C), text.dtype)
    start[0] = 0
    for i in range(N):
        at = np.uintp(i) * width
        c = at + _leader(text, dynamic, static, at, width, tops)
        limits = (bits(text[c] * margin), bits(dynamic[c] * margin), bits(static[c] * margin))
        count = _survivors(bits_of, at, width, tops, limits, found)
        count = _front(text, dynamic, static, at, found, count, margin)
        if count == 0 or not text[c] + dynamic[c] + static[c] < np.inf:
            return classes, values, i
        if used + count > len(classes):
            room = 2 * (used + count)
            classes, values = _longer(classes, room), _longer(values, room)
        for k in range(count):
            own = at + np.uintp(found[k])
            classes[used] = found[k]
            values[0, used], values[1, used], values[2, used] = text[own], dynamic[own], static[own]
            used += 1
        start[i + 1] = used
    return classes[:used].copy(), values[:, :used].copy(), -1


@njit(**EXACT)
def answer(start, classes, values, weights, answers, scores):
    """Fill answers [N] and scores [N] with each row's first largest weighted sum and its class."""
    first, second, third = weights[0], weights[1], weights[2]
    for i in range(len(answers)):
        at = start[i]
        best = first * values[0, at] + second * values[1, at] + third * values[2, at]
        answers[i] = classes[at]
        for k in range(at + 1, start[i + 1]):
            score = first * values[0, k] + second * values[1, k] + third * values[2, k]
            if score > best:
                best, answers[i] = score, classes[k]
        scores[i] = best


@njit(**EXACT)
def count_correct(start, classes, values, labels, dynamic_weights, static_weights, correct):
    """Add to correct [P] how many rows each pair of weights [P] answers with their label.

    correct is of whole numbers of the size of the values.
    """
    P = np.uintp(len(correct))
    own, lost = np.empty(P, values.dtype), np.empty(P, correct.dtype)
    one, zero = correct.dtype.type(1), correct.dtype.type(0)
    for i in range(len(labels)):
        mine = start[i]
        while mine < start[i + 1] and classes[mine] != labels[i]:
            mine += 1
        if mine == start[i + 1]:
            continue
        t, d, s = values[0, mine], values[1, mine], values[2, mine]
        for p in range(P):
            own[p] = t + dynamic_weights[p] * d + static_weights[p] * s
            lost[p] = 0
        for k in range(start[i], start[i + 1]):
            t, d, s = values[0, k], values[1, k], values[2, k]
            if k < mine:
                for p in range(P):
                    score = t + dynamic_weights[p] * d + static_weights[p] * s
                    lost[p] = lost[p] | (one if score >= own[p] else zero)
            elif k > mine:
                for p in range(P):
                    score = t + dynamic_weights[p] * d + static_weights[p] * s
                    lost[p] = lost[p] | (one if score > own[p] else zero)
        for p in range(P):
            correct[p] += one - lost[p]
