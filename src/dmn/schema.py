"""What is read from YAML or JSON: its strict base, and files laid over each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict

from dmn.errors import ConfigError

# what validators are told where only some fields are given, so that the others may be missing
PARTIAL = {"partial": True}


class Strict(BaseModel):
    """Unknown keys are refused, and values do not change after loading."""

    # fields such as `model` and `model_name` are ours, not pydantic's
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @classmethod
    def only(cls, values: Mapping[str, Any]) -> Self:
        """Return a model of `values` without any default: reading another key is an error."""
        found = cls.model_validate(values, context=PARTIAL)
        _drop_defaults(found)
        return found

    # a type checker would take any name for a field
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Refuse a field that `only` was not given."""
            if name in type(self).model_fields:
                raise ConfigError(
                    f"{type(self).__name__}.{name} was not given to this job; name it in KEYS or "
                    "FACTS of dmn.pipeline.reads, or in READS of the study"
                )
            return super().__getattr__(name)


def _drop_defaults(value: object) -> None:
    """Take the fields that were not given out of a model and of all models in it."""
    if isinstance(value, Strict):
        for name in set(type(value).model_fields) - value.model_fields_set:
            value.__dict__.pop(name, None)
        value = value.__dict__
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            _drop_defaults(inner)


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
