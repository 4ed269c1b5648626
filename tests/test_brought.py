"""What a person brings: a change of its content is noticed, whatever its times say."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dmn import digests as digests_module
from dmn.artifacts import read_json, sha256, write_json
from dmn.datasets.archives import ImageArchive
from dmn.datasets.brought import brought_sha256
from dmn.datasets.download import Transfer, fetch
from dmn.datasets.registry import RemoteFile
from dmn.digests import Digests
from dmn.errors import DataError
from mirror import picture, serve

FILE = RemoteFile(name="a.npz", role="archive")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file that is brought, as old as can be."""
    path = tmp_path / "manual" / "toy" / "a.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one")
    os.utime(path, ns=(0, 0))
    return path


def brought(own: Path, target: Path) -> str:
    return brought_sha256(own, target, Digests())


def get(own: Path, file: RemoteFile = FILE) -> Path:
    target = own.parents[2] / "got" / file.name
    fetch("toy", file, target, Transfer(own.parents[1], progress=False))
    return target


def replace_by_moving(own: Path) -> None:
    new = own.with_name("new")
    new.write_bytes(b"two")
    os.utime(new, ns=(0, 0))
    new.rename(own)


def replace_in_place(own: Path) -> None:
    own.write_bytes(b"two")
    os.utime(own, ns=(0, 0))


@pytest.mark.parametrize("replace", [replace_by_moving, replace_in_place])
def test_a_replaced_file_of_equal_size_and_time_is_noticed(own: Path, replace) -> None:
    target = get(own)
    assert brought(own, target) == sha256(own)
    before = brought(own, target)
    replace(own)
    assert brought(own, target) != before
    assert get(own).read_bytes() == b"two"


def test_a_copy_across_file_systems_is_as_good_as_a_link(own: Path, monkeypatch) -> None:
    def other_device(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_device)
    target = get(own)
    before = brought(own, target)
    replace_in_place(own)
    assert target.read_bytes() == b"one"
    assert brought(own, target) != before


def test_what_was_brought_is_remembered_when_it_is_gone(own: Path) -> None:
    target = get(own)
    before = brought(own, target)
    shutil.rmtree(own.parent)
    assert brought(own, target) == before


def test_a_file_from_a_server_was_not_brought(own: Path, tmp_path: Path) -> None:
    get(own)
    shutil.rmtree(own.parent)
    served = tmp_path / "served" / "toy"
    served.mkdir(parents=True)
    (served / "a.npz").write_bytes(b"three")
    target = tmp_path / "got" / "a.npz"
    target.unlink()
    with serve(tmp_path / "served") as server:
        fetch("toy", FILE, target, Transfer(own.parents[1], server.url, progress=False))
    assert brought(own, target) == ""


@pytest.mark.parametrize(("role", "due"), [("archive", "an archive is due"), ("split", "a file")])
def test_a_folder_in_place_of_a_file_is_told_in_one_line(own: Path, role: str, due: str) -> None:
    own.unlink()
    (own / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=f"a.npz is a folder where {due}.*dmn new-dataset") as told:
        get(own, RemoteFile(name="a.npz", role=role))
    assert "free some space" not in str(told.value)


def test_an_unpacked_folder_beside_a_missing_archive_is_told(own: Path) -> None:
    own.unlink()
    own.with_suffix("").mkdir()
    with pytest.raises(DataError, match="there is a folder .*/toy/a: if it is the archive unpack"):
        get(own)


