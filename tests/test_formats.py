"""Each form in which features are shared gives the same features, and the same accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dmn.datasets.formats import FORMATS, recognise
from dmn.datasets.formats.choice import backbone_files
from dmn.datasets.imported import ImportedFeatures, read_imported_split
from dmn.datasets.precomputed import zero_shot_accuracy
from dmn.datasets.registry import DatasetEntry, load_registry
from feature_caches import WHU, WRITERS, Cache, caches, needs_whu

CACHES = caches()
PROMPTS = {"zlap": "text", "ecalp": "text", "stata": "text"}


def names_below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def entry_of(folder: Path, classes: int, **features: object) -> DatasetEntry:
    """Return the entry of all files below a folder."""
    files = {name: {"name": name, "role": "archive"} for name in names_below(folder)}
    facts = {"name": "mine", "title": "Mine", "kind": "features", "classes": classes}
    return DatasetEntry.model_validate({**facts, "files": files, "features": features})


def written(folder: Path, form: str) -> tuple[DatasetEntry, list[Path], dict[str, Cache]]:
    """Write a form's files for its backbones; return entry, files, and what was written."""
    _, writer, backbones, _ = WRITERS[form]
    mine = {name: CACHES[name] for name in backbones}
    for name, cache in mine.items():
        writer(folder, cache, name)
    entry = entry_of(folder, next(iter(mine.values())).classes)
    return entry, [folder / name for name in entry.files], mine


def expected_accuracy(cache: Cache, prompt: str = "averageprompt") -> float:
    """Return the share of right answers, by a plain loop over the test images."""
    features, labels = cache.parts["test"]
    text = cache.texts[prompt].astype(np.float64)
    right = 0
    for image, label in zip(features.astype(np.float64), labels, strict=True):
        scores = [image @ t / np.linalg.norm(t) for t in text]
        right += int(np.argmax(scores) == label)
    return 100 * right / len(labels)


def test_every_format_of_the_table_is_tested() -> None:
    assert {form for form, *_ in WRITERS.values()} == set(FORMATS)


@pytest.mark.parametrize("form", WRITERS)
def test_a_form_is_recognised_by_the_names_of_its_files(tmp_path: Path, form: str) -> None:
    written(tmp_path, form)
    name, found = recognise(names_below(tmp_path))
    assert name == WRITERS[form][0]
    assert len(found) == 1


@pytest.mark.parametrize("form", WRITERS)
def test_a_form_gives_the_features_that_were_written(tmp_path: Path, form: str) -> None:
    entry, files, mine = written(tmp_path, form)
    pooled = form == "rs_transclip"
    found = sorted(backbone_files(entry))
    assert len(found) == len(mine)
    split = read_imported_split(entry, files)
    for backbone, cache in zip(found, mine.values(), strict=True):
        opened = ImportedFeatures(entry, files, backbone, split.classes)
        assert set(opened.parts) == WRITERS[form][3]
        for part in opened.parts:
            rows = opened.rows(part)
            features, labels = cache.parts[part]
            order = np.argsort(labels, kind="stable") if part == "train" else slice(None)
            assert np.array_equal(rows.features[:, 0], features[order]), (form, part)
            assert rows.labels.tolist() == labels[order].tolist()
            assert rows.features.dtype == np.float16
            assert split.part(part)[0] == (f"{'all' if pooled else part}/0000000", labels[order][0])


@pytest.mark.parametrize("form", WRITERS)
def test_a_form_gives_the_accuracy_that_was_written(tmp_path: Path, form: str) -> None:
    entry, files, mine = written(tmp_path, form)
    for backbone, cache in zip(sorted(backbone_files(entry)), mine.values(), strict=True):
        opened = ImportedFeatures(entry, files, backbone)
        test = opened.rows("test")
        text = opened.text(PROMPTS.get(form, "averageprompt"))
        assert text.features.shape == (cache.classes, test.features.shape[-1])
        found = zero_shot_accuracy(test.features, test.labels, text.features)
        assert found == pytest.approx(expected_accuracy(cache), abs=1e-9)


def test_the_prompt_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    entry, files, mine = written(tmp_path, "clip_benchmark")
    (cache,) = mine.values()
    opened = ImportedFeatures(entry, files, "ViT-L-14-openai")
    for prompt, text in cache.texts.items():
        assert np.array_equal(opened.text(prompt).features, text)


ACCURACY = {
    ("CLIP-RN50", "averageprompt"): "71.54",
    ("CLIP-ViT-B-32", "averageprompt"): "81.29",
    ("CLIP-ViT-L-14", "averageprompt"): "85.47",
    ("CLIP-RN50", "a_satellite_photo_of_a"): "69.5",
    ("CLIP-ViT-B-32", "a_satellite_photo_of_a"): "76.6",
    ("CLIP-ViT-L-14", "a_satellite_photo_of_a"): "85.2",
}


@needs_whu
@pytest.mark.parametrize(("backbone", "prompt"), ACCURACY)
def test_the_real_features_answer_as_is_known_of_them(backbone: str, prompt: str) -> None:
    entry = load_registry()["whu_rs19"]
    files = [WHU / name for name in entry.files if (WHU / name).exists()]
    opened = ImportedFeatures(entry, files, backbone)
    text = opened.text(prompt).features
    parts = [opened.rows(part) for part in opened.parts]
    features = np.concatenate([part.features for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    assert len(labels) == 1005
    known = ACCURACY[backbone, prompt]
    decimals = len(known.partition(".")[2])
    assert f"{zero_shot_accuracy(features, labels, text):.{decimals}f}" == known


@needs_whu
def test_the_real_parts_are_fixed_and_apart() -> None:
    entry = load_registry()["whu_rs19"]
    split = read_imported_split(entry, [p for n in entry.files if (p := WHU / n).exists()])
    assert [len(split.part(part)) for part in ("train", "val", "test")] == [380, 0, 625]
    assert np.bincount([label for _, label in split.train]).tolist() == [20] * 19
    assert split.classes[6] == "football field"
    assert split.train[0][0].startswith("all/")
