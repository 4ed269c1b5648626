"""Training of projections as the configuration says, for the stage and for the studies."""

from __future__ import annotations

import numpy as np
import torch

from dmn.config import Config
from dmn.datasets.registry import DatasetEntry
from dmn.method.projections import Kind, Projections
from dmn.method.training import TrainingResult, train_projections
from dmn.randomness import generator


def training_schedule(config: Config, entry: DatasetEntry | None, shots: int) -> tuple[float, int]:
    """Return learning rate and epochs: the configuration's, else the paper's for the data set."""
    rate, epochs = config.training.learning_rate, config.training.epochs
    if rate is None or epochs is None:
        assert entry is not None
        paper = entry.training_setting(shots)
        rate, epochs = rate or paper.learning_rate, epochs or paper.epochs
    return rate, epochs


def train(
    config: Config,
    text: np.ndarray,
    shots_views: np.ndarray,
    schedule: tuple[float, int],
    *,
    logit_scale: float,
    seed: int,
    kind: Kind,
    position: str | None = None,
    leave_one_out: bool | None = None,
) -> TrainingResult:
    """Train on text [C, D] and the shots' views [C, K, V, D]; None takes the configuration's.

    schedule: learning rate and epochs, see `training_schedule`.
    """
    rate, epochs = schedule
    hidden = config.training.leave_one_out if leave_one_out is None else leave_one_out
    return train_projections(
        torch.from_numpy(text),
        torch.from_numpy(np.ascontiguousarray(shots_views)),
        kind=kind,
        position=position or config.model.position,
        learning_rate=rate,
        epochs=epochs,
        batch_size=config.training.batch_size,
        weight_decay=config.training.weight_decay,
        leave_one_out=hidden,
        beta=config.model.beta,
        logit_scale=logit_scale,
        generator=generator(seed, "training", shots_views.shape[1]),
        dtype=getattr(torch, config.numerics.dtype),
        device=config.numerics.device,
    )


def rounded(projections: Projections) -> dict[str, torch.Tensor]:
    """Return the tensors in float16, as they are stored: the last bits of float64 differ.

    They differ between processors, and so does the sign of a zero that was rounded.
    """
    return {
        name: value.to("cpu", torch.float16) + 0.0 for name, value in projections.tensors().items()
    }
