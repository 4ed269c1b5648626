"""Folders of classes, with parts or without, in a folder or in an archive without any list."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
import yaml

from dmn.datasets.folders import arrange
from dmn.datasets.layouts import build_split, open_archives
from dmn.datasets.registry import load_registry
from dmn.errors import DataError
from mirror import picture, zip_bytes


def paths(counts: dict[str, int], ending: str = "jpg") -> list[str]:
    """Return the paths of numbered images in folders."""
    return [f"{folder}/{i}.{ending}" for folder, count in counts.items() for i in range(count)]


def parts_of(found) -> dict[str, list[int]]:
    return {part: found.counts(part) for part in found.parts}


def test_class_folders_are_cut_into_parts_of_each_class() -> None:
    found = arrange(paths({"sea_lion": 10, "ant": 100, "bee": 3, "cat": 2, "dog": 1}), "x")
    assert found.classes == ("ant", "bee", "cat", "dog", "sea lion")
    assert parts_of(found) == {
        "train": [50, 1, 1, 0, 5],
        "val": [20, 1, 0, 0, 2],
        "test": [30, 1, 1, 1, 3],
    }
    every = [name for items in found.parts.values() for name, _ in items]
    assert Counter(every) == Counter(
        paths({"sea_lion": 10, "ant": 100, "bee": 3, "cat": 2, "dog": 1})
    )


def test_the_cut_depends_on_the_seed_and_not_on_the_order_of_the_files() -> None:
    names = paths({"ant": 20, "bee": 20})
    assert arrange(names, "x").parts == arrange(names[::-1], "x").parts
    assert arrange(names, "x").parts != arrange(names, "x", seed=1).parts


@pytest.mark.parametrize(
    "called",
    [("train", "val", "test"), ("Training", "validation", "TEST"), ("train", "dev", "test")],
)
def test_folders_of_parts_are_taken_as_they_are(called: tuple[str, str, str]) -> None:
    counts = {f"{part}/{name}": 2 + i for i, part in enumerate(called) for name in ("b", "a/deep")}
    found = arrange(paths(counts), "x")
    assert found.classes == ("a", "b")
    assert parts_of(found) == {"train": [2, 2], "val": [3, 3], "test": [4, 4]}
    assert found.notes == []


def test_a_validation_part_without_a_test_part_is_the_test_part() -> None:
    found = arrange(paths({"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1}), "x")
    assert parts_of(found) == {"train": [2, 2], "val": [0, 0], "test": [1, 1]}
    assert "validation part is the test part" in found.notes[0]


def test_training_images_alone_are_cut_and_test_images_alone_stay() -> None:
    found = arrange(paths({"train/a": 10, "train/b": 10}), "x")
    assert parts_of(found)["test"] == [3, 3]
    assert "cut into parts" in found.notes[0]
    assert parts_of(arrange(paths({"test/a": 2, "test/b": 3}), "x"))["test"] == [2, 3]


def test_a_class_may_be_called_train() -> None:
    assert arrange(paths({"train": 5, "bus": 5}), "x").classes == ("bus", "train")


def test_folders_called_by_numbers_stand_in_the_order_of_the_numbers() -> None:
    assert arrange(paths({"10": 1, "9": 1, "1": 1}), "x").classes == ("1", "9", "10")


def test_a_class_that_a_part_lacks_keeps_its_place() -> None:
    found = arrange(paths({"train/a": 2, "train/c": 2, "test/b": 1, "test/c": 1}), "x")
    assert found.classes == ("a", "b", "c")
    assert parts_of(found) == {"train": [2, 0, 2], "val": [0, 0, 0], "test": [0, 1, 1]}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "x has no folder with images"),
        (["1.jpg", "2.jpg"], "x has no folder with images"),
        (paths({"images/a": 2, "images/b": 2}), "x has only the folder 'images'"),
        (paths({"train/images": 2, "test/images": 2}), "only the folder 'images'"),
        (
            paths({"train/a": 2, "test/a": 2, "extra/a": 1}),
            "the folders test, train, which are called like parts, and extra, which are not",
        ),
        (paths({"val/a": 2, "valid/a": 2}), "two folders for one part: val, valid"),
    ],
)
def test_folders_without_classes_are_told_in_one_line(names: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        arrange(names, "x")


def opened(tmp_path: Path, names: list[str], root: str = "", **facts: object):
    """Return the split of an archive of class folders without a class file."""
    content = {f"{root}{name}": picture(0, i) for i, name in enumerate(names)}
    (tmp_path / "x.zip").write_bytes(zip_bytes({**content, "__MACOSX/a/._0.jpg": b"x"}))
    entry = {"title": "Mine", "kind": "images", "classes": 2, **facts}
    entry |= {"layout": {"kind": "class_folders", "root": root}}
    entry |= {"files": {"x.zip": {"role": "archive"}}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"datasets": {"mine": entry}}))
    mine = load_registry(tmp_path / "r.yaml")["mine"]
    return build_split(mine, tmp_path, open_archives(mine, tmp_path, tmp_path / "scratch"))


@pytest.mark.parametrize("root", ["", "birds/", "deep/birds/"])
def test_an_archive_of_class_folders_needs_no_class_file(tmp_path: Path, root: str) -> None:
    split = opened(tmp_path, paths({"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1}), root)
    assert split.classes == ("a", "b")
    assert split.parent_classes == (0, 1)
    assert split.test == ((f"{root}test/a/0.jpg", 0), (f"{root}test/b/0.jpg", 1))
    assert len(split.train) == 4


def test_images_of_every_ending_are_used_and_others_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["a/0.JPG", "a/1.webp", "a/2.Tiff", "b/3.png", "b/4.heic", "b/5.txt", "b/6.bmp"]
    with caplog.at_level(logging.WARNING):
        split = opened(tmp_path, names)
    assert len(split.train + split.val + split.test) == 5
    assert "mine: 2 files in class folders are called like no image that is read: b/4.heic" in (
        caplog.text
    )
