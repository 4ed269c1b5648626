"""Checks of what a caller hands in: everything is refused before any work starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dmn.errors import ConfigError, FeatureError

ROWS = 4096


def scalar_type(dtype: torch.dtype) -> type[np.floating]:
    """Return numpy's type of a number in one of the network's two dtypes."""
    return np.float64 if dtype == torch.float64 else np.float32


def as_tensor(value: object, what: str) -> Tensor:
    """Return `value` (tensor, array or nested lists) as a tensor of floats, without a copy."""
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError) as error:
        raise FeatureError(f"{what} is not an array of numbers ({error})") from None
    if not tensor.is_floating_point():
        if tensor.is_complex() or tensor.dtype == torch.bool:
            raise FeatureError(f"{what} has dtype {tensor.dtype}; give floating-point numbers")
        tensor = tensor.to(torch.float32)
    return tensor.detach()


def check_vectors(vectors: Tensor, what: str, axes: str) -> None:
    """Raise FeatureError unless all vectors along the last axis are finite and not zero.

    `axes` names the axes, such as "C D"; the error says where the first bad vector is.
    """
    names = axes.split()
    if vectors.ndim != len(names):
        shape = list(vectors.shape)
        raise FeatureError(f"{what} has shape {shape}; it must be [{', '.join(names)}]")
    if vectors.shape[-1] == 0:
        raise FeatureError(f"{what} has shape {list(vectors.shape)}: the feature axis is empty")
    for start in range(0, len(vectors), ROWS):
        part = vectors[start : start + ROWS]
        norm = torch.linalg.vector_norm(part, dim=-1, dtype=_wide(part.dtype))
        bad = ~(torch.isfinite(norm) & (norm > 0))
        if bool(bad.any()):
            place = bad.nonzero()[0].tolist()
            place[0] += start
            at = ", ".join(f"{name}={i}" for name, i in zip(names[:-1], place, strict=True))
            kind = "is a zero vector" if norm[bad][0] == 0 else "has NaN or infinite values"
            raise FeatureError(f"{what}: the vector at {at} {kind}; extract the features again")


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def check_dimension(tensor: Tensor, dimension: int, what: str) -> None:
    """Raise FeatureError unless the last axis has the text features' dimension D."""
    if tensor.shape[-1] != dimension:
        raise FeatureError(
            f"{what} has {tensor.shape[-1]} feature dimensions and text has {dimension}; "
            "take both from the same backbone"
        )


def as_views(views: object, dimension: int) -> Tensor:
    """Return views as [N, V, D]; [N, D] counts as V=1. Raises FeatureError."""
    tensor = as_tensor(views, "views")
    if tensor.ndim == 2:
        tensor = tensor[:, None]
    if tensor.ndim != 3:
        raise FeatureError(
            f"views has shape {list(tensor.shape)}; it must be [N, V, D], or [N, D] for V=1"
        )
    check_dimension(tensor, dimension, "views")
    check_vectors(tensor, "views", "N V D")
    return tensor


def check_order(order: object, count: int) -> np.ndarray:
    """Return a stream order as an array [N] after checking that it is a permutation."""
    rows = np.asarray(order)
    if rows.shape != (count,) or not np.array_equal(np.sort(rows), np.arange(count)):
        raise FeatureError(
            f"order has shape {list(rows.shape)} and is not a permutation of 0 to {count - 1}; "
            "make it with dmn.evaluation.contract.stream_order"
        )
    return rows.astype(np.int64)


def selected_views(views: int, share: float) -> int:
    """Return how many of V views are kept: int(V * share), at least 1 (method.md, section 3)."""
    return max(1, int(views * share))


def check_length(length: object) -> int | None:
    """Return L, or None for an unlimited memory. Raises ConfigError."""
    if length is None:
        return None
    if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1:
        raise ConfigError(f"length {length!r} is no number of slots; give 1 or more, or None")
    return int(length)


def check_positive(value: float, what: str) -> float:
    """Return a finite number above zero. Raises ConfigError."""
    number = float(value)
    if not (np.isfinite(number) and number > 0):
        raise ConfigError(f"{what} is {value!r}; give a number above 0")
    return number


def check_lengths(lengths: Sequence[int]) -> tuple[int, ...]:
    """Return memory lengths after checking each. Raises ConfigError."""
    checked = tuple(check_length(length) for length in lengths)
    if not checked or None in checked:
        raise ConfigError("lengths must name at least one memory length, each a number")
    return tuple(length for length in checked if length is not None)
