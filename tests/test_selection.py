"""Fusion, and the choice of its weights on validation samples and by the oracle."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from dmn.errors import FeatureError
from dmn.evaluation import selection
from dmn.evaluation.selection import oracle, select_on_validation
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
