"""The configuration of a whole run: its sections, and what only those above them can check."""

from __future__ import annotations

from typing import Any

from dmn.config import Config, load
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
