"""A folder of images becomes a data set: split, entry and configuration, with nothing copied."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from awkward_images import grey_pixels, png16, saved, turned
from dmn.cli import main
from dmn.datasets.archives.listing import files_below
from dmn.datasets.download import Transfer
from dmn.datasets.images import open_images, read_split
from dmn.datasets.registry import load_registry
from dmn.pipeline.configuration import load_run
from dmn.pipeline.targets import Targets
from dmn.schema import read_yaml
from mirror import fetch_dataset, picture

BIRDS = {"ant hill": 20, "café": 21, "猫": 22}


def folder_of(root: Path, counts: Mapping[str, int], ending: str = "JPG") -> Path:
    """Write numbered images, all different, into folders."""
    number = 0
    for name, count in counts.items():
        for i in range(count):
            path = root / name / f"{i}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture(len(name), number))
            number += 1
    return root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are run in, beside that of the images."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path


def said_by(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(["new-dataset", *words])
    return " ".join(capsys.readouterr().out.split())


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one line of a refusal, which leaves nothing behind."""
    before = sorted(files_below(Path.cwd()))
    with pytest.raises(SystemExit) as ended:
        main(["new-dataset", *words])
    assert ended.value.code == 2
    assert sorted(files_below(Path.cwd())) == before
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_class_folders_become_a_data_set_without_a_copy(home: Path, capsys) -> None:
    folder = folder_of(home / "My Birds (1)", BIRDS)
    said = said_by(capsys, str(folder))
    made = {"config/my_birds_1.yaml", "config/registry.yaml", "data/manual/my_birds_1/split.json"}
    assert set(files_below(Path.cwd())) == made
    assert "│ all 3 classes │ 32 │ 12 │ 19 │" in said
    split = json.loads(Path("data/manual/my_birds_1/split.json").read_text())
    assert split["test"][0][1:] == [0, "ant hill"]
    assert split["test"][-1][1:] == [2, "猫"]
    entry = load_registry("config/registry.yaml")["my_birds_1"]
    assert entry.files["images.json"].folder == str(folder)
    assert entry.upright


def test_what_was_made_is_read_through_the_pipeline(home: Path, capsys) -> None:
    folder = folder_of(home / "birds", BIRDS)
    said_by(capsys, str(folder))
    config = load_run(read_yaml("config/birds.yaml"), "config/birds.yaml")
    assert config.encoders["ViT-B-16"].model == "ViT-B-16-quickgelu"
    assert config.encoders["ViT-B-16"].pretrained == "openai"
    assert config.shots == [1, 2, 4, 8]
    targets = Targets(config)
    entry = targets.entries["birds"]
    got = Path("data/download/birds")
    fetch_dataset(entry, got, Transfer(Path("data/manual"), progress=False))
    files = [got / file.name for file in targets.files("birds")]
    split = read_split(entry, files, Path("scratch"))
    assert split.classes == tuple(BIRDS)
    archive = open_images(entry, files, Path("scratch"))
    for path, label in split.train + split.val + split.test:
        assert path.startswith(f"{split.classes[label]}/")
        assert archive.read(path) == (folder / path).read_bytes()


def test_folders_of_parts_stay_parts_and_a_folder_inside_is_named_relatively(
    home: Path, capsys
) -> None:
    counts = {f"{part}/{name}": 3 for part in ("train", "valid", "test") for name in ("a", "b")}
    folder_of(Path("pictures/birds"), counts)
    said = said_by(capsys, "pictures/birds", "--as", "mine")
    assert "│ all 2 classes │ 6 │ 6 │ 6 │" in said
    entry = load_registry("config/registry.yaml")["mine"]
    assert entry.files["images.json"].folder == "pictures/birds"


def test_names_in_decomposed_letters_are_found_on_the_disk(home: Path, capsys) -> None:
    apart = unicodedata.normalize("NFD", "café")
    folder = folder_of(home / "birds", {apart: 4, "b": 4})
    said_by(capsys, str(folder))
    entry = load_registry("config/registry.yaml")["birds"]
    got = Path("data/download/birds")
    fetch_dataset(entry, got, Transfer(Path("data/manual"), progress=False))
    files = [got / name for name in entry.files]
    split = read_split(entry, files, Path("scratch"))
    assert split.classes == ("b", "café")
    assert open_images(entry, files, Path("scratch")).read(split.test[-1][0])


