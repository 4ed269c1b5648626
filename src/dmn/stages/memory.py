"""memory: build the static memories of one split seed, one for each K.

Slot 0 of a class is its text feature, slots 1 to K are its un-augmented shots
(docs/method.md, section 5).
"""

from __future__ import annotations

import argparse

import numpy as np

from dmn.artifacts import read_tensors, sha256, write_tensors
from dmn.evaluation.shots import read_shots
from dmn.stages.arguments import add, add_list


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage memory`."""
    add(parser, "text", "train")
    add_list(parser, "shots", "K, shots of each class; one for each file to write", int)
    add_list(parser, "out", "files to write")


def main(arguments: argparse.Namespace) -> None:
    """Read text and shot features, write [C, 1+K, D] for each K."""
    text = read_tensors(arguments.text)["text"]
    sources = {name: sha256(getattr(arguments, name)) for name in ("text", "train")}
    for shots, out in zip(arguments.shots, arguments.out, strict=True):
        drawn = read_shots(arguments.train, shots)
        memory = np.concatenate([text[:, None], drawn[:, :, 0]], axis=1)
        write_tensors(out, {"memory": memory}, {"inputs": sources})
