"""Comparisons across data sets: published examples, plain loops, and what the reports say."""

from __future__ import annotations

import importlib
from dataclasses import replace
from io import StringIO
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dmn.config import load
from dmn.evaluation.across import pooled, ranking, signed_rank, worst_tenth
from dmn.evaluation.answers import attach
from dmn.report import tables
from dmn.report.across import across, across_words, average_ranks, ranks_words
from dmn.report.drawing.ranks import critical_difference
from synthetic import study_data

# Demsar (2006), table 6: areas under the curve of C4.5 and its variants -m, -cf, -m-cf
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],  # printed alike, ranked 2 and 3 by digits not printed
        [0.957, 0.978, 0.946, 0.970],
    ]
)
LEAST = 0.5
SMALL = {"settings": ["zero_shot", "training_free"], "shots": [1], "fusion": {"grid": [0.1, 1, 10]}}


def test_ranks_and_friedman_s_test_are_those_of_the_published_example():
    found = ranking(DEMSAR)
    # the article prints 3.143, 2.000, 2.893 and 1.964, F = 3.69 and a critical difference of 1.25
    assert found.ranks == pytest.approx([44 / 14, 28 / 14, 40.5 / 14, 27.5 / 14])
    squares = sum(float(r) ** 2 for r in (44 / 14, 2, 40.5 / 14, 27.5 / 14))
    chi = 12 * 14 / (4 * 5) * (squares - 4 * 25 / 4)
    # ties shrink the variance of ranks; scipy divides by what is left, the article does not
    tied = 1 - sum(t**3 - t for t in (2, 2, 2, 4)) / (14 * (4**3 - 4))
    assert chi == pytest.approx(9.28, abs=0.01)
    ratio = 13 * (chi / tied) / (14 * 3 - chi / tied)
    assert found.p_value == pytest.approx(stats.f.sf(ratio, 3, 39))
    assert found.critical == pytest.approx(2.569 * (4 * 5 / (6 * 14)) ** 0.5, abs=1e-3)
    apart = np.abs(found.ranks[:, None] - found.ranks) > found.critical
    assert ((found.pairs < 0.05) == apart).all()


def by_counting(differences: list[float]) -> tuple[float, float, float]:
    """Return the sums of ranks of gains and losses, and the p-value over all signs."""
    sizes = [abs(d) for d in differences]
    ranks = [sum(o < s for o in sizes) + (sum(o == s for o in sizes) + 1) / 2 for s in sizes]
    moved = [r for r, d in zip(ranks, differences, strict=True) if d]
    gained = sum(r for r, d in zip(ranks, differences, strict=True) if d > 0)
    distance = abs(gained - sum(moved) / 2)
    found = [
        abs(sum(r for r, up in zip(moved, signs, strict=True) if up) - sum(moved) / 2)
        for signs in product([False, True], repeat=len(moved))
    ]
    split = (sum(ranks) - sum(moved)) / 2
    share = sum(d >= distance for d in found) / len(found)
    return gained + split, sum(moved) - gained + split, share


def test_the_signed_rank_test_is_that_of_the_published_example():
    difference = (DEMSAR[:, 1] - DEMSAR[:, 0]).round(9).tolist()
    gained, lost, p_value = by_counting(difference)
    assert (gained, lost) == (93, 12)  # as printed
    assert signed_rank(difference) == pytest.approx(p_value)
    assert p_value < 0.05  # 12 is below the printed critical value, 21


def test_the_signed_rank_test_agrees_with_counting_and_with_scipy():
    rng = np.random.default_rng(0)
    for count in (6, 7, 10):
        values = rng.normal(0.5, 1, size=count)
        assert signed_rank(values) == pytest.approx(stats.wilcoxon(values).pvalue)
        tied = rng.integers(-2, 4, size=count).astype(float)
        assert signed_rank(tied) == pytest.approx(by_counting(tied.tolist())[2])
    assert signed_rank([0.0] * 8) == 1
    assert signed_rank([1.0] * 6) == pytest.approx(2 / 2**6)
    assert np.isnan(signed_rank([1.0] * 5))


