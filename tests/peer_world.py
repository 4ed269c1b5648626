"""A small world for the peers' plain loops: images, what a peer is given, and its answers."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from dmn.peers.contract import Given, Images, from_module
from dmn.peers.formulas import unit
from synthetic import study_data

SCALE = 40.0  # flatter than CLIP's, so that no probability is 0 or 1


def world(images: int = 70, shots: bool = False) -> tuple[Images, Given, np.ndarray]:
    """Return test images, what a peer is given, and the test labels."""
    data = study_data(images=images, noise=0.5)
    few = (
        {"shots": unit(data.memories[max(data.memories)][:, 1:]), "shot_views": data.train}
        if shots
        else {}
    )
    return Images(data.test.views), Given(unit(data.text), SCALE, **few), data.test.labels


def told(module: str, images: Images, given: Given, /, **changes: Any) -> np.ndarray:
    """Return the scores [N, C] of a peer's module."""
    found = importlib.import_module(f"dmn.peers.{module}")
    peer = from_module(module, found, changes)
    return peer.answer(peer.fit(given, peer.options), images, peer.options)


def plain_softmax(logits: Any) -> np.ndarray:
    """Return exp(l) / sum exp(l) of one row."""
    raised = np.array([np.exp(value - max(logits)) for value in logits])
    return raised / raised.sum()


def plain_entropy(p: np.ndarray) -> float:
    """Return -sum p log p of one row."""
    return -sum(float(q) * float(np.log(q)) for q in p)
