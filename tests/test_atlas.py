"""The shift atlas: every layout from a local server to a split with groups, and its faults."""

from pathlib import Path

import numpy as np
import pytest

from atlas import COPIES, csv, make_atlas_mirror, npy
from dmn.datasets.download import Transfer
from dmn.datasets.layouts import build_split, open_archives
from dmn.datasets.layouts.pattern import expression
from dmn.datasets.registry import load_registry
from dmn.datasets.splits import Split
from dmn.encoders.prompts import read_templates
from dmn.errors import ConfigError, DataError
from dmn.pipeline.configuration import load_run
from dmn.pipeline.targets import Targets
from mirror import archive_bytes, fetch_dataset, picture, serve


def fetched(dataset: str, folder: Path):
    mirror = make_atlas_mirror(dataset, folder)
    (folder / "served").mkdir(exist_ok=True)
    with serve(mirror.served) as server:
        transfer = Transfer(mirror.manual, server.url, timeout=5, pause=0, progress=False)
        fetch_dataset(mirror.entry, folder / "got", transfer)
    return mirror.entry, folder / "got"


def split_of(dataset: str, folder: Path):
    """Return the entry, the split and the archive of a small copy."""
    entry, got = fetched(dataset, folder)
    archive = open_archives(entry, got, folder / "scratch")
    return entry, build_split(entry, got, archive), archive


def told(split: Split) -> list[tuple[str, ...]]:
    """Return of each test image its class and its groups."""
    values = zip(*split.groups.values(), strict=True) if split.groups else [()] * len(split.test)
    return [
        (split.classes[label], *own) for (_, label), own in zip(split.test, values, strict=True)
    ]


def test_every_entry_beyond_the_paper_has_a_small_copy():
    kinds = ("pattern", "table", "webdataset", "arrays")
    registry = load_registry()
    atlas = {n for n, entry in registry.items() if entry.layout and entry.layout.kind in kinds}
    assert atlas == COPIES.keys()


@pytest.mark.parametrize("dataset", COPIES)
def test_each_set_goes_from_a_server_to_pixels_and_groups(dataset: str, tmp_path: Path):
    entry, split, archive = split_of(dataset, tmp_path)
    assert (split.train, split.val) == ((), ())
    assert len(split.test) == entry.sizes.test
    assert tuple(split.groups) == entry.groups
    for path, _ in split.test[:2]:
        assert archive.image(path).mode == "RGB"
    assert Split.from_json(split.to_json()) == split


def test_the_documented_table_is_the_registry():
    text = (Path(__file__).parents[1] / "docs/shifts.md").read_text(encoding="utf-8")
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    found = {cells[0].strip("|` "): cells[1:5] for cells in lines if len(cells) == 8}
    assert found.keys() == COPIES.keys()
    for name, (images, classes, groups, layout) in found.items():
        entry = load_registry()[name]
        assert images == (f"{entry.sizes.test:,}" if entry.sizes.test else "not fixed")
        assert classes == str(entry.classes)
        assert groups == (", ".join(entry.groups) or "none")
        assert layout == entry.layout.kind


@pytest.mark.parametrize("name", COPIES)
def test_each_entry_says_where_from_and_under_which_licence(name: str):
    entry = load_registry()[name]
    assert entry.licence
    assert entry.citation
    assert entry.homepage.startswith("https://")
    assert not entry.few_shot
    for file in entry.files.values():
        assert file.urls or file.manual
        assert file.expected_bytes > 0


def test_domains_are_the_folders_above_the_classes(tmp_path: Path):
    _, split, _ = split_of("pacs", tmp_path)
    assert split.classes == ("dog", "house")
    assert set(split.groups["domain"]) == {"art_painting", "cartoon", "photo", "sketch"}
    for (path, label), domain in zip(split.test, split.groups["domain"], strict=True):
        assert path.startswith(f"kfold/{domain}/{split.classes[label]}/")


