"""The base of everything that is read from YAML or JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown keys are refused, and values do not change after loading."""

    # fields such as `model` and `model_name` are ours, not pydantic's
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
