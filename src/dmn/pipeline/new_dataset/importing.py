"""Look at a folder of features, say what is recognised, and make it a data set.

    dmn import ~/caches/dtd --as dtd_tip
    dmn import features/ --as dtd_zlap --only dtd
    dmn run --config config/dtd_zlap.yaml

Nothing is copied: the files are linked below data/manual/NAME/. The registry entry goes to
config/registry.yaml, a configuration that uses it to config/NAME.yaml. The zero-shot accuracy of
each text says whether labels and text have their classes in one order; docs/data.md has the forms.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmn.artifacts import atomic
from dmn.datasets.formats import FORMATS
from dmn.datasets.imported import ImportedFeatures
from dmn.datasets.precomputed import zero_shot_accuracy
from dmn.datasets.registry import DatasetEntry
from dmn.errors import ConfigError, DataError, nearest, some
from dmn.pipeline.new_dataset.entries import (
    LARGE,
    SHOTS,
    TRAINING,
    add_entry,
    check_writable,
    declare_files,
    write_config,
)
from dmn.pipeline.new_dataset.recognition import Found, look

UNNAMED = "features"
PROBE = "probe"
# an accuracy below so many times chance is no accident of a weak encoder
DOUBTFUL = 3


@dataclass(frozen=True)
class Seen:
    """One backbone's features as they were found."""

    backbone: str
    dimension: int
    dtype: str
    lengths: tuple[float, float]
    parts: dict[str, tuple[int, int]]
    accuracy: dict[str, float]
    logit_scale: float
    per_class: dict[str, int]


def count_classes(found: Found, axes: str | None) -> int:
    """Return C: the rows of the text, told from D by the images; DataError where no text is."""
    for name in found.backbones:
        entry = _entry(PROBE, found, 2, text_axes=axes)
        probe = ImportedFeatures(entry, found.files, name)
        if probe.files.text:
            prompt = min(probe.files.text)
            classes = probe.text_array(prompt).shape[0]
            if classes < 2:
                path = found.files[probe.files.text[prompt].file]
                raise DataError(f"{path} is the text of {classes} class; two or more are needed")
            return classes
    raise DataError(
        "the folder has no text features, and without them nothing is predicted; put text.pt or "
        "text.npy beside the images' features, [C, D] or [D, C]"
    )


def _entry(name: str, found: Found, classes: int, **features: Any) -> DatasetEntry:
    facts = {"name": name, "title": name, "kind": "features", "classes": classes}
    files = {file: {"name": file, "role": "archive"} for file in found.files}
    values = {**facts, "files": files, "features": {"format": found.form, **features}}
    return DatasetEntry.model_validate(values)


def first_label(found: Found, classes: int) -> int:
    """Return 1 where the labels of all parts run from 1 to C, else 0; one-hot rows tell nothing."""
    backbone = next(iter(found.backbones))
    opened = ImportedFeatures(_entry(PROBE, found, classes), found.files, backbone)
    counted = [opened.stored_labels(pool) for pool in opened.pools if opened.counts_classes(pool)]
    if not counted:
        return 0
    labels = np.concatenate(counted)
    return int(labels.min() == 1 and labels.max() == classes)


def inspect(entry: DatasetEntry, files: Mapping[str, Path], backbone: str) -> Seen:
    """Read the test images and every text of one backbone; heads and labels of the rest."""
    opened = ImportedFeatures(entry, files, backbone)
    test = opened.rows("test")
    texts = {prompt: opened.text(prompt) for prompt in opened.files.text}
    stored = {part: opened.features[pool].shape for part, (pool, _) in opened.parts.items()}
    split = opened.split()
    counts = {
        part: np.bincount([label for _, label in split.part(part)], minlength=entry.classes)
        for part in opened.parts
    }
    return Seen(
        backbone=backbone,
        dimension=opened.dimension,
        dtype=opened.features[opened.parts["test"][0]].dtype,
        lengths=test.lengths,
        parts={part: (len(split.part(part)), shape[1]) for part, shape in stored.items()},
        accuracy={
            prompt: zero_shot_accuracy(test.features, test.labels, text.features)
            for prompt, text in texts.items()
        },
        logit_scale=next(iter(texts.values())).logit_scale,
        per_class={part: int(count.min()) for part, count in counts.items()},
    )


