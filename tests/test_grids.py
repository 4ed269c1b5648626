"""Tables of the page: methods down, settings and shots across, a group for each place."""

from __future__ import annotations

from itertools import product

import pandas as pd

from dmn.report.grids import grid
from dmn.report.tables import describe, printed

CELLS = [("zero_shot", 0), ("few_shot", 16), ("few_shot", 1)]
METHODS = [("text", "none"), ("static", "none"), ("fused", "validation")]


def table(backbones: tuple[str, ...] = ("small", "large"), **more: object):
    """Return a table of every method in every cell; the static memory needs shots."""
    records = [
        {"dataset": "digits", "backbone": backbone, "setting": setting, "shots": shots}
        | {"component": component, "weights": weights}
        | {"mean": 10.0 * b + shots + m, "low": float("nan"), "high": float("nan")}
        for (b, backbone), (setting, shots), (m, (component, weights)) in product(
            enumerate(backbones), CELLS, enumerate(METHODS)
        )
        if shots or component != "static"
    ]
    return printed(describe(pd.DataFrame(records).assign(**more), "Accuracy.", best="max"))


def test_cells_stand_where_their_setting_shots_and_method_meet() -> None:
    found = grid(table())
    heads = [(head.label, head.detail) for head in found.heads]
    assert heads == [("zero-shot", ""), ("few-shot", "1 shot"), ("few-shot", "16 shots")]
    assert [group.title for group in found.groups] == ["small", "large"]
    rows = {line.label: line.cells for line in found.groups[1].lines}
    assert list(rows) == ["text", "static", "fused, validation"]
    shown = [cell.text if cell else None for cell in rows["static"]]
    assert shown == [None, "12.00", "27.00"]
    assert found.groups[1].keys == {"backbone": "large"}


def test_every_cell_of_the_long_table_is_in_the_grid_once() -> None:
    long = table()
    found = grid(long)
    cells = [c for group in found.groups for line in group.lines for c in line.cells if c]
    assert sorted(c.text for c in cells) == sorted(row[-1].text for row in long.rows)
    assert sum(c.best for c in cells) == sum(row[-1].best for row in long.rows)


def test_a_table_whose_cells_collide_keeps_a_row_for_each() -> None:
    long = table(backbones=("small", "small"))
    found = grid(long)
    assert found.count == len(long.rows)
    assert [head.label for head in found.heads] == ["mean"]
    assert found.groups[0].lines[0].keys["setting"] == "zero-shot"


def test_means_stand_before_other_numbers_and_names_in_the_row() -> None:
    frame = pd.DataFrame(
        {"signal": ["a", "b"], "streams": [3, 4], "level": [0.5, 2.0], "mean": [1.0, 2.0]}
    ).assign(low=0.0, high=3.0)
    found = grid(printed(describe(frame, "Signals.")))
    assert [head.label for head in found.heads] == ["mean", "streams"]
    assert [line.label for line in found.groups[0].lines] == ["a, 0.50", "b, 2.00"]


def test_where_every_place_has_one_row_the_row_is_named_after_it() -> None:
    one = pd.DataFrame({"backbone": ["small", "large"], "signal": "entropy", "mean": [1.0, 2.0]})
    found = grid(printed(describe(one.assign(low=0.0, high=3.0), "Signals.")))
    labels = [line.label for group in found.groups for line in group.lines]
    assert labels == ["small, entropy", "large, entropy"]


def test_a_text_alone_is_a_row_of_its_own() -> None:
    found = grid(printed(describe(pd.DataFrame({"result": ["nothing was measured"]}), "Empty.")))
    assert [line.label for line in found.groups[0].lines] == ["nothing was measured"]
    assert found.heads == []
