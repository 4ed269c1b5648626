"""Train, validation and test lists in one form, and the K shots per class that a seed draws."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from dmn.datasets.archives.names import composed, listed_name
from dmn.errors import DataError
from dmn.randomness import generator

Item = tuple[str, int]
Sampling = Literal["nested", "authors"]
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Images of a data set: (path inside its archives, label) for each part, in a fixed order.

    `classes` are the C class names as prompts use them; `parent_classes[c]` is the index of class
    c in the parent data set (equal to c where there is none). `groups` has for each thing that test
    images are grouped by (domain, hospital, severity) a value for each, in their order.
    """

    dataset: str
    classes: tuple[str, ...]
    train: tuple[Item, ...]
    val: tuple[Item, ...]
    test: tuple[Item, ...]
    parent_classes: tuple[int, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def part(self, name: str) -> tuple[Item, ...]:
        """Return one of train, val, test."""
        items: tuple[Item, ...] = getattr(self, name)
        return items

    def to_json(self) -> dict[str, Any]:
        """Return plain lists for JSON."""
        parts = {name: [list(item) for item in self.part(name)] for name in PARTS}
        return {
            "dataset": self.dataset,
            "classes": list(self.classes),
            "parent_classes": list(self.parent_classes),
            **parts,
            **({"groups": {k: list(v) for k, v in self.groups.items()}} if self.groups else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], source: str = "split") -> Split:
        """Rebuild a split from `to_json`; DataError where the parts do not fit."""
        try:
            train, val, test = (
                tuple((str(path), int(label)) for path, label in value[name]) for name in PARTS
            )
            parents = tuple(value.get("parent_classes", ()))
            name, classes = str(value["dataset"]), tuple(value["classes"])
            groups = {str(k): tuple(map(str, v)) for k, v in value.get("groups", {}).items()}
            split = cls(name, classes, train, val, test, parents, groups)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{source} is not a split ({error!r}); delete it and run again"
            ) from None
        check_split(split, source)
        return split


@dataclass(frozen=True)
class Shots:
    """K shots: for each class, positions in the split's train and validation lists.

    `validation_from` says which list `validation` points into: "val", or "train" for data sets
    without a validation split (then none of them is a shot, for any K drawn with it).
    """

    train: tuple[tuple[int, ...], ...]
    validation: tuple[tuple[int, ...], ...]
    validation_from: Literal["val", "train"]


def class_label_name(name: str) -> str:
    """Return a class name as prompts and CuPL files write it: spaces for underscores, NFC."""
    return composed(name.replace("_", " "))


def told_apart(classes: Sequence[str]) -> list[str]:
    """Return class names that are all different: names of several classes with their index.

    ImageNet has two such pairs: missile (657) and missile (744), sunglasses (836) and (837).
    """
    counts = Counter(classes)
    names = [f"{name} ({c})" if counts[name] > 1 else name for c, name in enumerate(classes)]
    # nobody calls a class "missile (657)", but two equal names would be one class in a report
    return names if len(set(names)) == len(names) else [f"{n} ({c})" for c, n in enumerate(classes)]


def parse_split_file(dataset: str, content: Any, source: str) -> Split:
    """Read the public split form: train, val, test, each a list of [path, label, class name]."""
    names: dict[int, str] = {}
    parts: dict[str, tuple[Item, ...]] = {}
    for part in PARTS:
        rows = content.get(part) if isinstance(content, Mapping) else None
        if not isinstance(rows, list):
            raise DataError(
                f"{source} has no list {part!r}; it is not a split file (a part without images "
                "is an empty list)"
            )
        parts[part] = tuple(
            _item(row, f"{source}, {part}[{i}]", names) for i, row in enumerate(rows)
        )
    missing = sorted(set(range(len(names))) - set(names))
    if missing:
        raise DataError(f"{source}: labels leave a gap, no image has label {missing[0]}")
    classes = tuple(names[label] for label in sorted(names))
    split = Split(dataset, classes, parts["train"], parts["val"], parts["test"])
    check_split(split, source)
    return split


