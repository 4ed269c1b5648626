import shutil
from pathlib import Path

import pytest

from dmn.artifacts import read_json
from dmn.datasets.download import Transfer
from dmn.datasets.layouts import build_split, open_archives, read_classes
from dmn.datasets.splits import PARTS, sample_shots
from dmn.encoders.prompts import read_sentences
from dmn.errors import DataError
from mirror import DATASETS, SUBSETS, WNIDS, fetch_dataset, make_mirror, serve


def fetch_mirror(dataset: str, folder: Path, **settings):
    mirror = make_mirror(dataset, folder, **settings)
    with serve(mirror.served) as server:
        transfer = Transfer(mirror.manual, server.url, timeout=5, pause=0, progress=False)
        fetch_dataset(mirror.entry, folder / "got", transfer)
    return mirror.entry, folder / "got"


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_data_set_goes_from_server_to_shots_and_pixels(dataset: str, tmp_path: Path):
    entry, folder = fetch_mirror(dataset, tmp_path)
    archive = open_archives(entry, folder, tmp_path / "scratch")
    split = build_split(entry, folder, archive)
    assert [len(split.part(part)) for part in PARTS] == list(entry.sizes.model_dump().values())
    for part in PARTS:
        for path, _ in split.part(part)[:2]:
            assert archive.image(path).size == (52, 44)
    if entry.few_shot:
        draws = sample_shots(split, 0, [1, 2])
        assert len(draws[2].train) == len(split.classes)
    manifest = read_json(folder / "manifest.json")
    assert [file["name"] for file in manifest["files"]] == list(entry.files)
    assert all(path.suffix == ".brought" for path in folder.glob(".*"))


@pytest.mark.parametrize("dataset", sorted(SUBSETS))
def test_subsets_keep_their_place_among_the_parents_classes(dataset: str, tmp_path: Path):
    entry, folder = fetch_mirror(dataset, tmp_path)
    split = build_split(entry, folder, open_archives(entry, folder, tmp_path / "scratch"))
    assert split.parent_classes == SUBSETS[dataset]
    assert split.classes == tuple(WNIDS[c][1] for c in SUBSETS[dataset])
    for path, label in split.test:
        assert WNIDS[split.parent_classes[label]][0] in path


def test_imagenet_validation_labels_follow_the_devkits_own_numbers(tmp_path: Path):
    entry, folder = fetch_mirror("imagenet", tmp_path)
    split = build_split(entry, folder, open_archives(entry, folder, tmp_path / "scratch"))
    assert [label for _, label in split.test[:5]] == [0, 3, 2, 1, 0]
    assert split.train[0] == ("n01440764/n01440764_0.JPEG", 0)
    assert split.val == ()


def test_aircraft_lists_agree_with_torchvision(tmp_path: Path):
    from torchvision.datasets import FGVCAircraft

    entry, folder = fetch_mirror("fgvc_aircraft", tmp_path)
    split = build_split(entry, folder, open_archives(entry, folder, tmp_path / "scratch"))
    shutil.unpack_archive(folder / "fgvc-aircraft-2013b.tar.gz", tmp_path)
    for part in PARTS:
        theirs = FGVCAircraft(tmp_path, part)
        assert theirs.classes == list(split.classes)
        ours = [(str(tmp_path / path), label) for path, label in split.part(part)]
        files = [str(Path(path)) for path in theirs._image_files]
        assert list(zip(files, theirs._labels, strict=True)) == ours


def test_user_brought_archives_are_asked_for_by_name_and_place(tmp_path: Path):
    mirror = make_mirror("imagenet", tmp_path)
    (mirror.manual / "imagenet" / "ILSVRC2012_img_val.tar").unlink()
    transfer = Transfer(mirror.manual, progress=False)
    with pytest.raises(DataError, match=r"ILSVRC2012_img_val\.tar .*image-net\.org.*manual/"):
        fetch_dataset(mirror.entry, tmp_path / "got", transfer)


