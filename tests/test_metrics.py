"""Metrics against scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from dmn.errors import FeatureError
from dmn.evaluation import metrics
from dmn.evaluation.metrics import Outcomes


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.full(6, 0.4), size=300)
    labels = np.array([rng.choice(6, p=row) for row in scores])
    return scores, labels


def test_accuracy_agrees_with_sklearn(world):
    scores, labels = world
    assert metrics.accuracy(Outcomes.of(scores, labels)) == sk.accuracy_score(
        labels, scores.argmax(1)
    )


def test_of_equal_scores_the_first_class_is_the_answer():
    scores = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1]]) / 2
    assert metrics.accuracy(Outcomes.of(scores, np.array([1, 1, 2]))) == 1 / 3


def test_ece_equals_a_loop_over_bins(world):
    scores, labels = world
    top, right = scores.max(1), scores.argmax(1) == labels
    expected = 0.0
    for b in range(15):
        inside = (top > b / 15) & (top <= (b + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - top[inside].mean())
    assert metrics.ece(Outcomes.of(scores, labels)) == pytest.approx(expected, abs=1e-12)


def test_a_certain_and_right_prediction_is_calibrated():
    scores, labels = np.eye(4), np.arange(4)
    assert metrics.ece(Outcomes.of(scores, labels)) == 0
    assert (
        metrics.brier(Outcomes.of(scores, labels)) == metrics.nll(Outcomes.of(scores, labels)) == 0
    )


def test_nll_and_brier_agree_with_their_definitions(world):
    scores, labels = world
    assert metrics.nll(Outcomes.of(scores, labels), floor=1e-15) == pytest.approx(
        sk.log_loss(labels, scores)
    )
    expected = ((scores - np.eye(6)[labels]) ** 2).sum(1).mean()
    assert metrics.brier(Outcomes.of(scores, labels)) == pytest.approx(expected)


def test_nll_of_an_impossible_label_is_the_floor():
    assert metrics.nll(Outcomes.of(np.array([[1.0, 0.0]]), np.array([1]))) == pytest.approx(
        -np.log(1e-7)
    )


def test_calibration_ignores_the_scale_of_fused_scores(world):
    scores, labels = world
    for measure in (metrics.ece, metrics.nll, metrics.brier):
        assert measure(Outcomes.of(scores * 4, labels)) == measure(Outcomes.of(scores, labels))


def test_sums_do_not_depend_on_the_order_of_samples(world):
    scores, labels = world
    order = np.random.default_rng(1).permutation(len(labels))
    for measure in (metrics.ece, metrics.nll, metrics.brier):
        assert measure(Outcomes.of(scores[order], labels[order])) == measure(
            Outcomes.of(scores, labels)
        )


def test_outcomes_of_parts_are_those_of_all(world):
    scores, labels = world
    whole = Outcomes.of(scores, labels)
    parts = [Outcomes.of(scores[rows], labels[rows]) for rows in (slice(0, 7), slice(7, None))]
    for name, found in vars(Outcomes.joined(parts)).items():
        assert np.array_equal(found, getattr(whole, name)), name
    assert len(whole) == len(labels)


def test_confusion_agrees_with_sklearn(world):
    scores, labels = world
    labels = np.where(labels == 4, 3, labels)
    answers = scores.argmax(1)
    counts = metrics.confusion(answers, labels, 6)
    assert np.array_equal(counts, sk.confusion_matrix(labels, answers, labels=np.arange(6)))


def test_logits_and_bad_labels_are_refused(world):
    scores, labels = world
    with pytest.raises(FeatureError, match="probabilities, not logits"):
        metrics.ece(Outcomes.of(scores - 1, labels))
    with pytest.raises(FeatureError, match="label 6 is outside the 6 classes"):
        metrics.accuracy(Outcomes.of(scores, labels + (labels == 5)))
    with pytest.raises(FeatureError, match="N at least 1"):
        metrics.accuracy(Outcomes.of(scores[:0], labels[:0]))
