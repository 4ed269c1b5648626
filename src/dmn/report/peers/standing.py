"""Where each method stands: its row of accuracy, its cost, and DMN's difference to it."""

from __future__ import annotations

import pandas as pd

from dmn.report.comparisons import CELL, differences


def preferred(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a method and cell: chosen on validation images, else its only options."""
    place = {"validation": 0, "label_free": 1, "none": 2, "fixed": 3}
    known = table[table["weights"].isin(list(place))]
    first = known.assign(_place=known["weights"].map(place)).sort_values("_place", kind="stable")
    kept = first.drop_duplicates([*CELL, "method"]).drop(columns="_place")
    return kept.sort_index()


def cost_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return encodings, operations and numbers of each method and cell."""
    part = rows[rows["metric"].isin(["encodings", "operations", "numbers"])]
    keys = [*CELL, "method"]
    counts = part.groupby([*keys, "metric"], sort=False)["value"].first().unstack()
    order = part[keys].drop_duplicates()
    return order.merge(counts.reset_index(), on=keys).reset_index(drop=True)


def against_dmn(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return DMN minus each peer; both with validation weights, or else the peer's only ones.

    A peer that is not trained stands against training-free DMN, a trained one against few-shot.
    """
    found = []
    for name in accuracy["method"].unique():
        if name == "dmn":
            continue
        own = accuracy[accuracy["method"] == name]
        for weights in ("validation", "none", "fixed"):
            peer = own[own["weights"] == weights]
            if len(peer):
                break
        control = "fixed" if weights == "fixed" else "validation"
        dmn = accuracy[(accuracy["method"] == "dmn") & (accuracy["weights"] == control)]
        both = pd.concat([dmn, peer])
        table = differences(both, CELL, [(name, {"method": "dmn"}, {"method": name})])
        if len(table):
            found.append(table.rename(columns={"comparison": "method"}).assign(weights=weights))
    if not found:
        return pd.DataFrame(columns=[*CELL, "method", "weights", "mean", "low", "high"])
    table = pd.concat(found, ignore_index=True)
    first = [*CELL, "method", "weights"]
    return table[[*first, *(c for c in table.columns if c not in first)]]
