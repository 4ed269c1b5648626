"""Values made a configuration, or refused in words: which key, where, and the nearest known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from dmn.config.model import Config
from dmn.errors import ConfigError, nearest
from dmn.schema import Strict, read_yaml

Validated = TypeVar("Validated", bound=Strict)


def load(values: dict[str, Any], source: str = "configuration") -> Config:
    """Validate merged values; raise ConfigError naming key, value, bounds and the nearest key."""
    return validated(Config, values, source)


def validated(
    model: type[Validated], values: Mapping[str, Any], source: str, *, bare: bool = False
) -> Validated:
    """Return a model of `values`, `bare` without any default (`Strict.only`).

    Raises ConfigError naming each key that is wrong, and why.
    """
    try:
        return model.only(values) if bare else model.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(e, source, model) for e in error.errors())) from None


def from_argument(text: str | None) -> Config:
    """Return the configuration that `--config` tells.

    JSON text is all that it holds, as a rule gives its job; a YAML file is laid over the defaults.
    """
    if text is not None and is_json(text):
        return validated(Config, read_json_text(text, "--config"), "--config", bare=True)
    return load(read_argument(text), str(text))


def read_argument(text: str | None) -> dict[str, Any]:
    """Return the values of JSON text or of a YAML file; none of nothing."""
    if text is None:
        return {}
    return read_json_text(text, "--config") if is_json(text) else read_yaml(text)


def is_json(text: str) -> bool:
    """Say whether an option's value is JSON text, not a name or a file."""
    return text.lstrip().startswith("{")


def read_json_text(text: str, option: str) -> dict[str, Any]:
    """Return the mapping that an option's JSON text is; ConfigError for anything else."""
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{option} is not JSON: {error}") from None


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