def _item(row: Any, where: str, names: dict[int, str]) -> Item:
    """Check one row; `names` collects the class name of each label."""
    match row:
        case [str(path), int(label), str(name)] if not isinstance(label, bool) and name.strip():
            pass
        case _:
            raise DataError(f"{where} is {row!r}; it must be [image path, label, class name]")
    written = class_label_name(name)
    if label < 0 or names.setdefault(label, written) != written:
        raise DataError(f"{where}: label {label} is {name!r}, elsewhere {names.get(label)!r}")
    return listed_name(path), label


def check_split(split: Split, source: str) -> None:
    """Refuse labels out of range, unsafe paths and images that stand in two places."""
    if split.parent_classes and len(split.parent_classes) != len(split.classes):
        raise DataError(
            f"{source}: {len(split.parent_classes)} parent classes for {len(split.classes)} classes"
        )
    for name, values in split.groups.items():
        if len(values) != len(split.test):
            raise DataError(
                f"{source}: {len(values)} values of {name} for {len(split.test)} test images"
            )
    seen: dict[str, str] = {}
    for part in PARTS:
        for path, label in split.part(part):
            if not 0 <= label < len(split.classes):
                raise DataError(
                    f"{source}: {part} image {path} has label {label}, but there are "
                    f"{len(split.classes)} classes"
                )
            if path.startswith("/") or ".." in path.split("/"):
                raise DataError(f"{source}: {part} image {path!r} points outside the archive")
            if path in seen:
                raise DataError(f"{source}: image {path} is in {seen[path]} and again in {part}")
            seen[path] = part


def check_sizes(split: Split, classes: int, sizes: Mapping[str, int | None], source: str) -> None:
    """Compare a split with the registry's counts; None means not fixed."""
    found = {"classes": len(split.classes), **{part: len(split.part(part)) for part in PARTS}}
    for name, expected in {"classes": classes, **sizes}.items():
        if expected is not None and found[name] != expected:
            raise DataError(
                f"{source}: {split.dataset} has {found[name]} {name}, the registry says "
                f"{expected}; the archive or the split file is not the published one"
            )


def check_images(split: Split, members: Iterable[str], source: str) -> None:
    """Name the first image of the split that the archives do not hold, and what is like it."""
    known = members if isinstance(members, set | frozenset | Mapping) else set(members)
    paths = [path for part in PARTS for path, _ in split.part(part)]
    missing = [path for path in paths if path not in known]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} images of {split.dataset} are not in {source}, "
            f"first {missing[0]}; {_alike(missing[0], known)}the archive is incomplete or of "
            "another layout"
        )


def _alike(path: str, known: Iterable[str]) -> str:
    """Return words on a member that could be meant: other case, or the same name elsewhere."""
    name = path.rpartition("/")[2].casefold()
    near = [other for other in known if other.rpartition("/")[2].casefold() == name]
    exact = [other for other in near if other.casefold() == path.casefold()]
    found = min(exact or near, default=None)
    return f"there is {found!r}; " if found else ""


def by_class(items: Sequence[Item], classes: int) -> list[list[int]]:
    """Return for each class the positions of its images, in the list's order."""
    positions: list[list[int]] = [[] for _ in range(classes)]
    for position, (_, label) in enumerate(items):
        positions[label].append(position)
    return positions


