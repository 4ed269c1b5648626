"""What is asked of the engine when several models, orders and lengths are answered at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from dmn.errors import ConfigError
from dmn.method.checks import check_length, check_positive
from dmn.method.model import Model


@dataclass(frozen=True)
class Request:
    """A model that shall answer all images; views [N, V, D] or [N, D]; length None: no limit."""

    model: Model
    views: object
    lengths: tuple[int | None, ...]
    betas: tuple[float, ...]

    @classmethod
    def of(
        cls,
        model: Model,
        views: object,
        lengths: Sequence[int | None] | None = None,
        betas: Sequence[float] | None = None,
    ) -> Request:
        """Return a request; lengths and betas default to the model's own. Raises ConfigError."""
        wanted = (model.length,) if lengths is None else tuple(check_length(n) for n in lengths)
        if not wanted:
            raise ConfigError("lengths must name at least one memory length")
        sharpness = [model.beta] if betas is None else [check_positive(b, "beta") for b in betas]
        return cls(model, views, wanted, tuple(sharpness))


class Answered(NamedTuple):
    """What a model makes of the images before any read: pseudo_label [N], entropy [N]."""

    pseudo_label: np.ndarray
    entropy: np.ndarray


@dataclass(frozen=True)
class Block:
    """Probabilities of some images: of request `request` with its beta number `beta`.

    rows [b] of the views; orders, lengths: their numbers; text, static [b, C], static None in
    zero-shot; dynamic [orders, lengths, b, C]. They are valid until the sink returns.
    """

    request: int
    beta: int
    rows: np.ndarray
    orders: Sequence[int]
    lengths: Sequence[int]
    text: Tensor
    static: Tensor | None
    dynamic: Tensor


Sink = Callable[[Block], None]
