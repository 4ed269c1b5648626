"""How two files differ, in words: rows, tensors, pixels, keys, lines, bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dmn.artifacts import write_bytes, write_json, write_rows, write_tensors, write_text
from dmn.audit.differences import Difference, difference


@pytest.fixture
def pair(tmp_path: Path):
    def make(suffix: str) -> tuple[Path, Path]:
        return tmp_path / f"before{suffix}", tmp_path / f"after{suffix}"

    return make


def words(before: Path, after: Path) -> str:
    found = difference(before, after)
    assert found is not None
    return found.text


def test_equal_bytes_are_no_difference(pair) -> None:
    before, after = pair(".csv")
    for path in (before, after):
        write_text(path, "a\n1\n")
    assert difference(before, after) is None


def test_missing_and_new_files_are_called_so(pair) -> None:
    before, after = pair(".csv")
    write_text(before, "a\n")
    assert words(before, after) == "is missing"
    assert words(after, before) == "is new"


def test_tensors_give_counts_and_the_largest_deviation(pair) -> None:
    before, after = pair(".safetensors")
    values = np.arange(6, dtype=np.float32)
    write_tensors(before, {"views": values})
    write_tensors(after, {"views": values + np.float32([0, 0, 0.5, 0, 0.25, 0])})
    found = difference(before, after)
    assert found == Difference("tensor 'views': 2 of 6 values differ, by at most 0.5", 0.5)
    assert found.within(0.5)
    assert not found.within(0.4)


def test_a_nan_is_within_no_tolerance(pair) -> None:
    before, after = pair(".safetensors")
    write_tensors(before, {"a": np.zeros(2, np.float32)})
    write_tensors(after, {"a": np.float32([0, np.nan])})
    found = difference(before, after)
    assert found is not None
    assert not found.within(1e300)


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({"b": np.zeros(2)}, r"tensors \['a'\] became \['b'\]"),
        ({"a": np.zeros(3)}, r"tensor 'a': float64\[2\] became float64\[3\]"),
        ({"a": np.zeros(2, np.float32)}, r"float64\[2\] became float32\[2\]"),
    ],
)
def test_tensors_of_another_kind_are_within_no_tolerance(pair, tensors, text: str) -> None:
    before, after = pair(".safetensors")
    write_tensors(before, {"a": np.zeros(2)})
    write_tensors(after, tensors)
    found = difference(before, after)
    assert found is not None
    with pytest.raises(AssertionError, match=text):
        raise AssertionError(found.text)
    assert not found.within(1e9)


def test_facts_beside_equal_tensors_are_named(pair) -> None:
    before, after = pair(".safetensors")
    write_tensors(before, {"a": np.zeros(2)}, {"epochs": 1})
    write_tensors(after, {"a": np.zeros(2)}, {"epochs": 2})
    assert words(before, after) == "facts.epochs: 1 -> 2"


def test_rows_name_the_first_cell(pair) -> None:
    before, after = pair(".csv")
    write_rows(before, pd.DataFrame({"shots": [1, 4, 16], "value": [70.0, 80.0, 90.0]}))
    write_rows(after, pd.DataFrame({"shots": [1, 4, 16], "value": [70.0, 81.0, 91.0]}))
    text = "2 of 3 rows differ; first row 2, column 'value': 80.000000 -> 81.000000"
    assert words(before, after) == text


def test_other_columns_and_row_counts_are_named(pair) -> None:
    before, after = pair(".csv")
    write_rows(before, pd.DataFrame({"a": [1, 2]}))
    write_rows(after, pd.DataFrame({"a": [1]}))
    assert words(before, after) == "2 rows became 1"
    write_rows(after, pd.DataFrame({"b": [1, 2]}))
    assert words(before, after) == "columns ['a'] became ['b']"


def test_json_names_the_first_key(pair) -> None:
    before, after = pair(".json")
    write_json(before, {"rows": [{"mean": 1}, {"mean": 2}]})
    write_json(after, {"rows": [{"mean": 1}, {"mean": 3}]})
    assert words(before, after) == "rows[1].mean: 2 -> 3"


def test_pixels_give_count_and_place(pair) -> None:
    before, after = pair(".png")
    pixels = np.zeros((8, 10, 3), np.uint8)
    Image.fromarray(pixels).save(before)
    pixels[2:4, 5] = 40
    Image.fromarray(pixels).save(after)
    text = "2 of 80 pixels differ, by at most 40 of 255, in columns 5-5 and rows 2-3"
    assert words(before, after) == text


def test_lines_of_text_are_quoted(pair) -> None:
    before, after = pair(".svg")
    write_text(before, "<svg>\n<a/>\n")
    write_text(after, "<svg>\n<b/>\n")
    assert words(before, after) == "line 2: '<a/>' -> '<b/>'"


def test_other_bytes_give_the_first_place(pair) -> None:
    before, after = pair(".pdf")
    write_bytes(before, b"abcdef")
    write_bytes(after, b"abXdef1")
    assert words(before, after) == "6 bytes became 7; the first difference is at 2"
