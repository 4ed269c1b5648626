"""splits and features of a data set whose features others published.

Actions: split (one item a row of the files), features (of text and test images), shots (of the
training and validation images that a split seed draws).
"""

from __future__ import annotations

import argparse
import logging
import sys

from dmn.artifacts import read_json, write_json, write_tensors
from dmn.config import Config, from_argument
from dmn.datasets.imported import ImportedFeatures, Rows, read_imported_split
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split, drawn_rows
from dmn.stages.arguments import add, add_config, add_files
from dmn.stages.entry import find_entry

LOGGER = logging.getLogger(__name__)


def write_features(arguments: argparse.Namespace, config: Config, entry: DatasetEntry) -> None:
    """Write published features in the pipeline's form; they are checked while they are read."""
    split = Split.from_json(read_json(arguments.split), arguments.split)
    opened = ImportedFeatures(entry, arguments.files, arguments.backbone, split.classes)
    opened.check_rows(split)
    if arguments.action == "features":
        text, test = opened.text(config.prompts.text), opened.rows("test")
        facts = {"logit_scale": text.logit_scale, "prompts": f"imported: {text.prompt}"}
        write_tensors(arguments.text, {"text": text.features}, facts)
        groups = {"groups": split.to_json()["groups"]} if split.groups else {}
        write_images(test, arguments.test, **groups)
        return
    positions, rows, order, part = drawn_rows(read_json(arguments.shots))
    train, val = opened.rows("train", positions), opened.rows(part, order)
    write_images(train, arguments.train, rows=rows)
    write_images(val, arguments.val)


def write_images(images: Rows, out: str, **facts: object) -> None:
    """Write imported features of some images, and say what was done to them."""
    for note in images.notes:
        LOGGER.info(note)
    facts["ids"] = images.ids
    write_tensors(out, {"views": images.features, "labels": images.labels}, facts)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn stage imported`."""
    parser.add_argument("action", choices=["split", "features", "shots"], help="what to write")
    add(parser, "dataset")
    parser.add_argument("--backbone", help="encoder whose features are taken")
    parser.add_argument("--split", help="split.json of the data set (actions features, shots)")
    parser.add_argument("--out", help="split.json to write (action split)")
    parser.add_argument("--shots", help="split=<seed>.json (action shots)")
    parser.add_argument("--text", help="text features to write (action features)")
    parser.add_argument("--test", help="test features to write (action features)")
    parser.add_argument("--train", help="training features to write (action shots)")
    parser.add_argument("--val", help="validation features to write (action shots)")
    add_config(parser)
    add_files(parser, "files", "the downloaded files of the data set")


def main(arguments: argparse.Namespace) -> None:
    """Write the split, or features of some parts."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    config = from_argument(arguments.config)
    entry = find_entry(arguments.dataset, config)
    if arguments.action == "split":
        write_json(arguments.out, read_imported_split(entry, arguments.files).to_json())
    else:
        write_features(arguments, config, entry)
