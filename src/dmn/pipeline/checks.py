"""What can be known before anything runs: which backbone and which study serve which data set.

Everything is told from a configuration, the registry, and the heads of the files that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from dmn.config import Config
from dmn.datasets.formats.choice import backbone_files, chosen_text, files_of
from dmn.datasets.imported import ImportedFeatures, read_imported_split
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import sample_shots, sample_validation
from dmn.encoders.models import check_model
from dmn.errors import ConfigError, nearest

Entries = Mapping[str, DatasetEntry]


def backbones_by_dataset(config: Config, entries: Entries) -> dict[str, list[str]]:
    """Return the configured backbones that each data set has: encoders, or features by name.

    Features whose files name no backbone go by the only configured one. ConfigError where a data
    set has none, or would be shown under two names.
    """
    found = {name: _backbones(config, entry) for name, entry in entries.items()}
    used = {backbone for backbones in found.values() for backbone in backbones}
    for backbone in config.backbones:
        if backbone not in used:
            listed = ", ".join(entries)
            raise ConfigError(f"backbones: {backbone!r} serves none of the data sets {listed}")
    return found


def _backbones(config: Config, entry: DatasetEntry) -> list[str]:
    if entry.kind != "features":
        known = set(config.encoders)
    else:
        known = set(backbone_files(entry))
        if known == {""}:
            return _unnamed(config, entry)
    mine = [name for name in config.backbones if name in known]
    if not mine:
        wanted = config.backbones[0]
        what = "features of backbone" if entry.kind == "features" else "encoder"
        raise ConfigError(f"{entry.name} has no {what} {wanted!r}; {nearest(wanted, known)}")
    return mine


def _unnamed(config: Config, entry: DatasetEntry) -> list[str]:
    names = config.backbones
    if len(names) > 1:
        raise ConfigError(
            f"data set {entry.name} has imported features of one encoder without a name, but the "
            f"configuration has {len(names)} backbones ({', '.join(names)}); name it in its "
            "registry entry, features: {backbones: {NAME: {}}}"
        )
    return list(names)


def has_shifts(config: Config, entry: DatasetEntry) -> bool:
    """Say whether shifted copies of a data set's test images are made."""
    return entry.kind != "features" and bool(config.corruptions.kinds)


def can_serve(config: Config, entry: DatasetEntry, required: Iterable[str]) -> bool:
    """Say whether a data set has what a study cannot do without."""
    return "shifts" not in required or has_shifts(config, entry) or bool(entry.groups)


def feature_files(config: Config, entry: DatasetEntry, backbone: str, trained: bool) -> list[str]:
    """Return the files that hold a backbone's parts and the chosen text, without training images.

    They are among them if `trained`. DataError where there is no such text.
    """
    found = files_of(entry, backbone)
    parts = [part for part in found.parts if trained or part != "train"]
    stored = [where[part] for part in parts for where in (found.features, found.labels)]
    stored.append(found.text[chosen_text(entry, found, config.prompts.text)])
    groups = [file.name for file in entry.by_role("groups")]
    return list(dict.fromkeys([*(one.file for one in stored), *groups]))


def check_archives(entries: Entries) -> None:
    """Refuse a data set of images whose archives are not named, such as uncounted shards."""
    for name, entry in entries.items():
        if entry.kind == "images" and not entry.by_role("archive"):
            shards = [url for file in entry.by_role("shards") for url in file.urls]
            raise ConfigError(
                f"{name}: the registry names no archive; {' or '.join(shards) or 'its home'} says "
                "how many shards there are, so name them in download.registry: datasets: "
                f'{{{name}: {{files: {{"test/{{0..N}}.tar": {{}}}}}}}} with N one less'
            )


def check_encoders(config: Config) -> None:
    """Refuse a model that open_clip lacks, and a local checkpoint that is not there, by name."""
    for name in config.backbones:
        encoder = config.encoders.get(name)
        if encoder:
            check_model(encoder.model, f"encoders.{name}.model")
        if encoder and encoder.checkpoint and not Path(encoder.checkpoint).is_file():
            raise ConfigError(f"encoders.{name}.checkpoint: no file {encoder.checkpoint}")


def check_features(
    config: Config, entry: DatasetEntry, backbones: Iterable[str], files: Iterable[Path]
) -> None:
    """Read the heads and labels of features that are there; one line for what does not fit.

    Shapes, classes and their order, text, and whether there are images enough for every K.
    """
    files = list(files)
    split = read_imported_split(entry, files)
    for backbone in backbones:
        opened = ImportedFeatures(entry, files, backbone, split.classes)
        opened.check_text(config.prompts.text)
    if entry.few_shot:
        options, seed = config.splits, 0
        drawn = sample_shots(split, seed, config.shots, options.sampling, options.validation_shots)
        tables = [shots.train for shots in drawn.values()]
        sample_validation(split, seed, tables, options.validation_shots, options.sampling)
