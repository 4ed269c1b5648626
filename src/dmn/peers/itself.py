"""DMN itself, in the cells and orders of its peers, with the same counts of cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dmn.config import Config
from dmn.evaluation.contract import Cell, StudyData
from dmn.evaluation.experiment import Experiment
from dmn.evaluation.run import Run
from dmn.evaluation.weights.selection import grid_answers
from dmn.peers.kept import keep_grid


def dmn_beside(
    data: StudyData, config: Config, cell: Cell, order_seeds: Sequence[int], kept: Sequence[int]
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return rows of accuracy and cost of DMN in a cell, and what its grid answered.

    The grid is kept of the orders `kept`, the first of all, and of untrained cells.
    """
    rows = []
    runs = Experiment(data, config, cell).runs(order_seeds)
    for run in runs:
        for row in run.accuracy_rows(method="dmn"):
            if row["component"] == "fused":
                rows.append(row)
        for metric, count in _dmn_cost(data, config, cell).items():
            measured = {"metric": metric, "value": float(count), "n": 1}
            rows.append(run.keys(("fused", "none"), method="dmn") | measured)
    samples = {}
    if cell.setting != "few_shot":
        samples = _grid(
            runs[: len(kept)], config.fusion.grid, cell.keys() | {"method": "dmn"}, kept
        )
    return rows, samples


def _grid(
    runs: Sequence[Run], grid: Sequence[float], place: dict[str, Any], order_seeds: Sequence[int]
) -> dict[str, np.ndarray]:
    """Return what each pair of weights of the fusion answered."""
    answers = [grid_answers(run.fronts, grid) for run in runs]
    known = [run.validated for run in runs if run.validated is not None]
    # one stream with the validation images may serve all orders
    known = known if len({id(run) for run in known}) > 1 else known[:1]
    validated = [(grid_answers(run.fronts, grid), run.labels) for run in known]
    return keep_grid(place, answers, runs[0].labels, order_seeds, validated)


def _dmn_cost(data: StudyData, config: Config, cell: Cell) -> dict[str, int]:
    """Return the cost of a full memory: similarities and weighted sums of both memories."""
    C, D = data.text.shape
    V = data.test.views.shape[1]
    dynamic, static = config.model.length + 1 + cell.shots, (1 + cell.shots) if cell.shots else 0
    slots = C * (dynamic + static)
    return {
        "encodings": V,
        "operations": V * C * D + 2 * slots * D + C * D * (2 if static else 1),
        "numbers": C * D * (config.model.length + cell.shots),
    }
