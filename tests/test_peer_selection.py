"""The audit of selection: choices that are carried from elsewhere, and what each way claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dmn.config import load
from dmn.evaluation.answers import attach
from dmn.evaluation.contract import Cell, Part, StudyData
from dmn.peers.bench import Bench
from dmn.peers.kept import MOST, keep, read_kept, thinned
from dmn.report.comparisons import only
from dmn.report.peers.selection import optimism, with_transfers
from dmn.studies import peers
from synthetic import study_data

CONFIG = load({"shots": [4], "settings": ["zero_shot", "training_free"]})
OPTIONS = peers.Options(methods=["tda", "dota", "linear_probe", "zero_shot_clip"])
ORDERS = [0, 1]
PLACES = [("one", "here"), ("two", "here"), ("three", "here"), ("one", "there")]


def place(dataset: str, backbone: str, split: int = 0) -> StudyData:
    seed = PLACES.index((dataset, backbone))
    data = study_data(seed=seed, noise=0.6, images=60)
    # another split has other validation images
    other = study_data(seed=seed + 10 * split, noise=0.6, images=60)
    data = replace(data, dataset=dataset, backbone=backbone, split_seed=split)
    return replace(data, val=other.val) if split else data


def measured(worlds):
    frames, samples = [], {}
    for data in worlds:
        found = peers.measure(data, CONFIG, OPTIONS, ORDERS)
        keys = {"dataset": data.dataset, "backbone": data.backbone, "split_seed": data.split_seed}
        frames.append(found.rows.assign(**keys))
        samples[data.dataset, data.backbone, data.split_seed, "0-1"] = found.samples
    rows = attach(pd.concat(frames, ignore_index=True), samples)
    return rows[rows["metric"] == "accuracy"], samples


@pytest.fixture(scope="module")
def worlds():
    return [place(*names, split) for names in PLACES for split in (0, 1)]


@pytest.fixture(scope="module")
def audited(worlds):
    rows, samples = measured(worlds)
    return with_transfers(rows, samples)


def answers_of_each(data, cell, method, orders):
    """Return answers [O, G, N] and right answers on validation images [O, G], run anew."""
    bench = Bench(data, CONFIG, cell)
    (peer,) = [own for own in OPTIONS.peers() if own.name == method]
    found = bench.answers(peer, orders, ["validation"])
    return np.stack([f.candidates for f in found]), np.stack([f.validated for f in found])


CASES = [("tda", Cell("zero_shot")), ("linear_probe", Cell("training_free", 4))]


@pytest.mark.parametrize(("method", "cell"), CASES)
def test_other_data_sets_choose_by_their_labels_with_the_same_backbone(
    worlds, audited, method, cell
):
    means: dict[str, list[np.ndarray]] = {"two": [], "three": []}
    for data in worlds:
        if data.dataset in means:
            answers, _ = answers_of_each(data, cell, method, ORDERS)
            means[data.dataset].append((answers == data.test.labels).mean(axis=(0, 2)))
    best = int(np.mean([np.mean(own, axis=0) for own in means.values()], axis=0).argmax())
    for data in worlds:
        if (data.dataset, data.backbone) != ("one", "here"):
            continue
        answers, _ = answers_of_each(data, cell, method, ORDERS)
        own = only(audited, dataset="one", backbone="here", split_seed=data.split_seed)
        own = only(own, shots=cell.shots, method=method, weights="other_data_sets").sort_values(
            "order_seed"
        )
        expected = 100 * (answers[:, best] == data.test.labels).mean(axis=1)
        np.testing.assert_allclose(own["value"], expected)
        bits = np.stack([row.of() for row in own["answers"]])
        np.testing.assert_array_equal(bits > 0, answers[:, best] == data.test.labels)


@pytest.mark.parametrize(("method", "cell"), CASES)
def test_other_backbones_choose_on_validation_images_of_the_split(worlds, audited, method, cell):
    by_name = {(d.dataset, d.backbone, d.split_seed): d for d in worlds}
    for split in (0, 1):
        _, right = answers_of_each(by_name["one", "there", split], cell, method, ORDERS)
        best = int(right.mean(axis=0).argmax())
        here = by_name["one", "here", split]
        answers, _ = answers_of_each(here, cell, method, ORDERS)
        own = only(audited, dataset="one", backbone="here", split_seed=split)
        own = only(own, shots=cell.shots, method=method, weights="other_backbones").sort_values(
            "order_seed"
        )
        expected = 100 * (answers[:, best] == here.test.labels).mean(axis=1)
        np.testing.assert_allclose(own["value"], expected)
    assert only(audited, dataset="two", weights="other_backbones").empty


def test_a_choice_from_elsewhere_does_not_read_the_places_own_test_labels(worlds, audited):
    changed = [
        replace(d, test=Part(d.test.views, (d.test.labels + 1) % 6, d.test.ids))
        if (d.dataset, d.backbone) == ("one", "here")
        else d
        for d in worlds
    ]
    rows, samples = measured(changed)
    again = with_transfers(rows, samples)
    for way in ("other_data_sets", "other_backbones"):
        first, second = (
            only(f, dataset="one", backbone="here", weights=way, method="tda")
            for f in (audited, again)
        )
        # an answer that was right is wrong with other labels, where the choice is the same
        rights = [np.stack([a.of() > 0 for a in f["answers"]]) for f in (first, second)]
        assert len(first) == len(second) == len(rights[0])
        assert not (rights[0] & rights[1]).any()
        assert rights[0].any()


def test_every_way_of_dmn_is_there_and_none_is_above_the_oracle(audited):
    assert set(only(audited, method="dmn", dataset="one")["weights"]) == {
        *("fixed", "label_free", "validation", "oracle", "other_data_sets", "other_backbones")
    }
    keys = ["dataset", "backbone", "split_seed", "order_seed", "setting", "shots", "method"]
    wide = audited.pivot_table(index=keys, columns="weights", values="value")
    searched = wide[wide["oracle"].notna()]
    for way in ("fixed", "validation", "other_data_sets", "other_backbones"):
        gap = (searched["oracle"] - searched[way]).dropna()
        # the fixed setting need not be among the candidates
        assert len(gap)
        if way != "fixed":
            assert (gap >= -1e-9).all(), way


def test_the_optimism_is_the_mean_of_paired_differences(audited):
    gaps = optimism(audited)
    keys = ["split_seed", "order_seed"]
    for row in gaps.iloc[::7].to_dict("records"):
        own = audited
        for key in ("dataset", "backbone", "setting", "shots", "method"):
            own = own[own[key] == row[key]]
        first, second = (
            own[own["weights"] == row[side]].set_index(keys)["value"]
            for side in ("weights", "less")
        )
        assert row["mean"] == pytest.approx((first - second).dropna().mean())
        assert row["low"] <= row["mean"] <= row["high"]
    assert {"oracle"} < set(gaps["weights"])
    assert {"fixed", "validation"} < set(gaps["less"])


def test_of_very_many_candidates_some_are_kept_at_even_steps():
    some = thinned(4000)
    assert len(some) == MOST
    assert some[[0, -1]].tolist() == [0, 3999]
    assert set(np.diff(some)) <= {15, 16}
    np.testing.assert_array_equal(thinned(5), np.arange(5))


def test_what_is_kept_is_read_again_and_counts_the_right_answers():
    draws = np.random.default_rng(3)
    answers = [draws.integers(0, 3, (4, 21)) for _ in range(2)]
    labels = draws.integers(0, 3, 21)
    where = {"setting": "zero_shot", "shots": 0, "method": "mine"}
    (kept,) = read_kept(keep(where, answers, labels, [5, 8], []))
    assert (*kept[:3], kept.validation) == ("zero_shot", 0, "mine", None)
    expected = np.mean([(own == labels).mean(axis=1) for own in answers], axis=0)
    np.testing.assert_allclose(kept.shares(21), expected)
    np.testing.assert_array_equal(np.unpackbits(kept.bits(1, 2), count=21), answers[1][2] == labels)
