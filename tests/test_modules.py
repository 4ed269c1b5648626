"""Which source files a rule depends on."""

from __future__ import annotations

from pathlib import Path

from dmn.pipeline.sources import sources


def test_a_module_depends_on_what_its_imports_import() -> None:
    files = [name.rpartition("dmn/")[2] for name in sources("dmn.stages.memory")]
    assert {"stages/memory.py", "artifacts.py", "errors.py", "__init__.py"} <= set(files)


def test_a_module_does_not_depend_on_its_neighbours() -> None:
    files = [name.rpartition("dmn/")[2] for name in sources("dmn.stages.memory")]
    assert "stages/features.py" not in files
    assert "network.py" not in files


def test_templates_and_styles_belong_to_their_module() -> None:
    files = {Path(file).name for file in sources("dmn.report.page")}
    assert {"page.py", "page.html", "page.css", "page.js"} <= files
    assert "style.mplstyle" in {Path(file).name for file in sources("dmn.report.drawing.figures")}
