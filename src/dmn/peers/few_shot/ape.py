"""APE: a cache of the shots on few, telling dimensions, beside CLIP's text classifier.

Dimensions are kept whose text and shot features agree little between classes and whose text
features vary much. A shot that text alone takes for another class counts for more:
`logits = s x T' + alpha exp(-beta (1 - x F')) exp(gamma r) L`, the cache term on the kept
dimensions, r = -log2 of the text's probability of the shot's class there, without a scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.few_shot.tip_adapter import build_keys
from dmn.peers.formulas import softmax, unit

SOURCE = "Zhu et al., Not All Features Matter (APE), ICCV 2023, arXiv 2304.01195"
SETTINGS = ("training_free",)
SEES = "image"
NEEDS = ("text", "shots")
# the ranges of the authors' DTD; they try 200 x 20 x 20 values
CANDIDATES = {
    "beta": tuple((0.1 + np.arange(20) * 6.9 / 20).tolist()),
    "alpha": tuple((0.1 + np.arange(20) * 6.9 / 20).tolist()),
    "gamma": (0.1, 0.4, 0.7),
}
FLOOR = 1e-6


class Options(PeerOptions):
    """Where the authors' search begins, and their dimensions, on DTD."""

    alpha: float = Field(3.0, ge=0, description="ratio of the cache")
    beta: float = Field(1.0, gt=0, description="sharpness of the cache")
    gamma: float = Field(0.1, description="weight of a shot's divergence from the text")
    kept: int = Field(400, ge=1, description="dimensions kept, at most")
    similarity_weight: float = Field(0.5, ge=0, description="of agreement between classes")
    variance_weight: float = Field(0.5, ge=0, description="of variance over the text features")


class Fitted:
    """Kept dimensions [Q]; keys [C*K, Q] of unit norm there; divergences [C*K]."""

    def __init__(self, given: Given, options: Options) -> None:
        assert given.shot_views is not None
        assert given.shots is not None
        C, K, D = given.shots.shape
        self.given = given
        keys = build_keys(given.shot_views)
        self.kept = choose_dimensions(given.text, keys.reshape(C, K, D), options)
        self.keys = unit(keys[:, self.kept])
        told = softmax(self.keys @ unit(given.text[:, self.kept]).T)
        own = told[np.arange(C * K), np.repeat(np.arange(C), K)]
        self.divergence = np.log2((1 + FLOOR) / (own + FLOOR))


def choose_dimensions(text: np.ndarray, keys: np.ndarray, options: Options) -> np.ndarray:
    """Return the dimensions [Q] of least agreement and most variance; text [C, D], keys [C, K, D].

    Agreement is the mean product over all pairs of text and shots of two classes.
    """
    C, K, D = keys.shape
    sums = text + keys.sum(axis=1)
    pairs = C * (C - 1) * (K + 1) ** 2
    agreement = (sums.sum(axis=0) ** 2 - (sums**2).sum(axis=0)) / pairs
    variance = text.var(axis=0, ddof=1)
    worth = options.variance_weight * variance - options.similarity_weight * agreement
    return np.argsort(-worth, kind="stable")[: min(options.kept, D)]


def fit(given: Given, options: Options) -> Fitted:
    """Return the cache."""
    return Fitted(given, options)


def sweep(fitted: Fitted, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield CLIP's logits [N, C] with the cache's answer added, with each candidate.

    Similarities are raised once for each beta in a row.
    """
    clip = fitted.given.logits(images.x)
    affinity = unit(images.x[:, fitted.kept]) @ fitted.keys.T
    C = clip.shape[1]
    for beta, alike in groupby(candidates, lambda candidate: candidate.beta):
        weights = np.exp(-beta * (1 - affinity))
        read: dict[float, np.ndarray] = {}
        for candidate in alike:
            gamma = candidate.gamma
            if gamma not in read:
                raised = weights * np.exp(gamma * fitted.divergence)
                read[gamma] = raised.reshape(len(clip), C, -1).sum(axis=2)
            yield clip + candidate.alpha * read[gamma]


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products with text and keys, and the sum over keys."""
    keys, kept = sizes.classes * sizes.shots, min(options.kept, sizes.dimension)
    return Cost(sizes.classes * sizes.dimension + keys * kept + keys, keys * (kept + 1))
