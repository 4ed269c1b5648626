"""TransCLIP: all test images at once, a Gaussian mixture tied to the text and to neighbours.

Assignments z maximise the likelihood of a mixture with one diagonal covariance, stay close to the
text's predictions, and agree between nearest neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import log_softmax, softmax, unit
from dmn.peers.neighbours import affinity

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SOURCE = "Zanella et al., Boosting Vision-Language Models with Transduction, NeurIPS 2024"
SETTINGS = ("zero_shot",)
SEES = "set"
NEEDS = ("text",)
CANDIDATES = {"text_weight": (0.5, 1.0, 2.0)}
TEMPERATURE = 50.0
SWEEPS = 5


class Options(PeerOptions):
    """The authors' one setting."""

    neighbours: int = Field(3, ge=1, description="k of the graph")
    confident: int = Field(8, ge=1, description="images of most weight that a class begins with")
    iterations: int = Field(10, ge=1, description="updates of the Gaussians")
    text_weight: float = Field(1.0, ge=0, description="pull of the text's predictions")
    batch: int | None = Field(None, ge=2, description="images at once; empty: all")


@dataclass(frozen=True)
class Gaussians:
    """Means [C, D] of unit norm, and one diagonal covariance [D]."""

    means: np.ndarray
    variance: np.ndarray

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Return -1/2 (x - mu)' Sigma^-1 (x - mu), [N, C]."""
        return diagonal_log_density(x, self.means, 1 / self.variance)


def diagonal_log_density(x: np.ndarray, means: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return -1/2 sum_d p_d (x_d - mu_d)^2, [N, C]; precision [D], or [C, D] by class."""
    precision = np.broadcast_to(precision, means.shape)
    cross = x @ (means * precision).T
    return np.asarray(
        cross - 0.5 * ((x**2) @ precision.T) - 0.5 * (means**2 * precision).sum(axis=1)
    )


def settle(z: np.ndarray, evidence: np.ndarray, graph: csr_array, weight: float) -> np.ndarray:
    """Return z after sweeps of z = softmax(evidence + weight (W + W') z)."""
    for _ in range(SWEEPS):
        z = softmax(evidence + weight * (graph @ z))
    return z


def fit(given: Given, options: Options) -> Given:
    """Return what is given: nothing is made beforehand."""
    return given


def answer(fitted: Given, images: Images, options: Options) -> np.ndarray:
    """Return the assignments z, [N, C]."""
    return in_batches(images.x, options.batch, lambda x: assign(fitted, x, options))


def in_batches(
    x: np.ndarray, batch: int | None, assign: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return the assignments of each batch apart."""
    step = batch or len(x)
    return np.concatenate([assign(x[i : i + step]) for i in range(0, len(x), step)])


def assign(given: Given, x: np.ndarray, options: Options) -> np.ndarray:
    """Return the assignments [N, C] of images [N, D]."""
    log_p = log_softmax(given.logits(x))
    z = np.exp(log_p)
    best = np.argsort(-z, axis=0, kind="stable")[: options.confident]
    weights = np.take_along_axis(z, best, axis=0)
    means = unit(np.einsum("nc,ncd->cd", weights, x[best]))
    return solve(x, log_p, means, options, lambda z: update(x, z))


def solve(
    x: np.ndarray,
    log_p: np.ndarray,
    means: np.ndarray,
    options: Options,
    update: Callable[[np.ndarray], Gaussians],
) -> np.ndarray:
    """Return the assignments, from means [C, D] with variance 1/d and z = p on."""
    z, graph = np.exp(log_p), affinity(x, options.neighbours)
    gaussians = Gaussians(means, np.full(x.shape[1], 1 / x.shape[1]))
    for step in range(options.iterations + 1):
        evidence = gaussians.log_density(x) / TEMPERATURE + options.text_weight * log_p
        z = settle(z, evidence, graph, 1 / (2 * options.neighbours))
        if step < options.iterations:
            gaussians = update(z)
    return z


def update(x: np.ndarray, z: np.ndarray) -> Gaussians:
    """Return the z-weighted means, on the sphere, and the variance around them."""
    means = unit(z.T @ x)
    return Gaussians(means, squared_deviation(x, z, means) / len(x))


def squared_deviation(x: np.ndarray, z: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return sum_nc z_nc (x_nd - mu_cd)^2, [D]."""
    mass = z.sum(axis=0)
    cross = ((z.T @ x) * means).sum(axis=0)
    return np.asarray(z.sum(axis=1) @ x**2 - 2 * cross + mass @ means**2)


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the neighbours' similarities, and products with means and sums in each iteration."""
    C, D, N = sizes.classes, sizes.dimension, options.batch or sizes.images
    rounds = options.iterations + 1
    solving = rounds * (4 * C * D + SWEEPS * 2 * options.neighbours * C)
    return Cost(N * D + solving, (D + C + 4 * options.neighbours) * N)
