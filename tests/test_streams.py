"""Recipes of streams have the statistics that they promise; remedies and methods look back only."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import f1_score, roc_auc_score

from dmn.config import load
from dmn.errors import ConfigError
from dmn.evaluation.answers import attach
from dmn.evaluation.contract import stream_order
from dmn.evaluation.experiment import Experiment, take
from dmn.evaluation.metrics import macro_f1
from dmn.evaluation.streams.course import ABSENT, UNKNOWN, Leg, courses, domains
from dmn.evaluation.streams.entering import answers_entering
from dmn.evaluation.streams.methods import MEMORY, REMEDIES, ZERO_SHOT
from dmn.evaluation.streams.recipes import Arrangement, Scenario, draw
from dmn.evaluation.streams.remedies import (
    THRESHOLD,
    TOLERANCE,
    confident,
    segments,
    without_prior,
)
from dmn.evaluation.streams.unknown import auroc, false_positives, oscr
from dmn.peers.contract import Given, Images
from dmn.peers.formulas import unit
from dmn.peers.loading import load_peers
from dmn.peers.streamed import answered
from dmn.studies.streams import SCENARIOS, Options, measure, report
from dmn.studies.table import study_options
from synthetic import study_data

LABELS = np.random.default_rng(5).integers(0, 12, size=700)
CONFIG = load({"model": {"length": 4}})
EVERY = [Scenario(**recipe) for recipe in SCENARIOS.values()]


def stream(seed: int = 0, **recipe):
    """Return the labels of a stream as they come, and the stream."""
    drawn = draw(LABELS, 12, Scenario(**recipe), seed)
    return LABELS[drawn.rows], drawn


@pytest.mark.parametrize("scenario", EVERY, ids=list(SCENARIOS))
def test_no_image_comes_twice_and_batches_end_with_the_stream(scenario):
    drawn = draw(LABELS, 12, scenario, 3)
    assert len(np.unique(drawn.rows)) == len(drawn.rows)
    assert drawn.ends[-1] == len(drawn.rows)
    assert (np.diff(drawn.ends, prepend=0) > 0).all()
    if scenario.batch:
        assert np.diff(drawn.ends, prepend=0).max() <= scenario.batch
    again, other = (draw(LABELS, 12, scenario, seed).rows for seed in (3, 4))
    np.testing.assert_array_equal(drawn.rows, again)
    assert drawn.rows.tolist() != other.tolist()
    if scenario.present == scenario.imbalance == 1:
        assert sorted(drawn.rows) == list(range(len(LABELS)))


def test_a_random_stream_is_that_of_every_other_study():
    np.testing.assert_array_equal(stream(7)[1].rows, stream_order(7, len(LABELS)))
    # one with fewer classes is a part of it
    some = stream(7, present=0.5)[1].rows
    np.testing.assert_array_equal(
        some, [row for row in stream_order(7, len(LABELS)) if row in set(some)]
    )


def test_a_sorted_stream_changes_its_class_once_a_class():
    came, _ = stream(arrangement="sorted")
    assert (np.diff(came) != 0).sum() == 11


def test_less_concentration_makes_longer_runs():
    runs = [
        np.mean(
            [
                (np.diff(stream(s, arrangement="dirichlet", concentration=a)[0]) != 0).sum()
                for s in range(5)
            ]
        )
        for a in (10.0, 1.0, 0.1, 0.01)
    ]
    assert runs == sorted(runs, reverse=True)


@pytest.mark.parametrize("bounds", [(1, 4), (2, 10), (5, 25)])
def test_a_batch_has_no_more_classes_than_its_recipe_says(bounds):
    came, drawn = stream(arrangement="few_classes", classes=bounds, batch=30)
    counts = [len(np.unique(b)) for b in np.split(came, drawn.ends[:-1])]
    assert max(counts) <= bounds[1]
    # classes are drawn evenly between the bounds, so that the first batches have many sizes
    firsts = [
        len(np.unique(stream(seed, arrangement="few_classes", classes=bounds, batch=60)[0][:60]))
        for seed in range(40)
    ]
    assert min(firsts) >= min(bounds[0], 12)
    assert {1, 2, 3, 4} == set(firsts) if bounds == (1, 4) else len(set(firsts)) > 4


def test_classes_arrive_stage_by_stage_and_stay():
    came, _ = stream(arrangement="arriving", stages=4)
    first = {c: int(np.flatnonzero(came == c)[0]) for c in range(12)}
    groups = np.array_split(sorted(first, key=first.get), 4)
    for stage, group in enumerate(groups):
        # nobody of a later group stands before the last of the earlier has come
        later = [first[c] for g in groups[stage + 1 :] for c in g]
        assert all(first[c] < min(later, default=len(came)) for c in group)
    tail = came[-60:]
    assert len(np.unique(tail)) > 9


def test_a_share_of_the_classes_comes():
    came, drawn = stream(present=0.5)
    assert len(np.unique(came)) == 6
    assert len(came) == np.isin(LABELS, np.unique(came)).sum()
    assert len(drawn.vocabulary) == 12


@pytest.mark.parametrize("imbalance", [10.0, 20.0, 50.0])
def test_a_long_tail_falls_exponentially_to_its_imbalance(imbalance):
    labels = np.repeat(np.arange(8), 100)
    drawn = draw(labels, 8, Scenario(imbalance=imbalance), 1)
    counts = sorted(np.bincount(labels[drawn.rows]).tolist(), reverse=True)
    assert counts == [round(100 * imbalance ** (-i / 7)) for i in range(8)]


def test_a_class_that_is_rare_already_keeps_what_it_has():
    labels = np.array([0] * 50 + [1] * 2 + [2] * 3)
    drawn = draw(labels, 3, Scenario(imbalance=2.0), 0)
    assert np.bincount(labels[drawn.rows])[1:].tolist() == [2, 3]


def test_wrong_recipes_are_refused():
    with pytest.raises(ValidationError, match="least and a most number"):
        Scenario(classes=(4, 1))
    with pytest.raises(ConfigError, match=r"studies\.streams: .* gda cannot do without shots"):
        study_options("streams", {"methods": ["gda"]})
    with pytest.raises(ConfigError, match="did you mean 'tda'"):
        study_options("streams", {"methods": ["tdda"]})
    with pytest.raises(ConfigError, match="arrangement"):
        study_options("streams", {"scenarios": {"mine": {"arrangement": "shuffled"}}})


def test_every_key_arrangement_and_remedy_is_documented():
    text = (Path(__file__).parents[1] / "docs/streams.md").read_text(encoding="utf-8")
    firsts = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    own = {"concentration", "burst", "classes", "stages"}
    assert firsts == (set(Scenario.model_fields) - own) | set(get_args(Arrangement)) | set(REMEDIES)
    assert all(f"`{key}" in text for key in own)


@pytest.fixture(scope="module")
def data():
    return study_data(classes=8, images=160, noise=0.6)


def test_unknown_classes_have_no_text_and_a_twin_stream_is_without_them(data):
    whole, fewer = courses(data, "open", Scenario(unknown=0.5), 2)
    assert len(whole.text) == 4
    assert fewer.name == f"open, {ABSENT}"
    assert sorted(whole.rows) == list(range(160))
    known = whole.labels != UNKNOWN
    np.testing.assert_array_equal(whole.rows[known], fewer.rows)
    texts = whole.text[whole.labels[known]]
    np.testing.assert_array_equal(texts, data.text[data.test.labels[fewer.rows]])
    assert fewer.legs[0].ends[-1] == len(fewer.rows)


def test_streams_over_domains_show_the_same_images_in_the_same_domains(data):
    found = {course.name.split(", ")[1]: course for course in domains(data, 5, 64, 0)}
    assert list(found) == ["continual", "reset", "recurring", "mixed", "gradual"]

    def shown(course):
        views = np.concatenate([leg.part.views for leg in course.legs])
        return views[np.argsort(course.rows)]

    for name in ("reset", "recurring", "mixed"):
        np.testing.assert_array_equal(shown(found[name]), shown(found["continual"]))
        assert sorted(found[name].rows) == list(range(160))
    assert len(found["reset"].legs) == 2
    domain = np.full(160, -1)
    for number, kind in enumerate(("blur", "noise")):
        same = (shown(found["continual"]) == data.shifts[kind, 5].views).all(axis=(1, 2))
        domain[same] = number
    assert sorted(np.bincount(domain)) == [80, 80]
    changes = {name: (np.diff(domain[course.rows]) != 0).sum() for name, course in found.items()}
    assert changes["continual"] == changes["reset"] == 1
    assert changes["recurring"] == 3
    assert changes["mixed"] > 40
    # severities rise within a domain
    gradual = shown(found["gradual"])[found["gradual"].rows]
    first = gradual[:40]
    np.testing.assert_array_equal(first, data.shifts["blur", 1].views[found["gradual"].rows[:40]])


def test_one_kind_of_shift_is_no_stream_of_domains(data):
    fewer = {key: part for key, part in data.shifts.items() if key[0] == "blur"}
    assert not list(domains(replace(data, shifts=fewer), 5, 64, 0))


def test_the_prior_so_far_is_taken_off_image_by_image():
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=30)
    found = without_prior(p)
    for t in range(len(p)):
        share = (p[: t + 1].sum(axis=0) + 1) / (t + 1 + 5)
        np.testing.assert_allclose(found[t], p[t] / share / (p[t] / share).sum())
        np.testing.assert_allclose(without_prior(p[: t + 1])[t], found[t])


def plain_segments(entropy: np.ndarray, classes: int) -> list[tuple[int, int]]:
    """Page and Hinkley's test, image by image."""
    found, start = [], 0
    total = count = 0.0
    up = down = least_up = least_down = 0.0
    for t, value in enumerate(entropy / np.log(classes)):
        total, count = total + value, count + 1
        up += value - total / count - TOLERANCE
        down += total / count - value - TOLERANCE
        least_up, least_down = min(least_up, up), min(least_down, down)
        if max(up - least_up, down - least_down) > THRESHOLD:
            found.append((start, t + 1))
            start = t + 1
            total = count = up = down = least_up = least_down = 0.0
    return [*found, (start, len(entropy))] if start < len(entropy) else found


