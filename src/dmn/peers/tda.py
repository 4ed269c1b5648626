"""TDA: training-free dynamic adapter with a positive and a negative cache of test images.

Karmanov et al., arXiv 2403.18293. Both caches keep, for each pseudo-label, the images of least
entropy. The positive one adds evidence for its class; the negative one, filled with uncertain
images only, subtracts evidence for all classes that such an image gave some probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TdaSettings:
    """The paper's settings, chosen by its authors on ImageNet and then fixed."""

    positive_capacity: int = 3
    positive_alpha: float = 2.0
    positive_beta: float = 5.0
    negative_capacity: int = 2
    negative_alpha: float = 0.117
    negative_beta: float = 1.0
    entropy_low: float = 0.2
    entropy_high: float = 0.5
    mask_low: float = 0.03
    mask_high: float = 1.0


# candidates where the two ratios are chosen on validation images
POSITIVE_ALPHAS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
NEGATIVE_ALPHAS = (0.0, 0.05, 0.117, 0.3, 1.0)


@dataclass
class Cache:
    """Slots [C, capacity]: keys, entropies (infinite where empty) and values [C, capacity, C]."""

    keys: np.ndarray
    entropies: np.ndarray
    values: np.ndarray

    @classmethod
    def empty(cls, classes: int, capacity: int, dimension: int) -> Cache:
        """Return a cache without entries; an empty slot has value 0 and so no effect."""
        return cls(
            np.zeros((classes, capacity, dimension)),
            np.full((classes, capacity), np.inf),
            np.zeros((classes, capacity, classes)),
        )

    def update(self, label: int, key: np.ndarray, entropy: float, value: np.ndarray) -> None:
        """Take an image in place of the class's least certain one, if it is more certain."""
        slot = int(self.entropies[label].argmax())
        if entropy < self.entropies[label, slot]:
            self.keys[label, slot] = key
            self.entropies[label, slot] = entropy
            self.values[label, slot] = value

    def read(self, x: np.ndarray, beta: float) -> np.ndarray:
        """Return exp(-beta (1 - x F')) V, [C], for one image [D]."""
        weights = np.exp(-beta * (1 - self.keys @ x))
        return np.einsum("cs,csk->k", weights, self.values)


def run(
    x: np.ndarray, clip: np.ndarray, settings: TdaSettings | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the positive and the negative cache say, [N, C] each, before their ratios.

    `x` [N, D] of unit norm and CLIP's logits [N, C] come in stream order. Each image is offered
    to the caches before they answer for it. As in the authors' program, the entropy in nats is
    divided by log2 C where the bounds of the negative cache are tested.
    """
    settings = settings or TdaSettings()
    (N, D), C = x.shape, clip.shape[1]
    shifted = clip - clip.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    entropy = -(p * log_p).sum(axis=1)
    labels = clip.argmax(axis=1)
    share = entropy / np.log2(C)
    uncertain = (settings.entropy_low < share) & (share < settings.entropy_high)
    masks = ((p > settings.mask_low) & (p < settings.mask_high)).astype(np.float64)
    one_hot = np.eye(C)
    positive = Cache.empty(C, settings.positive_capacity, D)
    negative = Cache.empty(C, settings.negative_capacity, D)
    said = np.zeros((2, N, C))
    for t in range(N):
        positive.update(labels[t], x[t], entropy[t], one_hot[labels[t]])
        if uncertain[t]:
            negative.update(labels[t], x[t], entropy[t], masks[t])
        said[0, t] = positive.read(x[t], settings.positive_beta)
        said[1, t] = negative.read(x[t], settings.negative_beta)
    return said[0], said[1]


def combine(
    clip: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray,
    alphas: tuple[float, float] | None = None,
) -> np.ndarray:
    """Return CLIP's logits [N, C] with the caches' answers at their ratios."""
    settings = TdaSettings()
    a, b = alphas or (settings.positive_alpha, settings.negative_alpha)
    return clip + a * positive - b * negative


def select(
    clip: np.ndarray, positive: np.ndarray, negative: np.ndarray, labels: np.ndarray
) -> tuple[float, float]:
    """Return the ratios with the most right answers on a validation stream; the first wins."""
    pairs = [(a, b) for a in POSITIVE_ALPHAS for b in NEGATIVE_ALPHAS]
    right = [
        int((combine(clip, positive, negative, pair).argmax(axis=1) == labels).sum())
        for pair in pairs
    ]
    return pairs[int(np.argmax(right))]


def cost(classes: int, dimension: int) -> dict[str, int]:
    """Return multiply-adds an image beyond its encoding, and numbers kept."""
    s = TdaSettings()
    keys = classes * (s.positive_capacity + s.negative_capacity)
    operations = (keys + classes) * dimension + keys * classes
    return {"operations": operations, "numbers": keys * (dimension + 1 + classes)}
