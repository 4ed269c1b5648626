"""What a person should know of a folder of images before any number is computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmn.datasets.archives.names import listed_name
from dmn.datasets.examination import REMARKS, Examination
from dmn.datasets.folders import Arranged
from dmn.datasets.splits import PARTS
from dmn.errors import some
from dmn.pipeline.new_dataset.entries import SHOTS

NAMED = 20


@dataclass(frozen=True)
class NewDataset:
    """A folder as a data set: its images by part and class, and what was seen.

    others: files that are called like no image; vanished: class folders without an image that can
    be read.
    """

    name: str
    folder: Path
    arranged: Arranged
    examination: Examination
    others: list[str]
    vanished: list[str]

    def shots(self) -> list[int]:
        """Return the K that every class serves; without a validation part one image is for it."""
        most = min(self.arranged.counts("train")) - (not self.arranged.parts["val"])
        return [shots for shots in SHOTS if shots <= most]

    def places(self) -> dict[str, tuple[str, int]]:
        """Return part and label of each image that the split holds, by its path in one form."""
        parts = self.arranged.parts
        return {path: (part, label) for part in PARTS for path, label in parts[part]}


def remarks(made: NewDataset) -> Iterator[str]:
    """Yield all remarks, one line each, the gravest first."""
    yield from made.arranged.notes
    yield from _left_out(made)
    yield from _repeated(made)
    yield from _names(made.arranged.classes)
    yield from _few(made)
    for remark in REMARKS:
        if names := made.examination.remarks.get(remark):
            yield f"images {remark}: {len(names)} ({some(names)})"


def _left_out(made: NewDataset) -> Iterator[str]:
    unreadable = list(made.examination.unreadable.values())
    yield from (f"left out: {problem}" for problem in unreadable[:NAMED])
    if len(unreadable) > NAMED:
        yield f"left out, as they cannot be read: {len(unreadable) - NAMED} more"
    if made.vanished:
        yield f"class folders without an image that can be read: {some(made.vanished)}"
    placed = made.places()
    loose = [name for name in made.examination.sha256 if listed_name(name) not in placed]
    for what, names in (
        ("images in no class folder", loose),
        ("files called like no image that is read", made.others),
    ):
        if names:
            yield f"left out: {what}: {len(names)} ({some(names)})"


def _repeated(made: NewDataset) -> Iterator[str]:
    """Tell of one content in several classes or in several parts."""
    placed = made.places()
    for place, words in (
        (1, "under several classes, of which at most one is right"),
        (0, "in several parts, so that the test is not of unseen images"),
    ):
        groups: dict[str, list[str]] = defaultdict(list)
        for name, digest in made.examination.sha256.items():
            if listed_name(name) in placed:
                groups[digest].append(name)
        apart = [
            names
            for names in groups.values()
            if len({placed[listed_name(name)][place] for name in names}) > 1
        ]
        if apart:
            yield f"equal images {words}: {some([' = '.join(names) for names in apart])}"


def _names(classes: Sequence[str]) -> Iterator[str]:
    numbers = [name for name in classes if name.strip().isdecimal()]
    if numbers:
        yield (
            f"classes called by numbers, which prompts would speak: {some(numbers)}; call the "
            "folders what they show"
        )
    lower: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        lower[" ".join(name.casefold().split())].append(name)
    for same in lower.values():
        if len(same) > 1:
            yield f"classes of one name, which text cannot tell apart: {', '.join(same)}"


def _few(made: NewDataset) -> Iterator[str]:
    """Tell which numbers of shots the classes do not serve, and which lack test images."""
    classes = made.arranged.classes
    tests = dict(zip(classes, made.arranged.counts("test"), strict=True))
    if missing := [name for name, count in tests.items() if not count]:
        yield f"classes without a test image: {some(missing)}"
    served = made.shots()
    refused = [shots for shots in SHOTS if shots not in served]
    if not refused:
        return
    apart = bool(made.arranged.parts["val"])
    need = refused[0] + (not apart)
    counts = zip(classes, made.arranged.counts("train"), strict=True)
    short = [f"{name} ({count})" for name, count in counts if count < need]
    why = "" if apart else ", one of them for validation, as there is no validation part"
    yield (
        f"too few training images for {', '.join(map(str, refused))} shots: {refused[0]} need "
        f"{need} of each class{why}; fewer have {some(short, 5)}"
    )
