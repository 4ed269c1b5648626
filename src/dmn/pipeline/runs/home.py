"""Where a run lives: the demo at the top of a checkout, another configuration in `runs/<name>/`.

A run's folder has its configuration (`config.yaml`, over the defaults), its own `data/`,
`reports/`, records, `dvc.yaml` and `dvc.lock`; Snakefile, sources and profiles are links. So
Snakemake, DVC and dmn do in it what they do at the top, and every path in a rule stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dmn.config import Config
from dmn.config.loading import is_json
from dmn.errors import ConfigError, DmnError, some
from dmn.pipeline import paths
from dmn.pipeline.asked import Asked
from dmn.pipeline.configuration import load_run
from dmn.schema import read_yaml

RUNS = "runs"
CONFIG = "config.yaml"
# the name of the run at the top, whose configuration is the default
DEMO = "demo"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
NAME_HELP = "name of the run, in runs/NAME (default: the configuration file's own)"


def is_run(folder: Path) -> bool:
    """Say whether a folder is that of a named run."""
    return folder.parent.name == RUNS and (folder / CONFIG).is_file()


def top_of(folder: Path) -> Path:
    """Return the checkout that a run's folder belongs to; other folders are their own."""
    return folder.parent.parent if is_run(folder) else folder


def name_of(folder: Path) -> str:
    """Return the name of the run in a folder."""
    return folder.name if is_run(folder) else DEMO


def named(top: Path) -> list[str]:
    """Return the names of a checkout's runs, without the demo."""
    return sorted(path.parent.name for path in (top / RUNS).glob(f"*/{CONFIG}"))


def holding(top: Path, config: Config) -> Path | None:
    """Return the folder of the first named run of a configuration; None where there is none."""
    for name in named(top):
        folder = top / RUNS / name
        try:
            if load_run(read_yaml(folder / CONFIG), CONFIG) == config:
                return folder
        except DmnError:
            # of another version of the code
            continue
    return None


def remake(folder: Path) -> str:
    """Return the command that makes again what has changed in the run of a folder."""
    if is_run(folder):
        return f"dmn run --name {folder.name}"
    there = folder / paths.RUN_CONFIG
    if there.is_file() and load_run(read_yaml(there), paths.RUN_CONFIG) != load_run({}):
        return f"snakemake --cores all --configfile {paths.RUN_CONFIG}"
    return "dmn run"


def changed_keys(
    old: Mapping[str, Any], new: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each key that differs, with its old and its new value; None where there is none."""
    for key in {**old, **new}:
        was, now = old.get(key), new.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from changed_keys(was, now, f"{above}{key}.")
        elif was != now:
            yield f"{above}{key}", was, now


def in_place(asked: Asked, folder: Path) -> Asked:
    """Return what is asked for where a command is given: a run's own configuration in its folder.

    Changes are laid over it, as Snakemake does.
    """
    own = asked.file is None and is_run(folder)
    return Asked(CONFIG, asked.changes) if own else asked


def find(top: Path, name: str | None, asked: Asked) -> Path:
    """Return the folder of the run that is asked for, whether or not it is there.

    Without a name, the default is at the top and a file's configuration goes by the file's name.
    ConfigError for changes of the default without a name, and for names that are none.
    """
    if name is None and is_run(Path.cwd()):
        return Path.cwd()
    if name is None and not asked.changes and asked.file is None:
        return top
    if name is None:
        if asked.config() == load_run({}):
            return top
        if asked.file is None or is_json(asked.file):
            changed = some([key for key, _, _ in config_changes(load_run({}), asked.config())])
            raise ConfigError(
                f"{paths.REPORTS}/ is the home of the demo, and {changed} would change it; give "
                "the run a name: dmn run --name NAME KEY=VALUE (what the demo has made is shared)"
            )
        name = Path(asked.file).stem
    if name == DEMO:
        return top
    if not NAME.fullmatch(name):
        raise ConfigError(f"--name {name!r} is no name; use letters, digits, '_', '-' and '.'")
    return top / RUNS / name


def config_changes(old: Config, new: Config) -> Iterator[tuple[str, Any, Any]]:
    """Yield each key of two configurations that differs, with both values."""
    return changed_keys(old.model_dump(mode="json"), new.model_dump(mode="json"))


def guard(config: Config, folder: Path) -> None:
    """Refuse to write a configuration over the reports of entirely other data sets at the top.

    A seed, a study or a data set more is no other run. ConfigError names the way out.
    """
    there = folder / paths.RUN_CONFIG
    if is_run(folder) or not there.is_file():
        return
    before = read_yaml(there, "the configuration of the reports").get("datasets") or []
    if before and not set(before) & set(config.datasets):
        raise ConfigError(
            f"{paths.REPORTS}/ holds a run on {some(before)}, and this configuration has none of "
            "its data sets; give it a folder of its own (dmn run --config FILE, into "
            f"{RUNS}/FILE), or delete {paths.RUN_CONFIG} to write over it"
        )
