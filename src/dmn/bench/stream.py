"""Cost of the plain loop, online steps and blocked evaluation against the matrix-product rate.

    dmn bench stream --out benchmark

Features are drawn, nothing is read. Whole sizes take some minutes.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dmn import artifacts
from dmn.bench.reference import PlainLoop, Variant
from dmn.engine.evaluate import Result
from dmn.errors import OutputError
from dmn.network import DualMemoryNetwork, evaluate_many

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger(__name__)
GRID = {"classes": (10, 37, 100, 397, 1000), "lengths": (10, 50, 200), "dimensions": (512, 1024)}
QUICK = {"classes": (10, 37), "lengths": (5, 10), "dimensions": (64,)}
IMAGES_PER_CLASS = {True: 5, False: 25}
LEAST_IMAGES = {True: 100, False: 3700}
MANY_ORDERS, MANY_LENGTHS = 10, (5, 10, 20, 50)
# a memory that is full after a tenth of N: one that still fills costs more the longer it runs
GROWTH_LENGTH, FILLED = 5, 10
LOGIT_SCALE = 20.0
# a busy machine changes its pace within a second: what is compared is timed in turns
ROUNDS, SECONDS = {True: 1, False: 5}, {True: 0.02, False: 0.4}
PRODUCT_ROWS = 2048


def synthetic(classes: int, dimension: int, images: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return text [C, D] and images [N, D] around it; probabilities are spread out."""
    random = torch.Generator().manual_seed(seed)
    text = torch.nn.functional.normalize(torch.randn(classes, dimension, generator=random), dim=-1)
    label = torch.randint(0, classes, (images,), generator=random)
    noise = torch.randn(images, dimension, generator=random) / dimension**0.5
    return text, 0.4 * text[label] + noise


def rate_of(run: Callable[[], object], least: float, device: str = "cpu") -> float:
    """Return how often a second `run` ends, from as many as fit into `least` seconds."""
    count, started = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - started < least:
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        count += 1
    return count / (time.perf_counter() - started)


def in_turns(
    runs: Sequence[Callable[[], object]], rounds: int, least: float, device: str = "cpu"
) -> np.ndarray:
    """Return seconds [rounds, runs] of each run; a round is one turn of at least `least` each."""
    return np.array([[1 / rate_of(run, least, device) for run in runs] for _ in range(rounds)])


def products(dimension: int, device: str = "cpu") -> tuple[Callable[[], object], float]:
    """Return a large float32 matrix product, and its multiplications and additions."""
    a = torch.rand(PRODUCT_ROWS, dimension, device=device)
    b = torch.rand(dimension, PRODUCT_ROWS, device=device)
    return lambda: a @ b, 2.0 * PRODUCT_ROWS**2 * dimension


def operations(result: Result, dimension: int) -> float:
    """Return the multiplications and additions of the products that the answers need.

    2 D for each slot that an image sees, text slots included, and 2 D C for its text prediction.
    """
    schedule = result.schedule
    assert schedule is not None
    N, C = result.dynamic.shape
    change = np.zeros(N + 1)
    np.add.at(change, schedule.stored, 1)
    np.add.at(change, schedule.end[schedule.stored], -1)
    slots = float(np.cumsum(change[:N]).sum()) + N * C
    return 2.0 * dimension * (slots + N * C)


def measure(
    classes: int, length: int, dimension: int, images: int, device: str, quick: bool = False
) -> dict[str, Any]:
    """Return one row of the table.

    Evaluations and products take turns; share of the rate and times are medians of the rounds.
    The plain loop is timed on a few images: it reads all slots, full or not.
    """
    text, x = synthetic(classes, dimension, images)
    network = DualMemoryNetwork(text, length=length, logit_scale=LOGIT_SCALE, device=device)
    on_device, few = x.to(device), x[: 3 if quick else 5]
    work = operations(network.evaluate(on_device), dimension)
    product, product_work = products(dimension, device)
    product()
    runs = [product, lambda: network.evaluate(on_device), product]
    times = in_turns(runs, ROUNDS[quick], SECONDS[quick], device)
    rates = product_work / times[:, ::2].mean(axis=1)
    shares = work / times[:, 1] / rates
    blocked = float(np.median(times[:, 1])) / images
    for row in few:
        network.step(row)
    online = 1 / rate_of(lambda: [network.step(row) for row in few], SECONDS[quick]) / len(few)
    plain = loop_seconds(text, x, length, len(few))
    return {
        "device": device,
        "C": classes,
        "L": length,
        "D": dimension,
        "N": images,
        "loop_ms": 1e3 * plain,
        "online_ms": 1e3 * online,
        "blocked_ms": 1e3 * blocked,
        "ratio": plain / blocked,
        "rate_gflops": float(np.median(rates)) / 1e9,
        "share_of_rate": float(np.median(shares)),
    }