def test_the_pooled_mean_is_that_of_a_search_and_of_hartung_and_knapp():
    effects = np.array([4.1, -0.5, 2.2, 7.9, 1.0, 3.3])
    errors = np.array([0.8, 1.1, 0.6, 2.0, 0.9, 1.4])

    def fit(tau):
        weights = 1 / (errors**2 + tau)
        mean = (weights * effects).sum() / weights.sum()
        return weights, mean, (weights * (effects - mean) ** 2).sum()

    low, high = 0.0, 100.0
    for _ in range(100):
        tau = (low + high) / 2
        low, high = (tau, high) if fit(tau)[2] > len(effects) - 1 else (low, tau)
    weights, mean, squares = fit(tau)
    error = (squares / 5 / weights.sum()) ** 0.5
    half = stats.t.ppf(0.975, 5) * error
    found = pooled(effects, errors)
    assert found.spread**2 == pytest.approx(tau, rel=1e-4)
    assert found.interval.centre == pytest.approx(mean, rel=1e-4)
    assert found.interval.bounds() == pytest.approx((mean - half, mean + half), rel=1e-4)
    assert found.interval.p_value() == pytest.approx(2 * stats.t.sf(mean / error, 5), rel=1e-3)


def test_equal_effects_do_not_make_the_pooled_interval_narrower_than_their_errors():
    found = pooled([2.0, 2.0, 2.0, 2.0], [1.0] * 4)
    assert found.spread == 0
    half = stats.t.ppf(0.975, 3) * 0.5
    assert found.interval.bounds() == pytest.approx((2 - half, 2 + half))


def test_two_data_sets_or_one_without_an_error_have_no_pooled_interval():
    for found in (pooled([1.0, 2.0], [0.1, 0.1]), pooled([1.0, 2.0, 0.0], [0.1, np.nan, 0.1])):
        assert np.isnan(found.interval.bounds()).all()
        assert np.isnan(found.spread)


