"""The models that open_clip can build, told from its own files without loading it or torch."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from dmn.errors import ConfigError, nearest

EMBEDDED = "embedded"


@cache
def _files() -> dict[str, Path]:
    package = importlib.util.find_spec("open_clip")
    assert package is not None
    assert package.submodule_search_locations is not None
    folder = Path(package.submodule_search_locations[0]) / "model_configs"
    return {file.stem: file for file in sorted(folder.glob("*.json"))}


def check_model(model: str, place: str, known: Iterable[str] | None = None) -> None:
    """Refuse a model that open_clip does not have.

    place: where its name stands; known: the models that a program registered, or those of files.
    """
    names = [EMBEDDED, *(_files() if known is None else known)]
    if model not in names:
        raise ConfigError(f"{place}: open_clip has no model {model!r}; {nearest(model, names)}")


def embed_dim(model: str) -> int:
    """Return D of the features of a model of open_clip's that is there."""
    return int(json.loads(_files()[model].read_text(encoding="utf-8"))["embed_dim"])
