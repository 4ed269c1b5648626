"""What happened to one image: its slot, its neighbours and their weights, as the stream had it."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console

from dmn.config import load
from dmn.engine.schedule import write_schedule
from dmn.errors import ConfigError
from dmn.evaluation.contract import Cell
from dmn.evaluation.experiment import Experiment
from dmn.evaluation.explanation import (
    SHOWN,
    explain,
    explained,
    read_stories,
    stories,
    story_arrays,
    turned,
    turns,
)
from dmn.method.readout import logits, weighted_sum
from dmn.pipeline.explanation import find_row, looked_into, show
from synthetic import study_data

CONFIG = load({"model": {"length": 3}, "numerics": {"dtype": "float64"}})
ORDERS = [0, 1, 2, 3]
CELLS = [Cell("zero_shot"), Cell("training_free", 4)]


@pytest.fixture(scope="module")
def data():
    return study_data(noise=0.7, images=90)


@pytest.fixture(scope="module", params=CELLS, ids=["zero_shot", "training_free"])
def experiment(data, request):
    return Experiment(data, CONFIG, request.param, ("fixed", "label_free"), whole=True)


@pytest.mark.parametrize("row", [0, 17, 44, 89])
def test_a_slot_and_the_image_that_it_put_out_are_those_of_the_stream(data, experiment, row):
    run = experiment.run(2)
    found = explain(experiment, run, row)
    order = run.order
    schedule = write_schedule(run.pseudo_label[order], run.entropy[order], len(data.text), 3)
    step = order.tolist().index(row)
    assert (found.step, found.images) == (step, 90)
    assert found.slot == schedule.slot[step]
    gone = schedule.evicted[step]
    assert found.replaced == (data.test.ids[order[gone]] if gone >= 0 else None)
    assert found.pseudo_label == data.class_names[run.pseudo_label[row]]


@pytest.mark.parametrize("row", [3, 50])
def test_the_neighbours_are_what_the_memory_held_that_moment(data, experiment, row):
    run = experiment.run(1)
    found = explain(experiment, run, row)
    order = run.order.tolist()
    step = order.index(row)
    schedule = write_schedule(
        run.pseudo_label[run.order], run.entropy[run.order], len(data.text), 3
    )
    label, answer = int(run.labels[row]), int(run.answers("dynamic")[row])
    held = {
        (data.test.ids[order[i]], data.class_names[schedule.label[i]])
        for i in range(step + 1)
        if schedule.slot[i] >= 0 and schedule.end[i] > step and schedule.label[i] in (label, answer)
    }
    images = [near for near in found.neighbours if near.holds.startswith("test/")]
    assert {(near.holds, near.filed_under) for near in images} == held
    true = dict(zip(data.test.ids, data.test.labels, strict=True))
    assert all(near.true_class == data.class_names[true[near.holds]] for near in images)
    shots = experiment.cell.shots
    for name in {data.class_names[label], data.class_names[answer]}:
        fixed = [n.holds for n in found.neighbours if n.filed_under == name and n not in images]
        assert sorted(fixed) == sorted(["text", *(f"shot {k + 1}" for k in range(shots))])
        total = sum(near.share for near in found.neighbours if near.filed_under == name)
        assert total == pytest.approx(1)
    weights = [near.weight for near in found.neighbours]
    assert weights == sorted(weights, reverse=True)


def test_the_weights_give_the_answer_of_the_stream(data, experiment):
    run = experiment.run(3)
    for row in (5, 70):
        explain(experiment, run, row)
        network = experiment.network
        x = torch.from_numpy(data.test.views[row : row + 1, 0]).to(torch.float64)
        x = x / x.norm(dim=-1, keepdim=True)
        expected = run.scores("dynamic")[row]
        np.testing.assert_allclose(network.read_dynamic(x)[0].numpy(), expected, atol=1e-12)
        slots = network._dynamic_slots.of(network.memory)
        a = weighted_sum(network.attention(x), slots.value)
        p = torch.softmax(logits(a, x, data.logit_scale), dim=-1)[0]
        np.testing.assert_allclose(p.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("readout", ["center", "entropy"])
def test_other_read_outs_have_weights_that_look_at_no_image(data, readout):
    experiment = Experiment(data, CONFIG, CELLS[0], (), whole=True, readout=readout)
    run = experiment.run(0)
    found = explain(experiment, run, 8)
    x = torch.from_numpy(data.test.views[8:9, 0]).to(torch.float64)
    x = x / x.norm(dim=-1, keepdim=True)
    expected = run.scores("dynamic")[8]
    np.testing.assert_allclose(experiment.network.read_dynamic(x)[0].numpy(), expected, atol=1e-12)
    assert found.neighbours


def test_an_image_that_is_read_before_it_is_written_is_not_its_own_neighbour(data):
    experiment = Experiment(data, CONFIG, CELLS[0], (), whole=True, update_before_read=False)
    run = experiment.run(0)
    order = run.order
    schedule = write_schedule(run.pseudo_label[order], run.entropy[order], len(data.text), 3)
    for row in range(12):
        found = explain(experiment, run, row)
        assert data.test.ids[row] not in {near.holds for near in found.neighbours}
        assert found.slot == schedule.slot[found.step]


def test_turns_say_where_each_order_was_right(data, experiment):
    runs = experiment.runs(ORDERS)
    for row in (1, 33):
        for run, turn in zip(runs, turns(runs, row), strict=True):
            assert run.order[turn.step] == row
            assert turn.text == (run.answers("text")[row] == data.test.labels[row])
            assert turn.dynamic == (run.answers("dynamic")[row] == data.test.labels[row])
            assert turn.fused == (run.answers("fused", "label_free")[row] == data.test.labels[row])


def test_an_image_is_found_by_id_ending_and_row():
    ids = ["test/a/1.png", "test/b/1.png", "test/b/2.png"]
    assert find_row("test/b/1.png", ids) == 1
    assert find_row("2.png", ids) == 2
    assert find_row("0", ids) == 0
    for name, words in (
        ("1.png", "2 test images end in '1.png', such as test/a/1.png"),
        ("7", "there is no row 7; the test part has 3 images"),
        ("test/b/3.png", "no test image 'test/b/3.png'; did you mean 'test/b/2.png'"),
    ):
        with pytest.raises(ConfigError, match=words):
            find_row(name, ids)


def test_the_explanation_reads_as_sentences_and_tables(data):
    console = Console(file=StringIO(), width=110)
    runs = Experiment(data, CONFIG, CELLS[0], ("label_free",)).runs(ORDERS)
    row = int(np.flatnonzero(runs[0].right("dynamic") != runs[0].right("text"))[0])
    found, others = looked_into(data, CONFIG, CELLS[0], row, ORDERS)
    show(console, found, others)
    text = console.file.getvalue()
    place = runs[0].order.tolist().index(row) + 1
    assert f"{data.test.ids[row]}, a {found.label}, zero-shot, order 0: image {place} of 90" in text
    assert f"Text took it for {found.pseudo_label}" in text
    assert "fused, label-free" in text
    counts = [sum(bool(run.right(kind)[row]) for run in runs) for kind in ("text", "dynamic")]
    assert f"in so many of 4 orders: text {counts[0]}, dynamic {counts[1]}" in text
    way = "right" if runs[0].right("dynamic")[row] else "wrong"
    assert f"turned it in order 0 (image {place}, to {way})" in text


def test_each_answer_has_the_probabilities_of_the_stream(data, experiment):
    run = experiment.run(2)
    rows = [11, 2, 60]
    for row, found in zip(rows, explained(experiment, run, rows), strict=True):
        assert found == explain(experiment, run, row)
        assert [(a.component, a.weights) for a in found.answers] == list(run.kinds())
        for answer in found.answers:
            scores = run.scores(answer.component, answer.weights)[row]
            p = scores / scores.sum()
            assert answer.answer == data.class_names[p.argmax()]
            assert answer.probability == pytest.approx(p.max(), abs=1e-12)
            assert answer.of_label == pytest.approx(p[run.labels[row]], abs=1e-12)


def test_the_rows_that_turned_most_often_come_first(data, experiment):
    runs = experiment.runs(ORDERS)
    found = turned(runs, 90)
    for row in range(90):
        text = bool(runs[0].right("text")[row])
        changed = sum(bool(run.right("dynamic")[row]) != text for run in runs)
        assert (row in found["wrong"]) == (text and changed > 0)
        assert (row in found["right"]) == (not text and changed > 0)
    for way in found.values():
        counts = [sum(t.dynamic != t.text for t in turns(runs, row)) for row in way]
        assert counts == sorted(counts, reverse=True)
    assert turned(runs, 1) == {way: rows[:1] for way, rows in found.items()}


def test_a_story_is_of_the_first_order_that_turned_the_image(data, experiment):
    runs = experiment.runs(ORDERS)
    rows = [row for way in turned(runs, 4).values() for row in way]
    assert len(rows) > 4
    for row, one in zip(rows, stories(experiment, runs, rows), strict=True):
        seed = next(t.order_seed for t in one.orders if t.dynamic != t.text)
        assert one.explanation == explain(experiment, runs[ORDERS.index(seed)], row)


def test_stories_and_pictures_come_back_as_they_were_kept(data, experiment):
    runs = experiment.runs(ORDERS)
    told = stories(experiment, runs, [4, 7])
    names = [data.test.ids[row] for row in (4, 7)]
    large = {name: np.arange(48 * 48 * 3).reshape(48, 48, 3) % 251 for name in data.test.ids}
    large = {name: picture.astype(np.uint8) for name, picture in large.items()}
    found, pictures = read_stories(story_arrays(told, large))
    assert [one["image"] for one in found] == names
    assert found[0]["orders"] == told[0].to_json()["orders"]
    assert found[0]["neighbours"] == told[0].to_json()["neighbours"][:SHOWN]
    near = {n["holds"] for one in found for n in one["neighbours"]} - set(names)
    shown = {name for name in near if name in large}
    assert set(pictures) == shown | set(names)
    np.testing.assert_array_equal(pictures[names[0]], large[names[0]])
    plain = large[names[0]].astype(float)
    steps = range(0, 48, 2)
    mean = [[plain[y : y + 2, x : x + 2].mean((0, 1)) for x in steps] for y in steps]
    for name in shown:
        np.testing.assert_allclose(pictures[name], mean, atol=0.51)
    assert read_stories({}) == ([], {})
    assert read_stories(story_arrays(told, {}))[1] == {}
    grey = {name: np.full((48, 48, 3), 9, np.uint8) for name in names}
    assert read_stories(story_arrays(told, grey))[1][names[0]].shape == (48, 48)
