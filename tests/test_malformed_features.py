"""Each form of shared features, with each kind of fault: the right numbers, or one clear line."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from dmn.datasets.formats.rules import FeatureFiles, Stored
from dmn.errors import DmnError
from dmn.pipeline.new_dataset.importing import Seen, doubts, import_folder, look
from feature_caches import WRITERS, Cache, make_cache, save
from test_formats import PROMPTS, expected_accuracy

FORMS = list(WRITERS)
CLASSES, DIMENSION = 10, 24
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(form: str, cache: Cache | None = None) -> Cache:
    """Write a small cache in a form, of one backbone; return it."""
    cache = cache or make_cache(classes=CLASSES, dimension=DIMENSION, images=140)
    _, writer, backbones, _ = WRITERS[form]
    writer(Path("cache"), cache, backbones[0])
    return cache


def stored(role: str, form: str) -> tuple[Path, Stored]:
    """Return the file that holds the test images' features or labels, or the text, of a form."""
    found = look(Path("cache"))
    files: FeatureFiles = next(iter(found.backbones.values()))
    if role == "text":
        one = files.text[PROMPTS.get(form, "averageprompt")]
    else:
        parts = getattr(files, role)
        one = parts.get("test") or parts["all"]
    return found.files[one.file], one


def change(role: str, form: str, how: Change) -> Path:
    """Change an array of a written cache in place; return its file."""
    path, one = stored(role, form)
    if path.suffix == ".npy":
        np.save(path, how(np.load(path)))
    elif path.suffix == ".pt":
        held = torch.load(path, weights_only=True)
        if isinstance(held, dict):
            held[one.keys[0]] = torch.from_numpy(how(held[one.keys[0]].numpy()))
            torch.save(held, path)
        else:
            save(path, how(held.numpy()))
    else:
        arrays = dict(np.load(path)) if path.suffix == ".npz" else load_file(path)
        arrays[one.keys[0]] = how(arrays[one.keys[0]])
        if path.suffix == ".npz":
            np.savez(path, **arrays)
        else:
            save_file(arrays, path)
    return path


def imported(form: str, **options: Any) -> Seen:
    _, _, (seen,) = import_folder(Path("cache"), "mine", **options)
    return seen


def accuracy(form: str, **options: Any) -> float:
    return imported(form, **options).accuracy[PROMPTS.get(form, "averageprompt")]


def refusal(form: str, **options: Any) -> str:
    """Return the one line that refuses an import, which leaves nothing written."""
    with pytest.raises(DmnError) as told:
        imported(form, **options)
    line = str(told.value)
    assert "\n" not in line
    assert not Path("config").exists()
    assert not Path("data").exists()
    return line


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_precision_gives_the_same_accuracy(form: str, dtype: str) -> None:
    cache = write(form)
    for role in ("features", "text"):
        change(role, form, lambda array: array.astype(dtype))
    seen = imported(form)
    assert seen.dtype == dtype
    assert seen.accuracy[PROMPTS.get(form, "averageprompt")] == expected_accuracy(cache)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "how",
    [
        lambda labels: labels.astype(np.float32),
        lambda labels: labels.astype(np.int32),
        lambda labels: labels.astype(np.uint8),
        lambda labels: labels[:, None],
        lambda labels: np.eye(CLASSES, dtype=np.float16)[labels],
    ],
    ids=["floats", "int32", "uint8", "a column", "one-hot"],
)
def test_labels_in_any_form_give_the_same_accuracy(form: str, how: Change) -> None:
    cache = write(form)
    change("labels", form, how)
    assert accuracy(form) == expected_accuracy(cache)


@pytest.mark.parametrize("form", FORMS)
def test_labels_that_count_from_1_give_the_same_accuracy(form: str) -> None:
    cache = write(form)
    for part in ("train", "val", "test"):
        add_one(form, part)
    _, entry, seen = import_folder(Path("cache"), "mine")
    assert entry.features.first_label == 1
    assert seen[0].accuracy[PROMPTS.get(form, "averageprompt")] == expected_accuracy(cache)
    assert "labels count from 1; the entry says first_label: 1" in doubts(entry, seen)


