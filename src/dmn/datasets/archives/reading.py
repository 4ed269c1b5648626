"""Reads images out of archives in place; nothing is ever unpacked to a path an archive names.

tarfile and zipfile list the members; by hand is the reading by offset, because tarfile would walk
the whole archive again in every process, and inner tars again for every image.

Plain tars (and tars inside tars) are read by offset and zips by their directory. A compressed tar
has no random access, so it is expanded once into one plain tar in a scratch folder. Archives
stay the versioned form: a data set of 100,000 images is one file. A folder that a person has
stands in the pipeline as its listing (`listing.py`) and is read where it is.
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from dmn.artifacts import CHUNK, atomic, read_json, write_json
from dmn.datasets.archives.decoding import decode
from dmn.datasets.archives.forms import (
    BROKEN,
    ZIP,
    broken,
    copy_at_most,
    identity,
    plain_tar,
    read_head,
)
from dmn.datasets.archives.limits import Limits
from dmn.datasets.archives.listing import read_listing
from dmn.datasets.archives.names import listed_name, member_name, zip_name
from dmn.datasets.archives.stacks import MAGIC, images_of, labels_of, row_of
from dmn.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# reading a million headers takes minutes, a hundred no time
INDEX_WORTH_KEEPING = 10_000


@dataclass(frozen=True, slots=True)
class Member:
    """Where one file stands: in `archive`, by offset (tar) or by name (zip, folder).

    A file of a folder has its SHA-256, because anyone may change it at any time.
    """

    archive: Path
    offset: int
    size: int
    name: str | None = None
    sha256: str | None = None


class ImageArchive:
    """Random access to the files of one or more archives by their names inside them.

    Files of an inner archive `x/y.tar` are named `y/<name inside>`. Processes may share the
    object after a fork: each opens its own handles.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        scratch: Path,
        inner: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        folders: Mapping[str, Path] | None = None,
        upright: bool = True,
        prefixes: Mapping[Path, str] | None = None,
    ) -> None:
        """Index `paths`; `inner` gives for an archive's name the pattern of archives inside.

        `folders` gives for the name of a folder's listing where the folder is; `upright` turns
        pictures as their EXIF says; `prefixes` stand before the names of an archive. DataError for
        a hostile, corrupt or unknown archive, naming the file and the member.
        """
        self._scratch = scratch
        self._limits = limits or Limits()
        self._folders = dict(folders or {})
        self._upright = upright
        self._members: dict[str, Member] = {}
        self._handles: dict[tuple[int, Path], zipfile.ZipFile] = {}
        # one at a time: an array is read whole, and its images one after the other
        self._stack: tuple[str, np.ndarray] | None = None
        for path in paths:
            try:
                self._add(path, (inner or {}).get(path.name), (prefixes or {}).get(path, ""))
            except BROKEN as error:
                raise broken(path, error) from None
            except OSError as error:
                raise DataError(f"cannot read {path}: {error.strerror or error}") from None

    def __getstate__(self) -> dict[str, object]:
        """Leave open handles behind when the object goes to another process."""
        return {**self.__dict__, "_handles": {}, "_stack": None}

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __len__(self) -> int:
        return len(self._members)

    def names(self) -> Iterator[str]:
        """Give all file names, in the archives' order."""
        return iter(self._members)

    def place(self, name: str) -> str:
        """Return archive and member in one text for messages."""
        member = self._members.get(name)
        return f"{member.archive}:{name}" if member else name

    def read(self, name: str) -> bytes:
        """Return the bytes of one file; DataError if it is missing or damaged."""
        member = self._members.get(name)
        if member is None:
            raise DataError(f"no file {name} in the archives; the split names another layout")
        try:
            content = self._bytes(member)
        except (*BROKEN, OSError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"cannot read {self.place(name)}: {error}") from None
        if member.sha256 is not None and sha256(content).hexdigest() != member.sha256:
            raise DataError(f"{self.place(name)} has changed since it was listed; run again")
        if len(content) != member.size:
            raise DataError(f"{self.place(name)} ends early; the archive is cut off")
        return content

    def image(self, name: str) -> Image.Image:
        """Return one image as RGB; DataError names the place if it cannot be decoded."""
        stacked = row_of(name)
        if stacked is not None and stacked[0] in self._members:
            return self._stacked_image(*stacked)
        return decode(self.read(name), self.place(name), self._limits.pixels, self._upright)

    def stacked(self, name: str) -> int:
        """Return how many images a file has that is one array of them."""
        return len(self._images(name))

    def labels(self, name: str) -> np.ndarray:
        """Return the labels [N] of a file that is one array of them."""
        return labels_of(self.read(name), self.place(name))

    def _images(self, name: str) -> np.ndarray:
        if self._stack is None or self._stack[0] != name:
            self._stack = name, images_of(self.read(name), self.place(name))
        return self._stack[1]

    def _stacked_image(self, name: str, row: int) -> Image.Image:
        from PIL import Image

        images = self._images(name)
        if row >= len(images):
            raise DataError(f"{self.place(name)} has {len(images)} images; there is no row {row}")
        return Image.fromarray(images[row])

    def _bytes(self, member: Member) -> bytes:
        if member.name is None:
            return _tar_bytes(member)
        return self._zip_bytes(member) if member.sha256 is None else _folder_bytes(member)

    def _zip_bytes(self, member: Member) -> bytes:
        key = (os.getpid(), member.archive)
        if key not in self._handles:
            self._handles[key] = zipfile.ZipFile(member.archive)
        with self._handles[key].open(str(member.name)) as stream:
            return stream.read(member.size + 1)

    def _add(self, path: Path, inner: str | None, prefix: str) -> None:
        head = read_head(path)
        if path.name in self._folders:
            self._add_folder(path, self._folders[path.name])
        elif head.startswith(MAGIC):
            self._record(prefix + path.name, Member(path, 0, path.stat().st_size), path)
        elif head.startswith(ZIP):
            self._add_zip(path, inner, prefix)
        else:
            plain = plain_tar(path, head, self._scratch, self._limits)
            self._add_tar(plain, path, inner, prefix)

    def _add_folder(self, listing: Path, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"there is no folder {root}, whose images {listing} lists; bring it")
        for name, size, digest in read_listing(listing):
            self._record(listed_name(name), Member(root, 0, size, name, digest), listing)

    def _add_tar(self, plain: Path, path: Path, inner: str | None, prefix: str) -> None:
        """Index a tar, or take the index that an earlier job left for the same file."""
        kind = "inner" if inner else "index"
        index = self._scratch / f"{identity(path)}.{kind}.json"
        if index.exists():
            for name, offset, size in read_json(index):
                self._record(prefix + name, Member(plain, offset, size), path)
            return
        before = set(self._members)
        with open(plain, "rb") as stream:
            self._index_tar(stream, plain, path, inner, prefix)
        added = [(name, self._members[name]) for name in self._members if name not in before]
        if len(added) >= INDEX_WORTH_KEEPING:
            rows = [[name[len(prefix) :], m.offset, m.size] for name, m in added]
            write_json(index, rows)

    def _index_tar(
        self, stream: BinaryIO | _Window, plain: Path, path: Path, inner: str | None, prefix: str
    ) -> None:
        """Record each member's offset; go into inner plain tars without copying them."""
        start = stream.start if isinstance(stream, _Window) else 0
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for info in tar:
                name = member_name(info.name, path)
                if not _is_data(info, name, path):
                    continue
                if inner and fnmatch(name, inner):
                    window = _Window(stream, info.offset_data, info.size)
                    self._index_tar(window, plain, path, None, f"{_stem(name)}/")
                else:
                    place = Member(plain, start + info.offset_data, info.size)
                    self._record(prefix + name, place, path)

    def _add_zip(self, path: Path, inner: str | None, prefix: str) -> None:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = member_name(zip_name(info), path)
                # the upper half of external_attr is the Unix mode: 0o120000 is a link
                if (info.external_attr >> 16) & 0o170000 == 0o120000:
                    raise DataError(f"{path} holds {name}, which is a link")
                if info.filename.endswith(("/", "\\")):
                    continue
                if info.file_size > self._limits.ratio * (info.compress_size + CHUNK):
                    raise DataError(f"{path} holds {name}, which expands more than is believable")
                if inner and fnmatch(name, inner):
                    self._add(self._extracted(archive, info, path), None, f"{_stem(name)}/")
                    continue
                self._record(prefix + name, Member(path, 0, info.file_size, info.filename), path)

    def _extracted(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Path:
        """Copy an inner archive into the scratch folder, under a name of ours."""
        copy = self._scratch / f"{path.name}.{info.CRC:08x}.{info.file_size}.inner"
        if not copy.exists():
            with atomic(copy) as temporary, archive.open(info) as source:
                copy_at_most(source, temporary, info.file_size, path)
        return copy

    def _record(self, name: str, member: Member, path: Path) -> None:
        if member.size > self._limits.member_bytes:
            raise DataError(
                f"{path} holds {name} of {member.size} bytes; the limit for one file is "
                f"{self._limits.member_bytes}"
            )
        if len(self._members) >= self._limits.members:
            raise DataError(f"{path} holds more than {self._limits.members} files")
        before = self._members.get(name)
        if before and before.archive == member.archive and before.name != member.name:
            raise DataError(
                f"{path} holds {before.name!r} and {member.name!r}, which are one name written in "
                "two ways; rename one of them"
            )
        self._members[name] = member


class _Window(io.RawIOBase):
    """A read-only part of a file, for the tar that stands inside a tar."""

    def __init__(self, stream: BinaryIO | _Window, start: int, size: int) -> None:
        self._stream, self.start, self._size, self._at = stream, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        self._stream.seek(self.start + self._at)
        content = self._stream.read(left if size < 0 else min(size, left))
        self._at += len(content)
        return content


def _stem(name: str) -> str:
    """Return `x` of `folder/x.tar.gz`."""
    return PurePosixPath(name).name.split(".")[0]


def _is_data(info: tarfile.TarInfo, name: str, path: Path) -> bool:
    """Say whether a tar member is a plain file; refuse links that leave and special files.

    Links that stay inside are passed over: they are never followed.
    """
    if info.issym() or info.islnk():
        base = PurePosixPath(name).parent if info.issym() else PurePosixPath()
        target = os.path.normpath(base / info.linkname)
        if target.startswith(("/", "..")):
            raise DataError(f"{path} holds {name}, a link to {info.linkname} outside the archive")
        return False
    if info.isdir():
        return False
    if not info.isfile() or info.issparse():
        raise DataError(f"{path} holds {name}, which is a device or another special file")
    return True


def _tar_bytes(member: Member) -> bytes:
    with open(member.archive, "rb") as stream:
        return os.pread(stream.fileno(), member.size, member.offset)


def _folder_bytes(member: Member) -> bytes:
    with open(member.archive / str(member.name), "rb") as stream:
        return stream.read(member.size + 1)
