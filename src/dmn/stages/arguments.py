"""What the stages' command lines share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

SETTINGS_HELP = "configuration: JSON text or a YAML file (default: the embedded demo)"


def command(prog: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the module's docstring as its help."""
    return argparse.ArgumentParser(
        prog=f"python -m dmn.stages.{prog}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add(parser: argparse.ArgumentParser, *names: str, **helps: str) -> None:
    """Add required options; `helps` gives each its line of help, by name."""
    for name in (*names, *helps):
        parser.add_argument(f"--{name}", required=True, help=helps.get(name, _HELP.get(name)))


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--settings`."""
    parser.add_argument("--settings", metavar="JSON|FILE", help=SETTINGS_HELP)


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
