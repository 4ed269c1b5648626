"""Two runs side by side: what changed in accuracy, paired by seeds and test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dmn.artifacts import sha256
from dmn.audit.runs.sides import Side
from dmn.config import Config
from dmn.errors import ArtifactError
from dmn.evaluation.answers import attach, read_all_rows, read_all_samples
from dmn.evaluation.summaries import SEEDS, paired
from dmn.pipeline import paths
from dmn.pipeline.paths import fill
from dmn.report.comparisons import CELL
from dmn.report.words import cell_words, tally, where, words

STUDY = "main"
ANSWERS = f"{paths.DATA}/evaluation/{STUDY}"
KEYS = [*CELL, "component", "weights"]
COLUMNS = [*KEYS, "before", "after", "mean", "low", "high"]
CHANGE = {
    "gain": "is higher",
    "loss": "is lower",
    "tie": "ties",
    "small": "moves too little to name",
    "unclear": "shows no clear change",
    "unjudged": "is not judged",
}
LEAST = Config().reports.smallest_difference  # points


def measured(run: Path) -> pd.DataFrame:
    """Return the accuracies of a run's study `main` with their answers. ArtifactError without."""
    files = sorted((run / ANSWERS).rglob("*.csv"))
    if not files:
        raise ArtifactError(
            f"{run} has no {ANSWERS}, which paired differences need; bring it with dvc pull"
        )
    rows = read_all_rows([str(file) for file in files])
    samples = read_all_samples([str(file.with_suffix(".safetensors")) for file in files])
    accuracy = rows[rows["metric"] == "accuracy"]
    return attach(accuracy.reset_index(drop=True), samples)


def nothing() -> pd.DataFrame:
    """Return the table of no common cell."""
    return pd.DataFrame(columns=COLUMNS)


def changed_accuracy(before: Side, after: Side) -> tuple[pd.DataFrame, list[str]]:
    """Return after minus before for all common cells, and why data sets are left out.

    Both are cut to the seeds that they share; `before` and `after` are their means over these. A
    data set whose lists of images differ is no pair.
    """
    for side in (before, after):
        side.bring_below(ANSWERS)
    old, new = measured(before.folder), measured(after.folder)
    common = [name for name in old["dataset"].unique() if name in set(new["dataset"])]
    for side in (before, after):
        side.bring([fill(paths.SPLIT, dataset=name) for name in common])
    apart = [name for name in common if not _same_images(before.folder, after.folder, name)]
    both = [old[~old["dataset"].isin(apart)], new[~new["dataset"].isin(apart)]]
    on = [*KEYS, *SEEDS]
    shared = both[0][on].merge(both[1][on])
    sides = [
        rows.merge(shared, on=on).assign(run=run)
        for rows, run in zip(both, ("before", "after"), strict=True)
    ]
    notes = [f"{name}: the runs have other lists of images, so nothing is paired" for name in apart]
    if shared.empty:
        return nothing(), notes
    table = paired(pd.concat(sides, ignore_index=True), KEYS, {"run": "after"}, {"run": "before"})
    for rows, run in zip(sides, ("before", "after"), strict=True):
        means = rows.groupby(KEYS)["value"].mean()
        table = table.merge(means.rename(run).reset_index(), on=KEYS)
    rest = [c for c in table.columns if c not in (*COLUMNS, "run")]
    return table[[*COLUMNS, *rest]], notes


def _same_images(before: Path, after: Path, dataset: str) -> bool:
    """Say whether two runs split a data set alike; one that a run lacks has no cell in common."""
    files = [run / fill(paths.SPLIT, dataset=dataset) for run in (before, after)]
    return not all(file.exists() for file in files) or len({sha256(file) for file in files}) == 1


def change_words(table: pd.DataFrame, notes: Sequence[str], least: float = LEAST) -> list[str]:
    """Return in words what changed: one sentence for each data set and backbone."""
    if table.empty:
        return [*notes, "no cell of study main is in both runs"]
    sentences = list(notes)
    for names, part in table.groupby(CELL[:2], sort=False):
        place = dict(zip(CELL, names, strict=False))
        rows = [{**row, "cell": _cell(row)} for row in part.to_dict("records")]
        sentences.append(
            f"{where(place)}, accuracy after less before, {len(rows)} cells: "
            f"{tally(rows, 'cell', least, CHANGE)}"
        )
    return sentences


def _cell(row: Mapping[Any, Any]) -> str:
    weights = "" if row["weights"] == "none" else f" {words(row['weights'])}"
    return f"{words(row['component'])}{weights} {cell_words(row)}"
