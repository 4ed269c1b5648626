"""Fusion of text, dynamic and static probabilities (method.md, section 10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmn.errors import FeatureError

Weights = tuple[float, float, float]


@dataclass(frozen=True)
class Predictions:
    """Probabilities [N, C] of the three classifiers; static is None in zero-shot."""

    text: np.ndarray
    dynamic: np.ndarray
    static: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("dynamic", "static"):
            part = getattr(self, name)
            if part is not None and part.shape != self.text.shape:
                raise FeatureError(
                    f"{name} predictions have shape {list(part.shape)}, "
                    f"text predictions {list(self.text.shape)}; they must be of the same samples"
                )

    @property
    def has_static(self) -> bool:
        """Say whether there is a static memory."""
        return self.static is not None

    def taken(self, rows: slice | np.ndarray) -> Predictions:
        """Return the predictions of some samples."""
        static = None if self.static is None else self.static[rows]
        return Predictions(self.text[rows], self.dynamic[rows], static)


def fuse(
    text: np.ndarray, dynamic: np.ndarray, static: np.ndarray | None, weights: Weights
) -> np.ndarray:
    """Return w1 p_text + w2 p_dynamic + w3 p_static, [N, C]; not normalised again."""
    first, second, third = weights
    fused = first * text + second * dynamic
    return fused if static is None else fused + third * static
