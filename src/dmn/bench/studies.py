"""Whole studies against a plain implementation, and how they grow: time and memory in one run.

    dmn bench studies --out benchmark

The plain implementation is the published loop, one image after the other and one run after the
other, with the published search, which fuses all probabilities anew for each pair of weights. Its
loop is timed on a few images with 50 slots, whose cost does not depend on how many are full, and
counted for all. Features are drawn, nothing is read; cells are zero-shot and training-free.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dmn.artifacts import write_rows, write_text
from dmn.bench.reference import PlainLoop, Variant
from dmn.bench.stream import LOGIT_SCALE, peak_bytes, synthetic
from dmn.config import Config, load
from dmn.costs.sizes import Sizes
from dmn.costs.studies import Design, evaluation
from dmn.evaluation.contract import Part, StudyData
from dmn.report.tables import describe, markdown, printed
from dmn.studies.table import find_study, study_options

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger(__name__)
STUDIES = ("main", "length", "order")
SETTINGS = ["zero_shot", "training_free"]
LENGTHS = [1, 3, 5, 10, 20, 50, 100, 200]
FEW = 3  # images of the plain loop that are timed
VALIDATION = 2


@dataclass(frozen=True)
class Case:
    """A study's sizes: N images, C classes, D dimensions, K's, orders, and lengths of `length`."""

    images: int
    classes: int
    dimension: int
    shots: tuple[int, ...] = (1, 4)
    orders: int = 3
    lengths: tuple[int, ...] = tuple(LENGTHS)

    def config(self) -> Config:
        """Return the configuration of the case, in float32 as large data have it."""
        numerics = {"dtype": "float32"}
        return load({"settings": SETTINGS, "shots": list(self.shots), "numerics": numerics})

    def options(self, study: str) -> Any:
        """Return the options of a study."""
        return study_options(study, {"lengths": list(self.lengths)} if study == "length" else {})

    def data(self) -> StudyData:
        """Return drawn features as a study is given them."""
        most, per = max(self.shots), max(self.shots) + VALIDATION
        drawn = self.images + self.classes * per
        text, x = synthetic(self.classes, self.dimension, drawn)
        labels = (x @ text.T).argmax(dim=1).numpy()
        views = x.numpy().astype(np.float16)[:, None]
        test = Part(views[: self.images], labels[: self.images], _ids(self.images))
        rest = views[self.images :].reshape(self.classes, per, 1, self.dimension)
        few = rest[:, :most]
        count = self.classes * VALIDATION
        known = np.repeat(np.arange(self.classes), VALIDATION)
        val = Part(rest[:, most:].reshape(count, 1, -1), known, _ids(count))
        plain = text.numpy().astype(np.float16)
        memories = {K: np.concatenate([plain[:, None], few[:, :K, 0]], 1) for K in self.shots}
        names = [f"class {c}" for c in range(self.classes)]
        return StudyData("drawn", "drawn", 0, names, LOGIT_SCALE, plain, test, val, few, memories)

    def runs(self, study: str) -> float:
        """Return how many streams the study answers."""
        sizes = Sizes(
            N=self.images, V=1, C=self.classes, D=self.dimension, shots=self.shots, trainings=0,
            validation=VALIDATION, settings=tuple(SETTINGS), length=50, double=False,
        )  # fmt: skip
        return evaluation(study, Design(sizes, self.options(study), self.orders, 1)).runs


def _ids(count: int) -> list[str]:
    return [str(i) for i in range(count)]


CASES = {"small": Case(500, 10, 64), "middle": Case(3000, 100, 512)}
QUICK = {"small": Case(40, 3, 8, shots=(1,), orders=2, lengths=(1, 2))}
BASE = Case(1000, 20, 64, shots=(1,), orders=2, lengths=(5,))
GROWTH: dict[str, tuple[str, Case]] = {
    "images N": ("main", replace(BASE, images=10 * BASE.images)),
    "classes C": ("main", replace(BASE, classes=10 * BASE.classes)),
    "orders": ("main", replace(BASE, orders=10 * BASE.orders)),
    "lengths": ("length", replace(BASE, lengths=(*range(1, 10), 50))),
    "shots K": ("main", replace(BASE, shots=(10,))),
}


def study_run(study: str, case: Case) -> Callable[[], object]:
    """Return what measures a study, its data drawn already."""
    module, data, config = find_study(study), case.data(), case.config()
    return lambda: module.measure(data, config, case.options(study), range(case.orders))


def seconds(run: Callable[[], object]) -> float:
    """Return the wall time of one run."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def plain_seconds(study: str, case: Case) -> float:
    """Return the time of the plain implementation, from a few of its steps and one search."""
    data, runs = case.data(), case.runs(study)
    text, views = torch.from_numpy(data.text).float(), torch.from_numpy(data.test.views).float()
    shots = torch.from_numpy(data.memories[max(case.shots)][:, 1:]).float()
    # half of the runs of `order` and most of those of the others have shots
    steps = [_step_seconds(text, given, views) for given in (None, shots)]
    step = float(np.mean(steps))
    searched = 0.0 if study == "length" else _search_seconds(case, data.test.labels)
    return runs * (step * case.images + searched)


