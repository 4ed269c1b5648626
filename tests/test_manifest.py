"""Manifests that sha256sum checks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dmn.cli import main
from dmn.pipeline.configuration import load_run
from dmn.pipeline.manifest import files_of
from dmn.pipeline.targets import Targets


def test_sha256sum_accepts_a_manifest_and_finds_a_changed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b").write_text("second", encoding="utf-8")
    Path("a").write_text("first", encoding="utf-8")
    main(["stage", "manifest", "--out", "all", "--files", "b", "a"])
    names = [line[66:] for line in Path("all").read_text(encoding="utf-8").splitlines()]
    assert names == ["a", "b"]
    check = ["sha256sum", "--check", "--quiet", "all"]
    assert subprocess.run(check, check=False).returncode == 0
    Path("a").write_text("other", encoding="utf-8")
    assert subprocess.run(check, check=False, capture_output=True).returncode == 1


def test_the_manifest_of_a_configuration_names_all_that_it_asks_for() -> None:
    config = load_run({})
    targets = Targets(config)
    assert set(files_of(config.model_dump_json())) == {*targets.reports(), *targets.data()}
