"""Features made elsewhere, checked and in one form: unit norm, float16, labels from 0.

Every check names file, array and value. What is half precision and of unit norm stays as it is,
bit for bit; rows that are not of unit norm are normalised in float64.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmn.datasets.formats.arrays import Lazy
from dmn.datasets.splits import class_label_name
from dmn.errors import DataError, FeatureError, nearest

UNIT_TOLERANCE = 2e-3
ROWS_AT_ONCE = 4096
# from the axes that a format gives to [N, V, D], for arrays of numpy's and of torch's
ARRANGE: dict[str, Callable[[Any], Any]] = {
    "N D": lambda a: a[:, None],
    "N V D": lambda a: a,
    "D N": lambda a: a.T[:, None],
    "V N D": lambda a: a.swapaxes(0, 1),
    "C K D": lambda a: a.reshape(-1, 1, a.shape[-1]),
}


def image_features(stored: Lazy, axes: str, source: Path) -> Lazy:
    """Return image features as [N, V, D], not read yet; one view may leave V out.

    `axes` are those of the file, alternatives for other numbers of axes after a bar. FeatureError
    where they do not fit.
    """
    if not stored.dtype.startswith(("float", "bfloat")):
        raise FeatureError(f"{source}: features are {stored.words}, not floating point")
    fitting = [form for form in axes.split("|") if len(form.split()) == len(stored.shape)]
    if not fitting or 0 in stored.shape:
        wanted = " or ".join(f"[{', '.join(form.split())}]" for form in axes.split("|"))
        raise FeatureError(f"{source}: features are {stored.words}; they must be {wanted}")
    arrange = ARRANGE[fitting[0]]
    # strides of nothing tell the shape without reading
    shape = arrange(np.broadcast_to(np.empty((), np.int8), stored.shape)).shape
    return stored.arranged(shape, arrange)


def image_labels(stored: Lazy, count: int, classes: int | None, first: int, source: Path) -> Any:
    """Return labels [N] from 0 (int64) of integers, whole numbers or one-hot rows.

    `count` is N, `classes` C where it is known, `first` what the file calls the first class.
    """
    labels = stored.read()
    if is_one_hot(stored, count):
        labels = _one_hot(labels.reshape(-1, labels.shape[-1]), classes, source)
        first = 0
    labels = labels.reshape(-1)
    whole = labels.dtype.kind == "f" and bool(np.all(labels == np.round(labels)))
    if (labels.dtype.kind not in "iu" and not whole) or labels.shape != (count,):
        raise FeatureError(
            f"{source}: labels are {stored.words}; they must be integers [{count}], or one-hot"
        )
    labels = labels.astype(np.int64) - first
    _check_range(labels, classes, source)
    return labels


def is_one_hot(stored: Lazy, count: int) -> bool:
    """Say whether labels of `count` images are stored as rows and not as numbers."""
    return len(stored.shape) > 1 and math.prod(stored.shape) != count


def _one_hot(rows: np.ndarray, classes: int | None, source: Path) -> np.ndarray:
    labels = rows.argmax(axis=1)
    right = (rows.sum(axis=1) == 1) & (rows[np.arange(len(rows)), labels] == 1)
    if not right.all() or (classes is not None and rows.shape[1] != classes):
        row = int(np.argmin(right))
        raise FeatureError(
            f"{source}: labels are [{', '.join(map(str, rows.shape))}]; they must be integers or "
            f"one-hot with {classes or 'C'} classes (row {row} sums to {rows[row].sum():g})"
        )
    return labels


def _check_range(labels: np.ndarray, classes: int | None, source: Path) -> None:
    limit = classes if classes is not None else int(labels.max(initial=0)) + 1
    wrong = (labels < 0) | (labels >= limit)
    if not wrong.any():
        return
    if classes is not None and labels.min() == 1 and labels.max() == classes:
        raise FeatureError(
            f"{source}: labels run from 1 to {classes}, so they count from 1; set "
            "features: {first_label: 1} in the registry entry"
        )
    row = int(np.argmax(wrong))
    raise FeatureError(f"{source}: label {labels[row]} of row {row} must be 0 to {limit - 1}")


def text_axes(shape: tuple[int, ...], dimension: int, axes: str, source: Path) -> str:
    """Return `C D` or `D C` for text features of this shape; the images' D tells them apart.

    FeatureError where neither axis is D, or both are and the form does not say `axes`.
    """
    if len(shape) != 2:
        shown = ", ".join(map(str, shape))
        raise FeatureError(f"{source}: text features are [{shown}]; they must be [C, D] or [D, C]")
    if shape[0] == shape[1] == dimension:
        if axes:
            return axes
        raise FeatureError(
            f"{source}: text features are [{shape[0]}, {shape[1]}], as many classes as dimensions, "
            "so [C, D] cannot be told from [D, C]; say `C D` or `D C`: dmn import --text-axes, or "
            "features: {text_axes: C D} in the registry entry"
        )
    if dimension not in shape:
        raise FeatureError(
            f"{source}: text features are [{shape[0]}, {shape[1]}] and image features have "
            f"D={dimension}: feature dimensions differ; use one encoder for all"
        )
    return "C D" if shape[1] == dimension else "D C"


@dataclass(frozen=True)
class Taken:
    """Rows of image features or text: float16, unit norm; what was done to them, in words.

    `lengths` are the least and the greatest norm that was stored.
    """

    features: np.ndarray
    notes: tuple[str, ...] = ()
    lengths: tuple[float, float] = (1.0, 1.0)


def unit_rows(stored: Lazy, source: Path, rows: np.ndarray | None = None) -> Taken:
    """Read some rows, all by default, once: float16, unit norm along the last axis.

    FeatureError for values that are not finite and for vectors of length zero.
    """
    count = stored.shape[0] if rows is None else len(rows)
    unit = np.empty((count, *stored.shape[1:]), np.float16)
    changed = 0
    least, greatest = np.inf, 0.0
    for start in range(0, count, ROWS_AT_ONCE):
        place = slice(start, min(start + ROWS_AT_ONCE, count))
        wanted = place if rows is None else rows[place]
        part = stored.read(wanted)
        norms = np.linalg.norm(part.astype(np.float64), axis=-1)
        _check_norms(norms, np.arange(count)[place] if rows is None else rows[place], source)
        other = np.abs(norms - 1) > UNIT_TOLERANCE
        with np.errstate(over="ignore"):
            unit[place] = part
        unit[place][other] = part[other].astype(np.float64) / norms[other][:, None]
        changed += int(other.sum())
        least, greatest = min(least, float(norms.min())), max(greatest, float(norms.max()))
    if not changed:
        return Taken(unit, (), (least, greatest))
    span = f"{least:.3g} to {greatest:.3g}"
    note = f"{source}: lengths are {span}; {changed} vectors were normalised to 1"
    return Taken(unit, (note,), (least, greatest))


def _check_norms(norms: np.ndarray, rows: np.ndarray, source: Path) -> None:
    for problem, bad in (("not finite", ~np.isfinite(norms)), ("zero", norms == 0)):
        if bad.any():
            first = np.argwhere(bad)[0]
            place = [int(rows[first[0]]), *map(int, first[1:])]
            raise FeatureError(
                f"{source}: the feature at {place} is {problem} ({int(bad.sum())} such); "
                "extract it again"
            )


def class_names(names: Sequence[Any] | None, source: Path) -> tuple[str, ...]:
    """Return class names as prompts write them: text, composed, spaces for underscores."""
    if names is None:
        return ()
    try:
        plain = [n.decode("utf-8") if isinstance(n, bytes) else str(n) for n in names]
    except UnicodeDecodeError as error:
        raise FeatureError(f"{source}: class_names are no UTF-8 ({error})") from None
    return tuple(unicodedata.normalize("NFC", class_label_name(name)) for name in plain)


def class_order(
    names: Sequence[str], expected: Sequence[str], source: Path, reference: object
) -> np.ndarray | None:
    """Return for each class of a file its index in `expected`; None where the order is the same.

    FeatureError, naming both, where the names are others, or stand twice in another order.
    """
    if tuple(names) == tuple(expected):
        return None
    if len(names) != len(expected):
        raise FeatureError(
            f"{source} has {len(names)} class_names; {reference} has {len(expected)} classes"
        )
    if Counter(names) != Counter(expected):
        first = next(i for i, name in enumerate(names) if name not in expected or _more(names, i))
        raise FeatureError(
            f"{source} and {reference} name other classes: {names[first]!r} of {source.name} is "
            f"not there (class {first} there is {expected[first]!r})"
        )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise FeatureError(
            f"{source} and {reference} name their classes in different orders, and {twice[0]!r} "
            "stands twice, so they cannot be put into one; write them in one order"
        )
    place = {name: index for index, name in enumerate(expected)}
    return np.array([place[name] for name in names])


def _more(names: Sequence[str], index: int) -> bool:
    return names[index] in names[:index]


def check_ids(ids: Sequence[Any] | None, count: int, source: Path) -> None:
    """Refuse image ids that are too few, too many or not unique."""
    if ids is None:
        return
    names = [str(name) for name in ids]
    if len(names) != count:
        raise FeatureError(f"{source}: {len(names)} ids for {count} features")
    if len(set(names)) < count:
        twice, times = Counter(names).most_common(1)[0]
        raise FeatureError(f"{source}: image id {twice!r} is there {times} times")


def zero_shot_accuracy(features: np.ndarray, labels: np.ndarray, text: np.ndarray) -> float:
    """Return the share, in percent, of images whose nearest text is that of their label.

    View 0 of features [N, V, D] and text [C, D], all made unit in float64; labels [N].
    """
    unit = _unit(text)
    right = 0
    for start in range(0, len(labels), ROWS_AT_ONCE):
        place = slice(start, start + ROWS_AT_ONCE)
        nearest = (_unit(features[place, 0]) @ unit.T).argmax(axis=1)
        right += int((nearest == labels[place]).sum())
    return 100 * right / len(labels)


def _unit(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=-1, keepdims=True)


def read_groups(path: Path, names: Sequence[str], count: int) -> dict[str, list[str]]:
    """Return some columns of a CSV as text, which has a row for each of `count` stored images."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a CSV of groups ({error})") from None
    for name in names:
        if name not in table:
            raise DataError(f"{path} has no column {name!r}; {nearest(name, map(str, table))}")
    if len(table) != count:
        raise DataError(f"{path} has {len(table)} rows for {count} images; one for each is due")
    return {name: table[name].tolist() for name in names}
