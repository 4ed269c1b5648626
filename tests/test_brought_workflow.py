"""Snakemake makes anew what comes of a replaced file or image, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml

from dmn.audit.brought import check_brought
from dmn.pipeline.run import NOTHING, job_counts
from mirror import picture
from test_mirrors_workflow import ROOT, workflow

pytestmark = pytest.mark.timeout(1800)
ARCHIVE = "data/download/birds/images.json"
SPLIT = "data/splits/birds/split.json"


def run_in(folder: Path, config: Mapping[str, object], *targets: str) -> None:
    """Make some files in a folder."""
    done = workflow(folder, config, *targets)
    assert done.returncode == 0, done.stdout[-3000:]


def planned(folder: Path, config: Mapping[str, object], *targets: str) -> dict[str, int]:
    """Return how many jobs of each rule a dry run plans."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(dict(config)))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(file), "--cores", "1"]
    command += ["--dry-run", "--quiet", "rules", "--", *targets]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    counts = job_counts(said)
    assert counts or NOTHING in said, said
    return counts


@pytest.fixture
def birds(tmp_path: Path) -> tuple[Path, dict[str, object]]:
    """A folder data set and its configuration, in a folder to run in."""
    split: dict[str, list] = {"train": [], "val": [], "test": []}
    for label, name in enumerate(("a", "b")):
        (tmp_path / "birds" / name).mkdir(parents=True)
        for number, part in enumerate(split):
            path = f"{name}/{number}.jpg"
            (tmp_path / "birds" / path).write_bytes(picture(label, 10 * label + number))
            split[part].append([path, label, name])
    home = tmp_path / "home"
    manual = home / "data/manual/birds"
    manual.mkdir(parents=True)
    (manual / "split.json").write_text(json.dumps(split))
    files = {
        "images.json": {"role": "archive", "folder": str(tmp_path / "birds")},
        "split.json": {"role": "split"},
    }
    entry = {"title": "Birds", "kind": "images", "classes": 2, "layout": {"kind": "split_file"}}
    registry = {"datasets": {"birds": {**entry, "files": files}}}
    (home / "registry.yaml").write_text(yaml.safe_dump(registry))
    download = {"registry": str(home / "registry.yaml"), "retries": 0}
    return home, {"datasets": ["birds"], "download": download, "corruptions": {"kinds": []}}


def test_a_changed_image_or_list_is_noticed_whatever_its_times_say(birds) -> None:
    home, config = birds
    run_in(home, config, SPLIT)
    assert planned(home, config, SPLIT) == {}
    image = home.parent / "birds/a/2.jpg"
    for path in (image, home / "data/manual/birds/split.json"):
        os.utime(path)
    assert planned(home, config, SPLIT) == {}

    image.write_bytes(picture(0, 77))
    os.utime(image, ns=(0, 0))
    assert planned(home, config, SPLIT) == {"download_file": 1, "split": 1}
    run_in(home, config, SPLIT)
    assert planned(home, config, SPLIT) == {}

    new = home / "new.json"
    text = (home / "data/manual/birds/split.json").read_text()
    new.write_text(text.replace('"b"', '"c"'))
    os.utime(new, ns=(0, 0))
    new.rename(home / "data/manual/birds/split.json")
    assert planned(home, config, SPLIT) == {"download_file": 1, "split": 1}
    run_in(home, config, SPLIT)
    assert json.loads((home / SPLIT).read_text())["classes"] == ["a", "c"]


def test_a_comment_another_entry_or_a_patience_reruns_nothing(birds) -> None:
    home, config = birds
    run_in(home, config, SPLIT)
    registry = home / "registry.yaml"
    registry.write_text("# mine\n" + registry.read_text())
    assert planned(home, config, SPLIT) == {}
    other = {"title": "Other", "kind": "features", "classes": 4}
    entries = yaml.safe_load(registry.read_text())["datasets"]
    registry.write_text(yaml.safe_dump({"datasets": {"other": other, **entries}}))
    assert planned(home, config, SPLIT) == {}
    patient = {**config, "download": {**config["download"], "timeout": 99}}
    assert planned(home, patient, SPLIT) == {}
    entries["birds"]["layout"]["root"] = "elsewhere"
    registry.write_text(yaml.safe_dump({"datasets": entries}))
    assert planned(home, config, SPLIT) != {}


def test_what_was_brought_may_be_taken_away_after_the_run(birds) -> None:
    home, config = birds
    run_in(home, config, SPLIT)
    shutil.rmtree(home / "data/manual")
    shutil.rmtree(home / "data/scratch", ignore_errors=True)
    assert planned(home, config, SPLIT) == {}


def test_the_audit_names_a_brought_file_that_has_changed(birds, monkeypatch) -> None:
    home, config = birds
    run_in(home, config, SPLIT, "reports/config.yaml")
    monkeypatch.chdir(home)
    assert check_brought(home).status == "ok"
    assert "2 files or folders" in check_brought(home).summary
    with open(home.parent / "birds/a/2.jpg", "ab") as image:
        image.write(np.zeros(1, np.uint8).tobytes())
    found = check_brought(home)
    assert found.status == "fail"
    assert found.details[0].endswith(f"birds is not what {ARCHIVE} was made from; run again")