def test_class_names_of_folders_have_spaces(tmp_path: Path):
    _, split, _ = split_of("office_home", tmp_path)
    assert split.classes == ("Alarm Clock", "Bed")


def test_a_published_list_says_which_images_of_domainnet_are_meant(tmp_path: Path):
    _, split, _ = split_of("domainnet_126", tmp_path)
    assert split.classes == ("tiger", "zebra")
    assert len(split.test) == 4 * 3
    assert set(split.groups["domain"]) == {"clipart", "painting", "real", "sketch"}


def test_imagenet_c_has_fifteen_kinds_in_five_severities_as_groups(tmp_path: Path):
    _, split, _ = split_of("imagenet_c", tmp_path)
    assert split.classes == ("tench", "goldfish")
    assert split.parent_classes == (0, 1)
    pairs = set(zip(split.groups["corruption"], split.groups["severity"], strict=True))
    kinds = ("defocus_blur", "jpeg_compression", "shot_noise", "fog")
    assert pairs == {(kind, str(severity)) for kind in kinds for severity in range(1, 6)}


def test_the_five_thousand_of_imagenet_c_are_those_of_the_list(tmp_path: Path):
    _, split, _ = split_of("imagenet_c_5k", tmp_path)
    assert {path.split("/", 2)[2] for path, _ in split.test} == {
        "n01440764/ILSVRC2012_val_00000000.JPEG",
        "n01443537/ILSVRC2012_val_00000001.JPEG",
    }


def test_cifar_c_has_its_severities_in_blocks_and_leaves_the_extra_kinds(tmp_path: Path):
    _, split, archive = split_of("cifar10_c", tmp_path)
    assert set(split.groups["corruption"]) == {"fog", "snow"}
    assert [label for _, label in split.test[:8]] == [0, 1, 1, 0] * 2
    for (path, _), severity in zip(split.test, split.groups["severity"], strict=True):
        assert archive.image(path).getpixel((0, 0))[0] == int(severity)


def test_svhn_calls_the_digit_zero_ten(tmp_path: Path):
    _, split, archive = split_of("svhn", tmp_path)
    called = [split.classes[label] for _, label in split.test]
    assert called[:2] + called[8:] == ["one", "two", "nine", "zero", "one", "zero"]
    assert [archive.image(path).getpixel((0, 0))[0] for path, _ in split.test] == [*range(12)]


def test_svhn_is_read_as_torchvision_reads_it(tmp_path: Path):
    from torchvision.datasets import SVHN

    _, split, archive = split_of("svhn", tmp_path)
    theirs = SVHN.__new__(SVHN)
    from scipy.io import loadmat

    content = loadmat(tmp_path / "got" / "test_32x32.mat")
    theirs.data = np.transpose(content["X"], (3, 2, 0, 1))
    theirs.labels = np.where(content["y"].ravel() == 10, 0, content["y"].ravel())
    theirs.transform = theirs.target_transform = None
    digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    for (path, label), (image, digit) in zip(split.test, theirs, strict=False):
        assert split.classes[label] == digits[int(digit)]
        np.testing.assert_array_equal(np.asarray(archive.image(path)), np.asarray(image))


def test_camelyon_keeps_the_test_hospital_and_its_slides(tmp_path: Path):
    _, split, _ = split_of("camelyon17", tmp_path)
    assert told(split) == [
        ("tumor tissue", "2", "10"),
        ("normal tissue", "2", "10"),
        ("tumor tissue", "2", "22"),
    ]
    # a patient's number has zeros in front
    assert split.test[0][0].startswith("patches/patient_004_node_4/patch_patient_004_node_4_x_")


def test_iwildcam_names_every_class_also_those_without_an_image(tmp_path: Path):
    _, split, _ = split_of("iwildcam", tmp_path)
    assert split.classes == ("agouti", "empty", "panthera onca")
    assert told(split) == [("panthera onca", "8"), ("empty", "9")]


