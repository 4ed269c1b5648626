"""DMN, centred: the dynamic memory, read about the mean of the stream so far.

In CLIP's space all images lie close together and far from the texts, so that cosines tell little.
Here the images' running mean is taken off the image and the slots, and the texts' mean off the text
slots, before attention and read-out; an image does not attend to its own slot; and the answer is a
sum of logarithms. Slots, their labels and who leaves first are those of DMN with one view
(docs/method.md, sections 3, 4 and 7; ours, not the paper's). Causal, image by image, no training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from dmn.peers.contract import Cost, Given, Images, PeerOptions, Sizes
from dmn.peers.formulas import entropy, log_softmax, unit
from dmn.peers.online.caches import BLOCK, schedule

SOURCE = "This project's variant of Zhang et al., Dual Memory Networks, CVPR 2024, arXiv 2403.17589"
SETTINGS = ("zero_shot",)
SEES = "stream"
NEEDS = ("text",)
CANDIDATES = {"beta": (1.0, 2.0, 5.5), "weight": (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)}
# the mean of no image is the origin, with the weight of one: the first image is not its own mean
PRIOR = 1
LEAST = 1e-6  # a length below which a centred vector has no direction


class Options(PeerOptions):
    """One setting everywhere, chosen on the digits and on WHU-RS19's RN50."""

    length: int = Field(8, ge=1, description="slots of a class")
    beta: float = Field(2.0, gt=0, description="sharpness of the attention")
    weight: float = Field(0.5, ge=0, description="of the memory's logits in the sum")
    centre: bool = Field(True, description="whether means are taken off")
    own_slot: bool = Field(False, description="whether an image attends to its own slot")
    logarithms: bool = Field(True, description="sum logarithms; false: probabilities, as DMN does")


@dataclass(frozen=True)
class Moment:
    """A block of the stream about its running mean: cosines need products alone.

    x [B, D]; count [B], images so far; total [D], their sum before the block; centre: 1, or 0 for
    the origin in place of the mean.
    """

    x: np.ndarray
    count: np.ndarray
    total: np.ndarray
    centre: float

    def with_mean(self, vectors: np.ndarray, products: np.ndarray) -> np.ndarray:
        """Return the mean's product with vectors [M, D] at each image, [B, M].

        products: x V' [B, M].
        """
        sums = vectors @ self.total + products.cumsum(axis=0)
        return self.centre * sums / (self.count[:, None] + PRIOR)

    def own(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x m and m m, [B] each."""
        share = self.centre / (self.count + PRIOR)
        means = (self.total + self.x.cumsum(axis=0)) * share[:, None]
        return (self.x * means).sum(axis=1), (means * means).sum(axis=1)


def fit(given: Given, options: Options) -> Given:
    """Return what is given: the memory begins empty."""
    return given


def sweep(fitted: Given, images: Images, candidates: Sequence[Options]) -> Iterator[np.ndarray]:
    """Yield log p(c) + weight s cos(a_c - m, x - m), [N, C], with each candidate.

    Without logarithms: p(c) + weight softmax(s cos)(c). The memory is read once for each sharpness.
    """
    log_p = log_softmax(fitted.logits(images.x))
    kept: dict[float, np.ndarray] = {}
    for candidate in candidates:
        if candidate.beta not in kept:
            kept[candidate.beta] = read(fitted.text, images.x, log_p, candidate)
        logits = fitted.logit_scale * kept[candidate.beta]
        if candidate.logarithms:
            yield log_p + candidate.weight * logits
        else:
            yield np.exp(log_p) + candidate.weight * np.exp(log_softmax(logits))


def read(text: np.ndarray, x: np.ndarray, log_p: np.ndarray, options: Options) -> np.ndarray:
    """Return the cosine [N, C] of each image with what the memory, that moment, answers for it."""
    labels, C = log_p.argmax(axis=1), len(text)
    every = np.ones(len(x), dtype=bool)
    stored = schedule(labels, entropy(log_p), every, C, options.length)
    texts = unit(text - text.mean(axis=0)) if options.centre and C > 1 else text
    found = np.empty(log_p.shape)
    total = np.zeros(x.shape[1])
    for first in range(0, len(x), BLOCK):
        times = np.arange(first, min(first + BLOCK, len(x)))
        moment = Moment(x[times], times + 1.0, total, float(options.centre))
        kept = np.flatnonzero((stored.start <= times[-1]) & (stored.end > first))
        alive = (stored.start[kept] <= times[:, None]) & (times[:, None] < stored.end[kept])
        if not options.own_slot:
            alive &= stored.image[kept] != times[:, None]
        slots = x[stored.image[kept]]
        found[times] = _block(moment, texts, slots, labels[stored.image[kept]], alive, options.beta)
        total = total + moment.x.sum(axis=0)
    return found


def _block(
    moment: Moment,
    texts: np.ndarray,
    slots: np.ndarray,
    classes: np.ndarray,
    alive: np.ndarray,
    beta: float,
) -> np.ndarray:
    """Return the cosines [B, C] of a block; texts [C, D], slots [M, D] of `classes`, alive [B, M].

    A class answers with a = sum_j w_j r_j + w_T T of unit vectors r_j, the slots less the mean:
    its product with the image and its length follow from the products of what stands in it.
    """
    x_mean, mean_mean = moment.own()
    length = _length(1 - 2 * x_mean + mean_mean)[:, None]
    x_texts, x_slots = moment.x @ texts.T, moment.x @ slots.T
    mean_texts, mean_slots = moment.with_mean(texts, x_texts), moment.with_mean(slots, x_slots)
    lengths = _length(1 - 2 * mean_slots + mean_mean[:, None])
    by_text = (x_texts - mean_texts) / length
    by_slot = (x_slots - x_mean[:, None] - mean_slots + mean_mean[:, None]) / (length * lengths)
    w_text = np.exp(-beta * (1 - by_text))
    w = np.exp(-beta * (1 - by_slot)) * alive
    product, squared = w_text * by_text, w_text**2
    v = w / lengths
    for c in np.unique(classes).tolist():
        own = np.flatnonzero(classes == c)
        s, near, share = slots[own], mean_slots[:, own], v[:, own]
        amount, along = share.sum(axis=1), (share * near).sum(axis=1)
        product[:, c] += (w[:, own] * by_slot[:, own]).sum(axis=1)
        squared[:, c] += (share @ (s @ s.T) * share).sum(axis=1)
        squared[:, c] += amount * (amount * mean_mean - 2 * along)
        crossed = share @ (s @ texts[c]) - amount * mean_texts[:, c]
        squared[:, c] += 2 * w_text[:, c] * crossed
    return product / _length(squared)


def _length(squared: np.ndarray) -> np.ndarray:
    """Return square roots; infinity, which makes a cosine 0, where there is no direction."""
    return np.where(squared > LEAST**2, np.sqrt(np.maximum(squared, LEAST**2)), np.inf)


def cost(sizes: Sizes, options: Options) -> Cost:
    """Return the products with text, slots and, of each class, its slots among themselves."""
    C, D, L = sizes.classes, sizes.dimension, options.length
    return Cost(2 * C * D + C * L * (D + L), C * L * (D + 1) + D)
