"""Tables as CSV and Markdown: the same numbers, best in bold, text escaped."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmn.artifacts import read_rows
from dmn.errors import ArtifactError
from dmn.report import tables


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "dataset": "digits",
            "setting": ["zero_shot"] * 3 + ["few_shot"] * 3,
            "component": ["text", "fused", "fused"] * 2,
            "weights": ["none", "validation", "oracle"] * 2,
            "mean": [71.0, 75.25, 80.0, 71.0, 70.0, 70.5],
            "low": [np.nan, 74.0, 79.0, np.nan, 69.0, 70.0],
            "high": [np.nan, 76.5, 81.0, np.nan, 71.0, 71.0],
            "n_splits": [1, 3, 3, 1, 3, 3],
            "n_orders": 10,
            "n_trainings": 1,
            "over": ["nothing", "splits", "splits"] * 2,
        }
    )


def texts(table: tables.Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def bold(table: tables.Table) -> list[str]:
    return [cell.text for row in table.rows for cell in row if cell.best]


def test_mean_and_bounds_become_one_column() -> None:
    table = tables.printed(tables.describe(frame(), "Main.", unit="%"))
    assert [c.label for c in table.columns] == ["setting", "component", "weights", "mean (%)"]
    assert texts(table)[1] == ["zero-shot", "fused", "validation", "75.25 [74.00, 76.50]"]
    assert texts(table)[0][-1] == "71.00"


def test_the_note_says_what_all_rows_share_and_what_the_interval_is_over() -> None:
    note = tables.printed(tables.describe(frame(), "Main.", best="max")).note
    assert "data set: digits." in note
    assert "95% interval over 3 splits]" in note
    assert "not counting the oracle" in note


def test_the_oracle_is_never_best() -> None:
    described = tables.describe(frame(), "Main.", best="max", within=["setting"])
    assert bold(tables.printed(described)) == ["75.25 [74.00, 76.50]", "71.00"]


def test_less_can_be_better_and_ties_as_printed_are_all_best() -> None:
    rows = pd.DataFrame({"class": list("abc"), "ece": [0.101, 0.1, 0.3]})
    described = tables.describe(rows, "Calibration.", best={"ece": "min"}, decimals=2)
    assert bold(tables.printed(described)) == ["0.10", "0.10"]


def test_a_key_can_be_spread_over_columns() -> None:
    described = tables.describe(frame(), "Main.", best="max", spread="setting")
    table = tables.printed(described)
    assert [c.key for c in table.columns][2:] == ["setting=zero_shot", "setting=few_shot"]
    assert texts(table)[0] == ["text", "none", "71.00", "71.00"]
    assert bold(table) == ["71.00", "75.25 [74.00, 76.50]"]


def test_a_missing_cell_of_a_spread_table_is_a_dash() -> None:
    table = tables.printed(tables.describe(frame().iloc[:4], "Main.", spread="setting"))
    assert texts(table)[1][-1] == "–"
    assert table.rows[1][-1].value is None


def test_whole_numbers_and_small_negatives_print_plainly() -> None:
    rows = pd.DataFrame({"class": ["a"], "n": [540], "change": [-0.001]})
    assert texts(tables.printed(rows)) == [["a", "540", "0.00"]]


def test_the_csv_keeps_every_column(tmp_path: Path) -> None:
    tables.write(tables.describe(frame(), "Main.", spread="setting"), tmp_path / "main")
    pd.testing.assert_frame_equal(read_rows(tmp_path / "main.csv"), frame())


def test_markdown_holds_the_same_cells_as_the_page(tmp_path: Path) -> None:
    table = tables.write(tables.describe(frame(), "Main.", best="max"), tmp_path / "main")
    markdown = (tmp_path / "main.md").read_text().replace("\\", "")
    for row in texts(table):
        assert "| " + " | ".join(row[:3]) in markdown
        assert row[3] in markdown
    assert "**75.25 [74.00, 76.50]**" in markdown


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_no_text_breaks_out_of_a_cell(name: str) -> None:
    table = tables.printed(pd.DataFrame({"class": [name], "n": [1]}))
    body = tables.markdown(table).split("| --- | ---: |\n")[1].split("\n\n")[0]
    assert len(re.findall(r"(?<!\\)\|", body)) == 3
    assert "<" not in body


def test_an_unknown_column_is_told_with_the_known_ones() -> None:
    with pytest.raises(ArtifactError, match="no column 'shots'; it has: dataset, setting"):
        tables.describe(frame(), "Main.", spread="shots")


def test_an_empty_table_says_so() -> None:
    table = tables.printed(tables.describe(frame().iloc[:0], "Main.", best="max"), "main")
    assert (table.name, table.caption) == ("main", "Main.")
    assert texts(table) == [["not measured with this configuration"]]
