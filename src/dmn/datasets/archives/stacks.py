"""Images that stand stacked in one array: .npy [N, H, W, 3], and .mat as SVHN's.

Each is called by its array and its row, `CIFAR-10-C/fog.npy/000042`.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from dmn.errors import DataError

MAGIC = (b"\x93NUMPY", b"MATLAB 5.0 MAT-file")
ENDINGS = (".npy", ".mat")


def row_of(name: str) -> tuple[str, int] | None:
    """Return the array and the row that an image's name tells, None for a file of its own."""
    array, _, row = name.rpartition("/")
    return (array, int(row)) if array.endswith(ENDINGS) and row.isdecimal() else None


def images_of(content: bytes, place: str) -> np.ndarray:
    """Return the images [N, H, W, 3] of a file, uint8; DataError where it holds others."""
    images = _array(content, "X", place)
    # MATLAB counts images last
    images = images if content.startswith(MAGIC[0]) else np.moveaxis(images, -1, 0)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise DataError(f"{place} holds {images.dtype} {images.shape}, not RGB images [N, H, W, 3]")
    return images


def labels_of(content: bytes, place: str) -> np.ndarray:
    """Return the labels [N] of a file, whole numbers."""
    labels = _array(content, "y", place).ravel()
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{place} holds labels of {labels.dtype}; whole numbers are due")
    return labels


def _array(content: bytes, key: str, place: str) -> np.ndarray:
    """Return the array of an .npy, or the one of a .mat that is called `key`; no pickle is read."""
    try:
        if content.startswith(MAGIC[0]):
            return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
        from scipy.io import loadmat

        file: Any = io.BytesIO(content)
        return np.asarray(loadmat(file, variable_names=[key])[key])
    except (ValueError, KeyError, EOFError, TypeError, OSError) as error:
        raise DataError(f"{place} is not an array of images or labels ({error})") from None
