"""A second configuration beside the first: nothing is lost or made twice, and DVC keeps both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from checkout import Checkout

from dmn.artifacts import sha256
from dmn.pipeline import paths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture
def top(copied: Checkout) -> Checkout:
    """Return a finished checkout whose profile says nothing of a configuration."""
    profile = copied.root / "profiles/default/config.yaml"
    text = profile.read_text()
    profile.write_text(text[: text.index("configfile:")])
    copied.git("commit", "--quiet", "--all", "--message=Leave the profile")
    return copied


def dmn(checkout: Checkout, *arguments: str, status: int = 0) -> str:
    """Run our command and return what it says."""
    return checkout.run(sys.executable, "-m", "dmn", *arguments, status=status).stdout


def test_a_second_configuration_leaves_the_first_and_shares_its_artifacts(top: Checkout) -> None:
    before = top.state("data/", "reports/")
    said = dmn(top, "run", "--name", "more", "--config", "config/cut.yaml", "seeds.split=[0, 1]")
    own = Checkout(top.root / "runs/more")
    began = [line for line in said.splitlines() if "split seed" in line]
    assert began
    assert not [line for line in began if "seeds 0" in line or "seed 0" in line]
    assert top.state("data/", "reports/") == before
    shared = [name for name in before if name.startswith("data/features/")]
    assert shared
    assert all((top.root / name).samefile(own.root / name) for name in shared)
    own.run("sha256sum", "--check", "--quiet", paths.MANIFEST)
    # bare Snakemake in the run's folder knows its configuration
    assert own.plan() == {}


def test_dvc_rebuilds_a_runs_own_configuration(top: Checkout, tmp_path: Path) -> None:
    dmn(top, "run", "--config", "config/cut.yaml")
    own = Checkout(top.root / "runs/cut")
    own.dvc("repro", "--quiet")
    listed = own.hashes()
    assert listed == top.hashes()
    top.git("add", "--all")
    top.git("commit", "--quiet", "--message=Record the run")
    (own.root / paths.PAGE).unlink()
    own.dvc("repro", "--quiet")
    assert own.hashes() == listed
    assert "up to date" in own.dvc("status", "experiments", "provenance", "metrics")
    assert top.git("status", "--porcelain") == ""
    report = tmp_path / "audit.json"
    own.audit("--rebuild", "reports/studies/main/main.csv", "--json", str(report), status=None)
    found = {check["name"]: check for check in json.loads(report.read_text())["checks"]}
    found.pop("environment")
    assert {check["status"] for check in found.values()} == {"ok"}, found


def test_a_clone_that_pulls_a_run_plans_nothing_in_it(top: Checkout, tmp_path: Path) -> None:
    dmn(top, "run", "--config", "config/cut.yaml")
    Checkout(top.root / "runs/cut").dvc("repro", "--quiet")
    top.git("add", "--all")
    top.git("commit", "--quiet", "--message=Record the run")
    top.dvc("remote", "add", "--local", "--default", "there", str(tmp_path / "storage"))
    top.dvc("push", "--quiet")
    top.run("git", "clone", "--quiet", str(top.root), str(tmp_path / "clone"))
    clone = Checkout(tmp_path / "clone")
    clone.dvc("remote", "add", "--local", "--default", "there", str(tmp_path / "storage"))
    clone.dvc("pull", "--quiet")
    run = Checkout(clone.root / "runs/cut")
    assert run.plan() == {}
    assert run.hashes() == Checkout(top.root / "runs/cut").hashes()


def test_a_changed_run_makes_only_what_differs_and_dvc_says_what(top: Checkout) -> None:
    dmn(top, "run", "--config", "config/cut.yaml")
    own = Checkout(top.root / "runs/cut")
    own.dvc("repro", "--quiet")
    top.git("add", "--all")
    top.git("commit", "--quiet", "--message=Record the run")
    refused = dmn(top, "run", "--name", "cut", "model.length=50", status=2)
    assert "model.length: 5 -> 50" in refused
    assert "--change" in refused
    evaluation = own.root / "data/evaluation/main/digits/glyph/splits=0/orders=0.csv"
    before = sha256(evaluation)
    dmn(top, "run", "--name", "cut", "--change", "model.length=50")
    assert sha256(evaluation) != before
    # the other run has its own
    assert sha256(top.root / evaluation.relative_to(own.root)) == before
    own.dvc("repro", "--quiet")
    assert "Jobs still to run: 0" in dmn(top, "run", "--name", "cut", "--dry-run")
    params = json.loads(own.dvc("params", "diff", "--json"))["reports/config.yaml"]
    assert list(params) == ["model.length"]
    assert (params["model.length"]["old"], params["model.length"]["new"]) == (5, 50)
    assert json.loads(own.dvc("metrics", "diff", "--json"))["metrics.json"]


def test_the_reports_of_other_data_sets_are_not_written_over(top: Checkout) -> None:
    before = top.state("data/", "reports/")
    said = top.snakemake("--configfile", "config/satellite.yaml", status=1).stdout
    assert "reports/ holds a run on digits" in said
    assert "dmn run --config FILE" in said
    # a plan writes nothing
    assert top.plan("--configfile", "config/satellite.yaml")
    assert top.state("data/", "reports/") == before


def test_a_report_that_nobody_makes_gets_its_nearest_name_from_snakemake(top: Checkout) -> None:
    said = top.snakemake("--dry-run", "reports/lenght", status=1).stdout
    assert "no report reports/lenght; did you mean 'reports/length'" in said
