"""The data set that a stage's command line tells."""

from __future__ import annotations

from dmn.config import Config
from dmn.config.loading import is_json, read_json_text, validated
from dmn.datasets.registry import DatasetEntry, find_dataset, load_registry


def find_entry(dataset: str, config: Config) -> DatasetEntry:
    """Return the data set that `--dataset` tells, by name or by facts in JSON text and no others.

    A name is looked up in the configuration's registry, or in the built-in one.
    """
    if is_json(dataset):
        return validated(DatasetEntry, read_json_text(dataset, "--dataset"), "--dataset", bare=True)
    extra = config.download.registry if "download" in vars(config) else None
    return find_dataset(dataset, load_registry(extra))
