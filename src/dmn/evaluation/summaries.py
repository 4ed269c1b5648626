"""Means of measurements with 95% intervals that say over what, and paired differences.

A measurement has up to three seeds, split_seed (which shots), order_seed (which stream order) and
training_seed, and may carry the answers for each test image (`dmn.evaluation.answers`). Seeds and
images are crossed factors of `dmn.evaluation.intervals`: the interval is over all of them that
matter and that have at least three levels. A measure without answers has an interval over seeds
only. Answers are right or wrong, so images are added that agree with nothing: one gained and one
lost in a difference (Bonett and Price 2012), two right and two wrong in a share (Agresti and Coull
1998); else an interval would shrink to a point where no image differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dmn.errors import DmnError
from dmn.evaluation.answers import COLUMN, PERCENT, Answers
from dmn.evaluation.intervals import LEAST_LEVELS, SAME, Interval, crossed, partial

SEEDS = {"split_seed": "splits", "order_seed": "orders", "training_seed": "trainings"}
COUNTS = ["n_splits", "n_orders", "n_trainings", "n_images"]
NOTHING = "nothing"
ABSENT = "none"  # seed of a measurement that has no such seed
CONTROL = f"{COLUMN}_control"
SHARE, DIFFERENCE = (PERCENT, PERCENT, 0.0, 0.0), (PERCENT, -PERCENT)
PERCENTAGES = (
    "accuracy",
    "accuracy_so_far",
    "accuracy_between",
    "class_accuracy",
    "purity",
    "pseudo_label_accuracy",
    "wrong_share_of_slot_time",
)
NOT_NEGATIVE = ("ece", "nll", "brier", "first_wrong_entry", "wrong_entries")


class MeasurementError(DmnError):
    """Rows that cannot be summarised: a value or a column is missing, or rows are duplicates."""


def summarise(rows: pd.DataFrame, keys: Sequence[str], value: str = "value") -> pd.DataFrame:
    """Return one row for each combination of `keys`, in the order of first appearance.

    Columns: keys, mean, low, high, error (standard), n_splits, n_orders, n_trainings, n_images,
    over and held. `over` lists what varies in the interval, `nothing` where low and high are NaN;
    `held` the seeds that matter and have too few levels to be over. Raises MeasurementError.
    """
    return _summaries(_checked(rows, keys, value), keys, value)


def paired(
    rows: pd.DataFrame,
    keys: Sequence[str],
    treatment: Mapping[str, Any],
    control: Mapping[str, Any],
    value: str = "value",
    comparisons: int = 1,
) -> pd.DataFrame:
    """Return `summarise` of treatment minus control, pair by pair of equal keys and seeds.

    A further column is p, the two-sided p-value of no difference. It is multiplied by
    the number of `comparisons` that the difference was chosen from (Bonferroni).

    Treatment and control name column values, such as {"component": "fused"}. A key that one of
    them names need not agree: a control of shots 0 pairs with every number of shots, and the
    treatment's value is shown. A seed that only one side has (a zero-shot control has no split)
    pairs with each of the other side's. Raises MeasurementError where a row has no partner.
    """
    rows = _checked(rows, _union(keys, treatment, control), value, unique=False)
    columns = _union(keys, SEEDS, [value], [COLUMN] if COLUMN in rows else [])
    left, right = (
        _checked(_side(rows, wanted), keys, value)[columns] for wanted in (treatment, control)
    )
    free = [s for s in SEEDS if left[s].nunique() == 1 or right[s].nunique() == 1]
    on = [c for c in _union(keys, SEEDS) if c not in (*treatment, *control, *free)]
    left, right = left.assign(_all=0), right.assign(_all=0)
    pairs = left.merge(
        right, how="outer", on=["_all", *on], suffixes=("", "_control"), indicator="_partner"
    )
    alone = pairs[pairs["_partner"] != "both"]
    if not alone.empty:
        raise MeasurementError(
            f"{dict(treatment)} and {dict(control)} are not paired: {len(alone)} measurements have "
            f"no partner, the first at {alone.iloc[0][on].to_dict()}; measure both alike"
        )
    for seed in free:
        if seed not in on and right[seed].nunique() > 1:
            pairs[seed] = pairs[f"{seed}_control"]
    pairs[value] = pairs[value] - pairs[f"{value}_control"]
    return _summaries(pairs, keys, value, comparisons)


def _summaries(
    rows: pd.DataFrame, keys: Sequence[str], value: str, comparisons: int = 0
) -> pd.DataFrame:
    """Return a row for each group of means, or of differences, which are some comparisons."""
    groups = rows.groupby(list(keys), sort=False, dropna=False) if keys else [((), rows)]
    summaries = [
        dict(zip(keys, names, strict=True)) | _summary(group, value, comparisons)
        for names, group in groups
    ]
    columns = [*keys, "mean", "low", "high", "error", *(["p"] if comparisons else []), *COUNTS]
    return pd.DataFrame(summaries, columns=[*columns, "over", "held"])


def _summary(group: pd.DataFrame, value: str, comparisons: int) -> dict[str, Any]:
    difference = comparisons > 0
    seeds = [pd.factorize(group[seed])[0] for seed in SEEDS]
    values = group[value].to_numpy(dtype=np.float64)
    answers = _answers(group)
    means, interval, images = _interval(seeds, values, answers, difference)
    low, high = interval.bounds()
    over = [factor.name for factor in interval.factors]
    if over:
        least, most = _limits(group, difference, answers is not None)
        low, high = max(low, least), min(high, most)
    counts = [int(levels.max()) + 1 for levels in seeds] + [images]
    return {
        "mean": float(means.mean()),
        "low": low,
        "high": high,
        "error": interval.error,
        "p": min(1.0, comparisons * interval.p_value()) if over else np.nan,
        **dict(zip(COUNTS, counts, strict=True)),
        "over": ", ".join(over) or NOTHING,
        "held": ", ".join(_held(group, means)),
    }


def _interval(
    seeds: Sequence[np.ndarray],
    values: np.ndarray,
    answers: tuple[np.ndarray, np.ndarray, bool] | None,
    difference: bool,
) -> tuple[np.ndarray, Interval, int]:
    """Return means [splits, orders, trainings], their interval, and how many images it is over."""
    names = list(SEEDS.values())
    means = _cube(seeds, values)
    if answers is None:
        return means, crossed(means, names), 0
    samples, asked, counted = answers
    added = (DIFFERENCE if difference else SHARE) if counted else ()
    anywhere = asked.any(axis=0)
    samples, asked = samples[:, anywhere], asked[:, anywhere]
    if asked.all():
        return means, crossed(means, names, _cube(seeds, samples), added), samples.shape[1]
    cubes = _cube(seeds, samples), _cube(seeds, asked.astype(np.float64)) > 0
    return means, partial(*cubes, names, added), samples.shape[1]


def _cube(seeds: Sequence[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Return values [M, ...] as [L1, L2, L3, ...] by the levels of the seeds.

    Where combinations are missing, the means of each level of the first seed with several stand
    for it, and the other seeds are averaged over.
    """
    sizes = [int(levels.max()) + 1 for levels in seeds]
    if len(values) == np.prod(sizes):
        cube = np.empty((*sizes, *values.shape[1:]))
        cube[tuple(seeds)] = values
        return cube
    axis = next(a for a, size in enumerate(sizes) if size > 1)
    levels = [values[seeds[axis] == level].mean(axis=0) for level in range(sizes[axis])]
    shape = [size if a == axis else 1 for a, size in enumerate(sizes)]
    return np.stack(levels).reshape(*shape, *values.shape[1:])