@pytest.mark.parametrize("after", [0.9, 0.05, 0.3])
def test_changes_are_found_as_by_the_plain_test(after):
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.3, 0.05, 150), rng.normal(after, 0.05, 150)])
    entropy = np.clip(values, 0, 1) * np.log(10)
    found = segments(entropy, 10)
    assert found == plain_segments(entropy, 10)
    assert found[-1][1] == 300
    if after == 0.3:
        assert found == [(0, 300)]
    else:
        assert 150 <= found[0][1] < 180


def test_macro_f1_is_that_of_scikit_learn_over_the_classes_that_come():
    rng = np.random.default_rng(3)
    labels, answers = rng.integers(0, 4, 90), rng.integers(0, 6, 90)
    expected = f1_score(labels, answers, labels=np.unique(labels), average="macro")
    assert macro_f1(labels, answers) == pytest.approx(100 * expected)


def test_open_set_measures_equal_their_definitions():
    rng = np.random.default_rng(4)
    confidence = rng.random(80).round(2)
    known, right = rng.random(80) < 0.6, rng.random(80) < 0.7
    assert auroc(confidence, known) == pytest.approx(100 * roc_auc_score(known, confidence))
    accepting = [t for t in np.unique(confidence) if (confidence[known] >= t).mean() >= 0.95]
    expected = 100 * (confidence[~known] >= max(accepting)).mean()
    assert false_positives(confidence, known) == pytest.approx(expected)
    curve = [(0.0, 0.0)] + [
        ((confidence[~known] >= t).mean(), ((confidence >= t) & known & right).sum() / known.sum())
        for t in sorted(np.unique(confidence), reverse=True)
    ]
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve))
    assert oscr(confidence, known, right) == pytest.approx(100 * area)


