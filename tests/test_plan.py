"""What a configuration will download, store, compute and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmn.cli import build
from dmn.costs.plan import BROUGHT, amount, plan
from dmn.datasets.registry import load_registry
from dmn.errors import ConfigError
from dmn.pipeline.asked import Asked
from dmn.pipeline.configuration import load_run
from dmn.pipeline.run import count_jobs
from dmn.pipeline.targets import Targets
from dmn.schema import read_yaml

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "config" / "paper.yaml"


def paper(**changes):
    return load_run({**read_yaml(PAPER), **changes})


def test_the_paper_brings_imagenet_and_downloads_the_rest() -> None:
    found = plan(paper())
    brought = {row["file"] for row in found["files"] if row["source"] == BROUGHT}
    assert brought == {
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
        "ILSVRC2012_devkit_t12.tar.gz",
    }
    assert {row["dataset"] for row in found["datasets"]} == set(paper().datasets)
    assert found["totals"]["download_bytes"] > 50e9


def test_features_take_two_bytes_a_number() -> None:
    changes = {"datasets": ["imagenet_a"], "backbones": ["RN50"]}
    (row,) = plan(paper(**changes))["datasets"]
    assert row["encoded_images"] == 7500 * 32
    assert row["feature_bytes"] == (7500 * 32 + 200) * 1024 * 2


def test_disk_counts_brought_files_and_expanded_copies() -> None:
    by_name = {row["dataset"]: row for row in plan(paper())["datasets"]}
    imagenet, dtd = by_name["imagenet"], by_name["dtd"]
    assert imagenet["download_bytes"] < 10_000_000 < imagenet["disk_bytes"]
    archive = load_registry()["dtd"].files["dtd-r1.0.1.tar.gz"].bytes
    assert dtd["disk_bytes"] - dtd["download_bytes"] == archive


def test_shots_and_validation_images_count_for_each_split() -> None:
    changes = {"datasets": ["dtd"], "backbones": ["ViT-B-16"], "shots": [1, 16]}
    (row,) = plan(paper(**changes))["datasets"]
    assert row["encoded_images"] == 1692 * 32 + 3 * 47 * (16 * 16 + 4 * 32)


def test_shifts_count_only_where_a_study_reads_them() -> None:
    changes = {"datasets": ["imagenet_a"], "corruptions": {"kinds": ["noise"], "severities": [1]}}
    without, with_shifts = (
        plan(paper(**changes, studies=studies))["totals"]["encoded_images"]
        for studies in ({"main": {}}, {"main": {}, "shift": {}})
    )
    assert with_shifts == 2 * without


def test_zero_shot_settings_do_not_ask_for_training_images() -> None:
    found = plan(paper(datasets=["imagenet"], settings=["zero_shot"]))
    assert "ILSVRC2012_img_train.tar" not in {row["file"] for row in found["files"]}
    assert found["totals"]["brought_bytes"] < 10e9


def test_hours_follow_from_views_and_rate() -> None:
    found = plan(paper(datasets=["imagenet_a"]), rate=100)
    assert found["encoder_hours"] == pytest.approx(2 * 7500 * 32 / 100 / 3600, abs=0.01)


def test_unknown_models_are_named() -> None:
    config = paper(encoders={"RN50": {"model": "RN49"}, "ViT-B-16": {"model": "ViT-B-16"}})
    with pytest.raises(
        ConfigError,
        match=r"encoders\.RN50\.model: open_clip has no model 'RN49'; did",
    ):
        Targets(config)


def test_amounts_are_read_by_people() -> None:
    assert [amount(n) for n in (0, 21814, 2568145, 147897477120, 1264900000000)] == [
        "-",
        "22 kB",
        "2.6 MB",
        "147.9 GB",
        "1.3 TB",
    ]


def run_plan(*arguments: str) -> None:
    parsed = build(["plan"]).parse_args(["plan", "--no-jobs", *arguments])
    parsed.main(parsed)


def test_the_command_prints_tables_and_json(capsys) -> None:
    run_plan("--config", str(PAPER), "datasets=[dtd, imagenet]")
    text = capsys.readouterr().out
    assert "dtd-r1.0.1.tar.gz" in text
    assert "data/manual/<data set>/" in text
    run_plan("--json")
    assert json.loads(capsys.readouterr().out)["datasets"][0]["dataset"] == "digits"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["datasets"], "'datasets' is not KEY=VALUE"),
        (["dataset=[dtd]"], "unknown key 'dataset'"),
        (["--images-per-second", "0"], "give above 0"),
    ],
)
def test_unusable_arguments_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_plan(*arguments)


EMPTY = ("--snakefile", str(ROOT / "Snakefile"), "--directory")


@pytest.mark.slow
def test_the_papers_dry_run_plans_more_than_a_thousand_jobs(tmp_path: Path) -> None:
    by_rule = count_jobs(Asked(str(PAPER)), options=(*EMPTY, str(tmp_path)))
    assert sum(by_rule.values()) > 1000
    assert by_rule["evaluate"] == 15 * 2 * 3 * 8


@pytest.mark.slow
def test_a_configuration_that_snakemake_refuses_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'dataset'"):
        count_jobs(Asked(str(PAPER), {"dataset": ["dtd"]}), options=(*EMPTY, str(tmp_path)))
