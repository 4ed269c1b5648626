"""Measure this machine for `dmn plan`: CPU seconds of a few reference tasks, in less than a minute.

    dmn bench calibrate                         writes machine.json, which dmn plan reads

Each task is the least of a few runs. Do it while the machine is quiet: what else runs makes the
plan longer. Nothing is read.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dmn.artifacts import write_json, write_rows
from dmn.bench.stream import synthetic
from dmn.config import Config, load
from dmn.costs.machine import FILE, Machine, place
from dmn.evaluation.answers import pack
from dmn.evaluation.contract import Cell, Part, StudyData
from dmn.randomness import generator

IMAGES, CLASSES, DIMENSION, ORDERS = 2000, 50, 64, 5
PRODUCT_ROWS, PRODUCT_DIMENSION, OPERATIONS = 2048, 512, 1e11
SCANS, VIEWS = 32, 16


def least(run: Callable[[], object], repeats: int = 3) -> float:
    """Return the CPU seconds of the fastest of a few runs."""
    times = []
    for _ in range(repeats):
        before = time.process_time()
        run()
        times.append(time.process_time() - before)
    return min(times)


def start_seconds() -> float:
    """Return the CPU seconds of a process that imports what a measuring job imports."""
    command = [sys.executable, "-m", "dmn", "stage", "evaluation", "--help"]
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def product_seconds(dtype: torch.dtype) -> float:
    """Return the CPU seconds of 10^11 operations of large products."""
    a = torch.rand(PRODUCT_ROWS, PRODUCT_DIMENSION, dtype=dtype)
    b = torch.rand(PRODUCT_DIMENSION, PRODUCT_ROWS, dtype=dtype)
    done = 2.0 * PRODUCT_ROWS**2 * PRODUCT_DIMENSION
    return least(lambda: a @ b, 12) * OPERATIONS / done


def world() -> tuple[StudyData, Config]:
    """Return drawn features as a study is given them, and the configuration that answers them."""
    text, x = synthetic(CLASSES, DIMENSION, IMAGES)
    labels = generator(0, "calibration").integers(0, CLASSES, IMAGES)
    ids = [str(i) for i in range(IMAGES)]
    test = Part(x[:, None].numpy().astype(np.float16), labels, ids)
    names = [f"class {c}" for c in range(CLASSES)]
    return StudyData("drawn", "drawn", 0, names, 20.0, text.numpy(), test), load({})


def stream_and_row_seconds() -> tuple[float, float]:
    """Return the CPU seconds of a small stream with its weights, and of a table about it."""
    from dmn.evaluation.experiment import Experiment
    from dmn.evaluation.run import Run

    data, config = world()
    found: list[Run] = []

    def stream() -> None:
        found[:] = Experiment(data, config, Cell("zero_shot")).runs(range(ORDERS))

    stream()
    answered = least(stream)

    def table() -> None:
        rows = [row for run in found for row in run.course_rows(20)]
        with tempfile.TemporaryDirectory() as folder:
            write_rows(Path(folder) / "rows.csv", pack(rows, IMAGES).rows)

    return answered, least(table)


def encoder_seconds() -> float:
    """Return the CPU seconds of drawing and encoding views of scans by the embedded encoder."""
    from PIL import Image

    from dmn.bench.extraction import untrained
    from dmn.encoders.config import EncoderConfig, ViewConfig
    from dmn.encoders.extraction import Picture, ViewPlan, extract

    scans = generator(0, "calibration", "scans").integers(0, 256, (SCANS, 8, 8)).astype(np.uint8)
    pictures = [
        Picture(f"{i}.png", 0, partial(Image.fromarray, scan)) for i, scan in enumerate(scans)
    ]
    encoder = untrained(EncoderConfig(precision="float64"), "cpu")
    plan = ViewPlan(VIEWS, 0, ViewConfig(augmix=False))

    def extraction() -> None:
        with tempfile.TemporaryDirectory() as folder:
            extract(pictures, encoder, plan, Path(folder) / "features.safetensors")

    extraction()
    return least(extraction)


def measure(name: str) -> Machine:
    """Return what this machine takes."""
    torch.set_num_threads(1)
    stream, rows = stream_and_row_seconds()
    return Machine(
        name=name,
        start=round(start_seconds(), 3),
        float32=round(product_seconds(torch.float32), 3),
        float64=round(product_seconds(torch.float64), 3),
        stream=round(stream, 4),
        rows=round(rows, 4),
        encoder=round(encoder_seconds(), 3),
    )


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn bench calibrate`."""
    parser.add_argument("--out", metavar="FILE", help=f"to write (default: {FILE})")
    parser.add_argument("--name", default="this machine", help="what the plan calls the machine")


def main(arguments: argparse.Namespace) -> None:
    """Measure, write the file and print it."""
    found = measure(arguments.name)
    out = Path(arguments.out) if arguments.out else place()
    write_json(out, found.model_dump())
    sys.stdout.write(f"{out}: {found.model_dump_json(indent=1)}\n")
