"""A compiled loop that moves vectors from one sum to another (evaluation/weights/coherence.py)."""

from __future__ import annotations

from numba import njit

from dmn.engine.compiled.options import OPTIONS


@njit(**OPTIONS)
def move(vectors, squares, before, after, sums, sums_of_squares, counts):
    """Move vectors [N, D] with their squared norms [N] between the sums [C, D] of C classes.

    before, after [N]: the class of each; before -1: it is in no sum yet. Sums go by row, so a
    place's bits depend on nothing but its own vectors and their order.
    """
    N, D = vectors.shape
    for n in range(N):
        old, new = before[n], after[n]
        if old == new:
            continue
        if old >= 0:
            for d in range(D):
                sums[old, d] -= vectors[n, d]
            sums_of_squares[old] -= squares[n]
            counts[old] -= 1
        for d in range(D):
            sums[new, d] += vectors[n, d]
        sums_of_squares[new] += squares[n]
        counts[new] += 1
