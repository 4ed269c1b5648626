"""Reads images out of archives in place; nothing is ever unpacked to a path an archive names.

Plain tars (and tars inside tars) are read by offset and zips by their directory. A compressed tar
has no random access, so it is expanded once into one plain tar in a scratch folder. Archives
stay the versioned form: a data set of 100,000 images is one file.
"""

from __future__ import annotations

import gzip
import io
import os
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO

from dmn.artifacts import CHUNK, atomic, read_json, write_json
from dmn.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
# reading a million headers takes minutes, a hundred no time
INDEX_WORTH_KEEPING = 10_000
BROKEN = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold before it is refused."""

    members: int = 3_000_000
    member_bytes: int = 256 << 20
    expanded_bytes: int = 1 << 40
    ratio: float = 200.0
    pixels: int = 150_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """Where one file stands: in `archive`, by offset (tar) or by name (zip)."""

    archive: Path
    offset: int
    size: int
    zip_name: str | None = None


class ImageArchive:
    """Random access to the files of one or more archives by their names inside them.

    Files of an inner archive `x/y.tar` are named `y/<name inside>`. Processes may share the
    object after a fork: each opens its own handles.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        scratch: Path,
        inner: dict[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Index `paths`; `inner` gives for an archive's name the pattern of archives inside.

        DataError for a hostile, corrupt or unknown archive, naming the file and the member.
        """
        self._scratch = scratch
        self._limits = limits or Limits()
        self._members: dict[str, Member] = {}
        self._handles: dict[tuple[int, Path], zipfile.ZipFile] = {}
        for path in paths:
            try:
                self._add(path, (inner or {}).get(path.name), "")
            except BROKEN as error:
                raise _broken(path, error) from None
            except OSError as error:
                raise DataError(f"cannot read {path}: {error.strerror or error}") from None

    def __getstate__(self) -> dict[str, object]:
        """Leave open handles behind when the object goes to another process."""
        return {**self.__dict__, "_handles": {}}

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
            content = self._zip_bytes(member) if member.zip_name else _tar_bytes(member)
        except (*BROKEN, OSError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"cannot read {self.place(name)}: {error}") from None
        if len(content) != member.size:
            raise DataError(f"{self.place(name)} ends early; the archive is cut off")
        return content

    def image(self, name: str) -> Image.Image:
        """Return one image as RGB; DataError names the place if it cannot be decoded."""
        return decode(self.read(name), self.place(name), self._limits.pixels)

    def _zip_bytes(self, member: Member) -> bytes:
        key = (os.getpid(), member.archive)
        if key not in self._handles:
            self._handles[key] = zipfile.ZipFile(member.archive)
        with self._handles[key].open(str(member.zip_name)) as stream:
            return stream.read(member.size + 1)

    def _add(self, path: Path, inner: str | None, prefix: str) -> None:
        with open(path, "rb") as stream:
            magic = stream.read(4)
        if magic.startswith(ZIP):
            self._add_zip(path, inner, prefix)
        else:
            self._add_tar(self._plain_tar(path, magic), path, inner, prefix)

    def _plain_tar(self, path: Path, magic: bytes) -> Path:
        """Return a tar that can be read by offset, expanding a compressed one once."""
        if not magic.startswith(GZIP):
            return path
        plain = self._scratch / f"{_identity(path)}.tar"
        if plain.exists():
            return plain
        believable = int(self._limits.ratio * path.stat().st_size) + CHUNK
        limit = min(self._limits.expanded_bytes, believable)
        with atomic(plain) as temporary, gzip.open(path, "rb") as source:
            _copy_at_most(source, temporary, limit, path)
        return plain

    def _add_tar(self, plain: Path, path: Path, inner: str | None, prefix: str) -> None:
        """Index a tar, or take the index that an earlier job left for the same file."""
        kind = "inner" if inner else "index"
        index = self._scratch / f"{_identity(path)}.{kind}.json"
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
                name = _checked_name(info.name, path)
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
                name = _checked_name(info.filename, path)
                # the upper half of external_attr is the Unix mode: 0o120000 is a link
                if (info.external_attr >> 16) & 0o170000 == 0o120000:
                    raise DataError(f"{path} holds {name}, which is a link")
                if info.is_dir():
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
                _copy_at_most(source, temporary, info.file_size, path)
        return copy

    def _record(self, name: str, member: Member, path: Path) -> None:
        if member.size > self._limits.member_bytes:
            raise DataError(
                f"{path} holds {name} of {member.size} bytes; the limit for one file is "
                f"{self._limits.member_bytes}"
            )
        if len(self._members) >= self._limits.members:
            raise DataError(f"{path} holds more than {self._limits.members} files")
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


def _identity(path: Path) -> str:
    """Return a name that changes when the file does."""
    state = path.stat()
    return f"{path.name}.{state.st_size}.{state.st_mtime_ns}"


def _stem(name: str) -> str:
    """Return `x` of `folder/x.tar.gz`."""
    return PurePosixPath(name).name.split(".")[0]


def _checked_name(name: str, path: Path) -> str:
    """Refuse names that a careless unpacker would write outside its folder."""
    slashes = name.replace("\\", "/")
    leaves = slashes.startswith("/") or ".." in slashes.split("/") or name[1:2] == ":"
    if leaves or "\0" in name:
        raise DataError(
            f"{path} holds {name!r}, a path outside the archive; nothing was unpacked, get it "
            "again from its home"
        )
    return posixpath.normpath(name)


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


def _copy_at_most(source: IO[bytes] | gzip.GzipFile, path_to: Path, limit: int, path: Path) -> None:
    done = 0
    with open(path_to, "wb") as target:
        while block := _next_block(source, path):
            done += len(block)
            if done > limit:
                raise DataError(
                    f"{path} expands to more than {limit} bytes, which is more than is "
                    "believable; get it again from its home"
                )
            target.write(block)


def _next_block(source: IO[bytes] | gzip.GzipFile, path: Path) -> bytes:
    try:
        return source.read(CHUNK)
    except (*BROKEN, OSError) as error:
        raise _broken(path, error) from None


def _tar_bytes(member: Member) -> bytes:
    with open(member.archive, "rb") as stream:
        return os.pread(stream.fileno(), member.size, member.offset)


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not a whole tar or zip archive ({error}); delete it and run again")


def decode(content: bytes, place: str, pixels: int = Limits.pixels) -> Image.Image:
    """Decode an image to RGB; DataError names `place` for a corrupt or over-large one."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
            if width * height > pixels:
                raise DataError(
                    f"{place} is {width} x {height} pixels; the limit is {pixels} in all"
                )
            return picture.convert("RGB")
    except Image.DecompressionBombError as error:
        raise DataError(f"{place} is too large: {error}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{place} is not a whole image ({error}); get the archive again") from None
