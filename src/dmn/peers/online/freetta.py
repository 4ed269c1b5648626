"""FreeTTA: online EM of a Gaussian mixture whose images count by their certainty.

Posteriors of the mixture, times exp(-beta H) of the text's prediction, update masses, means and
one shared covariance; then the mixture's discriminant is added to CLIP's logits. No official
program was at hand: written from the paper's formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import entropy, log_softmax, softmax
from dmn.peers.gaussian import Discriminant

SOURCE = "Dai and Yang, Free on the Fly, CVPR 2025, arXiv 2507.06973"
SETTINGS = ("zero_shot",)
SEES = "stream"
NEEDS = ("text",)
CANDIDATES = {"alpha": (0.05, 0.1, 0.2, 0.5, 1.0)}


class Options(PeerOptions):
    """The paper's one setting."""

    alpha: float = Field(0.2, ge=0, description="ratio of the mixture's discriminant")
    beta: float = Field(4.5, ge=0, description="how much less an uncertain image counts")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: means begin at the text, the covariance at the identity."""
    return given


def sweep(fitted: Given, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield CLIP's logits with the discriminant added, [N, C], with each candidate.

    The mixture is learned once.
    """
    clip = fitted.logits(images.x)
    scores = online(fitted.text, clip, images.x, candidates[0])
    for candidate in candidates:
        yield clip + candidate.alpha * scores


def online(text: np.ndarray, clip: np.ndarray, x: np.ndarray, options: Options) -> np.ndarray:
    """Return x S^-1 mu' - 1/2 mu S^-1 mu' + log pi, [N, C], after each image's own step."""
    C, D = text.shape
    weights = np.exp(-options.beta * entropy(log_softmax(clip)))
    means, covariance, masses = text.copy(), np.eye(D), np.full(C, 1 / C)
    mixture = Discriminant(means, covariance)
    scores = np.empty_like(clip)
    for t, own in enumerate(x):
        total = masses.sum()
        posterior = softmax(mixture.scores(own) + np.log(masses / total))
        gained = weights[t] * posterior
        masses = masses + gained
        means += (gained / masses)[:, None] * (own - means)
        residuals = own - means
        scatter = residuals.T @ (gained[:, None] * residuals)
        covariance = (total * covariance + scatter) / (total + weights[t])
        mixture = Discriminant(means, covariance)
        scores[t] = mixture.scores(own) + np.log(masses / masses.sum())
    return scores


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the covariance's step, two inverses, and the products with the means."""
    C, D = sizes.classes, sizes.dimension
    return Cost(2 * C * D * D + D**3 // 3 + D * D, D * D + C * D + C)
