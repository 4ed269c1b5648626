"""Manifests in the form of sha256sum: of some files, or of all that a configuration asks for."""

from __future__ import annotations

import argparse

from dmn.artifacts import manifest_text, write_text


def files_of(config: str) -> list[str]:
    """Return every artifact and report of a whole configuration, JSON text or a YAML file."""
    from dmn.config import from_argument
    from dmn.pipeline.targets import Targets

    targets = Targets(from_argument(config))
    return targets.reports() + targets.data()


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage manifest`."""
    parser.add_argument("--out", required=True, help="manifest to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--files", nargs="+", metavar="FILE", help="files to hash")
    source.add_argument("--config", metavar="JSON|FILE", help="configuration: hash all of it")


def main(arguments: argparse.Namespace) -> None:
    """Hash the files and write the manifest."""
    files = arguments.files or files_of(arguments.config)
    write_text(arguments.out, manifest_text(files))
