"""Where the images of each data set stand inside its archives, and its split in one form.

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
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import (
    Item,
    Split,
    check_images,
    check_sizes,
    check_split,
    class_label_name,
    parse_split_file,
)
from dmn.errors import DataError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
DEVKIT = "ILSVRC2012_devkit_t12/data"
VALIDATION_IMAGE = "ILSVRC2012_val_{:08d}.JPEG"


def open_archives(entry: DatasetEntry, folder: Path, scratch: Path) -> ImageArchive:
    """Open the archives of a data set in `folder`; compressed tars expand into `scratch`."""
    files = entry.by_role("archive")
    inner = {file.name: file.inner for file in files if file.inner}
    return ImageArchive([folder / file.name for file in files], scratch / entry.name, inner)


def build_split(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Return a data set's split with image paths as the archives name them.

    DataError where counts differ from the registry's, images are missing or lists disagree.
    """
    if entry.layout is None:
        raise DataError(f"data set {entry.name} has no archives of images")
    builders = {
        "split_file": _from_split_file,
        "aircraft": _aircraft,
        "imagenet": _imagenet,
        "class_folders": _class_folders,
    }
    split = builders[entry.layout.kind](entry, folder, archive)
    check_split(split, entry.name)
    check_sizes(split, entry.classes, entry.sizes.model_dump(), str(folder))
    check_images(split, frozenset(archive.names()), str(folder))
    return split


def _under(root: str, path: str) -> str:
    return str(PurePosixPath(root) / path)


def _from_split_file(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
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
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; download it again") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); delete it and run again") from None


def _lines(archive: ImageArchive, name: str) -> list[str]:
    try:
        return archive.read(name).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{archive.place(name)} is not text: {error}") from None


def _aircraft(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Use the archive's own lists of variants; FGVC Aircraft has no shared split file."""
    assert entry.layout is not None
    root = entry.layout.root
    variants = [line.strip() for line in _lines(archive, _under(root, "variants.txt")) if line]
    labels = {name: label for label, name in enumerate(variants)}

    def part(name: str) -> Iterator[Item]:
        listing = _under(root, f"images_variant_{name}.txt")
        for line in filter(None, _lines(archive, listing)):
            image, _, variant = line.strip().partition(" ")
            if variant not in labels:
                raise DataError(f"{archive.place(listing)} names an unknown variant: {line!r}")
            yield _under(root, f"images/{image}.jpg"), labels[variant]

    parts = tuple(part("train")), tuple(part("val")), tuple(part("test"))
    return Split(entry.name, tuple(variants), *parts, parent_classes=_same(tuple(variants)))


def read_classes(path: Path) -> dict[str, str]:
    """Read ImageNet's class file, `n01440764 tench` a line: names by wnid, in class order."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; download it again") from None
    pairs = [line.partition(" ") for line in lines if line.strip()]
    classes = {wnid: class_label_name(name.strip()) for wnid, _, name in pairs}
    if len(classes) != len(pairs) or not all(classes.values()):
        raise DataError(f"{path} needs a different wnid and a name on each line")
    return classes


def _imagenet(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Train from the tars of classes; test is the validation set with the devkit's labels."""
    classes = read_classes(folder / entry.by_role("classes")[0].name)
    labels = {wnid: label for label, wnid in enumerate(classes)}
    train = tuple(
        (name, labels[name.split("/")[0]])
        for name in sorted(archive.names())
        if name.split("/")[0] in labels and _is_image(name)
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
    for line in filter(None, _lines(archive, truth)):
        wnid = wnids.get(int(line)) if line.strip().isdigit() else None
        if wnid not in known:
            raise DataError(f"{archive.place(truth)} holds {line!r}, which is no known class")
        yield wnid


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    # archives made on a Mac hold a resource file ._x beside each x
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._")


def _class_folders(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """One folder a class, named by wnid or by class index: a test set of (some) parent classes."""
    assert entry.layout is not None
    classes = read_classes(folder / entry.by_role("classes")[0].name)
    root, wnids = entry.layout.root, list(classes)
    by_folder = {wnid: label for label, wnid in enumerate(wnids)}
    if entry.layout.folders == "index":
        by_folder = {str(label): label for label in range(len(wnids))}
    images: dict[int, list[str]] = {}
    for name in archive.names():
        parts = PurePosixPath(name).relative_to(root).parts if name.startswith(f"{root}/") else ()
        if len(parts) != 2 or not _is_image(name):
            continue
        if parts[0] not in by_folder:
            raise DataError(f"{archive.place(name)}: no class {parts[0]!r} in the class file")
        images.setdefault(by_folder[parts[0]], []).append(name)
    parents = tuple(sorted(images))
    names = tuple(classes[wnids[parent]] for parent in parents)
    test = tuple(
        (name, label) for label, parent in enumerate(parents) for name in sorted(images[parent])
    )
    return Split(entry.name, names, (), (), test, parent_classes=parents)
