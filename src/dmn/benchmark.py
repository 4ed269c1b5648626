"""Cost of the plain loop, online steps and blocked evaluation against the matrix-product rate."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dmn import artifacts
from dmn.errors import OutputError, run_main
from dmn.network import DualMemoryNetwork
from dmn.reference import PlainLoop, Variant
from dmn.stream import Result, evaluate_many

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger(__name__)
GRID = {"classes": (10, 37, 100, 397, 1000), "lengths": (10, 50, 200), "dimensions": (512, 1024)}
QUICK = {"classes": (10, 37), "lengths": (5, 10), "dimensions": (64,)}
IMAGES_PER_CLASS = {True: 5, False: 25}
LEAST_IMAGES = {True: 100, False: 2000}
MANY_ORDERS, MANY_LENGTHS = 10, (5, 10, 20, 50)
LOGIT_SCALE = 20.0


def synthetic(classes: int, dimension: int, images: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return text [C, D] and images [N, D] around it; probabilities are spread out."""
    random = torch.Generator().manual_seed(seed)
    text = torch.nn.functional.normalize(torch.randn(classes, dimension, generator=random), dim=-1)
    label = torch.randint(0, classes, (images,), generator=random)
    noise = torch.randn(images, dimension, generator=random) / dimension**0.5
    return text, 0.4 * text[label] + noise


def product_rate(dimension: int, device: str = "cpu", repeats: int = 7) -> float:
    """Return the machine's best rate of float32 matrix products, in operations a second."""
    size = 2048
    a = torch.rand(size, dimension, device=device)
    b = torch.rand(dimension, size, device=device)
    return 2.0 * size * size * dimension / seconds(lambda: a @ b, device, repeats)


