"""How well answers without labels agree with the images: the label-free criterion (method.md, 10).

Whitened, images of one class lie together. So answers are the better, the more alike each image is
to the others that got its answer. No label of any image that is answered is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from scipy import linalg

from dmn.engine.compiled.moves import move
from dmn.engine.recorded import blocks
from dmn.errors import FeatureError

LEAST = 1e-3  # shrinkage that keeps the covariance invertible
ROWS = 4096  # of features that are worked on at once
DIGITS = 9  # of a coherence: what differs by less is a tie on any processor


class Coherence:
    """The images that answers are compared on: N of a stream, and the labelled shots.

    images [N, D]: view 0; shots [C, K, D] or None; both of any norm. The shots have their class as
    their answer, whatever the weights. Raises FeatureError where they do not fit.
    """

    def __init__(self, images: np.ndarray, classes: int, shots: np.ndarray | None = None) -> None:
        if images.ndim != 2 or len(images) == 0:
            raise FeatureError(f"coherence needs images [N, D], got shape {list(images.shape)}")
        known = np.zeros((classes, 0, images.shape[1])) if shots is None else shots
        if known.shape[::2] != (classes, images.shape[1]):
            raise FeatureError(
                f"shots have shape {list(known.shape)}, images {list(images.shape)}, and there are "
                f"{classes} classes; shots are [C, K, D]"
            )
        self.classes = classes
        self.known = np.repeat(np.arange(classes), known.shape[1])
        self.whitened = whiten(np.concatenate([images, known.reshape(-1, images.shape[1])]))

    def of(self, answers: Iterable[np.ndarray]) -> np.ndarray:
        """Return the coherence [W] of each of W candidates' answers [N].

        The mean over all images of the inner product of a whitened image and the mean of the
        others that have its answer; 0 for an image that is alone. Candidates that come one after
        the other cost as many steps as they differ in answers.
        """
        sums = _Sums(self.whitened, self.classes, self.known)
        known: dict[bytes, float] = {}
        found = []
        for own in answers:
            name = hashlib.blake2b(own.tobytes()).digest()
            if name not in known:
                sums.move(own)
                known[name] = sums.pairs() / len(self.whitened)
            found.append(known[name])
        return np.array(found).round(DIGITS)


class _Sums:
    """Sums of whitened vectors [N + M, D] by class: N images move, M shots have their class."""

    def __init__(self, vectors: np.ndarray, classes: int, known: np.ndarray) -> None:
        self.vectors, self.squares = vectors, np.einsum("nd,nd->n", vectors, vectors)
        self.answers = np.full(len(vectors), -1)
        self.sums = np.zeros((classes, vectors.shape[1]))
        self.sums_of_squares, self.counts = np.zeros(classes), np.zeros(classes, np.int64)
        self.known = known

    def move(self, answers: np.ndarray) -> None:
        """Move the images to the classes that they are answered with, [N]."""
        after = np.concatenate([answers, self.known])
        move(
            self.vectors, self.squares, self.answers, after, self.sums, self.sums_of_squares,
            self.counts,
        )  # fmt: skip
        self.answers = after

    def pairs(self) -> float:
        """Return the sum over vectors of the similarity to the others of their class."""
        different = np.einsum("cd,cd->c", self.sums, self.sums) - self.sums_of_squares
        return float((different / np.maximum(self.counts - 1, 1)).sum())


def whiten(features: np.ndarray) -> np.ndarray:
    """Return features [N, D], of unit norm and centred, divided by the root of their covariance.

    The covariance is shrunk towards a multiple of the identity as Ledoit and Wolf (2004) derive.
    """
    x = features.astype(np.float64)
    for start, stop in blocks(len(x), ROWS):
        part = x[start:stop]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    x -= x.mean(axis=0)
    covariance = x.T @ x / len(x)
    scale = np.trace(covariance) / len(covariance)
    if scale == 0:
        return x
    shrinkage = max(_shrinkage(x, covariance), LEAST)
    covariance *= 1 - shrinkage
    covariance[np.diag_indices_from(covariance)] += shrinkage * scale
    root = linalg.cholesky(covariance, lower=True)
    # in the place of x: there are as many numbers as in all features
    return np.asarray(linalg.solve_triangular(root, x.T, lower=True, overwrite_b=True).T)


def _shrinkage(x: np.ndarray, covariance: np.ndarray) -> float:
    """Return the share of the identity of Ledoit and Wolf (2004) for centred x [N, D].

    By hand: scikit-learn's takes longer to load than most jobs last, and squares all features
    though the norm of each suffices.
    """
    N, D = x.shape
    scale = np.trace(covariance) / D
    squared = (covariance**2).sum()
    spread = (np.einsum("nd,nd->n", x, x) ** 2).sum() / N
    noise = (spread - squared) / (D * N)
    distance = squared / D - scale**2
    return float(min(noise, distance) / distance) if distance > 0 else 0.0
