"""features: unit-norm embeddings of prompts and of all views of images, float16.

Actions: text (prompts), test (test images), shift (test images under one corruption), shots (the
training and validation images that a split seed draws), import and import-shots (features that
others published). A killed run goes on from its last finished shard.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dmn.artifacts import read_json, read_tensors, sha256, write_tensors
from dmn.config import Config, from_argument
from dmn.datasets.archives import ImageArchive
from dmn.datasets.corruptions import corrupt
from dmn.datasets.images import open_images
from dmn.datasets.imported import ImportedFeatures, Rows
from dmn.datasets.registry import DatasetEntry, find_dataset, load_registry
from dmn.datasets.splits import Split
from dmn.encoders.clip import Encoder, load_encoder
from dmn.encoders.extraction import Picture, ViewPlan, extract
from dmn.encoders.prompts import (
    check_told_apart,
    prompts_for,
    prompts_hash,
    read_sentences,
    text_features,
)
from dmn.pipeline import paths
from dmn.randomness import generator
from dmn.stages.arguments import add_config, add_files

Images = Sequence[tuple[str, int]]


class Source:
    """The images of a data set and what turns them into features."""

    def __init__(self, arguments: argparse.Namespace, config: Config, entry: DatasetEntry) -> None:
        self.config, self.entry, self.weights = config, entry, arguments.weights
        self.archive: ImageArchive = open_images(entry, arguments.files, Path(paths.SCRATCH))
        settings = config.encoder(arguments.backbone)
        self.encoder: Encoder = load_encoder(settings, self.weights, config.numerics.device)

    def picture(self, item: tuple[str, int], shift: tuple[str, int] | None = None) -> Picture:
        """Return one image, corrupted where `shift` is (kind, severity)."""
        name, label = item
        return Picture(name, label, lambda: self._open(name, shift))

    def _open(self, name: str, shift: tuple[str, int] | None) -> Image.Image:
        image = self.archive.image(name)
        # scans are grey: one channel is a third of the work
        image = image.convert("L") if self.entry.kind == "digits" else image
        if shift is None:
            return image
        draws = generator(self.config.views.seed, "corruption", *shift, name)
        return corrupt(image, *shift, draws)

    def plan(self, training: bool) -> ViewPlan:
        """Return how views are made; AugMix is for test views of fine-grained sets only."""
        views = self.config.views
        augmix = views.augmix and self.entry.augmix and not training
        count = views.train if training else views.test
        return ViewPlan(count, views.seed, views.model_copy(update={"augmix": augmix}))

    def extract(
        self,
        images: Images,
        out: str,
        training: bool = False,
        shift: tuple[str, int] | None = None,
        **facts: Any,
    ) -> None:
        """Write the features of `images`."""
        facts |= {"weights_sha256": sha256(self.weights), "shift": list(shift or ())}
        pictures = [self.picture(image, shift) for image in images]
        workers = self.config.numerics.threads - 1
        plan = self.plan(training)
        extract(pictures, self.encoder, plan, out, facts=facts, workers=workers)


def write_text(source: Source, split: Split, files: Sequence[str], out: str) -> None:
    """Write the text features [C, D], with the hash of their prompts and the logit scale."""
    kind = source.config.prompts.kind
    sentences = [file.name for file in source.entry.by_role("prompts")]
    cupl = [file for file in files if Path(file).name in sentences]
    spoken = cupl and kind in ("cupl", "both")
    wanted = read_sentences(read_json(cupl[0]), cupl[0]) if spoken else None
    prompts = prompts_for(split.classes, source.entry.templates, wanted, kind)
    check_told_apart(source.encoder, split.classes, prompts)
    features = text_features(source.encoder, prompts).cpu().numpy().astype(np.float16)
    facts = {
        "class_names": list(split.classes),
        "logit_scale": source.encoder.logit_scale,
        "prompts": kind,
        "prompts_sha256": prompts_hash(prompts),
        "weights_sha256": sha256(source.weights),
    }
    write_tensors(out, {"text": features + np.float16(0)}, facts)


def drawn_rows(shots: dict[str, Any]) -> tuple[list[int], dict[str, Any], list[int], str]:
    """Return what to extract for a split seed.

    The training positions, for each K the rows [C][K] among them, the validation positions (the
    first of each class, then the second ...), and which list the latter point into.
    """
    drawn = shots["train"]
    positions = sorted({p for table in drawn.values() for row in table for p in row})
    place = {position: row for row, position in enumerate(positions)}
    rows = {k: [[place[p] for p in row] for row in table] for k, table in drawn.items()}
    longest = max(map(len, shots["val"]))
    order = [row[i] for i in range(longest) for row in shots["val"] if i < len(row)]
    return positions, rows, order, shots["val_from"]


def write_shots(source: Source, split: Split, shots: dict[str, Any], train: str, val: str) -> None:
    """Write the drawn training and validation images."""
    positions, rows, order, pool = drawn_rows(shots)
    source.extract([split.train[p] for p in positions], train, training=True, rows=rows)
    if order:
        source.extract([split.part(pool)[p] for p in order], val)
    else:
        none = np.zeros((0, *read_tensors(train)["views"].shape[1:]), np.float16)
        write_tensors(val, {"views": none, "labels": np.zeros(0, np.int64)}, {"ids": []})


def from_images(arguments: argparse.Namespace, config: Config, entry: DatasetEntry) -> None:
    """Run the actions that need images and an encoder."""
    split = Split.from_json(read_json(arguments.split), arguments.split)
    source = Source(arguments, config, entry)
    match arguments.action:
        case "text":
            write_text(source, split, arguments.files, arguments.out[0])
        case "test":
            source.extract(split.test, arguments.out[0])
        case "shift":
            for severity, out in zip(config.corruptions.severities, arguments.out, strict=True):
                source.extract(split.test, out, shift=(arguments.corruption, severity))
        case "shots":
            shots = read_json(arguments.shots)
            write_shots(source, split, shots, arguments.train, arguments.val)


def write_imported(arguments: argparse.Namespace, config: Config, entry: DatasetEntry) -> None:
    """Write published features in the pipeline's form; they are checked while they are read."""
    split = Split.from_json(read_json(arguments.split), arguments.split)
    opened = ImportedFeatures(entry, arguments.files, arguments.backbone, split.classes)
    opened.check_rows(split)
    if arguments.action == "import":
        text, test = opened.text(config.prompts.text), opened.rows("test")
        facts = {"logit_scale": text.logit_scale, "prompts": f"imported: {text.prompt}"}
        write_tensors(arguments.text, {"text": text.features}, facts)
        write_images(test, arguments.test)
        return
    positions, rows, order, part = drawn_rows(read_json(arguments.shots))
    train, val = opened.rows("train", positions), opened.rows(part, order)
    write_images(train, arguments.train, rows=rows)
    write_images(val, arguments.val)


