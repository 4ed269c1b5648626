"""Where the images of each data set stand inside its archives, and its split in one form.

A layout is a function and a line of the table below; the registry's entries are its data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dmn.datasets.archives import ImageArchive
from dmn.datasets.layouts.arrays import arrays
from dmn.datasets.layouts.classes import read_classes
from dmn.datasets.layouts.folders import class_folders
from dmn.datasets.layouts.paper import aircraft, from_split_file, imagenet
from dmn.datasets.layouts.pattern import pattern
from dmn.datasets.layouts.table import table
from dmn.datasets.layouts.webdataset import shard_prefix, webdataset
from dmn.datasets.placement import Kind
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split, check_images, check_sizes, check_split
from dmn.errors import DataError

__all__ = ["build_split", "open_archives", "read_classes"]
LAYOUTS: dict[Kind, Callable[[DatasetEntry, Path, ImageArchive], Split]] = {
    "split_file": from_split_file,
    "aircraft": aircraft,
    "imagenet": imagenet,
    "class_folders": class_folders,
    "pattern": pattern,
    "table": table,
    "webdataset": webdataset,
    "arrays": arrays,
}


def open_archives(entry: DatasetEntry, folder: Path, scratch: Path) -> ImageArchive:
    """Open the archives of a data set in `folder`; compressed tars expand into `scratch`."""
    files = entry.by_role("archive")
    shards = entry.layout is not None and entry.layout.kind == "webdataset"
    return ImageArchive(
        [folder / file.name for file in files],
        scratch / entry.name,
        inner={file.name: file.inner for file in files if file.inner},
        folders={file.name: Path(file.folder) for file in files if file.folder},
        upright=entry.upright,
        prefixes={folder / file.name: shard_prefix(file.name) for file in files if shards},
    )


def build_split(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Return a data set's split with image paths as the archives name them.

    DataError where counts differ from the registry's, images are missing or lists disagree.
    """
    if entry.layout is None:
        raise DataError(f"data set {entry.name} has no archives of images")
    split = LAYOUTS[entry.layout.kind](entry, folder, archive)
    check_split(split, entry.name)
    check_sizes(split, entry.classes, entry.sizes.model_dump(), str(folder))
    # rows of an array are counted, not listed
    if entry.layout.kind != "arrays":
        check_images(split, frozenset(archive.names()), str(folder))
    return split