def test_fmow_takes_region_and_year_from_its_tables(tmp_path: Path):
    _, split, _ = split_of("fmow", tmp_path)
    assert told(split) == [("zoo", "Europe", "2016"), ("airport", "", "2017")]
    assert [path for path, _ in split.test] == ["images/rgb_img_1.png", "images/rgb_img_2.png"]


def test_waterbirds_has_four_groups(tmp_path: Path):
    _, split, _ = split_of("waterbirds", tmp_path)
    groups = [f"bird {y}, background {place}" for y in (0, 1) for place in (0, 1)]
    assert told(split) == [
        (name, place, group)
        for (name, place), group in zip(
            [("landbird", "0"), ("landbird", "1"), ("waterbird", "0"), ("waterbird", "1")],
            groups,
            strict=True,
        )
    ]


def test_an_image_of_several_animals_is_left_out_of_terra_incognita(tmp_path: Path):
    _, split, _ = split_of("terra_incognita", tmp_path)
    assert [path.rpartition("/")[2] for path, _ in split.test] == ["a.jpg", "b.jpg"]
    assert told(split) == [("opossum", "38"), ("raccoon", "46")]


def test_gtsrb_reads_the_list_that_has_semicolons(tmp_path: Path):
    _, split, _ = split_of("gtsrb", tmp_path)
    assert [label for _, label in split.test] == [16, 1, 38]
    assert len(split.classes) == 43


def test_keys_that_come_again_in_another_shard_are_other_images(tmp_path: Path):
    _, split, _ = split_of("wds_camelyon17", tmp_path)
    assert split.classes == ("red fox", "blue whale")
    assert split.test[:4] == (
        ("test/0/s0000000.png", 0),
        ("test/0/s0000001.png", 1),
        ("test/0/s0000002.png", 0),
        ("test/1/s0000000.png", 0),
    )
    assert split.groups["hospital"][:4] == ("0", "1", "2", "10")


def test_templates_of_the_collection_become_ours(tmp_path: Path):
    _, got = fetched("objectnet", tmp_path)
    found = read_templates(got / "zeroshot_classification_templates.txt")
    assert found == ("a photo of a {}.", "a sketch of a {}.")


def test_a_shard_that_the_registry_lacks_is_told_with_the_line_to_write(tmp_path: Path):
    entry, got = fetched("pcam", tmp_path)
    (got / "test/nshards.txt").write_text("6\n")
    with pytest.raises(DataError, match=r'says 6 shards, the registry lists 4; .*"test/\{0..5\}'):
        build_split(entry, got, open_archives(entry, got, tmp_path / "scratch"))


def test_shards_that_nobody_counted_are_asked_for_before_a_run():
    config = {
        "datasets": ["objectnet"],
        "backbones": ["B"],
        "encoders": {"B": {"model": "ViT-B-16"}},
        "studies": {"main": {}},
    }
    with pytest.raises(ConfigError, match=r"objectnet: .*nshards.txt says how many shards"):
        Targets(load_run(config))


def test_a_range_of_files_stands_for_each(tmp_path: Path):
    registry = tmp_path / "mine.yaml"
    registry.write_text('datasets: {objectnet: {files: {"test/{0..2}.tar": {about_bytes: 7}}}}')
    found = load_registry(registry)["objectnet"]
    names = [file.name for file in found.by_role("archive")]
    assert names == ["test/0.tar", "test/1.tar", "test/2.tar"]
    assert all(file.urls[0].endswith(file.name) for file in found.files.values())


def test_a_corruption_alone_is_one_line_of_a_registry_file(tmp_path: Path):
    entry, got = fetched("imagenet_c", tmp_path)
    layout = entry.layout.model_copy(
        update={"select": {"corruption": ("fog",), "severity": ("5",)}}
    )
    one = entry.model_copy(
        update={"layout": layout, "sizes": entry.sizes.model_copy(update={"test": 4})}
    )
    split = build_split(one, got, open_archives(one, got, tmp_path / "scratch"))
    assert set(split.groups["corruption"]) == {"fog"}
    assert set(split.groups["severity"]) == {"5"}


