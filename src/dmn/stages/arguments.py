"""What the stages' command lines share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from dmn import studies
from dmn.config.loading import validated
from dmn.errors import ConfigError, nearest

CONFIG_HELP = "configuration: JSON text or a YAML file (default: the embedded demo)"


def add(parser: argparse.ArgumentParser, *names: str, **helps: str) -> None:
    """Add required options; `helps` gives each its line of help, by name."""
    for name in (*names, *helps):
        parser.add_argument(f"--{name}", required=True, help=helps.get(name, _HELP.get(name)))


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config`."""
    parser.add_argument("--config", metavar="JSON|FILE", help=CONFIG_HELP)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--options`, for `find_study`."""
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
    try:
        changes = json.loads(arguments.options)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--options is not JSON: {error}") from None
    return module, validated(module.Options, changes, "--options")


def add_list(
    parser: argparse.ArgumentParser, name: str, text: str, kind: Callable[[str], Any] = str
) -> None:
    """Add a required option that takes one value or more."""
    parser.add_argument(f"--{name}", nargs="+", required=True, type=kind, help=text)


def add_files(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Add an option that takes any number of files."""
    parser.add_argument(f"--{name}", nargs="*", default=[], metavar="FILE", help=text)


_HELP = {
    "dataset": "name in the registry",
    "backbone": "name in `encoders` of the configuration",
    "split": "split.json of the data set",
    "shots": "which images a split seed draws: split=<seed>.json",
    "weights": "weights of the encoder (safetensors)",
    "text": "text features [C, D] (safetensors)",
    "train": "features of the training images (safetensors)",
    "val": "features of the validation images (safetensors)",
    "test": "features of the test images (safetensors)",
    "out": "file to write",
}