def add_one(form: str, part: str) -> None:
    """Count the labels of a part from 1, where they are there and no one-hot rows."""
    found = look(Path("cache"))
    (files,) = found.backbones.values()
    part = "all" if part == "test" and "all" in files.labels else part
    if part not in files.labels:
        return
    one = files.labels[part]
    path = found.files[one.file]
    if path.suffix == ".npy":
        np.save(path, np.load(path) + 1)
    elif path.suffix == ".npz":
        arrays = dict(np.load(path))
        np.savez(path, **{**arrays, "labels": arrays["labels"] + 1})
    elif path.suffix == ".safetensors":
        arrays = load_file(path)
        save_file({**arrays, "labels": arrays["labels"] + 1}, path)
    else:
        held = torch.load(path, weights_only=True)
        if isinstance(held, dict) and held["labels"].ndim == 1:
            torch.save({**held, "labels": held["labels"] + 1}, path)
        elif not isinstance(held, dict) and held.ndim == 1:
            torch.save(held + 1, path)


@pytest.mark.parametrize("form", FORMS)
def test_text_that_lies_the_other_way_gives_the_same_accuracy(form: str) -> None:
    cache = write(form)
    change("text", form, lambda array: np.ascontiguousarray(array.T))
    assert accuracy(form) == expected_accuracy(cache)


@pytest.mark.parametrize("form", FORMS)
def test_square_text_is_refused_until_its_axes_are_said(form: str) -> None:
    cache = write(form, make_cache(classes=12, dimension=12, images=168))
    _, one = stored("text", form)
    axes = "D C" if form in ("ape", "zlap", "clip_benchmark", "sus_x") else "C D"
    if one.axes:
        assert accuracy(form) == expected_accuracy(cache)
    else:
        line = refusal(form)
        assert "text features are [12, 12], as many classes as dimensions" in line
        assert "--text-axes" in line
        assert accuracy(form, text_axes=axes) == expected_accuracy(cache)


@pytest.mark.parametrize("form", FORMS)
def test_text_in_another_order_is_doubted(form: str) -> None:
    cache = make_cache(classes=CLASSES, dimension=DIMENSION, images=140)
    cache.texts = {name: np.roll(text, 1, axis=0) for name, text in cache.texts.items()}
    write(form, cache)
    _, entry, seen = import_folder(Path("cache"), "mine")
    assert "near chance: do labels and text have their classes in the same order?" in " ".join(
        doubts(entry, seen)
    )


def with_names(path: Path, names: list[str]) -> None:
    """Add class names to a file that can hold them."""
    if path.suffix == ".npz":
        np.savez(path, **np.load(path), class_names=np.array(names))
    else:
        torch.save({**torch.load(path, weights_only=True), "class_names": names}, path)


@pytest.mark.parametrize("form", ["plain", "ecalp"])
def test_parts_that_name_their_classes_in_another_order_give_the_same_accuracy(form: str) -> None:
    cache = make_cache(classes=CLASSES, dimension=DIMENSION, images=140)
    turned = np.roll(np.arange(CLASSES), 3)
    right = expected_accuracy(cache)
    features, labels = cache.parts["train" if form == "ecalp" else "test"]
    place = np.empty(CLASSES, int)
    place[turned] = np.arange(CLASSES)
    cache.parts["train" if form == "ecalp" else "test"] = (features, place[labels])
    write(form, cache)
    path, _ = stored("features", form)
    if form == "plain":
        with_names(path, [cache.names[c] for c in turned])
        for text in path.parent.glob("text_*.npz"):
            with_names(text, cache.names)
    else:
        with_names(path, cache.names)
        with_names(path.parent / "few_shots" / path.name, [cache.names[c] for c in turned])
    assert accuracy(form) == right


