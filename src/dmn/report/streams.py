"""Tables over streams: places among methods, and the worst orders."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dmn.evaluation.across import worst_tenth


def worst_tenths(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the mean of the worst tenth of the orders for each of `keys`.

    It has no interval: it is chosen by its outcome.
    """
    orders = rows.groupby([*keys, "split_seed"], sort=False)["value"].agg(worst_tenth)
    found = orders.groupby(list(keys), sort=False).mean()
    return found.rename("worst_tenth").reset_index()


def placed_by_rank(
    table: pd.DataFrame, gains: pd.DataFrame, keys: Sequence[str], method: str = "dmn_dynamic"
) -> pd.DataFrame:
    """Return the rank of a method by mean accuracy on each stream, the first, and its own gain.

    table: one mean for each of `keys` and method; gains: its differences to text alone.
    """
    ranks = table.groupby(list(keys), sort=False)["mean"].rank(ascending=False, method="min")
    counts = table.groupby(list(keys), sort=False)["mean"].transform("size")
    best = table.loc[table.groupby(list(keys), sort=False)["mean"].idxmax()]
    found = table.assign(rank=ranks.astype(int), methods=counts)
    own = found.loc[found["method"] == method, [*keys, "rank", "methods"]]
    first = best[[*keys, "method"]].rename(columns={"method": "first"})
    merged = own.merge(first, on=list(keys))
    return merged.merge(
        gains[gains["method"] == method].drop(columns="method"), on=list(keys), how="left"
    )
