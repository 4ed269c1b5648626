"""Runs of a cell: what they answer, how they are weighted, and what they may not look at."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from dmn.config import load
from dmn.errors import FeatureError
from dmn.evaluation.contract import Cell, Part, stream_order
from dmn.evaluation.experiment import (
    CHOSEN,
    Experiment,
    cell_name,
    joined,
    largest,
    study_cells,
    take,
    validation_part,
)
from dmn.evaluation.metrics import Outcomes
from dmn.method import fusion
from synthetic import study_data, unit

CONFIG = load({"shots": [1, 4], "settings": ["zero_shot", "training_free"]})
CONFIG = CONFIG.model_copy(
    update={"model": CONFIG.model.model_copy(update={"view_share": 0.5, "length": 5})}
)
FREE = Cell("training_free", 4)


@pytest.fixture(scope="module")
def data():
    return study_data()


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
    run = Experiment(data, CONFIG, Cell("zero_shot"), whole=True).run(3)
    expected = plain_zero_shot(data, stream_order(3, len(data.test)), length=5, share=0.5)
    np.testing.assert_allclose(run.scores("dynamic"), expected, atol=1e-9)


def test_accuracy_rows_count_right_answers_by_hand(data):
    run = Experiment(data, CONFIG, FREE, whole=True).run(0)
    rows = {(r["component"], r["weights"]): r for r in run.accuracy_rows()}
    p = run.predictions
    fused = p.text + p.dynamic + p.static
    right = sum(int(np.argmax(fused[i]) == data.test.labels[i]) for i in range(len(fused)))
    assert rows["fused", "fixed"]["value"] == pytest.approx(100 * right / len(fused))
    assert rows["fused", "fixed"]["n"] == len(fused)


def with_rule(rule):
    return CONFIG.model_copy(update={"fusion": CONFIG.fusion.model_copy(update={"rule": rule})})


@pytest.mark.parametrize("rule", ["coherence", "middle", "first"])
@pytest.mark.parametrize("cell", [Cell("zero_shot"), FREE])
def test_permuting_test_labels_changes_nothing_but_the_oracle(data, rule, cell):
    config, runs = with_rule(rule), []
    shuffled = [np.random.default_rng(seed).permutation(data.test.labels) for seed in range(8)]
    for labels in (data.test.labels, *shuffled):
        changed = replace(data, test=Part(data.test.views, labels, data.test.ids))
        runs.append(Experiment(changed, config, cell).run(0))
    for run in runs[1:]:
        for kind in CHOSEN:
            assert run.weights[kind] == runs[0].weights[kind]
            np.testing.assert_array_equal(
                run.answers("fused", kind), runs[0].answers("fused", kind)
            )
    assert any(run.weights["oracle"] != runs[0].weights["oracle"] for run in runs)


def test_label_free_weights_do_not_depend_on_validation_labels_either(data):
    wrong = Part(data.val.views, (data.val.labels + 1) % 6, data.val.ids)
    runs = [Experiment(d, CONFIG, FREE).run(0) for d in (data, replace(data, val=wrong))]
    assert runs[0].weights["label_free"] == runs[1].weights["label_free"]


def test_validation_images_join_the_clean_test_images_once_for_all_orders(data):
    experiment = Experiment(data, CONFIG, FREE, whole=True)
    run, other = experiment.runs([3, 8])
    known = run.validated
    assert other.validated is known
    assert experiment.run(5, data.shifts["blur", 5]).validated is known
    part = joined(data.test, validation_part(data, CONFIG, FREE))
    assert sorted(known.order.tolist()) == list(range(len(part)))
    expected = Experiment(data, CONFIG, FREE, (), whole=True).run(3, part, known.order)
    np.testing.assert_allclose(
        known.predictions.dynamic, expected.predictions.dynamic[len(data.test) :], atol=1e-12
    )


def test_weights_of_an_order_do_not_depend_on_the_orders_beside_it(data):
    alone = Experiment(data, CONFIG, FREE).run(3)
    assert Experiment(data, CONFIG, FREE).runs([1, 3])[1].weights == alone.weights


def test_fewer_views_of_validation_images_are_repeated(data):
    one = Part(data.val.views[:, :1], data.val.labels, data.val.ids)
    views = joined(data.test, one).views[len(data.test) :]
    assert views.shape[1] == data.test.views.shape[1]
    np.testing.assert_array_equal(views, np.repeat(one.views, views.shape[1], axis=1))


def test_validation_weights_by_the_first_rule_are_those_of_a_search_by_hand(data):
    run = Experiment(data, with_rule("first"), FREE, whole=True).run(0)
    p, labels = run.validated.predictions, run.validated.labels
    assert len(run.validated.order) == len(labels)
    best, chosen = -1, None
    for b2 in CONFIG.fusion.grid:
        for b3 in CONFIG.fusion.grid:
            scores = p.text + b2 * p.dynamic + b3 * p.static
            right = int((scores.argmax(axis=1) == labels).sum())
            if right > best:
                best, chosen = right, (1.0, b2, b3)
    assert run.weights["validation"] == chosen


@pytest.mark.parametrize("cell", [Cell("zero_shot"), FREE])
def test_label_free_weights_are_those_of_the_largest_coherence_by_hand(data, cell):
    run = Experiment(data, CONFIG, cell, whole=True).run(1)
    p, grid = run.predictions, CONFIG.fusion.grid
    known = [] if not cell.shots else [c for c in range(6) for _ in range(cell.shots)]
    z = run.coherence.whitened
    found = {}
    for b2 in grid:
        for b3 in grid if cell.shots else [0.0]:
            answers = [*fusion.fuse(p.text, p.dynamic, p.static, (1, b2, b3)).argmax(1), *known]
            total = 0.0
            for i, own in enumerate(answers):
                others = [j for j, other in enumerate(answers) if other == own and j != i]
                total += float(z[i] @ z[others].mean(axis=0)) if others else 0.0
            found[1.0, b2, b3] = total / len(z)
    best = max(found.values())
    assert found[run.weights["label_free"]] == pytest.approx(best, abs=1e-8)


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
    assert set(run.weights) == {"fixed", "label_free", "oracle"}


def test_answers_stand_by_row_whatever_the_order(data):
    experiment = Experiment(data, CONFIG, FREE, whole=True)
    runs = experiment.runs([0, 1])
    assert not np.array_equal(runs[0].order, runs[1].order)
    for component in ("text", "static"):
        np.testing.assert_array_equal(runs[0].scores(component), runs[1].scores(component))


def test_a_beginning_of_a_stream_is_answered_as_in_the_whole(data):
    experiment = Experiment(data, CONFIG, FREE, whole=True)
    whole = experiment.run(2)
    first = whole.order[:40]
    part = experiment.run(2, take(data.test, first), np.arange(40))
    np.testing.assert_allclose(part.scores("dynamic"), whole.scores("dynamic")[first], atol=1e-12)


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


def test_fused_scores_are_the_weighted_sum(data):
    run = Experiment(data, CONFIG, FREE, whole=True).run(1)
    p = run.predictions
    expected = fusion.fuse(p.text, p.dynamic, p.static, run.weights["validation"])
    np.testing.assert_array_equal(run.scores("fused", "validation"), expected)


@pytest.mark.parametrize("cell", [Cell("zero_shot"), FREE])
def test_answers_and_weights_are_those_of_all_classes(data, cell, monkeypatch):
    monkeypatch.setattr("dmn.evaluation.run.ROWS", 7)
    run = Experiment(data, CONFIG, cell, whole=True).run(2)
    for kind in run.kinds():
        np.testing.assert_array_equal(run.answers(*kind), run.scores(*kind).argmax(axis=1))
        for found, expected in zip(
            vars(run.outcomes(*kind)).values(),
            vars(Outcomes.of(run.scores(*kind), run.labels)).values(),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)
    kept = Experiment(data, CONFIG, cell).run(2)
    assert (kept.weights, kept.predictions) == (run.weights, None)
    with pytest.raises(FeatureError, match="kept no scores of all classes; ask it for `whole`"):
        kept.scores("text")


def test_a_run_keeps_far_less_than_a_number_for_each_class_of_each_image():
    data = study_data(classes=60, images=400, dimension=64, noise=1.0)
    for runs in Experiment(data, CONFIG, FREE).runs_by_length([0, 1], [1, 5, None]):
        for run in runs:
            kept = [run.fronts.start, run.fronts.classes, run.fronts.values, run.order]
            every_class = run.fronts.values.itemsize * run.classes * len(run.labels)
            assert 4 * sum(array.nbytes for array in kept) < every_class


def test_groups_of_orders_give_the_runs_that_all_of_them_do(data, monkeypatch):
    experiment = Experiment(data, CONFIG, FREE, whole=True)
    runs = experiment.runs([4, 2, 7])
    monkeypatch.setattr("dmn.evaluation.experiment.WHOLE", 2 * runs[0].predictions.dynamic.nbytes)
    groups = list(experiment.groups([4, 2, 7]))
    assert [len(group) for group in groups] == [2, 1]
    for run, other in zip(runs, chain.from_iterable(groups), strict=True):
        assert (run.order_seed, run.weights) == (other.order_seed, other.weights)
        np.testing.assert_allclose(run.scores("dynamic"), other.scores("dynamic"), atol=1e-12)


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
