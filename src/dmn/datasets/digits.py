"""The embedded data set: 1,797 real scans of handwritten digits that scikit-learn ships.

They are exported as one checked archive, so that they take the way of any downloaded data set.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from dmn.artifacts import write_bytes
from dmn.errors import DataError
from dmn.randomness import generator

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CONTENT_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
VALIDATION_SHARE, TEST_SHARE = 0.30, 0.30
LEVELS = 16
# the earliest time that a zip file can hold
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
Array = np.ndarray[Any, Any]
Item = tuple[str, int, str]


def load() -> tuple[Array, Array]:
    """Return the scans, uint8 `[1797, 8, 8]` of levels 0 to 16, and their labels `[1797]`.

    Raises DataError where the installed scikit-learn ships other content.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    scans, labels = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    found = hashlib.sha256(scans.tobytes() + labels.tobytes()).hexdigest()
    if found != CONTENT_SHA256:
        raise DataError(
            f"scikit-learn's load_digits has content {found}, expected {CONTENT_SHA256}; "
            "install the version of scikit-learn that the lock names"
        )
    return scans, labels


def image_name(index: int) -> str:
    """Return the path of a scan inside the archive."""
    return f"images/{index:04d}.png"


def grey(scan: Array) -> Array:
    """Map the levels 0 to 16 of a scan to 0 to 255, exactly and reversibly."""
    return ((scan.astype(np.int64) * 255 + LEVELS // 2) // LEVELS).astype(np.uint8)


def export(path: Path | str) -> None:
    """Write the archive: PNG images of 8 x 8 grey pixels and `labels.csv`; same bytes each time."""
    from PIL import Image

    scans, labels = load()
    files = {}
    for index, scan in enumerate(scans):
        stream = io.BytesIO()
        # uncompressed, because the bytes of a compressed stream depend on the library's build
        Image.fromarray(grey(scan)).save(stream, "PNG", compress_level=0)
        files[image_name(index)] = stream.getvalue()
    rows = [f"{image_name(i)},{label},{CLASS_NAMES[label]}" for i, label in enumerate(labels)]
    files["labels.csv"] = "\n".join(["image,label,class", *rows, ""]).encode()
    write_bytes(path, _archive(files))


def _archive(files: dict[str, bytes]) -> bytes:
    """Return a zip archive with sorted names and one fixed time, stored without compression."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, files[name])
    return stream.getvalue()


def split() -> dict[str, list[Item]]:
    """Return the fixed split in CoOp's form: train, val, test of (image path, label, class name).

    Stratified: of every class 30% are for testing, 30% for validation, the rest for shots.
    """
    _, labels = load()
    parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for label in range(len(CLASS_NAMES)):
        members = generator(0, "digits-split", label).permutation(np.flatnonzero(labels == label))
        test = round(len(members) * TEST_SHARE)
        val = round(len(members) * VALIDATION_SHARE)
        parts["test"] += members[:test].tolist()
        parts["val"] += members[test : test + val].tolist()
        parts["train"] += members[test + val :].tolist()
    return {
        name: [(image_name(i), int(labels[i]), CLASS_NAMES[labels[i]]) for i in sorted(indices)]
        for name, indices in parts.items()
    }
