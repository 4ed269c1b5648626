"""Means, paired differences, and over what their intervals are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dmn.evaluation.answers import COLUMN, Answers
from dmn.evaluation.summaries import MeasurementError, paired, summarise


def crossed(values: np.ndarray, **keys) -> pd.DataFrame:
    """Return rows of values [splits, orders]."""
    return pd.DataFrame(
        [
            {**keys, "split_seed": i, "order_seed": j, "training_seed": "none", "value": v}
            for i, row in enumerate(values)
            for j, v in enumerate(row)
        ]
    )


def answered(right: np.ndarray, **keys) -> pd.DataFrame:
    """Return rows of accuracy with their answers, of booleans [splits, orders, N]."""
    rows = crossed(100 * right.mean(axis=-1), metric="accuracy", **keys)
    bits = [Answers(right.shape[-1], np.packbits(run)) for runs in right for run in runs]
    return rows.assign(**{COLUMN: bits})


def test_the_interval_is_student_s_over_orders_when_splits_do_not_matter():
    values = np.random.default_rng(1).normal(0.8, 0.02, size=(1, 10))
    for table, held in ((values, "splits"), (np.repeat(values, 3, axis=0), "")):
        row = summarise(crossed(table), []).iloc[0]
        low, high = stats.t.interval(0.95, 9, values.mean(), stats.sem(values[0]))
        assert (row["over"], row["held"]) == ("orders", held)
        assert [row["low"], row["high"]] == pytest.approx([low, high])


def test_the_interval_is_over_splits_and_orders_when_both_matter():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 1)) + rng.normal(size=(1, 10)) + 0.1 * rng.normal(size=(5, 10))
    row = summarise(crossed(values), []).iloc[0]
    assert (row["over"], row["n_splits"], row["n_orders"]) == ("splits, orders", 5, 10)
    alone = [stats.sem(values.mean(axis=axis)) for axis in (0, 1)]
    assert max(alone) < row["error"] < np.hypot(*alone)


def test_trainings_count_when_nothing_else_varies():
    rows = pd.DataFrame({"training_seed": [0, 1, 2], "value": [0.1, 0.2, 0.4]})
    assert summarise(rows, []).iloc[0]["over"] == "trainings"


@pytest.mark.parametrize("shape", [(1, 1), (3, 10)])
def test_a_value_that_varies_with_no_seed_has_no_interval_over_seeds(shape):
    row = summarise(crossed(np.full(shape, 0.7)), []).iloc[0]
    assert (row["mean"], row["over"]) == (pytest.approx(0.7), "nothing")
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


def test_two_splits_are_held_as_they_are_and_give_no_nonsense():
    values = np.array([[10.0, 10.5, 11.0], [24.0, 24.5, 25.0]])
    row = summarise(crossed(values, metric="accuracy"), []).iloc[0]
    assert (row["over"], row["held"], row["mean"]) == ("orders", "splits", 17.5)
    assert 15 < row["low"] < row["high"] < 20
    none = summarise(crossed(values[:, :1], metric="accuracy"), []).iloc[0]
    assert np.isnan(none["low"])
    assert (none["over"], none["held"]) == ("nothing", "splits, orders")


def test_intervals_of_percentages_stay_between_nought_and_a_hundred():
    values = np.array([[99.0], [100.0], [90.0]])
    row = summarise(crossed(values, metric="accuracy"), []).iloc[0]
    assert (row["high"], row["low"] > 0) == (100, True)
    falling = summarise(crossed(values, metric="nll"), []).iloc[0]
    assert falling["high"] > 100
    assert summarise(crossed(values - 89, metric="ece"), []).iloc[0]["low"] == 0
    right = np.zeros((3, 2, 4), dtype=bool)
    right[0] = True
    both = pd.concat([answered(right, m="a"), answered(~right, m="b")])
    difference = paired(both, [], {"m": "a"}, {"m": "b"}).iloc[0]
    assert (difference["low"], difference["high"]) == (-100, 100)


def test_splits_weigh_the_same_with_unequal_numbers_of_orders():
    rows = crossed(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])).drop(index=[4, 5])
    assert summarise(rows, []).iloc[0]["mean"] == 0.5


def test_groups_keep_their_order_of_appearance():
    rows = pd.concat([crossed(np.ones((2, 2)), shots=k) for k in (16, 1, 4)])
    assert list(summarise(rows, ["shots"])["shots"]) == [16, 1, 4]


def test_pairing_removes_what_both_sides_share():
    rng = np.random.default_rng(2)
    shared = rng.normal(0.5, 0.1, size=(3, 10))
    gain = 0.02 + rng.normal(0, 0.001, size=(3, 10))
    rows = pd.concat([crossed(shared, method="a"), crossed(shared + gain, method="b")])
    row = paired(rows, [], {"method": "b"}, {"method": "a"}).iloc[0]
    alone = summarise(crossed(gain), []).iloc[0]
    assert [row["mean"], row["low"], row["high"]] == pytest.approx(
        [alone["mean"], alone["low"], alone["high"]]
    )
    assert row["p"] < 0.001


def test_the_p_value_is_corrected_for_the_choice_among_several_comparisons():
    rng = np.random.default_rng(5)
    rows = pd.concat([crossed(rng.normal(x, 1, size=(1, 9)), m=x) for x in (0, 2)])
    one, six, many = (
        paired(rows, [], {"m": 2}, {"m": 0}, comparisons=c).iloc[0]["p"] for c in (1, 6, 10**6)
    )
    assert 0 < one < 0.05
    assert (six, many) == (pytest.approx(6 * one), 1.0)


def test_answers_make_the_interval_one_over_images_too():
    rng = np.random.default_rng(6)
    right = np.repeat(rng.random((1, 1, 400)) < 0.8, 3, axis=0)
    row = summarise(answered(right), []).iloc[0]
    low, high = stats.binomtest(int(right[0].sum()), 400).proportion_ci(method="wilson")
    assert (row["over"], row["n_images"], row["held"]) == ("images", 400, "orders")
    assert [row["low"], row["high"]] == pytest.approx([100 * low, 100 * high], abs=0.1)


def test_rows_on_a_class_count_its_images_only():
    rng = np.random.default_rng(7)
    right, own = rng.random((3, 4, 60)) < 0.7, np.arange(60) % 3 == 1
    whole = answered(right)
    masked = [Answers(60, a.right, np.packbits(own)) for a in whole[COLUMN]]
    rows = crossed(100 * right[..., own].mean(axis=-1), metric="class_accuracy")
    row = summarise(rows.assign(**{COLUMN: masked}), []).iloc[0]
    apart = summarise(answered(right[..., own]), []).iloc[0]
    assert row["n_images"] == 20
    assert [row["low"], row["high"]] == pytest.approx([apart["low"], apart["high"]])


def test_a_control_without_splits_or_shots_pairs_with_all():
    rng = np.random.default_rng(3)
    treated = {k: rng.normal(0.8, 0.02, size=(3, 5)) for k in (1, 4)}
    control = rng.normal(0.7, 0.02, size=(1, 5))
    zero = crossed(control, setting="zero", shots=0).assign(split_seed="none")
    rows = pd.concat([zero, *(crossed(v, setting="free", shots=k) for k, v in treated.items())])
    table = paired(rows, ["shots"], {"setting": "free"}, {"setting": "zero", "shots": 0})
    expected = [(treated[k] - control).mean() for k in (1, 4)]
    assert list(table["mean"]) == pytest.approx(expected)
    assert list(table["shots"]) == [1, 4]
    assert set(table["n_splits"]) == {3}


def test_treatment_with_fewer_seeds_than_the_control_takes_the_control_s():
    rows = pd.concat(
        [
            crossed(np.array([[0.5]]), m="text").assign(order_seed="none"),
            crossed(np.array([[0.6, 0.7, 0.9]]), m="fused"),
        ]
    )
    row = paired(rows, [], {"m": "text"}, {"m": "fused"}).iloc[0]
    assert (row["over"], row["n_orders"]) == ("orders", 3)
    assert row["mean"] == pytest.approx(-0.7 / 3)


def test_unpaired_duplicate_and_missing_measurements_are_refused():
    a, b = crossed(np.ones((2, 3)), m="a"), crossed(np.ones((2, 3)), m="b")
    with pytest.raises(MeasurementError, match="no partner"):
        paired(pd.concat([a, b.iloc[1:]]), [], {"m": "b"}, {"m": "a"})
    with pytest.raises(MeasurementError, match="share keys and seeds"):
        summarise(pd.concat([a, b]), [])
    with pytest.raises(MeasurementError, match="no column 'shots'"):
        summarise(a, ["shots"])
    with pytest.raises(MeasurementError, match="no measurement has"):
        paired(a, [], {"m": "a"}, {"m": "c"})
    with pytest.raises(MeasurementError, match="has no number"):
        summarise(a.assign(value=np.nan), ["m"])