@pytest.mark.parametrize("name", ["transclip", "stata", "zlap"])
def test_a_method_that_sees_the_set_sees_one_batch_only(data, name):
    (peer,) = load_peers([name])
    given = Given(unit(data.text), data.logit_scale)
    images = Images(data.test.views)
    found = answered(peer, given, images, np.array([64, 128, 160]))
    # what comes in the last batch changes no answer before it
    other = np.concatenate([data.test.views[:128], data.test.views[128:][::-1]])
    again = answered(peer, given, Images(other), np.array([64, 128, 160]))
    np.testing.assert_array_equal(found[:128], again[:128])
    np.testing.assert_array_equal(found[128:], again[128:][::-1])
    whole = answered(peer, given, images, np.array([160]))
    assert (whole != found).any()


def test_methods_answer_batches_of_one_image(data):
    ends = np.arange(1, 31)
    images = Images(data.test.views[:30])
    for peer in load_peers(["transclip", "stata", "zlap"]):
        given = Given(unit(data.text), data.logit_scale)
        found = answered(peer, given, images, ends)
        if peer.name == "transclip":
            # one image has no variance
            np.testing.assert_array_equal(found, given.logits(images.x).argmax(axis=1))
        assert len(np.unique(found)) > 1


def test_a_leg_is_cut_with_its_batches(data):
    leg = Leg(data.test, np.arange(160), np.array([64, 128, 160]))
    part = leg.between(50, 130)
    assert part.rows.tolist() == list(range(50, 130))
    assert part.ends.tolist() == [14, 78, 80]


