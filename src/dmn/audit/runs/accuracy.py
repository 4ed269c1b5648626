"""Two runs side by side: what changed in accuracy, paired by seeds and test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dmn.artifacts import sha256
from dmn.errors import ArtifactError
from dmn.evaluation.answers import attach, read_all_rows, read_all_samples
from dmn.evaluation.summaries import SEEDS, paired
from dmn.pipeline import paths
from dmn.pipeline.paths import fill
from dmn.report.comparisons import CELL
from dmn.report.words import cell_words, tally, where, words

STUDY = "main"
KEYS = [*CELL, "component", "weights"]
LEAST = 0.5  # points, as reports.smallest_difference


def measured(run: Path) -> pd.DataFrame:
    """Return the accuracies of a run's study `main` with their answers. ArtifactError without."""
    files = sorted((run / paths.DATA / "evaluation" / STUDY).rglob("*.csv"))
    if not files:
        raise ArtifactError(
            f"{run} has no data/evaluation/{STUDY}, which paired differences need; bring it with "
            "dvc pull"
        )
    rows = read_all_rows([str(file) for file in files])
    samples = read_all_samples([str(file.with_suffix(".safetensors")) for file in files])
    accuracy = rows[rows["metric"] == "accuracy"]
    return attach(accuracy.reset_index(drop=True), samples)


def changed_accuracy(before: Path, after: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return after minus before for all common cells, and why data sets are left out.

    Both are cut to the seeds that they share. A data set whose lists of images differ is no pair.
    """
    old, new = measured(before), measured(after)
    apart = [name for name in old["dataset"].unique() if not _same_images(before, after, name)]
    both = [old[~old["dataset"].isin(apart)], new[~new["dataset"].isin(apart)]]
    on = [*KEYS, *SEEDS]
    shared = both[0][on].merge(both[1][on])
    sides = [
        rows.merge(shared, on=on).assign(run=run)
        for rows, run in zip(both, ("before", "after"), strict=True)
    ]
    notes = [f"{name}: the runs have other lists of images, so nothing is paired" for name in apart]
    if shared.empty:
        return pd.DataFrame(columns=[*KEYS, "mean", "low", "high"]), notes
    table = paired(pd.concat(sides, ignore_index=True), KEYS, {"run": "after"}, {"run": "before"})
    return table.drop(columns="run", errors="ignore"), notes


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
            f"{tally(rows, 'cell', least)}"
        )
    return sentences


def _cell(row: Mapping[Any, Any]) -> str:
    weights = "" if row["weights"] == "none" else f" {words(row['weights'])}"
    return f"{words(row['component'])}{weights} {cell_words(row)}"