def _answers(group: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Return images' values and which were asked, both [M, N], and whether answers were counted."""
    columns = [column for column in (COLUMN, CONTROL) if column in group]
    sides = [group[column].tolist() for column in columns]
    if not sides or not all(isinstance(one, Answers) for side in sides for one in side):
        return None
    samples, *controls = (np.stack([one.of() for one in side]) for side in sides)
    asked, *masks = (np.stack([one.mask() for one in side]) for side in sides)
    for control, mask in zip(controls, masks, strict=True):
        samples, asked = samples - control, asked & mask
    return samples, asked, all(one.right is not None for side in sides for one in side)


def _limits(group: pd.DataFrame, difference: bool, counted: bool) -> tuple[float, float]:
    """Return the bounds that a mean cannot leave: those of percentages and of errors."""
    metrics = set(group["metric"]) if "metric" in group else set()
    percent = bool(metrics) and metrics <= set(PERCENTAGES)
    if percent or (counted and not metrics):
        return (-PERCENT if difference else 0.0), PERCENT
    if metrics and metrics <= set(NOT_NEGATIVE) and not difference:
        return 0.0, np.inf
    return -np.inf, np.inf


def _held(group: pd.DataFrame, means: np.ndarray) -> list[str]:
    """Return the seeds that an interval is not over although they may matter."""
    found = []
    for axis, (seed, name) in enumerate(SEEDS.items()):
        size = means.shape[axis]
        levels = means.mean(axis=tuple(a for a in range(means.ndim) if a != axis))
        alone = group[seed].nunique() == 1 and group[seed].iloc[0] != ABSENT
        if alone or (1 < size < LEAST_LEVELS and np.ptp(levels) > SAME * np.abs(levels).max()):
            found.append(name)
    return found


def _union(*names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for part in names for name in part))


def _side(rows: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    side = rows[np.logical_and.reduce([rows[column] == v for column, v in wanted.items()])]
    if side.empty:
        raise MeasurementError(f"no measurement has {dict(wanted)}")
    return side


def _checked(
    rows: pd.DataFrame, columns: Sequence[str], value: str, unique: bool = True
) -> pd.DataFrame:
    """Return the rows with all seed columns, as text so that numbers and `none` can be grouped."""
    for column in (*columns, value):
        if column not in rows:
            raise MeasurementError(
                f"measurements have no column {column!r}; columns: {', '.join(map(str, rows))}"
            )
    if rows[value].isna().any():
        first = rows[rows[value].isna()].iloc[0][list(columns)].to_dict()
        raise MeasurementError(f"column {value!r} has no number at {first}; drop it beforehand")
    rows = rows.assign(
        **{s: rows[s].astype(str) if s in rows else ABSENT for s in SEEDS if s not in columns}
    )
    identity = _union(columns, SEEDS)
    if unique and rows.duplicated(identity).any():
        first = rows[rows.duplicated(identity)].iloc[0][identity].to_dict()
        raise MeasurementError(
            f"two measurements share keys and seeds, the first at {first}; a key is missing"
        )
    return rows
