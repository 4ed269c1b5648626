"""The start of a run: its folder made and entered, or another configuration refused there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dmn.artifacts import write_text
from dmn.config import Config
from dmn.config.loading import read_argument
from dmn.errors import ConfigError, OutputError, nearest, some
from dmn.pipeline import paths
from dmn.pipeline.asked import Asked
from dmn.pipeline.configuration import load_run
from dmn.pipeline.runs.home import CONFIG, DEMO, RUNS, config_changes, find, named, top_of
from dmn.pipeline.runs.shared import bring
from dmn.schema import merge, read_yaml

# what a run reads of its checkout, beside files that its configuration names
SHARED = ("Snakefile", "workflow", "src", "config", "profiles", "requirements.lock")
MANUAL = f"{paths.DATA}/manual"
PIPELINE = "dvc.yaml"
UP = "../../"


def recorded(folder: Path) -> dict[str, Any]:
    """Return what a run's folder says of its configuration."""
    return read_yaml(folder / CONFIG, "the run's configuration")


def settle(folder: Path, asked: Asked, change: bool = False) -> dict[str, Any]:
    """Return the values of a run's configuration, those of its folder or, for a new one, asked.

    ConfigError where both are there and differ, unless `change`; the text names the way out.
    """
    top, name = folder.parent.parent, folder.name
    empty = asked.file is None and not asked.changes
    if not (folder / CONFIG).is_file():
        if empty:
            raise ConfigError(
                f"no run {name!r} in {RUNS}/; {nearest(name, [DEMO, *named(top)])}. "
                "A new one takes --config FILE or KEY=VALUE"
            )
        return merge(read_argument(asked.file), asked.changes)
    own = recorded(folder)
    if empty:
        return own
    base = own if asked.file is None else read_argument(asked.file)
    wanted = merge(base, asked.changes)
    old, new = (load_run(values, CONFIG) for values in (own, wanted))
    found = [f"{key}: {was} -> {now}" for key, was, now in config_changes(old, new)]
    if found and not change:
        raise ConfigError(
            f"{RUNS}/{name} holds another configuration ({some(found)}); keep both with another "
            "--name, or add --change to change that run, where only what differs is made again"
        )
    return wanted if found else own


def enter(
    name: str | None,
    asked: Asked,
    change: bool = False,
    check: Callable[[Config], None] = lambda config: None,
) -> Asked:
    """Go to the folder of the run that is asked for, made if it is new; return what to ask there.

    Nothing is written where the configuration or `check` refuses. Raises ConfigError.
    """
    top = top_of(Path.cwd())
    folder = find(top, name, asked)
    if folder == top:
        if name == DEMO and asked.config() != load_run({}):
            raise ConfigError(f"{DEMO!r} is the run of the defaults; choose another --name")
        config = load_run({})
        check(config)
        os.chdir(top)
        if named(top):
            bring(top, config)
        return Asked()
    values = settle(folder, asked, change)
    config = load_run(values, asked.file or f"{RUNS}/{folder.name}/{CONFIG}")
    check(config)
    arrange(folder, values)
    os.chdir(folder)
    bring(folder, config)
    return Asked(CONFIG)


def arrange(folder: Path, values: Mapping[str, Any]) -> None:
    """Write a run's configuration, links and pipeline, as far as they are not there."""
    top = folder.parent.parent
    # all are looked at before anything is written
    names = [*SHARED, *named_files(top, [values, *_entries(top, values)])]
    for name in names:
        link(folder / name, top / name)
    link(folder / MANUAL, top / MANUAL)
    if (top / PIPELINE).is_file():
        head = f"# Written by dmn run, from {PIPELINE} of the checkout. See docs/dvc.md.\n"
        text = head + _yaml(pipeline(read_yaml(top / PIPELINE, "the pipeline")))
        if not (folder / PIPELINE).is_file() or (folder / PIPELINE).read_text("utf-8") != text:
            write_text(folder / PIPELINE, text)
    if not (folder / CONFIG).is_file() or recorded(folder) != values:
        head = f"# The run {folder.name}: what differs from the defaults (config/demo.yaml).\n"
        write_text(folder / CONFIG, f"{head}#   dmn run --name {folder.name}\n{_yaml(values)}")


def _entries(top: Path, values: Mapping[str, Any]) -> list[Any]:
    """Return what a configuration's own registry says of its data sets."""
    registry = (values.get("download") or {}).get("registry")
    if registry is None:
        return []
    known = read_yaml(top / registry, "the registry").get("datasets") or {}
    return [known.get(name) for name in values.get("datasets") or []]


def named_files(top: Path, values: Any) -> Iterator[str]:
    """Yield the first part of each text that is a relative path of something in the checkout.

    ConfigError for one that leads out of it: a run's folder lies two folders further down.
    """
    if isinstance(values, Mapping | list | tuple):
        for inner in values.values() if isinstance(values, Mapping) else values:
            yield from named_files(top, inner)
    elif isinstance(values, str) and values and not Path(values).is_absolute():
        first = next(iter(Path(values).parts), ".")
        if first in (".", paths.DATA, paths.REPORTS) or not (top / values).exists():
            return
        if first == "..":
            whole = (top / values).resolve()
            raise ConfigError(f"{values} leads out of the checkout; write the whole path, {whole}")
        yield first


def link(place: Path, target: Path) -> None:
    """Make `place` a relative link to `target`, unless something is there or nothing is behind."""
    if place.exists() or place.is_symlink() or not (target.exists() or target.name == "manual"):
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(target, place.parent))
    except OSError as error:
        raise OutputError(f"cannot make the link {place}: {error.strerror}") from None


def pipeline(top: Mapping[str, Any]) -> dict[str, Any]:
    """Return the DVC pipeline of a run: that of the top, its sources two folders up."""
    own = (f"{paths.DATA}/", f"{paths.REPORTS}/", ".snakemake/")
    stages = {
        name: {
            **stage,
            "deps": [d if d.startswith(own) else UP + d for d in stage.get("deps", [])],
        }
        for name, stage in top["stages"].items()
    }
    first = next(iter(stages.values()))
    first["deps"] = [CONFIG, *first["deps"]]
    return {**top, "stages": stages}


def _yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
