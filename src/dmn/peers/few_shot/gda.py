"""GDA: Gaussian discriminant analysis of the shots beside CLIP's text classifier.

One Gaussian a class around its mean shot, one covariance for all of them with a ridge:
`logits = s x T' + alpha (x W' + b)`, W = mu P, b = log 1/C - 1/2 mu P mu'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import unit
from dmn.peers.gaussian import discriminant, ridge_whitening

SOURCE = "Wang et al., A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation, ICLR 2024"
SETTINGS = ("training_free",)
SEES = "image"
NEEDS = ("text", "shots")
CANDIDATES = {"alpha": (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)}
Fitted = tuple[Given, np.ndarray, np.ndarray]


class Options(PeerOptions):
    """The authors choose alpha on validation images; 1 adds the two classifiers as they are."""

    alpha: float = Field(1.0, ge=0, description="ratio of the Gaussian classifier")


def fit(given: Given, options: Options) -> Fitted:
    """Return what is given, and weights [C, D] and biases [C] of the Gaussian classifier."""
    assert given.shot_views is not None
    C, _, V, D = given.shot_views.shape
    # the augmented passes of the authors: all views but the plain one, where there are others
    x = unit(given.shot_views[:, :, min(1, V - 1) :]).reshape(C, -1, D)
    means = x.mean(axis=1)
    residuals = (x - means[:, None]).reshape(-1, D)
    white = ridge_whitening(residuals.T @ residuals / (len(residuals) - 1), len(residuals))
    weights, biases = discriminant(means, white)
    return given, weights, biases - np.log(C)


def sweep(fitted: Fitted, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield CLIP's logits [N, C] with the Gaussian classifier's added, with each candidate."""
    given, weights, biases = fitted
    clip, own = given.logits(images.x), images.x @ weights.T + biases
    for candidate in candidates:
        yield clip + candidate.alpha * own


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products with text and weights."""
    C, D = sizes.classes, sizes.dimension
    return Cost(2 * C * D, C * (D + 1))
