"""Intervals over crossed seeds and images, against plain loops and the textbook's cases."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from dmn.evaluation.intervals import crossed, partial

SEEDS = ["splits", "orders"]
PAIR = (100.0, -100.0)


def test_one_factor_alone_gives_student_s_interval_and_test():
    values = np.random.default_rng(0).normal(1, 2, size=7)
    interval = crossed(values, ["orders"])
    assert interval.bounds() == pytest.approx(
        stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    )
    assert interval.p_value() == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_images_alone_give_the_paired_test():
    samples = np.random.default_rng(1).normal(0.2, 1, size=(1, 1, 80))
    interval = crossed(samples.mean(axis=-1), SEEDS, samples)
    assert [f.name for f in interval.factors] == ["images"]
    assert interval.p_value() == pytest.approx(stats.ttest_1samp(samples.ravel(), 0).pvalue)


def test_the_variance_is_that_of_a_plain_analysis_of_variance():
    rng = np.random.default_rng(2)
    splits, orders, images = 4, 5, 9
    cube = (
        2 * rng.normal(size=(splits, 1, 1))
        + rng.normal(size=(1, orders, 1))
        + 3 * rng.normal(size=(1, 1, images))
        + rng.normal(size=(splits, orders, images))
    )
    interval = crossed(cube.mean(axis=-1), SEEDS, cube)
    grand = cube.mean()
    by = {"s": cube.mean((1, 2)), "o": cube.mean((0, 2)), "i": cube.mean((0, 1))}
    so, si, oi = cube.mean(2), cube.mean(1), cube.mean(0)
    squares = dict.fromkeys(("s", "o", "i", "so", "si", "oi", "soi"), 0.0)
    for s, o, i in product(range(splits), range(orders), range(images)):
        a, b, c = by["s"][s] - grand, by["o"][o] - grand, by["i"][i] - grand
        ab, ac, bc = (
            so[s, o] - a - b - grand,
            si[s, i] - a - c - grand,
            oi[o, i] - b - c - grand,
        )
        rest = cube[s, o, i] - a - b - c - ab - ac - bc - grand
        for name, part in zip(squares, (a, b, c, ab, ac, bc, rest), strict=True):
            squares[name] += part**2
    levels = {"s": splits, "o": orders, "i": images}
    mean = {
        name: total / np.prod([levels[f] - 1 for f in name]) / cube.size
        for name, total in squares.items()
    }
    variance = sum((-1) ** (len(name) + 1) * value for name, value in mean.items())
    assert interval.error**2 == pytest.approx(variance)
    assert sum(f.share for f in interval.factors) == pytest.approx(1)
    assert {f.name: f.freedom for f in interval.factors} == {"splits": 3, "orders": 4, "images": 8}


def test_the_p_value_is_five_percent_at_the_bound():
    rng = np.random.default_rng(3)
    cube = rng.normal(size=(3, 1, 1)) + rng.normal(size=(3, 6, 40))
    interval = crossed(cube.mean(axis=-1), SEEDS, cube)
    low, high = interval.bounds()
    for bound in (low, high):
        moved = crossed(cube.mean(axis=-1) - bound, SEEDS, cube - bound)
        assert moved.p_value() == pytest.approx(0.05, rel=1e-6)


def test_an_exact_test_agrees_on_answers_of_one_run():
    for gained, lost, count in ((6, 0, 120), (5, 0, 120), (12, 3, 200), (40, 20, 500), (1, 0, 120)):
        samples = np.zeros((1, 1, count))
        samples[..., :gained], samples[..., gained : gained + lost] = 100, -100
        interval = crossed(samples.mean(axis=-1), SEEDS, samples, PAIR)
        exact = stats.binomtest(gained, gained + lost).pvalue
        assert (interval.p_value() < 0.05) == (exact < 0.05)
        if gained > 1:
            assert interval.p_value() == pytest.approx(exact, abs=0.03)


def test_a_bootstrap_of_images_agrees_where_no_seed_matters():
    rng = np.random.default_rng(4)
    difference = rng.choice([-100.0, 0.0, 100.0], p=[0.05, 0.83, 0.12], size=600)
    samples = np.broadcast_to(difference, (3, 4, 600))
    interval = crossed(samples.mean(axis=-1), SEEDS, samples, PAIR)
    draws = rng.choice(difference, size=(4000, 600)).mean(axis=1)
    assert interval.bounds() == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.25)


def test_a_bootstrap_of_seeds_and_images_agrees_with_many_levels():
    rng = np.random.default_rng(5)
    cube = (
        5 * rng.normal(size=(40, 1, 1))
        + 4 * rng.normal(size=(1, 30, 1))
        + 60 * rng.normal(size=(1, 1, 200))
        + 30 * rng.normal(size=(40, 30, 200))
    )
    interval = crossed(cube.mean(axis=-1), SEEDS, cube)
    draws = []
    for _ in range(300):
        # rows of each factor drawn anew: Owen's pigeonhole bootstrap
        s, o, i = (rng.integers(0, n, size=n) for n in cube.shape)
        weights = [
            np.bincount(drawn, minlength=n) for drawn, n in zip((s, o, i), cube.shape, strict=True)
        ]
        total = np.einsum("soi,s,o,i->", cube, *weights, optimize=True)
        draws.append(total / cube.size)
    assert interval.error == pytest.approx(np.std(draws), rel=0.15)


def test_fewer_than_three_levels_are_averaged_over():
    cube = np.random.default_rng(6).normal(size=(2, 5, 30))
    cube[0] += 50
    interval = crossed(cube.mean(axis=-1), SEEDS, cube)
    assert [f.name for f in interval.factors] == ["orders", "images"]
    assert interval.error < 1


def test_nothing_that_varies_gives_no_interval():
    interval = crossed(np.full((3, 10), 0.1) + 0.2, SEEDS)
    assert interval.factors == ()
    assert np.isnan([*interval.bounds(), interval.p_value()]).all()


def test_answers_that_agree_on_every_image_still_have_a_width():
    samples = np.zeros((3, 10, 539))
    low, high = crossed(samples.mean(axis=-1), SEEDS, samples, PAIR).bounds()
    # the rule of three: no change on N images leaves 3 / N
    assert (-low, high) == (pytest.approx(100 * 3 / 539, rel=0.2),) * 2


def test_runs_that_were_asked_the_same_images_agree_with_the_complete_design():
    rng = np.random.default_rng(7)
    cube = 60 * rng.normal(size=(1, 1, 300)) + 30 * rng.normal(size=(1, 10, 300))
    whole = crossed(cube.mean(axis=-1), SEEDS, cube)
    same = partial(cube, np.ones(cube.shape, dtype=bool), SEEDS)
    assert same.centre == pytest.approx(whole.centre)
    assert whole.error < same.error < 1.1 * whole.error


def test_runs_that_were_asked_other_images_have_the_error_of_repeated_streams():
    """First tenths of ten random streams, again and again from a population of images."""
    rng = np.random.default_rng(8)
    means, errors = [], []
    for _ in range(400):
        images = rng.normal(size=200)
        cube = np.broadcast_to(images, (1, 10, 200))
        asked = np.zeros((1, 10, 200), dtype=bool)
        for order in range(10):
            asked[0, order, rng.permutation(200)[:20]] = True
        interval = partial(cube, asked, SEEDS)
        means.append(interval.centre)
        errors.append(interval.error)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.12)
