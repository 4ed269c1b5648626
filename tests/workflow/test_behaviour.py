"""What reruns and what does not, shown by the real Snakemake and DVC on a cut of the demo."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from checkout import Checkout, make_checkout

from dmn.audit.runs.comparison import PHASES, phase
from dmn.pipeline import paths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
REPORTS = {"report_main": 1, "page": 1, "manifest": 1}
FEW_SHOT = {"static_memory": 1, "train_projection": 1, "evaluate": 1}


def test_a_finished_run_has_nothing_to_do(built: Checkout) -> None:
    assert built.plan() == {}
    built.run("sha256sum", "--check", "--quiet", paths.MANIFEST)
    assert "up to date" in built.dvc("status")


def test_a_new_split_seed_runs_only_its_own_jobs(copied: Checkout) -> None:
    before = copied.state("data/")
    more = ("--config", "seeds={split: [0, 1]}")
    own = {"shots": 1, "few_shot_features": 1, **FEW_SHOT}
    assert copied.plan(*more) == {**own, **REPORTS, "run_config": 1}
    copied.snakemake(*more)
    after = copied.state("data/")
    assert {name: after[name] for name in before} == before
    assert all(re.search(r"\bsplits?=1\b", name) for name in set(after) - set(before))


def test_a_new_stream_order_runs_only_its_own_jobs(copied: Checkout) -> None:
    before = copied.state("data/")
    more = ("--config", "seeds={order: ['0', 1]}")
    assert copied.plan(*more) == {"evaluate": 1, **REPORTS, "run_config": 1}
    copied.snakemake(*more)
    after = copied.state("data/")
    assert {name: after[name] for name in before} == before
    assert all("orders=1" in name for name in set(after) - set(before))


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("report/page.css", {"page": 1, "manifest": 1}),
        ("report/data/published.csv", REPORTS),
        ("report/drawing/figures.py", REPORTS),
        ("engine/schedule.py", {"evaluate": 1, **REPORTS}),
        ("studies/main.py", {"evaluate": 1, "run_config": 1, **REPORTS}),
        ("method/training.py", {"train_projection": 1, "evaluate": 1, **REPORTS}),
        # what plans a configuration checks the heads of its files
        ("datasets/imported.py", {"run_config": 1, "page": 1, "manifest": 1}),
        ("datasets/entries/digits.yaml", {}),
    ],
)
def test_a_changed_byte_reruns_its_rules_and_those_below(
    copied: Checkout, module: str, rules: dict[str, int]
) -> None:
    with open(copied.root / "src/dmn" / module, "a") as source:
        source.write("\n")
    assert copied.plan() == rules


def test_touching_everything_reruns_nothing(copied: Checkout) -> None:
    for path in sorted(copied.root.rglob("*")):
        if path.is_file() and ".git" not in path.parts and ".snakemake" not in path.parts:
            os.utime(path)
    assert copied.plan() == {}


@pytest.mark.parametrize("wanted", PHASES)
def test_a_deleted_artifact_comes_back_with_its_hash(copied: Checkout, wanted: str) -> None:
    before = copied.hashes()
    name = next(name for name in sorted(before) if phase(name) == wanted)
    (copied.root / name).unlink()
    assert copied.plan()
    copied.snakemake()
    assert copied.hashes() == before
    copied.run("sha256sum", "--check", "--quiet", paths.MANIFEST)


def test_dvc_brings_a_deleted_artifact_back(copied: Checkout) -> None:
    before = copied.hashes()
    name = next(name for name in sorted(before) if phase(name) == "features")
    (copied.root / name).unlink()
    copied.dvc("checkout", "--quiet")
    copied.run("sha256sum", "--check", "--quiet", paths.MANIFEST)
    assert copied.plan() == {}


def test_a_forced_rebuild_gives_the_same_bytes(copied: Checkout) -> None:
    before = copied.final_files()
    copied.snakemake("--forceall")
    assert copied.final_files() == before
    assert "up to date" in copied.dvc("status", "experiments")


def test_a_fresh_clone_that_pulls_plans_nothing(built: Checkout, tmp_path: Path) -> None:
    built.run("git", "clone", "--quiet", str(built.root), str(tmp_path / "far" / "clone"))
    clone = Checkout(tmp_path / "far" / "clone")
    clone.dvc("remote", "modify", "--local", "local", "url", str(storage(built)))
    clone.dvc("pull", "--quiet")
    assert clone.plan() == {}
    assert "up to date" in clone.dvc("status")
    assert "Running stage" not in clone.dvc("repro")
    assert clone.hashes() == built.hashes()
    assert clone.git("status", "--porcelain") == ""


def storage(built: Checkout) -> Path:
    """Return the folder that the default remote names."""
    return (built.root / ".dvc" / "../../dmn-repro-storage").resolve()


def test_a_removed_seed_is_listed_as_untracked(copied: Checkout) -> None:
    orphan = "data/splits/digits/split=9.json"
    shutil.copy(copied.root / "data/splits/digits/split=0.json", copied.root / orphan)
    assert orphan in copied.snakemake("--list-untracked").stdout


def test_the_audit_of_a_finished_run_holds(copied: Checkout, tmp_path: Path) -> None:
    report = tmp_path / "audit.json"
    copied.audit("--rebuild", "all", "--json", str(report), status=None)
    found = {check["name"]: check for check in json.loads(report.read_text())["checks"]}
    # the test's environment need not be the locked one
    found.pop("environment")
    assert {check["status"] for check in found.values()} == {"ok"}, found
    assert "all identical" in found["rebuild"]["summary"]


def test_the_audit_names_a_changed_artifact(copied: Checkout, tmp_path: Path) -> None:
    name = next(name for name in sorted(copied.hashes()) if name.endswith("rows.csv"))
    with open(copied.root / name, "a") as table:
        table.write("1\n")
    report = tmp_path / "audit.json"
    copied.audit("--json", str(report), status=1)
    found = {check["name"]: check for check in json.loads(report.read_text())["checks"]}
    assert name in found["hashes in reports/all"]["details"][0]
    assert f"{name} differs" in found["hashes in dvc.lock"]["details"]


def test_one_figure_is_rebuilt_and_compared(built: Checkout, tmp_path: Path) -> None:
    figure = next(name for name in sorted(built.hashes()) if name.endswith(".svg"))
    report = tmp_path / "audit.json"
    built.audit("--rebuild", figure, "--json", str(report), status=None)
    found = {check["name"]: check for check in json.loads(report.read_text())["checks"]}
    assert found["rebuild"]["summary"].startswith(f"{figure} and what it takes: ")
    assert "all identical" in found["rebuild"]["summary"]


def test_features_from_elsewhere_are_the_line_of_exactness(built: Checkout, tmp_path: Path) -> None:
    report = tmp_path / "audit.json"
    options = ("--rebuild", "all", "--recorded-features", "--json", str(report))
    built.audit(*options, status=None)
    found = {check["name"]: check for check in json.loads(report.read_text())["checks"]}
    assert "all identical" in found["rebuild"]["summary"]
    assert found["features again"]["status"] == "ok"


def test_an_empty_clone_plans_every_job(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    plan = checkout.plan()
    assert plan["evaluate"] == 1
    assert plan["pretrain_encoder"] == 1
    assert plan["manifest"] == 1
