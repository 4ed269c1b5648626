"""TDA: training-free dynamic adapter with a positive and a negative cache of test images.

Both caches keep, for each pseudo-label, the images of least entropy. The positive one adds
evidence for its class; the negative one, filled with uncertain images only, subtracts evidence for
all classes that such an image gave some probability. What is stored when follows from the text's
predictions alone, so the caches are read for blocks of images at a time, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import entropy, log_softmax
from dmn.peers.online.caches import read, schedule

SOURCE = "Karmanov et al., Efficient Test-Time Adaptation of VLMs, CVPR 2024, arXiv 2403.18293"
SETTINGS = ("zero_shot",)
SEES = "stream"
NEEDS = ("text",)
CANDIDATES = {
    "positive_alpha": (0.0, 0.5, 1.0, 2.0, 3.0, 5.0),
    "negative_alpha": (0.0, 0.05, 0.117, 0.3, 1.0),
}
# positive alpha and beta by data set, from the configuration files of kdiAAA/TDA
_RELEASED = {
    "caltech101": (5.0, 5.0), "dtd": (2.0, 3.0), "eurosat": (4.0, 8.0),
    "fgvc_aircraft": (2.0, 2.0), "flowers102": (1.0, 5.0), "food101": (1.0, 1.0),
    "imagenet": (2.0, 5.0), "imagenet_a": (2.0, 5.0), "imagenet_r": (1.0, 8.0),
    "imagenet_sketch": (2.363, 7.45), "imagenet_v2": (1.0, 8.0), "oxford_pets": (2.0, 7.0),
    "stanford_cars": (1.0, 7.0), "sun397": (2.0, 3.0), "ucf101": (3.0, 8.0),
}  # fmt: skip
RELEASED = {
    name: {"positive_alpha": alpha, "positive_beta": beta}
    for name, (alpha, beta) in _RELEASED.items()
}


class Options(PeerOptions):
    """The released setting of ImageNet, everywhere."""

    positive_capacity: int = Field(3, ge=1, description="slots of a class in the positive cache")
    positive_alpha: float = Field(2.0, ge=0, description="ratio of the positive cache")
    positive_beta: float = Field(5.0, gt=0, description="sharpness of the positive cache")
    negative_capacity: int = Field(2, ge=1, description="slots of a class in the negative cache")
    negative_alpha: float = Field(0.117, ge=0, description="ratio of the negative cache")
    negative_beta: float = Field(1.0, gt=0, description="sharpness of the negative cache")
    entropy_low: float = Field(0.2, description="entropy above which an image counts as uncertain")
    entropy_high: float = Field(0.5, description="entropy below which it does")
    mask_low: float = Field(0.03, description="a class with more probability is subtracted from")
    mask_high: float = Field(1.0, description="one with as much is not")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: the caches begin empty."""
    return given


def caches(
    given: Given, images: Images, options: Options
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return CLIP's logits and what the positive and the negative cache say, [N, C] each.

    An image is offered to the caches before they answer for it. As in the authors' program, the
    entropy in nats is divided by log2 C where the bounds of the negative cache are tested.
    """
    clip = given.logits(images.x)
    C = clip.shape[1]
    log_p = log_softmax(clip)
    p, uncertainty, labels = np.exp(log_p), entropy(log_p), clip.argmax(axis=1)
    share = uncertainty / np.log2(C)
    unsure = (options.entropy_low < share) & (share < options.entropy_high)
    every = np.ones(len(clip), dtype=bool)
    positive = schedule(labels, uncertainty, every, C, options.positive_capacity)
    negative = schedule(labels, uncertainty, unsure, C, options.negative_capacity)
    masks = (options.mask_low < p[negative.image]) & (p[negative.image] < options.mask_high)
    return (
        clip,
        read(images.x, positive, np.eye(C)[labels[positive.image]], options.positive_beta),
        read(images.x, negative, masks.astype(np.float64), options.negative_beta),
    )


def sweep(fitted: Given, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield CLIP's logits [N, C] with the caches' answers at their ratios, with each candidate.

    The caches are read once.
    """
    clip, positive, negative = caches(fitted, images, candidates[0])
    for candidate in candidates:
        yield clip + candidate.positive_alpha * positive - candidate.negative_alpha * negative


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products with text and keys, and the weighted sums of the values."""
    C, D = sizes.classes, sizes.dimension
    keys = C * (options.positive_capacity + options.negative_capacity)
    return Cost((keys + C) * D + keys * C, keys * (D + 1 + C))
