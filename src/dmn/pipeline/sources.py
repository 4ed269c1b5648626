"""Which source files a module runs: Snakemake inputs, so that changed code reruns its rules."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

DATA_SUFFIXES = (".css", ".csv", ".html", ".js", ".mplstyle")
PACKAGE = Path(__file__).resolve().parents[1]
# what a study's report draws and prints with: it measures nothing, so its jobs do not depend on it
REPORTING = (
    "dmn.report",
    *(f"dmn.evaluation.{name}" for name in ("across", "intervals", "summaries")),
)


@cache
def _graph() -> Any:
    import grimp

    # imports for a type checker run nothing; those inside functions do
    return grimp.build_graph("dmn", exclude_type_checking_imports=True, cache_dir=None)


def _source(module: str) -> Path:
    stem = PACKAGE.joinpath(*module.split(".")[1:])
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


@cache
def sources(*modules: str, without: tuple[str, ...] = (), called: bool = True) -> tuple[str, ...]:
    """Return the files of `modules` and of all that they import, sorted.

    A module's data are the files with its name beside it, such as page.html of page.py, or in a
    folder `data` beside it. without: modules and packages that are imported and not used; called:
    whether functions of the modules are called, so that what only functions import counts. Modules
    that are imported by a name made at run time are the caller's to name. Paths are relative to
    the current folder where the package lies below it.
    """
    names: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            found = _imported(name, called)
            waiting += [module for module in found if not within(module, without)]
    # importing a module runs the __init__ of each package above it
    names |= {parent for name in names for parent in _parents(name)}
    files = {file for name in names for file in (_source(name), *_data(_source(name)))}
    return tuple(sorted(map(relative, files)))


def _imported(module: str, called: bool) -> set[str]:
    found: set[str] = set(_graph().find_modules_directly_imported_by(module))
    return found if called else found & _at_top(module)


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Say whether a module is one of `packages` or in one of them."""
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


@cache
def _at_top(module: str) -> frozenset[str]:
    """Return the names that a module's own lines import, not those of its functions."""
    names: set[str] = set()
    for node in ast.parse(_source(module).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def _data(source: Path) -> list[Path]:
    files = [*source.parent.glob(f"{source.stem}.*"), *source.parent.glob(f"data/{source.stem}.*")]
    return [file for file in files if file.suffix in DATA_SUFFIXES]


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def relative(path: Path) -> str:
    """Return `path` as the rules write it: relative where it lies below the current folder.

    The folder of a named run has the sources by a link.
    """
    here, checkout = Path.cwd(), PACKAGE.parents[1]
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    linked = path.relative_to(checkout) if path.is_relative_to(checkout) else path
    return str(linked if linked.exists() and linked.samefile(path) else path)