def test_odd_and_unreadable_files_are_told_before_anything_is_computed(home: Path, capsys) -> None:
    folder = folder_of(home / "birds", BIRDS)
    twin = (folder / "ant hill/0.JPG").read_bytes()
    extra = {
        "café/twin.jpg": twin,
        "café/bad.png": b"hello",
        "café/cut.jpg": twin[:300],
        "café/deep.png": png16(grey_pixels().astype(np.uint16) * 257, 0),
        "café/phone.jpg": turned(6, "JPEG"),
        "café/plain.webp": saved(np.full((40, 40, 3), 7, np.uint8), "WEBP", lossless=True),
        "café/clear.png": saved(np.full((40, 40, 4), 7, np.uint8), "PNG"),
        "café/phone.heic": b"x",
        "loose.jpg": picture(0, 999),
        "notes.txt": b"x",
        "Thumbs.db": b"x",
        "lost/bad.png": b"hello",
    }
    for name, content in extra.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "bare").mkdir()
    said = said_by(capsys, str(folder))
    for words in (
        "left out: café/bad.png is not a whole image",
        "left out: café/cut.jpg is not a whole image",
        "class folders without an image that can be read: bare, lost",
        "left out: images in no class folder: 1 (loose.jpg)",
        "left out: files called like no image that is read: 2 (notes.txt, café/phone.heic)",
        "equal images under several classes, of which at most one is right: ant hill/0.JPG = ",
        "images of one colour: 2 (café/clear.png, café/plain.webp)",
        "images smaller than 32 pixels: 2 (café/deep.png, café/phone.jpg)",
        "images turned as their EXIF says: 1 (café/phone.jpg)",
        "images of more than 8 bits a channel, of which the upper 8 are used: 1 (café/deep.png)",
        "images with transparency, which is ignored: 1 (café/clear.png)",
    ):
        assert words in said
    assert "Thumbs.db" not in said
    split = Path("data/manual/birds/split.json").read_text()
    assert not any(name in split for name in ("bad", "cut", "loose", "notes", "heic"))


def test_an_image_in_training_and_test_is_told(home: Path, capsys) -> None:
    folder = folder_of(home / "birds", {"train/a": 2, "train/b": 2, "test/a": 2, "test/b": 2})
    (folder / "test/a/0.JPG").write_bytes((folder / "train/a/0.JPG").read_bytes())
    said = said_by(capsys, str(folder))
    assert (
        "equal images in several parts, so that the test is not of unseen images: "
        "test/a/0.JPG = train/a/0.JPG"
    ) in said
    assert "under several classes" not in said


def test_too_few_images_for_k_are_told_with_the_classes(home: Path, capsys) -> None:
    said = said_by(capsys, str(folder_of(home / "birds", {"a": 40, "b": 8, "c": 7})))
    assert "too few training images for 8, 16 shots: 8 need 8 of each class; fewer have" in said
    assert "b (4), c (4)" in said
    assert read_yaml("config/birds.yaml")["shots"] == [1, 2, 4]


def test_one_image_is_kept_for_validation_where_no_part_is(home: Path, capsys) -> None:
    counts = {f"{part}/{name}": 4 for part in ("train", "test") for name in ("a", "b")}
    said = said_by(capsys, str(folder_of(home / "birds", counts)))
    assert "4 need 5 of each class, one of them for validation, as there is no" in said
    assert read_yaml("config/birds.yaml")["shots"] == [1, 2]


def test_test_images_alone_are_a_zero_shot_data_set(home: Path, capsys) -> None:
    said_by(capsys, str(folder_of(home / "birds", {"test/a": 3, "test/b": 3})))
    assert read_yaml("config/birds.yaml")["settings"] == ["zero_shot"]
    assert load_registry("config/registry.yaml")["birds"].training == ()


def test_numbers_and_equal_names_of_classes_are_told(home: Path, capsys) -> None:
    said = said_by(capsys, str(folder_of(home / "birds", {"0": 3, "Cat_x": 3, "cat x": 3})))
    assert "classes called by numbers, which prompts would speak: 0" in said
    assert "classes of one name, which text cannot tell apart: Cat x, cat x" in said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model", "RN50", "--pretrained", "cc12m"], {"RN50-cc12m": "cc12m"}),
        (["--model", "RN50", "--checkpoint", "my weights.pt"], {"my-weights": "my weights.pt"}),
    ],
)
def test_other_weights_are_one_option(options, expected, home: Path, capsys) -> None:
    Path("my weights.pt").write_bytes(b"x")
    said_by(capsys, str(folder_of(home / "birds", BIRDS)), *options)
    config = load_run(read_yaml("config/birds.yaml"), "birds.yaml")
    encoders = {name: e.pretrained or e.checkpoint for name, e in config.encoders.items()}
    assert encoders == expected
    assert config.backbones == list(expected)


