"""ZLaP: labels are spread from the texts over a graph of all images and texts.

An image is joined to the most similar images and texts, similarities of texts raised to a power
and negative ones left out. With the symmetrically normalised W and the texts' one-hot labels Y,
the images' labels are the rows of Z in `(I - alpha W) Z = Y`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.neighbours import nearest

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SOURCE = "Stojnic et al., Label Propagation for Zero-shot Classification, CVPR 2024"
SETTINGS = ("zero_shot",)
SEES = "set"
NEEDS = ("text",)
CANDIDATES = {"gamma": (1.0, 3.0, 5.0, 8.0), "alpha": (0.1, 0.3, 0.6, 0.9)}
TOLERANCE, MOST_STEPS = 1e-10, 200


class Options(PeerOptions):
    """The authors' setting with text classifiers."""

    neighbours: int = Field(5, ge=2, description="k of images, the image itself included")
    texts: int = Field(5, ge=1, description="k of texts")
    gamma: float = Field(5.0, gt=0, description="power of a text's similarity")
    alpha: float = Field(0.3, gt=0, lt=1, description="how far labels spread")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: nothing is made beforehand."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return the label mass of each image, [N, C]."""
    return spread(fitted.text, images.x, options)[len(fitted.text) :]


def edges(x: np.ndarray, others: np.ndarray, k: int, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the k most similar rows of `others` and the edges' weights, [N, k] each."""
    rows, similar = nearest(x, others, k)
    return rows, np.maximum(similar, 0) ** gamma


def graph(text: np.ndarray, x: np.ndarray, options: Options) -> csr_array:
    """Return D^-1/2 (W + W') D^-1/2 over texts [C, D], then images [N, D], without loops."""
    from scipy.sparse import coo_array, diags_array

    C, count = len(text), len(text) + len(x)
    own = np.arange(C, count)[:, None]
    near, weights = edges(x, x, options.neighbours, 1.0)
    spoken, raised = edges(x, text, options.texts, options.gamma)
    weights = np.where(near + C == own, 0, weights)
    pairs = [
        np.concatenate([np.broadcast_to(own, part.shape).ravel() for part in (near, spoken)]),
        np.concatenate([(near + C).ravel(), spoken.ravel()]),
    ]
    values = np.concatenate([weights.ravel(), raised.ravel()])
    one_way = coo_array((values, tuple(pairs)), shape=(count, count)).tocsr()
    both = one_way + one_way.T
    degree = np.asarray(both.sum(axis=1)).ravel()
    roots = diags_array(np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0))
    return (roots @ both @ roots).tocsr()


def spread(text: np.ndarray, x: np.ndarray, options: Options) -> np.ndarray:
    """Return Z [C + N, C] of texts [C, D] and images [N, D]."""
    normalised = graph(text, x, options)
    labels = np.zeros((len(text) + len(x), len(text)))
    np.fill_diagonal(labels, 1)
    return conjugate_gradients(normalised, options.alpha, labels)


def conjugate_gradients(normalised: csr_array, alpha: float, right: np.ndarray) -> np.ndarray:
    """Return Z [M, C] of (I - alpha W) Z = B, all columns at once; W [M, M] symmetric."""
    solution = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    squared = (residual**2).sum(axis=0)
    enough = TOLERANCE**2 * squared
    for _ in range(MOST_STEPS):
        if (squared <= enough).all():
            break
        moved = direction - alpha * (normalised @ direction)
        along = (direction * moved).sum(axis=0)
        step = np.where(along > 0, squared / np.where(along > 0, along, 1), 0)
        solution += step * direction
        residual -= step * moved
        before, squared = squared, (residual**2).sum(axis=0)
        direction = residual + direction * np.where(before > 0, squared / before, 0)
    return solution


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the similarities to all images and texts, and the solver's steps, about 10."""
    C, D, N = sizes.classes, sizes.dimension, sizes.images
    degree = 2 * (options.neighbours + options.texts)
    return Cost(N * D + C * D + 10 * C * (degree + 4), (D + degree + 4 * C) * N)
