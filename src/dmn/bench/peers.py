"""Time and memory an image of every peer, measured side by side, beside its count of operations.

    OMP_NUM_THREADS=1 dmn bench peers --out benchmark

One process answers the same images with each method's fixed setting. Times are the
least of several runs. They belong to this machine, so no report has them; ratios to zero-shot CLIP
carry over better, counts entirely. Memory is the peak of what Python and numpy allocate meanwhile.
"""

from __future__ import annotations

import argparse
import logging
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.artifacts import write_rows, write_text
from dmn.peers.contract import Given, Images, Peer, Sizes
from dmn.peers.formulas import unit
from dmn.peers.loading import load_peers
from dmn.peers.table import PEERS
from dmn.randomness import generator
from dmn.report.tables import describe, markdown, printed

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger(__name__)
MEBI = 1 << 20
FIRST = "zero_shot_clip"  # what ratios are to
VIEWS = 16
NOISE = 0.9


def world(classes: int, dimension: int, images: int, shots: int) -> tuple[Given, Images]:
    """Return clustered features: what a method is given, and test images [N, V, D]."""
    draws = generator(0, "benchmark of peers", classes, dimension, images, shots)
    centres = unit(draws.standard_normal((classes, dimension)))

    def sample(labels: np.ndarray, views: int) -> np.ndarray:
        noise = draws.standard_normal((len(labels), views, dimension)) / np.sqrt(dimension)
        return unit(centres[labels][:, None] + NOISE * noise).astype(np.float16)

    text = unit(centres + 0.5 * draws.standard_normal((classes, dimension)) / np.sqrt(dimension))
    few = sample(np.repeat(np.arange(classes), shots), 1).reshape(classes, shots, 1, dimension)
    test = Images(sample(draws.integers(0, classes, images), VIEWS))
    return Given(text, 100.0, unit(few[:, :, 0]), few), test


def measure(peer: Peer, given: Given, images: Images, repeats: int) -> dict[str, Any]:
    """Return milliseconds and peak memory of one method's preparation and answers."""

    def prepare() -> Any:
        return peer.fit(given, peer.options)

    ready = prepare()
    prepared = _fastest(prepare, repeats)
    answered = _fastest(lambda: peer.answer(ready, images, peer.options), repeats)
    tracemalloc.start()
    peer.answer(prepare(), images, peer.options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    shots = 0 if given.shots is None else given.shots.shape[1]
    C, D = given.text.shape
    sizes = Sizes(C, D, shots, len(images), images.cached.shape[1])
    cost = peer.cost(sizes, peer.options)
    return {
        "method": peer.name,
        "sees": peer.sees,
        "prepare_ms": 1e3 * prepared,
        "image_ms": 1e3 * answered / len(images),
        "peak_mib": peak / MEBI,
        "operations": cost.operations,
        "numbers": cost.numbers,
    }


def _fastest(run: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def table(given: Given, images: Images, peers: list[Peer], repeats: int) -> pd.DataFrame:
    """Return one row a method; times_first is its time an image over that of zero-shot CLIP."""
    import pandas as pd

    bare = Given(given.text, given.logit_scale)
    rows = []
    for peer in peers:
        rows.append(measure(peer, given if "shots" in peer.needs else bare, images, repeats))
        LOG.info("%s: %.4f ms an image", peer.name, rows[-1]["image_ms"])
    found = pd.DataFrame(rows)
    first = found.loc[found["method"] == FIRST, "image_ms"].iloc[0]
    found.insert(4, "times_first", found["image_ms"] / first)
    return found.sort_values("image_ms", kind="stable").reset_index(drop=True)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn bench peers`."""
    parser.add_argument("--out", metavar="FOLDER", required=True, help="for the tables")
    parser.add_argument("--methods", nargs="+", default=list(PEERS), help="peers; all by default")
    for name, value, told in (
        ("classes", 37, "C"),
        ("dimension", 512, "D"),
        ("images", 1000, "test images"),
        ("shots", 16, "K"),
        ("repeats", 3, "runs, the fastest counts"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{told} ({value})")


def main(arguments: argparse.Namespace) -> None:
    """Measure; write peers.csv and peers.md."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    peers = load_peers([FIRST, *(name for name in arguments.methods if name != FIRST)])
    sizes = arguments.classes, arguments.dimension, arguments.images, arguments.shots
    found = table(*world(*sizes), peers, arguments.repeats)
    out = Path(arguments.out)
    write_rows(out / "peers.csv", found)
    caption = (
        f"Time and memory of each method on this machine: {sizes[0]} classes, "
        f"{sizes[1]} dimensions, {sizes[2]} images, {sizes[3]} shots where it needs any."
    )
    labels = {"prepare_ms": "prepare, ms", "image_ms": "an image, ms", "peak_mib": "peak, MiB"}
    labels |= {"times_first": "times zero-shot CLIP"}
    shown = describe(found, caption, labels=labels, decimals={"image_ms": 4, "times_first": 1})
    write_text(out / "peers.md", markdown(printed(shown)))
