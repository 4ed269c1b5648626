import hashlib
from pathlib import Path

import numpy as np
import pytest

from dmn.datasets.checksums import published_checksum
from dmn.datasets.download import Transfer, fetch, manifest
from dmn.datasets.registry import DatasetEntry, RemoteFile
from dmn.errors import DataError
from mirror import serve

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    path = tmp_path / "served" / "toy" / "a.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path.parents[1]


def remote(**changes) -> RemoteFile:
    facts = {
        "name": "a.zip",
        "role": "archive",
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    return RemoteFile(**{**facts, **changes})


def download(file: RemoteFile, folder: Path, served: Path, faults=(), **settings):
    """Fetch `file` from a server with `faults`; return the target and the requests."""
    target = folder / "got" / file.name
    with serve(served, {file.name: list(faults)}) as server:
        options = {"timeout": 0.5, "pause": 0, "progress": False, **settings}
        transfer = Transfer(folder / "manual", server.url, **options)
        try:
            fetch("toy", file, target, transfer)
        finally:
            served_requests = server.requests
    return target, served_requests


def test_file_arrives_whole_and_leaves_nothing_beside_it(tmp_path: Path, served: Path):
    target, requests = download(remote(), tmp_path, served)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a.zip"]
    assert len(requests) == 1


def test_a_file_in_a_folder_of_a_data_set_arrives_in_that_folder(tmp_path: Path, served: Path):
    (served / "toy/CLIP").mkdir()
    (served / "toy/a.zip").rename(served / "toy/CLIP/a.zip")
    file = remote(name="CLIP/a.zip")
    with pytest.raises(DataError, match="1 tries"), serve(served, {"a.zip": ["dies"]}) as server:
        options = {"timeout": 0.5, "pause": 0, "progress": False, "retries": 0}
        fetch("toy", file, tmp_path / "got/CLIP/a.zip", Transfer(tmp_path, server.url, **options))
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["CLIP"]
    target, _ = download(file, tmp_path, served)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a.zip"]


def test_second_fetch_asks_nobody(tmp_path: Path, served: Path):
    download(remote(), tmp_path, served)
    _, requests = download(remote(), tmp_path, served)
    assert requests == []


@pytest.mark.parametrize("faults", [["dies"], ["error", "dies"], ["slow", "error", "dies"]])
def test_broken_transfer_goes_on_from_where_it_stopped(tmp_path: Path, served: Path, faults):
    target, requests = download(remote(), tmp_path, served, faults)
    assert target.read_bytes() == CONTENT
    _, wanted = requests[-1]
    assert wanted is not None
    assert int(wanted.removeprefix("bytes=").rstrip("-")) > 0


def test_killed_run_goes_on_in_the_next_run(tmp_path: Path, served: Path):
    with pytest.raises(DataError, match="1 tries"):
        download(remote(), tmp_path, served, ["dies"], retries=0)
    part = tmp_path / "got" / ".a.zip.part"
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    assert not (tmp_path / "got" / "a.zip").exists()
    note = part.with_name(".a.zip.part.source")
    # the second server has another port: say that it is the same source
    with serve(served) as server:
        note.write_text(f'{{"url": "{server.url}/toy/a.zip", "validator": null}}')
        transfer = Transfer(tmp_path / "manual", server.url, progress=False)
        fetch("toy", remote(), tmp_path / "got" / "a.zip", transfer)
        assert server.requests == [("/toy/a.zip", f"bytes={kept}-")]
    assert (tmp_path / "got" / "a.zip").read_bytes() == CONTENT


def test_part_of_another_source_is_not_continued(tmp_path: Path, served: Path):
    with pytest.raises(DataError):
        download(remote(), tmp_path, served, ["dies"], retries=0)
    _, requests = download(remote(), tmp_path, served)
    assert requests == [("/toy/a.zip", None)]


def test_source_without_ranges_starts_again(tmp_path: Path, served: Path):
    target, _ = download(remote(), tmp_path, served, ["dies", "no-range"])
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["missing"], "status 404"),
        (["error"] * 9, "status 500, 3 tries"),
        (["slow"] * 9, "no answer within 0.2 s, 3 tries"),
        (["truncated"], "has 1500000 bytes, not 3000000"),
        (["wrong"], "has sha256 .*, not "),
        (["endless"], "more than the 3000000 bytes"),
        (["page"], "answers with a web page"),
    ],
)
def test_failure_says_what_was_tried_and_where_to_put_the_file(
    tmp_path: Path, served: Path, faults, message: str
):
    file = remote(manual="ask the authors")
    with pytest.raises(DataError, match=message) as caught:
        download(file, tmp_path, served, faults, retries=2, timeout=0.2)
    text = str(caught.value)
    assert "http://127.0.0.1" in text
    assert "(ask the authors)" in text
    assert str(tmp_path / "manual" / "toy" / "a.zip") in text
    assert "\n" not in text
    assert not (tmp_path / "got" / "a.zip").exists()


