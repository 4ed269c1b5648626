"""Runs of a cell: what they answer, how they are weighted, and what they may not look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmn.config import load
from dmn.evaluation import metrics
from dmn.evaluation.contract import Cell, Part, stream_order
from dmn.evaluation.experiment import (
    Experiment,
    cell_name,
    largest,
    run_all,
    study_cells,
    take,
    validation_part,
)
from dmn.evaluation.moments import Moments
from dmn.method import fusion
from dmn.method.fusion import Predictions
from synthetic import study_data, unit

CONFIG = load({"shots": [1, 4], "settings": ["zero_shot", "training_free"]})
CONFIG = CONFIG.model_copy(
    update={"model": CONFIG.model.model_copy(update={"view_share": 0.5, "length": 5})}
)
FREE = Cell("training_free", 4)
COMPONENTS = ("text", "dynamic", "static")


@pytest.fixture(scope="module")
def data():
    return study_data()


class Dense:
    """All probabilities of a run, as a measure may see them."""

    def __init__(self, labels):
        self.parts = {}
        self.count = len(labels)

    def add(self, rows, predictions):
        for name in ("text", "dynamic", "static"):
            part = getattr(predictions, name)
            if part is not None:
                whole = self.parts.setdefault(name, np.full((self.count, part.shape[1]), np.nan))
                whole[rows] = part


def probabilities(experiment, seed, component, part=None, order=None):
    permutations = None if order is None else [order]
    [run] = experiment.runs([seed], part, permutations, measure=Dense)
    return run.measured.parts[component]


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def plain_zero_shot(data, order, length, share, beta=5.5):
    """Sections 2 to 7 without shots and projections, one image at a time, in numpy."""
    text = unit(data.text.astype(np.float64))
    views = unit(data.test.views.astype(np.float64))
    memory = [[] for _ in text]
    answers = np.empty((len(order), len(text)))
    for row in order:
        p = softmax(data.logit_scale * views[row] @ text.T)
        h = -(p * np.log(p + 1e-6)).sum(axis=1)
        q = p[np.argsort(h, kind="stable")[: int(len(h) * share)]].mean(axis=0)
        entropy, x = -(q * np.log(q + 1e-8)).sum(), views[row, 0]
        own = memory[q.argmax()]
        if len(own) < length:
            own.append((entropy, x))
        elif entropy < max(e for e, _ in own):
            own[max(range(length), key=lambda i: own[i][0])] = (entropy, x)
        z = []
        for c, slots in enumerate(memory):
            rows = np.array([x_ for _, x_ in slots] + [text[c]])
            a = np.exp(-beta * (1 - rows @ x)) @ rows
            z.append(data.logit_scale * float(a @ x) / np.sqrt(a @ a))
        answers[row] = softmax(np.array(z))
    return answers


def test_the_dynamic_answers_equal_a_plain_loop(data):
    found = probabilities(Experiment(data, CONFIG, Cell("zero_shot")), 3, "dynamic")
    expected = plain_zero_shot(data, stream_order(3, len(data.test)), length=5, share=0.5)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_accuracy_rows_count_right_answers_by_hand(data):
    [run] = Experiment(data, CONFIG, FREE).runs([0], measure=Dense)
    rows = {(r["component"], r["weights"]): r for r in run.accuracy_rows()}
    fused = sum(run.measured.parts.values())
    right = sum(int(np.argmax(fused[i]) == data.test.labels[i]) for i in range(len(fused)))
    assert rows["fused", "fixed"]["value"] == pytest.approx(100 * right / len(fused))
    assert rows["fused", "fixed"]["n"] == len(fused)


def test_validation_weights_do_not_depend_on_test_labels(data):
    wrong = Part(data.test.views, (data.test.labels + 1) % 6, data.test.ids)
    runs = [Experiment(d, CONFIG, FREE).run(0) for d in (data, replace(data, test=wrong))]
    assert runs[0].weights["validation"] == runs[1].weights["validation"]
    np.testing.assert_array_equal(
        runs[0].answers("fused", "validation"), runs[1].answers("fused", "validation")
    )


def test_validation_weights_are_those_of_a_search_by_hand(data):
    experiment = Experiment(data, CONFIG, FREE)
    part = experiment.validation
    order, labels = stream_order(0, len(part), "validation"), part.labels
    p = Predictions(*(probabilities(experiment, 0, name, part, order) for name in COMPONENTS))
    best, chosen = -1, None
    for b2 in CONFIG.fusion.grid:
        for b3 in CONFIG.fusion.grid:
            scores = p.text + b2 * p.dynamic + b3 * p.static
            right = int((scores.argmax(axis=1) == labels).sum())
            if right > best:
                best, chosen = right, (1.0, b2, b3)
    assert experiment.run(0).weights["validation"] == chosen


def test_the_oracle_is_never_worse_than_other_weights(data):
    for seed in range(3):
        run = Experiment(data, CONFIG, FREE).run(seed)
        right = {kind: run.right("fused", kind).sum() for kind in run.weights}
        assert right["oracle"] >= max(right["validation"], right["fixed"])


def test_few_shot_cells_validate_on_as_many_images_as_shots(data):
    one = validation_part(data, CONFIG, Cell("training_free", 1))
    assert len(one) == 6
    assert len(validation_part(data, CONFIG, FREE)) == 24
    assert one.ids == [f"val/{4 * c}" for c in range(6)]


def test_a_test_only_data_set_has_no_validation_rows():
    data = study_data(few_shot=False)
    assert [c.setting for c in study_cells(data, CONFIG)] == ["zero_shot"]
    run = Experiment(data, CONFIG, Cell("zero_shot")).run(0)
    assert set(run.weights) == {"fixed", "oracle"}


def test_answers_stand_by_row_whatever_the_order(data):
    experiment = Experiment(data, CONFIG, FREE)
    runs = experiment.runs([0, 1])
    assert not np.array_equal(runs[0].order, runs[1].order)
    for component in ("text", "static"):
        one, other = (probabilities(experiment, seed, component) for seed in (0, 1))
        np.testing.assert_array_equal(one, other)


def test_a_beginning_of_a_stream_is_answered_as_in_the_whole(data):
    experiment = Experiment(data, CONFIG, FREE)
    whole, first = probabilities(experiment, 2, "dynamic"), experiment.run(2).order[:40]
    part = probabilities(experiment, 2, "dynamic", take(data.test, first), np.arange(40))
    np.testing.assert_allclose(part, whole[first], atol=1e-12)


def test_course_rows_end_at_the_accuracy_of_the_whole_stream(data):
    run = Experiment(data, CONFIG, FREE).run(0)
    last = [
        r
        for r in run.course_rows(7)
        if r["metric"] == "accuracy_so_far" and r["seen"] == len(data.test)
    ]
    whole = {(r["component"], r["weights"]): r["value"] for r in run.accuracy_rows()}
    assert {(r["component"], r["weights"]): r["value"] for r in last} == {
        k: v for k, v in whole.items() if k[1] != "oracle"
    }


def test_options_change_the_configured_network(data):
    short, one_view = (
        Experiment(data, CONFIG, FREE, length=1),
        Experiment(data, CONFIG, FREE, views=1, view_share=1.0),
    )
    assert short.network.model.length == 1
    assert one_view.run(0).pseudo_label.tolist() == one_view.run(0).answers("text").tolist()


def test_fused_answers_are_those_of_the_weighted_sum(data):
    [run] = Experiment(data, CONFIG, FREE).runs([1], measure=Dense)
    for kind, weights in run.weights.items():
        fused = fusion.fuse(*(run.measured.parts[name] for name in COMPONENTS), weights)
        np.testing.assert_array_equal(run.answers("fused", kind), fused.argmax(axis=1))


def test_experiments_that_run_together_answer_as_if_alone(data):
    cells = [Cell("zero_shot"), Cell("training_free", 1), FREE]
    experiments = [Experiment(data, CONFIG, cell) for cell in cells]
    for cell, (runs,) in zip(cells, run_all(experiments, [0, 1]), strict=True):
        for seed, run in enumerate(runs):
            alone = Experiment(data, CONFIG, cell).run(seed)
            assert run.weights == alone.weights
            assert run.accuracy_rows() == alone.accuracy_rows()


def test_moments_judge_as_all_scores_do(data):
    experiment = Experiment(data, CONFIG, FREE)
    [run], [dense] = (experiment.runs([0], measure=kind) for kind in (Moments, Dense))
    for kind in run.kinds():
        weights = run.weights_of(*kind)
        fused = fusion.fuse(*(dense.measured.parts[name] for name in COMPONENTS), weights)
        expected = metrics.judge(fused, run.labels)
        found = run.measured.judged(run.fronts, weights)
        for name in ("confidence", "own", "square", "correct"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)


def test_cells_are_named_and_the_largest_found():
    cells = [Cell("zero_shot"), Cell("training_free", 1), FREE, Cell("few_shot", 4, 0)]
    assert largest(cells, "training_free") == FREE
    assert largest(cells[:1], "few_shot") is None
    assert [cell_name(c) for c in cells] == [
        "zero_shot",
        "training_free,shots=1",
        "training_free,shots=4",
        "few_shot,shots=4,training=0",
    ]
