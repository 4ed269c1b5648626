"""Which source files a module runs: Snakemake inputs, so that changed code reruns its rules."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

DATA_SUFFIXES = (".css", ".html", ".js", ".mplstyle")
PACKAGE = Path(__file__).resolve().parents[1]


@cache
def _graph() -> Any:
    import grimp

    return grimp.build_graph("dmn", cache_dir=None)


def _source(module: str) -> Path:
    stem = PACKAGE.joinpath(*module.split(".")[1:])
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


@cache
def sources(module: str, *more: str) -> tuple[str, ...]:
    """Return the files of `module`, of `more` and of all that they import, sorted.

    A module's data are the files beside it with its name, such as page.html of page.py. Paths
    are relative to the current folder where the package lies below it.
    """
    names: set[str] = set()
    for name in (module, *more):
        names |= {name, *_graph().find_upstream_modules(name)}
    # importing a module runs the __init__ of each package above it
    names |= {parent for name in names for parent in _parents(name)}
    files = {file for name in names for file in (_source(name), *_data(_source(name)))}
    return tuple(sorted(map(relative, files)))


def _data(source: Path) -> list[Path]:
    return [file for file in source.parent.glob(f"{source.stem}.*") if file.suffix in DATA_SUFFIXES]


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def relative(path: Path) -> str:
    """Return `path` as the rules write it: relative where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
