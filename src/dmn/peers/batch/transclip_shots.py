"""TransCLIP with shots: their likelihood is added, with weight gamma.

The shots' labels are known assignments. Means begin at the shots', and the text's predictions
pull half as much as without shots.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dmn.peers.batch import transclip
from dmn.peers.batch.transclip import SOURCE, Gaussians, cost, in_batches, solve, squared_deviation
from dmn.peers.contract import Given, Images
from dmn.peers.formulas import log_softmax, unit

__all__ = ["SOURCE", "cost"]

SETTINGS = ("training_free",)
SEES = "set"
NEEDS = ("text", "shots")
# the authors' values, chosen on validation images
CANDIDATES = {"gamma": (0.002, 0.01, 0.02, 0.2)}


class Options(transclip.Options):
    """The authors' setting; of the values of gamma that they choose among, one between."""

    text_weight: float = Field(0.5, ge=0, description="pull of the text's predictions")
    gamma: float = Field(0.02, ge=0, description="weight of the shots' likelihood")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: nothing is made beforehand."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return the assignments z, [N, C]."""
    return in_batches(images.x, options.batch, lambda x: assign(fitted, x, options))


def assign(given: Given, x: np.ndarray, options: Options) -> np.ndarray:
    """Return the assignments [N, C] of images [N, D]."""
    assert given.shots is not None
    shots, start = given.shots, unit(given.shots.mean(axis=1))
    log_p = log_softmax(given.logits(x))
    return solve(x, log_p, start, options, lambda z: update(x, z, shots, options.gamma))


def update(x: np.ndarray, z: np.ndarray, shots: np.ndarray, gamma: float) -> Gaussians:
    """Return the means of images and shots [C, K, D], on the sphere, and the variance around them.

    An image weighs 1 / N, a shot gamma / (C K).
    """
    image, shot = 1 / len(x), gamma / (len(shots) * shots.shape[1])
    means = unit(image * (z.T @ x) + shot * shots.sum(axis=1))
    spread = image * squared_deviation(x, z, means)
    spread = spread + shot * ((shots - means[:, None]) ** 2).sum(axis=(0, 1))
    return Gaussians(means, spread / (1 + gamma))
