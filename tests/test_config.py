"""The configuration: what it refuses and how it says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmn.config import Config, from_argument, load
from dmn.config.writing import generated
from dmn.errors import ConfigError
from dmn.pipeline.configuration import load_run
from dmn.schema import merge, read_yaml
from dmn.seeds import seed_range

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("path", ["config/demo.yaml", "config/schema.json"])
def test_the_generated_files_are_what_the_model_says(path: str) -> None:
    fix = "run: dmn config --write"
    assert (ROOT / path).read_text(encoding="utf-8") == generated(load_run({}))[path], fix


def test_the_demo_file_holds_the_defaults() -> None:
    assert load_run(read_yaml(ROOT / "config/demo.yaml")) == load_run({})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, "unknown key 'modle' in run.yaml; did you mean 'model'"),
        ({"model": {"lenght": 3}}, "unknown key 'model.lenght' in run.yaml; did you mean 'length'"),
        ({"model": {"length": 0}}, "model.length = 0 in run.yaml: input should be greater"),
        ({"model": {"readout": "mean"}}, "model.readout = 'mean'.*'similarity'"),
        ({"settings": ["few"]}, "settings.0 = 'few'"),
        ({"seeds": {"split": [-1]}}, "seeds.split.0 = -1"),
        ({"seeds": {"split": []}}, "seeds.split"),
        ({"seeds": {"order": ["0-3", 2]}}, "seeds.order = .* seed 2 stands in two entries"),
        ({"seeds": {"order": ["3-1"]}}, "range '3-1' ends before it begins"),
        (
            {"seeds": {"order": ["first"]}},
            "seeds.order.0 = 'first' .*'first' is not a seed or a range",
        ),
        ({"shots": [0]}, "shots.0 = 0"),
        ({"backbones": ["vit"]}, "'vit' .* has no entry in encoders"),
        ({"studies": {"maim": {}}}, "no study 'maim' .* did you mean 'main'"),
        (
            {"studies": {"main": {"checkpoint": 3}}},
            "unknown key 'checkpoint' in run.yaml, studies.main; did you mean 'checkpoints'",
        ),
        ({"numerics": {"dtype": "half"}}, "numerics.dtype = 'half'"),
        ({"corruptions": {"kinds": ["nois"]}}, "unknown corruption 'nois'; did you mean 'noise'"),
        ({"encoders": {"glyph": {"batch": 8}}}, "unknown key 'encoders.glyph.batch' in run.yaml"),
        (
            {"encoders": {"glyph": {"checkpoint": "a.pt"}}},
            "encoders.glyph = .* the embedded model is trained here",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_run(values, "run.yaml")


def test_keys_given_as_json_are_all_that_a_job_knows() -> None:
    config = from_argument(json.dumps({"model": {"length": 7}, "shots": [2]}))
    assert (config.model.length, config.shots) == (7, [2])
    with pytest.raises(ConfigError, match="Model.beta was not given to this job"):
        _ = config.model.beta
    with pytest.raises(ConfigError, match="Config.views was not given to this job"):
        _ = config.views
    assert Config().model.beta == load({}).model.beta


def test_given_keys_are_checked_like_any_others() -> None:
    with pytest.raises(ConfigError, match="model.length = 0 in --config: input should be greater"):
        from_argument(json.dumps({"model": {"length": 0}}))


def test_a_configuration_that_is_not_json_is_refused() -> None:
    with pytest.raises(ConfigError, match="--config is not JSON"):
        from_argument("{model: }")


def test_a_configuration_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="cannot read configuration nowhere.yaml"):
        from_argument("nowhere.yaml")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    file = tmp_path / "hostile.yaml"
    file.write_text("model: !!python/object/apply:os.system ['true']\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"hostile.yaml is not YAML"):
        read_yaml(file)


def test_mappings_merge_and_lists_are_replaced() -> None:
    assert merge({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}


def test_an_order_entry_is_a_seed_or_a_range() -> None:
    assert list(seed_range("7")) == [7]
    assert list(seed_range("2-4")) == [2, 3, 4]


def test_the_schema_says_bounds_and_units() -> None:
    schema = json.loads((ROOT / "config/schema.json").read_text(encoding="utf-8"))
    length = schema["$defs"]["Model"]["properties"]["length"]
    assert length["minimum"] == 1
    assert "slots of a class" in length["description"]
