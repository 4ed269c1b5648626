"""Linear probe: logistic regression on the shots' features.

L-BFGS, at most 1,000 iterations, the strength of the L2 penalty chosen on validation images; the
published example uses C = 0.316.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes

SOURCE = (
    "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021"
)
SETTINGS = ("training_free",)
SEES = "image"
NEEDS = ("shots",)
CANDIDATES = {"strength": tuple(float(c) for c in 10.0 ** np.arange(-3, 7))}


class Options(PeerOptions):
    """The strength of their published example."""

    strength: float = Field(0.316, gt=0, description="C, inverse weight of the L2 penalty")


def fit(given: Given, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [C, D] and biases [C] fitted to the shots."""
    from sklearn.linear_model import LogisticRegression

    assert given.shots is not None
    C, K, D = given.shots.shape
    probe = LogisticRegression(C=options.strength, max_iter=1000, tol=1e-6, solver="lbfgs")
    probe.fit(given.shots.reshape(C * K, D), np.repeat(np.arange(C), K))
    if C > 2:
        return probe.coef_, probe.intercept_
    # two classes: one column of log odds
    coefficients = np.concatenate([np.zeros_like(probe.coef_), probe.coef_])
    return coefficients, np.concatenate([np.zeros(1), probe.intercept_])


def answer(fitted: tuple[np.ndarray, np.ndarray], images: Images, options: Options) -> np.ndarray:
    """Return x W' + b, [N, C]."""
    weights, biases = fitted
    return images.x @ weights.T + biases


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return one product with the weights."""
    return Cost(sizes.classes * sizes.dimension, sizes.classes * (sizes.dimension + 1))
