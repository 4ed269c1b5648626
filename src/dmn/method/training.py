"""Training of the projections on cached features (method.md, section 9).

The loss needs the static readout for every batch at every step. Keys and values move with the
projections, but their products with the queries do not have to be formed from scratch: for
class-wise biases `<x, R + b> = <x, R> + <x, b>`, so one product without gradient serves keys and
values alike, and the norm of a read-out needs only the Gram matrix of the class's slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dmn.errors import ConfigError, FeatureError
from dmn.method import readout
from dmn.method.checks import check_vectors
from dmn.method.choices import KINDS, POSITIONS, Kind, check_choice
from dmn.method.optimiser import AdamW, cosine
from dmn.method.projections import Projections, project
from dmn.method.static_memory import static_memory
from dmn.method.text import normalise, text_classifier

Plan = Iterable[tuple[np.ndarray, np.ndarray]]

LAST_LEARNING_RATE = 1e-7


@dataclass(frozen=True)
class TrainingResult:
    """Trained projections and one history row a step.

    A row has epoch, step, learning_rate, loss_static and loss_text; both losses are means over
    the batch, and the text loss is part of the objective at positions output and all only.
    """

    projections: Projections
    history: list[dict[str, float]]


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
    unit_text = normalise(text.to(device, dtype))
    slots = static_memory(unit_text, normalise(shots_views[:, :, 0].to(device, dtype)))
    start = untrained(kind, position, slots)
    model = static_readout(slots, start, beta, logit_scale)
    views = shots_views.reshape(C * K, V, D)
    if plan is None:
        plan = sample_plan(generator, C * K, V, epochs)
    history = _fit(
        model, views, K, plan, learning_rate, epochs, batch_size, weight_decay, leave_one_out
    )
    trained = {name: tensor.detach() for name, tensor in start.tensors().items()}
    return TrainingResult(Projections(kind, **trained), history)


def untrained(kind: Kind, position: str, slots: Tensor) -> Projections:
    """Return the projections that act at `position`, zero and with gradient, for [C, S, D]."""
    C, _, D = slots.shape
    shape = (C, D) if kind == "bias" else (D, D)
    zeros = {name: slots.new_zeros(shape).requires_grad_() for name in POSITIONS[position]}
    return Projections(kind, **zeros)


def sample_plan(
    generator: np.random.Generator, images: int, views: int, epochs: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for each epoch the order of the images [N] and the view that each shows [N]."""
    for _ in range(epochs):
        order = generator.permutation(images)
        view = generator.integers(1, views, size=images) if views > 1 else np.zeros(images, int)
        yield order, view


