"""Verdicts need intervals, ties are ties, and lists are corrected for their length."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dmn.evaluation.answers import COLUMN, Answers
from dmn.evaluation.summaries import paired
from dmn.report.comparisons import leader, span
from dmn.report.words import RIVALRY, leading, said, tally, uncertainty, verdict

LEAST = 0.5


def rows(right: np.ndarray, images: bool = True, **keys) -> pd.DataFrame:
    """Return rows of accuracy in percent, of answers [splits, orders, N], with or without them."""
    found = [
        {
            **keys,
            "metric": "accuracy",
            "split_seed": split,
            "order_seed": order,
            "value": 100 * run.mean(),
            COLUMN: Answers(len(run), np.packbits(run)) if images else None,
        }
        for split, runs in enumerate(right)
        for order, run in enumerate(runs)
    ]
    return pd.DataFrame(found)


def difference(treated: np.ndarray, control: np.ndarray, images: bool = True):
    """Return the paired difference of two methods' answers."""
    both = pd.concat([rows(treated, images, m=1), rows(control, images, m=0)])
    return paired(both, [], {"m": 1}, {"m": 0}).iloc[0]


def test_one_image_of_120_that_is_lost_in_every_run_hurts_nothing():
    text = np.ones((3, 10, 120), dtype=bool)
    memory = text.copy()
    memory[..., 7] = False
    over_seeds, over_images = (difference(memory, text, images) for images in (False, True))
    assert over_seeds["mean"] == over_images["mean"] == pytest.approx(-100 / 120)
    assert verdict(over_seeds, LEAST) == "is not judged"
    assert "no interval: nothing varies" in said(over_seeds, " points", signed=True)
    assert verdict(over_images, LEAST) == "makes no clear difference"
    assert "over 120 images" in said(over_images, " points", signed=True)


def test_at_an_exact_tie_no_length_is_the_most_accurate():
    rng = np.random.default_rng(0)
    full = rng.random((1, 10, 300)) < 0.8
    short = full & (rng.random(300) < 0.8)
    table = pd.concat([rows(short, length=1), *(rows(full, length=n) for n in (50, 100, 200))])
    words = leading(leader(table, "length"), LEAST, "the most accurate")
    assert words.startswith("none is clearly the most accurate: first is 50,")
    assert words.endswith("; 100 and 200 tie with it")
    alone = leading(leader(table[table["length"] <= 50], "length"), LEAST, "the most accurate")
    assert alone.startswith("the most accurate is 50,")
    assert "ahead of the next, 1, by +" in alone
    assert alone.count("95% interval") == 2


def test_an_interval_over_orders_alone_is_too_narrow_and_says_so():
    """As measured on the digits: +6.6 [6.0, 7.2] over orders, [4.2, 8.9] over images too."""
    rng = np.random.default_rng(1)
    text = np.broadcast_to(rng.random(539) < 0.73, (1, 10, 539))
    gained = ~text & (rng.random(539) < 0.33)
    lost = text & (rng.random(539) < 0.03)
    memory = (text | gained) & ~lost
    memory = memory ^ (rng.random((1, 10, 539)) < 0.01)
    over_orders, over_both = (difference(memory, text, images) for images in (False, True))
    widths = [row["high"] - row["low"] for row in (over_orders, over_both)]
    assert widths[0] < 1.5
    assert widths[1] > 3 * widths[0]
    assert "over 10 orders, with 1 split only)" in said(over_orders)
    assert "over 10 orders and 539 images, with 1 split only)" in said(over_both)


def row(mean: float, low: float, high: float, p: float, **others):
    """Return a difference as `paired` gives it."""
    counts = {"n_splits": 3, "n_orders": 10, "n_images": 539, "over": "orders, images", "held": ""}
    return {"mean": mean, "low": low, "high": high, "p": p} | counts | others


@pytest.mark.parametrize(
    ("difference", "effect", "rivalry"),
    [
        (row(2, 1, 3, 0.001), "helps", "is ahead of"),
        (row(-2, -3, -1, 0.001), "hurts", "is behind"),
        (row(2, -1, 5, 0.2), "makes no clear difference", "is not clearly apart from"),
        (row(0, -1, 1, 1.0), "ties", "ties with"),
        (
            row(0.3, 0.1, 0.6, 0.01),
            "makes too small a difference to name",
            "is too close to name apart from",
        ),
        (
            row(0.1, -0.3, 0.4, 0.5),
            "makes too small a difference to name",
            "is too close to name apart from",
        ),
        (row(2, np.nan, np.nan, np.nan), "is not judged", "is not judged against"),
    ],
)
def test_a_verdict_follows_from_the_interval_and_the_smallest_difference(
    difference, effect, rivalry
):
    assert verdict(difference, LEAST) == effect
    assert verdict(difference, LEAST, RIVALRY) == rivalry


def test_a_tally_corrects_for_its_length_and_shows_the_intervals_of_what_it_names():
    found = [
        row(2, 1, 3, 0.001, at="noise"),
        row(-5, -8, -2, 0.002, at="blur"),
        row(1, 0.1, 1.9, 0.04, at="fog"),
        row(0.6, -1, 2, 0.5, at="snow"),
    ]
    words = tally(found, "at", LEAST)
    assert words.startswith("helps in 1 of 4 (noise +2.0 [+1.0, +3.0]); hurts in 1 of 4 (blur")
    assert "makes no clear difference in 2 of 4 (fog and snow)" in words
    assert words.endswith(
        "95% intervals in points over 10 orders and 539 images, verdicts with Holm's correction "
        "for 4"
    )
    assert tally(found[2:3], "at", LEAST).startswith("helps in 1 of 1 (fog")


def test_a_span_is_corrected_for_the_choice_of_its_ends():
    rng = np.random.default_rng(2)
    table = pd.concat([rows(rng.random((1, 10, 200)) < 0.7, beta=b) for b in (1, 2, 3, 4)])
    far = span(table, "beta")
    assert far is not None
    assert far.comparisons == 6
    plain = paired(table, [], {"beta": far.high}, {"beta": far.low}).iloc[0]
    assert far.row["mean"] == plain["mean"] > 0
    assert far.row["p"] == pytest.approx(min(1, 6 * plain["p"]))
    assert span(table[table["beta"] == 1], "beta") is None


def test_a_table_says_over_what_its_intervals_are():
    table = pd.DataFrame(
        [
            row(1, 0, 2, 0.1, n_images=50),
            row(1, 0, 2, 0.1, n_images=55),
            row(1, 0, 2, 0.1, over="splits", held="orders", n_orders=2),
            row(1, np.nan, np.nan, 0.1, over="nothing"),
        ]
    )
    expected = "over 10 orders and 50 to 55 images, or over 3 splits, with 2 orders only"
    assert uncertainty(table) == expected
