"""Is a file the one that the registry means: size and the strongest checksum its home publishes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dmn.artifacts import CHUNK
from dmn.datasets.registry import RemoteFile

# strongest first
DIGESTS = ("sha256", "git_blob", "md5")


def digests(path: Path, kinds: Iterable[str] = DIGESTS) -> dict[str, str]:
    """Return the wanted digests of a file as hexadecimal text, in one reading."""
    makers: dict[str, Callable[[], Any]] = {
        "sha256": hashlib.sha256,
        # MD5 and git's SHA-1 only compare with what homes publish
        "md5": lambda: hashlib.md5(usedforsecurity=False),
        "git_blob": lambda: hashlib.sha1(
            f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False
        ),
    }
    sums = {kind: makers[kind]() for kind in kinds}
    with open(path, "rb") as stream:
        while block := stream.read(CHUNK):
            for digest in sums.values():
                digest.update(block)
    return {kind: digest.hexdigest() for kind, digest in sums.items()}


def published_checksum(file: RemoteFile) -> tuple[str, str] | None:
    """Return kind and value of the strongest checksum that the registry has, or None."""
    for kind in DIGESTS:
        if value := getattr(file, kind):
            return kind, value
    return None


def problem_with(
    file: RemoteFile, path: Path, known: Mapping[str, str] | None = None
) -> str | None:
    """Return in what `path` differs from the registry's facts, or None if it is the file.

    `known` are the file's digests where they have been computed already.
    """
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return f"has {size} bytes, not {file.bytes}"
    if size == 0:
        return "is empty"
    if checksum := published_checksum(file):
        kind, expected = checksum
        found = (known or digests(path, [kind]))[kind]
        if found != expected:
            return f"has {kind} {found}, not {expected}"
    return None
