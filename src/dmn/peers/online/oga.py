"""OGA: online Gaussian adaptation of CLIP's predictions.

A class keeps the images of least entropy that were taken for it. Their means and one shared
covariance make Gaussians, whose likelihoods, at a small power, are multiplied onto CLIP's
probabilities. Images come in batches; a batch is stored first and answered second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import entropy, log_softmax, softmax
from dmn.peers.gaussian import log_density, pseudo_whitening, ridge_whitening

SOURCE = "Fuchs et al., Online Gaussian Test-Time Adaptation of VLMs, 2025, cfuchs2023/OGA"
SETTINGS = ("zero_shot",)
SEES = "stream"
NEEDS = ("text",)
CANDIDATES = {"tau": (0.01, 0.02, 0.05, 0.1, 0.2)}
ENOUGH = 4  # covariances of more than 4 d samples are inverted as they are


class Options(PeerOptions):
    """The authors' one setting."""

    tau: float = Field(0.05, ge=0, description="power of the likelihood")
    capacity: int = Field(8, ge=2, description="slots of a class")
    batch: int = Field(32, ge=1, description="images that are stored, then answered, together")


class Memory:
    """Slots [C, L, D] of least entropy, kept in half precision as in the authors' program."""

    def __init__(self, text: np.ndarray, capacity: int) -> None:
        C, D = text.shape
        self.text = text
        self.features = np.zeros((C, capacity, D), dtype=np.float16)
        self.entropies = np.full((C, capacity), np.log(C), dtype=np.float16)
        self.filled = np.zeros((C, capacity), dtype=bool)

    @property
    def counts(self) -> np.ndarray:
        """How many images each class holds, [C]."""
        return self.filled.sum(axis=1)

    def store(self, x: np.ndarray, label: int, uncertainty: float) -> None:
        """Take an image in place of the first least certain slot, if it is more certain."""
        value, own = np.float16(uncertainty), self.entropies[label]
        slot = own.argmax()
        if value < own[slot]:
            self.features[label, slot], own[slot] = x.astype(np.float16), value
            self.filled[label, slot] = True

    def means(self) -> np.ndarray:
        """Return the sum of a class's slots over their number, empty ones too; text before two."""
        mean = self.features.mean(axis=1, dtype=np.float64).astype(np.float16)
        return np.where(self.counts[:, None] >= 2, mean, self.text)

    def whitening(self, means: np.ndarray) -> np.ndarray:
        """Return W [D, D] of the shared covariance's inverse; of d I before a class has three."""
        D = self.text.shape[1]
        if self.counts.max() < 3:
            return np.sqrt(D) * np.eye(D)
        label, slot = np.nonzero(self.filled)
        residuals = self.features[label, slot].astype(np.float64) - means[label]
        residuals -= residuals.mean(axis=0)
        covariance = residuals.T @ residuals / (len(residuals) - 1)
        if len(residuals) > ENOUGH * D:
            return pseudo_whitening(covariance)
        return ridge_whitening(covariance, len(residuals))


def fit(given: Given, options: Options) -> Given:
    """Return what is given: the memory begins empty."""
    return given


def sweep(fitted: Given, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield p(c) N(x; mu_c, Sigma)^tau, [N, C], normalised, with each candidate.

    The memory is run once.
    """
    log_p = log_softmax(fitted.logits(images.x))
    density = log_densities(fitted, images, log_p, candidates[0])
    for candidate in candidates:
        yield softmax(log_p + candidate.tau * density)


def log_densities(given: Given, images: Images, log_p: np.ndarray, options: Options) -> np.ndarray:
    """Return log N(x; mu_c, Sigma) up to a constant, [N, C], of each image when it comes."""
    memory = Memory(given.text, options.capacity)
    labels, uncertainty = log_p.argmax(axis=1), entropy(log_p)
    found = np.empty_like(log_p)
    for first in range(0, len(images), options.batch):
        rows = slice(first, first + options.batch)
        x = images.x[rows]
        for own, label, value in zip(x, labels[rows], uncertainty[rows], strict=True):
            memory.store(own, label, value)
        means = memory.means()
        found[rows] = log_density(x, means, memory.whitening(means))
    return found


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products with text and Gaussians, and a batch's covariance and inverse."""
    C, D = sizes.classes, sizes.dimension
    slots = C * options.capacity
    shared = slots * D * D + 2 * D**3 // 3
    return Cost(2 * C * D + D * D + shared // options.batch, slots * (D + 1))
