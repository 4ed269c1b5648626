"""Manifests in the form of sha256sum: of some files, or of all that a configuration asks for."""

from __future__ import annotations

import argparse

from dmn.artifacts import manifest_text, write_text
from dmn.errors import run_main


def files_of(config: str) -> list[str]:
    """Return every artifact and report of a whole configuration, JSON text or a YAML file."""
    from dmn.config import from_argument
    from dmn.pipeline.targets import Targets

    targets = Targets(from_argument(config))
    return targets.reports() + targets.data()


def main() -> None:
    """Hash the files and write the manifest."""
    parser = argparse.ArgumentParser(prog="python -m dmn.pipeline.manifest", description=__doc__)
    parser.add_argument("--out", required=True, help="manifest to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--files", nargs="+", metavar="FILE", help="files to hash")
    source.add_argument("--config", metavar="JSON|FILE", help="configuration: hash all of it")
    arguments = parser.parse_args()
    files = arguments.files or files_of(arguments.config)
    write_text(arguments.out, manifest_text(files))


if __name__ == "__main__":
    run_main(main)