def write_images(images: Rows, out: str, **facts: Any) -> None:
    """Write imported features of some images, and say what was done to them."""
    for note in images.notes:
        logging.getLogger(__name__).info(note)
    facts["ids"] = images.ids
    write_tensors(out, {"views": images.features, "labels": images.labels}, facts)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage features`."""
    actions = ["text", "test", "shift", "shots", "import", "import-shots"]
    parser.add_argument("action", choices=actions, help="what to write")
    parser.add_argument("--dataset", required=True, help="name in the registry")
    parser.add_argument("--backbone", help="name in `encoders` of the configuration")
    parser.add_argument("--weights", help="weights of the encoder (safetensors)")
    parser.add_argument("--split", help="split.json of the data set")
    parser.add_argument("--shots", help="split=<seed>.json (actions shots, import-shots)")
    parser.add_argument("--corruption", help="kind of corruption (action shift)")
    parser.add_argument("--text", help="text features to write (action import)")
    parser.add_argument("--test", help="test features to write (action import)")
    parser.add_argument("--train", help="training features to write (shots, import-shots)")
    parser.add_argument("--val", help="validation features to write (shots, import-shots)")
    parser.add_argument("--out", nargs="*", default=[], help="files to write (text, test, shift)")
    add_config(parser)
    add_files(parser, "files", "the downloaded files of the data set")


def main(arguments: argparse.Namespace) -> None:
    """Write one file of features, or the pair of a split seed."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    config = from_argument(arguments.config)
    torch.set_num_threads(config.numerics.threads)
    entry = find_dataset(arguments.dataset, load_registry(config.download.registry))
    if arguments.action.startswith("import"):
        write_imported(arguments, config, entry)
    else:
        from_images(arguments, config, entry)
