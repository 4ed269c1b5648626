"""The listing of a folder of images: what stands in the pipeline in the folder's place.

It holds names, sizes and SHA-256, and not where the folder is: equal images give equal listings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from dmn.artifacts import read_json
from dmn.datasets.archives.decoding import IMAGE_SUFFIXES
from dmn.datasets.archives.names import listed_name
from dmn.digests import Digests
from dmn.errors import DataError

Row = tuple[str, int, str]
READERS = 4


def is_image(name: str) -> bool:
    """Say whether a file is called like an image; a Mac's resource file ._x beside x is none."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._")


def files_below(root: Path) -> Iterator[str]:
    """Yield the visible files below a folder by their paths in it, links followed, sorted.

    DataError for a name that is no text, which no list of images can hold.
    """
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        state = os.stat(folder)
        again = (state.st_dev, state.st_ino) in seen
        seen.add((state.st_dev, state.st_ino))
        # a link to a folder above would go round for ever
        folders[:] = [] if again else sorted(name for name in folders if _visible(name))
        for name in () if again else sorted(filter(_visible, files)):
            path = Path(folder, name).relative_to(root).as_posix()
            if not _is_text(path):
                raise DataError(f"{root} holds {path!r}, a name that is not UTF-8; rename the file")
            yield path


def folders_in(root: Path) -> list[str]:
    """Return the names of the visible folders in a folder, sorted; none if it is not there."""
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and _visible(entry.name))


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def list_folder(root: Path, digests: Digests) -> dict[str, Any]:
    """Return the listing of the images below a folder; `digests` spares reading them twice."""
    names = [name for name in files_below(root) if is_image(name)]
    with ThreadPoolExecutor(READERS) as pool:
        sums = list(pool.map(digests.sha256, [root / name for name in names]))
    rows = [
        [name, (root / name).stat().st_size, digest]
        for name, digest in zip(names, sums, strict=True)
    ]
    return {"images": sorted(rows, key=lambda row: listed_name(row[0]))}


def read_listing(path: Path) -> Iterator[Row]:
    """Yield name, bytes and SHA-256 of each image of a listing."""
    try:
        for name, size, digest in read_json(path)["images"]:
            yield str(name), int(size), str(digest)
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path} is not the listing of a folder; delete it and run again") from None