def seconds(run: Callable[[], object], device: str = "cpu", repeats: int = 3) -> float:
    """Return the least wall time of some runs, which a busy machine disturbs least."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times)


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
    classes: int, length: int, dimension: int, images: int, device: str, loop_images: int
) -> dict[str, Any]:
    """Return one row of the table; the plain loop is timed on a few images with full memories."""
    text, x = synthetic(classes, dimension, images)
    network = DualMemoryNetwork(text, length=length, logit_scale=LOGIT_SCALE, device=device)
    on_device = x.to(device)
    result = network.evaluate(on_device)
    blocked = seconds(lambda: network.evaluate(on_device), device) / images
    rate = product_rate(dimension, device)
    for row in x[:loop_images]:
        network.step(row)
    online = seconds(lambda: [network.step(row) for row in x[:loop_images]]) / loop_images
    plain = loop_seconds(text, x, length, loop_images)
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
        "rate_gflops": rate / 1e9,
        "share_of_rate": operations(result, dimension) / images / blocked / rate,
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


def measure_many(classes: int, dimension: int, images: int, device: str) -> dict[str, Any]:
    """Return what ten orders times four lengths cost, in evaluations of the longest length."""
    text, x = synthetic(classes, dimension, images)
    x = x.to(device)
    lengths = MANY_LENGTHS
    network = DualMemoryNetwork(text, length=lengths[-1], logit_scale=LOGIT_SCALE, device=device)
    random = np.random.default_rng(0)
    orders = [random.permutation(images) for _ in range(MANY_ORDERS)]
    network.evaluate(x)
    one = seconds(lambda: network.evaluate(x), device)
    many = seconds(lambda: evaluate_many(network, x, orders, lengths), device, 1)
    return {
        "device": device, "C": classes, "D": dimension, "N": images, "orders": MANY_ORDERS,
        "lengths": len(lengths), "one_s": one, "many_s": many, "ratio": many / one,
    }  # fmt: skip


def grid(quick: bool) -> list[tuple[int, int, int, int]]:
    """Return (C, L, D, N) of all rows; one row a class count has ten times the images."""
    sizes = QUICK if quick else GRID
    rows = []
    for classes in sizes["classes"]:
        images = max(LEAST_IMAGES[quick], IMAGES_PER_CLASS[quick] * classes)
        middle = sizes["lengths"][len(sizes["lengths"]) // 2]
        for dimension in sizes["dimensions"]:
            rows += [(classes, length, dimension, images) for length in sizes["lengths"]]
        rows.append((classes, middle, sizes["dimensions"][0], 10 * images))
    return rows


def figure(table: pd.DataFrame) -> Any:
    """Return cost against C, cost against N and the ratios, as one figure."""
    from matplotlib.figure import Figure

    shape = Figure(figsize=(11, 3.4), layout="constrained")
    by_classes, by_images, by_ratio = shape.subplots(1, 3)
    middle = table[(table.D.min() == table.D) & (sorted(table.L.unique())[-2] == table.L)]
    small = middle.sort_values("N").groupby("C").first().reset_index()
    for name in ("loop_ms", "online_ms", "blocked_ms"):
        by_classes.loglog(small.C, small[name], marker="o", label=name.removesuffix("_ms"))
    by_classes.set(xlabel="classes C", ylabel="ms an image")
    by_classes.legend()
    for classes, rows in middle.groupby("C"):
        ordered = rows.sort_values("N")
        by_images.loglog(
            ordered.N, ordered.blocked_ms * ordered.N / 1e3, "o-", label=f"C={classes}"
        )
    by_images.set(xlabel="images N", ylabel="s, blocked")
    by_images.legend()
    by_ratio.semilogx(small.C, 100 * small.share_of_rate, "s--", label="% of product rate")
    by_ratio.semilogx(small.C, small.ratio, "o-", label="loop / blocked")
    by_ratio.set(xlabel="classes C", yscale="log")
    by_ratio.legend()
    return shape


def markdown(table: pd.DataFrame, many: pd.DataFrame) -> str:
    """Return both tables as Markdown, with what the columns mean."""
    return (
        "# Cost of an evaluation\n\n"
        "Milliseconds an image of the plain loop (median of a few images; its cost does not\n"
        "depend on how full the memory is), of online steps and of the blocked evaluation with\n"
        "checks, labels, trace and Gram matrices; `ratio` is loop over blocked; `share_of_rate`\n"
        "is the needed products' share of the machine's matrix-product rate.\n\n"
        f"{_rows(table)}\n## Ten orders times four lengths\n\n{_rows(many)}"
    )


def _rows(table: pd.DataFrame) -> str:
    head = f"| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}\n"
    cells = (
        [f"{v:.4g}" if isinstance(v, float) else str(v) for v in row]
        for row in table.itertuples(index=False)
    )
    return head + "".join(f"| {' | '.join(row)} |\n" for row in cells)


def run(out: Path, quick: bool, devices: Sequence[str]) -> None:
    """Measure the grid and write benchmark.csv, many.csv, benchmark.md and benchmark.svg."""
    import pandas as pd

    loop_images = 3 if quick else 5
    rows, many = [], []
    for device in devices:
        for case in grid(quick):
            rows.append(measure(*case, device=device, loop_images=loop_images))
            LOG.info("C=%d L=%d D=%d N=%d: %.4f ms an image", *case, rows[-1]["blocked_ms"])
        for classes, images in ((10, 200),) if quick else ((37, 3700), (1000, 25000)):
            many.append(measure_many(classes, 64 if quick else 512, images, device))
    table, orders = pd.DataFrame(rows), pd.DataFrame(many)
    artifacts.write_rows(out / "benchmark.csv", table)
    artifacts.write_rows(out / "many.csv", orders)
    artifacts.write_text(out / "benchmark.md", markdown(table, orders))
    with artifacts.atomic(out / "benchmark.svg") as temporary:
        figure(table[table.device == devices[0]]).savefig(temporary, format="svg")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m dmn.benchmark`."""
    parser = argparse.ArgumentParser(prog="python -m dmn.benchmark", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and plot")
    parser.add_argument("--quick", action="store_true", help="a minute of small sizes")
    parser.add_argument("--device", help="cpu or cuda; both by default where there is a GPU")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    devices = [options.device] if options.device else ["cpu"]
    if not options.device and torch.cuda.is_available():
        devices.append("cuda")
    if devices == ["cuda"] and not torch.cuda.is_available():
        raise OutputError("device cuda was asked for and there is no GPU here; use --device cpu")
    run(options.out, options.quick, devices)


if __name__ == "__main__":
    run_main(main)
