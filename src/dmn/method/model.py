"""What a read needs of a network, and what does not change while a stream goes on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from dmn.errors import ConfigError, FeatureError
from dmn.method.checks import (
    as_tensor,
    check_dimension,
    check_length,
    check_positive,
    check_vectors,
)
from dmn.method.choices import ENTRY_RULES, READOUTS, check_choice
from dmn.method.products import fitting_columns, padded
from dmn.method.projections import Projections
from dmn.method.static_memory import fixed_part, static_memory
from dmn.method.text import normalise, text_classifier

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Model:
    """Unit-norm features of one data set and backbone, and the method's choices.

    text [C, D]; fixed [C, F, D], the part of the dynamic memory that every read sees; static
    [C, 1+A, D], None in zero-shot; projections: those that act. length None is an unlimited
    memory; seed feeds the entry rules random and reservoir.
    """

    text: Tensor
    fixed: Tensor
    static: Tensor | None
    projections: Projections
    length: int | None
    beta: float
    logit_scale: float
    readout: str
    view_share: float
    update_before_read: bool
    entry_rule: str
    seed: int

    @classmethod
    def of(
        cls,
        features: Features,
        projections: Projections,
        *,
        position: str,
        text_slot: bool,
        shots_in_dynamic: bool,
        length: int | None,
        beta: float,
        logit_scale: float,
        readout: str,
        view_share: float,
        update_before_read: bool,
        entry_rule: str,
        seed: int,
    ) -> Model:
        """Build both memories' fixed slots (section 5). Raises FeatureError, ConfigError."""
        text, shots, copies = features
        projections.check_fits(*text.shape)
        static = None
        if shots is not None:
            static = static_memory(text, shots if copies is None else copies)
        if check_positive(view_share, "view_share") > 1:
            raise ConfigError(f"view_share is {view_share!r}; it is a share, at most 1")
        return cls(
            text=text,
            fixed=fixed_part(text, shots, text_slot, shots_in_dynamic),
            static=static,
            projections=projections.at(position).to(text.device, text.dtype),
            length=check_length(length),
            beta=check_positive(beta, "beta"),
            logit_scale=check_positive(logit_scale, "logit_scale"),
            readout=check_choice(readout, READOUTS, "readout"),
            view_share=float(view_share),
            update_before_read=bool(update_before_read),
            entry_rule=check_choice(entry_rule, ENTRY_RULES, "entry_rule"),
            seed=int(seed),
        )

    @property
    def classes(self) -> int:
        """C."""
        return len(self.text)

    @property
    def dimension(self) -> int:
        """D."""
        return self.text.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of all features and answers."""
        return self.text.dtype

    @property
    def device(self) -> torch.device:
        """Where all features lie."""
        return self.text.device

    @cached_property
    def columns(self) -> Tensor:
        """T' [C, D], then rows of zeros up to what a product shall have."""
        classifier = text_classifier(self.text, self.projections)
        return padded(classifier, fitting_columns(self.classes))


class Features(NamedTuple):
    """Checked features of unit norm: text [C, D]; shots [C, K, D] and their copies [C, A, D]."""

    text: Tensor
    shots: Tensor | None
    copies: Tensor | None


def check_features(
    text: object,
    shots: object,
    shots_views: object,
    dtype: torch.dtype | str,
    device: torch.device | str,
) -> Features:
    """Return text, shots and shots_views ([C, A, D] or [C, K, V, D]) on a device.

    Raises FeatureError and ConfigError before any work.
    """
    place = torch.device(device), _dtype(dtype)
    unit = _unit(text, "text", "C D", *place)
    if not len(unit):
        raise FeatureError("text has shape [0, D]: there is no class; give one row a class")
    plain = None if shots is None else _unit(shots, "shots", "C K D", *place)
    copies = None
    if shots_views is not None:
        given = as_tensor(shots_views, "shots_views")
        flat = given.flatten(1, 2) if given.ndim == 4 else given
        copies = _unit(flat, "shots_views", "C A D", *place)
    for tensor, what in ((plain, "shots"), (copies, "shots_views")):
        if tensor is not None:
            _check_shots(tensor, unit, what)
    if copies is not None and plain is None:
        raise FeatureError("shots_views without shots; give the plain shots [C, K, D] too")
    return Features(unit, plain, copies)


def _unit(value: object, what: str, axes: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return checked vectors, normalised, on a device."""
    tensor = as_tensor(value, what)
    check_vectors(tensor, what, axes)
    return normalise(tensor.to(device, dtype))


def _check_shots(tensor: Tensor, text: Tensor, what: str) -> None:
    check_dimension(tensor, text.shape[1], what)
    if len(tensor) != len(text) or tensor.shape[1] == 0:
        raise FeatureError(
            f"{what} has shape {list(tensor.shape)} and text has C={len(text)} classes; "
            "give at least one shot for each class, or shots=None for zero-shot"
        )


def _dtype(dtype: torch.dtype | str) -> torch.dtype:
    """Return float32 or float64. Raises ConfigError."""
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found not in DTYPES.values():
        raise ConfigError(f"dtype {dtype!r} cannot be computed in; give float32 or float64")
    return found  # type: ignore[return-value]
