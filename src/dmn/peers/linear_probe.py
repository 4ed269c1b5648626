"""Linear probe: logistic regression on the shots' features, as in Radford et al. 2021.

Radford et al., arXiv 2103.00020: L-BFGS, at most 1,000 iterations, the strength of the L2
penalty chosen on validation images; their published example uses C = 0.316.
"""

from __future__ import annotations

import numpy as np

STRENGTH = 0.316
STRENGTHS = tuple(float(c) for c in 10.0 ** np.arange(-3, 7))


def fit(shots: np.ndarray, strength: float = STRENGTH) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [C, D] and biases [C] fitted to shots [C, K, D] of unit norm."""
    from sklearn.linear_model import LogisticRegression

    C, K, D = shots.shape
    probe = LogisticRegression(C=strength, max_iter=1000, tol=1e-6, solver="lbfgs")
    probe.fit(shots.reshape(C * K, D), np.repeat(np.arange(C), K))
    if C > 2:
        return probe.coef_, probe.intercept_
    # two classes: one column of log odds
    coefficients = np.concatenate([np.zeros_like(probe.coef_), probe.coef_])
    return coefficients, np.concatenate([np.zeros(1), probe.intercept_])


def logits(x: np.ndarray, fitted: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the class scores [N, C] of x [N, D]."""
    weights, biases = fitted
    return x @ weights.T + biases


def select(shots: np.ndarray, x: np.ndarray, labels: np.ndarray) -> float:
    """Return the strength with the most right answers on validation images; the first wins."""
    right = [
        int((logits(x, fit(shots, strength)).argmax(axis=1) == labels).sum())
        for strength in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(right))]


def cost(classes: int, dimension: int) -> dict[str, int]:
    """Return multiply-adds an image beyond its encoding, and numbers kept."""
    return {"operations": classes * dimension, "numbers": classes * (dimension + 1)}
