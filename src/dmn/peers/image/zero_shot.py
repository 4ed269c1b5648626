"""Zero-shot CLIP: an image goes to the class whose text feature is closest in direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes

SOURCE = (
    "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021"
)
SETTINGS = ("zero_shot",)
SEES = "image"
NEEDS = ("text",)
CANDIDATES: Mapping[str, Sequence[Any]] = {}


class Options(PeerOptions):
    """Nothing to choose."""


def fit(given: Given, options: Options) -> Given:
    """Return what is given: nothing is made beforehand."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return s <x, t>, [N, C]."""
    return fitted.logits(images.x)


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return one product with the text features."""
    return Cost(sizes.classes * sizes.dimension, 0)
