"""From class names to prompts and from prompts to text features (method.md, section 1)."""

from __future__ import annotations

import hashlib
import json
import logging
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from dmn.errors import ConfigError, DataError, nearest, some

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from dmn.encoders.clip import Encoder

LOGGER = logging.getLogger(__name__)
PromptKind = Literal["single", "templates", "cupl", "both"]
SINGLE = "a photo of a {}."


def spoken(class_name: str) -> str:
    """Return a class name as it is written in a sentence: underscores become spaces."""
    return unicodedata.normalize("NFC", class_name.replace("_", " "))


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
    known = {spoken(name): list(texts) for name, texts in cupl.items()}
    for name in map(spoken, class_names):
        if not known.get(name):
            raise DataError(f"no CuPL sentences for class {name!r}; {nearest(name, known)}")
    return known


def read_sentences(content: Any, source: str) -> dict[str, list[str]]:
    """Return the sentences of each class in a file of prompts; one string is one sentence.

    DataError names file and class for any other form.
    """
    form = f'{source} must hold {{"class name": ["a sentence", "another"], ...}}'
    if not isinstance(content, Mapping):
        raise DataError(f"{form}, but it is {_shape(content)}")
    sentences = {}
    for name, value in content.items():
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list):
            raise DataError(f"{form}, but class {name!r} has {_shape(value)}")
        for text in texts:
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"{form}, but a sentence of class {name!r} is {_shape(text)}")
        sentences[name] = texts
    return sentences


def read_templates(path: Path) -> tuple[str, ...]:
    """Return the templates of a file, one a line, with {c} or {} where the class name stands."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; download it again") from None
    return tuple(line.strip().replace("{c}", "{}") for line in lines if line.strip())


def _shape(value: Any) -> str:
    """Return what a JSON value is, in words."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    kinds: dict[type, str] = {list: "a list", dict: "a mapping", str: f"the text {value!r}"}
    return kinds[type(value)]


def check_told_apart(
    encoder: Encoder, class_names: Sequence[str], prompts: Sequence[Sequence[str]]
) -> None:
    """Refuse prompts of two classes that are one prompt to the encoder because their ends are cut.

    Warns of prompts that are cut, and of classes with equal prompts.
    """
    texts = [text for own in prompts for text in own]
    owners = [label for label, own in enumerate(prompts) for _ in own]
    tokens, cut = encoder.tokens(texts)
    rows = [row.tobytes() for row in tokens.cpu().numpy()]
    longer = cut.nonzero().flatten().tolist()
    alike: dict[bytes, list[int]] = defaultdict(list)
    for row, own in enumerate(rows):
        alike[own].append(row)
    for row in longer:
        others = (
            o for o in alike[rows[row]] if owners[o] != owners[row] and texts[o] != texts[row]
        )
        if (other := next(others, None)) is not None:
            first, second = sorted((owners[row], owners[other]))
            raise DataError(
                f"classes {first} ({class_names[first]!r}) and {second} ({class_names[second]!r}) "
                f"have one prompt to the encoder, which reads {tokens.shape[1]} tokens: the last "
                f"{int(cut[row])} of {texts[row]!r} are cut off; give shorter names or prompts"
            )
    if longer:
        names = some(list(dict.fromkeys(repr(class_names[owners[row]]) for row in longer)))
        LOGGER.warning(
            "%d of %d prompts are longer than the %d tokens that the encoder reads, by up to %d; "
            "their ends are cut off: %s",
            *(len(longer), len(texts), tokens.shape[1], int(cut.max()), names),
        )
    _tell_equal(class_names, owners, rows)


def _tell_equal(class_names: Sequence[str], owners: list[int], rows: list[bytes]) -> None:
    """Warn of classes that text cannot tell apart, such as two of one name."""
    spoken_rows: dict[int, set[bytes]] = defaultdict(set)
    for label, row in zip(owners, rows, strict=True):
        spoken_rows[label].add(row)
    groups: dict[frozenset[bytes], list[int]] = defaultdict(list)
    for label, own in spoken_rows.items():
        groups[frozenset(own)].append(label)
    for labels in groups.values():
        if len(labels) > 1:
            names = ", ".join(f"{label} ({class_names[label]!r})" for label in labels)
            LOGGER.warning("classes %s have the same prompts: text cannot tell them apart", names)


def tell_equal_features(
    class_names: Sequence[str], prompts: Sequence[Sequence[str]], features: np.ndarray
) -> None:
    """Warn of classes with other prompts but equal text features [C, D].

    The embedded encoder knows the words of its captions only; all others are one to it.
    """
    groups: dict[bytes, list[int]] = defaultdict(list)
    for label, row in enumerate(features):
        groups[row.tobytes()].append(label)
    for labels in groups.values():
        if len({tuple(prompts[label]) for label in labels}) > 1:
            names = ", ".join(f"{label} ({class_names[label]!r})" for label in labels)
            LOGGER.warning(
                "classes %s have other prompts, but the encoder gives them equal text features: "
                "text cannot tell them apart",
                names,
            )


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
