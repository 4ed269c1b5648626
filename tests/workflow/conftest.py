"""The cut, built once for all tests that need a finished run, recorded and pushed by DVC."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from checkout import Checkout, make_checkout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a finished checkout; DMN_BUILT names a folder to keep it in between sessions."""
    kept = os.environ.get("DMN_BUILT")
    root = Path(kept) if kept else tmp_path_factory.mktemp("built")
    checkout = Checkout(root / "checkout")
    if (checkout.root / "dvc.lock").is_file():
        return checkout
    checkout = make_checkout(checkout.root)
    checkout.snakemake()
    checkout.dvc("repro", "--quiet")
    checkout.git("add", "dvc.lock", "metrics.json")
    checkout.git("commit", "--quiet", "--message=Record the run")
    checkout.dvc("push", "--quiet")
    return checkout


@pytest.fixture
def copied(built: Checkout, tmp_path: Path) -> Checkout:
    """Return a copy of the finished checkout to change."""
    return built.copy(tmp_path / "checkout")
