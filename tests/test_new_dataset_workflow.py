"""A folder of tiny pictures and a checkpoint of open_clip's become a report in three commands."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from awkward_images import grey_pixels, png16, saved, turned
from dmn.artifacts import read_json, read_rows, read_tensor_metadata
from dmn.audit.commands import copy_sources, environment
from mirror import picture
from test_mirrors_workflow import MODEL, save_checkpoint

pytestmark = pytest.mark.timeout(1800)
ROOT = Path(__file__).parents[1]
CLASSES = ("ant hill", "café", "猫")
# what a person would change for a first look on a small machine
QUICK = (
    *("views.test=2", "views.train=2", "model.view_share=0.5", "shots=[1]"),
    *("seeds.split=[0]", "seeds.order=['0-1']", "training.epochs=1", "fusion.grid=[0.1, 1, 10]"),
)


def write_pictures(root: Path) -> None:
    """Write three classes of tiny pictures of many forms."""
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(9):
            content = picture(label, 10 * label + number)
            (root / name / f"{number}.JPG").write_bytes(content)
    (root / "café/deep.png").write_bytes(png16(grey_pixels().astype("uint16") * 257, 0))
    (root / "café/phone.jpg").write_bytes(turned(6, "JPEG"))
    (root / "café/web.webp").write_bytes(saved(grey_pixels(), "WEBP"))


@dataclass(frozen=True)
class Home:
    """A checkout in which a person runs `dmn`."""

    root: Path

    @property
    def run(self) -> Path:
        """The folder of the run of config/birds.yaml."""
        return self.root / "runs/birds"

    def dmn(self, *words: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dmn", *words],
            cwd=self.root,
            env=environment(self.root, {"OMP_NUM_THREADS": "1"}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == status, done.stdout[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The three commands, run once."""
    base = tmp_path_factory.mktemp("new")
    root = base / "home"
    copy_sources(ROOT, root)
    write_pictures(base / "birds")
    save_checkpoint(base / "epoch_1.pt")
    home = Home(root)
    weights = ("--model", MODEL, "--checkpoint", str(base / "epoch_1.pt"))
    home.dmn("new-dataset", str(base / "birds"), *weights)
    assert "birds" in home.dmn("plan", "--config", "config/birds.yaml", *QUICK)
    studies = "studies={main: {checkpoints: 2}, failures: {checkpoints: 2}}"
    home.dmn("run", "--config", "config/birds.yaml", "--cores", "2", *QUICK, studies)
    return home


def test_three_commands_lead_from_pictures_to_a_report(home: Home) -> None:
    rows = read_rows(home.run / "reports/studies/main/rows.csv")
    assert set(rows["setting"]) == {"zero_shot", "training_free", "few_shot"}
    split = read_json(home.run / "data/splits/birds/split.json")
    assert set(rows.loc[rows["metric"] == "accuracy", "n"]) == {len(split["test"])}
    assert rows["value"].between(0, 100).all()
    page = (home.run / "reports/index.html").read_text(encoding="utf-8")
    assert "café" in page
    facts = read_tensor_metadata(home.run / "data/features/birds/epoch_1/test.safetensors")
    assert facts["ids"] == [name for name, _ in split["test"]]


def test_the_images_stay_where_they_are(home: Home) -> None:
    held = [path for path in (home.run / "data").rglob("*") if path.suffix.lower() == ".jpg"]
    assert held == []
    listing = json.loads((home.run / "data/download/birds/images.json").read_text())
    assert len(listing["images"]) == 30
