"""The images of a data set, wherever they are: its split and random access to its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dmn.datasets import digits
from dmn.datasets.archives import ImageArchive
from dmn.datasets.layouts import build_split, open_archives
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split, parse_split_file

THUMBNAIL = 48


def open_images(entry: DatasetEntry, files: Iterable[str | Path], scratch: Path) -> ImageArchive:
    """Open those archives of a data set that `files` names; all lie in one folder.

    Compressed tars expand into `scratch`.
    """
    files = list(files)
    return open_archives(entry.served_by(files), _folder(entry, files[0]), scratch)


def _folder(entry: DatasetEntry, file: str | Path) -> Path:
    """Return the folder that a file of a data set lies in, whose own name may have folders."""
    return Path(file).parents[entry.name_of(file).count("/")]


def read_split(entry: DatasetEntry, files: Sequence[str | Path], scratch: Path) -> Split:
    """Return a data set's split: published lists, or the embedded digits' own."""
    if entry.kind == "digits":
        return parse_split_file(entry.name, digits.split(), "the embedded digits")
    entry = entry.served_by(files)
    return build_split(entry, _folder(entry, files[0]), open_images(entry, files, scratch))


def read_thumbnails(
    entry: DatasetEntry, files: Iterable[str | Path], scratch: Path, names: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return small pictures, uint8 [48, 48, 3], by image name."""
    from PIL import Image

    archive = open_images(entry, files, scratch)
    size = (THUMBNAIL, THUMBNAIL)
    return {
        name: np.asarray(archive.image(name).resize(size, Image.Resampling.BICUBIC))
        for name in names
    }