def sample_shots(
    split: Split,
    seed: int,
    shots: Iterable[int],
    sampling: Sampling = "nested",
    validation_shots: int = 4,
) -> dict[int, Shots]:
    """Draw K shots per class and min(K, `validation_shots`) validation images, for each K.

    nested: the first K of one permutation per class, so more shots contain the fewer.
    authors: each class re-seeds the generator and samples K, as the released program does with
    seed 0 (docs/method.md, section 9; for ImageNet it used the global state, which no seed
    brings back).
    DataError names a class that has too few images.
    """
    wanted = sorted(set(shots))
    train = by_class(split.train, len(split.classes))
    _check_enough(split, train, max(wanted, default=0))
    chosen = {
        k: tuple(_draw(rows, k, seed, "shots", c, sampling) for c, rows in enumerate(train))
        for k in wanted
    }
    drawn = {}
    for k in wanted:
        kept = min(k, validation_shots)
        validation = sample_validation(split, seed, chosen.values(), kept, sampling)
        drawn[k] = Shots(chosen[k], *validation)
    return drawn


def sample_validation(
    split: Split,
    seed: int,
    shots: Collection[Sequence[Sequence[int]]],
    count: int,
    sampling: Sampling = "nested",
) -> tuple[tuple[tuple[int, ...], ...], Literal["val", "train"]]:
    """Return `count` validation images of each class, or all there are, and their list's name.

    Without a validation list they are training images that are in none of the `shots` [C][K].
    DataError names a class whose training images are all shots, unless `count` is 0.
    """
    if split.val:
        val = by_class(split.val, len(split.classes))
        return tuple(
            _draw(rows, min(count, len(rows)), seed, "validation", c, sampling)
            for c, rows in enumerate(val)
        ), "val"
    train = by_class(split.train, len(split.classes))
    taken = [{position for table in shots for position in table[c]} for c in range(len(train))]
    if count:
        _check_enough(split, train, max(map(len, taken), default=0), validation=1)
    return tuple(
        tuple(_unused(rows, taken[c], seed, c)[:count]) for c, rows in enumerate(train)
    ), "train"


def _check_enough(split: Split, train: list[list[int]], shots: int, validation: int = 0) -> None:
    for label, rows in enumerate(train):
        if len(rows) >= shots + validation:
            continue
        begin = (
            f"class {label} ({split.classes[label]!r}) of {split.dataset} has {len(rows)} training "
            f"images, {shots + validation} are needed"
        )
        if len(rows) < shots:
            raise DataError(f"{begin}; ask for fewer shots")
        raise DataError(
            f"{begin}: {shots} are shots and one more is for validation, because there is no "
            "validation part; bring one (val), ask for fewer shots, or do without validation "
            "images (splits: {validation_shots: 0})"
        )


def _draw(
    rows: Sequence[int], count: int, seed: int, purpose: str, label: int, sampling: Sampling
) -> tuple[int, ...]:
    """Draw `count` of a class's positions."""
    if sampling == "authors":
        return tuple(random.Random(seed).sample(list(rows), count))
    order: np.ndarray = generator(seed, purpose, label).permutation(len(rows))
    return tuple(rows[position] for position in order[:count])


def _unused(rows: Sequence[int], taken: set[int], seed: int, label: int) -> list[int]:
    """Return a class's images that are shots for no K, the last of nested shots' order first.

    So nested draws keep the same validation images whichever K are asked for.
    """
    order: np.ndarray = generator(seed, "shots", label).permutation(len(rows))
    return [rows[position] for position in order[::-1] if rows[position] not in taken]


def drawn_rows(shots: dict[str, Any]) -> tuple[list[int], dict[str, Any], list[int], str]:
    """Return what to extract for a split seed.

    The training positions, for each K the rows [C][K] among them, the validation positions (the
    first of each class, then the second ...), and which list the latter point into.
    """
    drawn = shots["train"]
    positions = sorted({p for table in drawn.values() for row in table for p in row})
    place = {position: row for row, position in enumerate(positions)}
    rows = {k: [[place[p] for p in row] for row in table] for k, table in drawn.items()}
    longest = max(map(len, shots["val"]))
    order = [row[i] for i in range(longest) for row in shots["val"] if i < len(row)]
    return positions, rows, order, shots["val_from"]