def two_rows_of(value: float) -> Change:
    def changed(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[[3, 7]] = value
        return array

    return changed


REFUSED: dict[str, tuple[str, Change, str]] = {
    "another D": ("features", lambda a: a[:, :-1].copy(), "dimensions differ"),
    "images transposed": ("features", lambda a: np.ascontiguousarray(a.T), "dimensions differ"),
    "text of another D": ("text", lambda a: a[:, :-1][:-1].copy(), "feature dimensions differ"),
    "NaN rows": ("features", two_rows_of(np.nan), "feature at [3, 0] is not finite (2 such)"),
    "infinite rows": ("features", two_rows_of(np.inf), "feature at [3, 0] is not finite (2"),
    "rows of zeros": ("features", two_rows_of(0), "feature at [3, 0] is zero (2 such)"),
    "NaN text": ("text", two_rows_of(np.nan), "is not finite"),
    "integer features": ("features", lambda a: (9 * a).astype(np.int64), "not floating point"),
    "too few labels": ("labels", lambda a: a[:-1].copy(), "they must be integers ["),
    "fractions as labels": ("labels", lambda a: a + 0.5, "they must be integers ["),
    "negative labels": ("labels", lambda a: a - 1, "label -1 of row"),
    "labels beyond C": ("labels", lambda a: a + 2, f"must be 0 to {CLASSES - 1}"),
    "no rows": ("features", lambda a: a[:0].copy(), "features are float16 [0, 24]; they must be"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", REFUSED)
def test_a_fault_is_one_line_that_names_the_file(form: str, fault: str) -> None:
    write(form)
    role, how, words = REFUSED[fault]
    path = change(role, form, how)
    line = refusal(form)
    assert words in line
    # where parts or images and text differ among each other none of them is the culprit
    assert path.name in line or "dimensions differ" in line


class Hostile:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch hostile-was-here",)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("role", ["features", "labels", "text"])
def test_code_in_a_file_is_refused_and_not_run(form: str, role: str) -> None:
    write(form)
    path, one = stored(role, form)
    if path.suffix == ".pt":
        torch.save({one.keys[0]: Hostile()}, path)
        words = "holds more than tensors"
    elif path.suffix == ".npy":
        np.save(path, np.array([Hostile()], dtype=object), allow_pickle=True)
        words = "is not a plain .npy file"
    else:
        np.savez(path, **{one.keys[0]: np.array([Hostile()], dtype=object)})
        words = "is not an npz of plain arrays"
    line = refusal(form)
    assert path.name in line
    assert words in line
    assert not Path("hostile-was-here").exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("role", ["features", "labels", "text"])
def test_a_file_that_is_cut_off_is_one_line(form: str, role: str) -> None:
    write(form)
    path, _ = stored(role, form)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    line = refusal(form)
    assert path.name in line
    assert "not" in line


@pytest.mark.parametrize("form", FORMS)
def test_tensors_of_a_gpu_give_the_same_accuracy(form: str) -> None:
    cache = write(form)
    for path in Path("cache").rglob("*.pt"):
        as_of_a_gpu(path)
    assert accuracy(form) == expected_accuracy(cache)


def as_of_a_gpu(path: Path) -> None:
    """Write a file of tensors as one that was saved from a GPU: the pickle names the device."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"\3\0\0\0cpu", b"\6\0\0\0cuda:1"))
    assert b"cuda:1" in path.read_bytes()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", ["train", "val"])
def test_a_part_may_be_missing(form: str, part: str) -> None:
    cache = make_cache(classes=CLASSES, dimension=DIMENSION, images=140)
    right = expected_accuracy(cache)
    write(form, cache)
    (files,) = look(Path("cache")).backbones.values()
    if part not in files.features:
        return
    paths = look(Path("cache")).files
    for role in (files.features, files.labels):
        paths[role[part].file].unlink(missing_ok=True)
    for path in Path("cache").glob("*shots.pt" if part == "train" else "nothing"):
        path.unlink()
    seen = imported(form)
    assert part not in seen.parts
    assert seen.accuracy[PROMPTS.get(form, "averageprompt")] == right
