"""Files that a command writes for a person: an entry of a registry, a configuration for it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dmn.artifacts import write_text
from dmn.datasets.registry import entry_file, load_registry
from dmn.errors import ConfigError
from dmn.pipeline.configuration import load_run
from dmn.schema import read_yaml

# the paper's numbers of shots, and its training for most of its data sets
SHOTS = (1, 2, 4, 8, 16)
TRAINING = {"learning_rate": 1.0e-4, "epochs": 100}
# images times classes from which float32 is worth it
LARGE = 10_000_000
NAME = re.compile(r"[a-z0-9_]+")


def check_name(name: str) -> None:
    """Refuse names that paths cannot take, and those of data sets that come with the project."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be a data set's name; use a-z, 0-9 and _")
    if entry_file(name).exists():
        raise ConfigError(f"{name!r} is a data set of this project; choose another name")


def declare_files(parser: argparse.ArgumentParser, brought: str, earlier: str) -> None:
    """Add the options that say where an entry, its configuration and what is `brought` go."""
    parser.add_argument(
        "--registry",
        metavar="FILE",
        default="config/registry.yaml",
        help="to add the entry to (%(default)s)",
    )
    parser.add_argument("--config", metavar="FILE", help="to write (config/NAME.yaml)")
    parser.add_argument(
        "--manual", metavar="FOLDER", default="data/manual", help=f"of {brought} (%(default)s)"
    )
    parser.add_argument("--replace", action="store_true", help=f"an earlier {earlier} of the name")


def check_writable(name: str, registry: Path, config: Path, replace: bool) -> None:
    """Refuse, before any work, a name that is taken and a configuration that is there."""
    check_name(name)
    entries = read_yaml(registry, "the registry file").get("datasets") if registry.exists() else {}
    if name in (entries or {}) and not replace:
        raise ConfigError(f"{registry} has a data set {name!r}; choose another name, or --replace")
    if config.exists() and not replace:
        raise ConfigError(f"{config} is there; choose another name, or --replace")


def as_yaml(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML in their own order."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)


def add_entry(registry: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Add a data set to a registry file, in place of one of its name; comments stay.

    The file is made where there is none. ConfigError where it cannot be added to.
    """
    old = registry.read_text(encoding="utf-8") if registry.exists() else "datasets:\n"
    known = read_yaml(registry, "the registry file") if registry.exists() else {}
    block = "".join(f"  {line}\n" for line in as_yaml({name: facts}).splitlines())
    # an entry is its line and all that is indented deeper
    text = re.sub(rf"^  (['\"]?){name}\1:.*\n(?:(?:   .*)?\n)*", "", old, flags=re.MULTILINE)
    text = re.sub(r"^datasets: *\{\} *$", "datasets:", text, flags=re.MULTILINE)
    text = text.rstrip("\n") + "\n" + block
    expected = {**known, "datasets": {**(known.get("datasets") or {}), name: dict(facts)}}
    if yaml.safe_load(text) != yaml.safe_load(as_yaml(expected)):
        raise ConfigError(
            f"{registry} is written in a way that cannot be added to; add this to its `datasets` "
            f"yourself: {name}: {dict(facts)}"
        )
    write_text(registry, text)
    load_registry(registry)


def write_config(path: Path, values: Mapping[str, Any], head: str) -> None:
    """Write a configuration, checked, below a comment."""
    load_run(dict(values), str(path))
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    write_text(path, comment + as_yaml(values))
