"""A data set of features that others extracted: its parts, its split, its text.

Which file holds what is a format's matter (`dmn.datasets.formats`); the registry's entry says what
files cannot: the parts to draw from one pool, class names, a logit scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dmn.datasets.formats.arrays import Contents, Lazy, open_arrays
from dmn.datasets.formats.choice import backbone_files, chosen_text, files_of
from dmn.datasets.formats.rules import TESTED, Stored
from dmn.datasets.precomputed import (
    Taken,
    check_ids,
    class_names,
    class_order,
    image_features,
    image_labels,
    is_one_hot,
    read_groups,
    text_axes,
    unit_rows,
)
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import PARTS, Split, by_class, check_sizes, check_split
from dmn.errors import DataError, FeatureError
from dmn.randomness import generator

# released CLIP models end at this scale, and shared caches do not store theirs
CLIP_LOGIT_SCALE = 100.0


def image_id(part: str, row: int) -> str:
    """Return the id of an image that is known by its row only."""
    return f"{part}/{row:07d}"


@dataclass(frozen=True)
class Text:
    """Text features [C, D], float16 and of unit norm, the scale of similarities, the prompt."""

    features: np.ndarray
    logit_scale: float
    prompt: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Some images of a part: features [n, V, D] (float16, unit norm), labels [n], ids [n]."""

    features: np.ndarray
    labels: np.ndarray
    ids: list[str]
    notes: tuple[str, ...] = ()
    lengths: tuple[float, float] = (1.0, 1.0)