OPTIONS = Options(methods=["tda", "transclip"], max_orders=3)


@pytest.fixture(scope="module")
def measured(data):
    found = measure(data, CONFIG, OPTIONS, [0, 1, 2, 3])
    keys = {"dataset": "synthetic", "backbone": "random", "split_seed": 0, "study": "streams"}
    samples = {("synthetic", "random", 0, "0-3"): found.samples}
    return attach(found.rows.assign(**keys), samples)


def value(rows, metric="accuracy", **wanted):
    for column, content in wanted.items():
        rows = rows[rows[column] == content]
    return rows[rows["metric"] == metric]["value"]


def test_every_method_meets_every_stream(data, measured):
    names = [*SCENARIOS, f"a third unknown, {ABSENT}"]
    accuracy = measured[measured["metric"] == "accuracy"]
    assert set(names) < set(accuracy["stream"])
    methods = {"text", MEMORY, "dmn_fixed", "dmn_label_free", *REMEDIES, "tda", "transclip"}
    for _, part in accuracy.groupby(["stream", "order_seed"]):
        assert set(part["method"]) == methods
        assert len(part) == len(methods)
        assert part["n"].nunique() == 1
    assert accuracy["order_seed"].nunique() == 3


def test_text_and_causal_methods_do_not_depend_on_batches(measured):
    for method in ("text", MEMORY, "tda"):
        one, all_at_once = (
            value(measured, stream=name, method=method).tolist()
            for name in ("random", "all at once")
        )
        assert one == all_at_once
    one, whole = (
        value(measured, stream=name, method="transclip").tolist()
        for name in ("random", "all at once")
    )
    assert one != whole


def test_splits_share_what_they_measure(data, measured):
    other = measure(replace(data, split_seed=9), CONFIG, OPTIONS, [0, 1, 2])
    pd.testing.assert_series_equal(
        other.rows["value"].reset_index(drop=True), measured["value"].reset_index(drop=True)
    )
    changed = replace(data, test=replace(data.test, labels=data.test.labels[::-1].copy()))
    third = measure(changed, CONFIG, OPTIONS, [0, 1, 2])
    assert third.rows["value"].tolist() != measured["value"].tolist()


def test_the_report_places_methods_and_compares_remedies_on_the_same_images(measured):
    found = report(measured, {}, OPTIONS)
    gains, ranks, remedies = (found.tables[name] for name in ("gains", "ranks", "remedies"))
    own = gains[(gains["stream"] == "random") & (gains["method"] == MEMORY)]["mean"].item()
    by_hand = value(measured, stream="random", method=MEMORY).mean()
    by_hand -= value(measured, stream="random", method="text").mean()
    assert own == pytest.approx(by_hand)
    assert set(remedies["method"]) == set(REMEDIES)
    means = measured[measured["metric"] == "accuracy"]
    means = means[(means["stream"] == "sorted") & ~means["method"].isin(REMEDIES)]
    means = means.groupby("method")["value"].mean().sort_values(ascending=False)
    row = ranks[ranks["stream"] == "sorted"].iloc[0]
    assert row["first"] == means.index[0] or means[row["first"]] == means.iloc[0]
    assert row["rank"] == 1 + (means > means[MEMORY] + 1e-9).sum()
    assert row["methods"] == len(means)
    assert {"auroc", "fpr95", "oscr"} <= set(found.tables["unknown"])
    assert all("interval" in sentence for sentence in found.findings)


@pytest.mark.parametrize("least", [0.0, 0.9, 0.99, 1.1])
def test_only_confident_images_enter_as_a_plain_loop_writes_them(data, least):
    experiment = Experiment(data, CONFIG, ZERO_SHOT, (), whole=True, length=3)
    part = take(data.test, stream_order(3, len(data.test)))
    run = experiment.run(0, part, np.arange(len(part)))
    enters = confident(run.scores("text"), least)
    # a threshold that nobody or everybody passes is one too
    assert {0.0: enters.all(), 1.1: not enters.any()}.get(least, 0 < enters.sum() < len(part))
    network = experiment.network
    network.reset()
    answers = []
    for row, views in enumerate(part.views):
        step = network.memory.steps
        x = torch.from_numpy(unit(views[:1].astype(np.float64)))
        if enters[row]:
            network.memory.update(x[0], int(run.pseudo_label[row]), torch.tensor(run.entropy[row]))
        assert network.memory.steps == step + enters[row]
        answers.append(int(network.read_dynamic(x)[0].argmax()))
    found = answers_entering(network.model, part, enters)
    assert found.tolist() == answers
