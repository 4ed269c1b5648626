"""The leaderboard of docs/peers.md: taken from runs' evaluations, and drawn from its table.

    python -m development.leaderboard read FOLDER [FOLDER ...] --audit FOLDER
    python -m development.leaderboard write

`read` makes docs/peers.csv of the evaluations (RUN/data/evaluation/peers) of runs with fixed
settings and of one that searched; `write` makes the tables of docs/peers.md of that file; a test
holds the second to the first. Of a data set with several backbones they are the columns; the data
sets with one stand side by side.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dmn.artifacts import read_rows, write_rows, write_text
from dmn.evaluation.across import DIGITS
from dmn.evaluation.answers import COLUMN, Answers, attach, read_all_samples
from dmn.evaluation.summaries import summarise
from dmn.peers.loading import load_peers
from dmn.peers.table import PEERS
from dmn.report.comparisons import CELL, differences
from dmn.report.peers.selection import Samples, optimism, with_transfers
from dmn.report.peers.standing import cost_table
from dmn.report.tables import describe, markdown, printed

DOCS = Path(__file__).parents[1] / "docs"
TABLE, PAGE = DOCS / "peers.csv", DOCS / "peers.md"
OWN, RIVALS = "dmn_centred", ("dmn", "tda", "dota", "ecalp", "oga", "oga_single")
CHOSEN_ON, MEAN = "CLIP-RN50", "mean"
# which table of the page a row is for
ACCURACY, LEAD, AUDIT = "accuracy", "lead", "audit"
WAYS = ("fixed", "validation", "other_backbones", "other_data_sets")
MARK = re.compile(r"(<!-- {name} -->\n).*?(<!-- end -->)".replace("{name}", r"(\w+)"), re.DOTALL)


def read(folders: Sequence[Path], audit: Path | None = None) -> pd.DataFrame:
    """Return accuracy, rank, cost and leads in all runs, and what an oracle adds in one."""
    found = [read_run(folder) for folder in folders]
    if audit is not None:
        gaps = optimism(with_transfers(*read_accuracy(audit)[1:]))
        gaps = gaps[(gaps["weights"] == "oracle") & gaps["less"].isin(WAYS)]
        found.append(gaps.assign(table=AUDIT))
    return pd.concat(found, ignore_index=True)


def read_accuracy(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, Samples]:
    """Return the rows of a run's evaluations, those of accuracy, and the samples beside them."""
    files = sorted(folder.rglob("*.csv"))
    rows = pd.concat([read_rows(f, dtype={"training_seed": str}) for f in files], ignore_index=True)
    samples = read_all_samples([str(f.with_suffix(".safetensors")) for f in files])
    rows = attach(rows, samples)
    return rows, rows[rows["metric"] == "accuracy"], samples


def read_run(folder: Path) -> pd.DataFrame:
    """Return accuracy with fixed settings, rank and cost, and the variant's lead over rivals."""
    rows, accuracy, _ = read_accuracy(folder)
    fixed = accuracy[accuracy["weights"].isin(["fixed", "none"])]
    found = summarise(fixed, [*CELL, "method"])
    # ranks compare what every place of a run has
    alike = ["setting", "shots", "method"]
    places = found[["dataset", "backbone"]].drop_duplicates()
    everywhere = found.groupby(alike, sort=False)["mean"].transform("size") == len(places)
    found = found[everywhere].reset_index(drop=True)
    found["rank"] = found.groupby(CELL, sort=False)["mean"].rank(ascending=False).round(DIGITS)
    found = found.merge(cost_table(rows), on=[*CELL, "method"], how="left")
    sides = [(name, {"method": OWN}, {"method": name}) for name in RIVALS]
    zero = fixed[fixed["shots"] == 0]
    lead = differences(pd.concat([zero, over_backbones(zero)], ignore_index=True), CELL, sides)
    lead = lead.rename(columns={"comparison": "method"}).assign(less=OWN)
    made = {ACCURACY: found.assign(less=""), LEAD: lead}
    return pd.concat([own.assign(table=name) for name, own in made.items()], ignore_index=True)


