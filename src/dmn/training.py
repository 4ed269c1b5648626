"""Training of the projections on cached features (method.md, section 9).

The loss needs the static readout for every batch at every step. Keys and values move with the
projections, but their products with the queries do not have to be formed from scratch: for
class-wise biases `<x, R + b> = <x, R> + <x, b>`, so one product without gradient serves keys and
values alike, and the norm of a read-out needs only the Gram matrix of the class's slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dmn.errors import ConfigError, FeatureError, nearest
from dmn.projections import Projections

Kind = Literal["bias", "linear"]
Plan = Iterable[tuple[np.ndarray, np.ndarray]]

NAMES = ("query", "key", "value", "output", "text")
POSITIONS: dict[str, tuple[str, ...]] = {
    "query": ("query",),
    "key": ("key",),
    "value": ("value",),
    "qkv": ("query", "key", "value"),
    "output": ("output", "text"),
    "all": NAMES,
}
LAST_LEARNING_RATE = 1e-7


@dataclass(frozen=True)
class TrainingResult:
    """Trained projections and one history row a step.

    A row has epoch, step, learning_rate, loss_static and loss_text; both losses are means over
    the batch, and the text loss is part of the objective at positions output and all only.
    """

    projections: Projections
    history: list[dict[str, float]]


class Readout(Protocol):
    """What the training loop needs: logits that follow the parameters."""

    parameters: dict[str, Tensor]

    def static_logits(self, x: Tensor, own: Tensor | None = None) -> Tensor:
        """Return the logits [B, C] of unit-norm queries `x` [B, D]."""

    def text_logits(self, x: Tensor) -> Tensor:
        """Return the text classifier's logits [B, C]."""


def train_projections(
    text: Tensor,
    shots_views: Tensor,
    *,
    learning_rate: float,
    epochs: int,
    generator: np.random.Generator,
    kind: Kind = "bias",
    position: str = "all",
    batch_size: int = 128,
    weight_decay: float = 1e-4,
    beta: float = 5.5,
    logit_scale: float = 100.0,
    leave_one_out: bool = False,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    plan: Plan | None = None,
) -> TrainingResult:
    """Train projections on text [C, D] and the shots' cached views [C, K, V, D].

    View 0 is the plain image and forms the static memory; each epoch shows every image once,
    in one of its views 1 to V-1 (view 0 when there is no other), as `sample_plan` draws it or
    `plan` says. `leave_one_out` hides an image's own slot. Raises FeatureError, ConfigError.
    """
    _check(text, shots_views, kind, position, epochs, batch_size)
    C, K, V, D = shots_views.shape
    unit_text = unit(text.to(device, dtype))
    plain = unit(shots_views[:, :, 0].to(device, dtype))
    slots = torch.cat([unit_text[:, None], plain], dim=1)
    make = BiasReadout if kind == "bias" else LinearReadout
    readout: Readout = make(slots, position, beta, logit_scale)
    views = shots_views.reshape(C * K, V, D)
    if plan is None:
        plan = sample_plan(generator, C * K, V, epochs)
    history = _fit(
        readout, views, K, plan, learning_rate, epochs, batch_size, weight_decay, leave_one_out
    )
    values = {name: p.detach() for name, p in readout.parameters.items()}
    build = Projections.bias if kind == "bias" else Projections.linear
    return TrainingResult(build(**values), history)


