import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmn.config import Config
from dmn.datasets.splits import (
    Split,
    check_images,
    check_sizes,
    parse_split_file,
    sample_shots,
)
from dmn.errors import DataError
from dmn.stages.splits import draw


def make_split(classes: int = 3, train: int = 20, val: int = 6) -> Split:
    def part(name: str, count: int):
        return tuple((f"{c}/{name}{i}.jpg", c) for c in range(classes) for i in range(count))

    names = tuple(f"class {c}" for c in range(classes))
    return Split("toy", names, part("a", train), part("b", val), part("c", 5))


def rows(**changes):
    content = {
        "train": [["a/1.jpg", 0, "big_cat"], ["b/1.jpg", 1, "dog"]],
        "val": [["a/2.jpg", 0, "big_cat"]],
        "test": [["b/2.jpg", 1, "dog"]],
    }
    return {**content, **changes}


def test_split_file_becomes_names_and_labels():
    split = parse_split_file("toy", rows(), "x.json")
    assert split.classes == ("big cat", "dog")
    assert split.train == (("a/1.jpg", 0), ("b/1.jpg", 1))
    assert Split.from_json(split.to_json()) == split


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no list 'train'"),
        (rows(val=3), "no list 'val'"),
        (rows(val=[["a.jpg", 0]]), r"val\[0\].*must be"),
        (rows(val=[["a.jpg", "0", "dog"]]), "must be"),
        (rows(val=[["a.jpg", True, "dog"]]), "must be"),
        (rows(val=[["a.jpg", 0, " "]]), "must be"),
        (rows(val=[["a.jpg", 0, "dog"]]), "label 0 is 'dog', elsewhere 'big cat'"),
        (rows(val=[["a.jpg", -1, "dog"]]), "label -1"),
        (rows(val=[["a.jpg", 7, "owl"]]), "no image has label 2"),
        (rows(val=[["../a.jpg", 0, "big_cat"]]), "points outside the archive"),
        (rows(val=[["/a.jpg", 0, "big_cat"]]), "points outside the archive"),
        (rows(val=[["a/1.jpg", 0, "big_cat"]]), "in train and again in val"),
    ],
)
def test_unusable_split_file_is_refused(content, message: str):
    with pytest.raises(DataError, match=message):
        parse_split_file("toy", content, "x.json")


def test_label_out_of_range_is_refused_on_reading():
    value = make_split().to_json()
    value["test"][0][1] = 3
    with pytest.raises(DataError, match="label 3, but there are 3 classes"):
        Split.from_json(value, "x.json")


def test_json_that_is_no_split_is_refused():
    with pytest.raises(DataError, match="is not a split"):
        Split.from_json({"train": []}, "x.json")


def test_sizes_differing_from_the_registry_are_named():
    with pytest.raises(DataError, match="toy has 15 test, the registry says 16"):
        check_sizes(make_split(), 3, {"train": None, "val": 18, "test": 16}, "x.json")


def test_missing_images_are_counted_and_named():
    split = make_split()
    members = {path for path, _ in split.train + split.val + split.test} - {"1/c0.jpg"}
    with pytest.raises(DataError, match=r"1 of 93 images .* first 1/c0\.jpg"):
        check_images(split, members, "toy.zip")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(["nested", "authors"]))
def test_each_class_gets_k_distinct_shots_of_its_own(seed: int, sampling: str):
    split = make_split()
    for k, drawn in sample_shots(split, seed, [1, 2, 16], sampling).items():
        for label in range(3):
            assert len(set(drawn.train[label])) == k
            assert {split.train[i][1] for i in drawn.train[label]} == {label}
            assert len(set(drawn.validation[label])) == min(k, 4)
            assert {split.val[i][1] for i in drawn.validation[label]} == {label}


def test_nested_shots_contain_the_fewer():
    draws = sample_shots(make_split(), 5, [16, 1, 4])
    for label in range(3):
        assert draws[16].train[label][:4] == draws[4].train[label]
        assert draws[4].train[label][:1] == draws[1].train[label]
        assert draws[4].validation[label][:1] == draws[1].validation[label]


