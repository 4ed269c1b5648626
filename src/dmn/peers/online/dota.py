"""DOTA: a Gaussian for each class, estimated from the stream, beside CLIP's logits.

Each image counts for each class as much as the text's prediction says. The class covariances are
averaged and shrunk for one shared inverse; how much the Gaussians say grows with the images that a
class has had, up to a bound. An image is learned first, the mean before the covariance, and then
answered. No official program was at hand: written from the paper's formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import softmax
from dmn.peers.gaussian import Discriminant

SOURCE = "Han et al., DOTA: Distributional Test-Time Adaptation of VLMs, arXiv 2409.19375v3"
SETTINGS = ("zero_shot",)
SEES = "stream"
NEEDS = ("text",)
CANDIDATES = {"rho": (0.005, 0.02, 0.03), "eta": (0.1, 0.2, 0.3, 0.5)}


class Options(PeerOptions):
    """The paper's one setting."""

    rho: float = Field(0.02, ge=0, description="weight of the Gaussians, for each image of a class")
    eta: float = Field(0.3, ge=0, description="most weight of the Gaussians")
    variance: float = Field(0.002, gt=0, description="sigma^2, the covariances' start")
    mean: float = Field(0.001, description="the means' start, in every dimension")
    ridge: float = Field(0.001, gt=0, lt=1, description="share of the identity in the covariance")


class Gaussians:
    """Means [C, D], masses [C] and covariances times masses [C, D, D], lower triangles."""

    def __init__(self, classes: int, dimension: int, options: Options) -> None:
        self.mass = np.ones(classes)
        self.means = np.full((classes, dimension), options.mean)
        start = options.variance * np.eye(dimension)
        self.scatter = np.repeat(start[None], classes, axis=0)

    def learn(self, x: np.ndarray, p: np.ndarray) -> None:
        """Count an image [D] for each class by p [C]."""
        from scipy.linalg.blas import dsyr

        mass = self.mass + p
        self.means += (p / mass)[:, None] * (x - self.means)
        self.mass = mass
        residuals = x - self.means
        for share, residual, scatter in zip(p, residuals, self.scatter, strict=True):
            dsyr(share, residual, a=scatter.T, lower=0, overwrite_a=1)

    def covariance(self) -> np.ndarray:
        """Return the mean covariance over classes, [D, D], its lower triangle."""
        C, D = self.means.shape
        return ((1 / (C * self.mass)) @ self.scatter.reshape(C, D * D)).reshape(D, D)


def fit(given: Given, options: Options) -> Given:
    """Return what is given: the Gaussians begin alike."""
    return given


def sweep(fitted: Given, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield CLIP's logits with the Gaussians' scores added, [N, C], with each candidate.

    The Gaussians are learned once.
    """
    clip = fitted.logits(images.x)
    scores, masses = online(clip, images.x, candidates[0])
    for candidate in candidates:
        weight = np.minimum(candidate.rho * masses, candidate.eta)
        yield clip + weight[:, None] * scores


def online(clip: np.ndarray, x: np.ndarray, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Return x L mu' - 1/2 mu L mu', [N, C], and the mean mass of a class, [N], at each image."""
    (N, D), p = x.shape, softmax(clip)
    gaussians = Gaussians(clip.shape[1], D, options)
    scores, masses = np.empty_like(clip), np.empty(N)
    for t in range(N):
        gaussians.learn(x[t], p[t])
        covariance = (1 - options.ridge) * gaussians.covariance()
        covariance[np.diag_indices(D)] += options.ridge
        scores[t] = Discriminant(gaussians.means, covariance).scores(x[t])
        masses[t] = gaussians.mass.mean()
    return scores, masses


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the covariances' steps and mean, the inverse, and the products with the means."""
    C, D = sizes.classes, sizes.dimension
    return Cost(3 * C * D * D // 2 + D**3 // 3 + 2 * C * D + C * D * D, C * (D * D + D + 1))
