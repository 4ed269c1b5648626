"""A data set of features that others extracted: its parts and its split, found by file names.

Either `text`, `test` and, for few-shot settings, `train` and `val`, each .safetensors or .npz, or
`text` beside the files of a Tip-Adapter cache (`keys_16shots.pt`, `test_f.pt`, ...).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dmn.datasets.precomputed import (
    SUFFIXES,
    FeatureSet,
    check_dimensions,
    read_split_features,
    read_text_features,
    read_tip_adapter,
)
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split, check_split
from dmn.errors import DataError

KEYS = re.compile(r"keys_(\d+)shots\.pt")


def find(files: Sequence[str | Path], stem: str) -> Path | None:
    """Return the file called `stem` with one of the known endings, or None."""
    paths = [Path(file) for file in files]
    return next((p for p in paths if p.stem == stem and p.suffix in SUFFIXES), None)


def read_text(entry: DatasetEntry, files: Sequence[str | Path]) -> np.ndarray:
    """Return the text features [C, D], float16 and of unit norm."""
    path = find(files, "text")
    if path is None:
        names = sorted(Path(file).name for file in files)
        raise DataError(
            f"{entry.name} has no text features among {names}; add text.safetensors or text.npz "
            "with `features` [C, D] to its files"
        )
    text = read_text_features(path)[0]
    if len(text) != entry.classes:
        raise DataError(f"{path} has {len(text)} classes; the registry says {entry.classes}")
    return text


def read_parts(entry: DatasetEntry, files: Sequence[str | Path]) -> dict[str, FeatureSet]:
    """Return the features of train, val and test, as far as there are such files."""
    cache = [(Path(file), KEYS.fullmatch(Path(file).name)) for file in files]
    keys = [(path, int(match[1])) for path, match in cache if match]
    if keys:
        folder, shots = keys[0][0].parent, max(count for _, count in keys)
        parts = read_tip_adapter(folder, shots)
    else:
        found = {part: find(files, part) for part in ("train", "val", "test")}
        parts = {
            part: read_split_features(path, entry.classes) for part, path in found.items() if path
        }
    if "test" not in parts:
        raise DataError(f"{entry.name} has no test features; add test.safetensors to its files")
    folder = Path(files[0]).parent
    arrays = {part: found.features for part, found in parts.items()}
    check_dimensions({**arrays, "text": read_text(entry, files)}, folder)
    return parts


def image_id(part: str, row: int) -> str:
    """Return the id of an image that is known by its row only."""
    return f"{part}/{row:07d}"


def read_imported_split(entry: DatasetEntry, files: Sequence[str | Path]) -> Split:
    """Return the split that the feature files are: one item a row."""
    parts = read_parts(entry, files)
    items = {
        part: tuple((image_id(part, row), int(label)) for row, label in enumerate(found.labels))
        for part, found in parts.items()
    }
    named = next((found.class_names for found in parts.values() if found.class_names), ())
    classes = named or tuple(f"class {label}" for label in range(entry.classes))
    train, val = items.get("train", ()), items.get("val", ())
    split = Split(entry.name, classes, train, val, items["test"])
    check_split(split, entry.name)
    return split
