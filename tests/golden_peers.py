"""WHU-RS19's CLIP features and what the authors' programs answered on them, where they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dmn.peers.contract import Given, Images, Peer
from dmn.peers.formulas import unit
from dmn.peers.loading import load_peers

SHARED = Path(__file__).parents[2] / "shared"
GOLDEN = SHARED / "golden_peers"
FEATURES = SHARED / "real" / "whu_rs19" / "CLIP"
PER_CLASS, SHOTS = 20, 16

needed = pytest.mark.skipif(
    not GOLDEN.exists(), reason="the golden files of the peers are not beside this checkout"
)


class World:
    """Features of one backbone: test images by row, their order, shots and validation images."""

    def __init__(self, backbone: str) -> None:
        import torch

        def read(name: str) -> np.ndarray:
            file = FEATURES / backbone / f"{name}.pt"
            return torch.load(file, map_location="cpu", weights_only=True).float().numpy()

        split = np.load(GOLDEN / "split.npz")
        images, text = read("images"), read("texts_averageprompt")
        self.text = text.T if text.shape[1] != images.shape[1] else text
        text = unit(self.text)
        train = images[split["train_rows"]].reshape(len(text), PER_CLASS, 1, -1)
        self.labels = split["labels"][split["test_rows"]]
        self.order = split["stream_order"]
        self.images = Images(images[split["test_rows"]][:, None])
        self.train = Images(train.reshape(-1, 1, images.shape[1]))
        self.validation = Images(train[:, SHOTS:].reshape(-1, 1, images.shape[1]))
        self.validation_labels = np.repeat(np.arange(len(text)), PER_CLASS - SHOTS)
        self.zero_shot = Given(text, 100.0)
        shots = train[:, :SHOTS]
        self.few_shot = Given(text, 100.0, unit(shots[:, :, 0]), shots)


@cache
def world(backbone: str = "ViT-B-32") -> World:
    """Return the features of one backbone."""
    return World(backbone)


@cache
def golden(name: str) -> dict[str, np.ndarray]:
    """Return one file of the authors' answers; scores [625, 19] by test row."""
    found = np.load(GOLDEN / f"{name}.npz", allow_pickle=True)
    return {key: found[key] for key in found.files}


def scores(peer: Peer, given: Given) -> np.ndarray:
    """Return a peer's scores by test row, in the golden order where it knows an order."""
    here = world()
    fitted = peer.fit(given, peer.options)
    if not peer.in_order:
        return peer.answer(fitted, here.images, peer.options)
    found = np.empty((len(here.labels), len(given.text)))
    found[here.order] = peer.answer(fitted, here.images.take(here.order), peer.options)
    return found


def peer(name: str, **changes: object) -> Peer:
    """Return a peer of the table with changes to its options."""
    return load_peers([name], options={name: changes})[0]


def accuracy(found: np.ndarray) -> float:
    """Return percent of right answers of scores by test row."""
    return 100 * float((found.argmax(axis=1) == world().labels).mean())
