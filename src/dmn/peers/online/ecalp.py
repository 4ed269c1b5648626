"""ECALP: labels spread over a graph that grows with the stream.

Texts, and shots where there are any, keep their labels; an image is joined to the most similar
texts, shots and images. Images are compared on dimensions weighted by the variance of the text
features, on the side of the earlier one; shots by the inverse variance of the shots. The image at
hand stands in the graph twice, and its second copy is answered for and taken out again. The lists
of neighbours are kept from image to image, and what an image was told last, cut down to its
largest part, is where the next spreading begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import unit
from dmn.peers.neighbours import nearest

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SOURCE = "Li et al., Efficient and Context-Aware Label Propagation, ICLR 2025, arXiv 2412.18303"
SETTINGS = ("zero_shot", "training_free")
SEES = "stream"
NEEDS = ("text",)
CANDIDATES = {"gamma": (5.0, 10.0, 20.0)}
WARM = 5  # what was told last counts a fifth
OFFSET = 1e-6


class Options(PeerOptions):
    """The authors' one setting."""

    gamma: float = Field(10.0, gt=0, description="power of a similarity")
    texts: int = Field(3, ge=1, description="texts that an image is joined to")
    images: int = Field(8, ge=1, description="images that an image is joined to, itself included")
    shots: int = Field(8, ge=1, description="shots that an image is joined to")
    iterations: int = Field(3, ge=1, description="rounds of spreading")


@dataclass(frozen=True)
class Lists:
    """Neighbours of each image so far, [M, k]: rows, and similarities, -inf where it has fewer."""

    rows: np.ndarray
    similar: np.ndarray

    def joined(self, similar: np.ndarray) -> Lists:
        """Return the lists with one image more; `similar` [M + 1] to each, itself included.

        It takes the place of the least similar neighbour in a list, if it is at least as similar.
        """
        M, k = self.rows.shape
        rows, values = np.full((M + 1, k), M), np.full((M + 1, k), -np.inf)
        rows[:M], values[:M] = self.rows, self.similar
        worst = self.similar.argmin(axis=1)
        better = np.flatnonzero(similar[:M] >= self.similar[np.arange(M), worst])
        rows[better, worst[better]], values[better, worst[better]] = M, similar[better]
        near = np.argsort(-similar, kind="stable")[:k]
        rows[M, : len(near)], values[M, : len(near)] = near, similar[near]
        return Lists(rows, values)

    def edges(self, gamma: float) -> csr_array:
        """Return the directed edges W [M, M], similarities raised to a power."""
        from scipy.sparse import csr_array

        M, k = self.rows.shape
        values = np.maximum(self.similar, 0).ravel() ** gamma
        return csr_array((values, self.rows.ravel(), np.arange(M + 1) * k), shape=(M, M))


def fit(given: Given, options: Options) -> Given:
    """Return what is given: the graph begins with texts and shots."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return the label mass [N, C] that each image has when it comes."""
    x, C = images.x, len(fitted.text)
    scores = np.empty((len(x), C))
    known, labels = anchors(fitted, x, options)
    weighted = unit(x * fitted.text.var(axis=0))
    empty = np.zeros((0, options.images))
    lists, told = Lists(empty.astype(np.int64), empty), np.zeros((0, C))
    for t, own in enumerate(x):
        similar = weighted[: t + 1] @ own
        lists = lists.joined(similar)
        twice = lists.joined(np.append(similar, similar[t]))
        begin = np.zeros((t + 2, C))
        best = told[:t].argmax(axis=1)
        begin[np.arange(t), best] = told[np.arange(t), best] / WARM
        edges = twice.edges(options.gamma)
        told = spread(edges, known[np.append(np.arange(t + 1), t)], labels, begin, options)
        scores[t] = told[-1]
    return scores


def anchors(given: Given, x: np.ndarray, options: Options) -> tuple[csr_array, np.ndarray]:
    """Return edges [N, A] of images to texts and shots, and the one-hot labels [A, C] of these."""
    from scipy.sparse import csr_array, hstack

    def edges(queries: np.ndarray, others: np.ndarray, k: int) -> csr_array:
        rows, similar = nearest(queries, others, k)
        values = np.maximum(similar, 0).ravel() ** options.gamma
        starts = np.arange(len(x) + 1) * rows.shape[1]
        return csr_array((values, rows.ravel(), starts), shape=(len(x), len(others)))

    C = len(given.text)
    known, labels = edges(x, given.text, options.texts), np.eye(C)
    if given.shots is None:
        return known, labels
    shots = given.shots.reshape(-1, x.shape[1])
    near = edges(unit(x / shots.var(axis=0)), shots, options.shots)
    both = hstack([known, near], format="csr")
    return both, np.concatenate([labels, np.repeat(labels, given.shots.shape[1], axis=0)])


def spread(
    edges: csr_array, known: csr_array, labels: np.ndarray, begin: np.ndarray, options: Options
) -> np.ndarray:
    """Return the label mass [M, C] of the images after some rounds from `begin` on.

    edges [M, M] of images, which count both ways; known [M, A] to the anchors, which keep their
    labels [A, C]. An edge is divided by the roots of both ends' degrees.
    """
    back = edges.T.tocsr()
    degree = edges.sum(axis=1) + back.sum(axis=1) + known.sum(axis=1)
    own = (1 / (np.sqrt(degree) + OFFSET))[:, None]
    theirs = (1 / (np.sqrt(known.sum(axis=0)) + OFFSET))[:, None]
    fixed, mass = known @ (theirs * labels), begin
    for _ in range(options.iterations):
        shared = own * mass
        mass = own * (edges @ shared + back @ shared + fixed)
    return mass


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the similarities to all anchors and images so far, and the rounds over their edges."""
    C, D, M = sizes.classes, sizes.dimension, sizes.images // 2
    anchored = C * (1 + sizes.shots)
    degree = 2 * options.images + options.texts + (options.shots if sizes.shots else 0)
    operations = (anchored + M) * D + options.iterations * M * degree * C
    return Cost(operations, sizes.images * (D + C + 2 * options.images) + anchored * D)