def over_backbones(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean, image by image, over the backbones that the variant was not chosen on."""
    others = rows[rows["backbone"] != CHOSEN_ON]
    # a mean of one backbone is that backbone
    others = others[others.groupby("dataset")["backbone"].transform("nunique") > 1]
    keys = [c for c in (*CELL, "method", "split_seed", "order_seed", "metric") if c != "backbone"]
    found = []
    for names, own in others.groupby(keys, sort=False):
        images = [answers.of() for answers in own[COLUMN]]
        mean = Answers(len(images[0]), values=np.mean(images, axis=0))
        row = dict(zip(keys, names, strict=True)) | {"backbone": MEAN, COLUMN: mean}
        found.append(row | {"value": own["value"].mean()})
    return pd.DataFrame(found)


def tables(found: pd.DataFrame) -> dict[str, str]:
    """Return the page's tables in Markdown by name; `_sets`: the data sets side by side."""
    found = found.assign(less=found["less"].fillna(""))
    backbones = found[found["backbone"] != MEAN].groupby("dataset")["backbone"].nunique()
    several = found["dataset"].map(backbones) > 1
    made = {}
    for end, part, column in (
        ("", found[several], "backbone"),
        ("_sets", found[~several], "dataset"),
    ):
        own = part.assign(place=part[column].map(_place))
        plain = own[own["table"] == ACCURACY]
        made[f"zero{end}"] = _board(plain[plain["shots"] == 0]).drop(columns="setting")
        made[f"few{end}"] = _board(plain[plain["shots"] > 0])
        made[f"lead{end}"] = _signed(own[own["table"] == LEAD], ["method"])
    audit = found[found["table"] == AUDIT]
    audit = audit.assign(place=audit["backbone"].map(_place))
    made["audit"] = _signed(audit, ["setting", "method", "less"])
    return {name: _shown(table) for name, table in made.items()}


def _place(name: object) -> str:
    return str(name).removeprefix("CLIP-").removeprefix("golden_oxford_")


def _board(part: pd.DataFrame) -> pd.DataFrame:
    """Return one row a method, the best average rank first, and one column a place."""
    sees = {peer.name: peer.sees for peer in load_peers(list(PEERS))} | {"dmn": "stream"}
    over = part.groupby(["setting", "method"], sort=False)
    wide = over.agg(average_rank=("rank", "mean"), operations=("operations", "max"))
    best = wide.sort_values("average_rank", kind="stable").reset_index()
    for place, own in part.groupby("place", sort=False):
        texts = {
            (r["setting"], r["method"]): f"{r['mean']:.1f} [{r['low']:.1f}, {r['high']:.1f}]"
            for r in own.to_dict("records")
        }
        keys = zip(best["setting"], best["method"], strict=True)
        best[f"{place}_name"] = [texts.get(k, "–") for k in keys]
    best.insert(2, "sees", best["method"].map(sees))
    return best


def _signed(part: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return differences with their intervals, one row for `keys` and one column a place."""
    part = part.assign(shown=[_difference(row) for row in part.to_dict("records")])
    order = part["place"].drop_duplicates().tolist()
    wide = part.pivot(index=keys, columns="place", values="shown").reindex(columns=order)
    wide = wide.reindex(part.set_index(keys).index.drop_duplicates()).fillna("–").reset_index()
    wide.columns = [c if c in keys else f"{c}_name" for c in wide]
    return wide


def _difference(row: dict[Any, Any]) -> str:
    return f"{row['mean']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]"


def _shown(frame: pd.DataFrame) -> str:
    names = [str(c) for c in frame if str(c).endswith("_name")]
    labels = {name: name.removesuffix("_name") for name in names}
    labels |= {"operations": "multiply-adds", "average_rank": "average rank", "less": "oracle less"}
    how = {"operations": 0, "average_rank": 1}
    text = markdown(printed(describe(frame, "", labels=labels, decimals=how)))
    return text.replace("\\", "").strip()


def page(text: str, found: pd.DataFrame) -> str:
    """Return the page's text with its tables made anew."""
    made = tables(found)
    return MARK.sub(lambda match: f"{match[1]}{made[match[2]]}\n{match[3]}", text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    found.add_argument("what", choices=["read", "write"])
    found.add_argument("folders", nargs="*", type=Path, help="evaluations of a run each")
    found.add_argument("--audit", type=Path, help="evaluations of a run that searched")
    return found


def main() -> None:
    """Read evaluations, or write the page."""
    arguments = parser().parse_args()
    if arguments.what == "read":
        write_rows(TABLE, read(arguments.folders, arguments.audit))
        return
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8"), read_rows(TABLE)))


if __name__ == "__main__":
    main()
