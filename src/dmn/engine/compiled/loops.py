"""Loops over one tile of queries, the parts of every compiled read (method.md, sections 7 and 12).

Queries are the fast axis of every loop, in tiles of TILE that stay in the first-level cache, and
sums run over slots one by one: a result depends neither on the vector width nor on how queries are
cut into blocks. Scratch is flat, at offsets that are multiples of the constant TILE, and indices
are unsigned: the compiler then knows which rows are apart and that no index is negative, and makes
vector instructions. By hand, because a library's products sum in an order of their own.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dmn.engine.compiled.exponential import TILE, exp
from dmn.engine.compiled.options import INLINE, OPTIONS

WIDE, TWICE, THRICE = np.uintp(TILE), np.uintp(2 * TILE), np.uintp(3 * TILE)
# of one tile: numerator, squared norm, product with the output bias
SUMS = 3 * TILE


@njit(**INLINE)
def weigh(products, at, beta, weights, i):
    """Set the weights of slot i to exp(-beta (1 - <u, k>)) (section 7, step 4)."""
    p, w = np.uintp(at), np.uintp(i) * WIDE
    for q in range(WIDE):
        weights[w + q] = exp(beta * products[p + q] - beta)


@njit(**INLINE)
def weigh_shifted(products, at, beta, extra, extra_at, more, own, norm, norm_at, weights, i):
    """Set the weights of slot i under query and key biases."""
    p, e, n = np.uintp(at), np.uintp(extra_at), np.uintp(norm_at)
    w = np.uintp(i) * WIDE
    for q in range(WIDE):
        k = (products[p + q] + extra[e + q] + more) * own * norm[n + q]
        weights[w + q] = exp(beta * k - beta)


@njit(**INLINE)
def constant(weight, weights, i):
    w = np.uintp(i) * WIDE
    for q in range(WIDE):
        weights[w + q] = weight


@njit(**INLINE)
def hide(weights, i, low, high):
    """Set the weights of slot i to 0 for the queries that do not see it."""
    w = np.uintp(i) * WIDE
    for q in range(np.uintp(low)):
        weights[w + q] = 0
    for q in range(np.uintp(high), WIDE):
        weights[w + q] = 0


@njit(**INLINE)
def _two_by_four(weights, totals, a, j, g0, g1, g2, g3, h0, h1, h2, h3):
    """Add slots j to j+3 to the cross terms of slots a and a+1."""
    w, t = np.uintp(j) * WIDE, np.uintp(a) * WIDE
    for q in range(WIDE):
        w0, w1 = weights[w + q], weights[w + WIDE + q]
        w2, w3 = weights[w + TWICE + q], weights[w + THRICE + q]
        first = totals[t + q] + g0 * w0 + g1 * w1 + g2 * w2 + g3 * w3
        second = totals[t + WIDE + q] + h0 * w0 + h1 * w1 + h2 * w2 + h3 * w3
        totals[t + q] = first
        totals[t + WIDE + q] = second


@njit(**INLINE)
def _two_by_two(weights, totals, a, j, g0, g1, h0, h1):
    w, t = np.uintp(j) * WIDE, np.uintp(a) * WIDE
    for q in range(WIDE):
        w0, w1 = weights[w + q], weights[w + WIDE + q]
        first = totals[t + q] + g0 * w0 + g1 * w1
        second = totals[t + WIDE + q] + h0 * w0 + h1 * w1
        totals[t + q] = first
        totals[t + WIDE + q] = second


@njit(**INLINE)
def _next(weights, totals, a, h):
    """Add slot a to the cross term of slot a+1."""
    w = np.uintp(a) * WIDE
    for q in range(WIDE):
        totals[w + WIDE + q] = totals[w + WIDE + q] + h * weights[w + q]


@njit(**OPTIONS)
def cross(gram, width, members, count, weights, totals):
    """Set the cross terms of each slot a to sum_{j<a} G_aj w_j, j ascending.

    gram: flat rows of `width`; members: rows of gram that the `count` slots stand for, with room
    for one more. Two slots at a time share the weights that they load; if the last has no partner,
    a row is filled that nobody reads.
    """
    if count:
        members[count] = members[count - 1]
    for q in range(np.uintp((count + 1) // 2 * 2) * WIDE):
        totals[q] = 0
    wide = np.uintp(width)
    for a in range(0, count, 2):
        g, h = np.uintp(members[a]) * wide, np.uintp(members[a + 1]) * wide
        for j in range(0, a - 3, 4):
            n0, n1 = np.uintp(members[j]), np.uintp(members[j + 1])
            n2, n3 = np.uintp(members[j + 2]), np.uintp(members[j + 3])
            _two_by_four(
                weights, totals, a, j, gram[g + n0], gram[g + n1], gram[g + n2], gram[g + n3],
                gram[h + n0], gram[h + n1], gram[h + n2], gram[h + n3],
            )  # fmt: skip
        if a % 4:
            n0, n1 = np.uintp(members[a - 2]), np.uintp(members[a - 1])
            _two_by_two(
                weights, totals, a, a - 2, gram[g + n0], gram[g + n1], gram[h + n0], gram[h + n1]
            )
        _next(weights, totals, a, gram[h + np.uintp(members[a])])


@njit(**INLINE)
def add(products, at, weights, totals, i, diagonal, sums):
    """Add slot i: w <v, x> to the numerator and w (2 sum_j G_ij w_j + G_ii w) to the square."""
    p, s = np.uintp(at), np.uintp(i) * WIDE
    for q in range(WIDE):
        w, t = weights[s + q], totals[s + q]
        sums[q] = sums[q] + w * products[p + q]
        sums[WIDE + q] = sums[WIDE + q] + w * (t + t + diagonal * w)


@njit(**INLINE)
def add_shifted(products, at, extra, extra_at, norm, weights, totals, i, diagonal, sums):
    """As `add`, with a value bias."""
    p, e, s = np.uintp(at), np.uintp(extra_at), np.uintp(i) * WIDE
    for q in range(WIDE):
        w, t = weights[s + q], totals[s + q]
        v = (products[p + q] + extra[e + q]) * norm
        sums[q] = sums[q] + w * v
        sums[WIDE + q] = sums[WIDE + q] + w * (t + t + diagonal * w)


@njit(**INLINE)
def add_along(slot_output, weights, i, sums):
    """Add w <v, b> of the output bias b."""
    s = np.uintp(i) * WIDE
    for q in range(WIDE):
        sums[TWICE + q] = sums[TWICE + q] + weights[s + q] * slot_output


@njit(**INLINE)
def close(sums, at, scale, logits, to):
    """Turn the sums of a tile into logits s <a, x> (section 7, steps 5 and 7); 0 for no slot."""
    zero = scale - scale
    s, t = np.uintp(at), np.uintp(to)
    for q in range(WIDE):
        square = sums[s + WIDE + q]
        cosine = sums[s + q] / np.sqrt(square)
        logits[t + q] = scale * cosine if square > zero else zero


@njit(**INLINE)
def close_biased(sums, at, output_square, query, query_at, scale, logits, to):
    """As `close`, with an output bias (section 7, step 6)."""
    zero, one = scale - scale, scale / scale
    s, t, x = np.uintp(at), np.uintp(to), np.uintp(query_at)
    for q in range(WIDE):
        square = sums[s + WIDE + q]
        inverse = one / np.sqrt(square) if square > zero else zero
        along = sums[s + TWICE + q] * inverse
        length = output_square + along + along + (one if square > zero else zero)
        cosine = sums[s + q] * inverse + query[x + q]
        logits[t + q] = scale * cosine / np.sqrt(length) if length > zero else zero


@njit(**INLINE)
def snapshot(length, seen, sums, kept, at):
    """Keep the sums of the queries whose memory of this length is not over-full yet."""
    hold(length, seen, sums, 0, kept, at)
    hold(length, seen, sums, TILE, kept, at + TILE)


@njit(**INLINE)
def hold(length, seen, sums, part, kept, at):
    k, p = np.uintp(at), np.uintp(part)
    zero, one = seen.dtype.type(0), seen.dtype.type(1)
    for q in range(WIDE):
        full = one if seen[q] > length else zero
        # exact, and no write hangs on a condition, which is slow on some processors
        kept[k + q] = full * kept[k + q] + (one - full) * sums[p + q]
