"""How often intervals hold the truth, and how often verdicts name a difference that is not there.

    dmn bench intervals --out benchmark

Answers of two methods are drawn many times from a model whose true accuracies are known, and each
time the reports' own interval and verdict are made of them. Nothing is read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from dmn.artifacts import write_rows
from dmn.errors import ConfigError
from dmn.evaluation.intervals import Interval, crossed
from dmn.evaluation.summaries import DIFFERENCE, SHARE
from dmn.randomness import generator
from dmn.report.words import EFFECT, verdict

if TYPE_CHECKING:
    import pandas as pd

GAP = 3.0  # points that the better method is ahead, where one is
LEAST = 0.5  # the smallest difference worth naming, as reports.smallest_difference
SEEDS = ["splits", "orders"]
# shares of the latent variance: of an image for one method, and of what images share with seeds
OWN, BY_SPLIT, BY_ORDER, REST = 0.06, 0.05, 0.02, 0.02
SMALL, LARGE = 0.001, 0.01  # of a seed: at 80 % right 0.9 and 2.8 points between its levels


@dataclass(frozen=True)
class Design:
    """How much is measured, how accurate both methods are, and the shares of seeds."""

    images: int
    splits: int
    orders: int
    accuracy: float = 80.0
    split_share: float = 0.0
    order_share: float = 0.0


@dataclass(frozen=True)
class Found:
    """Shares in percent over all simulations, and the mean half width of a difference's interval.

    false_alarms: an interval of a true zero that leaves zero out; named: those among them that get
    the word helps or hurts.
    """

    coverage_of_accuracy: float
    coverage: float
    false_alarms: float
    named: float
    half_width: float


def designs() -> Iterator[Design]:
    """Yield the designs of the documented table."""
    for images, (splits, orders) in product((120, 500, 2000), ((1, 10), (3, 3), (3, 10), (5, 5))):
        for split, order in ((0.0, 0.0), (SMALL, SMALL), (LARGE, SMALL), (SMALL, LARGE)):
            # one split is held as it is: its interval is of this split
            if splits > 1 or split <= SMALL:
                yield Design(images, splits, orders, 80.0, split if splits > 1 else 0.0, order)
    for images, accuracy in product((120, 500), (60.0, 95.0)):
        yield Design(images, 3, 10, accuracy, SMALL, SMALL)


def answers(
    design: Design, gaps: Sequence[float], draws: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return which images a control answers right [N], and a method by its gap [splits, orders, N].

    Right is a standard normal draw above a threshold, for both: the control's is of the image
    alone, the method's of image, split, order and what they share. So true accuracies are known.
    """
    splits, orders, N = design.splits, design.orders, design.images
    by_split = BY_SPLIT if splits > 1 else 0.0
    shares = (design.split_share, design.order_share, OWN, by_split, BY_ORDER, REST)
    image = draws.standard_normal(N)
    seeds = ((splits, 1, 1), (1, orders, 1))
    shapes = (*seeds, (N,), (splits, 1, N), (1, orders, N), (splits, orders, N))
    latent = np.sqrt(1 - sum(shares)) * image
    for share, shape in zip(shares, shapes, strict=True):
        if share:
            latent = latent + np.sqrt(share) * draws.standard_normal(shape)
    other = np.sqrt(1 - OWN) * image + np.sqrt(OWN) * draws.standard_normal(N)
    control = other < special.ndtri(design.accuracy / 100)
    return control, [latent < special.ndtri((design.accuracy + gap) / 100) for gap in gaps]


def simulate(design: Design, count: int, seed: int) -> Found:
    """Return what `count` simulations of a design give; a seed's numbers are always the same."""
    draws = generator(seed, "coverage", *(str(value) for value in asdict(design).values()))
    # the better method stays below 100 %
    gap = min(GAP, (100 - design.accuracy) / 2)
    held = {"accuracy": 0, "difference": 0, "alarm": 0, "named": 0}
    width = 0.0
    for _ in range(count):
        control, (ahead, level) = answers(design, (gap, 0.0), draws)
        own = _interval(100.0 * ahead, SHARE)
        held["accuracy"] += _holds(own, design.accuracy + gap)
        apart = _interval(100.0 * ahead - 100.0 * control, DIFFERENCE)
        held["difference"] += _holds(apart, gap)
        low, high = apart.bounds()
        width += (high - low) / 2
        nothing = 100.0 * level - 100.0 * control
        row = _row(nothing, _interval(nothing, DIFFERENCE))
        held["alarm"] += row["p"] < 0.05
        held["named"] += verdict(row, LEAST) in (EFFECT["gain"], EFFECT["loss"])
    accuracy, difference, alarm, named = (100 * number / count for number in held.values())
    return Found(accuracy, difference, alarm, named, width / count)


def _interval(samples: np.ndarray, added: Sequence[float]) -> Interval:
    return crossed(samples.mean(axis=-1), SEEDS, samples, added)


def _holds(interval: Interval, truth: float) -> bool:
    low, high = interval.bounds()
    return bool(low <= truth <= high)


def _row(samples: np.ndarray, interval: Interval) -> dict[str, float]:
    low, high = interval.bounds()
    return {"mean": float(samples.mean()), "low": low, "high": high, "p": interval.p_value()}


def table(count: int, seed: int, found: Sequence[Design] | None = None) -> pd.DataFrame:
    """Return one row a design."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for design in designs() if found is None else found:
        rows.append(asdict(design) | asdict(simulate(design, count, seed)))
    return pd.DataFrame(rows).assign(simulations=count, seed=seed)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn bench intervals`."""
    parser.add_argument("--simulations", type=int, default=2000, help="of each design")
    parser.add_argument("--seed", type=int, default=0, help="of all drawings")
    parser.add_argument("--out", metavar="FOLDER", help="where intervals.csv is written")


def main(arguments: argparse.Namespace) -> None:
    """Simulate, print the table and write it."""
    if arguments.simulations < 1:
        raise ConfigError(f"--simulations {arguments.simulations}: at least one is needed")
    found = table(arguments.simulations, arguments.seed)
    if arguments.out:
        write_rows(Path(arguments.out) / "intervals.csv", found)
    shown = found.drop(columns=["simulations", "seed"])
    sys.stdout.write(shown.to_string(index=False, float_format="{:g}".format) + "\n")
