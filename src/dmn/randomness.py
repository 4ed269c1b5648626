"""Random generators derived from (experiment seed, purpose, index), never from global state."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, purpose: str, *index: int | str) -> int:
    """Return a 63-bit seed that depends on `seed`, `purpose` and `index` only."""
    text = "\x1f".join([str(int(seed)), purpose, *(str(part) for part in index)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, *index: int | str) -> np.random.Generator:
    """Return a numpy generator for one purpose; equal arguments give equal draws."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, purpose, *index)))
