"""projection: train the projections of each memory of a split on cached training views.

Everything starts at zero; AdamW with a cosine schedule (docs/method.md, section 9). The learning
rate and the epochs are the paper's for the data set and the shots, unless the configuration
says otherwise.
"""

from __future__ import annotations

import argparse

import pandas as pd
import torch

from dmn.artifacts import read_tensor_metadata, read_tensors, sha256, write_rows, write_tensors
from dmn.config import from_argument
from dmn.evaluation.fit import rounded, train, training_schedule
from dmn.evaluation.shots import read_shots
from dmn.stages.arguments import add, add_config, add_list, add_threads
from dmn.stages.entry import find_entry


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage projection`."""
    add(parser, "dataset", "text", "train", kind="bias or linear", seed="training seed")
    add_list(parser, "memory", "static memories [C, 1+K, D] (safetensors)")
    add_list(parser, "weights", "projections to write (safetensors), one for each memory")
    add_list(parser, "curves", "training curves to write (CSV), one for each memory")
    add_config(parser)
    add_threads(parser)


def main(arguments: argparse.Namespace) -> None:
    """Read features and memories, write trained projections and training curves."""
    config = from_argument(arguments.config)
    entry = find_entry(arguments.dataset, config)
    torch.set_num_threads(arguments.threads)
    text = read_tensors(arguments.text)["text"]
    logit_scale = read_tensor_metadata(arguments.text)["logit_scale"]
    shared = {name: sha256(getattr(arguments, name)) for name in ("text", "train")}
    jobs = zip(arguments.memory, arguments.weights, arguments.curves, strict=True)
    for memory, weights, curve in jobs:
        shots = read_tensors(memory)["memory"].shape[1] - 1
        rate, epochs = training_schedule(config, entry, shots)
        result = train(
            config,
            text,
            read_shots(arguments.train, shots),
            (rate, epochs),
            logit_scale=logit_scale,
            seed=int(arguments.seed),
            kind=arguments.kind,
        )
        facts = {
            "kind": arguments.kind,
            "position": config.model.position,
            "learning_rate": rate,
            "epochs": epochs,
            "inputs": shared | {"memory": sha256(memory)},
        }
        tensors = {name: t.numpy() for name, t in rounded(result.projections).items()}
        write_tensors(weights, tensors, facts)
        write_rows(curve, pd.DataFrame(result.history))
