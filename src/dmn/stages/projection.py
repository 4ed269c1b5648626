"""projection: train the projections of each memory of a split on cached training views.

Everything starts at zero; AdamW with a cosine schedule (docs/method.md, section 9). The learning
rate and the epochs are the paper's for the data set and the shots, unless the configuration
says otherwise.
"""

from __future__ import annotations

import argparse
from typing import Any

import pandas as pd
import torch

from dmn.artifacts import read_tensor_metadata, read_tensors, sha256, write_rows, write_tensors
from dmn.config import Config, from_argument
from dmn.datasets.registry import training_schedule
from dmn.errors import run_main
from dmn.randomness import generator
from dmn.stages.arguments import add, add_list, add_settings, command
from dmn.stages.memory import read_shots
from dmn.training import TrainingResult, train_projections


def train(
    arguments: argparse.Namespace, config: Config, memory: str
) -> tuple[TrainingResult, dict[str, Any]]:
    """Return the projections trained on one memory, and the facts that are stored beside them."""
    shots = read_tensors(memory)["memory"].shape[1] - 1
    rate, epochs = training_schedule(config, arguments.dataset, shots)
    result = train_projections(
        torch.from_numpy(read_tensors(arguments.text)["text"]),
        torch.from_numpy(read_shots(arguments.train, shots)),
        kind=arguments.kind,
        position=config.model.position,
        learning_rate=rate,
        epochs=epochs,
        batch_size=config.training.batch_size,
        weight_decay=config.training.weight_decay,
        leave_one_out=config.training.leave_one_out,
        beta=config.model.beta,
        logit_scale=read_tensor_metadata(arguments.text)["logit_scale"],
        generator=generator(int(arguments.seed), "training", shots),
        dtype=getattr(torch, config.numerics.dtype),
        device=config.numerics.device,
    )
    files = {"text": arguments.text, "train": arguments.train, "memory": memory}
    facts = {
        "kind": arguments.kind,
        "position": config.model.position,
        "learning_rate": rate,
        "epochs": epochs,
        "inputs": {name: sha256(file) for name, file in files.items()},
    }
    return result, facts


def main() -> None:
    """Read features and memories, write trained projections and training curves."""
    parser = command("projection", __doc__)
    add(parser, "dataset", "text", "train", kind="bias or linear", seed="training seed")
    add_list(parser, "memory", "static memories [C, 1+K, D] (safetensors)")
    add_list(parser, "weights", "projections to write (safetensors), one for each memory")
    add_list(parser, "curves", "training curves to write (CSV), one for each memory")
    add_settings(parser)
    arguments = parser.parse_args()
    config = from_argument(arguments.settings)
    torch.set_num_threads(config.numerics.threads)
    jobs = zip(arguments.memory, arguments.weights, arguments.curves, strict=True)
    for memory, weights, curve in jobs:
        result, facts = train(arguments, config, memory)
        # float64 inside, float16 in the file: the last bits differ between processors, and so does
        # the sign of a zero that was rounded
        tensors = {
            name: (value.to("cpu", torch.float16) + 0.0).numpy()
            for name, value in result.projections.tensors().items()
        }
        write_tensors(weights, tensors, facts)
        write_rows(curve, pd.DataFrame(result.history))


if __name__ == "__main__":
    run_main(main)
