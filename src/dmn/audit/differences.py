"""How two files differ: rows of tables, values of tensors, pixels of figures, lines of text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from dmn.artifacts import read_json, read_rows, read_tensor_metadata, read_tensors, sha256

TEXT = (".svg", ".md", ".tex", ".html", ".yaml", ".txt", "")
SHOWN = 60


@dataclass(frozen=True)
class Difference:
    """Two files that are not the same bytes; `largest` is the largest deviation of a value."""

    text: str
    largest: float | None = None

    def within(self, tolerance: float) -> bool:
        """Say whether only values differ, and by no more than `tolerance`."""
        return self.largest is not None and self.largest <= tolerance


def difference(before: Path, after: Path) -> Difference | None:
    """Return how `after` differs from `before`; None where the bytes are equal."""
    if not after.is_file():
        return Difference("is missing")
    if not before.is_file():
        return Difference("is new")
    if sha256(before) == sha256(after):
        return None
    compare = {
        ".safetensors": _tensors,
        ".csv": _rows,
        ".json": _json,
        ".png": _pixels,
        **dict.fromkeys(TEXT, _lines),
    }.get(before.suffix, _bytes)
    return compare(before, after)


def _tensors(before: Path, after: Path) -> Difference:
    old, new = read_tensors(before), read_tensors(after)
    if set(old) != set(new):
        return Difference(f"tensors {sorted(old)} became {sorted(new)}")
    texts, largest = [], 0.0
    for name, was in old.items():
        now = new[name]
        if was.shape != now.shape or was.dtype != now.dtype:
            shapes = f"{was.dtype}{list(was.shape)} became {now.dtype}{list(now.shape)}"
            return Difference(f"tensor {name!r}: {shapes}")
        if was.tobytes() == now.tobytes():
            continue
        gap = np.abs(now.astype(np.float64) - was.astype(np.float64))
        # a NaN on one side is no small deviation
        gap = np.nan_to_num(gap, nan=np.inf)
        largest = max(largest, float(gap.max(initial=0)))
        texts.append(
            f"tensor {name!r}: {np.count_nonzero(gap)} of {gap.size} values differ,"
            f" by at most {gap.max(initial=0):.3g}"
        )
    facts = _first_key(read_tensor_metadata(before), read_tensor_metadata(after), "facts")
    if facts is not None and not texts:
        return Difference(facts)
    return Difference("; ".join(texts) or "only the layout of the file differs", largest)


def _rows(before: Path, after: Path) -> Difference:
    old, new = read_rows(before, dtype=str), read_rows(after, dtype=str)
    if list(old.columns) != list(new.columns):
        return Difference(f"columns {list(old.columns)} became {list(new.columns)}")
    if len(old) != len(new):
        return Difference(f"{len(old)} rows became {len(new)}")
    differs = (old.fillna("") != new.fillna("")).to_numpy()
    rows, columns = np.nonzero(differs)
    if not rows.size:
        return _lines(before, after)
    row, column = int(rows[0]), old.columns[int(columns[0])]
    count = len(set(rows.tolist()))
    was, now = str(old.at[row, column]), str(new.at[row, column])
    return Difference(
        f"{count} of {len(old)} rows differ; first row {row + 1}, column {column!r}: {was} -> {now}"
    )


def _json(before: Path, after: Path) -> Difference:
    text = _first_key(read_json(before), read_json(after), "")
    return Difference(text or "the same values, written otherwise")


def _first_key(old: Any, new: Any, place: str) -> str | None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            found = _first_key(old.get(key), new.get(key), f"{place}.{key}".lstrip("."))
            if found:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list):
        for index, (was, now) in enumerate(zip_longest(old, new)):
            found = _first_key(was, now, f"{place}[{index}]")
            if found:
                return found
        return None
    return None if old == new else f"{place}: {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _pixels(before: Path, after: Path) -> Difference:
    from PIL import Image, ImageChops

    with Image.open(before) as old, Image.open(after) as new:
        if old.size != new.size:
            return Difference(f"{old.size} pixels became {new.size}")
        gap = ImageChops.difference(old.convert("RGBA"), new.convert("RGBA"))
        values = np.asarray(gap).max(axis=2)
    if not values.any():
        return Difference("the same pixels, written otherwise")
    rows, columns = np.nonzero(values)
    return Difference(
        f"{rows.size} of {values.size} pixels differ, by at most {values.max()} of 255, in columns"
        f" {columns.min()}-{columns.max()} and rows {rows.min()}-{rows.max()}"
    )


def _lines(before: Path, after: Path) -> Difference:
    try:
        old = before.read_text(encoding="utf-8").splitlines()
        new = after.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return _bytes(before, after)
    for number, (was, now) in enumerate(zip_longest(old, new), start=1):
        if was != now:
            return Difference(f"line {number}: {_short(was or '')!r} -> {_short(now or '')!r}")
    return Difference("the same lines, other line ends")


def _bytes(before: Path, after: Path) -> Difference:
    old, new = before.read_bytes(), after.read_bytes()
    pairs = zip(old, new, strict=False)
    place = next((i for i, (was, now) in enumerate(pairs) if was != now), min(len(old), len(new)))
    return Difference(f"{len(old)} bytes became {len(new)}; the first difference is at {place}")
