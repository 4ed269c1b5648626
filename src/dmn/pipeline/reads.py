"""What each rule reads of the configuration and of the registry: its parameters, and no more.

A job is given these keys alone (`Strict.only`), so that a key which is missing here is an error in
the job, not a default in silence. What a result does not depend on stands in no line: threads are
Snakemake's, and where and how patiently files are fetched is told by the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dmn.datasets.registry import DatasetEntry, RemoteFile
from dmn.encoders.config import ViewConfig
from dmn.evaluation.contract import TRAINING

_ENCODER = tuple(
    f"encoders.{{backbone}}.{key}" for key in ("model", "pretrained", "checkpoint", "precision")
)
_EXTRACTION = (
    *_ENCODER,
    "numerics.device",
    *(f"views.{key}" for key in ViewConfig.model_fields),
    "views.seed",
    "views.test",
)

# keys by rule; those of `evaluate` are in every study's job
KEYS: dict[str, tuple[str, ...]] = {
    "shots": ("shots", "splits"),
    "pretrain_encoder": ("pretraining",),
    "fetch_encoder": _ENCODER[:3],
    "text_features": (*_ENCODER, "numerics.device", "prompts.kind"),
    "test_features": _EXTRACTION,
    "few_shot_features": (*_EXTRACTION, "views.train"),
    "shift_features": (*_EXTRACTION, "corruptions.severities"),
    "import_features": ("prompts.text",),
    "static_memory": ("shots",),
    "train_projection": (*TRAINING, "numerics.device", "numerics.dtype"),
    # the columns that say how rows were made, and which shots each memory has
    "evaluate": ("model", "splits.sampling", "numerics.dtype", "shots"),
}
# which of several files is which, by what a study needs
KEYS_OF_NEED = {"projection": ("seeds.training",), "shifts": ("corruptions",)}

_CHECKSUMS = ("bytes", "sha256", "git_blob", "md5")
_FILE = {"name", "role", "inner", "folder", "part"}
_ORIGIN = {"name", "role", "folder", "part", "urls", *_CHECKSUMS}
_WHO = {"name", "kind", "classes"}
# facts of a data set that few rules read; any other may tell how its files are read
_FEW = {
    *("title", "homepage", "licence", "citation", "notes", "homes", "parent"),
    *("templates", "training", "augmix"),
}
_READING = set(DatasetEntry.model_fields) - _FEW
FACTS: dict[str, set[str]] = {
    "download_manifest": {*_WHO, "homepage", "licence", "files", "sizes", "origins"},
    "split": _READING,
    "import_split": _READING,
    "import_features": _READING,
    "import_few_shot_features": _READING,
    "text_features": {*_WHO, "templates"},
    "test_features": {*_READING, "augmix"},
    "few_shot_features": {*_READING, "augmix"},
    "shift_features": {*_READING, "augmix"},
    "train_projection": {*_WHO, "training"},
    "evaluate": _WHO,
}
FACTS_OF_NEED = {"images": _READING, "training": {"training"}}


def picked(values: Mapping[str, Any], names: Iterable[str], **wildcards: str) -> dict[str, Any]:
    """Return the nested mapping of some dotted keys; `{backbone}` in one is the job's own.

    >>> picked({"a": {"b": 1, "c": 2}, "d": 3}, ["a.c", "d"])
    {'a': {'c': 2}, 'd': 3}
    """
    found: dict[str, Any] = {}
    for name in names:
        *above, last = (part.format(**wildcards) for part in name.split("."))
        source, target = values, found
        for part in above:
            source, target = source[part], target.setdefault(part, {})
        target[last] = source[last]
    return found


def facts(entry: DatasetEntry, fields: set[str]) -> dict[str, Any]:
    """Return some facts of a data set; of its files how they are read, or else `origins`.

    A new address or licence must not extract features again.
    """
    found = entry.model_dump(mode="json", include=fields - {"origins"})
    for file in found.get("files", {}).values():
        for key in set(file) - (_ORIGIN if "origins" in fields else _FILE):
            del file[key]
    # the registry wants one of everybody
    return {**found, "title": entry.name}


def identity(file: RemoteFile) -> dict[str, Any]:
    """Return what makes a file this file: its checksum, or else where it is published."""
    values = file.model_dump(mode="json", include={"name", "folder", *_CHECKSUMS})
    verified = any(values[key] for key in _CHECKSUMS if key != "bytes")
    return values if verified else {**values, "urls": list(file.urls)}
