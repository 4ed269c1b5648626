"""What a run says as a whole: means over places, their intervals, and the sentence on top."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dmn.evaluation.across import pooled
from dmn.evaluation.answers import COLUMN, Answers
from dmn.evaluation.summaries import summarise
from dmn.report.headline import overall, placed, places_words
from dmn.report.overview import answer, overall_table
from dmn.report.tables import printed

LEAST = 0.5


def gained(datasets: int = 1, backbones: int = 3, mean: float = 4.0) -> pd.DataFrame:
    """Return paired differences to text of every place and two kinds of weights."""
    records = [
        {"dataset": f"set{d}", "backbone": f"net{b}", "setting": "zero_shot", "shots": 0}
        | {"component": "fused", "weights": weights, "mean": mean + d + b, "error": 0.5 + b}
        | {"low": mean + d + b - 1, "high": mean + d + b + 1, "p": 0.001, "n_images": 100 + d}
        | {"n_splits": 1, "n_orders": 5, "n_trainings": 1, "over": "orders, images", "held": ""}
        for d in range(datasets)
        for b in range(backbones)
        for weights in ("validation", "oracle")
    ]
    return pd.DataFrame(records)


def test_one_place_keeps_its_mean_and_its_interval():
    one = gained(backbones=1)
    row = overall(one, ["weights"]).iloc[0]
    assert row[["mean", "low", "high", "error"]].tolist() == [4.0, 3.0, 5.0, 0.5]
    assert places_words(one) == "set0 (net0)"


def test_over_backbones_mean_and_bounds_are_plain_means():
    row = overall(gained(), ["weights"], differences=True).iloc[0]
    assert row[["mean", "low", "high"]].tolist() == [5.0, 4.0, 6.0]
    assert (row["n_images"], row["n_backbones"], row["over"]) == (100, 3, "orders, images")


def test_the_interval_of_a_mean_of_dependent_places_covers():
    rng = np.random.default_rng(0)
    errors = np.array([0.5, 1.5, 3.0])
    shared = rng.normal(size=(20_000, 1)) * errors
    own = rng.normal(size=(20_000, 3)) * errors
    for noise in (shared, own, (shared + own) / 2**0.5):
        assert np.mean(np.abs(noise.mean(axis=1)) <= 1.96 * errors.mean()) >= 0.945


def test_differences_on_three_data_sets_are_pooled_over_them():
    table = gained(datasets=4)
    row = overall(table, ["weights"], differences=True).iloc[0]
    interval, _ = pooled([5.0, 6.0, 7.0, 8.0], [1.5] * 4)
    assert (row["mean"], row["low"]) == pytest.approx((interval.centre, interval.bounds()[0]))
    assert row["over"] == "data_sets"
    assert overall(table, ["weights"]).iloc[0]["over"] == "orders, images"
    assert overall(table, ["weights"]).iloc[0]["n_images"] == 100 + 101 + 102 + 103


def test_a_place_without_an_interval_leaves_the_whole_without_one():
    table = gained()
    table.loc[2, ["low", "high", "error"]] = np.nan
    row = overall(table, ["weights"]).iloc[0]
    assert row["mean"] == 5.0
    assert np.isnan(row["low"])


def test_the_answer_is_of_honest_weights_and_has_its_interval():
    (sentence,) = answer(gained(), LEAST)
    assert sentence == (
        "On set0 with 3 backbones, the fusion with validation weights: zero-shot, against text "
        "alone, it helps, +5.0 [+4.0, +6.0] points (95% intervals over 5 orders and 100 images)."
    )
    assert "makes no clear difference" in answer(gained(mean=-0.5), LEAST)[0]
    assert "over 4 data sets" in answer(gained(datasets=4), LEAST)[0]
    assert answer(gained().query("weights == 'oracle'"), LEAST) == []
    assert answer(pd.DataFrame(), LEAST) == []


def test_a_sentence_of_all_places_needs_several():
    table = gained().query("weights == 'validation'")
    (sentence,) = placed(table, "The fusion", LEAST)
    assert sentence.startswith("The fusion helps in 3 of 3 (net2 +6.0 [+5.0, +7.0], net1")
    assert placed(table.iloc[:1], "The fusion", LEAST) == []
    several = placed(gained(datasets=2).query("weights == 'validation'"), "The fusion", LEAST)[0]
    assert "set1 with net2 +7.0" in several


def accuracies(shift: dict[str, float], backbones: int = 2) -> pd.DataFrame:
    """Return measured accuracies of 400 images in 5 orders, each kind right on other images."""
    rng = np.random.default_rng(0)
    records = []
    for b in range(backbones):
        drawn = rng.random((5, 400))
        for component, rate in shift.items():
            for order, run in enumerate(drawn < rate):
                answers = Answers(len(run), np.packbits(run))
                records.append(
                    {"dataset": "set0", "backbone": f"net{b}", "setting": "zero_shot", "shots": 0}
                    | {"component": component, "weights": "none", "metric": "accuracy"}
                    | {"split_seed": 0, "order_seed": order, "training_seed": "none"}
                    | {"value": 100 * run.mean(), COLUMN: answers}
                )
    return pd.DataFrame(records)


def marked(shift: dict[str, float]) -> list[str]:
    """Return the components that the table has in bold."""
    rows = accuracies(shift)
    keys = ["setting", "shots", "component", "weights"]
    places = summarise(rows, ["dataset", "backbone", *keys])
    shown = printed(overall_table(overall(places, keys), places, rows, LEAST))
    assert "at least as wide" in shown.caption
    return [row[2].text for row in shown.rows if row[-1].best]


def test_bold_is_the_best_and_what_it_is_not_clearly_ahead_of():
    assert marked({"text": 0.6, "dynamic": 0.8, "static": 0.801}) == ["dynamic", "static"]
    assert marked({"text": 0.6, "dynamic": 0.7, "static": 0.8}) == ["static"]
    assert marked({"text": 0.8, "dynamic": 0.8, "static": 0.8}) == []