def _fit(
    model: StaticReadout,
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
    trained = list(model.projections.tensors().values())
    size = min(batch_size, len(views))
    total = epochs * -(-len(views) // size)
    optimiser = AdamW(trained, weight_decay=weight_decay)
    history: list[dict[str, float]] = []
    for epoch, (order, view) in enumerate(plan):
        for start in range(0, len(order), size):
            rows = torch.from_numpy(np.asarray(order[start : start + size], dtype=np.int64))
            chosen = torch.from_numpy(np.asarray(view, dtype=np.int64))[rows]
            static, text = losses(model, views[rows, chosen], rows, shots, leave_one_out)
            loss = static if model.projections.text is None else static + text
            optimiser.zero_grad()
            loss.backward()
            rate = cosine(len(history), total, learning_rate, LAST_LEARNING_RATE)
            optimiser.step(rate)
            history.append(
                {
                    "epoch": epoch,
                    "step": len(history),
                    "learning_rate": rate,
                    "loss_static": float(static.detach()),
                    "loss_text": float(text.detach()),
                }
            )
    return history


def losses(
    model: StaticReadout, features: Tensor, rows: Tensor, shots: int, leave_one_out: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the static and the text cross-entropy of a batch.

    `features` [B, D] belong to the training images `rows` [B], image i being shot i % K of class
    i // K with K = `shots`.
    """
    x = normalise(features.to(model.slots.device, model.slots.dtype))
    rows = rows.to(x.device)
    labels = rows // shots
    own = rows + labels + 1 if leave_one_out else None
    static = cross_entropy(model.static_logits(x, own), labels)
    return static, cross_entropy(model.text_logits(x), labels)


def attention(exponent: Tensor, shift: Tensor | float, own: Tensor | None) -> Tensor:
    """Return exp(beta <u, k> - shift), [C, S, B]; 0 at the flat slots `own` [B].

    With shift = beta these are the weights of method.md, section 7; with beta + log |v| they are
    divided by the length of the value, which is cheaper than to normalise the value.
    """
    weights = torch.exp(exponent - shift)
    if own is None:
        return weights
    hidden = torch.zeros_like(exponent, dtype=torch.bool)
    hidden.view(-1, len(own))[own, torch.arange(len(own), device=own.device)] = True
    return weights.masked_fill(hidden, 0)


class StaticReadout:
    """Logits of the static memory and the text classifier that follow the projections."""

    def __init__(
        self, slots: Tensor, projections: Projections, beta: float, logit_scale: float
    ) -> None:
        """Take `slots` [C, 1+K, D] of unit norm, slot 0 the text."""
        self.slots, self.projections = slots, projections
        self.beta, self.logit_scale = beta, logit_scale

    def static_logits(self, x: Tensor, own: Tensor | None = None) -> Tensor:
        """Return logits [B, C] of unit-norm `x` [B, D]; `own` [B] are flat slots to hide."""
        raise NotImplementedError

    def text_logits(self, x: Tensor) -> Tensor:
        """Return s <x, T'>, [B, C] (section 2)."""
        return self.logit_scale * x @ text_classifier(self.slots[:, 0], self.projections).T


class LinearReadout(StaticReadout):
    """The static readout under residual layers [D, D]."""

    def static_logits(self, x: Tensor, own: Tensor | None = None) -> Tensor:
        """Return logits [B, C] of unit-norm `x` [B, D]; `own` [B] are flat slots to hide."""
        p, shape = self.projections, self.slots.shape[:2]
        keys = readout.keys(self.slots, p).flatten(0, 1)
        similarity = (keys @ readout.query(x, p).T).unflatten(0, shape)
        weights = attention(self.beta * similarity, self.beta, own)
        # the norm taken before the output layer cancels in the one after it
        values = project(readout.values(self.slots, p), p.output, p.kind)
        along_x = (weights * (values.flatten(0, 1) @ x.T).unflatten(0, shape)).sum(1)
        norm = (weights * (values @ values.mT @ weights)).sum(1).sqrt()
        return self.logit_scale * (along_x / norm).T


class BiasReadout(StaticReadout):
    """The static readout under class-wise biases [C, D]."""

    def __init__(
        self, slots: Tensor, projections: Projections, beta: float, logit_scale: float
    ) -> None:
        """Prepare the products that no step changes."""
        super().__init__(slots, projections, beta, logit_scale)
        self.zero = slots.new_zeros(slots[:, 0].shape)
        self.gram = slots @ slots.mT
        self.squares = self.gram.diagonal(dim1=1, dim2=2)

    def _bias(self, name: str) -> Tensor:
        bias = getattr(self.projections, name)
        return self.zero if bias is None else bias

    def static_logits(self, x: Tensor, own: Tensor | None = None) -> Tensor:
        """Return logits [B, C] of unit-norm `x` [B, D]; `own` [B] are flat slots to hide."""
        key, value, out = (self._bias(name) for name in ("key", "value", "output"))
        shift = self._bias("query").mean(0)
        # <R, b> for all four at once, since each pass over the slots costs
        stacked = torch.stack([key, value, out, shift.expand_as(key)], dim=-1)
        along_key, along_value, along_out, along_shift = (self.slots @ stacked).unbind(-1)
        products = (self.slots.flatten(0, 1) @ x.T).unflatten(0, self.slots.shape[:2])

        key_norm = (self.squares + 2 * along_key + _squares(key)).sqrt()
        scale = (self.beta / key_norm)[..., None]
        shifted = along_shift + (key @ shift)[:, None]
        exponent = (products + (key @ x.T)[:, None] + shifted[..., None]) * scale
        exponent = exponent / torch.linalg.vector_norm(x + shift, dim=1)
        value_norm = (self.squares + 2 * along_value + _squares(value)).sqrt()
        weights = attention(exponent, self.beta + value_norm.log()[..., None], own)

        # one product gives G w and the sums of w, w <R, B_v> and w <R, B_o>
        rows = torch.stack([torch.ones_like(along_out), along_value, along_out], dim=1)
        sums = torch.cat([self.gram, rows], dim=1) @ weights
        total, sum_value, sum_out = sums[:, -3:].unbind(1)
        squared = (weights * sums[:, :-3]).sum(1) + 2 * total * sum_value
        norm = (squared + total**2 * _squares(value)).sqrt()
        along_x = ((weights * products).sum(1) + total * (value @ x.T)) / norm
        sum_out = (sum_out + total * (value * out).sum(1, keepdim=True)) / norm
        length = (1 + 2 * sum_out + _squares(out)).sqrt()
        return self.logit_scale * ((along_x + out @ x.T) / length).T


def static_readout(
    slots: Tensor, projections: Projections, beta: float, logit_scale: float
) -> StaticReadout:
    """Return the readout for the projections' kind."""
    kinds = {"bias": BiasReadout, "linear": LinearReadout}
    return kinds[projections.kind](slots, projections, beta, logit_scale)


def _squares(bias: Tensor) -> Tensor:
    """Return |b_c|^2, [C, 1]."""
    return (bias * bias).sum(1, keepdim=True)


def _check(
    text: Tensor, shots_views: Tensor, kind: str, position: str, epochs: int, batch_size: int
) -> None:
    check_choice(kind, KINDS, "projection")
    check_choice(position, POSITIONS, "position")
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
    check_vectors(text, "text", "C D")
    check_vectors(shots_views, "shots", "C K V D")
