"""Comparisons of methods across data sets, and corrections for many comparisons.

A data set counts once, whatever its size (Demsar 2006): signs and ranks of the differences, average
ranks of the methods, and the mean of the gains as a random-effects model has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dmn.evaluation.intervals import CONFIDENCE, LEAST_LEVELS, NAN, Factor, Interval

# of five data sets that all agree, the signed-rank test has p = 2 / 32
LEAST_SETS = 6
DATA_SETS = "data_sets"
DIGITS = 9  # of a score: what differs beyond is a tie
WORST = 10  # one in so many


class Pooled(NamedTuple):
    """The mean effect of a random-effects model, and how much effects differ: one deviation."""

    interval: Interval
    spread: float


class Ranking(NamedTuple):
    """Average ranks [k] of methods, 1 the best, and which pairs are apart.

    p_value: Friedman's test of equal ranks; pairs [k, k]: Nemenyi's p-values; critical: the
    difference of average ranks that is one at 5 %. NaN where there are too few methods or sets.
    """

    ranks: np.ndarray
    p_value: float
    pairs: np.ndarray
    critical: float


def holm(p_values: Iterable[float]) -> np.ndarray:
    """Return p-values corrected for their number by Holm's (1979) steps; NaN stays apart."""
    given = np.asarray(list(p_values), dtype=np.float64)
    corrected = np.full(len(given), np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    steps = given[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def signed_rank(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, NaN of fewer than six.

    The ranks of ties are averaged and those of zeros split between the signs. It is exact for any
    ties: all signs are counted, where scipy counts them for few sets and not in reasonable time.
    """
    from scipy.stats import rankdata

    rounded = np.round(np.asarray(differences, dtype=np.float64), DIGITS)
    if len(rounded) < LEAST_SETS:
        return NAN
    twice = (2 * rankdata(np.abs(rounded))).astype(np.int64)  # whole: halves are of ties
    sums = np.ones(1)
    for rank in twice[rounded != 0]:
        longer = np.zeros(len(sums) + rank)
        longer[: len(sums)] += sums / 2
        longer[rank:] += sums / 2
        sums = longer
    middle = (len(sums) - 1) / 2
    distance = abs(int(twice[rounded > 0].sum()) - middle)
    return float(sums[np.abs(np.arange(len(sums)) - middle) >= distance].sum())


def pooled(effects: Sequence[float], errors: Sequence[float]) -> Pooled:
    """Return the mean of effects with standard errors, one a data set, in a random-effects model.

    The variance between sets is Paule and Mandel's (1982), the interval Hartung and Knapp's (2001),
    never narrower than with the errors as given (Rover et al. 2015). Fewer than three sets, or a
    missing error, give the plain mean without an interval.
    """
    own, error = np.asarray(effects, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if len(own) < LEAST_LEVELS or not (error > 0).all():
        return Pooled(Interval(float(own.mean())), NAN)
    from statsmodels.stats.meta_analysis import combine_effects

    with np.errstate(divide="ignore"):  # in a measure that is not read, where effects are equal
        found = combine_effects(own, error**2, method_re="iterated")
    whole = float(max(found.sd_eff_w_re_hksj, found.sd_eff_w_re))
    factor = Factor(DATA_SETS, 1.0, len(own) - 1)
    return Pooled(Interval(float(found.mean_effect_re), whole, (factor,)), float(found.tau2) ** 0.5)


def ranking(scores: np.ndarray) -> Ranking:
    """Return how methods rank by scores [N, k] of N data sets, where more is better.

    Friedman's test is in the form of Iman and Davenport (1980).
    """
    from scipy.stats import f, friedmanchisquare, rankdata, studentized_range

    scores = np.round(np.asarray(scores, dtype=np.float64), DIGITS)
    sets, methods = scores.shape
    ranks = rankdata(-scores, axis=1).mean(axis=0)
    if sets < LEAST_SETS or methods < 3:
        return Ranking(ranks, NAN, np.full((methods, methods), NAN), NAN)
    from scikit_posthocs import posthoc_nemenyi_friedman

    p_value = 1.0
    if np.ptp(scores, axis=1).any():
        square = float(friedmanchisquare(*scores.T).statistic)
        rest = sets * (methods - 1) - square
        ratio = (sets - 1) * square / rest if rest > 0 else np.inf
        p_value = float(f.sf(ratio, methods - 1, (methods - 1) * (sets - 1)))
    quantile = float(studentized_range.ppf(CONFIDENCE, methods, np.inf)) / 2**0.5
    critical = quantile * (methods * (methods + 1) / (6 * sets)) ** 0.5
    return Ranking(ranks, p_value, posthoc_nemenyi_friedman(-scores).to_numpy(), critical)


def worst_tenth(values: Sequence[float]) -> float:
    """Return the mean of the least tenth of values, of at least one."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return float(ordered[: -(-len(ordered) // WORST)].mean())
