"""Looks at every image of a folder beforehand: what cannot be read, and what is odd."""

from __future__ import annotations

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dmn.datasets.archives.decoding import FORMATS, ORIENTATION, decode
from dmn.errors import DataError

SMALL = 32
TURNED = "turned as their EXIF says"
DEEP = "of more than 8 bits a channel, of which the upper 8 are used"
CLEAR = "with transparency, which is ignored"
FRAMES = "of several frames or pages, of which the first is used"
PLAIN = "of one colour"
TINY = f"smaller than {SMALL} pixels"
REMARKS = (PLAIN, TINY, TURNED, DEEP, CLEAR, FRAMES)
DEEP_MODES = ("I", "F")


@dataclass(frozen=True)
class Seen:
    """One image: the hash of its content, what is odd about it, and why it cannot be read."""

    sha256: str
    remarks: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Examination:
    """All images of a folder: those that cannot be read with the reason, and oddities by kind."""

    unreadable: Mapping[str, str]
    remarks: Mapping[str, list[str]]
    sha256: Mapping[str, str]


def examine(
    root: Path, names: Sequence[str], advance: Callable[[], object] = lambda: None
) -> Examination:
    """Decode every image below a folder; `advance` is called after each."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = {}
        for name, found in zip(names, pool.map(partial(_look, root), names), strict=True):
            seen[name] = found
            advance()
    remarks: dict[str, list[str]] = defaultdict(list)
    for name, found in seen.items():
        for remark in found.remarks:
            remarks[remark].append(name)
    unreadable = {name: found.problem for name, found in seen.items() if found.problem}
    digests = {name: found.sha256 for name, found in seen.items() if not found.problem}
    return Examination(unreadable, dict(remarks), digests)


def _look(root: Path, name: str) -> Seen:
    try:
        content = (root / name).read_bytes()
    except OSError as error:
        return Seen("", problem=f"{name} cannot be read: {error.strerror}")
    digest = hashlib.sha256(content).hexdigest()
    try:
        picture = decode(content, name)
    except DataError as error:
        return Seen(digest, problem=str(error))
    remarks = _header(content)
    if min(picture.size) < SMALL:
        remarks.append(TINY)
    if all(band.getextrema()[0] == band.getextrema()[1] for band in picture.split()):
        remarks.append(PLAIN)
    return Seen(digest, tuple(remarks))


def _header(content: bytes) -> list[str]:
    """Return what is odd about an image that can be read, as its header says."""
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        odd = {
            TURNED: picture.getexif().get(ORIENTATION, 1) in range(2, 9),
            DEEP: picture.mode.startswith(DEEP_MODES),
            CLEAR: picture.has_transparency_data,
            FRAMES: getattr(picture, "n_frames", 1) > 1,
        }
    return [remark for remark, holds in odd.items() if holds]
