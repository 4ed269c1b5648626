"""Names of files inside archives and in lists of images, in one form.

The same name occurs with composed or decomposed letters (NFC, NFD: macOS), with slashes or
backslashes (Windows), and in a zip without the mark that says UTF-8. Lists and archives of one
data set rarely come from one machine, so both are brought into one form: NFC and slashes.
"""

from __future__ import annotations

import posixpath
import unicodedata
import zipfile
from pathlib import Path

from dmn.errors import DataError

UTF8_NAME = 0x800


def composed(text: str) -> str:
    """Return text in Unicode's form NFC; most text is, and comes back as it is."""
    return unicodedata.normalize("NFC", text)


def listed_name(name: str) -> str:
    """Return the path of an image in a list of images in the form of `member_name`."""
    return posixpath.normpath(composed(name.replace("\\", "/")))


def member_name(name: str, path: Path) -> str:
    """Return the name of a member of archive `path` in one form.

    Refuses names that a careless unpacker would write outside its folder.
    """
    slashes = name.replace("\\", "/")
    leaves = slashes.startswith("/") or ".." in slashes.split("/") or name[1:2] == ":"
    if leaves or "\0" in name:
        raise DataError(
            f"{path} holds {name!r}, a path outside the archive; nothing was unpacked, get it "
            "again from its home"
        )
    return posixpath.normpath(composed(_text(name)))


def zip_name(info: zipfile.ZipInfo) -> str:
    """Return a zip member's name with slashes, its bytes taken as UTF-8 where they are UTF-8.

    Programs of macOS leave out the mark for UTF-8, those of Windows write backslashes.
    """
    name = info.filename.replace("\\", "/")
    if info.flag_bits & UTF8_NAME or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _text(name: str) -> str:
    """Return a name whose bytes are no UTF-8 as Latin-1, so that JSON can hold it."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name
