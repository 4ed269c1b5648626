"""Projections of query, key, value, output and text: class-wise biases or linear layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dmn.errors import FeatureError, nearest
from dmn.method.checks import as_tensor
from dmn.method.choices import NAMES, POSITIONS, Kind, check_choice


@dataclass(frozen=True)
class Projections:
    """What is added to query, key, value, output and text (method.md, sections 2 and 7).

    kind `bias`: class-wise biases [C, D], as the authors released; kind `linear`: layers [D, D],
    added residually as x + W x, as the paper says. One that is None acts like zero.
    """

    kind: Kind
    query: Tensor | None = None
    key: Tensor | None = None
    value: Tensor | None = None
    output: Tensor | None = None
    text: Tensor | None = None

    @classmethod
    def bias(cls, **biases: object) -> Projections:
        """Return class-wise biases query, key, value, output, text: [C, D] each, missing ones zero.

        Raises FeatureError for an unknown name, a wrong shape or a value that is not finite.
        """
        return cls("bias", **_checked(biases, "bias"))

    @classmethod
    def linear(cls, **layers: object) -> Projections:
        """Return linear layers query, key, value, output, text: [D, D] each, missing ones zero.

        Raises FeatureError for an unknown name, a wrong shape or a value that is not finite.
        """
        projections = cls("linear", **_checked(layers, "linear layer"))
        for name, layer in projections.tensors().items():
            if layer.shape[0] != layer.shape[1]:
                raise FeatureError(
                    f"linear layer {name!r} has shape {tuple(layer.shape)}; it must be [D, D]"
                )
        return projections

    def tensors(self) -> dict[str, Tensor]:
        """Return the projections that are there, by name."""
        found = {name: getattr(self, name) for name in NAMES}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def at(self, position: str) -> Projections:
        """Return only the projections that act at `position` and are not zero (section 7).

        Raises ConfigError for an unknown position.
        """
        names = POSITIONS[check_choice(position, POSITIONS, "position")]
        acting = {
            name: tensor
            for name, tensor in self.tensors().items()
            if name in names and bool((tensor != 0).any())
        }
        return Projections(self.kind, **acting)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Projections:
        """Return the projections on a device, in a dtype."""
        moved = {name: tensor.to(device, dtype) for name, tensor in self.tensors().items()}
        return Projections(self.kind, **moved)

    def for_readout(self, readout: str) -> Projections:
        """Return what acts under a readout: only `similarity` projects its slots (section 8)."""
        return self if readout == "similarity" else Projections(self.kind)

    def of_classes(self, classes: slice | Tensor) -> Projections:
        """Return what acts on the slots of some classes; a query belongs to all of them."""
        if self.kind == "linear":
            return self
        own = {n: t if n == "query" else t[classes] for n, t in self.tensors().items()}
        return Projections(self.kind, **own)

    def check_fits(self, classes: int, dimension: int) -> None:
        """Raise FeatureError unless the shapes fit C classes and D dimensions."""
        wanted = (classes if self.kind == "bias" else dimension, dimension)
        for name, tensor in self.tensors().items():
            if tuple(tensor.shape) != wanted:
                raise FeatureError(
                    f"projection {name!r} has shape {tuple(tensor.shape)}, but a {self.kind} for "
                    f"C={classes} classes and D={dimension} dimensions has {wanted}"
                )


def project(x: Tensor, projection: Tensor | None, kind: Kind) -> Tensor:
    """Return x + b for a bias that broadcasts to x [..., D], x + W x for a layer W [D, D]."""
    if projection is None:
        return x
    return x + projection if kind == "bias" else x + x @ projection.mT


def _checked(given: dict[str, object], what: str) -> dict[str, Tensor]:
    checked = {}
    for name, value in given.items():
        if name not in NAMES:
            raise FeatureError(f"projection {name!r} is unknown; {nearest(name, NAMES)}")
        if value is None:
            continue
        tensor = as_tensor(value, f"{what} {name!r}")
        if tensor.ndim != 2:
            raise FeatureError(f"{what} {name!r} has shape {tuple(tensor.shape)}; give 2 axes")
        if not bool(torch.isfinite(tensor).all()):
            raise FeatureError(f"{what} {name!r} has NaN or infinite values; train it again")
        checked[name] = tensor
    shapes = {tuple(tensor.shape) for tensor in checked.values()}
    if len(shapes) > 1:
        raise FeatureError(f"the {what} tensors have different shapes {sorted(shapes)}")
    return checked
