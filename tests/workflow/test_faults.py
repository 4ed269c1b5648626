"""Killed runs, two runs at once, full and read-only disks: clear words, no half file, same end."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import Checkout, kill_group, make_checkout

from dmn.pipeline import paths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
KILLS = int(os.environ.get("DMN_KILLS", "3"))
LONGEST = float(os.environ.get("DMN_LONGEST", "30"))
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a file exists while the process lives."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.05)


def test_killed_runs_end_with_the_same_bytes(built: Checkout, tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    whole = built.final_files()
    moments = random.Random(0)
    for _ in range(KILLS):
        process = checkout.start()
        time.sleep(moments.uniform(2, LONGEST))
        kill_group(process, checkout.root)
        # a file that has its final name is whole, whenever the kill came
        found = checkout.final_files()
        assert found == {name: whole.get(name) for name in found}
        if process.returncode == 0:
            for path in (checkout.root / "reports/studies", checkout.root / "data/evaluation"):
                checkout.run("rm", "-r", str(path))
        checkout.snakemake("--unlock")
    checkout.snakemake()
    assert checkout.final_files() == whole


def test_a_stale_lock_says_how_to_clear_it(copied: Checkout) -> None:
    (copied.root / "reports/all").unlink()
    process = copied.start()
    wait_for(copied.root / ".snakemake/locks/0.input.lock", process)
    kill_group(process, copied.root)
    said = copied.snakemake(status=1).stdout
    assert "--unlock" in said
    copied.snakemake("--unlock")
    copied.snakemake()
    copied.run("sha256sum", "--check", "--quiet", "reports/all")


def test_a_second_run_at_once_is_refused_and_the_first_ends_right(
    copied: Checkout, built: Checkout
) -> None:
    for path in ("reports/all", "data/evaluation/main"):
        copied.run("rm", "-r", path)
    first = copied.start()
    wait_for(copied.root / ".snakemake/locks/0.input.lock", first)
    second = copied.snakemake(status=None)
    assert second.returncode == 1
    assert "lock" in second.stdout.lower()
    assert first.wait() == 0
    assert copied.final_files() == built.final_files()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount an empty disk of `size` on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    """Change the options of a mounted disk."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def without_readme(files: dict[str, str]) -> dict[str, str]:
    """Return the files but the one that the small disk hides: it comes with the sources."""
    return {name: value for name, value in files.items() if name != "data/README.md"}


@ROOT
def test_a_full_disk_is_named_and_the_run_goes_on_after(built: Checkout, tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    whole = without_readme(built.final_files())
    with small_disk(checkout.root / "data", "300k"):
        failed = checkout.snakemake("--keep-going", status=1)
        assert "cannot write data/" in failed.stdout
        assert "No space left on device" in failed.stdout
        found = checkout.final_files()
        assert found == {name: whole.get(name) for name in found}
        remount(checkout.root / "data", "size=1g")
        checkout.snakemake()
        assert checkout.final_files() == whole


@ROOT
def test_a_read_only_folder_is_named_and_the_run_goes_on_after(
    built: Checkout, tmp_path: Path
) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    with small_disk(checkout.root / "data", "1g"):
        remount(checkout.root / "data", "ro")
        failed = checkout.snakemake(status=1)
        assert "Read-only file system" in failed.stdout
        # this one needs nothing of the disk
        assert set(checkout.final_files()) <= {paths.RUN_CONFIG, "reports/README.md"}
        remount(checkout.root / "data", "rw")
        checkout.snakemake()
        assert checkout.final_files() == without_readme(built.final_files())
