"""Classes and groups told by paths: domain/class/image, corruption/severity/class/image."""

from __future__ import annotations

import re
from pathlib import Path

from dmn.datasets.archives import ImageArchive
from dmn.datasets.layouts.classes import Found, as_tests, images_inside
from dmn.datasets.placement import PLACE
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split
from dmn.errors import DataError


def expression(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern: {image} has any depth, {_} is not kept.

    >>> expression("{domain}/{class}_{_}.jpg").fullmatch("art/open_air_12.jpg").groupdict()
    {'domain': 'art', 'class': 'open_air'}
    """
    parts = []
    at = 0
    for place in PLACE.finditer(pattern):
        parts.append(re.escape(pattern[at : place.start()]))
        name = place.group(1)
        wild = ".+" if name == "image" else "[^/]+"
        parts.append(f"(?:{wild})" if name in ("_", "image") else f"(?P<{name}>{wild})")
        at = place.end()
    return re.compile("".join(parts) + re.escape(pattern[at:]))


def pattern(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Take the images whose paths below the root have the layout's pattern, sorted, to test."""
    assert entry.layout is not None
    wanted = expression(entry.layout.pattern)
    found = []
    for short, name in sorted(images_inside(entry, archive).items()):
        match = wanted.fullmatch(short)
        if match:
            groups = match.groupdict()
            found.append(Found(name, groups.pop("class"), groups))
    if not found:
        raise DataError(
            f"{folder}: no image of {entry.name} is below {entry.layout.root or 'the root'} as "
            f"{entry.layout.pattern}; the archive is incomplete or of another layout"
        )
    return as_tests(entry, folder, found)
