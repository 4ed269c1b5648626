"""Comparisons of methods across data sets, and corrections for many comparisons."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def holm(p_values: Iterable[float]) -> np.ndarray:
    """Return p-values corrected for their number by Holm's (1979) steps; NaN stays apart."""
    given = np.asarray(list(p_values), dtype=np.float64)
    corrected = np.full(len(given), np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    steps = given[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
