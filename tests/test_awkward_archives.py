"""Archives as other machines leave them: names in other forms, other compressions, no archives."""

from __future__ import annotations

import io
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pytest

from dmn.datasets.archives import ImageArchive
from dmn.datasets.archives.names import listed_name
from dmn.errors import DataError
from mirror import tar_bytes, zip_bytes

CAFE = "café/ぱ 1.jpg"
DECOMPOSED = unicodedata.normalize("NFD", CAFE)


def opened(folder: Path, content: bytes, name: str = "x.zip") -> ImageArchive:
    path = folder / name
    path.write_bytes(content)
    return ImageArchive([path], folder / "scratch")


def raw_zip(names: dict[str, bytes]) -> bytes:
    """Return a zip whose names are these bytes, without the mark that says UTF-8."""
    buffer = io.BytesIO()
    places = {chr(ord("A") + i) * len(name.encode()): name for i, name in enumerate(names)}
    with zipfile.ZipFile(buffer, "w") as archive:
        for place, name in places.items():
            archive.writestr(place, names[name])
    raw = buffer.getvalue()
    for place, name in places.items():
        raw = raw.replace(place.encode(), name.encode())
    return raw


def test_names_with_backslashes_are_names_with_slashes(tmp_path: Path) -> None:
    content = raw_zip({"birds\\": b"", "birds\\a b\\1.jpg": b"one"})
    archive = opened(tmp_path, content)
    assert list(archive.names()) == ["birds/a b/1.jpg"]
    assert archive.read("birds/a b/1.jpg") == b"one"


@pytest.mark.parametrize("name", [CAFE, DECOMPOSED])
@pytest.mark.parametrize("form", ["zip", "zip without flag", "tar", "pax", "tar.gz"])
def test_composed_and_decomposed_letters_are_the_same_name(
    form: str, name: str, tmp_path: Path
) -> None:
    content = {
        "zip": lambda: zip_bytes({name: b"one"}),
        "zip without flag": lambda: raw_zip({name: b"one"}),
        "tar": lambda: tar_bytes({name: b"one"}),
        "pax": lambda: tar_bytes({name: b"one", "long" * 60: b""}),
        "tar.gz": lambda: tar_bytes({name: b"one"}, "w:gz"),
    }[form]()
    archive = opened(tmp_path, content)
    for asked in (CAFE, DECOMPOSED):
        assert listed_name(asked) in archive
        assert archive.read(listed_name(asked)) == b"one"


def test_one_name_in_two_forms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one name written in two ways; rename one of them"):
        opened(tmp_path, zip_bytes({CAFE: b"one", DECOMPOSED: b"two"}))


def test_a_tar_with_latin_1_names_can_be_listed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1"
    ) as tar:
        tar.addfile(tarfile.TarInfo("café/1.jpg"), io.BytesIO())
    assert list(opened(tmp_path, buffer.getvalue()).names()) == ["café/1.jpg"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "x.zip is a 7z archive; the forms that are read are"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(99), "x.zip is a RAR archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "x.zip is compressed with Zstandard"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS .git lfs"),
        (b"<!DOCTYPE html>\n<html>" + bytes(99), "x.zip is a web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "x.zip is an HDF5 file"),
    ],
)
def test_what_is_no_archive_is_called_by_its_name(
    content: bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        opened(tmp_path, content)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_cut_off_compressed_tar_is_refused_and_leaves_nothing(mode: str, tmp_path: Path) -> None:
    whole = tar_bytes({"a.jpg": bytes(range(256)) * 99}, mode)
    with pytest.raises(DataError, match="x.zip is not a whole tar or zip archive"):
        opened(tmp_path, whole[: len(whole) // 2])
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_archive_replaced_by_one_of_equal_size_and_time_is_read_anew(tmp_path: Path) -> None:
    import os

    path = tmp_path / "x.tgz"
    for content in (b"one", b"two"):
        path.unlink(missing_ok=True)
        path.write_bytes(tar_bytes({"a.jpg": content}, "w:gz").ljust(300, b"\0"))
        os.utime(path, ns=(0, 0))
        assert ImageArchive([path], tmp_path / "scratch").read("a.jpg") == content


def test_an_empty_zip_holds_no_file(tmp_path: Path) -> None:
    assert len(opened(tmp_path, zip_bytes({}))) == 0
