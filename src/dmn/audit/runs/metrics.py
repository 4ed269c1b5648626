"""The accuracies of a run's study `main` as metrics.json, for `dvc metrics show` and `diff`.

Keys go from data set and backbone to setting, shots, component and weights. A run without the study
has none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dmn.artifacts import read_rows, write_json
from dmn.pipeline import paths
from dmn.pipeline.paths import fill

METRICS = "metrics.json"
TABLE = fill(paths.TABLE, study="main", table="main", kind="csv")
PLACE = ("dataset", "backbone", "setting", "shots")
DIGITS = 2


def metrics(root: Path) -> dict[str, Any]:
    """Return mean accuracies in percent, nested by what they are of."""
    found: dict[str, Any] = {}
    if not (root / TABLE).is_file():
        return found
    for row in read_rows(root / TABLE).to_dict("records"):
        inner = found
        for key in PLACE:
            inner = inner.setdefault(str(row[key]), {})
        weights = "" if row["weights"] == "none" else f" {row['weights']}"
        inner[f"{row['component']}{weights}"] = round(row["mean"], DIGITS)
    return found


def main(arguments: argparse.Namespace) -> None:
    """Write the metrics of the current folder's run."""
    found = metrics(Path.cwd())
    write_json(METRICS, found)
    sys.stderr.write(f"{METRICS}: {len(found)} data sets\n")
