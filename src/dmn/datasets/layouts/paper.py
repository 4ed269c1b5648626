"""The layouts of the paper's data sets: shared split files, FGVC Aircraft's lists, ImageNet.

torchvision's data sets are not used for reading: they unpack with `extractall`, know one split
each (not the shared few-shot ones) and cover neither the middle frames nor ImageNet's variants.
A test compares our FGVC Aircraft lists with torchvision's.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from dmn.datasets.archives import ImageArchive
from dmn.datasets.archives.listing import is_image
from dmn.datasets.layouts.classes import lines, read_classes
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Item, Split, parse_split_file
from dmn.errors import DataError

DEVKIT = "ILSVRC2012_devkit_t12/data"
VALIDATION_IMAGE = "ILSVRC2012_val_{:08d}.JPEG"


def _under(root: str, path: str) -> str:
    return str(PurePosixPath(root) / path)


def from_split_file(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Use the public split file; its paths begin at the layout's root."""
    assert entry.layout is not None
    root = entry.layout.root
    path = folder / entry.by_role("split")[0].name
    plain = parse_split_file(entry.name, _json(path), str(path))

    def rooted(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple((_under(root, image), label) for image, label in items)

    parts = rooted(plain.train), rooted(plain.val), rooted(plain.test)
    return Split(entry.name, plain.classes, *parts, parent_classes=_same(plain.classes))


def _same(classes: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(range(len(classes)))


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; download it again") from None
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON in UTF-8 ({error}); save it so, or delete it and run again"
        ) from None


def aircraft(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Use the archive's own lists of variants; FGVC Aircraft has no shared split file."""
    assert entry.layout is not None
    root = entry.layout.root
    variants = [line.strip() for line in lines(archive, _under(root, "variants.txt")) if line]
    labels = {name: label for label, name in enumerate(variants)}

    def part(name: str) -> Iterator[Item]:
        listing = _under(root, f"images_variant_{name}.txt")
        for line in filter(None, lines(archive, listing)):
            image, _, variant = line.strip().partition(" ")
            if variant not in labels:
                raise DataError(f"{archive.place(listing)} names an unknown variant: {line!r}")
            yield _under(root, f"images/{image}.jpg"), labels[variant]

    parts = tuple(part("train")), tuple(part("val")), tuple(part("test"))
    return Split(entry.name, tuple(variants), *parts, parent_classes=_same(tuple(variants)))


def imagenet(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Train from the tars of classes; test is the validation set with the devkit's labels."""
    classes = read_classes(folder / entry.by_role("classes")[0].name)
    labels = {wnid: label for label, wnid in enumerate(classes)}
    train = tuple(
        (name, labels[name.split("/")[0]])
        for name in sorted(archive.names())
        if name.split("/")[0] in labels and is_image(name)
    )
    test = tuple(
        (VALIDATION_IMAGE.format(number), labels[wnid])
        for number, wnid in enumerate(_validation_wnids(archive, labels), start=1)
    )
    names = tuple(classes.values())
    return Split(entry.name, names, train, (), test, parent_classes=_same(names))


def _validation_wnids(archive: ImageArchive, known: dict[str, int]) -> Iterator[str]:
    """Give the wnid of each validation image; the ground truth counts classes its own way."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    meta, truth = f"{DEVKIT}/meta.mat", f"{DEVKIT}/ILSVRC2012_validation_ground_truth.txt"
    try:
        content: Any = io.BytesIO(archive.read(meta))
        synsets = loadmat(content, squeeze_me=True)["synsets"]
        wnids = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets}
    except (MatReadError, KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{archive.place(meta)} is not the devkit's list ({error})") from None
    for line in filter(None, lines(archive, truth)):
        wnid = wnids.get(int(line)) if line.strip().isdigit() else None
        if wnid not in known:
            raise DataError(f"{archive.place(truth)} holds {line!r}, which is no known class")
        yield wnid