def sample_plan(
    generator: np.random.Generator, images: int, views: int, epochs: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each epoch the order of the images [N] and the view that each shows [N]."""
    for _ in range(epochs):
        order = generator.permutation(images)
        view = generator.integers(1, views, size=images) if views > 1 else np.zeros(images, int)
        yield order, view


def _fit(
    readout: Readout,
    views: Tensor,
    shots: int,
    plan: Plan,
    learning_rate: float,
    epochs: int,
    batch_size: int,
    weight_decay: float,
    leave_one_out: bool,
) -> list[dict[str, float]]:
    """Run AdamW with a cosine schedule per step and return the history."""
    trained = [p for p in readout.parameters.values() if p.requires_grad]
    size = min(batch_size, len(views))
    total = epochs * -(-len(views) // size)
    optimiser = torch.optim.AdamW(
        trained, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, T_max=total, eta_min=LAST_LEARNING_RATE
    )
    history: list[dict[str, float]] = []
    for epoch, (order, view) in enumerate(plan):
        for start in range(0, len(order), size):
            rows = torch.from_numpy(np.asarray(order[start : start + size], dtype=np.int64))
            chosen = torch.from_numpy(np.asarray(view, dtype=np.int64))[rows]
            static, text = losses(readout, views[rows, chosen], rows, shots, leave_one_out)
            loss = static + text if readout.parameters["text"].requires_grad else static
            optimiser.zero_grad()
            loss.backward()
            rate = optimiser.param_groups[0]["lr"]
            optimiser.step()
            schedule.step()
            history.append(
                {
                    "epoch": epoch,
                    "step": len(history),
                    "learning_rate": float(rate),
                    "loss_static": float(static.detach()),
                    "loss_text": float(text.detach()),
                }
            )
    return history


def losses(
    readout: Readout, features: Tensor, rows: Tensor, shots: int, leave_one_out: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the static and the text cross-entropy of a batch.

    `features` [B, D] belong to the training images `rows` [B], image i being shot i % K of class
    i // K with K = `shots`.
    """
    like = readout.parameters["query"]
    x = unit(features.to(like.device, like.dtype))
    labels = rows.to(like.device) // shots
    own = rows.to(like.device) + labels + 1 if leave_one_out else None
    static = cross_entropy(readout.static_logits(x, own), labels)
    return static, cross_entropy(readout.text_logits(x), labels)


def unit(vectors: Tensor) -> Tensor:
    """Return vectors of length 1 along the last dimension, without an epsilon."""
    return vectors / torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)


def attention(similarity: Tensor, beta: float, own: Tensor | None) -> Tensor:
    """Return exp(-beta (1 - s)) for similarities [C, S, B]; 0 at flat slots `own` [B]."""
    weights = torch.exp(beta * (similarity - 1))
    if own is None:
        return weights
    hidden = torch.zeros_like(similarity, dtype=torch.bool)
    hidden.view(-1, len(own))[own, torch.arange(len(own), device=own.device)] = True
    return weights.masked_fill(hidden, 0)


