"""Values made a configuration, or refused in words: which key, where, and the nearest known."""

from __future__ import annotations

import json
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from dmn.config.model import Config
from dmn.datasets.formats.choice import backbone_files
from dmn.datasets.registry import load_registry
from dmn.errors import ConfigError, nearest
from dmn.schema import read_yaml

Validated = TypeVar("Validated", bound=BaseModel)


def load(values: dict[str, Any], source: str = "configuration") -> Config:
    """Validate merged values; raise ConfigError naming key, value, bounds and the nearest key."""
    config = validated(Config, values, source)
    _check_backbones(config, source)
    return config


def _check_backbones(config: Config, source: str) -> None:
    """Refuse backbones that are neither encoders nor those of a data set of features."""
    missing = [name for name in config.backbones if name not in config.encoders]
    if not missing:
        return
    registry = load_registry(config.download.registry)
    entries = [registry[name] for name in config.datasets if name in registry]
    known = {name for one in entries if one.kind == "features" for name in backbone_files(one)}
    for backbone in missing:
        # features without a name of their own take any
        if backbone not in known and "" not in known:
            raise ConfigError(
                f"backbones: {backbone!r} ({source}) has no entry in encoders, and no data set has "
                f"features of that name; {nearest(backbone, known | set(config.encoders))}"
            )


def validated(model: type[Validated], values: dict[str, Any], source: str) -> Validated:
    """Return a model of `values`; raise ConfigError naming each key that is wrong, and why."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(e, source, model) for e in error.errors())) from None


def from_argument(text: str | None) -> Config:
    """Return the configuration that `--config` names: JSON text, a YAML file, or the default."""
    return load(read_argument(text), "--config" if _is_json(text) else str(text))


def read_argument(text: str | None) -> dict[str, Any]:
    """Return the values of JSON text or of a YAML file."""
    if text is None:
        return {}
    if not _is_json(text):
        return read_yaml(text)
    try:
        return dict(json.loads(text))
    except json.JSONDecodeError as error:
        raise ConfigError(f"--config is not JSON: {error}") from None


def _is_json(text: str | None) -> bool:
    return text is not None and text.lstrip().startswith("{")


def _explain(error: Any, source: str, model: type[BaseModel]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        *above, key = error["loc"]
        known = _known_keys(above, model)
        return f"unknown key {place!r} in {source}; {nearest(str(key), known)}"
    shown = repr(error["input"])
    # YAML reads 2024, on and null as other things than text
    hint = "; put it in quotes" if error["type"] == "string_type" else ""
    return f"{place} = {shown[:80]} in {source}: {error['msg'][0].lower()}{error['msg'][1:]}{hint}"


def _known_keys(above: list[Any], model: Any) -> list[str]:
    for part in above:
        fields = getattr(model, "model_fields", {})
        annotation = fields[part].annotation if part in fields else model
        inner = [a for a in get_args(annotation) if _is_model(a)]
        model = annotation if _is_model(annotation) else (inner or [model])[-1]
    return list(model.model_fields)


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
