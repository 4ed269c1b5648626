"""BCA: class embeddings and class priors that follow the stream, by Bayes' rule.

`P = softmax(s x mu') M`: the likelihood under each embedding, times the prior over classes of that
embedding. An image is answered first; then the embedding and the prior row of the largest P are
averaged with the image and with P, if P is sure enough.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import softmax, unit

SOURCE = "Zhou et al., Bayesian Test-Time Adaptation for VLMs, CVPR 2025, arXiv 2503.09248"
SETTINGS = ("zero_shot",)
SEES = "stream"
NEEDS = ("text",)
CANDIDATES = {"embedding_count": (20.0, 200.0, 2000.0, 20000.0)}


class Options(PeerOptions):
    """The setting of the public benchmark TTABC, one for all data sets."""

    embedding_count: float = Field(20000.0, gt=0, description="images that the text weighs")
    prior_count: float = Field(1.0, gt=0, description="images that the first prior weighs")
    embedding_threshold: float = Field(0.05, description="least P that moves an embedding")
    prior_threshold: float = Field(0.65, description="least P that moves a prior")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: embeddings begin at the text, priors at the identity."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return P, [N, C]."""
    C, scale = len(fitted.text), fitted.logit_scale
    embeddings, priors = fitted.text.copy(), np.eye(C)
    seen = np.full(C, options.embedding_count)
    priors_seen = np.full(C, options.prior_count)
    scores = np.empty((len(images), C))
    for t, x in enumerate(images.x):
        scores[t] = P = softmax(scale * (embeddings @ x)) @ priors
        k = P.argmax()
        if P[k] > options.embedding_threshold:
            embeddings[k] = unit((seen[k] * embeddings[k] + x) / (seen[k] + 1))
            seen[k] += 1
        if P[k] > options.prior_threshold:
            moved = (priors_seen[k] * priors[k] + P) / (priors_seen[k] + 1)
            priors[k] = moved / moved.sum()
            priors_seen[k] += 1
    return scores


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products with embeddings and priors."""
    C, D = sizes.classes, sizes.dimension
    return Cost(C * D + C * C, C * (D + C + 2))
