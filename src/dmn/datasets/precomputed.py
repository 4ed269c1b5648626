"""Features made elsewhere: one file per split, or a folder as Tip-Adapter's program writes it.

A split's file is safetensors or npz with `features` [N, V, D] (or [N, D]: one view), `labels` [N]
and, if known, `class_names` [C] and `ids` [N]; the text features' file has `features` [C, D].
No pickle is loaded: npz without objects, .pt with tensors only.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmn.errors import FeatureError

UNIT_TOLERANCE = 2e-3
ROWS_AT_ONCE = 4096
SUFFIXES = (".safetensors", ".npz")


@dataclass(frozen=True)
class FeatureSet:
    """Features [N, V, D] (float16, unit norm), labels [N] (int64), and what was done to them."""

    features: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_split_features(path: Path, classes: int | None = None) -> FeatureSet:
    """Read one split's file; FeatureError names file, array and value for anything unusable.

    `classes` is C where it is known; else the labels' greatest value tells it.
    """
    arrays = _read_arrays(path)
    features = _views(_array(arrays, "features", path), path)
    labels = _labels(_array(arrays, "labels", path), len(features), path)
    names = tuple(str(name) for name in arrays.get("class_names", ()))
    if names and classes is not None and len(names) != classes:
        raise FeatureError(f"{path} has {len(names)} class_names; {classes} classes are expected")
    _check_range(labels, classes or len(names) or None, path)
    _check_ids(arrays.get("ids"), len(features), path)
    unit, notes = unit_norm(features, path)
    return FeatureSet(unit, labels, names, notes)


def read_text_features(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read text features [C, D] (float16, unit norm) and notes on what was done to them."""
    arrays = _read_arrays(path)
    text = _array(arrays, "features", path)
    if text.ndim != 2:
        raise FeatureError(f"{path}: text features are {_shape(text)}; they must be [C, D]")
    return unit_norm(text, path)


def read_tip_adapter(folder: Path, shots: int) -> dict[str, FeatureSet]:
    """Read a Tip-Adapter cache folder: `test`, `val` and, as `train`, the keys and values.

    Keys are [D, N] and values one-hot [N, C]; the other features are [N, D].
    """
    keys_file, values_file = folder / f"keys_{shots}shots.pt", folder / f"values_{shots}shots.pt"
    values = _tensor(values_file)
    if values.ndim != 2 or not np.array_equal(np.eye(values.shape[1])[values.argmax(1)], values):
        raise FeatureError(f"{values_file} is {_shape(values)}; it must be one-hot [N, C]")
    classes = values.shape[1]
    keys = _tensor(keys_file)
    if keys.ndim != 2 or keys.shape[1] != len(values):
        raise FeatureError(
            f"{keys_file} is {_shape(keys)}; for {_shape(values)} values it must be "
            f"[D, {len(values)}]"
        )
    unit, notes = unit_norm(_views(np.ascontiguousarray(keys.T), keys_file), keys_file)
    sets = {"train": FeatureSet(unit, values.argmax(1).astype(np.int64), (), notes)}
    for part in ("val", "test"):
        path = folder / f"{part}_f.pt"
        features = _views(_tensor(path), path)
        labels = _labels(_tensor(folder / f"{part}_l.pt"), len(features), path)
        _check_range(labels, classes, folder / f"{part}_l.pt")
        unit, notes = unit_norm(features, path)
        sets[part] = FeatureSet(unit, labels, (), notes)
    check_dimensions({part: found.features for part, found in sets.items()}, folder)
    return sets


def check_dimensions(features: Mapping[str, np.ndarray], source: Path) -> None:
    """Refuse feature sets of one data set whose D differ."""
    found = {name: array.shape[-1] for name, array in features.items()}
    if len(set(found.values())) > 1:
        raise FeatureError(f"{source}: feature dimensions differ: {found}; use one encoder for all")


