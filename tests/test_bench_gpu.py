"""The benchmark of an accelerator goes through every path without one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from dmn.bench import gpu
from dmn.cli import main


def test_every_path_runs_on_a_processor(tmp_path: Path) -> None:
    main(["bench", "gpu", "--out", str(tmp_path), "--device", "cpu", "--scale", "small"])
    found = pd.read_csv(tmp_path / "gpu.csv")
    told = " ".join(found["what"])
    for what in ("one order", "ten orders", "weight search", "training", "extraction", "writes"):
        assert what in told
    assert "the processor" in (tmp_path / "gpu.md").read_text()


def test_a_device_that_answers_otherwise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gpu._case

    def other(device: str, dtype: str, **options: object) -> object:
        found = plain("cpu", dtype, **options)
        if device != "cpu":
            found.dynamic[3, 0] += 0.25
            found.slot[5] = 77
        return found

    monkeypatch.setattr(gpu, "_case", other)
    values = {f.what: f.value for f in gpu.agreement("elsewhere", "float64")}
    assert values["zero-shot, largest difference"] == pytest.approx(0.25)
    assert values["zero-shot, other writes"] == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "gpu", "--out", str(tmp_path)])
    said = capsys.readouterr().err
    assert "there is no GPU here" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
