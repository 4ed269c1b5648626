"""ZLaP, inductive: labels are spread over a graph of texts and unlabelled images beforehand.

The unlabelled images are the shots, whose labels are not used. A test image answers with what it
is joined to: `b' (I - alpha W)^-1 Y`, b its similarities to the nearest images and texts.
"""

from __future__ import annotations

import numpy as np

from dmn.peers.batch import zlap
from dmn.peers.batch.zlap import CANDIDATES, SOURCE, Options, edges, spread
from dmn.peers.contract import Cost, Given, Images, Sizes

__all__ = ["CANDIDATES", "SOURCE", "Options"]

SETTINGS = ("training_free",)
SEES = "image"
NEEDS = ("text", "shots")
Fitted = tuple[Given, np.ndarray, np.ndarray]


def fit(given: Given, options: zlap.Options) -> Fitted:
    """Return what is given, the unlabelled images [M, D] and the label mass Z [C + M, C]."""
    assert given.shots is not None
    x = given.shots.reshape(-1, given.shots.shape[2])
    return given, x, spread(given.text, x, options)


def answer(fitted: Fitted, images: Images, options: zlap.Options) -> np.ndarray:
    """Return b' Z, [N, C]."""
    given, unlabelled, mass = fitted
    near, weights = edges(images.x, unlabelled, options.neighbours, 1.0)
    spoken, raised = edges(images.x, given.text, options.texts, options.gamma)
    told = np.einsum("nk,nkc->nc", weights, mass[near + len(given.text)])
    return told + np.einsum("nk,nkc->nc", raised, mass[spoken])


def cost(sizes: Sizes, options: zlap.Options) -> Cost:
    """Return the similarities to unlabelled images and texts, and the weighted sums."""
    C, D = sizes.classes, sizes.dimension
    kept = C * sizes.shots
    return Cost(
        (kept + C) * D + (options.neighbours + options.texts) * C, kept * D + (kept + C) * C
    )
