"""Make a folder of images a data set: split, registry entry and configuration; nothing is copied.

    dmn new-dataset ~/birds                                 class/image
    dmn new-dataset ~/birds --as my_birds                   or train|val|test/class/image
    dmn new-dataset ~/birds --model ViT-B-32 --checkpoint weights/mine.pt
    dmn run --config config/birds.yaml

Every image is looked at: what cannot be read is left out and named, what is odd is counted. The
split goes to data/manual/NAME/split.json, the entry to config/registry.yaml, a configuration with
OpenAI's ViT-B/16 (or the model that is named) to config/NAME.yaml.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dmn.artifacts import write_text
from dmn.config import load
from dmn.datasets.archives.listing import files_below, folders_in, is_image
from dmn.datasets.archives.names import listed_name
from dmn.datasets.examination import examine
from dmn.datasets.folders import arrange
from dmn.datasets.splits import PARTS, class_label_name
from dmn.encoders.models import check_model
from dmn.errors import ConfigError, DataError
from dmn.pipeline.new_dataset.entries import (
    LARGE,
    TRAINING,
    add_entry,
    check_writable,
    declare_files,
    write_config,
)
from dmn.pipeline.new_dataset.remarks import NewDataset, remarks

MODEL, PRETRAINED, BACKBONE = "ViT-B-16-quickgelu", "openai", "ViT-B-16"
LISTING, SPLIT = "images.json", "split.json"
ROWS = 20


def look(
    folder: Path, name: str, seed: int, advance: Callable[[], object] = lambda: None
) -> NewDataset:
    """Examine and arrange the images of a folder. DataError where it is no folder of classes."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder; name the one that holds the folders of classes, or of "
            "train, val and test (an archive: unpack it first, or write an entry, docs/data.md)"
        )
    files = list(files_below(folder))
    images = [file for file in files if is_image(file)]
    known = {listed_name(image): image for image in images}
    if len(known) < len(images):
        twice = next(image for image in images if known[listed_name(image)] != image)
        raise DataError(f"{folder} holds {twice!r} in two Unicode forms; rename one of them")
    # folders first: a wrong folder is told before an hour of looking at images
    arrange(list(known), str(folder), seed)
    examination = examine(folder, images, advance)
    if len(examination.unreadable) == len(images):
        first = next(iter(examination.unreadable.values()))
        raise DataError(f"no image of {folder} can be read, {len(images)} in all; {first}")
    readable = [listed_name(image) for image in images if image not in examination.unreadable]
    arranged = arrange(readable, str(folder), seed)
    below = [name for above in arranged.above for name in folders_in(folder / above)]
    vanished = sorted({class_label_name(name) for name in below} - set(arranged.classes))
    others = [file for file in files if not is_image(file)]
    return NewDataset(name, folder, arranged, examination, others, vanished)


