"""projection: train the projections of one memory on cached training views.

Everything starts at zero; AdamW with a cosine schedule (docs/method.md, section 9). The learning
rate and the epochs are the paper's for the data set and the shots, unless the configuration
says otherwise.
"""

from __future__ import annotations

import pandas as pd
import torch

from dmn.artifacts import read_tensor_metadata, read_tensors, sha256, write_rows, write_tensors
from dmn.config import Config, from_argument
from dmn.datasets.registry import find_dataset, load_registry
from dmn.errors import run_main
from dmn.randomness import generator
from dmn.stages.arguments import add, add_settings, command
from dmn.stages.memory import read_shots
from dmn.training import train_projections


def schedule(config: Config, dataset: str, shots: int) -> tuple[float, int]:
    """Return learning rate and epochs: the configuration's, else the paper's."""
    rate, epochs = config.training.learning_rate, config.training.epochs
    if rate is None or epochs is None:
        entry = find_dataset(dataset, load_registry(config.download.registry))
        paper = entry.training_setting(shots)
        rate, epochs = rate or paper.learning_rate, epochs or paper.epochs
    return rate, epochs


def main() -> None:
    """Read features and memory, write the trained projections and the training curve."""
    parser = command("projection", __doc__)
    add(parser, "dataset", "text", "train", "memory", kind="bias or linear", seed="training seed")
    add(parser, weights="projections to write (safetensors)", curve="training curve to write (CSV)")
    add_settings(parser)
    arguments = parser.parse_args()
    config = from_argument(arguments.settings)
    torch.set_num_threads(config.numerics.threads)
    shots = read_tensors(arguments.memory)["memory"].shape[1] - 1
    rate, epochs = schedule(config, arguments.dataset, shots)
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
    sources = {name: sha256(getattr(arguments, name)) for name in ("text", "train", "memory")}
    facts = {
        "kind": arguments.kind,
        "position": config.model.position,
        "learning_rate": rate,
        "epochs": epochs,
        "inputs": sources,
    }
    # float64 inside, float32 in the file: the last bits differ between processors
    tensors = {
        name: value.to("cpu", torch.float32).numpy()
        for name, value in result.projections.tensors().items()
    }
    write_tensors(arguments.weights, tensors, facts)
    write_rows(arguments.curve, pd.DataFrame(result.history))


if __name__ == "__main__":
    run_main(main)