@pytest.mark.parametrize(("val", "sampling"), [(6, "nested"), (6, "authors"), (0, "nested")])
def test_draw_of_one_k_does_not_depend_on_the_others(val: int, sampling: str):
    split = make_split(val=val)
    alone = sample_shots(split, 3, [4], sampling)[4]
    assert alone == sample_shots(split, 3, [1, 4, 16], sampling)[4]


def test_seeds_and_classes_draw_differently():
    first, second = (sample_shots(make_split(), seed, [4])[4].train for seed in (0, 1))
    assert first != second
    assert [i % 20 for i in first[0]] != [i % 20 for i in first[1]]


def test_authors_shots_reseed_for_each_class():
    draw = sample_shots(make_split(), 0, [4], "authors")[4].train
    expected = random.Random(0).sample(range(20), 4)
    assert [list(rows) for rows in draw] == [[c * 20 + i for i in expected] for c in range(3)]


@pytest.mark.parametrize("sampling", ["nested", "authors"])
def test_validation_without_a_split_is_a_shot_for_no_k(sampling: str):
    draws = sample_shots(make_split(train=40, val=0), 1, [1, 4, 16], sampling)
    for label in range(3):
        shots = {i for drawn in draws.values() for i in drawn.train[label]}
        for drawn in draws.values():
            assert drawn.validation_from == "train"
            assert drawn.validation[label]
            assert not shots & set(drawn.validation[label])


def test_too_few_images_for_the_shots_are_named():
    with pytest.raises(DataError, match=r"class 0 \('class 0'\) of toy has 20 .* 32 are needed"):
        sample_shots(make_split(), 0, [32])


@pytest.mark.parametrize("val", [6, 0])
def test_many_validation_images_ask_for_no_more_training_images(val: int):
    config = Config(shots=[4], splits={"validation_shots": 64})
    drawn = draw(make_split(train=10, val=val), 0, config)
    assert [len(rows) for rows in drawn["val"]] == [6, 6, 6]
    assert drawn["val_from"] == ("val" if val else "train")
    if not val:
        shots, validation = drawn["train"]["4"], drawn["val"]
        assert all(not set(a) & set(b) for a, b in zip(shots, validation, strict=True))


def test_no_image_left_for_validation_is_named_with_the_ways_out():
    words = (
        r"has 4 training images, 5 are needed: 4 are shots and one more is for validation, because "
        r"there is no validation part; bring one .*validation_shots: 0"
    )
    with pytest.raises(DataError, match=words):
        draw(make_split(train=4, val=0), 0, Config(shots=[4]))


@pytest.mark.parametrize("val", [6, 0])
def test_exact_shots_suffice_without_validation_images(val: int):
    drawn = draw(make_split(train=4, val=val), 0, Config(shots=[4], splits={"validation_shots": 0}))
    assert [len(rows) for rows in drawn["train"]["4"]] == [4, 4, 4]
    assert drawn["val"] == [[], [], []]


def test_paths_and_names_of_a_list_come_in_one_form():
    composed, apart = "café", "cafe\u0301"
    split = parse_split_file(
        "toy",
        {
            "train": [[f"{apart}\\1.jpg", 0, f"big_{apart}"]],
            "val": [[f"./{composed}/2.jpg", 0, f"big_{composed}"]],
            "test": [],
        },
        "x.json",
    )
    assert split.classes == (f"big {composed}",)
    assert split.train + split.val == ((f"{composed}/1.jpg", 0), (f"{composed}/2.jpg", 0))


@pytest.mark.parametrize("other", ["1/C0.JPG", "elsewhere/c0.jpg"])
def test_a_missing_image_is_told_with_the_one_that_is_like_it(other: str):
    split = make_split()
    members = {path for path, _ in split.train + split.val + split.test} - {"1/c0.jpg", "0/c0.jpg"}
    with pytest.raises(DataError, match=f"there is '{other}'"):
        check_images(split, [*(members - {"2/c0.jpg"}), other, "0/c0.jpg.txt"], "toy.zip")