def folder_of_images(root: Path) -> Path:
    for number, name in enumerate(["a b/1.jpg", "café/2.JPG", "café/3.webp"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture(0, number))
    (root / "café" / "notes.txt").write_text("no image")
    (root / ".hidden.jpg").write_bytes(b"")
    return root


def listed(folder: Path) -> RemoteFile:
    return RemoteFile(name="images.json", role="archive", folder=str(folder))


def test_a_folder_stands_as_its_listing_and_is_read_where_it_is(own: Path, tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "birds")
    target = get(own, listed(folder))
    names = [row[0] for row in read_json(target)["images"]]
    assert names == [
        "a b/1.jpg",
        "café/2.JPG",
        "café/3.webp",
    ]
    assert str(tmp_path) not in target.read_text(encoding="utf-8")
    archive = ImageArchive([target], tmp_path / "scratch", folders={"images.json": folder})
    assert archive.read("café/2.JPG") == picture(0, 1)
    assert archive.image("a b/1.jpg").size == (52, 44)


def test_equal_folders_have_equal_listings_wherever_they_are(own: Path, tmp_path: Path) -> None:
    first, second = (folder_of_images(tmp_path / name) for name in ("here", "there"))
    assert get(own, listed(first)).read_bytes() == get(own, listed(second)).read_bytes()
    assert brought(first, own) == brought(second, own)


@pytest.mark.parametrize("change", ["content", "name", "one more", "one fewer"])
def test_a_changed_folder_is_noticed_and_other_files_in_it_are_not(
    change: str, own: Path, tmp_path: Path
) -> None:
    folder = folder_of_images(tmp_path / "birds")
    before = brought(folder, own)
    (folder / "café" / "notes.txt").write_text("other notes")
    os.utime(folder / "a b/1.jpg")
    assert brought(folder, own) == before
    image = folder / "a b/1.jpg"
    if change == "content":
        image.write_bytes(image.read_bytes()[:-1] + b"x")
        os.utime(image, ns=(0, 0))
    elif change == "name":
        image.rename(image.with_name("4.jpg"))
    elif change == "one more":
        shutil.copy(image, image.with_name("4.jpg"))
    else:
        image.unlink()
    assert brought(folder, own) != before


def test_an_image_that_changes_after_it_was_listed_is_refused(own: Path, tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "birds")
    target = get(own, listed(folder))
    archive = ImageArchive([target], tmp_path / "scratch", folders={"images.json": folder})
    (folder / "a b/1.jpg").write_bytes(picture(0, 9))
    with pytest.raises(DataError, match="a b/1.jpg has changed since it was listed; run again"):
        archive.read("a b/1.jpg")
    (folder / "a b/1.jpg").unlink()
    with pytest.raises(DataError, match="cannot read .*a b/1.jpg: .*No such file"):
        archive.read("a b/1.jpg")


def test_a_missing_folder_is_named(own: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder .*nowhere that the registry names"):
        get(own, listed(tmp_path / "nowhere"))
    listing = get(own, listed(folder_of_images(tmp_path / "birds")))
    with pytest.raises(DataError, match="no folder .*nowhere, whose images .*images.json lists"):
        ImageArchive([listing], tmp_path, folders={"images.json": tmp_path / "nowhere"})


def test_links_are_followed_and_circles_end(own: Path, tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "birds")
    (folder / "round").symlink_to(folder, target_is_directory=True)
    (folder / "linked").symlink_to(folder_of_images(tmp_path / "more"), target_is_directory=True)
    names = [row[0] for row in read_json(get(own, listed(folder)))["images"]]
    assert len(names) == 6
    assert "linked/a b/1.jpg" in names


def test_a_name_that_is_no_text_is_refused(own: Path, tmp_path: Path) -> None:
    folder = folder_of_images(tmp_path / "birds")
    with open(os.fsencode(folder) + b"/caf\xe9.jpg", "wb"):
        pass
    with pytest.raises(DataError, match="a name that is not UTF-8; rename the file"):
        get(own, listed(folder))


def test_a_settled_file_is_read_once(own: Path, tmp_path: Path, monkeypatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256(path)

    monkeypatch.setattr(digests_module, "sha256", counted)
    monkeypatch.setattr(digests_module, "SETTLED_SECONDS", -1.0)
    for _ in range(2):
        known = Digests(tmp_path / "digests.json")
        assert known.sha256(own) == sha256(own)
        known.save()
    assert read == [own]
    replace_in_place(own)
    assert Digests(tmp_path / "digests.json").sha256(own) == sha256(own)
    assert read == [own, own]


def test_a_file_that_may_still_be_written_is_not_believed_later(
    own: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(digests_module, "SETTLED_SECONDS", 1e9)
    known = Digests(tmp_path / "digests.json")
    known.sha256(own)
    known.save()
    assert not (tmp_path / "digests.json").exists()


def test_a_damaged_store_of_digests_is_made_again(own: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "digests.json", [["x"]])
    assert Digests(tmp_path / "digests.json").sha256(own) == sha256(own)
    (tmp_path / "digests.json").write_text("{")
    assert Digests(tmp_path / "digests.json").sha256(own) == sha256(own)
