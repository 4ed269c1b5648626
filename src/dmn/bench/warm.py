"""Compile the numba kernels once, at installation, so that the first jobs need not all do it."""

from __future__ import annotations

import argparse

import numpy as np
import torch

from dmn.engine.search import grid_correct
from dmn.evaluation.weights.coherence import Coherence
from dmn.evaluation.weights.selection import grid_coherence
from dmn.method.fusion import Predictions
from dmn.method.projections import Projections
from dmn.network import DualMemoryNetwork, evaluate_many


def main(arguments: argparse.Namespace) -> None:
    """Run each compiled path on a few random features, in float64 as the demo does."""
    draws = np.random.Generator(np.random.PCG64(0))

    def some(*shape: int) -> torch.Tensor:
        return torch.from_numpy(draws.standard_normal(shape))

    views, text, shots = some(12, 3, 8), some(3, 8), some(3, 2, 8)
    names = ("query", "key", "value", "output", "text")
    biases = Projections.bias(**{name: some(3, 8) for name in names})
    permutations = [draws.permutation(12), draws.permutation(12)]
    for projections in (None, biases):
        for readout in ("similarity", "center", "entropy"):
            network = DualMemoryNetwork(
                text,
                shots,
                length=2,
                readout=readout,
                projections=projections,
                view_share=0.4,
                dtype="float64",
            )
            network.evaluate(views)
            evaluate_many(network, views, permutations, [1, 2])
    answered = network.evaluate(views)
    predictions = Predictions(answered.text.numpy(), answered.dynamic.numpy())
    grid_correct(predictions, np.zeros(len(views), np.int64), [1.0])
    grid_coherence(predictions, [1.0], Coherence(views[:, 0].numpy(), len(text)))
