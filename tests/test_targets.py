"""Which files a configuration asks for."""

from __future__ import annotations

import json

from dmn.pipeline.configuration import load_run as load
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


def test_a_new_seed_changes_no_job_parameter() -> None:
    names = ("seeds", "shots", "model")
    before = Targets(load({"seeds": {"split": [0], "order": [0]}})).keys(*names)
    after = Targets(load({"seeds": {"split": [0, 1], "order": [0, 1]}})).keys(*names)
    assert before == after


def test_a_job_sees_its_own_backbone_only() -> None:
    other = {"model": "RN50-quickgelu", "pretrained": "openai"}
    config = load({"encoders": {"glyph": {}, "RN50": other}})
    values = json.loads(Targets(config).keys(backbone="glyph"))
    assert list(values["encoders"]) == ["glyph"]


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
