"""What a memory can do about a stream that is not random; nothing here reads a label.

All are causal: an image's answer rests on the images before it and itself.
"""

from __future__ import annotations

import numpy as np

# a memory abstains before so many images a class have come, and below this balance
LEAST_IMAGES, LEAST_BALANCE = 10.0, 0.8
# of Page and Hinkley's test: the change that does not count, and the sum at which one is found
TOLERANCE, THRESHOLD = 0.02, 5.0
LEAST_CONFIDENCE = 0.5  # of text in its pseudo-label, below which an image does not enter
PRIOR = 1.0  # images of equal shares, in images a class, before the first


def balance(pseudo_label: np.ndarray, classes: int) -> np.ndarray:
    """Return the entropy of the pseudo-labels so far [N] over that of equal counts, 0 to 1.

    Of counts n summing to t it is (log t - sum n log n / t) / log C, which one image changes in
    one count only.
    """
    counts = np.zeros(classes)
    found = np.empty(len(pseudo_label))
    total = 0.0
    for t, label in enumerate(pseudo_label, start=1):
        n = counts[label]
        total += (n + 1) * np.log(n + 1) - (n * np.log(n) if n else 0.0)
        counts[label] += 1
        found[t - 1] = np.log(t) - total / t
    return found / np.log(classes) if classes > 1 else np.ones(len(found))


def abstains(
    pseudo_label: np.ndarray,
    classes: int,
    least_images: float = LEAST_IMAGES,
    least_balance: float = LEAST_BALANCE,
) -> np.ndarray:
    """Say at which images [N] of a stream the memory abstains, for text alone to answer.

    It does while fewer than `least_images` a class have come, and below a balance of pseudo-labels.
    """
    seen = np.arange(1, len(pseudo_label) + 1)
    few = seen < least_images * classes
    return few | (balance(pseudo_label, classes) < least_balance)


def confident(p: np.ndarray, least: float = LEAST_CONFIDENCE) -> np.ndarray:
    """Say of which images [N] text's largest probability, of p [N, C] normalised, is `least`."""
    return np.asarray(p.max(axis=1) >= least * p.sum(axis=1))


def without_prior(p: np.ndarray) -> np.ndarray:
    """Return probabilities p [N, C] in stream order over the classes' shares so far, normalised.

    A share is the mean of p up to the image itself, begun with PRIOR images of each class.
    """
    C = p.shape[1]
    seen = np.arange(1, len(p) + 1)[:, None] + PRIOR * C
    shares = (p.cumsum(axis=0) + PRIOR) / seen
    found = p / shares
    return found / found.sum(axis=1, keepdims=True)


def segments(entropy: np.ndarray, classes: int) -> list[tuple[int, int]]:
    """Return the parts [start, stop) of a stream between changes of the text's entropy [N].

    Page and Hinkley's test on the entropy over log C, in both directions: the sum of its
    deviations from the mean since the last change, less TOLERANCE each, rises THRESHOLD above
    its minimum. A change is found at an image and begins with the next one.
    """
    found, start = [], 0
    values = entropy / np.log(max(classes, 2))
    while start < len(values):
        stop = start + _first_change(values[start:])
        found.append((start, stop))
        start = stop
    return found


def _first_change(values: np.ndarray) -> int:
    """Return how many values pass until a change is found, all of them without one."""
    means = values.cumsum() / np.arange(1, len(values) + 1)
    found = len(values)
    for sign in (1.0, -1.0):
        sums = (sign * (values - means) - TOLERANCE).cumsum()
        risen = sums - np.minimum.accumulate(np.minimum(sums, 0.0))
        if (over := risen > THRESHOLD).any():
            found = min(found, int(over.argmax()) + 1)
    return found
