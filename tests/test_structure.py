"""The map of packages holds: who may import whom, no circles, no package too large.

The floors are those of the table in docs/structure.md, the one place that states them.
"""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "dmn"
MOST_MODULES = 13
# `python -m dmn` stands above the map
FRONT = "__main__"


def floors() -> list[list[str]]:
    """Return the packages of each row of the table, from the top floor down."""
    text = (ROOT / "docs/structure.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, flags=re.MULTILINE)
    return [[FRONT], *(re.findall(r"`(\w+)`", row) for row in reversed(rows))]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All imports, those inside functions and those for types only among them."""
    return grimp.build_graph("dmn", cache_dir=None)


def upward(graph: grimp.ImportGraph) -> list[str]:
    """Return the imports that the map does not allow; the ground alone knows itself."""
    ground = next(floor for floor in floors() if "schema" in floor)
    layers = [grimp.Layer(*floor, independent=floor != ground) for floor in floors()]
    illegal = graph.find_illegal_dependencies_for_layers(layers=layers, containers={"dmn"})
    return [f"{found.importer} -> {found.imported}" for found in illegal]


def test_imports_point_downward_only(graph: grimp.ImportGraph) -> None:
    assert not upward(graph)


def test_an_upward_import_would_be_found(graph: grimp.ImportGraph) -> None:
    graph.add_import(importer="dmn.method.text", imported="dmn.engine.evaluate")
    try:
        assert upward(graph) == ["dmn.method -> dmn.engine"]
    finally:
        graph.remove_import(importer="dmn.method.text", imported="dmn.engine.evaluate")


def test_every_package_has_its_floor(graph: grimp.ImportGraph) -> None:
    there = {module.rpartition(".")[2] for module in graph.find_children("dmn")}
    assert there == {name for floor in floors() for name in floor}


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph) -> None:
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # CycleError names the circle


def test_no_package_has_too_many_modules() -> None:
    folders = {file.parent for file in PACKAGE.rglob("*.py")}
    sizes = {
        str(folder.relative_to(PACKAGE)): len([*folder.glob("[!_]*.py")]) for folder in folders
    }
    assert not {name: size for name, size in sizes.items() if size > MOST_MODULES}