def loop_seconds(text: Tensor, x: Tensor, length: int, images: int) -> float:
    """Return the plain loop's time for one image; it reads all L slots, full or not."""
    loop = PlainLoop(text, variant=Variant(length=length, logit_scale=LOGIT_SCALE))
    rows = iter(x[: images + 1])
    loop.step(next(rows)[None])
    times = []
    for row in rows:
        started = time.perf_counter()
        loop.step(row[None])
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def measure_many(
    classes: int, dimension: int, images: int, device: str, quick: bool = False
) -> dict[str, Any]:
    """Return what ten orders times four lengths cost, in evaluations of the longest length.

    The many answers go to memory that is there already.
    """
    text, x = synthetic(classes, dimension, images)
    x = x.to(device)
    lengths = MANY_LENGTHS
    network = DualMemoryNetwork(text, length=lengths[-1], logit_scale=LOGIT_SCALE, device=device)
    random = np.random.default_rng(0)
    permutations = [random.permutation(images) for _ in range(MANY_ORDERS)]
    out = torch.zeros(MANY_ORDERS, len(lengths), 1, images, classes, device=device)

    def many() -> object:
        return evaluate_many(network, x, permutations, lengths, out=out)

    many(), network.evaluate(x)
    times = in_turns([lambda: network.evaluate(x), many], ROUNDS[quick], SECONDS[quick], device)
    return {
        "device": device, "C": classes, "L": lengths[-1], "D": dimension, "N": images,
        "orders": MANY_ORDERS, "lengths": len(lengths), "one_s": float(np.median(times[:, 0])),
        "many_s": float(np.median(times[:, 1])),
        "ratio": float(np.median(times[:, 1] / times[:, 0])),
    }  # fmt: skip


def measure_growth(
    classes: int, dimension: int, device: str, quick: bool = False
) -> list[dict[str, Any]]:
    """Return time and memory of N and of 10 N images, whose answers are given out in blocks."""
    length = GROWTH_LENGTH
    images = max(LEAST_IMAGES[quick], FILLED * length * classes)
    text, x = synthetic(classes, dimension, 10 * images)
    x = x.to(device)
    network = DualMemoryNetwork(text, length=length, logit_scale=LOGIT_SCALE, device=device)

    def run(count: int) -> None:
        for _ in network.evaluate(x[:count], blocks=True):
            pass

    sizes = (images, 10 * images)
    run(images)
    peaks = [peak_bytes(partial(run, n), device) for n in sizes]
    rounds = 1 if quick else 3
    times = in_turns([partial(run, n) for n in sizes], rounds, SECONDS[quick], device)
    ratios = np.median(times / times[:, :1], axis=0)
    return [
        {
            "device": device, "C": classes, "L": length, "D": dimension, "N": n,
            "seconds": float(seconds), "times_the_first": float(ratio),
            # the stream's own features are kept once more, of unit norm
            "peak_mib": None if peak is None else (peak - 4 * n * dimension) / 2**20,
        }
        for n, seconds, ratio, peak in zip(sizes, np.median(times, 0), ratios, peaks, strict=True)
    ]  # fmt: skip


def peak_bytes(run: Callable[[], object], device: str = "cpu") -> int | None:
    """Return by how much the memory in use grew at most; None where the system does not say."""
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    try:
        # Linux: forget the peak so far
        Path("/proc/self/clear_refs").write_text("5")
        before = _status_bytes("VmRSS")
        run()
        return _status_bytes("VmHWM") - before
    except (OSError, KeyError):
        return None


def _status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(dict(line.split(":", 1) for line in lines)[key].split()[0])


def grid(quick: bool) -> list[tuple[int, int, int, int]]:
    """Return (C, L, D, N) of all rows."""
    sizes = QUICK if quick else GRID
    return [
        (classes, length, dimension, images_of(classes, quick))
        for classes in sizes["classes"]
        for dimension in sizes["dimensions"]
        for length in sizes["lengths"]
    ]


def images_of(classes: int, quick: bool) -> int:
    """Return N for a number of classes."""
    return max(LEAST_IMAGES[quick], IMAGES_PER_CLASS[quick] * classes)


