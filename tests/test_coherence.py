"""Coherence of answers with images, against plain loops and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf

from dmn.errors import FeatureError
from dmn.evaluation.weights.coherence import Coherence, whiten
from synthetic import unit


def plain(z: np.ndarray, answers: list[int]) -> float:
    """Return the mean over images of the similarity to the mean of the others with its answer."""
    total = 0.0
    for i, own in enumerate(answers):
        others = [z[j] for j, other in enumerate(answers) if other == own and j != i]
        if others:
            total += float(z[i] @ np.mean(others, axis=0))
    return total / len(z)


def draw(seed: int, count: int, classes: int, shots: int) -> tuple[Coherence, np.ndarray]:
    """Return the coherence of random images, and candidates that agree on most answers."""
    draws = np.random.default_rng(seed)
    images = draws.normal(size=(count, 7)) + 2 * draws.normal(size=7)
    known = draws.normal(size=(classes, shots, 7)) if shots else None
    answers = np.tile(draws.integers(0, classes, count), (6, 1))
    answers[:, : count // 3] = draws.integers(0, classes, (6, count // 3))
    answers[4] = answers[1]
    return Coherence(images, classes, known), answers


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 40),
    classes=st.integers(1, 6),
    shots=st.integers(0, 3),
)
def test_coherence_is_that_of_the_plain_loop(seed, count, classes, shots):
    compared, answers = draw(seed, count, classes, shots)
    found = compared.of(answers)
    known = np.repeat(np.arange(classes), shots).tolist()
    expected = [plain(compared.whitened, [*row.tolist(), *known]) for row in answers]
    np.testing.assert_allclose(found, expected, atol=2e-9)
    assert found[1] == found[4]


def test_coherence_does_not_depend_on_the_norm_nor_on_a_linear_map_of_many_images():
    draws = np.random.default_rng(0)
    images, answers = unit(draws.normal(size=(4000, 5))), draws.integers(0, 3, (4, 4000))
    plainly = Coherence(images, 3).of(answers)
    scaled = Coherence(images * draws.uniform(0.5, 2, (4000, 1)), 3).of(answers)
    np.testing.assert_allclose(scaled, plainly, atol=1e-9)
    turn = np.linalg.qr(draws.normal(size=(5, 5)))[0]
    np.testing.assert_allclose(Coherence(images @ turn, 3).of(answers), plainly, atol=1e-9)


def test_whitening_divides_by_the_root_of_the_shrunken_covariance():
    draws = np.random.default_rng(1)
    images = draws.normal(size=(60, 9)) * np.arange(1, 10) + 3
    x = unit(images)
    x -= x.mean(axis=0)
    covariance, _ = ledoit_wolf(x, assume_centered=True)
    expected = x @ np.linalg.inv(covariance) @ x.T
    z = whiten(images)
    np.testing.assert_allclose(z @ z.T, expected, atol=1e-8)


def test_right_answers_cohere_more_than_wrong_ones():
    draws = np.random.default_rng(2)
    labels = draws.integers(0, 4, 300)
    images = unit(draws.normal(size=(4, 20)))[labels] + 0.1 * draws.normal(size=(300, 20))
    worse = [np.where(draws.random(300) < share, (labels + 1) % 4, labels) for share in (0.1, 0.4)]
    found = Coherence(images, 4).of(np.stack([labels, *worse]))
    assert found[0] > found[1] > found[2]


def test_images_that_are_all_one_cohere_alike():
    same = np.ones((10, 4))
    answers = np.random.default_rng(3).integers(0, 2, (5, 10))
    assert set(Coherence(same, 2).of(answers)) == {0.0}


def test_shots_that_do_not_fit_are_refused():
    with pytest.raises(FeatureError, match=r"shots have shape \[2, 1, 4\], images \[5, 3\]"):
        Coherence(np.ones((5, 3)), 2, np.ones((2, 1, 4)))
    with pytest.raises(FeatureError, match=r"coherence needs images \[N, D\], got shape \[0, 3\]"):
        Coherence(np.ones((0, 3)), 2)
