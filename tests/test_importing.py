"""`dmn import`: a folder becomes a data set, and what is said of it is right."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from dmn.config import load
from dmn.datasets.registry import load_registry
from dmn.errors import ConfigError, DataError, DmnError, FeatureError
from dmn.pipeline.new_dataset.importing import doubts, import_folder, main
from dmn.schema import read_yaml
from feature_caches import (
    WRITERS,
    caches,
    make_cache,
    save,
    write_clip_benchmark,
    write_tip_adapter,
)
from test_formats import PROMPTS, expected_accuracy

CACHES = caches()


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(folder: Path, form: str) -> list[str]:
    """Write a form's files for its backbones, which are returned."""
    _, writer, backbones, _ = WRITERS[form]
    for name in backbones:
        writer(folder, CACHES[name], name)
    return backbones


@pytest.mark.parametrize("form", WRITERS)
def test_a_folder_of_each_form_becomes_a_data_set(form: str) -> None:
    backbones = write(Path("cache"), form)
    found, entry, seen = import_folder(Path("cache"), "mine")
    assert found.form == WRITERS[form][0]
    for name, one in zip(sorted(backbones), sorted(seen, key=lambda s: s.backbone), strict=True):
        cache, prompt = CACHES[name], PROMPTS.get(form, "averageprompt")
        assert one.accuracy[prompt] == pytest.approx(expected_accuracy(cache), abs=1e-9)
        assert one.dimension == cache.parts["test"][0].shape[-1]
        assert one.parts["test"] == (len(cache.parts["test"][1]), 1)
    config = load(read_yaml("config/mine.yaml"))
    assert config.backbones == [one.backbone for one in seen]
    written = load_registry(config.download.registry)["mine"]
    assert written.classes == entry.classes == CACHES[backbones[0]].classes
    assert set(written.files) == set(found.files)
    assert all((Path("data/manual/mine") / name).is_symlink() for name in written.files)
    assert written.few_shot == ("train" in WRITERS[form][3])
    assert (config.settings == ["zero_shot"]) == (not written.few_shot)


def test_one_of_several_data_sets_is_named(tmp_path: Path) -> None:
    for name in ("dtd", "pets"):
        write_tip_adapter(Path("caches") / name, CACHES["RN50"], "RN50")
    with pytest.raises(FeatureError, match=r"features of 2 data sets \(dtd, pets\); name one with"):
        import_folder(Path("caches"), "mine")
    with pytest.raises(FeatureError, match="no data set 'pet'; did you mean 'pets'"):
        import_folder(Path("caches"), "mine", only="pet")
    found, _, _ = import_folder(Path("caches"), "mine", only="pets", backbone="RN50")
    assert set(found.files) == {f"pets/{p.name}" for p in Path("caches/pets").iterdir()} - {
        f"pets/{kind}_{k}shots.pt" for kind in ("keys", "values") for k in (1, 2)
    }
    assert len(found.unused) == 4 + 12


def test_labels_that_count_from_1_are_noticed() -> None:
    cache = make_cache()
    cache.parts = {part: (f, labels + 1) for part, (f, labels) in cache.parts.items()}
    write_clip_benchmark(Path("cache"), cache, "RN50")
    _, entry, seen = import_folder(Path("cache"), "mine")
    assert entry.features.first_label == 1
    assert "labels count from 1; the entry says first_label: 1" in doubts(entry, seen)
    assert seen[0].accuracy["averageprompt"] == pytest.approx(expected_accuracy(make_cache()))


def test_text_in_another_order_is_doubted() -> None:
    cache = make_cache(classes=10, images=120)
    cache.texts = {name: np.roll(text, 1, axis=0) for name, text in cache.texts.items()}
    write_clip_benchmark(Path("cache"), cache, "RN50")
    _, entry, seen = import_folder(Path("cache"), "mine")
    assert re.search(r"near chance: do labels and text have", " ".join(doubts(entry, seen)))


def test_shots_are_drawn_where_there_is_one_part_only() -> None:
    write(Path("cache"), "stata")
    _, entry, seen = import_folder(Path("cache"), "mine", train=3)
    assert entry.features.parts is not None
    assert seen[0].per_class["train"] == 3
    assert read_yaml("config/mine.yaml")["shots"] == [1, 2]


