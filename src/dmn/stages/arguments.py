"""What the stages' command lines share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add(parser: argparse.ArgumentParser, *names: str, **helps: str) -> None:
    """Add required options; `helps` gives each its line of help, by name."""
    for name in (*names, *helps):
        parser.add_argument(f"--{name}", required=True, help=helps.get(name, _HELP.get(name)))


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config`."""
    parser.add_argument(
        "--config",
        metavar="JSON|FILE",
        help="configuration: JSON text with all keys that are read, as the rules give it, or a "
        "YAML file over the defaults (default: the embedded demo)",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`; no result depends on it."""
    parser.add_argument("--threads", type=int, default=1, help="threads to compute with (1)")


def add_list(
    parser: argparse.ArgumentParser, name: str, text: str, kind: Callable[[str], Any] = str
) -> None:
    """Add a required option that takes one value or more."""
    parser.add_argument(f"--{name}", nargs="+", required=True, type=kind, help=text)


def add_files(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Add an option that takes any number of files."""
    parser.add_argument(f"--{name}", nargs="*", default=[], metavar="FILE", help=text)


_HELP = {
    "dataset": "name in the registry, or facts of the data set as JSON text",
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