def test_a_pooled_interval_covers_the_mean_of_data_sets_drawn_anew():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(400):
        errors = rng.uniform(0.4, 1.5, size=8)
        low, high = pooled(rng.normal(rng.normal(1, 1.5, size=8), errors), errors).interval.bounds()
        covered.append(low <= 1 <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_the_worst_tenth_is_of_one_at_least():
    assert worst_tenth([3.0, 1.0, 2.0]) == 1
    assert worst_tenth(range(20)) == 0.5
    assert worst_tenth(range(21)) == 1


def measured(name: str, count: int, options: dict | None = None):
    """Return a study's report over so many synthetic data sets, with its rows."""
    module = importlib.import_module(f"dmn.studies.{name}")
    chosen = module.Options(**(options or {}))
    frames, samples = [], {}
    for seed in range(count):
        data = study_data(noise=0.6, seed=seed, shots=1, validation=2)
        data = replace(data, dataset=f"set {seed}", memories={1: data.memories[1]})
        found = module.measure(data, load(SMALL), chosen, [0, 1, 2])
        place = {"study": name, "dataset": data.dataset, "backbone": "random", "split_seed": 0}
        frames.append(found.rows.assign(**place))
        samples[data.dataset, "random", 0, "0-2"] = found.samples
    text = pd.concat(frames, ignore_index=True).to_csv(index=False, float_format="%.6f")
    rows = attach(pd.read_csv(StringIO(text)), samples)
    return module.report(rows, samples, chosen), rows


@pytest.fixture(scope="module")
def main_of_seven():
    return measured("main", 7)


def accuracies(rows, **wanted):
    for column, value in (wanted | {"metric": "accuracy", "setting": "zero_shot"}).items():
        rows = rows[rows[column] == value]
    return rows.groupby("dataset")["value"].mean()


def test_the_main_report_counts_each_data_set_once(main_of_seven):
    report, rows = main_of_seven
    table = report.tables["across_data_sets"]
    own = table[(table["setting"] == "zero_shot") & (table["component"] == "dynamic")].iloc[0]
    gain = accuracies(rows, component="dynamic") - accuracies(rows, component="text")
    assert own["n_data_sets"] == 7
    assert own["wins"] == (gain > 1e-9).sum()
    assert own["losses"] == (gain < -1e-9).sum()
    assert own["wins"] + own["ties"] + own["losses"] == 7
    assert own["clear_wins"] <= own["wins"]
    assert own["p_signed_rank"] == pytest.approx(by_counting(gain.round(9).tolist())[2])
    assert own["low"] < own["mean"] < own["high"]
    group = table[table["setting"] == "zero_shot"]
    assert (group["p_holm"] >= group["p_signed_rank"]).all()
    said = [s for s in report.findings if s.startswith("Over 7 data sets (random), zero-shot: ")]
    assert any(" over 7 data sets), " in s and "signed-rank test p = " in s for s in said)
    # every data set has its own sentences too
    assert all(any(s.startswith(f"set {i} ") for s in report.findings) for i in range(7))


def test_the_worst_orders_are_recomputed_from_the_rows(main_of_seven):
    report, rows = main_of_seven
    table = report.tables["worst_orders"]
    own = table[(table["setting"] == "zero_shot") & (table["component"] == "dynamic")]
    runs = rows[(rows["metric"] == "accuracy") & (rows["setting"] == "zero_shot")]
    runs = runs[(runs["component"] == "dynamic")]
    for row in own.to_dict("records"):
        values = runs.loc[runs["dataset"] == row["dataset"], "value"]
        assert row["worst_tenth"] == row["worst_order"] == values.min()
        assert row["all_orders"] == pytest.approx(values.mean())
    assert any("in the worst tenth of 3 orders" in s for s in report.findings)


def test_the_peers_report_ranks_methods_over_data_sets():
    report, rows = measured("peers", 6, {"methods": ["zero_shot_clip", "tda", "tip_adapter"]})
    ranks = report.tables["average_ranks"]
    own = ranks[ranks["setting"] == "zero_shot"].set_index("method")
    assert own["n_data_sets"].eq(6).all()
    scores = {}
    for method in own.index:
        part = rows[(rows["method"] == method) & (rows["setting"] == "zero_shot")]
        kinds = [w for w in ("validation", "none", "fixed") if w in set(part["weights"])]
        scores[method] = accuracies(part, weights=kinds[0])
    for method, rank in own["average_rank"].items():
        places = [
            sum(scores[o][d] > scores[method][d] + 1e-9 for o in scores)
            + (sum(abs(scores[o][d] - scores[method][d]) < 1e-9 for o in scores) + 1) / 2
            for d in scores[method].index
        ]
        assert rank == pytest.approx(np.mean(places))
    assert any(s.startswith("Over 6 data sets (random), zero-shot: DMN ") for s in report.findings)
    assert any("average rank" in s and "Friedman's test" in s for s in report.findings)
    assert "Nemenyi's test" in report.figures["average_ranks"].caption


def test_one_data_set_has_nothing_across_and_the_report_says_so():
    report, _ = measured("main", 1)
    assert not any(s.startswith("Over ") for s in report.findings)
    (cells,) = tables.printed(report.tables["across_data_sets"]).rows
    assert cells[0].text == "one data set: there is nothing to compare across"


def differences(means: list[float], error: float = 1.0) -> pd.DataFrame:
    """Return paired differences of one method on so many data sets."""
    rows = [
        {"dataset": f"set {i}", "backbone": "random", "setting": "zero_shot", "shots": 0}
        | {"method": "tda", "mean": m, "low": m - 2 * error, "high": m + 2 * error}
        | {"error": error, "p": 2 * stats.norm.sf(abs(m) / error)}
        for i, m in enumerate(means)
    ]
    return pd.DataFrame(rows)


def test_two_data_sets_are_counted_and_not_judged():
    row = across(differences([4.0, 5.0]), ["method"], LEAST).iloc[0].to_dict()
    assert across_words(row, "DMN", "TDA", LEAST, rivals=True) == (
        "Over 2 data sets (random), zero-shot: DMN is not judged against TDA, +4.5 points (no "
        "interval: only 2 data sets); ahead on 2, level on 0, behind on 0, clearly ahead on 2 and "
        "clearly behind on 0; too few data sets for a signed-rank test, which needs 6."
    )


def test_a_clear_win_needs_an_interval_of_its_own_and_a_difference_worth_naming():
    found = across(differences([0.3, 1.0, 3.5, -9.0, 0.0, 9.0]), ["method"], LEAST).iloc[0]
    assert found[["wins", "ties", "losses"]].tolist() == [4, 1, 1]
    assert found[["clear_wins", "clear_losses"]].tolist() == [2, 1]
    small = across(differences([0.3] * 6, error=0.01), ["method"], LEAST).iloc[0]
    assert small[["wins", "clear_wins"]].tolist() == [6, 0]
    # of 3.5 errors p is 0.0005; of 2.2 it is 0.028, too much for one of six
    several = across(differences([2.2, 2.2, 2.2, 2.2, 2.2, 3.5]), ["method"], LEAST).iloc[0]
    assert several[["wins", "clear_wins"]].tolist() == [6, 1]


def scores(count: int) -> pd.DataFrame:
    rows = [
        {"dataset": f"set {d}", "backbone": "random", "setting": "zero_shot", "shots": 0}
        | {"method": name, "mean": value + (d % 2) * shift}
        for d in range(count)
        for name, value, shift in (("a", 80, 0), ("b", 79.5, 1), ("c", 60, 0), ("$d", 50, 0))
    ]
    return pd.DataFrame(rows)


def test_average_ranks_say_which_methods_are_not_apart():
    found = average_ranks(scores(10))
    assert found["average_rank"].tolist() == [1.5, 1.5, 3, 4]
    assert found["critical_difference"].iloc[0] == pytest.approx(2.569 * (20 / 60) ** 0.5, abs=1e-3)
    assert found["apart"].tolist() == ["c; $d", "c; $d", "a; b", "a; b"]
    assert "it is not apart from b." in ranks_words(found)
    few = average_ranks(scores(4))
    assert "needs 3 methods and 6 data sets" in ranks_words(few)
    # a method that one data set lacks is left out
    lacking = scores(10)
    lacking = lacking[(lacking["method"] != "c") | (lacking["dataset"] != "set 3")]
    assert sorted(average_ranks(lacking)["method"]) == ["$d", "a", "b"]


def test_a_diagram_joins_the_methods_that_are_not_apart():
    plot = critical_difference(average_ranks(scores(10)), caption="Ranks.", reason="None.")
    bars = [line for line in plot.axes[0].lines if line.get_linewidth() == 1.8]
    joined = [list(line.get_xdata()) for line in bars]
    assert joined == [[1.5, 1.5], [3, 4]]  # a with b, c with d
    assert plot.axes[0].get_title(loc="left") == "zero-shot\ncritical difference 1.48"
    texts = [text.get_text() for text in plot.axes[0].texts]
    assert any(text.startswith("a, 1.50") for text in texts)
    untested = critical_difference(average_ranks(scores(4)), caption="Ranks.", reason="None.")
    assert not [line for line in untested.axes[0].lines if line.get_linewidth() == 1.8]
    empty = critical_difference(pd.DataFrame(), caption="Ranks.", reason="Nothing there.")
    assert empty.alt == "Nothing there."


def test_the_gallery_shows_every_data_set():
    module = importlib.import_module("dmn.studies.failures")
    report, _ = measured("failures", 2)
    assert set(report.figures) == set(module.FIGURES)
    titles = [axis.get_title() for axis in report.figures["turned_samples"].axes]
    for name in ("set 0 (random)", "set 1 (random)"):
        own = [title for title in titles if title.startswith(name)]
        assert 1 <= len(own) <= 8