def test_names_that_the_registry_cannot_take_are_made_plain() -> None:
    write_clip_benchmark(Path("my cache (2)"), make_cache(), "RN50")
    Path("my cache (2)/.hidden.pt").write_bytes(b"")
    found, _, _ = import_folder(Path("my cache (2)").parent, "mine")
    assert all(name.startswith("my-cache-2-/") for name in found.files)


def test_an_entry_is_added_beside_others_and_comments_stay() -> None:
    write(Path("cache"), "stata")
    Path("config").mkdir()
    other = "  other: {title: Other, kind: features, classes: 3}  # mine too\n"
    Path("config/registry.yaml").write_text(f"# my data\ndatasets:\n{other}")
    import_folder(Path("cache"), "mine")
    with pytest.raises(ConfigError, match="registry.yaml has a data set 'mine'.*--replace"):
        import_folder(Path("cache"), "mine")
    import_folder(Path("cache"), "more")
    import_folder(Path("cache"), "mine", train=2, replace=True)
    text = Path("config/registry.yaml").read_text()
    assert text.startswith(f"# my data\ndatasets:\n{other}")
    datasets = yaml.safe_load(text)["datasets"]
    assert list(datasets) == ["other", "more", "mine"]
    assert datasets["mine"]["features"]["parts"] == {"train": 2}


@pytest.mark.parametrize(
    ("name", "message"),
    [("My Set", "cannot be a data set's name; use a-z"), ("dtd", "is a data set of this project")],
)
def test_a_name_that_cannot_be_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        import_folder(Path(), name)


