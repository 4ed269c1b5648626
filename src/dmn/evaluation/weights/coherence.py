"""How well answers without labels agree with the images: the label-free criterion (method.md, 10).

Whitened, images of one class lie together. So answers are the better, the more alike each image is
to the others that got its answer. No label of any image that is answered is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import linalg, sparse

from dmn.errors import FeatureError

LEAST = 1e-3  # shrinkage that keeps the covariance invertible
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
        sums = _Sums.of(np.concatenate([distinct[0], self.known]), self.whitened, self.classes)
        found = [sums.pairs()]
        # neighbours on a grid of weights differ in few answers
        for before, after in pairwise(distinct):
            sums.move(np.flatnonzero(before != after), before, after, self.whitened)
            found.append(sums.pairs())
        return (np.array(found) / len(self.whitened)).round(DIGITS)[place]


@dataclass(frozen=True)
class _Sums:
    """Sums over whitened images by class: of vectors [C, D], their squares [C] and counts [C].

    different [C]: the sum of the inner products of all ordered pairs of different images.
    """

    vectors: np.ndarray
    squares: np.ndarray
    counts: np.ndarray
    different: np.ndarray

    @classmethod
    def of(cls, answers: np.ndarray, images: np.ndarray, classes: int) -> _Sums:
        """Return the sums over images [N, D] of answers [N]."""
        D = images.shape[1]
        empty = cls(np.zeros((classes, D)), np.zeros(classes), np.zeros(classes), np.zeros(classes))
        empty._add(answers, np.ones(len(answers)), images)
        return empty

    def move(
        self, rows: np.ndarray, before: np.ndarray, after: np.ndarray, images: np.ndarray
    ) -> None:
        """Move some rows of images from the classes `before` [N] to those `after` [N]."""
        moved = np.concatenate([rows, rows])
        signs = np.repeat([-1.0, 1.0], len(rows))
        self._add(np.concatenate([before[rows], after[rows]]), signs, images[moved])

    def _add(self, answers: np.ndarray, signs: np.ndarray, images: np.ndarray) -> None:
        touched, place = np.unique(answers, return_inverse=True)
        shape = (len(touched), len(answers))
        member = sparse.csr_array((signs, (place, np.arange(len(answers)))), shape=shape)
        self.vectors[touched] += member @ images
        self.squares[touched] += member @ np.einsum("nd,nd->n", images, images)
        self.counts[touched] += member.sum(axis=1)
        own = self.vectors[touched]
        self.different[touched] = np.einsum("cd,cd->c", own, own) - self.squares[touched]

    def pairs(self) -> float:
        """Return the sum over images of the similarity to the others of their class."""
        return float((self.different / np.maximum(self.counts - 1, 1)).sum())


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
    x = features.astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
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
