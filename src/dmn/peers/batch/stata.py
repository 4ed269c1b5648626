"""StatA: transduction of many images with Gaussians anchored at the text.

As TransCLIP, with a diagonal covariance for each class, and means and covariances that lean on the
text's by as much as a class has few images: classes that do not occur stay where the text is.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dmn.peers.batch.transclip import (
    SWEEPS,
    TEMPERATURE,
    diagonal_log_density,
    in_batches,
    settle,
    squared_deviation,
)
from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import log_softmax, unit
from dmn.peers.neighbours import affinity

SOURCE = "Zanella et al., Realistic Test-Time Adaptation of Vision-Language Models, CVPR 2025"
SETTINGS = ("zero_shot",)
SEES = "set"
NEEDS = ("text",)
CANDIDATES = {"anchor": (0.3, 1.0, 3.0, 10.0)}


class Options(PeerOptions):
    """The authors' one setting."""

    anchor: float = Field(1.0, gt=0, description="alpha: images that the text's statistics weigh")
    neighbours: int = Field(3, ge=1, description="k of the graph")
    graph_weight: float = Field(1.0, ge=0, description="pull of the neighbours")
    text_weight: float = Field(1.0, ge=0, description="pull of the text's predictions")
    iterations: int = Field(10, ge=1, description="updates of the Gaussians")
    batch: int | None = Field(None, ge=2, description="images at once; empty: all")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: nothing is made beforehand."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return the assignments z, [N, C]."""
    return in_batches(images.x, options.batch, lambda x: assign(fitted, x, options))


def assign(given: Given, x: np.ndarray, options: Options) -> np.ndarray:
    """Return the assignments [N, C] of images [N, D]."""
    log_p = log_softmax(given.logits(x))
    z, graph = np.exp(log_p), affinity(x, options.neighbours)
    means = given.text
    anchored = squared_deviation(x, z, means) / len(x)
    variances = np.broadcast_to(anchored, means.shape)
    weight = options.graph_weight / (2 * options.neighbours)
    for step in range(options.iterations + 1):
        density = diagonal_log_density(x, means, 1 / variances)
        density = density - 0.5 * np.log(variances).sum(axis=1)
        z = settle(z, density / TEMPERATURE + options.text_weight * log_p, graph, weight)
        if step < options.iterations:
            means, variances = update(given.text, anchored, x, z, options.anchor)
    return z


def update(
    text: np.ndarray, anchored: np.ndarray, x: np.ndarray, z: np.ndarray, anchor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return means and variances, [C, D] each, of the images and the text's, mixed.

    text [C, D] and anchored [D]: where they lean to. A class of n images, those of which it has
    the most of z, has the share n / (n + anchor) of its own statistics.
    """
    counts = np.bincount(z.argmax(axis=1), minlength=len(text))
    own = (counts / (anchor + counts))[:, None]
    mass = z.sum(axis=0)[:, None]
    sums, squares = z.T @ x, z.T @ x**2
    means = unit(own * unit(sums) + (1 - own) * text)
    spread = (squares - 2 * sums * means + mass * means**2) / mass
    return means, own * spread + (1 - own) * (anchored + (means - text) ** 2)


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the neighbours' similarities, and products with means and sums in each iteration."""
    C, D, N = sizes.classes, sizes.dimension, options.batch or sizes.images
    rounds = options.iterations + 1
    solving = rounds * (4 * C * D + SWEEPS * 2 * options.neighbours * C)
    return Cost(N * D + solving, (D + C + 4 * options.neighbours) * N)