def test_archive_of_another_layout_is_named(tmp_path: Path):
    entry, folder = fetch_mirror("eurosat", tmp_path)
    moved = entry.model_copy(update={"layout": entry.layout.model_copy(update={"root": "x"})})
    with pytest.raises(DataError, match="39 of 39 images of eurosat are not in"):
        build_split(moved, folder, open_archives(moved, folder, tmp_path / "scratch"))


def with_byte_order_marks(folder: Path) -> int:
    """Save every text file of a folder as Windows editors do; return how many there are."""
    files = [path for path in folder.rglob("*") if path.suffix in (".json", ".txt")]
    for path in files:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return len(files)


@pytest.mark.parametrize("dataset", DATASETS)
def test_files_that_begin_with_a_byte_order_mark_are_read_alike(dataset: str, tmp_path: Path):
    entry, folder = fetch_mirror(dataset, tmp_path)
    (prompts,) = entry.by_role("prompts")

    def read(scratch: Path):
        split = build_split(entry, folder, open_archives(entry, folder, scratch))
        return split, read_sentences(read_json(folder / prompts.name), prompts.name)

    plain = read(tmp_path / "scratch")
    assert with_byte_order_marks(folder) >= 2
    assert read(tmp_path / "other scratch") == plain


def test_lists_inside_an_archive_may_begin_with_a_byte_order_mark(tmp_path: Path):
    entry, folder = fetch_mirror("fgvc_aircraft", tmp_path)
    plain = build_split(entry, folder, open_archives(entry, folder, tmp_path / "scratch"))
    (archive,) = entry.by_role("archive")
    shutil.unpack_archive(folder / archive.name, tmp_path / "unpacked")
    assert with_byte_order_marks(tmp_path / "unpacked") == 4
    repacked = shutil.make_archive(str(tmp_path / "again"), "gztar", tmp_path / "unpacked")
    shutil.move(repacked, folder / archive.name)
    marked = build_split(entry, folder, open_archives(entry, folder, tmp_path / "other scratch"))
    assert marked == plain


def test_a_split_file_in_utf_16_is_told_with_what_to_do(tmp_path: Path):
    entry, folder = fetch_mirror("dtd", tmp_path)
    (split,) = entry.by_role("split")
    path = folder / split.name
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    with pytest.raises(DataError, match="is not JSON in UTF-8 .*save it so, or delete it and"):
        build_split(entry, folder, open_archives(entry, folder, tmp_path / "scratch"))


def test_count_differing_from_the_registry_is_named(tmp_path: Path):
    entry, folder = fetch_mirror("dtd", tmp_path)
    wrong = entry.model_copy(update={"classes": 47})
    with pytest.raises(DataError, match="dtd has 3 classes, the registry says 47"):
        build_split(wrong, folder, open_archives(wrong, folder, tmp_path / "scratch"))


def test_class_file_with_a_repeated_wnid_is_refused(tmp_path: Path):
    path = tmp_path / "classnames.txt"
    path.write_text("n01440764 tench\nn01440764 goldfish\n")
    with pytest.raises(DataError, match="different wnid"):
        read_classes(path)


@pytest.mark.parametrize("dataset", ["dtd", "eurosat", "imagenet_a"])
def test_hostile_archive_with_a_right_checksum_is_refused(dataset: str, tmp_path: Path):
    entry, folder = fetch_mirror(dataset, tmp_path, hostile=True)
    with pytest.raises(DataError, match=r"evil\.jpg', a path outside the archive"):
        open_archives(entry, folder, tmp_path / "scratch")
    assert not list(tmp_path.rglob("evil*"))


def test_imagenet_without_its_training_archive_has_a_test_part(tmp_path: Path):
    entry, folder = fetch_mirror("imagenet", tmp_path)
    files = [folder / name for name in entry.files if name != "ILSVRC2012_img_train.tar"]
    served = entry.served_by(files)
    split = build_split(served, folder, open_archives(served, folder, tmp_path / "scratch"))
    assert (len(split.train), len(split.test)) == (0, entry.sizes.test)