def split_file(made: NewDataset) -> str:
    """Return the split in CoOp's form: [path, label, class name], a line an image."""
    parts = [
        f'"{part}": [\n'
        + ",\n".join(
            json.dumps([path, label, made.arranged.classes[label]], ensure_ascii=False)
            for path, label in made.arranged.parts[part]
        )
        + "\n]"
        for part in PARTS
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def registry_entry(made: NewDataset) -> dict[str, Any]:
    """Return the entry as a person would write it."""
    folder = made.folder.absolute()
    here = Path.cwd()
    written = folder.relative_to(here) if folder.is_relative_to(here) else folder
    values: dict[str, Any] = {
        "title": made.folder.absolute().name,
        "kind": "images",
        "classes": len(made.arranged.classes),
        "sizes": {part: len(made.arranged.parts[part]) for part in PARTS},
        "layout": {"kind": "split_file"},
        "files": {
            LISTING: {"role": "archive", "folder": written.as_posix()},
            SPLIT: {"role": "split"},
        },
        "templates": ["a photo of a {}."],
    }
    if shots := made.shots():
        values["training"] = [{"shots": shots, **TRAINING}]
    return values


def configuration(made: NewDataset, encoder: dict[str, Any], registry: Path) -> dict[str, Any]:
    """Return a configuration that runs what the images serve on one encoder."""
    backbone, settings = next(iter(encoder.items()))
    values: dict[str, Any] = {"datasets": [made.name], "backbones": [backbone]}
    values["encoders"] = {backbone: settings}
    if shots := made.shots():
        values["shots"] = shots
    else:
        values["settings"] = ["zero_shot"]
    values["views"] = {"flip": True}
    values["corruptions"] = {"kinds": []}
    if len(made.arranged.parts["test"]) * len(made.arranged.classes) > LARGE:
        values["numerics"] = {"dtype": "float32"}
    values["download"] = {"registry": registry.as_posix()}
    return values


def encoder_of(model: str | None, pretrained: str | None, checkpoint: str | None) -> dict[str, Any]:
    """Return the encoder of a configuration by its name: OpenAI's ViT-B/16 unless told otherwise.

    ConfigError for a model that open_clip lacks, and a checkpoint that is not there or without a
    model.
    """
    if checkpoint is None and pretrained is None and model is None:
        return {BACKBONE: {"model": MODEL, "pretrained": PRETRAINED}}
    if model is None or (checkpoint is None) == (pretrained is None):
        raise ConfigError(
            "name a model of open_clip's with one of --checkpoint FILE and --pretrained TAG, such "
            "as --model ViT-B-32 --checkpoint mine.pt"
        )
    check_model(model, "--model")
    if checkpoint is None:
        return {_plain(f"{model}-{pretrained}"): {"model": model, "pretrained": pretrained}}
    if not Path(checkpoint).is_file():
        raise ConfigError(f"there is no checkpoint {checkpoint}; correct --checkpoint")
    return {_plain(Path(checkpoint).stem): {"model": model, "checkpoint": checkpoint}}


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.") or "mine"


def default_name(folder: Path) -> str:
    """Return a data set's name for a folder; ConfigError where its own gives none."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.absolute().name.lower()).strip("_")
    if not name:
        raise ConfigError(f"the folder's name {folder.name!r} gives no name; add --as NAME")
    return name


def show(made: NewDataset) -> None:
    """Print the counts of each part and class, and the remarks."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 110)
    table = Table("class", *PARTS)
    rows = list(
        zip(made.arranged.classes, *(made.arranged.counts(part) for part in PARTS), strict=True)
    )
    for name, *counts in rows[:ROWS]:
        table.add_row(escape(name), *map(str, counts))
    if len(rows) > ROWS:
        table.add_row(f"and {len(rows) - ROWS} more classes", *[""] * len(PARTS))
    totals = [str(len(made.arranged.parts[part])) for part in PARTS]
    table.add_row(f"all {len(rows)} classes", *totals, end_section=True)
    console.print(table)
    for line in remarks(made):
        console.print(f"Note: {escape(line)}", soft_wrap=True)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn new-dataset`."""
    parser.add_argument("folder", metavar="FOLDER", help="folder of class folders, or of parts")
    parser.add_argument("--as", dest="name", metavar="NAME", help="(the folder's own name)")
    parser.add_argument("--model", help=f"a model of open_clip's ({MODEL})")
    parser.add_argument("--pretrained", metavar="TAG", help=f"its released weights ({PRETRAINED})")
    parser.add_argument("--checkpoint", metavar="FILE", help="or weights of your own")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the cut into parts, where there are none (0)"
    )
    declare_files(parser, "the split", "data set")


def main(arguments: argparse.Namespace) -> None:
    """Make the files, or nothing and one line of why not."""
    folder = Path(arguments.folder).expanduser()
    name = arguments.name or default_name(folder)
    registry, config = Path(arguments.registry), Path(arguments.config or f"config/{name}.yaml")
    check_writable(name, registry, config, arguments.replace)
    encoder = encoder_of(arguments.model, arguments.pretrained, arguments.checkpoint)
    made = _watched(folder, name, arguments.seed)
    if not made.arranged.parts["test"]:
        raise DataError(f"{folder} has no image for testing; give each class at least one")
    values = configuration(made, encoder, registry)
    # an encoder that is none is told before anything is written
    load(values, str(config))
    split = Path(arguments.manual) / name / SPLIT
    write_text(split, split_file(made))
    add_entry(registry, name, registry_entry(made))
    head = f"Images of {folder.absolute().name}.\n  dmn run --config {config.as_posix()}"
    write_config(config, values, head)
    show(made)
    sys.stdout.write(
        f"Wrote {split}, {registry} and {config}; the images stay where they are. Next:\n"
        f"  dmn plan --config {config}\n  dmn run --config {config}\n"
    )


def _watched(folder: Path, name: str, seed: int) -> NewDataset:
    """Look at a folder with a bar on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, quiet=not sys.stderr.isatty())) as bar:
        task = bar.add_task("images looked at", total=None)
        return look(folder, name, seed, lambda: bar.advance(task))
