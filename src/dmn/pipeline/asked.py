"""Check the configuration that a command line asks for, and write it out whole, with comments.

    dmn config --config config/paper.yaml views.test=64
    dmn config --write                          config/demo.yaml and config/schema.json, anew

Unknown keys are refused with the nearest known one; nothing in a file is run.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import yaml

from dmn.artifacts import write_text
from dmn.config import Config
from dmn.config.loading import read_argument
from dmn.config.writing import commented_yaml, generated
from dmn.errors import ConfigError
from dmn.pipeline.configuration import load_run
from dmn.schema import merge

CONFIG_HELP = "YAML file over the defaults, which are the embedded demo"
# a file name may hold "=" too, but behind a folder
CHANGE = re.compile(r"[A-Za-z_][\w.-]*=")


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add `--config` and KEY=VALUE to a command."""
    parser.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    parser.add_argument(
        "changes",
        nargs="*",
        metavar="KEY=VALUE",
        help="change a key, such as datasets='[dtd]' or seeds.split='[0-2, 3]'",
    )


@dataclass(frozen=True)
class Asked:
    """A configuration file, or none, and what is laid over it."""

    file: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, file: str | None, words: Sequence[str]) -> Asked:
        """Return what `--config` and the KEY=VALUE words ask for; ConfigError for other words."""
        return cls(file, reduce(merge, map(_change, words), {}))

    def config(self) -> Config:
        """Return the configuration that is asked for, checked."""
        source = self.file or "the command line"
        values = merge(read_argument(self.file), self.changes)
        return load_run(values, "--config" if source.startswith("{") else source)

    def options(self) -> list[str]:
        """Return the same for Snakemake."""
        options = ["--configfile", self.file] if self.file else []
        if self.changes:
            options += [
                "--config",
                *(f"{k}={json.dumps(v, default=str)}" for k, v in self.changes.items()),
            ]
        return options


def _change(word: str) -> dict[str, Any]:
    """Return `a.b=VALUE` as a nested mapping."""
    place, equals, text = word.partition("=")
    if not equals or not CHANGE.match(word):
        raise ConfigError(f"{word!r} is not KEY=VALUE, such as datasets='[dtd]'")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of {word!r} is not YAML: {error}") from None
    if None in _leaves(value):
        # Snakemake would read the word "null"
        raise ConfigError(f"{word!r} has no value; write null into a file for --config")
    for key in reversed(place.split(".")):
        value = {key: value}
    return dict(value)


def _leaves(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from (leaf for item in inner for leaf in _leaves(item))
    if not isinstance(value, dict | list):
        yield value


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn config`."""
    add_configuration(parser)
    parser.add_argument("--out", metavar="FILE", help="file to write (default: print it)")
    parser.add_argument("--write", action="store_true", help="make the generated files instead")


def main(arguments: argparse.Namespace) -> None:
    """Write one configuration out whole, or make the generated files."""
    if arguments.write:
        for path, text in generated(load_run({})).items():
            write_text(path, text)
        return
    text = commented_yaml(Asked.read(arguments.config, arguments.changes).config())
    if arguments.out:
        write_text(arguments.out, text)
    else:
        sys.stdout.write(text)