def figure(table: pd.DataFrame, growth: pd.DataFrame) -> Any:
    """Return cost against C, cost against N and the ratios, as one figure."""
    from matplotlib.figure import Figure

    shape = Figure(figsize=(11, 3.4), layout="constrained")
    by_classes, by_images, by_ratio = shape.subplots(1, 3)
    middle = table[(table.D.min() == table.D) & (sorted(table.L.unique())[-2] == table.L)]
    for name in ("loop_ms", "online_ms", "blocked_ms"):
        by_classes.loglog(middle.C, middle[name], marker="o", label=name.removesuffix("_ms"))
    by_classes.set(xlabel="classes C", ylabel="ms an image")
    by_classes.legend()
    for classes, rows in growth.groupby("C"):
        by_images.loglog(rows.N, rows.seconds, "o-", label=f"C={classes}")
    by_images.set(xlabel="images N", ylabel="s, blocked")
    by_images.legend()
    by_ratio.semilogx(middle.C, 100 * middle.share_of_rate, "s--", label="% of product rate")
    by_ratio.semilogx(middle.C, middle.ratio, "o-", label="loop / blocked")
    by_ratio.set(xlabel="classes C", yscale="log")
    by_ratio.legend()
    return shape


def markdown(table: pd.DataFrame, many: pd.DataFrame, growth: pd.DataFrame) -> str:
    """Return the three tables as Markdown, with what the columns mean."""
    return (
        "# Cost of an evaluation\n\n"
        "Milliseconds an image of the plain loop (median of a few images; its cost does not\n"
        "depend on how full the memory is), of online steps and of the blocked evaluation with\n"
        "checks, labels, trace and Gram matrices; `ratio` is loop over blocked; `share_of_rate`\n"
        "is the needed products' share of the machine's matrix-product rate, measured in turns.\n"
        f"\n{_rows(table)}\n## Ten orders times four lengths\n\n{_rows(many)}"
        "\n## Ten times the images\n\n"
        "The memory is full early, and answers are given out block by block. `peak_mib` is the\n"
        f"most memory in use, without the features.\n\n{_rows(growth)}"
    )


def _rows(table: pd.DataFrame) -> str:
    head = f"| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}\n"
    cells = (
        [f"{v:.4g}" if isinstance(v, float) else str(v) for v in row]
        for row in table.itertuples(index=False)
    )
    return head + "".join(f"| {' | '.join(row)} |\n" for row in cells)


def run(out: Path, quick: bool, devices: Sequence[str]) -> None:
    """Measure all; write benchmark.csv, many.csv, growth.csv, benchmark.md and benchmark.svg."""
    import pandas as pd

    sizes = QUICK if quick else GRID
    dimension = sizes["dimensions"][0]
    rows, many, growth = [], [], []
    for device in devices:
        for case in grid(quick):
            rows.append(measure(*case, device, quick))
            LOG.info(
                "C=%d L=%d D=%d N=%d: %.4f ms an image, %.0f times the loop, %.2f of the rate",
                *case, rows[-1]["blocked_ms"], rows[-1]["ratio"], rows[-1]["share_of_rate"],
            )  # fmt: skip
        for classes in QUICK["classes"][:1] if quick else (37, 1000):
            many.append(measure_many(classes, dimension, images_of(classes, quick), device, quick))
            LOG.info("C=%d: ten orders, four lengths: %.1f times one", classes, many[-1]["ratio"])
        for classes in sizes["classes"]:
            growth += measure_growth(classes, dimension, device, quick)
            LOG.info("C=%d: 10 N costs %.1f times N", classes, growth[-1]["times_the_first"])
    table, orders, grown = pd.DataFrame(rows), pd.DataFrame(many), pd.DataFrame(growth)
    artifacts.write_rows(out / "benchmark.csv", table)
    artifacts.write_rows(out / "many.csv", orders)
    artifacts.write_rows(out / "growth.csv", grown)
    artifacts.write_text(out / "benchmark.md", markdown(table, orders, grown))
    first = devices[0]
    with artifacts.atomic(out / "benchmark.svg") as temporary:
        drawn = figure(table[table.device == first], grown[grown.device == first])
        drawn.savefig(temporary, format="svg")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn bench stream`."""
    parser.add_argument("--out", metavar="FOLDER", required=True, help="for tables and plot")
    parser.add_argument("--quick", action="store_true", help="a minute of small sizes")
    parser.add_argument("--device", help="cpu or cuda; both by default where there is a GPU")


def main(arguments: argparse.Namespace) -> None:
    """Measure on one device or on all."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices = [arguments.device] if arguments.device else ["cpu"]
    if not arguments.device and torch.cuda.is_available():
        devices.append("cuda")
    if devices == ["cuda"] and not torch.cuda.is_available():
        raise OutputError("device cuda was asked for and there is no GPU here; use --device cpu")
    run(Path(arguments.out), arguments.quick, devices)
