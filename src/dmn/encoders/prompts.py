"""From class names to prompts and from prompts to text features (method.md, section 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from dmn.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from dmn.encoders.clip import Encoder

PromptKind = Literal["single", "templates", "cupl", "both"]
SINGLE = "a photo of a {}."


def spoken(class_name: str) -> str:
    """Return a class name as it is written in a sentence: underscores become spaces."""
    return class_name.replace("_", " ")


def prompts_for(
    class_names: Sequence[str],
    templates: Sequence[str],
    cupl: Mapping[str, Sequence[str]] | None,
    kind: PromptKind,
) -> list[list[str]]:
    """Return the prompts of each class, templates before the sentences of CuPL.

    `single` is one generic template, `templates` the data set's own, `cupl` sentences keyed by
    the spoken class name, `both` templates and sentences. Raises ConfigError for an unknown
    kind or a template without its place, DataError for a class without sentences.
    """
    kinds = get_args(PromptKind)
    if kind not in kinds:
        raise ConfigError(f"unknown kind of prompts {kind!r}; {nearest(kind, kinds)}")
    chosen = {"single": [SINGLE], "cupl": []}.get(kind, list(templates))
    if kind != "cupl" and not chosen:
        raise ConfigError(f"prompts {kind!r} need templates, but the data set has none")
    for template in chosen:
        if template.count("{}") != 1:
            raise ConfigError(f"template {template!r} must hold {{}} once, for the class name")
    sentences = _sentences(class_names, cupl) if kind in ("cupl", "both") else {}
    return [
        [template.replace("{}", spoken(name)) for template in chosen]
        + sentences.get(spoken(name), [])
        for name in class_names
    ]


def _sentences(
    class_names: Sequence[str], cupl: Mapping[str, Sequence[str]] | None
) -> dict[str, list[str]]:
    if cupl is None:
        raise ConfigError("these prompts need a file of CuPL sentences, but there is none")
    known = {spoken(name): [str(text) for text in texts] for name, texts in cupl.items()}
    for name in map(spoken, class_names):
        if not known.get(name):
            raise DataError(f"no CuPL sentences for class {name!r}; {nearest(name, known)}")
    return known


def prompts_hash(prompts: Sequence[Sequence[str]]) -> str:
    """Return the SHA-256 of the prompts of all classes, in their order."""
    text = json.dumps([list(texts) for texts in prompts], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def text_features(encoder: Encoder, prompts: Sequence[Sequence[str]]) -> Tensor:
    """Return the normalised text features `[C, D]`: the mean direction of a class's prompts."""
    import torch

    if not all(prompts):
        raise DataError(f"class {[bool(p) for p in prompts].index(False)} has no prompts")
    every = encoder.encode_text([text for texts in prompts for text in texts])
    means = torch.stack([part.mean(0) for part in every.split([len(p) for p in prompts])])
    return means / means.norm(dim=-1, keepdim=True)
