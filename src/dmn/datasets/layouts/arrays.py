"""Images stacked in arrays: CIFAR-10-C's .npy, a corruption each, and SVHN's .mat."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dmn.datasets.archives import ImageArchive
from dmn.datasets.layouts.classes import Found, as_tests
from dmn.datasets.layouts.pattern import expression
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split
from dmn.errors import DataError

BLOCKS = 5  # severities of a corruption


def arrays(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Take the images of the arrays that the layout's pattern names, to test.

    With `blocks` an array has its images in equal blocks, whose numbers from 1 are a group, as the
    severities of CIFAR-10-C. Labels are of one array's images, or of one block's.
    """
    layout = entry.layout
    assert layout is not None
    wanted = expression(str(PurePosixPath(layout.root) / layout.pattern))
    labelled = str(PurePosixPath(layout.root) / layout.labels)
    labels = archive.labels(labelled)
    found = []
    for name in sorted(archive.names()):
        match = wanted.fullmatch(name)
        # labels.npy is called like a corruption, while a .mat holds images and labels
        if match is None or (name == labelled and match.groupdict()):
            continue
        groups = match.groupdict()
        if any(groups[key] not in own for key, own in layout.select.items() if key in groups):
            continue
        count = archive.stacked(name)
        if count % len(labels):
            raise DataError(
                f"{archive.place(name)} has {count} images for {len(labels)} labels of "
                f"{layout.labels}; the archive is not the published one"
            )
        # CIFAR-10-C repeats its labels for each severity
        block = count // BLOCKS if len(labels) == count else len(labels)
        found += [
            Found(
                f"{name}/{row:06d}",
                str(labels[row % len(labels)]),
                groups | ({layout.blocks: str(row // block + 1)} if layout.blocks else {}),
            )
            for row in range(count)
        ]
    return as_tests(entry, folder, found)