def test_a_second_data_set_goes_beside_the_first(home: Path, capsys) -> None:
    for name in ("first", "second"):
        said_by(capsys, str(folder_of(home / name, BIRDS)))
    assert {"first", "second"} <= load_registry("config/registry.yaml").keys()


def test_an_earlier_data_set_is_replaced_only_when_asked(home: Path, capsys) -> None:
    folder = folder_of(home / "birds", BIRDS)
    said_by(capsys, str(folder))
    assert "choose another name, or --replace" in refused(capsys, str(folder))
    folder_of(folder, {"new": 3})
    said_by(capsys, str(folder), "--replace")
    assert load_registry("config/registry.yaml")["birds"].classes == 4


def test_links_odd_names_and_single_images_make_a_data_set(home: Path, capsys) -> None:
    stored = folder_of(home / "stored", {"it's {0}": 1, "c|d": 1, ".hidden": 2})
    (stored / "c|d/9.jpg").symlink_to("nowhere")
    (stored / "c|d/folder.jpg").mkdir()
    folder = home / "2024"
    folder.mkdir()
    for path in stored.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "again").symlink_to(folder)
    said = said_by(capsys, str(folder))
    assert "left out: c|d/9.jpg cannot be read: No such file" in said
    assert "fewer have c|d (0), it's {0} (0)" in said
    config = load_run(read_yaml("config/2024.yaml"), "config/2024.yaml")
    assert config.datasets == ["2024"]
    assert config.settings == ["zero_shot"]
    split = json.loads(Path("data/manual/2024/split.json").read_text())
    assert split["test"] == [["c|d/0.JPG", 0, "c|d"], ["it's {0}/0.JPG", 1, "it's {0}"]]


def test_mistakes_are_one_line_and_leave_nothing(home: Path, capsys) -> None:
    folder = str(folder_of(home / "birds", BIRDS))
    one = str(folder_of(home / "one", {"images/a": 1, "images/b": 1}))
    (home / "x.zip").write_bytes(b"PK")
    (home / "鳥").mkdir()
    empty, flat, alone, texts = (home / name for name in ("empty", "flat", "alone", "texts"))
    empty.mkdir()
    folder_of(flat, {"": 3})
    folder_of(alone, {"a": 3})
    for name in ("a", "b"):
        (texts / name).mkdir(parents=True)
        (texts / name / "0.txt").write_text("x")
        (home / "bad" / name).mkdir(parents=True)
        (home / "bad" / name / "0.jpg").write_bytes(b"x")
    for words, expected in (
        ([str(home / "none")], "none is not a folder; name the one that holds"),
        ([str(home / "x.zip")], "x.zip is not a folder"),
        ([str(home / "birds/café/0.JPG")], "0.JPG is not a folder; name the one that holds"),
        ([str(empty)], "empty has no folder with images where the folders of classes are due"),
        ([str(flat)], "flat has no folder with images where the folders of classes are due"),
        ([str(alone)], "alone has only the folder 'a' with images"),
        ([str(texts)], "texts has no folder with images"),
        ([str(home / "bad")], "bad can be read, 2 in all; a/0.jpg is not a whole image"),
        ([one], "one has only the folder 'images' with images where the folders of classes"),
        ([str(home / "鳥")], "gives no name; add --as NAME"),
        ([folder, "--as", "Birds"], "'Birds' cannot be a data set's name"),
        ([folder, "--as", "digits"], "'digits' is a data set of this project"),
        ([folder, "--checkpoint", "x.pt"], "name a model of open_clip's with one of --checkpoint"),
        ([folder, "--model", "RN50"], "with one of --checkpoint FILE and --pretrained TAG"),
        ([folder, "--model", "RN50", "--checkpoint", "x.pt"], "there is no checkpoint x.pt"),
        (
            [folder, "--model", "embedded", "--pretrained", "x"],
            "the embedded model is trained here; leave pretrained, checkpoint out",
        ),
        (
            [folder, "--model", "ViT-B-33", "--checkpoint", "x.pt"],
            "--model: open_clip has no model 'ViT-B-33'; did you mean 'ViT-B-32'",
        ),
    ):
        assert expected in refused(capsys, *words)
