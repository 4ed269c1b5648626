"""Which source files a rule depends on."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dmn.pipeline.sources import REPORTING, sources, within
from dmn.studies.table import STUDIES, find_study


def names_of(files: tuple[str, ...]) -> set[str]:
    return {name.rpartition("dmn/")[2] for name in files}


def used_by(tree: ast.Module, name: str) -> set[str]:
    """Return all names in a function of a module and in those of its own that it calls."""
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    found, waiting = set(), [name]
    while waiting:
        body = functions[waiting.pop()]
        nodes = [node for node in ast.walk(body) if isinstance(node, ast.Name)]
        own = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
        own |= {node.arg for node in ast.walk(body) if isinstance(node, ast.arg)}
        new = {node.id for node in nodes} - own - found
        found |= new
        waiting += [called for called in new if called in functions]
    return found


def reporting(tree: ast.Module) -> set[str]:
    """Return the names that a module has from what reports alone are made with."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if within(node.module, REPORTING) or within(f"{node.module}.{alias.name}", REPORTING)
    }


def test_a_module_depends_on_what_its_imports_import() -> None:
    files = names_of(sources("dmn.stages.memory"))
    assert {"stages/memory.py", "artifacts.py", "errors.py", "__init__.py"} <= files


def test_a_module_does_not_depend_on_its_neighbours() -> None:
    files = names_of(sources("dmn.stages.memory"))
    assert not {"stages/features.py", "network.py"} & files


def test_templates_and_styles_belong_to_their_module() -> None:
    files = {Path(file).name for file in sources("dmn.report.page")}
    assert {"page.py", "page.html", "page.css", "page.js"} <= files
    assert "style.mplstyle" in {Path(file).name for file in sources("dmn.report.drawing.figures")}


def test_what_functions_import_counts_only_where_they_are_called() -> None:
    study = "dmn.studies.main"
    assert "evaluation/experiment.py" in names_of(sources(study))
    assert "evaluation/experiment.py" not in names_of(sources(study, called=False))


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_measures_with_nothing_that_only_its_report_depends_on(study: str) -> None:
    tree = ast.parse(Path(str(find_study(study).__file__)).read_text(encoding="utf-8"))
    assert not used_by(tree, "measure") & reporting(tree)
    assert used_by(tree, "report") & reporting(tree)
    files = names_of(sources(f"dmn.studies.{study}", without=REPORTING))
    assert not [name for name in files if name.startswith("report/")]


def test_a_plan_loads_neither_torch_nor_matplotlib() -> None:
    modules = ["dmn.pipeline.targets", *(f"dmn.studies.{study}" for study in STUDIES)]
    script = (
        f"import sys, {', '.join(modules)}\nprint(*{{'torch', 'matplotlib'}} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")
