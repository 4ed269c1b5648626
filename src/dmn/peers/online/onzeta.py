"""OnZeta: label shares kept in balance by dual variables, and class proxies learned online.

The text's predictions are re-weighted so that each class gets its share of the stream; a proxy of
each class follows the images. Both answers are mixed, the proxies' growing with the share of the
stream that has passed: its length must be known. On short streams the proxies are chaotic, a
rounding error changes many answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import log_softmax, softmax, unit

SOURCE = "Qian and Hu, Online Zero-Shot Classification with CLIP, ECCV 2024, arXiv 2408.13320"
SETTINGS = ("zero_shot",)
SEES = "stream"
NEEDS = ("text",)
CANDIDATES = {"beta": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)}


class Options(PeerOptions):
    """The authors' one setting."""

    beta: float = Field(0.8, ge=0, le=1, description="share of the proxies' answer, at the end")
    alpha: float = Field(1.0, ge=0, le=1, description="least share of a class, of 1 / C")
    dual_rate: float = Field(20.0, ge=0, description="c_r; step i of the dual: c_r / sqrt(i)")
    proxy_rate: float = Field(0.5, ge=0, description="c_w; step i of the proxies: c_w / sqrt(i)")
    proxy_temperature: float = Field(0.04, gt=0, description="tau_i, of the proxies' answer")


def fit(given: Given, options: Options) -> Given:
    """Return what is given: nothing is made beforehand."""
    return given


def sweep(fitted: Given, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield the mixed probabilities, [N, C], with each candidate.

    Both answers are found once.
    """
    labels, proxies = online(fitted, images, candidates[0])
    passed = np.sqrt(np.arange(1, len(labels) + 1) / len(labels))[:, None]
    for candidate in candidates:
        share = candidate.beta * passed
        yield (1 - share) * labels + share * proxies


def online(given: Given, images: Images, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Return the text's and the proxies' answers, [N, C] each; an image is answered, then learned.

    Text: q ~ p exp(rho), rho >= 0 moves against q - alpha / C. Proxies: the gradient of the cross
    entropy to q, then back to unit length.
    """
    C, x = len(given.text), images.x
    log_p = log_softmax(given.logits(x))
    labels, answers = np.empty_like(log_p), np.empty_like(log_p)
    rho, proxies = np.zeros(C), given.text.copy()
    for t, own in enumerate(x):
        pace = np.sqrt(t + 1)
        labels[t] = q = softmax(log_p[t] + rho)
        answers[t] = v = softmax(proxies @ own / options.proxy_temperature)
        step = options.proxy_rate / pace / options.proxy_temperature
        proxies = unit(proxies - step * np.outer(v - q, own))
        rho = np.maximum(0, rho - options.dual_rate / pace * (q - options.alpha / C))
    return labels, answers


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products with text and proxies, and the proxies' step."""
    C, D = sizes.classes, sizes.dimension
    return Cost(5 * C * D, C * D + C)
