import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from dmn.datasets.archives import ImageArchive, Limits, decode, reading
from dmn.errors import DataError
from mirror import picture, tar_bytes, zip_bytes

FILES = {"a/1.jpg": picture(0, 1), "a/2.jpg": picture(0, 2), "b/3.jpg": picture(1, 3)}


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def opened(folder: Path, name: str, content: bytes, **settings) -> ImageArchive:
    return ImageArchive([write(folder, name, content)], folder / "scratch", **settings)


def special(**facts) -> bytes:
    """Return a tar with one special member."""
    info = tarfile.TarInfo(facts.pop("name", "x"))
    for key, value in facts.items():
        setattr(info, key, value)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tar", tar_bytes(FILES)),
        ("x.tar.gz", tar_bytes(FILES, "w:gz")),
        ("x.tgz", tar_bytes(FILES, "w:gz")),
        ("x.tar.bz2", tar_bytes(FILES, "w:bz2")),
        ("x.tar.xz", tar_bytes(FILES, "w:xz")),
        ("x.zip", zip_bytes(FILES)),
        # the ending is not believed: some homes serve a plain tar as .tar.gz
        ("plain.tar.gz", tar_bytes(FILES)),
        ("dots.tar", tar_bytes({f"./{name}": content for name, content in FILES.items()})),
    ],
)
def test_every_form_gives_the_same_bytes_in_any_order(tmp_path: Path, name: str, content: bytes):
    archive = opened(tmp_path, name, content)
    assert list(archive.names()) == list(FILES)
    for member in sorted(FILES, reverse=True):
        assert archive.read(member) == FILES[member]
    assert archive.image("b/3.jpg").size == (52, 44)
    assert "a/1.jpg" in archive
    assert len(archive) == 3


def test_archives_inside_archives_are_named_by_their_stem(tmp_path: Path):
    content = tar_bytes({"n01.tar": tar_bytes({"1.JPEG": b"one", "2.JPEG": b"two"}), "x": b"y"})
    archive = opened(tmp_path, "train.tar", content, inner={"train.tar": "n*.tar"})
    assert list(archive.names()) == ["n01/1.JPEG", "n01/2.JPEG", "x"]
    assert archive.read("n01/2.JPEG") == b"two"
    assert not (tmp_path / "scratch").exists()
    content = zip_bytes({"top/in.tar.gz": tar_bytes(FILES, "w:gz")})
    archive = opened(tmp_path, "x.zip", content, inner={"x.zip": "top/in.tar.gz"})
    assert archive.read("in/a/1.jpg") == FILES["a/1.jpg"]


def test_compressed_tar_is_expanded_once(tmp_path: Path):
    path = write(tmp_path, "x.tgz", tar_bytes(FILES, "w:gz"))
    ImageArchive([path], tmp_path / "scratch")
    (plain,) = (tmp_path / "scratch").iterdir()
    before = plain.stat().st_mtime_ns
    ImageArchive([path], tmp_path / "scratch")
    assert plain.stat().st_mtime_ns == before


def test_index_of_a_large_tar_is_kept_until_the_file_changes(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(reading, "INDEX_WORTH_KEEPING", 3)
    path = write(tmp_path, "x.tar", tar_bytes(FILES))
    first = ImageArchive([path], tmp_path / "scratch")
    (index,) = (tmp_path / "scratch").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(ImageArchive, "_index_tar", None)
        second = ImageArchive([path], tmp_path / "scratch")
    assert list(second.names()) == list(first.names())
    assert second.read("b/3.jpg") == FILES["b/3.jpg"]
    path.write_bytes(tar_bytes({"c/4.jpg": b"four"}))
    assert list(ImageArchive([path], tmp_path / "scratch").names()) == ["c/4.jpg"]
    assert index.exists()


def test_forked_readers_do_not_share_a_handle(tmp_path: Path):
    archive = opened(tmp_path, "x.zip", zip_bytes(FILES))
    archive.read("a/1.jpg")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, b"same" if archive.read("a/2.jpg") == FILES["a/2.jpg"] else b"diff")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 4) == b"same"


