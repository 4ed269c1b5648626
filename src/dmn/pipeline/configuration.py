"""The configuration of a whole run: its sections, and what only those above them can check."""

from __future__ import annotations

from typing import Any

from dmn.config import Config, load
from dmn.datasets.registry import find_dataset, load_registry
from dmn.errors import ConfigError
from dmn.pipeline.checks import can_serve
from dmn.studies.table import STUDIES, find_study, required, study_options


def load_run(values: dict[str, Any], source: str = "configuration") -> Config:
    """Return the configuration of a run, its studies' options checked.

    Where it names no studies, they are all that its data sets can serve.

    Raises ConfigError naming key, value, place and the nearest known key.
    """
    config = load(values, source)
    for name, changes in config.studies.items():
        study_options(name, changes, source)
    registry = load_registry(config.download.registry)
    entries = [find_dataset(name, registry) for name in config.datasets]

    def served(study: str) -> bool:
        needed = required(find_study(study))
        return any(can_serve(config, entry, needed) for entry in entries)

    for name in config.studies:
        if not served(name):
            raise ConfigError(
                f"studies.{name} ({source}) needs {', '.join(required(find_study(name)))}, and no "
                "data set of the configuration has any; leave the study out, or give "
                "corruptions.kinds and a data set of images"
            )
    studies = config.studies or {name: {} for name in STUDIES if served(name)}
    return config.model_copy(update={"studies": studies})