def without(form: str, *patterns: str) -> None:
    write(Path("cache"), form)
    for pattern in patterns:
        for path in list(Path("cache").rglob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def garble(pattern: str, array: np.ndarray) -> None:
    for path in Path("cache").rglob(pattern):
        save(path, array)


@pytest.mark.parametrize(
    ("form", "patterns", "message"),
    [
        ("tip_adapter", ["text*"], "has no text features.*put text.pt or text.npy beside"),
        ("tip_adapter", ["test_*", "val_*"], "no test features"),
        ("zlap", ["*_targets.npy"], "no features in a known form among"),
        ("zlap", ["*.npy"], r"cache holds no file of features \(.npy, .*\), and nothing else"),
        ("stata", ["test_l.pt"], "no features in a known form among test_f.pt, text_features.pt;"),
        ("sus_x", ["whu_*"], "no features in a known form among sus_lc_photo_whu_f_mRN50.pt, "),
        ("ecalp", ["RN", "VIT"], "holds no file of features"),
    ],
)
def test_a_folder_that_lacks_something_is_refused(form: str, patterns, message: str) -> None:
    without(form, *patterns)
    with pytest.raises((DataError, FeatureError), match=message):
        import_folder(Path("cache"), "mine")
    assert not Path("config").exists()
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("pattern", "array", "message"),
    [
        (
            "test_f.pt",
            np.full((9, 4), np.nan, np.float16),
            "dimensions differ: .*'test': 4",
        ),
        ("test_l.pt", np.full(3, 2), r"they must be integers \[\d+\]"),
        ("text*.pt", np.ones((5, 3), np.float16), "feature dimensions differ"),
        ("keys_4shots.pt", np.ones((7, 9), np.float16), "feature dimensions differ"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(pattern: str, array, message: str) -> None:
    without("tip_adapter")
    garble(pattern, array)
    with pytest.raises(DmnError, match=message) as told:
        import_folder(Path("cache"), "mine")
    assert "\n" not in str(told.value)
    assert not Path("config").exists()


def change_suffixes(folder: Path) -> None:
    for path in list(folder.rglob("*.pt")):
        path.rename(path.with_suffix(".PT"))


def link_all(folder: Path) -> None:
    """Put a folder of links in the place of a folder, with a circle in it."""
    folder.rename("stored")
    for path in list(Path("stored").rglob("*.pt")):
        link = folder / path.relative_to("stored")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    (folder / "again").symlink_to(folder.resolve())


def move_to_a_folder_of_a_strange_name(folder: Path) -> None:
    folder.rename("stored")
    folder.mkdir()
    Path("stored").rename(folder / "Café (2) 猫")


@pytest.mark.parametrize("change", [change_suffixes, link_all, move_to_a_folder_of_a_strange_name])
def test_a_folder_as_people_keep_it_gives_the_same_accuracy(change) -> None:
    write(Path("cache"), "stata")
    (Path("cache") / "notes.txt").write_text("mine")
    change(Path("cache"))
    _, _, (seen,) = import_folder(Path("cache"), "mine")
    assert seen.accuracy["text"] == pytest.approx(expected_accuracy(CACHES["ViT-B-32"]), abs=1e-9)
    config = load(read_yaml("config/mine.yaml"))
    assert set(load_registry(config.download.registry)["mine"].files) == {
        path.relative_to("data/manual/mine").as_posix()
        for path in Path("data/manual/mine").rglob("*.pt")
    }


@pytest.mark.parametrize("name", ["2024", "on", "null", "1_000"])
def test_a_name_that_yaml_takes_for_something_else_is_a_name(name: str) -> None:
    write(Path("cache"), "stata")
    import_folder(Path("cache"), name)
    import_folder(Path("cache"), name, train=2, replace=True)
    config = load(read_yaml(f"config/{name}.yaml"))
    assert config.datasets == [name]
    assert load_registry(config.download.registry)[name].features.parts.train == 2


def put(name: str, content: bytes) -> Callable[[], None]:
    def prepare() -> None:
        (Path("cache") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("cache") / name).write_bytes(content)

    return prepare


def linked_to_nothing() -> None:
    (Path("cache") / "val_f.pt").symlink_to("nowhere")


def twice() -> None:
    for name in ("a b", "a-b"):
        write(Path("cache") / name, "stata")


def a_folder_in_its_place() -> None:
    (Path("cache") / "test_l.pt").unlink()
    (Path("cache") / "test_l.pt").mkdir()


def one_class() -> None:
    shutil.rmtree("cache")
    _, writer, _, _ = WRITERS["stata"]
    writer(Path("cache"), make_cache(classes=1), "RN50")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"
MISTAKES: dict[str, tuple[Callable[[], None], dict[str, object], str]] = {
    "a Git LFS pointer": (put("test_f.pt", LFS), {}, "test_f.pt is a Git LFS pointer and not"),
    "a web page": (put("test_l.pt", b"<!DOCTYPE html>"), {}, "test_l.pt is a web page and not"),
    "an empty file": (put("text_features.pt", b""), {}, "text_features.pt is an empty file"),
    "a link to nothing": (linked_to_nothing, {}, "val_f.pt is a link to a file that is not there"),
    "a folder called like a file": (a_folder_in_its_place, {}, "no features in a known form among"),
    "two files of one name": (twice, {"only": "a-b"}, "would both be called a-b/test_f.pt; rename"),
    "one class": (one_class, {}, "text_features.pt is the text of 1 class; two or more are needed"),
    "no image drawn": (put("a", b""), {"train": 0}, "--train 0: draw one image of each class or"),
    "more drawn than there are": (put("a", b""), {"train": 99}, "parts takes 99 and leaves none"),
    "another form": (put("a", b""), {"form": "zlap"}, "cache holds no features as zlap .ZLaP's"),
    "no folder": (lambda: shutil.rmtree("cache"), {}, "cache is not a folder; name the one that"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(name: str) -> None:
    write(Path("cache"), "stata")
    prepare, options, message = MISTAKES[name]
    prepare()
    with pytest.raises(DmnError, match=message) as told:
        import_folder(Path("cache"), "mine", **options)
    assert "\n" not in str(told.value)
    assert not Path("config").exists()
    assert not Path("data").exists()


@pytest.mark.parametrize("suffixes", [[], [".plk", ".csv"]])
def test_a_folder_without_features_is_told_with_what_is_in_it(suffixes: list[str]) -> None:
    Path("cache").mkdir()
    for suffix in suffixes:
        (Path("cache") / f"x{suffix}").write_bytes(b"x")
    with pytest.raises(FeatureError, match="but x.csv, x.plk$" if suffixes else "nothing else$"):
        import_folder(Path("cache"), "mine")


def test_the_command_says_what_it_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    from dmn.pipeline.new_dataset import importing

    write(Path("cache"), "sus_x")
    parser = argparse.ArgumentParser()
    importing.declare(parser)
    main(parser.parse_args(["cache", "--as", "mine"]))
    said = capsys.readouterr().out
    classes = CACHES["RN50"].classes
    assert f"SuS-X's files: {classes} classes" in said
    assert "Not used: 4 other files (sus_lc_photo_whu_f_mRN50.pt, " in said
    assert f"{expected_accuracy(CACHES['RN50']):.2f} %" in said
    assert "dmn run --config config/mine.yaml" in said
