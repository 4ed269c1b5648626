"""Machine code is kept in a folder that every source of compiled loops has a part in naming."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmn.engine.compiled import options as compiled


def test_every_module_with_compiled_loops_names_the_folder() -> None:
    sources = compiled.PACKAGE.rglob("*.py")
    with_loops = [
        str(p.relative_to(compiled.PACKAGE).with_suffix(""))
        for p in sources
        if "from numba" in p.read_text(encoding="utf-8")
    ]
    assert sorted(with_loops) == sorted(compiled.MODULES)


def test_the_folder_changes_with_any_of_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compiled").mkdir()
    for module in compiled.MODULES:
        (tmp_path / f"{module}.py").write_text("first")
    monkeypatch.setattr(compiled, "PACKAGE", tmp_path)
    names = {compiled.code_hash()}
    for module in compiled.MODULES:
        (tmp_path / f"{module}.py").write_text("second")
        names.add(compiled.code_hash())
    assert len(names) == 1 + len(compiled.MODULES)


def test_a_folder_that_cannot_be_written_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "__pycache__").write_text("a file, not a folder")
    monkeypatch.setattr(compiled, "PACKAGE", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert compiled.cache_folder("numba-x") == tmp_path / "cache/dmn-repro/numba-x"
