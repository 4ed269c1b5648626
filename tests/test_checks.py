"""What is refused when a run is planned, before a job has begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from dmn.errors import ConfigError, DataError, DmnError, FeatureError
from dmn.pipeline.configuration import load_run
from dmn.pipeline.targets import Targets
from feature_caches import Cache, make_cache, write_plain, write_rs_transclip, write_tip_adapter
from test_formats import names_below

SHOTS = {"training": [{"shots": [1, 2, 4], "learning_rate": 1.0e-3, "epochs": 2}]}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def brought(name: str = "mine", **facts: Any) -> dict[str, Any]:
    """Return the entry of what lies in data/manual/<name>."""
    files = {file: {} for file in names_below(Path("data/manual") / name)}
    return {"title": name, "kind": "features", "classes": 5, "files": files, **facts}


def targets(entries: dict[str, Any], **values: Any) -> Targets:
    Path("registry.yaml").write_text(yaml.safe_dump({"datasets": entries}))
    base = {"datasets": list(entries), "download": {"registry": "registry.yaml"}, "shots": [1]}
    return Targets(load_run({**base, **values}))


def two_backbones(name: str = "mine") -> None:
    for seed, backbone in enumerate(("RN50", "ViT-B-32")):
        cache = make_cache(0, dimension=24)
        cache.texts = make_cache(seed, dimension=24).texts
        write_plain(Path("data/manual") / name, cache, backbone)


def test_a_data_set_of_features_has_several_backbones() -> None:
    two_backbones()
    found = targets({"mine": brought(**SHOTS)}, backbones=["RN50", "ViT-B-32"])
    assert found.cells == [("mine", "RN50"), ("mine", "ViT-B-32")]
    assert found.encoders == []
    assert len([row for row in found.evaluation_rows("main") if "/mine/" in row]) == 2
    own = [Path(file).name for file in found.archives("mine", backbone="RN50")]
    assert sorted(own) == [
        "test.npz",
        "text_a_satellite_photo_of_a.npz",
        "train.safetensors",
        "val.npz",
    ]
    assert all("/RN50/" in file for file in found.archives("mine", backbone="RN50"))


def test_each_data_set_takes_the_backbones_that_it_has() -> None:
    two_backbones()
    values = {"datasets": ["mine", "digits"], "backbones": ["glyph", "RN50"]}
    found = targets({"mine": brought(**SHOTS)}, **values)
    assert found.cells == [("mine", "RN50"), ("digits", "glyph")]
    assert found.encoders == ["glyph"]
    assert {row.split("/")[3] for row in found.evaluation_rows("shift")} == {"digits"}
    assert {row.split("/")[3] for row in found.evaluation_rows("main")} == {"digits", "mine"}


def test_training_images_are_not_asked_for_where_nothing_is_trained() -> None:
    two_backbones()
    found = targets({"mine": brought()}, backbones=["RN50"])
    assert not [file for file in found.archives("mine") if "train" in file]


def test_the_text_of_the_prompt_that_is_asked_for_is_read() -> None:
    two_backbones()
    entry, prompts = brought(**SHOTS), {"text": "averageprompt"}
    found = targets({"mine": entry}, backbones=["RN50"], prompts=prompts)
    assert "data/download/mine/RN50/text_averageprompt.npz" in found.archives("mine")
    with pytest.raises(DataError, match="mine has no text 'cupl'; known: a_satellite_photo_of_a, "):
        targets({"mine": entry}, backbones=["RN50"], prompts={"text": "cupl"}).archives("mine")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbones": ["RN5"]}, "'RN5' .* no data set has features of that name; did you mean"),
        (
            {"backbones": ["glyph"]},
            "mine has no features of backbone 'glyph'; .*known: RN50, ViT-B",
        ),
        ({"backbones": ["RN50", "glyph"]}, "'glyph' serves none of the data sets mine"),
        (
            {"backbones": ["RN50"], "studies": {"shift": {}}},
            "studies.shift .* needs shifts, and no data set of the configuration has any",
        ),
    ],
)
def test_what_features_cannot_serve_is_refused_by_name(values, message: str) -> None:
    two_backbones()
    with pytest.raises(ConfigError, match=message):
        targets({"mine": brought(**SHOTS)}, **values)


def test_studies_that_nobody_named_are_those_that_can_be_served() -> None:
    two_backbones()
    found = targets({"mine": brought(**SHOTS)}, backbones=["RN50"])
    assert "shift" not in found.config.studies
    assert {"main", "order", "sensitivity"} <= set(found.config.studies)
    assert "shift" in load_run({}).studies
    assert "shift" not in load_run({"corruptions": {"kinds": []}}).studies
    with pytest.raises(ConfigError, match="studies.shift .* corruptions.kinds"):
        load_run({"corruptions": {"kinds": []}, "studies": {"shift": {}}})


def test_a_checkpoint_that_is_not_there_is_named() -> None:
    encoders = {"mine": {"model": "RN50", "checkpoint": "weights/mine.pt"}}
    with pytest.raises(ConfigError, match="encoders.mine.checkpoint: no file weights/mine.pt"):
        Targets(load_run({"backbones": ["mine"], "encoders": encoders}))


def cache_of(**changes: np.ndarray) -> Cache:
    cache = make_cache(dimension=24)
    features, labels = cache.parts["test"]
    cache.parts["test"] = changes.get("features", features), changes.get("labels", labels)
    return cache


@pytest.mark.parametrize(
    ("cache", "values", "message"),
    [
        (cache_of(), {"shots": [1, 8]}, "has 4 training images, 8 are needed"),
        (cache_of(features=np.ones((30, 9), np.float16)), {}, "feature dimensions differ"),
        (cache_of(labels=np.arange(30)), {}, "label 5 of row 5 must be 0 to 4"),
        (cache_of(), {"entry": {"classes": 6}}, "one-hot with 6 classes"),
        (cache_of(), {"entry": {"sizes": {"test": 31}}}, "has 30 test, the registry says 31"),
    ],
)
def test_features_that_are_there_are_checked_when_planned(cache, values, message: str) -> None:
    write_tip_adapter(Path("data/manual/mine"), cache, "RN50")
    entry = brought(**SHOTS, **values.pop("entry", {}))
    found = targets({"mine": entry}, backbones=["RN50"], **values)
    with pytest.raises(DmnError, match=message) as told:
        found.check_present()
    assert "\n" not in str(told.value)


def test_features_that_fit_pass_and_missing_ones_wait_for_their_download() -> None:
    write_tip_adapter(Path("data/manual/mine"), cache_of(), "RN50")
    found = targets({"mine": brought(**SHOTS)}, backbones=["RN50"], shots=[1, 4])
    found.check_present()
    torch.save(torch.ones(3), "data/manual/mine/test_l.pt")
    with pytest.raises(FeatureError, match="test_l.pt: labels"):
        found.check_present()
    Path("data/manual/mine/val_f.pt").unlink()
    found.check_present()


def test_a_cache_without_validation_images_serves_fewer_shots() -> None:
    cache = cache_of()
    del cache.parts["val"]
    write_tip_adapter(Path("data/manual/mine"), cache, "RN50")
    targets({"mine": brought(**SHOTS)}, backbones=["RN50"], shots=[1, 2]).check_present()
    with pytest.raises(DataError, match="4 training images, 5 are needed"):
        targets({"mine": brought(**SHOTS)}, backbones=["RN50"], shots=[4]).check_present()


def test_parts_that_leave_nothing_to_test_are_refused() -> None:
    write_rs_transclip(Path("data/manual/mine"), cache_of(), "RN50")
    parts = {"features": {"parts": {"train": 6}}}
    with pytest.raises(DataError, match="parts takes 6 and leaves none to test"):
        targets({"mine": brought(**SHOTS, **parts)}, backbones=["CLIP-RN50"]).check_present()
