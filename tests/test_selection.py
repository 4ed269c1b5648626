"""Fusion, and the choice of its weights on validation samples and by the oracle."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmn.errors import ConfigError, FeatureError
from dmn.evaluation.weights import selection
from dmn.evaluation.weights.selection import oracle, select_on_validation
from dmn.method.fusion import Predictions, fuse

GRID = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]


def random_predictions(seed: int, count: int, classes: int, static: bool = True) -> Predictions:
    draws = np.random.default_rng(seed).dirichlet(np.ones(classes), size=(3, count))
    return Predictions(draws[0], draws[1], draws[2] if static else None)


def random_labels(seed: int, count: int, classes: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, classes, count)


def plain_search(predictions, labels, grid):
    best, weights = -1, None
    for second in grid:
        for third in grid if predictions.static is not None else [0.0]:
            scores = predictions.text + second * predictions.dynamic
            if predictions.static is not None:
                scores = scores + third * predictions.static
            correct = sum(int(np.argmax(row) == y) for row, y in zip(scores, labels, strict=True))
            if correct > best:
                best, weights = correct, (1.0, second, third)
    return weights, best


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize(("count", "classes"), [(1, 2), (40, 5), (70, 11)])
def test_search_equals_the_plain_double_loop(static, count, classes):
    predictions = random_predictions(count, count, classes, static)
    labels = random_labels(1, count, classes)
    found = oracle(predictions, labels, GRID)
    assert (found.weights, found.correct) == plain_search(predictions, labels, GRID)
    assert found.accuracy == found.correct / count


def test_the_first_of_equally_good_weights_wins():
    same = np.array([[0.9, 0.1], [0.8, 0.2]])
    found = select_on_validation(Predictions(same, same, same), np.array([0, 0]), GRID)
    assert found.weights == (1.0, 0.001, 0.001)


def test_zero_shot_has_no_static_weight():
    predictions = random_predictions(0, 30, 4, static=False)
    found = select_on_validation(predictions, random_labels(0, 30, 4), GRID)
    assert found.weights[2] == 0.0
    assert found.grid_correct.shape == (len(GRID), 1)


def test_fused_scores_are_the_weighted_sum():
    p = random_predictions(2, 6, 3)
    expected = p.text + 0.3 * p.dynamic + 10 * p.static
    assert np.array_equal(fuse(p.text, p.dynamic, p.static, (1.0, 0.3, 10.0)), expected)
    without = fuse(p.text, p.dynamic, None, (1.0, 0.3, 10.0))
    assert np.array_equal(without, p.text + 0.3 * p.dynamic)


def test_permuting_test_labels_changes_no_weight_and_no_prediction():
    validation, validation_labels = random_predictions(5, 50, 6), random_labels(5, 50, 6)
    test, test_labels = random_predictions(6, 80, 6), random_labels(6, 80, 6)
    outcomes, bounds = [], []
    for seed in range(4):
        labels = np.random.default_rng(seed).permutation(test_labels)
        chosen = select_on_validation(validation, validation_labels, GRID)
        answers = fuse(test.text, test.dynamic, test.static, chosen.weights).argmax(axis=1)
        outcomes.append((chosen.weights, answers.tolist()))
        bounds.append(oracle(test, labels, GRID).grid_correct.tolist())
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert any(bound != bounds[0] for bound in bounds)


def plain_unrefuted(right: np.ndarray) -> np.ndarray:
    """McNemar's exact test by counting, candidate by candidate."""
    best = max(right, key=lambda row: row.sum())
    kept = []
    for row in right:
        lost = sum(bool(b and not r) for b, r in zip(best, row, strict=True))
        gained = sum(bool(r and not b) for b, r in zip(best, row, strict=True))
        ways = sum(math.comb(lost + gained, k) for k in range(gained + 1))
        kept.append(ways / 2 ** (lost + gained) > 0.05)
    return np.array(kept)


