"""CLAP: a linear probe that begins at the text and is held there class by class.

The loss is the shots' cross entropy of `s x w' / |w|` plus `sum_c lambda_c |w_c - t_c|^2`, where
lambda_c is the mean probability that the text gives class c's own shots: no validation images are
needed. The authors take stochastic gradient steps; here L-BFGS goes to the nearest minimum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import log_softmax, softmax, unit

SOURCE = "Silva-Rodriguez et al., A Closer Look at Few-Shot Adaptation, CVPR 2024, 2312.12730"
SETTINGS = ("few_shot",)
SEES = "image"
NEEDS = ("text", "shots")
CANDIDATES: Mapping[str, Sequence[Any]] = {}


class Options(PeerOptions):
    """Free of choices by design."""

    steps: int = Field(300, ge=1, description="steps of the optimiser, at most")


def fit(given: Given, options: Options) -> np.ndarray:
    """Return s times the classifier [C, D] of unit norm, trained on the shots' augmented views."""
    from scipy.optimize import minimize

    assert given.shot_views is not None
    C, _, V, D = given.shot_views.shape
    x = unit(given.shot_views[:, :, min(1, V - 1) :]).reshape(-1, D)
    labels = np.repeat(np.arange(C), len(x) // C)
    held = hold(given, labels, x)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = penalised(flat.reshape(C, D), given, x, labels, held)
        return value, gradient.ravel()

    found = minimize(
        loss, given.text.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": options.steps}
    )
    return given.logit_scale * unit(found.x.reshape(C, D))


def hold(given: Given, labels: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return lambda [C]: the mean probability that the text gives a class's own images."""
    own = softmax(given.logits(x))[np.arange(len(labels)), labels]
    return np.bincount(labels, weights=own) / np.bincount(labels)


def penalised(
    weights: np.ndarray, given: Given, x: np.ndarray, labels: np.ndarray, held: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the loss of a classifier [C, D] and its gradient."""
    rows, count = np.arange(len(labels)), len(labels)
    length = np.linalg.norm(weights, axis=1, keepdims=True)
    direction = weights / length
    log_p = log_softmax(given.logit_scale * (x @ direction.T))
    wrong = np.exp(log_p)
    wrong[rows, labels] -= 1
    along = given.logit_scale / count * (wrong.T @ x)
    along -= (along * direction).sum(axis=1, keepdims=True) * direction
    away = weights - given.text
    value = -log_p[rows, labels].mean() + held @ (away**2).sum(axis=1)
    return float(value), along / length + 2 * held[:, None] * away


def answer(fitted: np.ndarray, images: Images, options: Options) -> np.ndarray:
    """Return s x w' / |w|, [N, C]."""
    return images.x @ fitted.T


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return one product with the classifier."""
    return Cost(sizes.classes * sizes.dimension, sizes.classes * sizes.dimension)
