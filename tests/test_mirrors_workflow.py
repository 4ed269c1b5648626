"""Small copies of the paper's data sets go through the real workflow, from server to accuracy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dmn.artifacts import read_rows, read_tensors
from mirror import DATASETS, Mirror, make_mirror, serve

ROOT = Path(__file__).parents[1]
MODEL = "ViT-S-32-alt"  # a small one of open_clip's own list
DIMENSION = 256


def workflow(
    folder: Path, config: Mapping[str, object], *targets: str
) -> subprocess.CompletedProcess[str]:
    """Run the project's Snakefile in `folder`; its output is one text."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(file), "--cores", "2"]
    return subprocess.run(
        [*command, "--keep-going", "--", *targets],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def small_config(folder: Path, mirror: Mirror, url: str, datasets: list[str]) -> dict[str, object]:
    """Return a configuration with few views and shots that asks the local server only."""
    return {
        "datasets": datasets,
        "backbones": ["small"],
        "encoders": {"small": {"model": MODEL, "checkpoint": str(folder / "epoch_1.pt")}},
        "shots": [1],
        "seeds": {"split": [0], "order": ["0-1"]},
        "studies": {"main": {"checkpoints": 2}},
        "views": {"test": 2, "train": 2},
        "prompts": {"kind": "both"},
        "model": {"view_share": 0.5, "length": 3},
        "training": {"epochs": 1},
        "fusion": {"grid": [0.1, 1, 10]},
        "download": {
            "mirror": url,
            "registry": str(mirror.registry),
            "manual": str(mirror.manual),
            "timeout": 5,
            "retries": 1,
        },
    }


def save_checkpoint(path: Path) -> None:
    """Save a model as open_clip's training does."""
    import open_clip
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        model = open_clip.create_model(MODEL)
    torch.save({"epoch": 1, "name": "small", "state_dict": model.state_dict()}, path)


def measure(folder: Path, datasets: list[str]) -> pd.DataFrame:
    """Run the workflow on copies of `datasets` and return the report's rows."""
    for dataset in datasets:
        mirror = make_mirror(dataset, folder)
    save_checkpoint(folder / "epoch_1.pt")
    with serve(mirror.served) as server:
        config = small_config(folder, mirror, server.url, datasets)
        done = workflow(folder, config, "reports/studies/main/rows.csv")
    assert done.returncode == 0, done.stdout[-4000:]
    return read_rows(folder / "reports/studies/main/rows.csv")


def check_accuracies(rows: pd.DataFrame, folder: Path, dataset: str) -> None:
    """Every setting that the data set has must end in an accuracy over all test images."""
    mine = rows[(rows["dataset"] == dataset) & (rows["metric"] == "accuracy")]
    few_shot = {"zero_shot", "training_free", "few_shot"}
    trained = (folder / f"data/features/{dataset}/small/train,split=0.safetensors").exists()
    assert set(mine["setting"]) == (few_shot if trained else {"zero_shot"})
    views = read_tensors(folder / f"data/features/{dataset}/small/test.safetensors")["views"]
    assert views.shape[1:] == (2, DIMENSION)
    assert set(mine["n"]) == {len(views)}
    assert mine["value"].between(0, 100).all()
    kinds = set(zip(mine["component"], mine["weights"], strict=True))
    assert {("text", "none"), ("dynamic", "none"), ("fused", "fixed")} <= kinds
    assert (("fused", "validation") in kinds) == trained


def test_one_data_set_goes_from_a_server_to_an_accuracy(tmp_path: Path) -> None:
    check_accuracies(measure(tmp_path, ["dtd"]), tmp_path, "dtd")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """All data sets in one run, because the encoder is the same."""
    folder = tmp_path_factory.mktemp("everything")
    return folder, measure(folder, DATASETS)


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_data_set_goes_from_a_server_to_an_accuracy(
    dataset: str, everything: tuple[Path, pd.DataFrame]
) -> None:
    check_accuracies(everything[1], everything[0], dataset)


FAULTS = {
    "102flowers.tgz": ["missing"] * 9,
    "dtd-r1.0.1.tar.gz": ["truncated"] * 9,
    "images.tar.gz": ["wrong"] * 9,
    "EuroSAT.zip": ["dies"],
}
HOSTILE = "food101"


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list]:
    """One run over data sets whose servers or archives have faults: folder, output, requests."""
    folder = tmp_path_factory.mktemp("faulty")
    datasets = ["flowers102", "dtd", "oxford_pets", "eurosat", HOSTILE]
    for dataset in datasets:
        mirror = make_mirror(dataset, folder, hostile=dataset == HOSTILE)
    with serve(mirror.served, FAULTS) as server:
        config = small_config(folder, mirror, server.url, datasets)
        targets = [f"data/splits/{dataset}/split.json" for dataset in datasets]
        done = workflow(folder, config, *targets)
    assert done.returncode != 0
    return folder, done.stdout, server.requests


@pytest.mark.slow
@pytest.mark.parametrize(
    "message",
    [
        r"102flowers.tgz",
        r"dtd-r1.0.1.tar.gz",
        r"images.tar.gz",
        r"evil.jpg', a path outside the archive",
    ],
)
def test_a_fault_stops_its_data_set_with_one_line(
    message: str, faulty: tuple[Path, str, list]
) -> None:
    _, output, _ = faulty
    told = {line.strip() for line in output.splitlines() if line.strip().startswith("error: ")}
    assert any(message in line for line in told), output[-4000:]
    assert "Traceback" not in output


@pytest.mark.slow
def test_nothing_half_written_is_left_after_a_fault(faulty: tuple[Path, str, list]) -> None:
    folder = faulty[0] / "data"
    archives = {path.name for path in folder.glob("download/*/*") if path.suffix != ".json"}
    assert archives & FAULTS.keys() == {"EuroSAT.zip"}
    assert [path.parent.name for path in folder.glob("splits/*/split.json")] == ["eurosat"]
    assert not list(folder.rglob("evil*"))


@pytest.mark.slow
def test_a_server_that_dies_is_asked_for_the_rest(faulty: tuple[Path, str, list]) -> None:
    asked = [part for path, part in faulty[2] if path.endswith("EuroSAT.zip")]
    assert asked[0] is None
    assert asked[1].startswith("bytes=")
