"""One folder a class: parts of a data set's own classes, or a test set of a parent's classes."""

from __future__ import annotations

from pathlib import Path

from dmn.datasets.archives import ImageArchive
from dmn.datasets.folders import arrange
from dmn.datasets.layouts.classes import images_inside, read_classes
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split
from dmn.errors import DataError


def class_folders(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """One folder a class: all a test set of (some) parent classes, or parts of its own classes.

    With a class file the folders are called by wnid or by class index.
    """
    assert entry.layout is not None
    inside = images_inside(entry, archive)
    if not entry.by_role("classes"):
        found = arrange(list(inside), f"{entry.name}'s archive")
        parts = {
            part: tuple((inside[name], label) for name, label in items)
            for part, items in found.parts.items()
        }
        own = tuple(range(len(found.classes)))
        return Split(
            entry.name,
            found.classes,
            parts["train"],
            parts["val"],
            parts["test"],
            parent_classes=own,
        )
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
