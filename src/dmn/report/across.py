"""What several data sets say together: tables, sentences and average ranks of methods.

Backbones are kept apart: a data set counts once for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dmn.evaluation.across import (
    DATA_SETS,
    LEAST_SETS,
    holm,
    pooled,
    ranking,
    signed_rank,
)
from dmn.report.tables import describe
from dmn.report.words import (
    ALPHA,
    EFFECT,
    EQUAL,
    RIVALRY,
    cell_words,
    listed,
    said,
    verdict,
    words,
)

GROUP = ["backbone", "setting", "shots"]
ONE = "one data set: there is nothing to compare across"
P_VALUES = ("p_signed_rank", "p_holm", "p_friedman")


def across(table: pd.DataFrame, names: Sequence[str], least: float) -> pd.DataFrame:
    """Return one row for each backbone, setting, shots and method, over all its data sets.

    table: paired differences of each data set, as `paired` gives them; names: the columns that tell
    methods apart. mean, low and high are of the random-effects mean, spread_between the standard
    deviation of true differences between data sets. Wins, ties and losses are by the difference;
    clear ones by its own interval and the smallest difference worth naming, with Holm's correction
    for the data sets. p_holm corrects the signed-rank tests of a backbone, setting and shots.
    Methods of one data set have no row.
    """
    found = []
    for group, part in table.groupby(GROUP, sort=False) if len(table) else ():
        rows = []
        for method, own in part.groupby(list(names), sort=False):
            if own["dataset"].nunique() > 1:
                keys = dict(zip([*GROUP, *names], [*group, *method], strict=True))
                rows.append(keys | _over(own, least))
        corrected = holm([row["p_signed_rank"] for row in rows])
        found += [row | {"p_holm": p} for row, p in zip(rows, corrected, strict=True)]
    return pd.DataFrame(found)


def _over(own: pd.DataFrame, least: float) -> dict[str, Any]:
    means = own["mean"].to_numpy(dtype=float)
    interval, spread = pooled(means.tolist(), own["error"].tolist())
    low, high = interval.bounds()
    records = own.to_dict("records")
    verdicts = [
        verdict(row, least, p_value=p)
        for row, p in zip(records, holm(own["p"].tolist()), strict=True)
    ]
    return {
        "n_data_sets": len(own),
        "wins": int((means > EQUAL).sum()),
        "ties": int((np.abs(means) <= EQUAL).sum()),
        "losses": int((means < -EQUAL).sum()),
        "clear_wins": verdicts.count(EFFECT["gain"]),
        "clear_losses": verdicts.count(EFFECT["loss"]),
        "mean": interval.centre,
        "low": low,
        "high": high,
        "p": interval.p_value(),
        "spread_between": spread,
        "p_signed_rank": signed_rank(means.tolist()),
        "over": DATA_SETS if interval.factors else "nothing",
        "held": "" if interval.factors else DATA_SETS,
    }


def across_table(found: pd.DataFrame, caption: str) -> pd.DataFrame:
    """Return the rows of `across` as they are printed, or that there is one data set only."""
    if found.empty:
        return _one(caption)
    decimals = {name: 4 for name in P_VALUES}
    return describe(found, caption, decimals=decimals, unit="points")


def _one(caption: str) -> pd.DataFrame:
    return describe(pd.DataFrame({"result": [ONE]}), caption)


def with_most_shots_anywhere(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each backbone and setting that have the most shots."""
    if table.empty:
        return table
    most = table.groupby(GROUP[:2], sort=False)["shots"].transform("max")
    return table[table["shots"] == most]


def place_words(row: Any) -> str:
    """Return the number of data sets, the backbone and the cell of a row in words."""
    return f"over {int(row['n_data_sets'])} data sets ({row['backbone']}), {cell_words(row)}"


