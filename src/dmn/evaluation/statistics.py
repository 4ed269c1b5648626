"""Means with 95% intervals over seeds, saying over what, and paired differences.

A measurement has up to three seeds: split_seed (which shots), order_seed (which stream order) and
training_seed. Splits and orders are crossed, so the values of one split are not independent of
each other. The estimator is the plain one: take the first of splits, orders, trainings that has
several levels and that the value varies with; average the other seeds within each level; then
Student's t-interval over the level means. A value that varies with no seed has no interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from dmn.errors import DmnError

SEEDS = {"split_seed": "splits", "order_seed": "orders", "training_seed": "trainings"}
COUNTS = ["n_splits", "n_orders", "n_trainings"]
CONFIDENCE = 0.95
ABSENT = "none"  # seed of a measurement that has no such seed
SAME = 1e-12  # level means closer than this, relatively, differ by rounding only


class MeasurementError(DmnError):
    """Rows that cannot be summarised: a value or a column is missing, or rows are duplicates."""


def summarise(rows: pd.DataFrame, keys: Sequence[str], value: str = "value") -> pd.DataFrame:
    """Return one row for each combination of `keys`, in the order of first appearance.

    Columns: keys, mean, low, high, n_splits, n_orders, n_trainings, over. `over` is splits,
    orders, trainings, or nothing where low and high are NaN. Raises MeasurementError.
    """
    rows = _checked(rows, keys, value)
    summaries = []
    for names, group in (
        rows.groupby(list(keys), sort=False, dropna=False) if keys else [((), rows)]
    ):
        summaries.append(dict(zip(keys, names, strict=True)) | _summary(group, value))
    columns = [*keys, "mean", "low", "high", *COUNTS, "over"]
    return pd.DataFrame(summaries, columns=columns)


def paired(
    rows: pd.DataFrame,
    keys: Sequence[str],
    treatment: Mapping[str, Any],
    control: Mapping[str, Any],
    value: str = "value",
) -> pd.DataFrame:
    """Return `summarise` of treatment minus control, pair by pair of equal keys and seeds.

    Treatment and control name column values, such as {"component": "fused"}. A key that one of
    them names need not agree: a control of shots 0 pairs with every number of shots, and the
    treatment's value is shown. A seed that only one side has (a zero-shot control has no split)
    pairs with each of the other side's. Raises MeasurementError where a row has no partner.
    """
    rows = _checked(rows, _union(keys, treatment, control), value, unique=False)
    left, right = (
        _checked(_side(rows, wanted), keys, value)[_union(keys, SEEDS, [value])]
        for wanted in (treatment, control)
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
    return summarise(pairs, keys, value)


def t_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return mean, low and high of Student's 95% interval; NaN bounds for a single value."""
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    half = float(special.stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * float(error)
    return mean, mean - half, mean + half


def sample_interval(
    correct: np.ndarray, correct_control: np.ndarray, generator: np.random.Generator
) -> tuple[float, float, float]:
    """Return the accuracy difference of two methods on the same samples, with its 95% interval.

    Paired percentile bootstrap over test samples, 10000 draws; `correct` are booleans [N]. Only
    three kinds of sample matter (first right, second right, no difference), so a draw is one
    multinomial.
    """
    gained, lost, _ = discordant(correct, correct_control)
    count = len(correct)
    shares = np.array([gained, lost, count - gained - lost]) / count
    draws = generator.multinomial(count, shares, size=10_000)
    differences = (draws[:, 0] - draws[:, 1]) / count
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return (gained - lost) / count, float(low), float(high)


def discordant(correct: np.ndarray, correct_control: np.ndarray) -> tuple[int, int, float]:
    """Return samples gained, samples lost, and McNemar's exact two-sided p-value."""
    first, second = np.asarray(correct, dtype=bool), np.asarray(correct_control, dtype=bool)
    if first.shape != second.shape or first.ndim != 1 or first.size == 0:
        raise MeasurementError(
            f"paired answers must be of the same samples, at least one, "
            f"got {list(first.shape)} and {list(second.shape)}"
        )
    gained, lost = int((first & ~second).sum()), int((~first & second).sum())
    if gained + lost == 0:
        return 0, 0, 1.0
    # twice the smaller tail of a fair coin; equal tails overlap in the middle
    tail = float(special.bdtr(min(gained, lost), gained + lost, 0.5))
    return gained, lost, min(1.0, 2 * tail)


def _summary(group: pd.DataFrame, value: str) -> dict[str, Any]:
    seeds = {seed: pd.factorize(group[seed])[0] for seed in SEEDS}
    values = group[value].to_numpy(dtype=np.float64)
    counts = {n: int(seeds[s].max()) + 1 for n, s in zip(COUNTS, SEEDS, strict=True)}
    for seed, name in SEEDS.items():
        levels = _level_means(values, seeds, seed)
        if len(levels) > 1 and np.ptp(levels) > SAME * max(1.0, float(np.abs(levels).max())):
            mean, low, high = t_interval(levels)
            return {"mean": mean, "low": low, "high": high, **counts, "over": name}
    mean = float(_level_means(values, seeds, "split_seed").mean())
    return {"mean": mean, "low": np.nan, "high": np.nan, **counts, "over": "nothing"}


def _level_means(values: np.ndarray, seeds: Mapping[str, np.ndarray], seed: str) -> np.ndarray:
    """Return one mean a level of `seed`; inside a level each other seed's levels weigh the same.

    values [M]; seeds: the level of each value [M], as whole numbers from 0.
    """
    first, second = (levels for name, levels in seeds.items() if name != seed)
    outer, inner = int(first.max()) + 1, int(second.max()) + 1
    cell = (seeds[seed] * outer + first) * inner + second
    # means of equal cells, then of the cells of a pair of seeds, then of those of a level
    for size in (inner, outer, 1):
        known, place = np.unique(cell, return_inverse=True)
        values = np.bincount(place, weights=values) / np.bincount(place)
        cell = known // size
    return values


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