def test_sources_are_tried_in_order(tmp_path: Path, served: Path):
    with serve(served, {"a.zip": ["missing"]}) as first, serve(served, {}) as second:
        urls = tuple(f"{server.url}/toy/a.zip" for server in (first, second))
        transfer = Transfer(tmp_path / "manual", progress=False)
        target = tmp_path / "got" / "a.zip"
        assert fetch("toy", remote(urls=urls), target, transfer) == urls[1]


def test_no_network_names_every_source(tmp_path: Path):
    file = remote(urls=("http://127.0.0.1:9/a.zip", "http://127.0.0.1:9/b.zip"))
    transfer = Transfer(tmp_path / "manual", retries=0, progress=False)
    with pytest.raises(DataError, match=r"9/a\.zip \(.*refused.*9/b\.zip"):
        fetch("toy", file, tmp_path / "a.zip", transfer)


def test_damaged_file_under_the_final_name_is_replaced(tmp_path: Path, served: Path):
    target = tmp_path / "got" / "a.zip"
    target.parent.mkdir()
    target.write_bytes(b"half")
    download(remote(), tmp_path, served)
    assert target.read_bytes() == CONTENT


def test_user_brought_file_is_checked_and_linked(tmp_path: Path, served: Path):
    own = tmp_path / "manual" / "toy" / "a.zip"
    own.parent.mkdir(parents=True)
    own.write_bytes(CONTENT)
    target, requests = download(remote(), tmp_path, served)
    assert target.stat().st_ino == own.stat().st_ino
    assert requests == []


def test_wrong_user_brought_file_is_named_and_kept(tmp_path: Path, served: Path):
    own = tmp_path / "manual" / "toy" / "a.zip"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"manual/toy/a\.zip has 14 bytes, not 3000000"):
        download(remote(), tmp_path, served)
    assert own.read_bytes() == b"something else"


def test_strongest_published_checksum_decides(tmp_path: Path, served: Path):
    blob = hashlib.sha1(f"blob {len(CONTENT)}\0".encode() + CONTENT).hexdigest()
    md5 = hashlib.md5(CONTENT).hexdigest()
    for facts in ({"git_blob": blob, "md5": "0" * 32}, {"md5": md5}):
        file = remote(sha256=None, **facts)
        download(file, tmp_path / str(len(facts)), served)
    assert published_checksum(remote(git_blob=blob)) == ("sha256", remote().sha256)
    with pytest.raises(DataError, match="has git_blob"):
        download(remote(sha256=None, git_blob="0" * 40), tmp_path / "x", served)


def test_unpublished_checksum_is_recorded_in_the_manifest(tmp_path: Path, served: Path):
    file = remote(sha256=None, bytes=None)
    target, _ = download(file, tmp_path, served)
    entry = DatasetEntry(name="toy", title="Toy", kind="features", classes=2, files={"a.zip": file})
    (facts,) = manifest(entry, target.parent)["files"]
    assert facts["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert facts["verified_by"] == "recorded at the first download"


def test_unwritable_folder_is_named(tmp_path: Path, served: Path):
    (tmp_path / "got").write_text("a file where the folder should be")
    from dmn.errors import OutputError

    with pytest.raises(OutputError, match=r"cannot write .*got/a\.zip"):
        download(remote(), tmp_path, served)
