"""Nearest neighbours by cosine, exactly, in blocks of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK_BYTES = 1 << 26


def nearest(x: np.ndarray, others: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k most similar rows of `others` [M, D] to each of x [N, D], and how similar.

    Both are [N, min(k, M)], the most similar first, of equals the lower row.
    """
    k = min(k, len(others))
    rows = np.empty((len(x), k), dtype=np.int64)
    similar = np.empty((len(x), k))
    step = max(1, BLOCK_BYTES // (8 * len(others)))
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        cosines = x[block] @ others.T
        near = np.arange(len(others))[None]
        if k < len(others):
            near = np.sort(np.argpartition(-cosines, k - 1, axis=1)[:, :k], axis=1)
        values = np.take_along_axis(cosines, near, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        rows[block] = np.take_along_axis(np.broadcast_to(near, values.shape), order, axis=1)
        similar[block] = np.take_along_axis(values, order, axis=1)
    return rows, similar


def affinity(x: np.ndarray, k: int) -> csr_array:
    """Return W + W', [N, N]: W holds the cosines of each row's k neighbours, itself left out."""
    from scipy.sparse import csr_array

    rows, similar = nearest(x, x, k + 1)
    rows, similar = rows[:, 1:], similar[:, 1:]
    starts = np.arange(len(x) + 1) * rows.shape[1]
    one_way = csr_array((similar.ravel(), rows.ravel(), starts), shape=(len(x), len(x)))
    return (one_way + one_way.T).tocsr()
