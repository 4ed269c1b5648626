"""SHA-256 of files that a person brings, read once while nobody touches them, and of arrays."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from dmn.artifacts import read_json, sha256, write_json
from dmn.errors import ArtifactError

# a file that changes again within the clock's tick would look the same
SETTLED_SECONDS = 2.0
State = list[int]


class Digests:
    """Digests by path, kept in a file and believed while size, times and inode are the same.

    Unlike the time of modification, that of the last change (ctime) cannot be set back.
    """

    def __init__(self, store: Path | None = None) -> None:
        self._store = store
        self._known: dict[str, tuple[State, str]] = {}
        self._lock, self._changed = Lock(), False
        if store is not None and store.exists():
            try:
                self._known = {name: (state, digest) for name, state, digest in read_json(store)}
            except (ArtifactError, TypeError, ValueError):
                self._known = {}

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file; ArtifactError where it cannot be read."""
        name, state = str(path.absolute()), _state(path)
        before = self._known.get(name)
        if before is not None and before[0] == state:
            return before[1]
        digest = sha256(path)
        if state == _state(path) and time.time() - max(state[1:3]) / 1e9 > SETTLED_SECONDS:
            with self._lock:
                self._known[name] = (state, digest)
                self._changed = True
        return digest

    def save(self) -> None:
        """Keep what is new for the next program."""
        if self._store is not None and self._changed:
            rows = [[name, *found] for name, found in sorted(self._known.items())]
            write_json(self._store, rows)
            self._changed = False


def of_arrays(*arrays: Any) -> str:
    """Return the SHA-256 of arrays, one after the other."""
    digest = hashlib.sha256()
    for array in arrays:
        add_array(digest, array)
    return digest.hexdigest()


def add_array(digest: Any, array: Any) -> None:
    """Add the type, shape and content of an array to a digest of hashlib."""
    own = np.ascontiguousarray(array)
    digest.update(f"{own.dtype} {own.shape}".encode())
    digest.update(own.data if own.size else b"")


def _state(path: Path) -> State:
    try:
        found = path.stat()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