def servable_shots(seen: Seen) -> list[int]:
    """Return the K that the training images serve, one kept for validation where none are apart."""
    most = seen.per_class.get("train", 0) - ("val" not in seen.parts)
    return [shots for shots in SHOTS if shots <= most]


def registry_entry(
    title: str, found: Found, entry: DatasetEntry, seen: Seen, text: str
) -> dict[str, Any]:
    """Return the entry as a person would write it; what is as by default is left out."""
    facts: dict[str, Any] = {"format": found.form, "text": text}
    if entry.features.backbones:
        facts["backbones"] = {backbone: {} for backbone in entry.features.backbones}
    given = entry.features.model_dump(exclude_defaults=True)
    facts |= {key: given[key] for key in ("first_label", "text_axes", "parts") if key in given}
    sizes = {part: seen.parts.get(part, (0, 0))[0] for part in ("train", "val", "test")}
    values: dict[str, Any] = {"title": title, "kind": "features", "classes": entry.classes}
    values |= {"sizes": sizes, "features": facts}
    values["files"] = {file: {} for file in found.files}
    if shots := servable_shots(seen):
        values["training"] = [{"shots": shots, **TRAINING}]
    return values


def configuration(
    name: str, entry: DatasetEntry, seen: list[Seen], registry: Path
) -> dict[str, Any]:
    """Return a configuration that runs all studies which the features allow."""
    values: dict[str, Any] = {"datasets": [name], "backbones": [one.backbone for one in seen]}
    if shots := servable_shots(seen[0]):
        values["shots"] = shots
    else:
        values["settings"] = ["zero_shot"]
    values["corruptions"] = {"kinds": []}
    if seen[0].parts["test"][0] * entry.classes > LARGE:
        values["numerics"] = {"dtype": "float32"}
    values["download"] = {"registry": registry.as_posix()}
    return values


def link(files: Mapping[str, Path], folder: Path) -> None:
    """Link files below a folder under their names; a link of an earlier import is replaced."""
    for name, path in files.items():
        with atomic(folder / name) as temporary:
            temporary.unlink()
            temporary.symlink_to(path.resolve())


def import_folder(
    folder: Path,
    name: str,
    *,
    registry: Path = Path("config/registry.yaml"),
    config: Path | None = None,
    manual: Path = Path("data/manual"),
    form: str | None = None,
    only: str | None = None,
    backbone: str | None = None,
    text_axes: str | None = None,
    train: int | None = None,
    replace: bool = False,
) -> tuple[Found, DatasetEntry, list[Seen]]:
    """Make a folder of features the data set `name`: links, registry entry and configuration.

    Everything is checked first; an error, in one line, leaves nothing written.
    """
    config = config or Path(f"config/{name}.yaml")
    check_writable(name, registry, config, replace)
    found = look(folder, form, only)
    classes = count_classes(found, text_axes)
    features: dict[str, Any] = {"text_axes": text_axes} if text_axes else {}
    if train is not None:
        if train < 1:
            raise ConfigError(f"--train {train}: draw one image of each class or more")
        features["parts"] = {"train": train}
    if set(found.backbones) == {""}:
        features["backbones"] = {backbone or UNNAMED: {}}
    elif backbone is not None:
        if backbone not in found.backbones:
            known = nearest(backbone, found.backbones)
            raise DataError(f"{folder} has no features of backbone {backbone!r}; {known}")
        features["backbones"] = {backbone: {}}
    if first := first_label(found, classes):
        features["first_label"] = first
    entry = _entry(name, found, classes, **features)
    names = entry.features.backbones or found.backbones
    seen = [inspect(entry, found.files, one) for one in names]
    prompts = seen[0].accuracy
    text = "text" if "text" in prompts else min(prompts)
    values = registry_entry(f"{name} ({FORMATS[found.form].TITLE})", found, entry, seen[0], text)
    add_entry(registry, name, values)
    head = f"Features of {folder.name}, imported.\n  dmn run --config {config.as_posix()}"
    write_config(config, configuration(name, entry, seen, registry), head)
    link(found.files, manual / name)
    return found, entry, seen