def test_refuted_candidates_are_those_of_the_exact_test_by_counting():
    draws = np.random.default_rng(8)
    for count in (1, 4, 5, 30):
        right = draws.random((3, 4, count)) < draws.random((3, 4, 1))
        found = selection.unrefuted(right)
        assert found.any()
        np.testing.assert_array_equal(found.reshape(-1), plain_unrefuted(right.reshape(-1, count)))


def test_four_lost_answers_refute_nothing_and_five_do():
    right = np.ones((3, 10), dtype=bool)
    right[1, :4] = right[2, :5] = False
    assert selection.unrefuted(right).tolist() == [True, True, False]


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=36),
    st.integers(1, 6),
)
def test_the_middle_is_the_tied_place_nearest_to_the_centre_of_ties(scores, columns):
    rows = -(-len(scores) // columns)
    table = np.array([*scores, *[-1] * (rows * columns - len(scores))]).reshape(rows, columns)
    ties = [(i, j) for i in range(rows) for j in range(columns) if table[i, j] == table.max()]
    centre = [sum(part) / len(ties) for part in zip(*ties, strict=True)]
    distance = {t: round((t[0] - centre[0]) ** 2 + (t[1] - centre[1]) ** 2, 9) for t in ties}
    assert selection.middle(table) == min(ties, key=lambda t: (distance[t], t))


@pytest.mark.parametrize("static", [True, False])
def test_grid_answers_are_those_of_the_fusion_with_each_pair_of_weights(static):
    p = random_predictions(9, 25, 6, static)
    found = selection.grid_answers(p, GRID)
    for i, second in enumerate(GRID):
        for j, third in enumerate(GRID if static else [0.0]):
            fused = fuse(p.text, p.dynamic, p.static, (1.0, second, third))
            np.testing.assert_array_equal(found[i, j], fused.argmax(axis=1))


def test_coherence_decides_among_what_the_validation_samples_do_not_refute():
    # text is right on all six samples; the dynamic memory is wrong on all
    right, wrong = np.tile([0.9, 0.1], (6, 1)), np.tile([0.05, 0.95], (6, 1))
    p, labels = Predictions(right, wrong), np.zeros(6, dtype=int)
    coherence = np.arange(len(GRID), dtype=float)[:, None]
    found = select_on_validation(p, labels, GRID, "coherence", coherence)
    # the largest weight whose answers are right: 0.9 + 0.05 w > 0.1 + 0.95 w
    assert (found.weights, found.correct) == ((1.0, 0.3, 0.0), 6)
    few = select_on_validation(p.taken(slice(4)), labels[:4], GRID, "coherence", coherence)
    assert few.weights == (1.0, 1000.0, 0.0)
    free = selection.select_without_labels(p, GRID, coherence)
    assert free == (1.0, 1000.0, 0.0)


def test_a_rule_that_cannot_be_followed_is_refused():
    p, labels = random_predictions(0, 5, 3), random_labels(0, 5, 3)
    with pytest.raises(ConfigError, match="rule 'coherence' needs the coherence of a stream"):
        select_on_validation(p, labels, GRID, "coherence")


def test_only_the_oracle_takes_test_labels():
    takers = {
        name
        for name, function in inspect.getmembers(selection, inspect.isfunction)
        if any("test" in parameter for parameter in inspect.signature(function).parameters)
    }
    assert takers == {"oracle"}


def test_predictions_of_different_samples_are_refused():
    with pytest.raises(FeatureError, match=r"dynamic predictions have shape \[2, 3\]"):
        Predictions(np.ones((4, 3)), np.ones((2, 3)))


def test_a_search_without_samples_or_candidates_is_refused():
    empty = Predictions(np.ones((0, 3)), np.ones((0, 3)))
    with pytest.raises(FeatureError, match="at least one sample"):
        select_on_validation(empty, np.zeros(0, dtype=int), GRID)
    with pytest.raises(FeatureError, match="grid is empty"):
        select_on_validation(random_predictions(0, 3, 3), np.zeros(3, dtype=int), [])
