"""Time and memory of every peer, and the frontier of accuracy against cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from dmn.bench import peers as bench
from dmn.cli import main
from dmn.peers.loading import load_peers
from dmn.peers.table import PEERS
from dmn.report.drawing.figures import undominated


def test_every_peer_is_measured_beside_its_count_of_operations(tmp_path):
    sizes = ["--classes", "3", "--dimension", "8", "--images", "30", "--shots", "2"]
    main(["bench", "peers", "--out", str(tmp_path), "--repeats", "1", *sizes])
    found = pd.read_csv(tmp_path / "peers.csv").set_index("method")
    assert set(found.index) == set(PEERS)
    assert (found[["image_ms", "peak_mib", "operations"]] > 0).all().all()
    assert found.loc["zero_shot_clip", "times_first"] == 1
    assert "zero-shot CLIP" in (tmp_path / "peers.md").read_text()


def test_peak_memory_counts_what_a_method_allocates():
    given, images = bench.world(3, 8, 20, 2)
    (peer,) = load_peers(["zero_shot_clip"])
    least = bench.measure(peer, given, images, 1)["peak_mib"]
    kept = []

    def answer(fitted, shown, candidates):
        kept.append(np.ones(1 << 20))
        yield np.zeros((len(shown), 3))

    more = bench.measure(replace(peer, sweep=answer), given, images, 1)["peak_mib"]
    assert 7.9 < more - least < 8.1


def test_the_frontier_has_what_nothing_cheaper_beats():
    draws = np.random.default_rng(1)
    x, y = draws.integers(0, 8, 40).astype(float), draws.integers(0, 9, 40).astype(float)
    expected = sorted(
        {
            (a, b)
            for a, b in zip(x, y, strict=True)
            if not any((c <= a and d > b) or (c < a and d >= b) for c, d in zip(x, y, strict=True))
        }
    )
    assert list(zip(*undominated(x, y), strict=True)) == expected