def doubts(entry: DatasetEntry, seen: list[Seen]) -> list[str]:
    """Return what a person should look at, one line each."""
    lines = []
    for one in seen:
        best = max(one.accuracy.values())
        if best < DOUBTFUL * 100 / entry.classes:
            lines.append(
                f"{one.backbone}: {best:.1f} % with the best text is near chance: do labels and "
                "text have their classes in the same order?"
            )
    if entry.features.first_label:
        lines.append("labels count from 1; the entry says first_label: 1")
    if not servable_shots(seen[0]):
        least = seen[0].per_class.get("train", 0)
        more = "" if "train" in seen[0].parts else "; --train N draws N images of each class"
        lines.append(f"zero-shot only, {least} training images in the smallest class{more}")
    return lines


def show(found: Found, entry: DatasetEntry, seen: list[Seen]) -> None:
    """Print what was recognised."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(f"{FORMATS[found.form].TITLE}: {entry.classes} classes, {len(found.files)} files")
    if found.unused:
        console.print(
            f"Not used: {len(found.unused)} other files ({some(found.unused)})", soft_wrap=True
        )
    heads = ("backbone", "D", "dtype", "lengths", "scale", "images x views", "zero-shot accuracy")
    table = Table(*heads)
    for one in seen:
        parts = [f"{part} {count:,} x {views}" for part, (count, views) in one.parts.items()]
        texts = [f"{prompt} {value:.2f} %" for prompt, value in one.accuracy.items()]
        low, high = one.lengths
        cells = (one.backbone, str(one.dimension), one.dtype, f"{low:.4g} to {high:.4g}")
        table.add_row(*cells, f"{one.logit_scale:g}", "\n".join(parts), "\n".join(texts))
    console.print(table)
    for line in doubts(entry, seen):
        console.print(f"Note: {line}", soft_wrap=True)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn import`."""
    parser.add_argument("folder", metavar="FOLDER", help="folder that holds the features")
    parser.add_argument(
        "--as", dest="name", metavar="NAME", required=True, help="the data set's name"
    )
    parser.add_argument("--only", metavar="NAME", help="data set, where the folder has several")
    parser.add_argument("--backbone", metavar="NAME", help="name of the encoder, or the one taken")
    parser.add_argument("--form", choices=list(FORMATS), help="where the names tell another")
    parser.add_argument(
        "--train",
        type=int,
        metavar="N",
        help="draw N images of each class for shots and validation, where there is one part only",
    )
    parser.add_argument("--text-axes", choices=["C D", "D C"], help="only where C equals D")
    declare_files(parser, "the links", "import")


def main(arguments: argparse.Namespace) -> None:
    """Import a folder and say what was recognised."""
    config = Path(arguments.config or f"config/{arguments.name}.yaml")
    found, entry, seen = import_folder(
        Path(arguments.folder).expanduser(),
        arguments.name,
        registry=Path(arguments.registry),
        config=config,
        manual=Path(arguments.manual),
        form=arguments.form,
        only=arguments.only,
        backbone=arguments.backbone,
        text_axes=arguments.text_axes,
        train=arguments.train,
        replace=arguments.replace,
    )
    show(found, entry, seen)
    sys.stdout.write(
        f"Wrote {arguments.registry} and {config}, linked {len(found.files)} files. Next:\n"
        f"  dmn run --config {config}\n"
    )
