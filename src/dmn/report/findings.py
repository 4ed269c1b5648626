"""Sentences from numbers: how findings say a value, its interval, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dmn.report.words import words


def number(value: float, decimals: int = 1, signed: bool = False) -> str:
    """Return a number as text, with a true minus sign and no minus zero.

    >>> number(-0.04), number(1.25, 2, signed=True)
    ('0.0', '+1.25')
    """
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def value(row: Mapping[str, Any], unit: str = "%", decimals: int = 1) -> str:
    """Return `87.5% [86.9, 88.1]` from a summarised row; no brackets without an interval."""
    return _number_unit(row["mean"], unit, decimals, False) + _brackets(row, decimals, False)


def gain(row: Mapping[str, Any], unit: str = "points", decimals: int = 1) -> str:
    """Return `+2.3 points [1.1, 3.4]` from a row of paired differences."""
    return _number_unit(row["mean"], unit, decimals, True) + _brackets(row, decimals, True)


def _number_unit(mean: float, unit: str, decimals: int, signed: bool) -> str:
    gap = "" if unit in ("%", "") else " "
    return f"{number(mean, decimals, signed)}{gap}{unit}"


def _brackets(row: Mapping[str, Any], decimals: int, signed: bool) -> str:
    low, high = float(row["low"]), float(row["high"])
    if math.isnan(low) or math.isnan(high):
        return ""
    return f" [{number(low, decimals, signed)}, {number(high, decimals, signed)}]"


def over(row: Mapping[str, Any]) -> str:
    """Return over what a row's interval is: `95% interval over 3 splits`."""
    name = str(row.get("over", "nothing"))
    count = row.get(f"n_{name}")
    if name == "nothing" or count is None:
        return "no interval: the value is the same for all seeds"
    return f"95% interval over {int(count)} {name}"


def verdict(
    row: Mapping[str, Any],
    better: str = "helps",
    worse: str = "hurts",
    neither: str = "makes no clear difference",
) -> str:
    """Return what a paired difference says: clear only where its interval leaves zero out."""
    low, high = float(row["low"]), float(row["high"])
    if math.isnan(low) or math.isnan(high):
        low = high = float(row["mean"])
    if low > 0:
        return better
    return worse if high < 0 else neither


def listed(names: Sequence[object]) -> str:
    """Return names as a reader's list.

    >>> listed(["blur", "few_shot", 3])
    'blur, few-shot and 3'
    """
    texts = [words(name) for name in names]
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
