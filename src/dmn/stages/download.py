"""download: fetch one file of a data set, or list what was fetched.

Files come from a mirror, from their official homes in order, or from data/manual/<dataset>/.
They are checked against the registry and are never unpacked into an artifact.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dmn.artifacts import write_json
from dmn.config import Config, from_argument
from dmn.datasets import digits
from dmn.datasets.download import Transfer, fetch, manifest
from dmn.datasets.registry import DatasetEntry
from dmn.digests import Digests
from dmn.errors import ConfigError, nearest
from dmn.pipeline import paths
from dmn.stages.arguments import add, add_config, add_files
from dmn.stages.entry import find_entry


def fetch_file(entry: DatasetEntry, name: str, out: Path, config: Config) -> str:
    """Put one file of a data set at `out`; return where it came from."""
    if name not in entry.files:
        raise ConfigError(f"{entry.name} has no file {name!r}; {nearest(name, entry.files)}")
    if entry.kind == "digits":
        digits.export(out)
        return "scikit-learn's load_digits"
    options = config.download
    transfer = Transfer(
        manual=Path(options.manual),
        mirror=options.mirror,
        timeout=options.timeout,
        retries=options.retries,
        digests=Digests(Path(paths.DIGESTS)),
    )
    source = fetch(entry.name, entry.files[name], out, transfer)
    transfer.digests.save()
    return source


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage download`."""
    parser.add_argument("action", choices=["file", "manifest"], help="what to write")
    parser.add_argument("--file", help="name of the file in the registry (action file)")
    add(parser, "dataset", "out")
    add_config(parser)
    add_files(parser, "files", "the downloaded files (action manifest)")


def main(arguments: argparse.Namespace) -> None:
    """Fetch one file or write the manifest of a data set."""
    config = from_argument(arguments.config)
    entry = find_entry(arguments.dataset, config)
    out = Path(arguments.out)
    if arguments.action == "file":
        source = fetch_file(entry, arguments.file, out, config)
        sys.stderr.write(f"{out} is whole, from {source}\n")
    else:
        write_json(out, manifest(entry.served_by(arguments.files), out.parent))
