"""The satellite configuration, whole: from a server that has the features to the reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from dmn.artifacts import read_json, read_rows
from dmn.schema import read_yaml
from dmn.studies.table import STUDIES
from feature_caches import WHU, needs_whu
from mirror import serve
from test_mirrors_workflow import workflow

ROOT = Path(__file__).parents[1]
BACKBONES = ["CLIP-RN50", "CLIP-ViT-B-32", "CLIP-ViT-L-14"]
# what needs the images
NEED_IMAGES = {"shift"}

pytestmark = [needs_whu, pytest.mark.slow, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """Run everything in a folder of its own; return it and what the server was asked for."""
    folder = tmp_path_factory.mktemp("satellite")
    with serve(WHU.parent) as server:
        config = read_yaml(ROOT / "config/satellite.yaml")
        download = {"mirror": server.url, "retries": 0}
        done = workflow(folder, {**config, "download": download}, "reports/all")
        assert done.returncode == 0, done.stdout[-4000:]
        yield folder, [path for path, _ in server.requests]


@pytest.fixture(scope="module")
def main_rows(run: tuple[Path, list[str]]) -> pd.DataFrame:
    rows = read_rows(run[0] / "reports/studies/main/rows.csv")
    return rows[rows["metric"] == "accuracy"]


def test_only_the_files_that_are_read_are_asked_for(run: tuple[Path, list[str]]) -> None:
    wanted = {
        f"/whu_rs19/{name.replace('-', '/', 1)}/{file}.pt"
        for name in BACKBONES
        for file in ("images", "classes", "texts_averageprompt")
    }
    assert set(run[1]) == wanted
    manifest = read_json(run[0] / "data/download/whu_rs19/manifest.json")
    assert {file["verified_by"] for file in manifest["files"]} == {"sha256"}
    assert manifest["licence"].startswith("MIT")


def test_every_study_that_one_view_allows_is_reported(run: tuple[Path, list[str]]) -> None:
    made = {path.name for path in (run[0] / "reports/studies").iterdir()}
    assert made == set(STUDIES) - NEED_IMAGES
    assert (run[0] / "reports/index.html").exists()
    assert not (run[0] / "data/encoder").exists()


def test_three_backbones_stand_side_by_side(main_rows: pd.DataFrame) -> None:
    assert sorted(main_rows["backbone"].unique()) == BACKBONES
    assert set(main_rows["setting"]) == {"zero_shot", "training_free", "few_shot"}
    assert set(main_rows["n"]) == {625}
    assert main_rows["protocol"].str.startswith("views=1 ").all()


def zero_shot_accuracy(folder: Path, backbone: str) -> float:
    """Return the share of test images nearest to their class's text, from the public files."""

    def read(name: str) -> torch.Tensor:
        path = WHU / backbone.replace("-", "/", 1) / f"{name}.pt"
        return torch.load(path, map_location="cpu", weights_only=True).double()

    split = read_json(folder / "data/splits/whu_rs19/split.json")
    rows = [int(name.rpartition("/")[2]) for name, _ in split["test"]]
    text = read("texts_averageprompt")
    nearest = (read("images")[rows] @ (text / text.norm(dim=1, keepdim=True)).T).argmax(1)
    return 100 * float((nearest == read("classes")[rows]).double().mean())


def test_both_memories_help_and_larger_encoders_answer_better(
    run: tuple[Path, list[str]], main_rows: pd.DataFrame
) -> None:
    zero = main_rows[main_rows["setting"] == "zero_shot"]
    means = zero.groupby(["backbone", "component", "weights"])["value"].mean()
    text = [means[name, "text", "none"] for name in BACKBONES]
    assert text == sorted(text)
    assert text == pytest.approx([zero_shot_accuracy(run[0], name) for name in BACKBONES])
    assert all(means[name, "dynamic", "none"] > means[name, "text", "none"] for name in BACKBONES)
    most = main_rows[(main_rows["shots"] == 16) & (main_rows["weights"] == "validation")]
    assert most.groupby("backbone")["value"].mean().min() > 90