class ImportedFeatures:
    """The features of one backbone: heads are read at once, rows where they are asked for."""

    def __init__(
        self,
        entry: DatasetEntry,
        files: Sequence[str | Path] | Mapping[str, Path],
        backbone: str,
        classes: Sequence[str] = (),
    ) -> None:
        """Open those `files` of an entry, whose paths end with their names, or by name.

        `classes` is the order of classes, if it is decided. DataError or FeatureError, in one
        line, for what is missing or does not fit.
        """
        self.entry, self.backbone = entry, backbone
        if not isinstance(files, Mapping):
            files = {entry.name_of(file): Path(file) for file in files}
        self.paths = dict(files)
        self.files = files_of(entry, backbone)
        self._opened: dict[str, Contents] = {}
        self._labels: dict[str, np.ndarray] = {}
        self.pools = self._pools()
        self._classes = tuple(classes)
        self.features = {pool: self._features(pool) for pool in self.pools}
        self._check_dimensions()

    def _pools(self) -> list[str]:
        """Return the stored parts that are among the given files."""
        parts = self.files.parts_in(self.paths)
        if not self.files.tested_in(self.paths):
            raise _no_test(self.entry)
        return parts

    def contents(self, stored: Stored) -> Contents:
        """Open a file, once."""
        if stored.file not in self._opened:
            self._opened[stored.file] = open_arrays(self.paths[stored.file])
        return self._opened[stored.file]

    def _array(self, stored: Stored) -> Lazy:
        return self.contents(stored).one(*stored.keys)

    def _features(self, pool: str) -> Lazy:
        stored = self.files.features[pool]
        path = self.paths[stored.file]
        features = image_features(self._array(stored), stored.axes, path)
        check_ids(self.contents(stored).facts.get("ids"), features.shape[0], path)
        return features

    def _check_dimensions(self) -> None:
        found = {pool: lazy.shape[-1] for pool, lazy in self.features.items()}
        if len(set(found.values())) > 1:
            folder = next(iter(self.paths.values())).parent
            raise FeatureError(
                f"{folder}: feature dimensions differ: {found}; use one encoder for all"
            )

    @property
    def dimension(self) -> int:
        """Return D."""
        return next(iter(self.features.values())).shape[-1]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Return the class names in the order of labels, checked against every file.

        They are decided beforehand, the entry's, the first part's or the text's, else numbers.
        """
        count, named = self.entry.classes, self.named
        for path, names in named.items():
            if len(names) != count:
                raise FeatureError(
                    f"{path} has {len(names)} class_names; {count} classes are expected"
                )
        entry = class_names(self.entry.features.class_names, Path(self.entry.name))
        expected = self._classes or entry or next(iter(named.values()), ())
        for path, names in named.items():
            class_order(names, expected, path, self._reference)
        return tuple(expected) or tuple(f"class {i}" for i in range(count))

    @property
    def _reference(self) -> object:
        """Return where the order of classes comes from, for messages."""
        if self._classes or self.entry.features.class_names:
            return f"the data set {self.entry.name}"
        return next(iter(self.named))

    @cached_property
    def named(self) -> dict[Path, tuple[str, ...]]:
        """Return the class names of every file that has them, test images first."""
        names = {self.paths[one.file]: self._names(one) for one in self._present()}
        return {path: found for path, found in names.items() if found}

    def _names(self, stored: Stored) -> tuple[str, ...]:
        path = self.paths[stored.file]
        return class_names(self.contents(stored).facts.get("class_names"), path)

    def _order(self, stored: Stored) -> np.ndarray | None:
        """Return the index in `classes` of each class of a file; None where it is the same."""
        names, path = self._names(stored), self.paths[stored.file]
        return class_order(names, self.classes, path, self._reference) if names else None

    def stored_labels(self, pool: str, classes: int | None = None, first: int = 0) -> np.ndarray:
        """Return the labels [N] of a stored part as its file has them, less `first`."""
        stored = self.files.labels[pool]
        count, path = self.features[pool].shape[0], self.paths[stored.file]
        labels: np.ndarray = image_labels(self._array(stored), count, classes, first, path)
        return labels

    def counts_classes(self, pool: str) -> bool:
        """Say whether the labels of a stored part are numbers, which count from 0 or from 1."""
        return not is_one_hot(self._array(self.files.labels[pool]), self.features[pool].shape[0])

    def pool_labels(self, pool: str) -> np.ndarray:
        """Return the labels [N] of a stored part in the order of `classes`."""
        if pool not in self._labels:
            first = self.entry.features.first_label
            labels = self.stored_labels(pool, self.entry.classes, first)
            order = self._order(self.files.features[pool])
            self._labels[pool] = labels if order is None else order[labels]
        return self._labels[pool]

    @cached_property
    def parts(self) -> dict[str, tuple[str, np.ndarray]]:
        """Return for each part of the split the stored part and the rows of it, [N]."""
        drawn = self.entry.features.parts
        if drawn is not None and len(self.pools) == 1:
            return self._drawn(self.pools[0], drawn.seed, {"train": drawn.train, "val": drawn.val})
        named = {pool: pool for pool in self.pools}
        if "test" not in named:
            named["test"] = named.pop(next(pool for pool in TESTED if pool in named))
        return {
            part: (pool, np.arange(self.features[pool].shape[0])) for part, pool in named.items()
        }

    def _drawn(
        self, pool: str, seed: int, counts: Mapping[str, int]
    ) -> dict[str, tuple[str, np.ndarray]]:
        """Draw so many rows of each class for each part; all others are for testing."""
        labels = self.pool_labels(pool)
        items = [("", int(label)) for label in labels]
        rows: dict[str, list[int]] = {"train": [], "val": [], "test": []}
        for label, members in enumerate(by_class(items, self.entry.classes)):
            if len(members) <= sum(counts.values()):
                raise DataError(
                    f"class {label} ({self.classes[label]!r}) of {self.entry.name} has "
                    f"{len(members)} images; parts takes {sum(counts.values())} and leaves none "
                    "to test"
                )
            order = generator(seed, "parts", label).permutation(np.array(members)).tolist()
            for part, count in counts.items():
                rows[part] += order[:count]
                order = order[count:]
            rows["test"] += order
        return {part: (pool, np.array(sorted(r))) for part, r in rows.items() if r}

    def split(self) -> Split:
        """Return the split that the rows are: one item a row."""
        items: dict[str, tuple[tuple[str, int], ...]] = dict.fromkeys(PARTS, ())
        for part, (pool, rows) in self.parts.items():
            labels = self.pool_labels(pool)[rows]
            named = (image_id(pool, row) for row in rows.tolist())
            items[part] = tuple(zip(named, labels.tolist(), strict=True))
        parts = items["train"], items["val"], items["test"]
        split = Split(self.entry.name, self.classes, *parts, groups=self._groups())
        check_split(split, self.entry.name)
        return split

    def _groups(self) -> dict[str, tuple[str, ...]]:
        """Return what the test images are grouped by, from the file that the entry names."""
        names, files = self.entry.features.groups, self.entry.by_role("groups")
        if not names:
            return {}
        pool, rows = self.parts["test"]
        found = read_groups(self.paths[files[0].name], names, self.features[pool].shape[0])
        return {name: tuple(values[row] for row in rows) for name, values in found.items()}

    def check_rows(self, split: Split) -> None:
        """Refuse a backbone whose images are not those of the split, row by row."""
        mine = self.split()
        for part, (pool, _) in self.parts.items():
            if mine.part(part) != split.part(part):
                raise FeatureError(
                    f"{self.paths[self.files.labels[pool].file]}: the {part} labels are not those "
                    "of the other backbones, so the images are others; import them apart"
                )

    def rows(self, part: str, positions: Sequence[int] | None = None) -> Rows:
        """Read images of a part of the split, at `positions` of its list or all."""
        pool, rows = self.parts[part]
        chosen = rows if positions is None else rows[np.asarray(positions, dtype=np.int64)]
        source = self.paths[self.files.features[pool].file]
        taken = unit_rows(self.features[pool], source, chosen)
        labels = self.pool_labels(pool)[chosen]
        ids = [image_id(pool, row) for row in chosen.tolist()]
        return Rows(taken.features, labels, ids, taken.notes, taken.lengths)

    def check_text(self, prompt: str | None = None) -> tuple[str, Lazy]:
        """Return the prompt whose text is taken and its features [C, D], checked but not read."""
        name = chosen_text(self.entry, self.files, prompt)
        path = self.paths[self.files.text[name].file]
        array, classes = self.text_array(name), self.entry.classes
        if array.shape[0] != classes:
            raise DataError(f"{path} has {array.shape[0]} classes; the registry says {classes}")
        return name, array

    def text(self, prompt: str | None = None) -> Text:
        """Read the text features of a prompt, the default one where none is named."""
        name, array = self.check_text(prompt)
        stored = self.files.text[name]
        path = self.paths[stored.file]
        taken: Taken = unit_rows(array, path)
        order = self._order(stored)
        features = taken.features
        if order is not None:
            features = np.empty_like(taken.features)
            features[order] = taken.features
        return Text(features, self._logit_scale(stored), name, taken.notes)

    def text_array(self, prompt: str) -> Lazy:
        """Return a prompt's text features as [C, D], not read yet, whatever C is."""
        stored = self.files.text[prompt]
        array, axes = self._array(stored), self.entry.features.text_axes or stored.axes
        if text_axes(array.shape, self.dimension, axes, self.paths[stored.file]) == "D C":
            array = array.arranged((array.shape[1], array.shape[0]), lambda a: a.T)
        return array

    def _logit_scale(self, stored: Stored) -> float:
        """Return the scale that the entry or a file says, else CLIP's."""
        facts = self.entry.features
        named = facts.backbones.get(self.backbone)
        if named is not None and named.logit_scale is not None:
            return named.logit_scale
        held = (self.contents(one).facts.get("logit_scale") for one in self._present(stored))
        found = facts.logit_scale or next((s for s in held if s is not None), CLIP_LOGIT_SCALE)
        return float(np.asarray(found).reshape(()))

    def _present(self, *first: Stored) -> list[Stored]:
        """Return what is stored in the given files, each file once: `first`, then test images."""
        pools = sorted(self.pools, key=(*TESTED, "train").index)
        every = [*first, *(self.files.features[p] for p in pools), *self.files.text.values()]
        return list({one.file: one for one in every if one.file in self.paths}.values())


def _no_test(entry: DatasetEntry) -> DataError:
    return DataError(
        f"{entry.name} has no test features; add test.safetensors or test.npz, with `features` and "
        "`labels`, to its files"
    )


def read_imported_split(entry: DatasetEntry, files: Sequence[str | Path]) -> Split:
    """Return the split that the feature files are, after checking that all backbones share it.

    The backbones are those whose test images are among the files.
    """
    names = {entry.name_of(file) for file in files}
    backbones = [b for b, where in backbone_files(entry).items() if where.tested_in(names)]
    if not backbones:
        raise _no_test(entry)
    opened = [ImportedFeatures(entry, files, backbone) for backbone in backbones]
    first = next((one for one in opened if one.named), opened[0])
    split = first.split()
    check_sizes(split, entry.classes, entry.sizes.model_dump(), str(Path(files[0]).parent))
    for backbone in backbones:
        other = ImportedFeatures(entry, files, backbone, split.classes)
        other.check_rows(split)
    return split
