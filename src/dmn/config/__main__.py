"""The configuration as a command: check a file, write one out whole, make the generated files.

`config/demo.yaml` and `config/schema.json` are generated from the model.
"""

from __future__ import annotations

import argparse

from dmn.artifacts import write_text
from dmn.config import from_argument, load
from dmn.config.writing import commented_yaml, generated
from dmn.errors import run_main
from dmn.schema import read_yaml


def main() -> None:
    """Write the generated files, check a configuration file, or write one out whole."""
    parser = argparse.ArgumentParser(prog="python -m dmn.config", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write config/demo.yaml and schema")
    parser.add_argument("--check", metavar="FILE", help="validate a YAML file and print it whole")
    parser.add_argument("--settings", metavar="JSON|FILE", help="configuration to write whole")
    parser.add_argument("--out", help="file for --settings")
    arguments = parser.parse_args()
    if arguments.settings:
        write_text(arguments.out, commented_yaml(from_argument(arguments.settings)))
    if arguments.write:
        for path, text in generated().items():
            write_text(path, text)
    if arguments.check:
        config = load(read_yaml(arguments.check), arguments.check)
        parser.exit(message=commented_yaml(config))


if __name__ == "__main__":
    run_main(main)
