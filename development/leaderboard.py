"""The leaderboard of docs/peers.md: taken from a run's evaluations, and drawn from its table.

    python -m development.leaderboard read RUN/data/evaluation/peers/DATASET
    python -m development.leaderboard write

`read` makes docs/peers.csv of the evaluations below a folder, `write` makes the tables of
docs/peers.md of that file; a test holds the second to the first.
"""

from __future__ import annotations

import argparse
import re
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
from dmn.report.peers.standing import cost_table
from dmn.report.tables import describe, markdown, printed

DOCS = Path(__file__).parents[1] / "docs"
TABLE, PAGE = DOCS / "peers.csv", DOCS / "peers.md"
OWN, RIVALS = "dmn_centred", ("dmn", "tda", "dota", "ecalp", "oga", "oga_single")
CHOSEN_ON, MEAN = "CLIP-RN50", "mean"
MARK = re.compile(r"(<!-- {name} -->\n).*?(<!-- end -->)".replace("{name}", r"(\w+)"), re.DOTALL)


def read(folder: Path) -> pd.DataFrame:
    """Return accuracy with fixed settings, rank, cost, and the variant's lead over its rivals."""
    files = sorted(folder.rglob("*.csv"))
    rows = pd.concat([read_rows(f, dtype={"training_seed": str}) for f in files], ignore_index=True)
    samples = read_all_samples([str(f.with_suffix(".safetensors")) for f in files])
    rows = attach(rows, samples)
    accuracy = rows[(rows["metric"] == "accuracy") & rows["weights"].isin(["fixed", "none"])]
    found = summarise(accuracy, [*CELL, "method"])
    # ranks compare what every backbone has
    alike = [c for c in CELL if c != "backbone"] + ["method"]
    everywhere = found.groupby(alike, sort=False)["backbone"].transform("nunique")
    found = found[everywhere == found["backbone"].nunique()].reset_index(drop=True)
    found["rank"] = found.groupby(CELL, sort=False)["mean"].rank(ascending=False).round(DIGITS)
    found = found.merge(cost_table(rows), on=[*CELL, "method"], how="left")
    sides = [(name, {"method": OWN}, {"method": name}) for name in RIVALS]
    zero = accuracy[accuracy["shots"] == 0]
    lead = differences(pd.concat([zero, over_backbones(zero)], ignore_index=True), CELL, sides)
    lead = lead.rename(columns={"comparison": "method"}).assign(less=OWN)
    return pd.concat([found.assign(less=""), lead], ignore_index=True)


def over_backbones(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean, image by image, over the backbones that the variant was not chosen on."""
    others = rows[rows["backbone"] != CHOSEN_ON]
    keys = [c for c in (*CELL, "method", "split_seed", "order_seed", "metric") if c != "backbone"]
    found = []
    for names, own in others.groupby(keys, sort=False):
        images = [answers.of() for answers in own[COLUMN]]
        mean = Answers(len(images[0]), values=np.mean(images, axis=0))
        row = dict(zip(keys, names, strict=True)) | {"backbone": MEAN, COLUMN: mean}
        found.append(row | {"value": own["value"].mean()})
    return pd.DataFrame(found)


def tables(found: pd.DataFrame) -> dict[str, str]:
    """Return the page's tables in Markdown by name."""
    sees = {peer.name: peer.sees for peer in load_peers(list(PEERS))} | {"dmn": "stream"}
    plain = found[found["less"].isna()]
    made = {}
    for name, part in (("zero", plain[plain["shots"] == 0]), ("few", plain[plain["shots"] > 0])):
        over = part.groupby(["setting", "method"], sort=False)
        wide = over.agg(average_rank=("rank", "mean"), operations=("operations", "max"))
        best = wide.sort_values("average_rank", kind="stable").reset_index()
        for backbone, own in part.groupby("backbone", sort=False):
            texts = {
                (r["setting"], r["method"]): f"{r['mean']:.1f} [{r['low']:.1f}, {r['high']:.1f}]"
                for r in own.to_dict("records")
            }
            keys = zip(best["setting"], best["method"], strict=True)
            best[f"{str(backbone).removeprefix('CLIP-')}_name"] = [texts.get(k, "–") for k in keys]
        best.insert(2, "sees", best["method"].map(sees))
        drop = ["setting"] if name == "zero" else []
        made[name] = _shown(best.drop(columns=drop))
    lead = found[found["less"].notna()]
    lead = lead.assign(shown=[_lead(row) for row in lead.to_dict("records")])
    wide = lead.pivot(index="method", columns="backbone", values="shown").reset_index()
    wide.columns = [str(c).replace("CLIP-", "") + ("" if c == "method" else "_name") for c in wide]
    made["lead"] = _shown(wide)
    return made


def _lead(row: dict[Any, Any]) -> str:
    return f"{row['mean']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]"


def _shown(frame: pd.DataFrame) -> str:
    names = [str(c) for c in frame if str(c).endswith("_name")]
    labels = {name: name.removesuffix("_name") for name in names}
    labels |= {"operations": "multiply-adds", "average_rank": "average rank"}
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
    found.add_argument("folder", nargs="?", type=Path, help="where the evaluations lie")
    return found


def main() -> None:
    """Read evaluations, or write the page."""
    arguments = parser().parse_args()
    if arguments.what == "read":
        write_rows(TABLE, read(arguments.folder))
        return
    write_text(PAGE, page(PAGE.read_text(encoding="utf-8"), read_rows(TABLE)))


if __name__ == "__main__":
    main()
