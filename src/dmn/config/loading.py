"""Values made a configuration, or refused in words: which key, where, and the nearest known."""

from __future__ import annotations

import importlib
import json
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from dmn.config.model import Config, study_names
from dmn.errors import ConfigError, nearest
from dmn.schema import read_yaml


def load(values: dict[str, Any], source: str = "configuration") -> Config:
    """Validate merged values; raise ConfigError naming key, value, bounds and the nearest key."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(e, source) for e in error.errors())) from None
    for backbone in config.backbones:
        if backbone not in config.encoders:
            raise ConfigError(
                f"backbones: {backbone!r} ({source}) has no entry in encoders; "
                + nearest(backbone, config.encoders)
            )
    for name, changes in config.studies.items():
        study_options(name, changes, source)
    return config


def study_options(name: str, changes: dict[str, Any], source: str = "configuration") -> Any:
    """Return a study's validated options; its module declares them as `Options`."""
    known = study_names()
    if name not in known:
        raise ConfigError(f"studies: no study {name!r} ({source}); {nearest(name, known)}")
    module = importlib.import_module(f"dmn.studies.{name}")
    try:
        return module.Options.model_validate(changes)
    except ValidationError as error:
        where = f"{source}, studies.{name}"
        raise ConfigError("; ".join(_explain(e, where) for e in error.errors())) from None


def from_argument(text: str | None) -> Config:
    """Return the configuration that `--settings` names: JSON text, a YAML file, or the default."""
    if text is None:
        return Config()
    if text.lstrip().startswith("{"):
        try:
            return load(json.loads(text), "--settings")
        except json.JSONDecodeError as error:
            raise ConfigError(f"--settings is not JSON: {error}") from None
    return load(read_yaml(text), text)


def _explain(error: Any, source: str) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        *above, key = error["loc"]
        return f"unknown key {place!r} in {source}; {nearest(str(key), _known_keys(above))}"
    shown = repr(error["input"])
    # YAML reads 2024, on and null as other things than text
    hint = "; put it in quotes" if error["type"] == "string_type" else ""
    return f"{place} = {shown[:80]} in {source}: {error['msg'][0].lower()}{error['msg'][1:]}{hint}"


def _known_keys(above: list[Any]) -> list[str]:
    model: Any = Config
    for part in above:
        fields = getattr(model, "model_fields", {})
        annotation = fields[part].annotation if part in fields else model
        inner = [a for a in get_args(annotation) if _is_model(a)]
        model = annotation if _is_model(annotation) else (inner or [model])[-1]
    return list(model.model_fields)


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
