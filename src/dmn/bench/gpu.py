"""All that an accelerator is for, in one run of at most ten minutes: streams, training, extraction.

    dmn bench gpu --out benchmark
    dmn bench gpu --out benchmark --device cpu --scale small    every path of it, in seconds

Features, pictures and weights are drawn, nothing is downloaded. Every figure comes with the size
that it was measured at; small sizes say nothing of an accelerator.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmn.artifacts import write_rows, write_text
from dmn.bench.extraction import bare_rate, extraction_rate, untrained
from dmn.bench.stream import LOGIT_SCALE, synthetic
from dmn.encoders.config import EncoderConfig, ViewConfig
from dmn.encoders.extraction import ViewPlan, fitted_batch
from dmn.engine.search import grid_correct
from dmn.engine.together.blockwise import answer_blockwise
from dmn.engine.together.requests import Request
from dmn.errors import OutputError
from dmn.method.fusion import Predictions
from dmn.method.projections import Projections
from dmn.method.training import train_projections
from dmn.network import DualMemoryNetwork
from dmn.randomness import generator
from dmn.report.tables import describe, markdown, printed

LOG = logging.getLogger(__name__)
ORDERS, LENGTH, EPOCHS = 10, 50, 20
GRID = [10.0**power for power in np.linspace(-3, 3, 13)]
CLOSE = 1e-4  # between the processor and the accelerator


@dataclass(frozen=True)
class Scale:
    """How large everything is: of the stream N, C, D; K shots; models, pictures and their views."""

    images: int
    classes: int
    dimension: int
    shots: int
    models: tuple[str, ...]
    pictures: int
    views: int


SCALES = {
    "full": Scale(50_000, 1000, 512, 16, ("RN50-quickgelu", "ViT-B-16-quickgelu"), 512, 8),
    "small": Scale(200, 5, 16, 2, ("embedded",), 3, 2),
}


@dataclass(frozen=True)
class Figure:
    """One line of the table: what, at which size, its value and unit, and the goal in words."""

    what: str
    size: str
    value: float
    unit: str
    goal: str = ""


def seconds(run: Callable[[], object], device: str, repeats: int = 3) -> float:
    """Return the seconds of the fastest of a few runs after one that counts not."""

    def timed() -> float:
        began = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    timed()
    return min(timed() for _ in range(repeats))


def streams(scale: Scale, device: str) -> Iterator[Figure]:
    """Yield the time of one order, of ten, and of the search for weights."""
    text, x = synthetic(scale.classes, scale.dimension, scale.images)
    x = x.to(device)
    network = DualMemoryNetwork(text, length=LENGTH, logit_scale=LOGIT_SCALE, device=device)
    size = f"N={scale.images:,} C={scale.classes:,} D={scale.dimension} L={LENGTH}"

    def one() -> None:
        for _ in network.evaluate(x, blocks=True):
            pass

    orders = [generator(i, "benchmark").permutation(scale.images) for i in range(ORDERS)]
    request = Request.of(network.model, x)

    def ten() -> None:
        answer_blockwise([request], orders, lambda block: None)

    yield Figure("stream, one order", size, seconds(one, device), "s", "below 1 on one H100")
    yield Figure("stream, ten orders", size, seconds(ten, device, 1), "s", "below 5 on one H100")
    found = network.evaluate(x)
    labels = generator(0, "benchmark").integers(0, scale.classes, scale.images)

    def search() -> None:
        predictions = Predictions(found.text.cpu().numpy(), found.dynamic.cpu().numpy())
        grid_correct(predictions, labels, GRID)

    yield Figure("weight search, one order", size, seconds(search, device, 1), "s")


def training(scale: Scale, device: str) -> Iterator[Figure]:
    """Yield the time of training class-wise biases on all shots."""
    text, x = synthetic(scale.classes, scale.dimension, scale.classes * scale.shots)
    shots = x.reshape(scale.classes, scale.shots, 1, -1)
    epochs = EPOCHS if scale.classes > 100 else 1

    def train() -> None:
        train_projections(
            text, shots, learning_rate=1e-4, epochs=epochs, generator=generator(0, "benchmark"),
            dtype=torch.float32, device=device,
        )  # fmt: skip

    size = f"C={scale.classes:,} K={scale.shots} D={scale.dimension}, {epochs} epochs"
    began = time.perf_counter()
    train()
    yield Figure("training of biases", size, time.perf_counter() - began, "s")


def extraction(scale: Scale, device: str, precision: str) -> Iterator[Figure]:
    """Yield how fast untrained models encode, alone and with pictures that the cores decode."""
    workers = max(0, cores() - 1) if device != "cpu" else 0
    plan = ViewPlan(scale.views, 0, ViewConfig(augmix=False))
    count = scale.pictures * scale.views
    for model in scale.models:
        encoder = untrained(EncoderConfig(model=model, precision=precision), device)
        batch = fitted_batch(encoder)
        bare = bare_rate(encoder, batch, count)
        whole = extraction_rate(encoder, plan, batch, scale.pictures, workers)
        size = f"{scale.pictures} pictures x {scale.views} crops, batch {batch}, {precision}"
        yield Figure(f"{model}, model alone", size, bare, "views/s")
        yield Figure(f"{model}, extraction, {cores()} cores", size, whole, "views/s")
        yield Figure(f"{model}, extraction / alone", size, whole / bare, "ratio", "0.9")


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


CASES: dict[str, dict[str, Any]] = {
    "zero-shot": {},
    "training-free": {"shots": 4},
    "biases": {"shots": 4, "projections": "bias"},
    "linear layers": {"shots": 4, "projections": "linear"},
    "centre": {"readout": "center"},
    "first in, first out": {"entry_rule": "fifo"},
}


def agreement(device: str, dtype: str) -> Iterator[Figure]:
    """Yield the largest difference to the processor in small cases, and how many writes differ."""
    for name, options in CASES.items():
        here, there = (_case(place, dtype, **options) for place in ("cpu", device))
        pairs = [(here.text, there.text), (here.dynamic, there.dynamic)]
        pairs += [] if here.static is None else [(here.static, there.static)]
        furthest = max(float((a - b.cpu()).abs().max()) for a, b in pairs)
        other = sum(
            int((getattr(here, part) != getattr(there, part).cpu()).sum())
            for part in ("pseudo_label", "slot", "evicted")
        )
        yield Figure(f"{name}, largest difference", dtype, furthest, "", f"{CLOSE:g}")
        yield Figure(f"{name}, other writes", dtype, other, "", "0")


def _case(device: str, dtype: str, shots: int = 0, projections: str = "", **options: Any) -> Any:
    C, D, N, V = 7, 32, 300, 4
    draws = generator(0, "agreement")

    def some(*shape: int) -> Tensor:
        return torch.from_numpy(draws.standard_normal(shape))

    text = some(C, D)
    views = text[torch.arange(N) % C][:, None] + some(N, V, D)
    given = None
    if projections:
        shape = (C, D) if projections == "bias" else (D, D)
        parts = {n: 0.1 * some(*shape) for n in ("query", "key", "value", "output", "text")}
        given = getattr(Projections, projections)(**parts)
    network = DualMemoryNetwork(
        text, some(C, shots, D) if shots else None, length=5, logit_scale=8.0, view_share=0.5,
        projections=given, device=device, dtype=dtype, **options,
    )  # fmt: skip
    return network.evaluate(views)


def figures(scale: Scale, device: str, precision: str) -> Iterator[Figure]:
    """Yield all lines of the table."""
    for dtype in ("float64", "float32"):
        yield from agreement(device, dtype)
    yield from streams(scale, device)
    yield from training(scale, device)
    yield from extraction(scale, device, precision)


def device_name(device: str) -> str:
    """Return what the device is called; OutputError where there is none."""
    if device == "cpu":
        return "the processor"
    if not torch.cuda.is_available():
        raise OutputError(
            "there is no GPU here, so there is nothing to measure; "
            "--device cpu --scale small goes through every path"
        )
    return torch.cuda.get_device_name(device)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn bench gpu`."""
    parser.add_argument("--out", metavar="FOLDER", required=True, help="for the tables")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (%(default)s)")
    parser.add_argument("--scale", choices=list(SCALES), default="full", help="(%(default)s)")
    parser.add_argument("--precision", default="float16", help="of the encoders (%(default)s)")


def main(arguments: argparse.Namespace) -> None:
    """Measure; write gpu.csv and gpu.md."""
    import pandas as pd

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    name = device_name(arguments.device)
    precision = "float32" if arguments.device == "cpu" else arguments.precision
    rows = []
    for found in figures(SCALES[arguments.scale], arguments.device, precision):
        LOG.info("%s (%s): %.4g %s", found.what, found.size, found.value, found.unit)
        rows.append(asdict(found))
    table = pd.DataFrame(rows)
    out = Path(arguments.out)
    write_rows(out / "gpu.csv", table)
    caption = f"Measured on {name} with {cores()} cores, sizes `{arguments.scale}`."
    shown = describe(table.assign(value=[f"{value:.4g}" for value in table["value"]]), caption)
    write_text(out / "gpu.md", markdown(printed(shown)))
