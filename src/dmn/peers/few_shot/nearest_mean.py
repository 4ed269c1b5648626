"""Nearest class mean: an image goes to the class whose mean shot is closest in direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import unit

SOURCE = "Snell et al., Prototypical Networks for Few-shot Learning, 2017, on frozen features"
SETTINGS = ("training_free",)
SEES = "image"
NEEDS = ("shots",)
CANDIDATES: Mapping[str, Sequence[Any]] = {}


class Options(PeerOptions):
    """Nothing to choose."""


def fit(given: Given, options: Options) -> np.ndarray:
    """Return s times the mean shot's direction of each class, [C, D]."""
    assert given.shots is not None
    return given.logit_scale * unit(given.shots.mean(axis=1))


def answer(fitted: np.ndarray, images: Images, options: Options) -> np.ndarray:
    """Return s <x, mean>, [N, C]."""
    return images.x @ fitted.T


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return one product with the class means."""
    return Cost(sizes.classes * sizes.dimension, sizes.classes * sizes.dimension)
