"""MTA: the mode of an image's views, found by mean shift, with a weight for each view.

A view weighs more where the density is high and where the text says the same of other views that
weigh much. The mode is compared with the text.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import softmax, unit

SOURCE = "Zanella and Ben Ayed, On the Test-Time Zero-shot Generalization of VLMs, CVPR 2024"
SETTINGS = ("zero_shot",)
SEES = "image"
NEEDS = ("text", "views")
CANDIDATES = {"affinity": (1.0, 4.0, 16.0)}


class Options(PeerOptions):
    """The authors' one setting."""

    affinity: float = Field(4.0, ge=0, description="lambda, weight of what the text says of views")
    smoothness: float = Field(0.2, gt=0, description="lambda_y, weight of the entropy of weights")
    nearest_share: float = Field(0.3, gt=0, le=1, description="views that give a bandwidth")
    iterations: int = Field(5, ge=1, description="rounds, and steps of each part in a round")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: nothing is made beforehand."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return s <mode, t>, [N, C]."""
    return np.concatenate([fitted.logits(modes(fitted, v, options)) for v in images.blocks()])


def modes(given: Given, views: np.ndarray, options: Options) -> np.ndarray:
    """Return the mode [B, D] of the views [B, V, D] of some images, from the plain view on.

    Weights y = softmax((K(f_p - m) + lambda sum_q w_pq y_q) / lambda_y), K a Gaussian with the
    bandwidth of a view, w_pq the product of the text's predictions for two views.
    """
    V = views.shape[1]
    told = softmax(given.logits(views))
    agreement = told @ told.transpose(0, 2, 1)
    squares = bandwidths(views, options)
    weights, mode = np.full(views.shape[:2], 1 / V), views[:, 0]
    for _ in range(options.iterations):
        density = kernel(views, mode, squares)
        for _ in range(options.iterations):
            spoken = (agreement * weights[:, None]).sum(axis=2)
            weights = softmax((density + options.affinity * spoken) / options.smoothness)
        for _ in range(options.iterations):
            pull = kernel(views, mode, squares) * weights
            mode = unit(np.einsum("bv,bvd->bd", pull, views))
    return mode


def bandwidths(views: np.ndarray, options: Options) -> np.ndarray:
    """Return h^2 of each view, [B, V]: half the mean squared distance to its nearest views."""
    V = views.shape[1]
    near = max(1, int(options.nearest_share * (V - 1)))
    squared = np.maximum(2 - 2 * views @ views.transpose(0, 2, 1), 0)
    nearest = np.sort(squared, axis=2)[:, :, 1 : near + 1]
    return np.maximum(0.5 * nearest.mean(axis=2), np.finfo(np.float64).eps)


def kernel(views: np.ndarray, mode: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Return exp(-|f - m|^2 / (2 h^2)), [B, V]."""
    distance = ((views - mode[:, None]) ** 2).sum(axis=2)
    return np.exp(-distance / (2 * squares))


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products of views with text and each other, and the rounds."""
    C, D, V = sizes.classes, sizes.dimension, sizes.views
    rounds = options.iterations * options.iterations * (V * V + 2 * V * D)
    return Cost(V * C * D + V * V * (C + D) + rounds + C * D, 0, encodings=V)
