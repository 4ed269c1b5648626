"""Published numbers of other methods, and how their settings were chosen in the literature.

    dmn published --dataset eurosat --method tda tip_adapter
    dmn published --differing
    dmn published --chosen

Three files of `data`: `peers_published.csv` (one number a row), `peers_sources.csv` (where each
source is, and its protocol), `peers_selection.csv` (who chose how). Kinds of a number: own, of the
method's authors; rerun, made by another paper; quoted, standing in another paper, which does not
say whether it was rerun; copied, from a third paper; secondary, from notes or reproductions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from dmn.errors import ConfigError, nearest
from dmn.evaluation.summaries import summarise
from dmn.report.published import DATA, ELEVEN, MEAN, NOTHING
from dmn.report.tables import describe, markdown, printed

CELL = ["dataset", "backbone", "setting", "shots"]
NUMBER = [*CELL, "method", "metric"]
FILTERS = ("dataset", "backbone", "setting", "method", "kind", "source")
# a published setting as ours; episodic and transductive ones see other things than a stream
OURS = {"zero_shot_online": "zero_shot", "episodic": "zero_shot", "transductive": "zero_shot"}
CHOSEN_CAPTION = (
    "How the authors of each method chose its settings, with where that was read. One setting: the "
    "same on every data set. By data set: settings were released, not how they were found."
)


def published_peers() -> pd.DataFrame:
    """Return the published numbers: method, cell, metric, value, protocol, views, chosen, kind...

    chosen is how the method's settings are chosen, by `peers_selection.csv`; of DMN as rerun by
    others, and wherever the table does not have the method: not stated.
    """
    found = pd.read_csv(DATA / "peers_published.csv", keep_default_na=False)
    chosen = selection_in_print().set_index("method")["chosen"]
    own = found["method"].str.removesuffix("_pe").map(chosen)
    stated = own.where(found["kind"].isin(["own", "quoted", "copied"])).fillna("not stated")
    found.insert(list(found).index("views") + 1, "chosen", stated)
    return found


def selection_in_print() -> pd.DataFrame:
    """Return who chose how: method, chosen, how, source."""
    return pd.read_csv(DATA / "peers_selection.csv", keep_default_na=False)


def sources() -> pd.DataFrame:
    """Return the sources of the numbers: source, where, protocol."""
    return pd.read_csv(DATA / "peers_sources.csv", keep_default_na=False)


def selected(found: pd.DataFrame, **wanted: Sequence[str]) -> pd.DataFrame:
    """Return the rows with one of the values wanted in each column. Raises ConfigError."""
    whole = found
    for column, values in wanted.items():
        known = sorted(set(whole[column]))
        for value in values:
            if value not in known:
                raise ConfigError(f"no {column} {value!r} was published; {nearest(value, known)}")
        found = found[found[column].isin(values)]
    return found


def with_means(found: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers and the mean over the eleven data sets, of a source that has them all."""
    eleven = found[found["dataset"].isin(ELEVEN)]
    same = [c for c in found if c not in ("dataset", "value", "views")]
    groups = eleven.groupby(same, sort=False)["value"].agg(["mean", "size"])
    whole = groups.loc[groups["size"] == len(ELEVEN), "mean"].rename("value").reset_index()
    means = whole.assign(dataset=MEAN, protocol="mean taken here")
    return pd.concat([found, means], ignore_index=True)


def differing(found: pd.DataFrame) -> pd.DataFrame:
    """Return numbers that several sources give for the same cell, where they are not the same.

    range is the largest less the least, in points; the numbers stand in one text, each with kind
    and source. Protocols may differ: that is what a label alone does not say.
    """
    rows = []
    for names, part in found.groupby(NUMBER, sort=False):
        if part["source"].nunique() < 2 or part["value"].nunique() < 2:
            continue
        numbers = [
            f"{row['value']:g} ({row['kind']}, {row['source']}"
            + (f", {row['protocol']})" if row["protocol"] else ")")
            for row in part.to_dict("records")
        ]
        spread = float(part["value"].max() - part["value"].min())
        row = dict(zip(NUMBER, names, strict=True))
        rows.append(row | {"range": spread, "numbers": "; ".join(numbers)})
    table = pd.DataFrame(rows, columns=[*NUMBER, "range", "numbers"])
    return table.sort_values("range", ascending=False, kind="stable").reset_index(drop=True)


def beside_the_published(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return this run's accuracy of each method beside what was published for the same cell."""
    caption = (
        "This run's accuracy beside published numbers of the same data set, backbone, setting and "
        "shots, with views and choice of the published one; kinds as in docs/peers.md."
    )
    found = published_peers()
    found = found[found["metric"] == "accuracy"]
    found = found.assign(
        backbone=found["backbone"].str.replace("/", "-"),
        seen=found["setting"],
        setting=found["setting"].replace(OURS),
        method=found["method"].replace({"clip": "zero_shot_clip", "zero_shot": "zero_shot_clip"}),
    )
    places = accuracy[["dataset", "backbone"]].drop_duplicates()
    found = found.merge(places, on=["dataset", "backbone"])
    ours = accuracy.merge(found[[*CELL, "method"]].drop_duplicates(), on=[*CELL, "method"])
    if ours.empty:
        return describe(pd.DataFrame({"result": [NOTHING]}), caption)
    table = summarise(ours, [*CELL, "method", "weights"])
    columns = [*CELL, "method", "value", "seen", "protocol", "views", "chosen", "kind", "source"]
    table = table.merge(found[columns], on=[*CELL, "method"])
    table = table.rename(columns={"value": "published"})
    for bound in ("mean", "low", "high"):
        table[f"difference_{bound}"] = table[bound] - table["published"]
    return describe(table, caption, unit="%")


def chosen_table() -> pd.DataFrame:
    """Return who chose how, as it is printed."""
    return describe(selection_in_print(), CHOSEN_CAPTION)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn published`."""
    for name in FILTERS:
        parser.add_argument(f"--{name}", nargs="+", metavar=name.upper(), help=f"only this {name}")
    parser.add_argument(
        "--differing", action="store_true", help="cells for which sources give different numbers"
    )
    parser.add_argument("--chosen", action="store_true", help="who chose settings how")


def main(arguments: argparse.Namespace) -> None:
    """Print what is asked for as a table in Markdown."""
    if arguments.chosen:
        sys.stdout.write(markdown(printed(chosen_table())))
        return
    wanted = {name: getattr(arguments, name) for name in FILTERS if getattr(arguments, name)}
    found = selected(with_means(published_peers()), **wanted)
    if found.empty:
        raise ConfigError(f"nothing was published with {wanted}; ask for less at once")
    caption = f"Published numbers: {len(found)}, of {found['source'].nunique()} sources."
    own = sources()
    own = own[own["source"].isin(found["source"])]
    if arguments.differing:
        found = differing(found)
        caption = "Cells for which sources give different numbers."
    sys.stdout.write(markdown(printed(describe(found, caption))))
    sys.stdout.write("\n" + markdown(printed(describe(own, "Sources."))))
