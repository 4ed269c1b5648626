"""Intervals over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dmn.evaluation.statistics import (
    MeasurementError,
    discordant,
    paired,
    sample_interval,
    summarise,
    t_interval,
)


def crossed(values: np.ndarray, **keys) -> pd.DataFrame:
    """Return rows of values [splits, orders]."""
    return pd.DataFrame(
        [
            {**keys, "split_seed": i, "order_seed": j, "training_seed": "none", "value": v}
            for i, row in enumerate(values)
            for j, v in enumerate(row)
        ]
    )


def test_the_interval_is_over_split_means_when_splits_matter():
    values = np.random.default_rng(0).normal(0.8, 0.02, size=(3, 10))
    row = summarise(crossed(values, shots=4), ["shots"]).iloc[0]
    means = values.mean(axis=1)
    low, high = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    assert (row["over"], row["n_splits"], row["n_orders"]) == ("splits", 3, 10)
    assert [row["mean"], row["low"], row["high"]] == pytest.approx([means.mean(), low, high])


def test_the_interval_is_over_orders_when_splits_do_not_matter():
    values = np.random.default_rng(1).normal(0.8, 0.02, size=(1, 10))
    for table in (values, np.repeat(values, 3, axis=0)):
        row = summarise(crossed(table), []).iloc[0]
        low, high = stats.t.interval(0.95, 9, values.mean(), stats.sem(values[0]))
        assert row["over"] == "orders"
        assert [row["low"], row["high"]] == pytest.approx([low, high])


def test_trainings_count_when_nothing_else_varies():
    rows = pd.DataFrame({"training_seed": [0, 1, 2], "value": [0.1, 0.2, 0.4]})
    assert summarise(rows, []).iloc[0]["over"] == "trainings"


@pytest.mark.parametrize("shape", [(1, 1), (3, 10)])
def test_a_value_that_varies_with_no_seed_has_no_interval(shape):
    row = summarise(crossed(np.full(shape, 0.7)), []).iloc[0]
    assert (row["mean"], row["over"]) == (pytest.approx(0.7), "nothing")
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


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
    means = gain.mean(axis=1)
    low, high = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    assert [row["mean"], row["low"], row["high"]] == pytest.approx([means.mean(), low, high])


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
            crossed(np.array([[0.6, 0.7]]), m="fused"),
        ]
    )
    row = paired(rows, [], {"m": "text"}, {"m": "fused"}).iloc[0]
    assert (row["over"], row["n_orders"]) == ("orders", 2)
    assert row["mean"] == pytest.approx(-0.15)


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


def test_a_single_value_has_no_bounds():
    mean, low, high = t_interval(np.array([0.25]))
    assert mean == 0.25
    assert np.isnan([low, high]).all()


def test_discordant_samples_give_mcnemar_s_exact_test():
    first = np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=bool)
    second = np.array([0, 0, 0, 0, 0, 1, 1, 0], dtype=bool)
    assert discordant(first, second) == (5, 1, pytest.approx(2 * 7 / 64))
    assert discordant(first, first) == (0, 0, 1.0)
    with pytest.raises(MeasurementError, match="same samples"):
        discordant(first, second[:3])


def test_the_sample_interval_covers_the_difference():
    rng = np.random.default_rng(4)
    first, second = rng.random(2000) < 0.8, rng.random(2000) < 0.75
    mean, low, high = sample_interval(first, second, np.random.default_rng(0))
    differences = first.astype(float) - second
    error = 1.96 * differences.std() / np.sqrt(2000)
    assert mean == pytest.approx(differences.mean())
    assert [low, high] == pytest.approx([mean - error, mean + error], abs=0.002)
