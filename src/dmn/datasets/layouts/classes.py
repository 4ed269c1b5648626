"""What layouts share: images below a root, lists of text, and classes with their names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dmn.datasets.archives import ImageArchive
from dmn.datasets.archives.listing import is_image
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split, class_label_name
from dmn.errors import DataError, some

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """One test image: its path, what its class is called by, and its groups by name."""

    path: str
    called: str
    groups: Mapping[str, str] = field(default_factory=dict)


def as_tests(
    entry: DatasetEntry, folder: Path, found: Iterable[Found], every: Iterable[str] = ()
) -> Split:
    """Return images as a test part, classes in the order of what they are called by.

    every: what all classes are called by, where images alone may lack some.

    They have the names of the layout, of the class file (then they are a subset of a parent's
    classes), else those that they are called by. Images are kept that the layout selects and that
    the file of a subset names. DataError for a class without a name.
    """
    assert entry.layout is not None
    names = _names(entry, folder)
    kept = _subset(entry, folder, _selected(entry.layout.select, found))
    if not kept:
        raise DataError(f"no image of {entry.name} is left; its layout is not that of {folder}")
    known = list(names) if names else _in_order({*every, *(i.called for i in kept)})
    place = {called: label for label, called in enumerate(known)}
    if unknown := sorted({image.called for image in kept} - place.keys()):
        raise DataError(f"{entry.name}: no class is called {some(unknown)} in {folder}")
    present = list(range(len(known)))
    if entry.by_role("classes"):
        present = sorted({place[image.called] for image in kept})
    label = {known[parent]: label for label, parent in enumerate(present)}
    return Split(
        entry.name,
        tuple(names[known[c]] if names else class_label_name(known[c]) for c in present),
        (),
        (),
        tuple((image.path, label[image.called]) for image in kept),
        parent_classes=tuple(present),
        groups={name: tuple(image.groups[name] for image in kept) for name in entry.groups},
    )


def _names(entry: DatasetEntry, folder: Path) -> dict[str, str]:
    """Return class names by what classes are called by, in order; none where nothing says them."""
    assert entry.layout is not None
    names = entry.layout.names
    if isinstance(names, Mapping):
        return {called: class_label_name(names[called]) for called in _in_order(names)}
    if names:
        return {str(label): class_label_name(name) for label, name in enumerate(names)}
    if entry.by_role("classes"):
        return read_classes(folder / entry.by_role("classes")[0].name)
    return {}


def _in_order(called: Iterable[str]) -> list[str]:
    found = list(called)
    numbers = all(name.isdecimal() for name in found)
    return sorted(found, key=lambda name: (int(name) if numbers else 0, name))


def _selected(select: Mapping[str, Sequence[str]], found: Iterable[Found]) -> list[Found]:
    """Return the images whose groups have the values that are asked for; tables did so before."""
    return [
        image
        for image in found
        if all(image.groups[name] in own for name, own in select.items() if name in image.groups)
    ]


def _subset(entry: DatasetEntry, folder: Path, found: list[Found]) -> list[Found]:
    """Return the images that the files of a subset name, `path` or `path label` a line.

    A path is an image's own, or the end of it.
    """
    files = entry.by_role("subset")
    if not files:
        return found
    wanted = {
        line.split()[0] for file in files for line in text_lines(folder / file.name) if line.strip()
    }
    depths = {name.count("/") for name in wanted}

    def is_wanted(path: str) -> bool:
        parts = path.split("/")
        return any("/".join(parts[-depth - 1 :]) in wanted for depth in depths)

    return [image for image in found if is_wanted(image.path)]


def text_lines(path: Path) -> list[str]:
    """Return the lines of a text file beside the archives."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; download it again") from None


def lines(archive: ImageArchive, name: str) -> list[str]:
    """Return the lines of a text file in the archives."""
    try:
        return archive.read(name).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{archive.place(name)} is not text: {error}") from None


def read_classes(path: Path) -> dict[str, str]:
    """Read ImageNet's class file, `n01440764 tench` a line: names by wnid, in class order."""
    pairs = [[*line.split(maxsplit=1), ""][:2] for line in text_lines(path) if line.strip()]
    classes = {wnid: class_label_name(name.strip()) for wnid, name in pairs}
    if len(classes) != len(pairs) or not all(classes.values()):
        raise DataError(f"{path} needs a different wnid and a name on each line")
    return classes


def images_inside(entry: DatasetEntry, archive: ImageArchive) -> dict[str, str]:
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
