"""Answers for each image, packed beside the rows and brought back."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pandas as pd
import pytest

from dmn.errors import ArtifactError
from dmn.evaluation.answers import (
    ASKED,
    COLUMN,
    RIGHT,
    Answers,
    Chosen,
    attach,
    counted,
    mask,
    pack,
    packed,
    placed,
)

PLACE = {"dataset": "d", "backbone": "b"}


def measured(count: int = 13):
    """Return rows of two orders, one of them on some images, and what they were made of."""
    rng = np.random.default_rng(0)
    right, asked = rng.random((2, count)) < 0.5, rng.random(count) < 0.5
    rows = [
        {"order_seed": 0, "value": 1.0, "right": packed(right[0]), "asked": None},
        {"order_seed": 1, "value": 2.0, "right": packed(right[1]), "asked": packed(asked)},
        {"order_seed": 1, "value": 3.0, "right": packed(right[0]), "asked": packed(asked)},
        {"order_seed": 1, "value": 4.0},
    ]
    return pack(rows, count, {"labels": np.zeros(count, dtype=np.int16)}), right, asked


def read(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows as the reports read them from a CSV."""
    text = frame.assign(**PLACE, split_seed=3).to_csv(index=False)
    return pd.read_csv(StringIO(text))


def test_equal_answers_are_kept_once_as_bits():
    measurement, *_ = measured()
    assert list(measurement.rows["right"]) == [0, 1, 0, -1]
    assert list(measurement.rows["asked"]) == [-1, 0, 0, -1]
    assert measurement.samples["right"].shape == (2, 2)
    assert measurement.samples["right"].dtype == np.uint8
    assert set(measurement.samples) == {"labels", "right", "asked", "images"}


def test_the_reports_see_the_answers_that_were_measured():
    measurement, right, asked = measured()
    rows = attach(read(measurement.rows), {("d", "b", 3, "0-1"): measurement.samples})
    first, second, third, none = rows[COLUMN]
    np.testing.assert_array_equal(first.of(), 100 * right[0])
    assert first.mask().all()
    np.testing.assert_array_equal(second.of(), 100 * right[1])
    np.testing.assert_array_equal(second.mask(), asked)
    np.testing.assert_array_equal(third.of(), 100 * right[0])
    assert none is None


def test_answers_travel_with_filters_and_joins():
    measurement, right, _ = measured()
    rows = attach(read(measurement.rows), {("d", "b", 3, "0-1"): measurement.samples})
    joined = rows[rows["value"] == 1].merge(rows[["value", "split_seed"]], on="split_seed")
    np.testing.assert_array_equal(joined[COLUMN].iloc[0].of(), 100 * right[0])


def test_values_that_are_not_right_or_wrong_are_kept_as_they_are():
    values = np.linspace(0, 2, 5)
    rows = [{"order_seed": 0, "spread": values}, {"order_seed": 1, "spread": values}]
    measurement = pack(rows, 5)
    assert measurement.samples["spread"].shape == (1, 5)
    table = attach(read(measurement.rows), {("d", "b", 3, "0-1"): measurement.samples})
    np.testing.assert_allclose(table[COLUMN].iloc[1].of(), values, atol=1e-3)


def test_a_row_counts_the_right_answers_of_the_images_that_were_asked():
    right = np.array([True, False, True, True, False])
    asked = mask(np.array([0, 1, 2]), len(right))
    whole, part = counted("accuracy", right), counted("accuracy", right, asked)
    assert (whole["value"], whole["n"], whole[ASKED]) == (60.0, 5, None)
    assert (part["value"], part["n"]) == (pytest.approx(100 * 2 / 3), 3)
    found = Answers(5, np.frombuffer(part[RIGHT], np.uint8), np.frombuffer(part[ASKED], np.uint8))
    assert found.of()[found.mask()].mean() == part["value"]


def test_rows_about_the_same_images_share_their_bits():
    right, asked = Chosen(np.arange(9) % 2 == 0), Chosen(np.arange(9) < 5)
    first, second = (counted(metric, right, asked) for metric in ("accuracy", "other"))
    assert first[RIGHT] is second[RIGHT]
    assert first[ASKED] is second[ASKED]
    assert first | {"metric": "other"} == counted("other", right.mask, asked.mask)


def test_a_run_on_some_images_answers_for_those_of_all():
    images = np.array([7, 2, 4])
    (row,) = placed([{"right": packed(np.array([True, False, True])), "asked": None}], images, 9)
    measurement = pack([{"order_seed": 0} | row], 9)
    (answer,) = attach(read(measurement.rows), {("d", "b", 3, "0"): measurement.samples})[COLUMN]
    assert list(np.flatnonzero(answer.of())) == [4, 7]
    assert list(np.flatnonzero(answer.mask())) == [2, 4, 7]


def test_rows_whose_answers_are_missing_are_refused():
    measurement, *_ = measured()
    with pytest.raises(ArtifactError, match="no per-sample answers of d, b, 3, 1; evaluate them"):
        attach(read(measurement.rows), {("d", "b", 3, "0"): measurement.samples})


def test_rows_of_a_study_without_answers_stay_as_they_are():
    rows = pd.DataFrame({"value": [1.0]})
    assert attach(rows, {}) is rows
