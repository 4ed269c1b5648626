"""What is read from YAML or JSON: its strict base, and files laid over each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from dmn.errors import ConfigError


class Strict(BaseModel):
    """Unknown keys are refused, and values do not change after loading."""

    # fields such as `model` and `model_name` are ours, not pydantic's
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it; mappings merge, all else is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def read_yaml(path: Path | str, what: str = "configuration") -> dict[str, Any]:
    """Read a YAML mapping without running anything in it; `what` names the file in errors."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {what} {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict | None):
        raise ConfigError(f"{path} holds {type(values).__name__}; a mapping of keys is needed")
    return values or {}