def changed(folder: Path, dataset: str, file: str, content: dict[str, bytes]):
    """Return what building a split gives with another archive in the place of `file`."""
    entry, got = fetched(dataset, folder)
    (got / file).write_bytes(archive_bytes(file, content))
    return build_split(entry, got, open_archives(entry, got, folder / "scratch"))


@pytest.mark.parametrize(
    ("dataset", "file", "content", "words"),
    [
        ("pacs", "PACS.zip", {"PACS/photo/dog/1.jpg": b""}, "no image of pacs is below kfold as"),
        (
            "waterbirds",
            "waterbirds_v1.0.tar.gz",
            {"metadata.csv": csv("img_filename,label,split,place", "a.jpg,0,2,0")},
            "waterbirds: metadata.csv has no column 'y'",
        ),
        (
            "cifar10_c",
            "CIFAR-10-C.tar",
            {
                "CIFAR-10-C/fog.npy": npy(np.zeros((7, 32, 32, 3), np.uint8)),
                "CIFAR-10-C/labels.npy": npy(np.zeros(5, np.int64)),
            },
            "fog.npy has 7 images for 5 labels",
        ),
        (
            "cifar10_c",
            "CIFAR-10-C.tar",
            {
                "CIFAR-10-C/fog.npy": npy(np.zeros((5, 32, 32))),
                "CIFAR-10-C/labels.npy": npy(np.zeros(5, np.int64)),
            },
            r"holds float64 \(5, 32, 32\), not RGB images",
        ),
        (
            "wds_fmow",
            "test/0.tar",
            {"k.png": picture(0, 0), "k.cls": b"0", "k.npy": npy(np.zeros(2))},
            "k.npy is not the columns region, year, y",
        ),
        ("objectnet", "test/0.tar", {"k.png": picture(0, 0), "k.cls": b"cat"}, "holds b'cat'"),
        ("objectnet", "test/0.tar", {"k.png": picture(0, 0)}, "no file test/0/k.cls"),
    ],
)
def test_an_archive_of_another_form_is_named(
    dataset: str, file: str, content: dict[str, bytes], words: str, tmp_path: Path
):
    with pytest.raises(DataError, match=words):
        changed(tmp_path, dataset, file, content)


def test_pickles_in_arrays_are_refused(tmp_path: Path):
    content = {
        "CIFAR-10-C/fog.npy": npy(np.zeros((5, 32, 32, 3), np.uint8)),
        "CIFAR-10-C/labels.npy": npy(np.array([{}], dtype=object)),
    }
    with pytest.raises(DataError, match=r"labels.npy is not an array .*allow_pickle"):
        changed(tmp_path, "cifar10_c", "CIFAR-10-C.tar", content)


def test_a_pattern_keeps_groups_and_nothing_else():
    found = expression("{domain}/{class}/{image}").fullmatch("a (b)/c.d/e/f.jpg")
    assert found.groupdict() == {"domain": "a (b)", "class": "c.d"}
    assert expression("{class}_{_}.jpg").fullmatch("a_b_c.jpg")["class"] == "a_b"


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("{kind: pattern}", "layout pattern needs pattern"),
        ("{kind: table}", "layout table needs table"),
        ("{kind: pattern, pattern: '{domain}/{image}'}", "needs {class}"),
        ("{kind: arrays, pattern: '{corruption}.npy'}", "layout arrays needs labels"),
        ("{kind: webdataset}", "layout webdataset needs a file with role: names"),
    ],
)
def test_unusable_layouts_are_named(tmp_path: Path, layout: str, words: str):
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"datasets: {{mine: {{title: M, kind: images, classes: 2, layout: {layout},"
        " files: {a.zip: {manual: here}}}}"
    )
    with pytest.raises(ConfigError, match=words):
        load_registry(path)
