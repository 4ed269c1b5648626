"""From folders of classes to parts: `class/image`, or `train|val|test/class/image`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from dmn.datasets.splits import PARTS, Item, class_label_name
from dmn.errors import DataError, some
from dmn.randomness import generator

PART_WORDS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val", "dev": "val"},
}
# of each class, as CoOp cuts data sets that come without parts: half is for training
TEST_SHARE, VAL_SHARE = 0.3, 0.2


@dataclass(frozen=True)
class Arranged:
    """Images of class folders in parts: class names, (path, label) of each part, and remarks.

    above: the folders that hold the folders of classes, one for each part, or the root, "".
    """

    classes: tuple[str, ...]
    parts: dict[str, tuple[Item, ...]]
    notes: list[str] = field(default_factory=list)
    above: tuple[str, ...] = ("",)

    def counts(self, part: str) -> list[int]:
        """Return how many images each class has in a part, [C]."""
        counts = [0] * len(self.classes)
        for _, label in self.parts[part]:
            counts[label] += 1
        return counts


def arrange(names: Sequence[str], source: str, seed: int = 0) -> Arranged:
    """Return the parts of images that lie in class folders, given by their paths.

    Without folders of parts each class is cut by `seed` into 50 % training, 20 % validation and
    30 % test images. All below a class's folder belongs to it. DataError where `source` has no
    two classes, or folders that could be parts as well as classes.
    """
    below = {name: PurePosixPath(name).parts for name in names}
    firsts = {parts[0] for parts in below.values() if len(parts) > 1}
    known = {first: PART_WORDS[first.lower()] for first in firsts if first.lower() in PART_WORDS}
    others = sorted(firsts - known.keys())
    # one alone may be a class: trains are vehicles
    if len(known) > 1 and others:
        raise DataError(
            f"{source} holds the folders {', '.join(sorted(known))}, which are called like parts, "
            f"and {some(others)}, which are not; move the one or the other away"
        )
    if others or not known:
        return _cut(_by_class(below, 0, source), seed, [])
    if len(set(known.values())) < len(known):
        raise DataError(f"{source} has two folders for one part: {', '.join(sorted(known))}")
    return _in_parts(below, known, source, seed)


def _in_parts(
    below: dict[str, tuple[str, ...]], known: dict[str, str], source: str, seed: int
) -> Arranged:
    """Take folders of parts as they are; the last part there is becomes the test part."""
    notes = []
    if set(known.values()) == {"train"}:
        notes.append("There is a folder of training images alone, so each class is cut into parts.")
        return replace(_cut(_by_class(below, 1, source), seed, notes), above=tuple(known))
    if "test" not in known.values():
        known = {first: "test" if part == "val" else part for first, part in known.items()}
        notes.append("There is no test part, so the validation part is the test part.")
    chosen = {name: parts for name, parts in below.items() if parts[0] in known}
    folders = _by_class(chosen, 1, source)
    items: dict[str, list[Item]] = {part: [] for part in PARTS}
    for label, images in enumerate(folders.values()):
        for name in images:
            items[known[chosen[name][0]]].append((name, label))
    names = tuple(class_label_name(folder) for folder in folders)
    parts = {part: tuple(found) for part, found in items.items()}
    return Arranged(names, parts, notes, tuple(known))


def _by_class(below: dict[str, tuple[str, ...]], depth: int, source: str) -> dict[str, list[str]]:
    """Return the images of each class by its folder's name; the folder stands at `depth`."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in sorted(below):
        if len(below[name]) > depth + 1:
            folders[below[name][depth]].append(name)
    if len(folders) < 2:
        one = f"only the folder {next(iter(folders))!r}" if folders else "no folder"
        raise DataError(
            f"{source} has {one} with images where the folders of classes are due: two or more, "
            "as class/image, or train, val and test, each with class/image"
        )
    numbers = all(folder.isdecimal() for folder in folders)
    order = sorted(folders, key=lambda folder: (int(folder) if numbers else 0, folder))
    return {folder: folders[folder] for folder in order}


def _cut(folders: dict[str, list[str]], seed: int, notes: list[str]) -> Arranged:
    """Cut each class into parts; one image is for testing, two for training and testing."""
    items: dict[str, list[Item]] = {part: [] for part in PARTS}
    for label, images in enumerate(folders.values()):
        count = len(images)
        test = max(1, round(TEST_SHARE * count))
        val = max(round(VAL_SHARE * count), int(count > 2))
        order = generator(seed, "parts of a folder", label).permutation(count).tolist()
        cuts = {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}
        for part, rows in cuts.items():
            items[part] += [(images[row], label) for row in sorted(rows)]
    names = tuple(class_label_name(folder) for folder in folders)
    return Arranged(names, {part: tuple(found) for part, found in items.items()}, notes)
