"""The table of studies, one line each: the module of dmn.studies by the same name.

Nothing that a study's own jobs run reads it, so that a new line makes no other study anew.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from dmn.config.loading import validated
from dmn.errors import ConfigError, nearest

STUDIES = (
    "ablation",
    "calibration",
    "failures",
    "length",
    "main",
    "order",
    "peers",
    "sensitivity",
    "shift",
    "signals",
    "streams",
    "weights",
)


def find_study(name: str, source: str = "configuration") -> ModuleType:
    """Return a study's module; ConfigError names the nearest of the table."""
    if name not in STUDIES:
        raise ConfigError(f"studies: no study {name!r} ({source}); {nearest(name, STUDIES)}")
    return importlib.import_module(f"dmn.studies.{name}")


def required(module: ModuleType) -> tuple[str, ...]:
    """Return what a study cannot be measured without."""
    found: tuple[str, ...] = getattr(module, "REQUIRES", ())
    return found


def study_options(name: str, changes: dict[str, Any], source: str = "configuration") -> Any:
    """Return a study's options with changes, checked; its module declares them as `Options`."""
    return validated(find_study(name, source).Options, changes, f"{source}, studies.{name}")
