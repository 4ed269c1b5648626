"""ZERO: the most certain views of an image vote, each for its most probable class.

A softmax at temperature zero is such a vote. Of classes with as many votes the first wins, as in
the authors' pseudo-code.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import entropy, log_softmax

SOURCE = "Farina et al., Frustratingly Easy Test-Time Adaptation, NeurIPS 2024, arXiv 2405.18330"
SETTINGS = ("zero_shot",)
SEES = "image"
NEEDS = ("text", "views")
CANDIDATES = {"share": (0.1, 0.2, 0.3, 0.5, 1.0)}


class Options(PeerOptions):
    """The authors' one setting."""

    share: float = Field(0.3, gt=0, le=1, description="of the views, least entropy, that vote")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: nothing is made beforehand."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return the votes [N, C]."""
    return np.concatenate([votes(fitted, views, options.share) for views in images.blocks()])


def votes(given: Given, views: np.ndarray, share: float) -> np.ndarray:
    """Return the votes [B, C] of the views [B, V, D] of some images."""
    log_p = log_softmax(given.logits(views))
    kept = max(1, int(share * views.shape[1]))
    sure = np.argsort(entropy(log_p), axis=1, kind="stable")[:, :kept]
    named = np.take_along_axis(log_p.argmax(axis=2), sure, axis=1)
    return (named[:, :, None] == np.arange(log_p.shape[2])).sum(axis=1).astype(np.float64)


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products of views with the text."""
    V = sizes.views
    return Cost(V * sizes.classes * sizes.dimension, 0, encodings=V)