def unit_norm(features: np.ndarray, source: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return float16 features of unit norm and a note if they had to be normalised.

    FeatureError for values that are not finite and for vectors of length zero.
    """
    norms = np.empty(features.shape[:-1])
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        norms[rows] = np.linalg.norm(features[rows].astype(np.float64), axis=-1)
    for problem, bad in (("not finite", ~np.isfinite(norms)), ("zero", norms == 0)):
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(bad)[0])
            raise FeatureError(
                f"{source}: the feature at {list(first)} is {problem} ({int(bad.sum())} such); "
                "extract it again"
            )
    furthest = float(np.abs(norms - 1).max(initial=0.0))
    if furthest <= UNIT_TOLERANCE:
        return features.astype(np.float16), ()
    unit = np.empty(features.shape, np.float16)
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        unit[rows] = features[rows].astype(np.float64) / norms[rows][..., None]
    lengths = f"{norms.min():.3g} to {norms.max():.3g}"
    return unit, (f"{source}: lengths were {lengths}, normalised to 1",)


def _read_arrays(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    raise FeatureError(f"{path}: features are read from {' or '.join(SUFFIXES)}, not this form")


def _read_safetensors(path: Path) -> dict[str, Any]:
    from dmn.artifacts import read_tensor_metadata, read_tensors

    arrays: dict[str, Any] = dict(read_tensors(path))
    facts = read_tensor_metadata(path)
    return {**{key: facts[key] for key in ("class_names", "ids") if key in facts}, **arrays}


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise FeatureError(f"cannot read {path}: no such file; check the path") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise FeatureError(f"{path} is not an npz of plain arrays ({error})") from None


def _tensor(path: Path) -> np.ndarray:
    """Read one tensor of a .pt file; anything but tensors is refused unread."""
    import pickle

    import torch

    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FeatureError(f"cannot read {path}: no such file; check the folder") from None
    except pickle.UnpicklingError:
        raise FeatureError(
            f"{path} holds more than tensors; nothing of it was run. Save the tensor alone"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise FeatureError(f"{path} is not a whole .pt file ({_first_line(error)})") from None
    if not isinstance(value, torch.Tensor):
        raise FeatureError(f"{path} holds {type(value).__name__}, not one tensor")
    # numpy has no bfloat16
    plain = value.detach().float() if value.is_floating_point() else value
    array: np.ndarray = plain.numpy()
    return array


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _array(arrays: Mapping[str, Any], name: str, path: Path) -> np.ndarray:
    if name not in arrays:
        raise FeatureError(f"{path} has no array {name!r}; it has {sorted(arrays)}")
    array: np.ndarray = np.asarray(arrays[name])
    return array


def _views(features: np.ndarray, path: Path) -> np.ndarray:
    """Return [N, V, D]; a file with one view may leave V out."""
    if features.dtype.kind != "f":
        raise FeatureError(f"{path}: features are {features.dtype}, not floating point")
    if features.ndim not in (2, 3) or 0 in features.shape:
        raise FeatureError(f"{path}: features are {_shape(features)}; they must be [N, V, D]")
    return features[:, None] if features.ndim == 2 else features


def _labels(labels: np.ndarray, count: int, path: Path) -> np.ndarray:
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise FeatureError(
            f"{path}: labels are {labels.dtype} {_shape(labels)}; they must be integers [{count}]"
        )
    return labels.astype(np.int64)


def _check_range(labels: np.ndarray, classes: int | None, path: Path) -> None:
    wrong = (labels < 0) | (labels >= (classes if classes is not None else labels.max() + 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        limit = f"0 to {classes - 1}" if classes is not None else "0 or more"
        raise FeatureError(f"{path}: label {labels[row]} of row {row} must be {limit}")


def _check_ids(ids: Sequence[Any] | None, count: int, path: Path) -> None:
    if ids is None:
        return
    names = [str(name) for name in ids]
    if len(names) != count:
        raise FeatureError(f"{path}: {len(names)} ids for {count} features")
    if len(set(names)) < count:
        (twice, times) = Counter(names).most_common(1)[0]
        raise FeatureError(f"{path}: image id {twice!r} is there {times} times")


def _shape(array: np.ndarray) -> str:
    return f"[{', '.join(str(size) for size in array.shape)}]"
