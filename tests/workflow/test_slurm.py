"""The workflow through a real Slurm of one node gives the reports that it gives without one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cluster
import pytest
from checkout import Checkout, make_checkout

from dmn.costs.jobs import Costs
from dmn.pipeline.configuration import load_run
from dmn.pipeline.targets import Targets

pytestmark = [
    pytest.mark.slow,
    pytest.mark.slurm,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(cluster.missing()), reason=cluster.missing() or "it can run"),
]
SETTINGS = Path("/etc/slurm/slurm.conf")
PROFILE = ("--workflow-profile", "profiles/slurm")
# a cluster without accounting, and a test that does not want to wait
HERE = (
    *("--slurm-no-account", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10"),
)


@contextmanager
def known_to_jobs(folder: Path) -> Iterator[None]:
    """Put the cluster's settings where a job's srun looks, which gets no variables of ours."""
    links = {SETTINGS: "slurm.conf", SETTINGS.with_name("gres.conf"): "gres.conf"}
    SETTINGS.parent.mkdir(exist_ok=True)
    for link, name in links.items():
        if link.exists():
            pytest.skip(f"{link} exists: this machine belongs to another cluster")
        link.symlink_to(folder / name)
    try:
        yield
    finally:
        for link in links:
            link.unlink()


def through_slurm(checkout: Checkout, variables: dict[str, str], *more: str) -> str:
    """Run Snakemake with the project's Slurm profile."""
    with open(checkout.root / "profiles/slurm/config.yaml", "a") as profile:
        profile.write("configfile:\n  - config/cut.yaml\n")
    command = (sys.executable, "-m", "snakemake", *PROFILE, *HERE, *more)
    return checkout.run(*command, status=None, **variables).stdout


def test_slurm_gives_the_same_reports(built: Checkout, tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    folder = tmp_path / "slurm"
    with known_to_jobs(folder), cluster.slurm(folder) as variables:
        said = through_slurm(checkout, variables)
    assert "submitted with SLURM jobid" in said
    assert checkout.hashes() == built.hashes()
    assert checkout.final_files() == built.final_files()


def test_a_gpu_job_asks_slurm_for_a_gpu(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    folder = tmp_path / "slurm"
    with known_to_jobs(folder), cluster.slurm(folder) as variables:
        # the job may fail where no GPU is: what counts is what it asks for
        command = ("--config", "numerics={device: cuda}", "--verbose", "--retries", "0", "--")
        target = "data/features/digits/glyph/text.safetensors"
        said = through_slurm(checkout, variables, *command, target)
    calls = [line for line in said.splitlines() if "sbatch call" in line]
    asked = {
        rule: "--gpus=1" in call or "--gpus 1" in call
        for call in calls
        for rule in ("pretrain_encoder", "text_features")
        if f"--comment rule_{rule}" in call
    }
    # pretraining has the same bytes everywhere, so it runs on the CPU
    assert asked == {"pretrain_encoder": False, "text_features": True}
    costs = Costs(Targets(load_run({})))
    (call,) = (call for call in calls if "--comment rule_pretrain_encoder" in call)
    keys = {"backbone": "glyph"}
    assert re.search(rf"--mem {costs.mem_mb('pretrain_encoder', **keys)}\b", call)
    assert re.search(rf"-t {costs.runtime('pretrain_encoder', **keys)}\b", call)
