"""Which form a file has, by its first bytes and never by its ending; compressed tars made plain."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from dmn.artifacts import CHUNK, atomic
from dmn.datasets.archives.limits import Limits
from dmn.errors import DataError

HEAD = 512
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
COMPRESSED: dict[bytes, Callable[[Path, Any], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
READ = "tar, tar.gz, tar.bz2, tar.xz and zip"
# what stands where an archive or an image is due, by its first bytes
OTHERS = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"\x5d\x00\x00": "compressed with LZMA",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a pointer of Git LFS (git lfs pull brings the file itself)",
    b"%PDF": "a PDF",
    b"%!PS": "a PostScript file",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file",
}
HEIF = (b"heic", b"heix", b"mif1", b"msf1", b"heim", b"heis")
BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    EOFError,
    zlib.error,
)


def known_form(head: bytes) -> str | None:
    """Return what a file is that is neither an archive nor an image that is read, if known."""
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    for magic, words in OTHERS.items():
        if head.startswith(magic) or start.startswith(magic):
            return words
    return "a HEIF photograph" if head[4:8] == b"ftyp" and head[8:12] in HEIF else None


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with open(path, "rb") as stream:
        return stream.read(HEAD)


def identity(path: Path) -> str:
    """Return a name that changes when the file does; unlike other times, ctime cannot be set."""
    state = path.stat()
    return f"{path.name}.{state.st_size}.{state.st_ctime_ns}"


def broken(path: Path, reason: object) -> DataError:
    """Return the error of a file that is no archive, with what it is where that is known."""
    form = known_form(read_head(path))
    if form is not None:
        return DataError(f"{path} is {form}; the forms that are read are {READ}")
    return DataError(
        f"{path} is not a whole tar or zip archive ({reason}); delete it and run again"
    )


def plain_tar(path: Path, head: bytes, scratch: Path, limits: Limits) -> Path:
    """Return a tar that can be read by offset, expanding a compressed one once into `scratch`."""
    opener = next((how for magic, how in COMPRESSED.items() if head.startswith(magic)), None)
    if opener is None:
        return path
    plain = scratch / f"{identity(path)}.tar"
    if not plain.exists():
        believable = int(limits.ratio * path.stat().st_size) + CHUNK
        with atomic(plain) as temporary, opener(path, "rb") as source:
            copy_at_most(source, temporary, min(limits.expanded_bytes, believable), path)
    return plain


def copy_at_most(source: IO[bytes], target: Path, limit: int, path: Path) -> None:
    """Copy a stream of `path` into `target`; DataError where it is longer than `limit` bytes."""
    done = 0
    with open(target, "wb") as stream:
        while block := _next_block(source, path):
            done += len(block)
            if done > limit:
                raise DataError(
                    f"{path} expands to more than {limit} bytes, which is more than is "
                    "believable; get it again from its home"
                )
            stream.write(block)


def _next_block(source: IO[bytes], path: Path) -> bytes:
    try:
        return source.read(CHUNK)
    except (*BROKEN, OSError) as error:
        raise broken(path, error) from None
