"""Tip-Adapter and Tip-Adapter-F: a key-value cache of the shots beside CLIP's text classifier.

Zhang et al., arXiv 2111.03930. Keys are the shots' features, values their one-hot labels:
`logits = s x T' + alpha exp(-beta (1 - x F')) L`. Tip-Adapter-F trains the keys.
"""

from __future__ import annotations

import numpy as np

from dmn.randomness import generator

ALPHA, BETA = 1.0, 5.5  # the paper's default residual ratio and sharpness
LEARNING_RATE, EPOCHS, BATCH, EPSILON, WEIGHT_DECAY = 1e-3, 20, 256, 1e-4, 1e-2
# the widest grid that the authors search, of those that they set by data set
ALPHAS = 0.1 + np.arange(20) * (30 - 0.1) / 20
BETAS = 0.1 + np.arange(200) * (30 - 0.1) / 200


def build_keys(train: np.ndarray) -> np.ndarray:
    """Return keys [C*K, D] of unit norm from views [C, K, V, D]: the mean of augmented views.

    View 0, the plain image, counts only where there is no other.
    """
    C, K, V, D = train.shape
    mean = train[:, :, min(1, V - 1) :].astype(np.float64).mean(axis=2).reshape(C * K, D)
    return mean / np.linalg.norm(mean, axis=-1, keepdims=True)


def cache_logits(affinity: np.ndarray, beta: float, classes: int) -> np.ndarray:
    """Return exp(-beta (1 - affinity)) L, [N, C]; affinity [N, C*K] with keys class by class."""
    weights = np.exp(-beta * (1 - affinity))
    return weights.reshape(len(affinity), classes, -1).sum(axis=-1)


def logits(
    affinity: np.ndarray, clip: np.ndarray, alpha: float = ALPHA, beta: float = BETA
) -> np.ndarray:
    """Return CLIP's logits [N, C] with the cache's answer added."""
    return clip + alpha * cache_logits(affinity, beta, clip.shape[1])


def select(affinity: np.ndarray, clip: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return (alpha, beta) with the most right answers on validation images; the first wins."""
    best, chosen = -1, (ALPHA, BETA)
    for beta in BETAS:
        cache = cache_logits(affinity, beta, clip.shape[1])
        answers = (clip + ALPHAS[:, None, None] * cache).argmax(axis=-1)
        right = (answers == labels).sum(axis=-1)
        if right.max() > best:
            best, chosen = int(right.max()), (float(ALPHAS[right.argmax()]), float(beta))
    return chosen


def fine_tune(
    keys: np.ndarray, train: np.ndarray, text: np.ndarray, scale: float, seed: int
) -> np.ndarray:
    """Return keys [C*K, D] trained on the shots' views [C, K, V, D]; text [C, D] of unit norm.

    The paper's recipe with its default alpha and beta; the last iterate is taken, as choosing an
    epoch would need labels beyond the shots.
    """
    import torch

    from dmn.method.optimiser import AdamW, cosine

    C, K, V, D = train.shape
    x_all = torch.from_numpy(train.reshape(C * K, V, D).astype(np.float64))
    x_all = torch.nn.functional.normalize(x_all, dim=-1, eps=0)
    labels = torch.arange(C).repeat_interleave(K)
    classifier = scale * torch.from_numpy(text.astype(np.float64)).T
    weight = torch.from_numpy(keys.copy()).requires_grad_()
    steps = EPOCHS * -(-C * K // BATCH)
    optimiser = AdamW([weight], eps=EPSILON, weight_decay=WEIGHT_DECAY)
    draws = generator(seed, "Tip-Adapter-F", C, K, V)
    step = 0
    for _ in range(EPOCHS):
        order = torch.from_numpy(draws.permutation(C * K))
        view = torch.from_numpy(draws.integers(min(1, V - 1), V, size=C * K))
        for rows in order.split(BATCH):
            x = x_all[rows, view[rows]]
            cache = torch.exp(-BETA * (1 - x @ weight.T)).unflatten(1, (C, K)).sum(-1)
            loss = torch.nn.functional.cross_entropy(x @ classifier + ALPHA * cache, labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step(cosine(step, steps, LEARNING_RATE))
            step += 1
    return weight.detach().numpy()


def cost(classes: int, shots: int, dimension: int) -> dict[str, int]:
    """Return multiply-adds an image beyond its encoding, and numbers kept."""
    keys = classes * shots
    return {"operations": (keys + classes) * dimension + keys, "numbers": keys * dimension}
