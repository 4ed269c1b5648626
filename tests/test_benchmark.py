"""The benchmark measures what it says; its times are not checked."""

from __future__ import annotations

import mmap
from pathlib import Path

import pandas as pd
import pytest
import torch

from dmn.bench.stream import grid, operations, peak_bytes, run, synthetic
from dmn.cli import main
from dmn.network import DualMemoryNetwork


def test_the_quick_benchmark_writes_tables_and_a_plot(tmp_path: Path) -> None:
    run(tmp_path, quick=True, devices=["cpu"])
    table = pd.read_csv(tmp_path / "benchmark.csv")
    assert {"C", "L", "D", "N", "loop_ms", "blocked_ms", "ratio", "share_of_rate"} <= set(table)
    assert len(table) == len(grid(quick=True))
    assert (tmp_path / "benchmark.md").read_text().count("|---|") >= 2
    assert (tmp_path / "benchmark.svg").stat().st_size > 1000
    assert pd.read_csv(tmp_path / "many.csv").orders.tolist() == [10]
    growth = pd.read_csv(tmp_path / "growth.csv")
    assert growth.N.tolist() == [500, 5000, 1850, 18500]


def test_the_full_grid_covers_all_sizes() -> None:
    rows = grid(quick=False)
    assert {row[0] for row in rows} == {10, 37, 100, 397, 1000}
    assert {row[1] for row in rows} == {10, 50, 200}
    assert {row[2] for row in rows} == {512, 1024}
    assert len(rows) == len(set(rows)) == 5 * 3 * 2


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux says the peak")
def test_the_peak_of_memory_is_what_a_run_takes() -> None:
    megabytes = 128

    def take() -> None:
        # new pages: what the allocator has kept from earlier tests would not count
        with mmap.mmap(-1, megabytes << 20) as pages:
            for _ in range(megabytes):
                pages.write(bytes(1 << 20))

    assert 0.9 * megabytes < peak_bytes(take) / 2**20 < 2 * megabytes


def test_operations_count_only_slots_that_an_image_sees() -> None:
    text, x = synthetic(2, 8, 3)
    result = DualMemoryNetwork(text, length=50).evaluate(x)
    # text: 3 images x 2 classes; text slots as many; images see 1, 2 and 3 stored ones
    assert operations(result, 8) == 2 * 8 * (6 + 6 + 1 + 2 + 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "stream", "--out", str(tmp_path), "--device", "cuda"])
    assert "there is no GPU here" in capsys.readouterr().err
