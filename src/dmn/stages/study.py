"""The study that a stage's command line names, with its options."""

from __future__ import annotations

import argparse
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from dmn import studies
from dmn.config.loading import read_json_text, validated
from dmn.errors import ConfigError, nearest
from dmn.stages.arguments import add


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add `--study` and `--options`."""
    add(parser, study="name of the study")
    parser.add_argument("--options", metavar="JSON", default="{}", help="options of the study")


def find_study(arguments: argparse.Namespace) -> tuple[ModuleType, Any]:
    """Return the module and the options of the study that a command line names.

    It is found by its name alone: a job that read the table of studies would be made anew with
    every new line of it.
    """
    known = {module.name for module in iter_modules(studies.__path__)} - {"table"}
    if arguments.study not in known:
        raise ConfigError(f"no study {arguments.study!r}; {nearest(arguments.study, known)}")
    module = import_module(f"dmn.studies.{arguments.study}")
    changes = read_json_text(arguments.options, "--options")
    return module, validated(module.Options, changes, "--options")