def test_archive_goes_to_another_process_by_pickle(tmp_path: Path):
    archive = opened(tmp_path, "x.zip", zip_bytes(FILES))
    archive.read("a/1.jpg")
    copy = pickle.loads(pickle.dumps(archive))  # noqa: S301
    assert copy.read("a/2.jpg") == FILES["a/2.jpg"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.tar", tar_bytes({"../evil": b"x"}), r"'\.\./evil', a path outside"),
        ("x.tar", tar_bytes({"a/../../evil": b"x"}), "a path outside"),
        ("x.tar", tar_bytes({"/etc/evil": b"x"}), "'/etc/evil', a path outside"),
        ("x.zip", zip_bytes({"../evil": b"x"}), "a path outside"),
        ("x.zip", zip_bytes({"..\\evil": b"x"}), "a path outside"),
        ("x.zip", zip_bytes({"C:evil": b"x"}), "a path outside"),
        ("x.tar", special(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link to /etc/passwd"),
        ("x.tar", special(type=tarfile.SYMTYPE, linkname="../../x"), "a link to ../../x"),
        ("x.tar", special(type=tarfile.LNKTYPE, linkname="../x"), "outside the archive"),
        ("x.tar", special(type=tarfile.CHRTYPE), "is a device"),
        ("x.tar", special(type=tarfile.FIFOTYPE), "is a device"),
        ("x.tar", b"not an archive at all" * 100, "not a whole tar or zip archive"),
        ("x.tar", b"", "not a whole tar or zip archive"),
        ("x.zip", zip_bytes(FILES)[:900], "not a whole tar or zip archive"),
        ("x.tgz", tar_bytes(FILES, "w:gz")[:900], "not a whole tar or zip archive"),
        ("x.tgz", gzip.compress(b"no tar inside" * 99), "not a whole tar or zip archive"),
    ],
)
def test_hostile_or_broken_archive_is_refused(tmp_path: Path, name, content, message: str):
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(DataError, match=message) as caught:
        opened(home, name, content)
    assert str(home / name) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_link_in_a_zip_is_refused(tmp_path: Path):
    info = zipfile.ZipInfo("x.jpg")
    info.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"x\.jpg, which is a link"):
        opened(tmp_path, "x.zip", buffer.getvalue())


def test_links_that_stay_inside_are_not_followed(tmp_path: Path):
    archive = opened(
        tmp_path, "x.tar", special(name="a/x", type=tarfile.SYMTYPE, linkname="../b/y")
    )
    assert len(archive) == 0


def test_archives_that_expand_beyond_belief_are_refused(tmp_path: Path):
    bomb = tar_bytes({"x": bytes(40_000_000)}, "w:gz")
    with pytest.raises(DataError, match="more than is believable"):
        opened(tmp_path, "x.tgz", bomb, limits=Limits(ratio=20))
    assert list((tmp_path / "scratch").iterdir()) == []
    with pytest.raises(DataError, match="expands more than is believable"):
        opened(tmp_path, "x.zip", zip_bytes({"x": bytes(40_000_000)}), limits=Limits(ratio=20))


@pytest.mark.parametrize(
    ("limits", "message"),
    [(Limits(member_bytes=10), "the limit for one file is 10"), (Limits(members=2), "more than 2")],
)
def test_too_large_and_too_many_files_are_refused(tmp_path: Path, limits, message: str):
    for name, content in (("x.tar", tar_bytes(FILES)), ("x.zip", zip_bytes(FILES))):
        with pytest.raises(DataError, match=message):
            opened(tmp_path, name, content, limits=limits)


def test_missing_archive_and_member_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"cannot read .*none\.tar: No such file"):
        ImageArchive([tmp_path / "none.tar"], tmp_path)
    with pytest.raises(DataError, match=r"no file c/4\.jpg"):
        opened(tmp_path, "x.tar", tar_bytes(FILES)).read("c/4.jpg")


def test_tar_cut_off_in_a_member_is_noticed(tmp_path: Path):
    path = write(tmp_path, "x.tar", tar_bytes(FILES))
    archive = ImageArchive([path], tmp_path)
    os.truncate(path, 600)
    with pytest.raises(DataError, match="ends early"):
        archive.read("a/1.jpg")


def test_damaged_zip_member_is_noticed(tmp_path: Path):
    content = bytearray(zip_bytes(FILES))
    content[60] ^= 1
    archive = opened(tmp_path, "x.zip", bytes(content))
    with pytest.raises(DataError, match=r"cannot read .*x\.zip:a/1\.jpg"):
        archive.read("a/1.jpg")


def test_corrupt_image_is_named_with_its_place(tmp_path: Path):
    content = {**FILES, "bad.jpg": FILES["a/1.jpg"][:200], "text.jpg": b"hello"}
    archive = opened(tmp_path, "x.tar", tar_bytes(content))
    for name in ("bad.jpg", "text.jpg"):
        with pytest.raises(DataError, match=rf"x\.tar:{name} is not a whole image"):
            archive.image(name)


def test_image_with_too_many_pixels_is_refused_before_decoding(tmp_path: Path):
    with pytest.raises(DataError, match=r"x\.jpg is 52 x 44 pixels; the limit is 100"):
        decode(FILES["a/1.jpg"], "x.jpg", pixels=100)
    # a PNG header that claims 60,000 x 60,000 pixels
    header = struct.pack(">II5B", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    png += struct.pack(">I", zlib.crc32(chunk))
    with pytest.raises(DataError, match=r"x\.png"):
        decode(png, "x.png")
