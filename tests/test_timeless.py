"""Snakemake's records without the clock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmn.errors import ArtifactError
from dmn.pipeline.timeless import rewrite, timeless

RECORD = {"rule": "evaluate", "shellcmd": "run", "log": ["a.log"], "params": ["1"], "code": "x"}


def test_records_of_two_runs_become_equal() -> None:
    first = timeless({**RECORD, "starttime": 1.5, "endtime": 2.5, "job_hash": 17})
    second = timeless({**RECORD, "starttime": 9.5, "endtime": 9.9, "job_hash": -3})
    assert first == second


def test_what_snakemake_decides_by_is_kept() -> None:
    kept = timeless({**RECORD, "starttime": 1.5, "endtime": 2.5, "job_hash": 17})
    assert {key: kept[key] for key in RECORD} == RECORD


def test_outputs_of_one_job_keep_one_job_number() -> None:
    assert timeless(RECORD)["job_hash"] == timeless({**RECORD, "endtime": 3})["job_hash"]
    assert timeless(RECORD)["job_hash"] != timeless({**RECORD, "shellcmd": "other"})["job_hash"]


def test_a_second_rewrite_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "@deep").mkdir()
    (tmp_path / "@deep" / "record").write_text(json.dumps(RECORD), encoding="utf-8")
    assert rewrite(tmp_path) == 1
    assert rewrite(tmp_path) == 0


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no records in .*gone; run snakemake first"):
        rewrite(tmp_path / "gone")
