"""How well answers without labels agree with the images: the label-free criterion (method.md, 10).

Whitened, images of one class lie together. So answers are the better, the more alike each image is
to the others that got its answer. No label of any image that is answered is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from dmn.errors import FeatureError

LEAST = 1e-3  # shrinkage that keeps the covariance invertible
CHUNK = 1 << 26  # bytes of the sums that are made at once
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

    def of(self, answers: np.ndarray) -> np.ndarray:
        """Return the coherence [W] of each of W candidates' answers [W, N].

        The mean over all images of the inner product of a whitened image and the mean of the
        others that have its answer; 0 for an image that is alone.
        """
        distinct, place = _distinct(answers)
        N, C = distinct.shape[1], self.classes
        # most images have one answer whatever the weights: their sums are the same for all
        varies = np.flatnonzero((distinct != distinct[0]).any(axis=0))
        given = np.concatenate([distinct[0], self.known])
        given[varies] = -1
        sure = np.flatnonzero(given >= 0)
        common = _Sums.of(given[None, sure], self.whitened[sure], C)
        step = max(1, CHUNK // (8 * C * self.whitened.shape[1]))
        found = [
            (common + _Sums.of(part[:, varies], self.whitened[varies], C)).pairs()
            for part in (distinct[i : i + step] for i in range(0, len(distinct), step))
        ]
        return (np.concatenate(found) / (N + len(self.known))).round(DIGITS)[place]


@dataclass(frozen=True)
class _Sums:
    """Sums of whitened images by candidate and class: of vectors [W, C, D], squares, counts."""

    vectors: np.ndarray
    squares: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, answers: np.ndarray, images: np.ndarray, classes: int) -> _Sums:
        W, N = answers.shape
        rows = (answers + classes * np.arange(W)[:, None]).reshape(-1)
        member = sparse.csr_array(
            (np.ones(W * N), (rows, np.tile(np.arange(N), W))), shape=(W * classes, N)
        )
        shape = (W, classes)
        return cls(
            np.asarray(member @ images).reshape(*shape, images.shape[1]),
            np.asarray(member @ (images**2).sum(axis=1)).reshape(shape),
            np.bincount(rows, minlength=W * classes).reshape(shape),
        )

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.vectors + other.vectors,
            self.squares + other.squares,
            self.counts + other.counts,
        )

    def pairs(self) -> np.ndarray:
        """Return for each candidate [W] the sum over images of the similarity to the others."""
        different = np.einsum("wcd,wcd->wc", self.vectors, self.vectors) - self.squares
        return np.asarray((different / np.maximum(self.counts - 1, 1)).sum(axis=1))


def _distinct(answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows of answers [W, N], and the place of each row among them [W]."""
    places: dict[bytes, int] = {}
    rows = np.ascontiguousarray(answers)
    place = np.array([places.setdefault(row.tobytes(), len(places)) for row in rows])
    first = np.unique(place, return_index=True)[1]
    return rows[first], place


def whiten(features: np.ndarray) -> np.ndarray:
    """Return features [N, D], of unit norm and centred, divided by the root of their covariance.

    The covariance is shrunk towards a multiple of the identity as Ledoit and Wolf (2004) derive.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    x = features.astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x -= x.mean(axis=0)
    covariance = x.T @ x / len(x)
    scale = np.trace(covariance) / len(covariance)
    if scale == 0:
        return x
    shrinkage = max(float(ledoit_wolf_shrinkage(x, assume_centered=True)), LEAST)
    covariance *= 1 - shrinkage
    covariance[np.diag_indices_from(covariance)] += shrinkage * scale
    root = linalg.cholesky(covariance, lower=True)
    return np.asarray(linalg.solve_triangular(root, x.T, lower=True).T)
