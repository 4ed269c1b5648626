"""Fronts of the classes that can win, and the counts of a weight search, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmn.engine import search
from dmn.engine.search import Fronts, grid_correct
from dmn.errors import FeatureError
from dmn.method.fusion import Predictions, fuse

GRID = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]
KINDS = ("dirichlet", "few levels", "last bits", "certain", "equal", "tiny")


def rows(kind: str, shape: tuple[int, int], draws: np.random.Generator) -> np.ndarray:
    """Return rows [N, C] of probabilities with ties of one kind."""
    N, C = shape
    if kind == "few levels":
        found = draws.integers(0, 4, shape) + (np.arange(C) == draws.integers(0, C, (N, 1)))
        return found / found.sum(axis=1, keepdims=True)
    if kind == "certain":
        return np.eye(C)[draws.integers(0, C, N)]
    if kind == "equal":
        return np.full(shape, 1 / C)
    if kind == "tiny":
        logits = draws.normal(size=shape) * 200
        found = np.exp(logits - logits.max(axis=1, keepdims=True))
        return found / found.sum(axis=1, keepdims=True)
    found = draws.dirichlet(np.full(C, 0.3), N)
    if kind == "last bits":
        found = np.repeat(found[:, ::3], 3, axis=1)[:, :C] / 3
    return found


def predictions(
    seed: int, shape: tuple[int, int], kinds: tuple[str, str, str | None], dtype: str
) -> Predictions:
    """Return predictions whose classes tie, or differ in the last bits, on purpose."""
    draws = np.random.default_rng(seed)
    parts = [None if kind is None else rows(kind, shape, draws) for kind in kinds]
    parts = [None if part is None else part.astype(dtype) for part in parts]
    for part, kind in zip(parts, kinds, strict=True):
        if part is not None and kind == "last bits":
            steps = draws.integers(-2, 3, shape)
            for _ in range(2):
                part[:] = np.where(steps > 0, np.nextafter(part, part.dtype.type(2)), part)
                part[:] = np.where(steps < 0, np.nextafter(part, part.dtype.type(0)), part)
                steps -= np.sign(steps)
    return Predictions(*parts)


def plain_counts(p: Predictions, labels: np.ndarray, grid: list[float]) -> np.ndarray:
    static_grid = [0.0] if p.static is None else grid
    return np.array(
        [
            [
                int((fuse(p.text, p.dynamic, p.static, (1.0, a, b)).argmax(axis=1) == labels).sum())
                for b in static_grid
            ]
            for a in grid
        ]
    )


cases = {
    "seed": st.integers(0, 10**6),
    "count": st.integers(1, 12),
    "classes": st.sampled_from([1, 2, 5, 17, 64, 65, 130]),
    "kinds": st.tuples(
        st.sampled_from(KINDS), st.sampled_from(KINDS), st.sampled_from([*KINDS, None])
    ),
    "dtype": st.sampled_from(["float32", "float64"]),
}


@settings(max_examples=100, deadline=None)
@given(**cases)
def test_counts_are_those_of_the_plain_loop_with_all_its_ties(seed, count, classes, kinds, dtype):
    p = predictions(seed, (count, classes), kinds, dtype)
    draws = np.random.default_rng(seed)
    # labels that could be right: a random class would never be among a front's few
    likely = (p.text + p.dynamic).argmax(axis=1)
    labels = np.where(draws.random(count) < 0.7, likely, draws.integers(0, classes, count))
    expected = plain_counts(p, labels, GRID)
    np.testing.assert_array_equal(grid_correct(p, labels, GRID), expected)
    np.testing.assert_array_equal(grid_correct(Fronts.of(p), labels, GRID), expected)


@settings(max_examples=100, deadline=None)
@given(**cases, scale=st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6]))
def test_a_front_answers_as_all_classes_do_under_any_weights(
    seed, count, classes, kinds, dtype, scale
):
    p = predictions(seed, (count, classes), kinds, dtype)
    fronts = Fronts.of(p)
    drawn = np.random.default_rng(seed).random((6, 3)) * [1, scale, 1 / scale]
    single = np.eye(3)[: 3 if p.has_static else 2]
    for weights in [*drawn.tolist(), *single.tolist(), [1, 1, 1], [1, 1, 0], [0, 1, 1]]:
        expected = fuse(p.text, p.dynamic, p.static, tuple(weights)).argmax(axis=1)
        np.testing.assert_array_equal(fronts.answers(tuple(weights)), expected)


def test_a_front_has_few_of_many_classes() -> None:
    draws = np.random.default_rng(0)
    logits = draws.normal(size=(200, 1000))
    parts = [np.exp(6 * (logits + 0.1 * draws.normal(size=logits.shape))) for _ in range(3)]
    fronts = Fronts.of(Predictions(*(part / part.sum(axis=1, keepdims=True) for part in parts)))
    assert len(fronts.classes) < 4 * len(fronts)


def test_samples_can_be_taken_and_joined_again() -> None:
    p = predictions(1, (30, 40), ("dirichlet", "few levels", "last bits"), "float64")
    fronts = Fronts.of(p)
    order = np.random.default_rng(0).permutation(30)
    parts = [fronts.taken(order[:11]), fronts.taken(order[11:])]
    joined = Fronts.joined(parts)
    turned = Fronts.of(p.taken(order))
    for name in ("start", "classes", "values"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(turned, name))


def test_counts_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    p = predictions(2, (90, 7), ("dirichlet", "dirichlet", "few levels"), "float64")
    labels = np.random.default_rng(0).integers(0, 7, 90)
    whole = grid_correct(p, labels, GRID)
    monkeypatch.setattr(search, "ROWS", 8)
    np.testing.assert_array_equal(grid_correct(p, labels, GRID), whole)


@pytest.mark.parametrize("bad", [np.nan, -np.nan, -0.5, np.inf])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    p = predictions(3, (4, 5), ("dirichlet", "dirichlet", "dirichlet"), "float64")
    p.dynamic[2] = bad
    with pytest.raises(FeatureError, match="predictions of sample 2 are not probabilities"):
        Fronts.of(p)


def test_weights_that_a_front_cannot_answer_for_are_refused() -> None:
    p = predictions(4, (4, 5), ("dirichlet", "dirichlet", None), "float32")
    with pytest.raises(FeatureError, match="a fusion weight is -1; weights are between 0 and"):
        grid_correct(p, np.zeros(4, int), [-1.0, 1.0])
    with pytest.raises(FeatureError, match="all fusion weights are below 1e-09"):
        Fronts.of(p).answers((0.0, 0.0, 1.0))
