"""features: unit-norm embeddings of prompts and of all views of images, float16.

Actions: text (prompts), test (test images), shift (test images under one corruption), shots (the
training and validation images that a split seed draws). A killed run goes on from its last
finished shard.
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
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split, drawn_rows
from dmn.encoders.clip import Encoder, load_encoder
from dmn.encoders.config import ViewConfig
from dmn.encoders.extraction import Picture, ViewPlan, extract
from dmn.encoders.prompts import (
    check_told_apart,
    prompts_for,
    prompts_hash,
    read_sentences,
    read_templates,
    tell_equal_features,
    text_features,
)
from dmn.pipeline import paths
from dmn.randomness import generator
from dmn.stages.arguments import add, add_config, add_files, add_threads
from dmn.stages.entry import find_entry

Images = Sequence[tuple[str, int]]


def open_encoder(arguments: argparse.Namespace, config: Config) -> Encoder:
    """Return the encoder of a job's backbone with its weights."""
    chosen = config.encoders[arguments.backbone]
    return load_encoder(chosen, arguments.weights, config.numerics.device)


class Source:
    """The images of a data set and what turns them into features."""

    def __init__(self, arguments: argparse.Namespace, config: Config, entry: DatasetEntry) -> None:
        self.config, self.entry, self.weights = config, entry, arguments.weights
        self.archive: ImageArchive = open_images(entry, arguments.files, Path(paths.SCRATCH))
        self.encoder = open_encoder(arguments, config)
        # the other threads make views
        self.workers = arguments.threads - 1

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
        drawn = {name: getattr(views, name) for name in ViewConfig.model_fields}
        return ViewPlan(count, views.seed, ViewConfig(**{**drawn, "augmix": augmix}))

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
        plan = self.plan(training)
        extract(pictures, self.encoder, plan, out, facts=facts, workers=self.workers)


def write_text(
    arguments: argparse.Namespace, config: Config, entry: DatasetEntry, split: Split
) -> None:
    """Write the text features [C, D], with the hash of their prompts and the logit scale."""
    encoder, kind = open_encoder(arguments, config), config.prompts.kind
    # sentences are JSON, templates a line each
    sentences = next((file for file in arguments.files if file.endswith(".json")), None)
    lines = next((file for file in arguments.files if not file.endswith(".json")), None)
    wanted = read_sentences(read_json(sentences), sentences) if sentences else None
    templates = read_templates(Path(lines)) if lines else entry.templates
    prompts = prompts_for(split.classes, templates, wanted, kind)
    check_told_apart(encoder, split.classes, prompts)
    features = text_features(encoder, prompts).cpu().numpy().astype(np.float16)
    tell_equal_features(split.classes, prompts, features)
    facts = {
        "class_names": list(split.classes),
        "logit_scale": encoder.logit_scale,
        "prompts": kind,
        "prompts_sha256": prompts_hash(prompts),
        "weights_sha256": sha256(arguments.weights),
    }
    write_tensors(arguments.out[0], {"text": features + np.float16(0)}, facts)


def write_shots(source: Source, split: Split, shots: dict[str, Any], train: str, val: str) -> None:
    """Write the drawn training and validation images."""
    positions, rows, order, pool = drawn_rows(shots)
    source.extract([split.train[p] for p in positions], train, training=True, rows=rows)
    if order:
        source.extract([split.part(pool)[p] for p in order], val)
    else:
        none = np.zeros((0, *read_tensors(train)["views"].shape[1:]), np.float16)
        write_tensors(val, {"views": none, "labels": np.zeros(0, np.int64)}, {"ids": []})


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage features`."""
    parser.add_argument("action", choices=["text", "test", "shift", "shots"], help="what to write")
    add(parser, "dataset", "backbone", "weights", "split")
    parser.add_argument("--shots", help="split=<seed>.json (action shots)")
    parser.add_argument("--corruption", help="kind of corruption (action shift)")
    parser.add_argument("--train", help="training features to write (action shots)")
    parser.add_argument("--val", help="validation features to write (action shots)")
    parser.add_argument("--out", nargs="*", default=[], help="files to write (text, test, shift)")
    add_config(parser)
    add_threads(parser)
    add_files(parser, "files", "the downloaded files that are read")


def main(arguments: argparse.Namespace) -> None:
    """Write one file of features, or the pair of a split seed."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    config = from_argument(arguments.config)
    torch.set_num_threads(arguments.threads)
    entry = find_entry(arguments.dataset, config)
    split = Split.from_json(read_json(arguments.split), arguments.split)
    if arguments.action == "text":
        write_text(arguments, config, entry, split)
        return
    source = Source(arguments, config, entry)
    groups = {"groups": split.to_json()["groups"]} if split.groups else {}
    match arguments.action:
        case "test":
            source.extract(split.test, arguments.out[0], **groups)
        case "shift":
            for severity, out in zip(config.corruptions.severities, arguments.out, strict=True):
                shift = (arguments.corruption, severity)
                source.extract(split.test, out, shift=shift, **groups)
        case "shots":
            shots = read_json(arguments.shots)
            write_shots(source, split, shots, arguments.train, arguments.val)
