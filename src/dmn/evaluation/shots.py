"""The labelled images of a K-shot training set, from their features."""

from __future__ import annotations

import numpy as np

from dmn.artifacts import read_tensor_metadata, read_tensors
from dmn.errors import ArtifactError


def read_shots(train: str, shots: int) -> np.ndarray:
    """Return the features [C, K, V, D] of the `shots` images drawn for each class."""
    rows = read_tensor_metadata(train).get("rows", {})
    if str(shots) not in rows:
        known = ", ".join(sorted(rows, key=int)) or "none"
        raise ArtifactError(f"{train} holds shots {known}, not {shots}; add it to `shots`")
    return read_tensors(train)["views"][np.array(rows[str(shots)])]
