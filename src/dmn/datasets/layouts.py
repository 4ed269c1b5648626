"""Where the images of each data set stand inside its archives, and its split in one form.

torchvision's data sets are not used for reading: they unpack with `extractall`, know one split
each (not the shared few-shot ones) and cover neither the middle frames nor ImageNet's variants.
A test compares our FGVC Aircraft lists with torchvision's.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from dmn.datasets.archives import ImageArchive
from dmn.datasets.archives.listing import is_image
from dmn.datasets.folders import arrange
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
from dmn.errors import DataError, some

LOGGER = logging.getLogger(__name__)
DEVKIT = "ILSVRC2012_devkit_t12/data"
VALIDATION_IMAGE = "ILSVRC2012_val_{:08d}.JPEG"


def open_archives(entry: DatasetEntry, folder: Path, scratch: Path) -> ImageArchive:
    """Open the archives of a data set in `folder`; compressed tars expand into `scratch`."""
    files = entry.by_role("archive")
    return ImageArchive(
        [folder / file.name for file in files],
        scratch / entry.name,
        inner={file.name: file.inner for file in files if file.inner},
        folders={file.name: Path(file.folder) for file in files if file.folder},
        upright=entry.upright,
    )


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
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; download it again") from None
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON in UTF-8 ({error}); save it so, or delete it and run again"
        ) from None


def _lines(archive: ImageArchive, name: str) -> list[str]:
    try:
        return archive.read(name).decode("utf-8-sig").splitlines()
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
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; download it again") from None
    pairs = [[*line.split(maxsplit=1), ""][:2] for line in lines if line.strip()]
    classes = {wnid: class_label_name(name.strip()) for wnid, name in pairs}
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
    for line in filter(None, _lines(archive, truth)):
        wnid = wnids.get(int(line)) if line.strip().isdigit() else None
        if wnid not in known:
            raise DataError(f"{archive.place(truth)} holds {line!r}, which is no known class")
        yield wnid


def _class_folders(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """One folder a class: all a test set of (some) parent classes, or parts of its own classes.

    With a class file the folders are called by wnid or by class index.
    """
    assert entry.layout is not None
    inside = _images_inside(entry, archive)
    if not entry.by_role("classes"):
        found = arrange(list(inside), f"{entry.name}'s archive")
        parts = {
            part: tuple((inside[name], label) for name, label in items)
            for part, items in found.parts.items()
        }
        return Split(entry.name, found.classes, **parts, parent_classes=_same(found.classes))
    classes = read_classes(folder / entry.by_role("classes")[0].name)
    wnids = list(classes)
    by_folder = {wnid: label for label, wnid in enumerate(wnids)}
    if entry.layout.folders == "index":
        by_folder = {str(label): label for label in range(len(wnids))}
    images: dict[int, list[str]] = {}
    for short, name in inside.items():
        called, _, rest = short.partition("/")
        if not rest or "/" in rest:
            continue
        if called not in by_folder:
            raise DataError(f"{archive.place(name)}: no class {called!r} in the class file")
        images.setdefault(by_folder[called], []).append(name)
    parents = tuple(sorted(images))
    names = tuple(classes[wnids[parent]] for parent in parents)
    test = tuple(
        (name, label) for label, parent in enumerate(parents) for name in sorted(images[parent])
    )
    return Split(entry.name, names, (), (), test, parent_classes=parents)


def _images_inside(entry: DatasetEntry, archive: ImageArchive) -> dict[str, str]:
    """Return the names of the images below the layout's root, by their paths from there.

    Files in class folders that are called like no image are told of, not passed over in silence.
    """
    assert entry.layout is not None
    root = f"{entry.layout.root.strip('/')}/".lstrip("/")
    below = {name[len(root) :]: name for name in archive.names() if name.startswith(root)}
    others = [name for name in below if "/" in name and not is_image(name) and _told(name)]
    if others:
        LOGGER.warning(
            "%s: %d files in class folders are called like no image that is read: %s",
            *(entry.name, len(others), some(others)),
        )
    return {short: name for short, name in below.items() if is_image(short)}


def _told(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.name.startswith(".") and path.parts[0] != "__MACOSX"
