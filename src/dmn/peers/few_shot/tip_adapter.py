"""Tip-Adapter: a key-value cache of the shots beside CLIP's text classifier.

Keys are the shots' features, values their one-hot labels:
`logits = s x T' + alpha exp(-beta (1 - x F')) L`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes

SOURCE = "Zhang et al., Tip-Adapter, ECCV 2022, arXiv 2111.03930"
SETTINGS = ("training_free",)
SEES = "image"
NEEDS = ("text", "shots")
# the widest grid that the authors search, of those that they set by data set
CANDIDATES = {
    "beta": tuple(0.1 + np.arange(200) * (30 - 0.1) / 200),
    "alpha": tuple(0.1 + np.arange(20) * (30 - 0.1) / 20),
}
Fitted = tuple[Given, np.ndarray]


class Options(PeerOptions):
    """The paper's defaults."""

    alpha: float = Field(1.0, ge=0, description="residual ratio")
    beta: float = Field(5.5, gt=0, description="sharpness")


def fit(given: Given, options: Options) -> Fitted:
    """Return what is given, and the keys [C*K, D]."""
    assert given.shot_views is not None
    return given, build_keys(given.shot_views)


def build_keys(views: np.ndarray) -> np.ndarray:
    """Return keys [C*K, D] of unit norm from views [C, K, V, D]: the mean of augmented views.

    View 0, the plain image, counts only where there is no other.
    """
    C, K, V, D = views.shape
    mean = views[:, :, min(1, V - 1) :].astype(np.float64).mean(axis=2).reshape(C * K, D)
    return mean / np.linalg.norm(mean, axis=-1, keepdims=True)


def cache_logits(affinity: np.ndarray, beta: float, classes: int) -> np.ndarray:
    """Return exp(-beta (1 - affinity)) L, [N, C]; affinity [N, C*K] with keys class by class."""
    weights = np.exp(-beta * (1 - affinity))
    return weights.reshape(len(affinity), classes, -1).sum(axis=-1)


def sweep(fitted: Fitted, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield CLIP's logits [N, C] with the cache's answer added, with each candidate.

    The cache is read once for each beta in a row.
    """
    given, keys = fitted
    clip, affinity = given.logits(images.x), images.x @ keys.T
    for beta, alike in groupby(candidates, lambda candidate: candidate.beta):
        cache = cache_logits(affinity, beta, clip.shape[1])
        for candidate in alike:
            yield clip + candidate.alpha * cache


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products with text and keys, and the sum over keys."""
    keys = sizes.classes * sizes.shots
    return Cost((keys + sizes.classes) * sizes.dimension + keys, keys * sizes.dimension)
