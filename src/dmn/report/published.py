"""The published numbers, and a run's own beside them, cell by cell.

`data/published.csv` holds the numbers of the paper's tables and of the authors' own log, with the
protocol of each source in `data/published_sources.csv`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from dmn.evaluation.summaries import summarise
from dmn.report.tables import describe

DATA = Path(__file__).parent / "data"
MEAN = "mean_of_11"
ELEVEN = (
    "imagenet",
    "flowers102",
    "dtd",
    "oxford_pets",
    "stanford_cars",
    "ucf101",
    "caltech101",
    "food101",
    "sun397",
    "fgvc_aircraft",
    "eurosat",
)
CELL = ["dataset", "backbone", "setting", "shots"]
KIND = ["component", "weights"]
SEEDS = ["split_seed", "order_seed", "training_seed"]
MULTI_VIEW, SINGLE_VIEW = "32, 10% kept", "1"
# a published component as ours: component, our weights beside it, its own weights, its views
MEANINGS = {
    "text": ("text", ("none",), "none", MULTI_VIEW),
    "dynamic": ("dynamic", ("none",), "none", MULTI_VIEW),
    "static": ("static", ("none",), "none", MULTI_VIEW),
    "clip_single_view": ("text", ("none",), "none", SINGLE_VIEW),
    "fused_fixed_weights": ("fused", ("fixed",), "fixed", MULTI_VIEW),
    # no published number has weights chosen on validation images: an oracle bounds it from above
    "fused_test_oracle": ("fused", ("validation", "oracle"), "oracle", MULTI_VIEW),
}
CAPTION = (
    "Beside the published numbers: this run's accuracy, the paper's tables and the authors' own "
    "log, and the difference to the paper or, where it has no such number, to the log. Fusion "
    "weights called oracle were searched on the test labels, there as here."
)
NOTHING = "no number was published for these data sets and backbones"


def read_published() -> pd.DataFrame:
    """Return the published numbers with our names: one row for each of our kinds of weights.

    Columns: dataset, backbone, setting, shots, component, weights, published_weights,
    published_views, source, published.
    """
    rows = []
    for row in pd.read_csv(DATA / "published.csv").to_dict("records"):
        component, ours, weights, views = MEANINGS[row["component"]]
        for kind in ours:
            rows.append(
                {
                    **{key: row[key] for key in CELL},
                    "backbone": row["backbone"].replace("/", "-"),
                    "component": component,
                    "weights": kind,
                    "published_weights": weights,
                    "published_views": views,
                    "source": "log" if row["source"] == "authors_log" else "paper",
                    "published": row["top1"],
                }
            )
    return pd.DataFrame(rows)


def with_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy rows and, where all eleven data sets were measured, their mean."""
    eleven = rows[rows["dataset"].isin(ELEVEN)]
    keys = [*CELL[1:], *KIND, "protocol", *SEEDS]
    found = eleven.groupby(keys, sort=False, dropna=False)["value"].agg(["mean", "size"])
    whole = found[found["size"] == len(ELEVEN)]["mean"].rename("value").reset_index()
    return pd.concat([rows, whole.assign(dataset=MEAN)], ignore_index=True)


def views_of(protocol: str) -> str:
    """Return the views of a row's protocol in words.

    >>> views_of("views=32 share=0.1 L=50")
    '32, 10% kept'
    """
    found = re.search(r"views=(\d+) share=([\d.]+)", protocol)
    if found is None:
        return protocol
    return found[1] if found[1] == "1" else f"{found[1]}, {100 * float(found[2]):g}% kept"


def beside_the_paper(rows: pd.DataFrame) -> pd.DataFrame:
    """Return our accuracy beside the published: mean, low, high, paper, log and the difference.

    `rows` are those of the main study over all jobs. Without a published number for any of them,
    the table says so.
    """
    accuracy = rows[rows["metric"] == "accuracy"]
    keys = [*CELL, *KIND]
    published = read_published()
    accuracy = accuracy[accuracy["backbone"].isin(published["backbone"])]
    if accuracy.empty:
        return describe(pd.DataFrame({"result": [NOTHING]}), CAPTION)
    ours = summarise(with_means(accuracy), [*keys, "protocol"])
    ours.insert(len(keys), "views", ours.pop("protocol").map(views_of))
    wide = published.pivot_table(
        index=[*keys, "published_weights", "published_views"], columns="source", values="published"
    )
    wide = wide.reindex(columns=["paper", "log"]).reset_index()
    table = ours.merge(wide, on=keys, how="inner")
    if table.empty:
        return describe(pd.DataFrame({"result": [NOTHING]}), CAPTION)
    reference = table["paper"].fillna(table["log"])
    for bound in ("mean", "low", "high"):
        table[f"difference_{bound}"] = table[bound] - reference
    return describe(table, CAPTION, unit="%", labels={"log": "authors' log"})


def closeness(table: pd.DataFrame) -> list[str]:
    """Return in words how close a run is to the published numbers, by the weights of each."""
    if "difference_mean" not in table:
        return []
    alike = table[table["weights"] == table["published_weights"]]
    alike = alike[alike["views"] == alike["published_views"]]
    sentences = []
    for component, part in alike.groupby("component", sort=False):
        distance = part["difference_mean"].abs()
        furthest = part.iloc[int(distance.to_numpy().argmax())]
        sentences.append(
            f"Beside the published numbers, {component}: {len(part)} cells of the same protocol, "
            f"{distance.mean():.2f} points away in the mean, at most {distance.max():.2f} "
            f"({furthest['dataset']}, {furthest['backbone']}, {furthest['setting']}, "
            f"{furthest['shots']} shots); there is no interval, as the published numbers have none."
        )
    return sentences