def across_words(row: Any, subject: str, control: str, least: float, rivals: bool = False) -> str:
    """Return one sentence of a row of `across`: verdict, mean, how many sets agree, the test."""
    phrases = RIVALRY if rivals else EFFECT
    link = "" if rivals else "against "
    if np.isnan(row["p_signed_rank"]):
        test = f"too few data sets for a signed-rank test, which needs {LEAST_SETS}"
    else:
        test = f"signed-rank test p {_p(row['p_signed_rank'])}, by Holm {_p(row['p_holm'])}"
    spread = row["spread_between"]
    differ = "" if np.isnan(spread) else f", data sets {spread:.1f} points apart (one deviation)"
    return (
        f"{_capital(place_words(row))}: {subject} {verdict(row, least, phrases)} {link}{control}, "
        f"{said(row, ' points', signed=True)}{differ}; ahead on {row['wins']}, level on "
        f"{row['ties']}, behind on {row['losses']}, clearly ahead on {row['clear_wins']} and "
        f"clearly behind on {row['clear_losses']}; {test}."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _p(value: float) -> str:
    """Return a p-value with as many digits as matter.

    >>> _p(0.0312), _p(0.00004)
    ('= 0.031', '< 0.0001')
    """
    return f"= {value:.2g}" if value >= 1e-4 else "< 0.0001"


def average_ranks(table: pd.DataFrame, name: str = "method") -> pd.DataFrame:
    """Return the average rank of each method, where every data set of a group measured it.

    table: one mean for each data set, group and method. A method that some data sets lack is
    left out. apart: methods that Nemenyi's test finds apart at 5 %, joined by a semicolon.
    """
    found = []
    for group, part in table.groupby(GROUP, sort=False) if len(table) else ():
        wide = part.pivot(index="dataset", columns=name, values="mean")
        wide = wide[list(part[name].unique())].dropna(axis="columns")
        if len(wide) < 2 or wide.shape[1] < 2:
            continue
        ranks = ranking(wide.to_numpy())
        for place in np.argsort(ranks.ranks, kind="stable"):
            apart = [str(m) for m, p in zip(wide, ranks.pairs[place], strict=True) if p < ALPHA]
            found.append(
                dict(zip(GROUP, group, strict=True))
                | {name: wide.columns[place], "average_rank": float(ranks.ranks[place])}
                | {"n_data_sets": len(wide), "critical_difference": ranks.critical}
                | {"p_friedman": ranks.p_value, "apart": "; ".join(apart)}
            )
    return pd.DataFrame(found)


def ranks_table(found: pd.DataFrame, caption: str) -> pd.DataFrame:
    """Return `average_ranks` as they are printed, or that there is one data set only."""
    if found.empty:
        return _one(caption)
    apart = [listed([words(m) for m in a.split("; ")]) if a else "none" for a in found["apart"]]
    shown = found.assign(apart=apart)
    how: dict[str, Any] = {"best": {"average_rank": "min"}, "decimals": {"p_friedman": 4}}
    return describe(shown, caption, within=GROUP, **how)


def ranks_words(own: pd.DataFrame, name: str = "method") -> str:
    """Return one sentence of the average ranks of a group: the first, and what is not apart."""
    first = own.iloc[0]
    second = own.iloc[1]
    begin = (
        f"{_capital(place_words(first))}: of {len(own)} methods, {words(first[name])} has the "
        f"first average rank, {first['average_rank']:.2f}, then {words(second[name])}, "
        f"{second['average_rank']:.2f} (ranks have no interval)"
    )
    if np.isnan(first["p_friedman"]):
        return f"{begin}; Friedman's test needs 3 methods and {LEAST_SETS} data sets."
    apart = first["apart"].split("; ") if first["apart"] else []
    near = [words(method) for method in own[name][1:] if method not in apart]
    told = f"is not apart from {listed(near)}" if near else "is apart from every other"
    return (
        f"{begin}; equal ranks have p {_p(first['p_friedman'])} by Friedman's test, and by "
        f"Nemenyi's, with a critical difference of {first['critical_difference']:.2f}, it {told}."
    )
