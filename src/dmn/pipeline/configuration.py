"""The configuration of a whole run: its sections, and what only those above them can check.

As a command: check a file, write a configuration out whole, or make the generated files
`config/demo.yaml` and `config/schema.json`.
"""

from __future__ import annotations

import argparse
from typing import Any

from dmn.artifacts import write_text
from dmn.config import Config, from_argument, load
from dmn.config.writing import commented_yaml, generated
from dmn.errors import run_main
from dmn.schema import read_yaml
from dmn.studies.table import STUDIES, study_options


def load_run(values: dict[str, Any], source: str = "configuration") -> Config:
    """Return the configuration of a run: all studies where it names none, their options checked.

    Raises ConfigError naming key, value, place and the nearest known key.
    """
    config = load(values, source)
    for name, changes in config.studies.items():
        study_options(name, changes, source)
    studies = config.studies or {name: {} for name in STUDIES}
    return config.model_copy(update={"studies": studies})


def main() -> None:
    """Write the generated files, check a configuration file, or write one out whole."""
    parser = argparse.ArgumentParser(
        prog="python -m dmn.pipeline.configuration", description=__doc__
    )
    parser.add_argument("--write", action="store_true", help="write config/demo.yaml and schema")
    parser.add_argument("--check", metavar="FILE", help="validate a YAML file and print it whole")
    parser.add_argument("--config", metavar="JSON|FILE", help="configuration to write whole")
    parser.add_argument("--out", help="file for --config")
    arguments = parser.parse_args()
    if arguments.config:
        write_text(arguments.out, commented_yaml(from_argument(arguments.config)))
    if arguments.write:
        for path, text in generated(load_run({})).items():
            write_text(path, text)
    if arguments.check:
        config = load_run(read_yaml(arguments.check), arguments.check)
        parser.exit(message=commented_yaml(config))


if __name__ == "__main__":
    run_main(main)
