"""Peers under one contract: the same inputs as DMN, and choices without test labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmn.config import load
from dmn.datasets.registry import load_registry
from dmn.evaluation.contract import Cell, Part, stream_order
from dmn.peers import selection
from dmn.peers.bench import Bench
from dmn.peers.contract import Images
from dmn.peers.loading import load_peers
from dmn.peers.table import PEERS
from dmn.pipeline.first_steps import configured, inputs, run
from synthetic import study_data

CONFIG = load({"shots": [4], "model": {"view_share": 0.5}})
CELLS = [Cell("zero_shot"), Cell("training_free", 4)]
CHOICES = ("released", "validation")


@pytest.fixture(scope="module")
def data():
    return study_data()


def served(bench):
    return [peer for peer in load_peers(list(PEERS)) if bench.serves(peer)]


@pytest.mark.parametrize("cell", CELLS)
def test_no_peer_sees_a_test_label(data, cell):
    wrong = Part(data.test.views, np.zeros_like(data.test.labels), data.test.ids)
    first, second = (Bench(d, CONFIG, cell) for d in (data, replace(data, test=wrong)))
    for peer in served(first):
        for one, other in zip(
            *(b.answers(peer, [0, 1], CHOICES) for b in (first, second)), strict=True
        ):
            assert one.chosen.keys() == other.chosen.keys()
            for way, answers in one.chosen.items():
                np.testing.assert_array_equal(answers, other.chosen[way])
            np.testing.assert_array_equal(one.candidates, other.candidates)


def test_every_peer_of_the_table_serves_a_cell(data):
    names = {peer.name for cell in CELLS for peer in served(Bench(data, CONFIG, cell))}
    assert names == set(PEERS)


def test_without_validation_images_only_the_fixed_options_are_run():
    bench = Bench(study_data(few_shot=False), CONFIG, CELLS[0])
    for peer in served(bench):
        assert list(bench.answers(peer, [0])[0].chosen) == [peer.fixed]


def test_released_options_are_run_where_the_authors_released_some(data):
    bench = Bench(replace(data, dataset="dtd"), CONFIG, CELLS[0])
    (tda,) = load_peers(["tda"])
    (own,) = load_peers(["tda"], options={"tda": {"positive_alpha": 2.0, "positive_beta": 3.0}})
    released = bench.answers(tda, [3], CHOICES)[0].chosen["released"]
    np.testing.assert_array_equal(released, bench.answers(own, [3])[0].chosen["fixed"])
    assert not np.array_equal(released, bench.answers(tda, [3])[0].chosen["fixed"])


@pytest.mark.parametrize("cell", CELLS)
def test_the_way_of_choosing_is_a_plain_search(data, cell):
    bench = Bench(data, CONFIG, cell)
    for peer in served(bench):
        if not peer.candidates:
            continue
        found = bench.answers(peer, [5])[0]
        images, labels = bench.validation
        order = (
            stream_order(5, len(images), "validation") if peer.in_order else np.arange(len(images))
        )
        best, chosen = -1, None
        few = peer.candidates[:40]
        for place, options in enumerate(few):
            fitted = peer.fit(bench.given, options)
            scores = peer.answer(fitted, images.take(order), options)
            right = int((scores.argmax(axis=1) == labels[order]).sum())
            if right > best:
                best, chosen = right, place
        if len(few) == len(peer.candidates):
            np.testing.assert_array_equal(found.chosen["validation"], found.candidates[chosen])


@pytest.mark.parametrize("cell", CELLS)
def test_a_sweep_says_what_each_candidate_says_alone(data, cell):
    bench = Bench(data, CONFIG, cell)
    images = Images(data.test.views[::3])
    for peer in served(bench):
        if not peer.shares:
            continue
        some = peer.candidates[:: max(1, len(peer.candidates) // 7)]
        shared = peer.sweep(peer.fit(bench.given, some[0]), images, some)
        for options, scores in zip(some, shared, strict=True):
            alone = peer.answer(peer.fit(bench.given, options), images, options)
            np.testing.assert_allclose(scores, alone, rtol=1e-10, atol=1e-10)


def test_the_oracle_bounds_every_other_choice(data):
    bench = Bench(data, CONFIG, CELLS[1])
    for peer in served(bench):
        found = bench.answers(peer, [0])[0]
        if len(found.candidates):
            best = found.candidates[selection.oracle(found.candidates, data.test.labels)]
            for candidate in found.candidates:
                assert (best == data.test.labels).sum() >= (candidate == data.test.labels).sum()


@pytest.mark.parametrize("cell", CELLS)
def test_costs_are_counts_of_one_image(data, cell):
    bench = Bench(data, CONFIG, cell)
    for peer in served(bench):
        cost = bench.cost(peer)
        assert cost.encodings == (bench.test.cached.shape[1] if "views" in peer.needs else 1)
        assert cost.operations >= data.text.size


def test_tip_adapter_keeps_as_many_numbers_as_its_shots_have(data):
    (peer,) = load_peers(["tip_adapter"])
    assert Bench(data, CONFIG, CELLS[1]).cost(peer).numbers == data.memories[4][:, 1:].size


@pytest.mark.parametrize(
    ("what", "components"),
    [
        ("dynamic", {"text", "dynamic"}),
        ("static", {"text", "static"}),
        ("both", {"text", "dynamic", "static", "fused"}),
    ],
)
def test_a_first_experiment_tells_what_it_is_named_for(data, what, components):
    table = run(data, CONFIG, what, 4, [0, 1])
    assert set(table["component"]) == components
    assert set(table["shots"]) == {0, 4}
    assert table["mean"].between(0, 100).all()
    # over images too: text, which no order changes, has one
    text = table[table["component"] == "text"].iloc[0]
    assert 0 <= text["low"] < text["mean"] < text["high"] <= 100


def test_a_first_experiment_reads_few_shot_artifacts_where_there_are_shots():
    registry = load_registry()
    few = inputs(configured(None, "digits", None).config(), registry["digits"], 1, 16)
    assert "data/memory/digits/glyph/split=1/shots=16.safetensors" in few.files()
    test_only = inputs(configured(None, "imagenet_a", None).config(), registry["imagenet_a"], 0, 16)
    assert not [file for file in test_only.files() if "train" in file or "memory" in file]
