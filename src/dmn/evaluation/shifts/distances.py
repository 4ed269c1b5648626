"""How far features have moved: distances between two sets of images, and what text makes of it.

None reads a label. Features x [N, D] are view 0 of unit length, text [C, D]; float64.
"""

from __future__ import annotations

import numpy as np

from dmn.randomness import generator

# images of a set that MMD and Frechet's distance look at, drawn the same for everybody
MOST = 2000
LABEL_FREE = ("mean_distance", "frechet", "mmd", "confidence_drop", "margin_drop")


def distances(
    clean: np.ndarray, moved: np.ndarray, text: np.ndarray, scale: float
) -> dict[str, float]:
    """Return each distance of `moved` [M, D] from `clean` [N, D], by name.

    mean_distance: between the means; frechet and mmd: see there; confidence_drop and margin_drop:
    what text's largest probability, and its lead in cosine over the second, lose on average.
    """
    x, y, t = (_unit(a) for a in (clean, moved, text))
    p, q = _confidence(x, t, scale), _confidence(y, t, scale)
    some = _some(x), _some(y)
    return {
        "mean_distance": float(np.linalg.norm(x.mean(axis=0) - y.mean(axis=0))),
        "frechet": frechet(*some),
        "mmd": mmd(*some),
        "confidence_drop": float(100 * (p[0] - q[0])),
        "margin_drop": float(p[1] - q[1]),
    }


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Return Frechet's distance between the Gaussians of x [N, D] and y [M, D], squared.

    |m - n|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2) of their means and covariances (Dowson and
    Landau, J. Multivariate Analysis 1982). The last trace is that of the singular values of X'Y',
    the centred sets over the roots of their sizes, which needs no root of a D x D matrix.
    """
    m, n = x.mean(axis=0), y.mean(axis=0)
    a, b = (x - m) / np.sqrt(len(x)), (y - n) / np.sqrt(len(y))
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(max(0.0, ((m - n) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * shared))


def mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Return the squared maximum mean discrepancy of x [N, D] and y [M, D], unbiased.

    Of the kernel exp(-|u - v|^2 / s), s the median squared distance in x (Gretton et al., JMLR
    2012); just below zero where nothing has moved.
    """
    within = _squared(x, x)
    other = within[~np.eye(len(x), dtype=bool)]
    spread = float(np.median(other)) or 1.0

    def mean_apart(found: np.ndarray) -> float:
        count = len(found)
        return float((np.exp(-found / spread).sum() - count) / (count * (count - 1)))

    across = float(np.exp(-_squared(x, y) / spread).mean())
    return mean_apart(within) + mean_apart(_squared(y, y)) - 2 * across


def _unit(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=-1, keepdims=True))


def _some(x: np.ndarray) -> np.ndarray:
    """Return at most MOST rows of x."""
    if len(x) <= MOST:
        return x
    rows = generator(0, "distance", len(x)).permutation(len(x))[:MOST]
    return np.asarray(x[np.sort(rows)])


def _squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    found = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T
    if x is y:
        np.fill_diagonal(found, 0.0)
    return np.asarray(np.maximum(found, 0.0))


def _confidence(x: np.ndarray, text: np.ndarray, scale: float) -> tuple[float, float]:
    """Return the mean of text's largest probability, and of its lead in cosine over the second."""
    similar = x @ text.T
    raised = np.exp(scale * (similar - similar.max(axis=1, keepdims=True)))
    best = np.sort(similar, axis=1)
    lead = best[:, -1] - best[:, -2] if similar.shape[1] > 1 else np.zeros(len(x))
    return float((1 / raised.sum(axis=1)).mean()), float(lead.mean())
