"""The README's main table is that of its file, and its file is held to a run's reports."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from development.readme import KEPT, PAGE, REPORT, RUNS, TABLE, check, read, write
from dmn.artifacts import read_rows, write_rows

MOST_LINES = 150  # two screens


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return read_rows(TABLE)


@pytest.fixture
def demo(table: pd.DataFrame, tmp_path: Path) -> Path:
    """A run's reports with the demo's rows, and one that the README leaves out."""
    rows = table[table["run"] == "demo"][KEPT]
    oracle = rows.iloc[-1:].assign(weights="oracle", mean=99.0)
    write_rows(tmp_path / REPORT, pd.concat([rows, oracle]))
    return tmp_path


def test_the_readme_is_what_its_table_gives(table: pd.DataFrame) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert write(text, table) == text
    assert write(text, table.assign(mean=table["mean"] + 1)) != text
    assert set(table["run"]) == set(RUNS)
    assert text.count("\n") <= MOST_LINES


def test_what_is_read_of_a_run_has_no_oracle(table: pd.DataFrame, demo: Path) -> None:
    found = read("demo", demo)
    assert set(found["weights"]) == {"none", "label_free"}
    pd.testing.assert_frame_equal(found, table[table["run"] == "demo"].reset_index(drop=True))


def test_reports_that_say_other_numbers_are_told(table: pd.DataFrame, demo: Path) -> None:
    assert check("demo", demo, table) == []
    moved = table.copy()
    moved.loc[0, "mean"] += 0.2
    (wrong,) = check("demo", demo, moved)
    mean = table.loc[0, "mean"]
    assert wrong.endswith(f"{mean + 0.2:.2f} here, {mean:.2f} there")
    assert check("demo", demo, table.iloc[1:]) == [
        "demo has other cells than readme.csv; take it anew"
    ]


def test_a_folder_without_reports_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"there is no .*main\.csv; make it with: dmn run"):
        read("demo", tmp_path)