def _step_seconds(text: torch.Tensor, shots: torch.Tensor | None, views: torch.Tensor) -> float:
    loop = PlainLoop(text, shots, variant=Variant(logit_scale=LOGIT_SCALE))
    loop.step(views[0])
    return float(np.median([seconds(partial(loop.step, view)) for view in views[1 : 1 + FEW]]))


def _search_seconds(case: Case, labels: np.ndarray) -> float:
    """Return the time of the published search: all probabilities are fused for each pair."""
    draws = np.random.default_rng(0)
    shape = case.images, case.classes
    text, dynamic, static = (draws.random(shape, dtype=np.float32) for _ in range(3))
    grid = [np.float32(weight) for weight in case.config().fusion.grid]

    def search() -> float:
        return max(
            float(((text + a * dynamic + b * static).argmax(axis=1) == labels).mean())
            for a in grid
            for b in grid
        )

    return seconds(search)


def against_plain(cases: dict[str, Case], studies: Sequence[str]) -> pd.DataFrame:
    """Return one row a study and size: its time, that of the plain implementation, their ratio."""
    import pandas as pd

    rows = []
    for size, case in cases.items():
        for study in studies:
            run = study_run(study, case)
            run()
            own, plain = seconds(run), plain_seconds(study, case)
            rows.append(
                {"study": study, "size": size, "N": case.images, "C": case.classes}
                | {"D": case.dimension, "runs": case.runs(study), "plain_s": plain}
                | {"study_s": own, "ratio": plain / own, "peak_mib": _peak(run)}
            )
            LOG.info("%s, %s: %.2f s, %.0f times the plain one", study, size, own, plain / own)
    return pd.DataFrame(rows)


def growth(cases: dict[str, tuple[str, Case]], base: Case) -> pd.DataFrame:
    """Return time and memory of ten times as much of each size, in those of the base."""
    import pandas as pd

    rows = []
    for what, (study, case) in cases.items():
        runs = [study_run(study, one) for one in (base, case)]
        for run in runs:
            run()
        first, times = (seconds(run) for run in runs)
        peaks = [_peak(run) for run in runs]
        rows.append(
            {"ten times the": what, "study": study, "before_s": first, "after_s": times}
            | {"time, times": times / first, "before_mib": peaks[0], "after_mib": peaks[1]}
        )
        LOG.info("ten times the %s: %.1f times the time", what, times / first)
    return pd.DataFrame(rows)


def _peak(run: Callable[[], object]) -> float:
    """Return the MiB by which memory grows at most; pages that earlier runs left are given back."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    peak = peak_bytes(run)
    return float("nan") if peak is None else peak / 2**20


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn bench studies`."""
    parser.add_argument("--out", metavar="FOLDER", required=True, help="for the tables")
    parser.add_argument("--quick", action="store_true", help="seconds of tiny sizes")
    parser.add_argument("--studies", nargs="+", default=list(STUDIES), help="which of them")


def main(arguments: argparse.Namespace) -> None:
    """Measure; write studies.csv, growth_of_studies.csv and studies.md."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    found = against_plain(QUICK if arguments.quick else CASES, arguments.studies)
    base = next(iter(QUICK.values())) if arguments.quick else BASE
    grown = {what: (study, base) for what, (study, _) in GROWTH.items()}
    more = growth(grown if arguments.quick else GROWTH, base)
    out = Path(arguments.out)
    write_rows(out / "studies.csv", found)
    write_rows(out / "growth_of_studies.csv", more)
    captions = (
        "Whole studies, zero-shot and training-free, beside the published loop and search.",
        "Ten times as much of one size; linear is 10.",
    )
    tables = zip((found, more), captions, strict=True)
    write_text(
        out / "studies.md",
        "\n".join(markdown(printed(describe(table, words))) for table, words in tables),
    )
