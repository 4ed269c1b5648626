"""Peers in the harness: the same inputs as DMN, and choices without test labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmn.config import load
from dmn.evaluation.contract import Cell, Part
from dmn.peers.harness import open_bench, peer_answers, peer_cost
from dmn.pipeline.first_steps import configured, inputs, run
from synthetic import study_data

CONFIG = load({"shots": [4], "model": {"view_share": 0.5}})
CELLS = [Cell("zero_shot"), Cell("training_free", 4)]


@pytest.fixture(scope="module")
def data():
    return study_data()


@pytest.mark.parametrize("cell", CELLS)
def test_no_peer_sees_a_test_label(data, cell):
    wrong = Part(data.test.views, np.zeros_like(data.test.labels), data.test.ids)
    found = [
        peer_answers(open_bench(d, CONFIG, cell), [0, 1]) for d in (data, replace(data, test=wrong))
    ]
    for name, by_order in found[0].items():
        for first, second in zip(by_order, found[1][name], strict=True):
            assert first.keys() == second.keys()
            for weights, answers in first.items():
                np.testing.assert_array_equal(answers, second[weights])


def test_without_validation_images_only_the_papers_settings_are_run():
    bench = open_bench(study_data(few_shot=False), CONFIG, CELLS[0])
    answers = peer_answers(bench, [0])
    assert {name: list(one[0]) for name, one in answers.items()} == {
        "zero_shot_clip": ["none"],
        "tda": ["fixed"],
    }


@pytest.mark.parametrize("cell", CELLS)
def test_costs_are_counts_of_one_image(data, cell):
    bench = open_bench(data, CONFIG, cell)
    for name in peer_answers(bench, [0]):
        cost = peer_cost(name, bench)
        assert cost["encodings"] == 1
        assert cost["operations"] >= data.text.size


def test_tip_adapter_keeps_as_many_numbers_as_its_shots_have(data):
    cost = peer_cost("tip_adapter", open_bench(data, CONFIG, CELLS[1]))
    assert cost["numbers"] == data.memory[4].size


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


def test_a_first_experiment_reads_few_shot_artifacts_where_there_are_shots():
    few = inputs(configured(None, "digits", None), split=1, shots=16)
    assert "data/memory/digits/glyph/split=1/shots=16.safetensors" in few
    test_only = inputs(configured(None, "imagenet_a", None), split=0, shots=16)
    assert not [file for file in test_only if "train" in file or "memory" in file]
