"""The configuration written out: YAML with a comment for each key, and a JSON schema."""

from __future__ import annotations

import json

import yaml
from pydantic import BaseModel

from dmn.config.model import Config


def commented_yaml(model: BaseModel, indent: str = "") -> str:
    """Return all values of `model` as YAML, each with its description as a comment."""
    lines: list[str] = []
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        comment = field.description or (type(value).__doc__ or "").splitlines()[0]
        if isinstance(value, BaseModel):
            lines += ["", f"{indent}# {comment}", f"{indent}{name}:"]
            lines.append(commented_yaml(value, indent + "  ").strip("\n"))
            continue
        plain = model.model_dump(mode="json")[name]
        text = yaml.safe_dump(plain, default_flow_style=True, width=1000).strip()
        lines.append(f"{indent}# {comment}")
        lines.append(f"{indent}{name}: {text.removesuffix('...').strip()}")
    return "\n".join(lines) + "\n"


def generated(defaults: Config) -> dict[str, str]:
    """Return the generated files by path: the commented defaults and the JSON schema."""
    head = (
        "# All keys with their defaults: the embedded demo.\n"
        "# Generated, do not edit: dmn config --write\n"
    )
    schema = json.dumps(Config.model_json_schema(), indent=1, sort_keys=True) + "\n"
    return {"config/demo.yaml": head + commented_yaml(defaults), "config/schema.json": schema}
