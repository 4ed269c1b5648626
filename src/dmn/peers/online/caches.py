"""Caches of test images that keep, for each pseudo-label, the images of least entropy.

Which image is in one at what time follows from labels and entropies alone, so that a cache is read
for blocks of images at a time, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BLOCK = 256  # images read at a time


@dataclass(frozen=True)
class Entries:
    """Entries of a cache: image, and the times [start, end) of the stream that it is in it."""

    image: np.ndarray
    start: np.ndarray
    end: np.ndarray


def schedule(
    labels: np.ndarray, certainty: np.ndarray, offered: np.ndarray, classes: int, capacity: int
) -> Entries:
    """Return which of the `offered` images a cache stores, and when.

    An image takes the place of its class's least certain one, if it has less entropy.
    """
    worst = np.full((classes, capacity), np.inf)
    held = np.full((classes, capacity), -1)
    images: list[int] = []
    ends: list[int] = []
    for t in np.flatnonzero(offered).tolist():
        label, value = labels[t], certainty[t]
        slot = worst[label].argmax()
        if value < worst[label, slot]:
            if held[label, slot] >= 0:
                ends[held[label, slot]] = t
            worst[label, slot], held[label, slot] = value, len(images)
            images.append(t)
            ends.append(len(labels))
    stored = np.asarray(images, dtype=np.int64)
    return Entries(stored, stored, np.asarray(ends, dtype=np.int64))


def read(x: np.ndarray, stored: Entries, values: np.ndarray, beta: float) -> np.ndarray:
    """Return exp(-beta (1 - x F')) V, [N, C], with what is stored when each image comes.

    x [N, D]; values [M, C] of the stored images.
    """
    said = np.zeros((len(x), values.shape[1]))
    for first in range(0, len(x), BLOCK):
        times = np.arange(first, min(first + BLOCK, len(x)))
        kept = np.flatnonzero((stored.start <= times[-1]) & (stored.end > first))
        weights = np.exp(-beta * (1 - x[times] @ x[stored.image[kept]].T))
        weights *= (stored.start[kept] <= times[:, None]) & (times[:, None] < stored.end[kept])
        said[times] = weights @ values[kept]
    return said
