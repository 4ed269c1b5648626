"""Tip-Adapter-F: Tip-Adapter with trained keys.

The paper's recipe with its default alpha and beta; the last iterate is taken, as choosing an
epoch would need labels beyond the shots.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from dmn.peers.contract import Given
from dmn.peers.few_shot import tip_adapter
from dmn.peers.few_shot.tip_adapter import CANDIDATES, SOURCE, cost, sweep
from dmn.randomness import generator

__all__ = ["CANDIDATES", "SOURCE", "cost", "sweep"]

SETTINGS = ("few_shot",)
SEES = "image"
NEEDS = ("text", "shots")
BATCH, EPSILON, WEIGHT_DECAY = 256, 1e-4, 1e-2


class Options(tip_adapter.Options):
    """The paper's defaults; alpha and beta of the options read, those of the paper train."""

    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    epochs: int = Field(20, ge=1, description="passes over the shots")


def fit(given: Given, options: Options) -> tip_adapter.Fitted:
    """Return what is given, and the trained keys [C*K, D]."""
    assert given.shot_views is not None
    return given, fine_tune(tip_adapter.build_keys(given.shot_views), given, options)


def fine_tune(keys: np.ndarray, given: Given, options: Options) -> np.ndarray:
    """Return keys [C*K, D] trained on the shots' views."""
    import torch

    from dmn.method.optimiser import AdamW, cosine

    train, paper = given.shot_views, tip_adapter.Options()
    assert train is not None
    C, K, V, D = train.shape
    x_all = torch.from_numpy(train.reshape(C * K, V, D).astype(np.float64))
    x_all = torch.nn.functional.normalize(x_all, dim=-1, eps=0)
    labels = torch.arange(C).repeat_interleave(K)
    classifier = given.logit_scale * torch.from_numpy(given.text).T
    weight = torch.from_numpy(keys.copy()).requires_grad_()
    steps = options.epochs * -(-C * K // BATCH)
    optimiser = AdamW([weight], eps=EPSILON, weight_decay=WEIGHT_DECAY)
    draws = generator(given.seed, "Tip-Adapter-F", C, K, V)
    step = 0
    for _ in range(options.epochs):
        order = torch.from_numpy(draws.permutation(C * K))
        view = torch.from_numpy(draws.integers(min(1, V - 1), V, size=C * K))
        for rows in order.split(BATCH):
            x = x_all[rows, view[rows]]
            cache = torch.exp(-paper.beta * (1 - x @ weight.T)).unflatten(1, (C, K)).sum(-1)
            logits = x @ classifier + paper.alpha * cache
            loss = torch.nn.functional.cross_entropy(logits, labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step(cosine(step, steps, options.learning_rate))
            step += 1
    return weight.detach().numpy()
