"""Gaussians with one covariance for all classes: its inverse, densities and discriminants.

A precision P [D, D] is kept as a whitening W with P = W' W: densities are then distances.
"""

from __future__ import annotations

import numpy as np


def whitening(covariance: np.ndarray) -> np.ndarray:
    """Return W [D, D] of the inverse of a positive definite covariance."""
    from scipy.linalg import cholesky, lapack

    lower = cholesky(covariance, lower=True, check_finite=False)
    return np.tril(lapack.dtrtri(lower, lower=1)[0])


def ridge_whitening(covariance: np.ndarray, count: int) -> np.ndarray:
    """Return W [D, D] of d ((n - 1) S + tr(S) I)^-1 for a covariance S of n samples.

    The empirical Bayes ridge of Kubokawa and Srivastava (2008). Of S = 0, such as one shot a class
    has, it is 0, as the pseudo-inverse of the authors' programs: text alone answers then.
    """
    D = len(covariance)
    if not covariance.any():
        return np.zeros_like(covariance)
    ridge = (count - 1) * covariance
    ridge[np.diag_indices(D)] += np.trace(covariance)
    return np.sqrt(D) * whitening(ridge)


def pseudo_whitening(covariance: np.ndarray) -> np.ndarray:
    """Return W [D, D] of the pseudo-inverse of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    least = values[-1] * len(values) * np.finfo(np.float64).eps
    kept = values > least
    roots = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1)), 0)
    return np.asarray(roots[:, None] * vectors.T)


def log_density(x: np.ndarray, means: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Return -1/2 |W (x - mu)|^2, [N, C], up to a constant; x [N, D], means [C, D]."""
    own, centres = x @ white.T, means @ white.T
    lengths = (own**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    return np.asarray(own @ centres.T - 0.5 * lengths)


def discriminant(means: np.ndarray, white: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [C, D] and biases [C] of <x, P mu> - 1/2 mu' P mu."""
    centres = means @ white.T
    return centres @ white, -0.5 * (centres**2).sum(axis=1)


class Discriminant:
    """Class scores x S^-1 mu' - 1/2 mu S^-1 mu' for means [C, D] and a covariance [D, D].

    The covariance is positive definite; its lower triangle is read.
    """

    def __init__(self, means: np.ndarray, covariance: np.ndarray) -> None:
        from scipy.linalg import cholesky

        self._lower = cholesky(covariance, lower=True, check_finite=False)
        self._centres = self._whiten(means.T)
        self._biases = 0.5 * (self._centres**2).sum(axis=0)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return the scores [C] of one image [D]."""
        return np.asarray(self._whiten(x) @ self._centres - self._biases)

    def _whiten(self, columns: np.ndarray) -> np.ndarray:
        from scipy.linalg import solve_triangular

        return solve_triangular(self._lower, columns, lower=True, check_finite=False)