class BiasReadout:
    """Static readout and text classifier under class-wise biases [C, D], zero at the start."""

    def __init__(self, slots: Tensor, position: str, beta: float, logit_scale: float) -> None:
        """Prepare the products that no step changes; `slots` [C, 1+K, D], slot 0 the text."""
        C, _, D = slots.shape
        self.parameters = _zeros((C, D), position, slots)
        self.slots, self.beta, self.scale = slots, beta, logit_scale
        self.gram = slots @ slots.mT
        self.squares = self.gram.diagonal(dim1=1, dim2=2)

    def _norms(self, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return <R, b> and |R + b| for every slot, [C, S] each."""
        inner = _inner(self.slots, bias)
        return inner, (self.squares + 2 * inner + (bias * bias).sum(1, keepdim=True)).sqrt()

    def static_logits(self, x: Tensor, own: Tensor | None = None) -> Tensor:
        """Return logits [B, C] of unit-norm `x` [B, D]; `own` [B] are flat slots to hide."""
        b = self.parameters
        products = (self.slots.flatten(0, 1) @ x.T).unflatten(0, self.slots.shape[:2])
        shift = b["query"].mean(0)
        _, key_norm = self._norms(b["key"])
        shifted = self.slots @ shift + (b["key"] @ shift)[:, None]
        similarity = products + (b["key"] @ x.T)[:, None] + shifted[..., None]
        similarity = similarity / key_norm[..., None] / torch.linalg.vector_norm(x + shift, dim=1)
        inner, value_norm = self._norms(b["value"])
        weights = attention(similarity, self.beta, own) / value_norm[..., None]
        total = weights.sum(1)
        norm = (
            (weights * (self.gram @ weights)).sum(1)
            + 2 * total * (weights * inner[..., None]).sum(1)
            + total**2 * (b["value"] ** 2).sum(1, keepdim=True)
        ).sqrt()
        along_x = ((weights * products).sum(1) + total * (b["value"] @ x.T)) / norm
        out = b["output"]
        along_out = (weights * _inner(self.slots, out)[..., None]).sum(1)
        along_out = (along_out + total * (b["value"] * out).sum(1, keepdim=True)) / norm
        length = (1 + 2 * along_out + (out * out).sum(1, keepdim=True)).sqrt()
        return self.scale * ((along_x + out @ x.T) / length).T

    def text_logits(self, x: Tensor) -> Tensor:
        """Return s <x, n(T + B)>, [B, C]."""
        moved = self.slots[:, 0] + self.parameters["text"]
        return self.scale * x @ unit(moved).T


class LinearReadout:
    """Static readout and text classifier under residual layers [D, D], zero at the start."""

    def __init__(self, slots: Tensor, position: str, beta: float, logit_scale: float) -> None:
        """Take `slots` [C, 1+K, D] of unit norm, slot 0 the text."""
        self.parameters = _zeros((slots.shape[-1],) * 2, position, slots)
        self.slots, self.beta, self.scale = slots, beta, logit_scale

    def _moved(self, vectors: Tensor, name: str) -> Tensor:
        weight = self.parameters[name]
        if not weight.requires_grad:  # a layer that does not act is zero for good
            return vectors
        return vectors + vectors @ weight.T

    def static_logits(self, x: Tensor, own: Tensor | None = None) -> Tensor:
        """Return logits [B, C] of unit-norm `x` [B, D]; `own` [B] are flat slots to hide."""
        rows, shape = self.slots.flatten(0, 1), self.slots.shape[:2]
        query = unit(self._moved(x, "query"))
        key = unit(self._moved(rows, "key"))
        value = unit(self._moved(rows, "value"))
        weights = attention((key @ query.T).unflatten(0, shape), self.beta, own)
        # the norm taken before the output layer cancels in the one after it
        value = self._moved(value, "output")
        along_x = (weights * (value @ x.T).unflatten(0, shape)).sum(1)
        classes = value.unflatten(0, shape)
        norm = (weights * (classes @ classes.mT @ weights)).sum(1).sqrt()
        return self.scale * (along_x / norm).T

    def text_logits(self, x: Tensor) -> Tensor:
        """Return s <x, n(T + W T)>, [B, C]."""
        moved = self._moved(self.slots[:, 0], "text")
        return self.scale * x @ unit(moved).T


def _zeros(shape: tuple[int, ...], position: str, like: Tensor) -> dict[str, Tensor]:
    return {
        name: torch.zeros(shape, dtype=like.dtype, device=like.device).requires_grad_(
            name in POSITIONS[position]
        )
        for name in NAMES
    }


def _inner(slots: Tensor, bias: Tensor) -> Tensor:
    """Return <R_cj, b_c>, [C, S]."""
    return (slots @ bias[..., None])[..., 0]


def _check(
    text: Tensor, shots_views: Tensor, kind: str, position: str, epochs: int, batch_size: int
) -> None:
    if kind not in ("bias", "linear"):
        raise ConfigError(f"projection {kind!r} is unknown; {nearest(kind, ('bias', 'linear'))}")
    if position not in POSITIONS:
        raise ConfigError(f"position {position!r} is unknown; {nearest(position, POSITIONS)}")
    if epochs < 1 or batch_size < 1:
        raise ConfigError(f"epochs {epochs} and batch size {batch_size} must be at least 1")
    if text.ndim != 2 or shots_views.ndim != 4:
        raise FeatureError(
            f"training needs text [C, D] and shots [C, K, V, D], "
            f"got {list(text.shape)} and {list(shots_views.shape)}"
        )
    C, K, V, D = shots_views.shape
    if tuple(text.shape) != (C, D) or K * V * C == 0:
        raise FeatureError(
            f"shots {list(shots_views.shape)} do not fit text {list(text.shape)}: classes and "
            "feature dimension must agree, with at least one class, shot and view"
        )
    for what, features in (("text", text), ("shots", shots_views)):
        norms = torch.linalg.vector_norm(features, dim=-1)
        if not bool(torch.isfinite(norms).all()):
            raise FeatureError(f"training {what} features have NaN or infinite values")
        if not bool((norms > 0).all()):
            raise FeatureError(f"training {what} features have a zero vector")
