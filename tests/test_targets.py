"""Which files a configuration asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmn.datasets.registry import RemoteFile
from dmn.errors import FeatureError
from dmn.pipeline.configuration import load_run as load
from dmn.pipeline.reads import identity
from dmn.pipeline.targets import Targets


def test_a_new_split_seed_adds_files_and_changes_none() -> None:
    few = Targets(load({"seeds": {"split": ["0-1"]}})).data()
    more = Targets(load({"seeds": {"split": ["0-1", 2]}})).data()
    assert set(few) < set(more)
    assert all("split=2" in name or "splits=2" in name for name in set(more) - set(few))


def test_an_entry_of_splits_is_one_job_that_reads_all_of_its_splits() -> None:
    targets = Targets(load({"seeds": {"split": ["0-1"]}, "studies": {"main": {}}}))
    assert targets.evaluation_rows("main") == [
        "data/evaluation/main/digits/glyph/splits=0-1/orders=0-9.csv"
    ]
    inputs = targets.evaluation_inputs("main", "digits", "glyph", "0-1", "0-9")
    assert inputs["train"] == [
        f"data/features/digits/glyph/train,split={seed}.safetensors" for seed in (0, 1)
    ]


def test_a_new_order_entry_adds_files_and_changes_none() -> None:
    few = Targets(load({"seeds": {"order": ["0-9"]}})).data()
    more = Targets(load({"seeds": {"order": ["0-9", 10]}})).data()
    assert set(few) < set(more)
    assert all("orders=10" in name for name in set(more) - set(few))


def test_a_job_sees_its_own_backbone_only() -> None:
    other = {"model": "RN50-quickgelu", "pretrained": "openai"}
    config = load({"encoders": {"glyph": {}, "RN50": other}})
    values = json.loads(Targets(config).keys("test_features", backbone="glyph"))
    assert list(values["encoders"]) == ["glyph"]


def test_a_job_is_given_the_facts_that_it_reads_and_no_address() -> None:
    targets = Targets(load({"datasets": ["dtd"]}))
    facts = json.loads(targets.facts("text_features", "dtd"))
    assert set(facts) == {"name", "title", "kind", "classes", "templates"}
    facts = json.loads(targets.facts("test_features", "dtd"))
    assert {"layout", "sizes", "augmix"} <= set(facts)
    assert not {"licence", "templates", "training"} & set(facts)
    assert not [key for file in facts["files"].values() for key in file if "url" in key]


def test_test_images_do_not_depend_on_archives_of_training_images_or_sentences() -> None:
    targets = Targets(load({"datasets": ["imagenet"], "prompts": {"kind": "both"}}))
    names = {Path(name).name for name in targets.archives("imagenet", "archive", tested=True)}
    assert names == {"ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"}
    (sentences,) = targets.archives("imagenet", "prompts")
    assert "CuPL" in sentences


def test_a_file_without_a_checksum_is_known_by_its_address() -> None:
    targets = Targets(load({"datasets": ["digits", "sun397"]}))
    known = json.loads(targets.identity("digits", "digits.zip"))
    assert known["sha256"]
    assert "urls" not in known
    plain = RemoteFile(name="a.zip", role="archive", urls=("https://a.b/a.zip",), bytes=7)
    assert identity(plain)["urls"] == ["https://a.b/a.zip"]


def test_features_in_no_known_form_are_refused_before_any_job(tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    entry = "{title: M, kind: features, classes: 3, files: {a.npz: }, features: {format: zlab}}"
    registry.write_text(f"datasets: {{mine: {entry}}}")
    config = load({"datasets": ["mine"], "download": {"registry": str(registry)}})
    with pytest.raises(FeatureError, match="no format 'zlab'; did you mean 'zlap'"):
        Targets(config)


def test_zero_shot_settings_do_not_ask_for_imagenets_training_archive() -> None:
    archive = "data/download/imagenet/ILSVRC2012_img_train.tar"
    few_shot = Targets(load({"datasets": ["imagenet"]}))
    zero_shot = Targets(load({"datasets": ["imagenet"], "settings": ["zero_shot"]}))
    assert archive in few_shot.data()
    assert not [name for name in zero_shot.data() if "train" in name or "val," in name]


def test_zero_shot_settings_keep_validation_images_that_come_with_the_test_images() -> None:
    names = Targets(load({"datasets": ["dtd"], "settings": ["zero_shot"]})).data()
    assert [name for name in names if "/val,split=0" in name]


def test_prompts_are_fetched_only_where_they_are_spoken() -> None:
    silent, spoken = (
        Targets(load({"datasets": ["dtd"], "prompts": {"kind": kind}})).archives("dtd")
        for kind in ("templates", "both")
    )
    assert set(spoken) - set(silent) == {"data/download/dtd/CuPL_prompts_dtd.json"}


def test_zero_shot_data_sets_ask_for_no_shots() -> None:
    config = load({"datasets": ["imagenet_a"], "settings": ["zero_shot"]})
    assert not [name for name in Targets(config).data() if "train" in name or "memory" in name]
