"""Reading and writing files: whole or not at all, the same bytes, errors that name the file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dmn.artifacts import (
    atomic,
    read_json,
    read_rows,
    read_tensor_metadata,
    read_tensors,
    sha256,
    write_json,
    write_rows,
    write_tensors,
    write_text,
)
from dmn.errors import ArtifactError, OutputError


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "value.txt"
    write_text(file, "old")
    with pytest.raises(RuntimeError), atomic(file) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError("stop")
    assert file.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["value.txt"]


def test_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    a, b = np.arange(3.0), np.ones((2, 2), np.float16)
    write_tensors(tmp_path / "one", {"a": a, "b": b}, {"x": 1, "y": 2})
    write_tensors(tmp_path / "two", {"b": b, "a": a}, {"y": 2, "x": 1})
    assert sha256(tmp_path / "one") == sha256(tmp_path / "two")


def test_tensors_and_facts_come_back(tmp_path: Path) -> None:
    write_tensors(tmp_path / "t", {"a": np.eye(2)[:, ::-1]}, {"ids": ["x", "y"]})
    np.testing.assert_array_equal(read_tensors(tmp_path / "t")["a"], np.eye(2)[:, ::-1])
    assert read_tensor_metadata(tmp_path / "t") == {"ids": ["x", "y"]}


def test_rows_are_written_with_six_decimals(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.csv", pd.DataFrame({"value": [1 / 3], "n": [2]}))
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == "value,n\n0.333333,2\n"


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "")
    (tmp_path / "b").write_text("", encoding="utf-8")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("read", [read_json, read_rows, read_tensors, read_tensor_metadata, sha256])
def test_a_missing_file_is_named_with_the_command_that_makes_it(read, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read .*gone.* make it with: snakemake"):
        read(tmp_path / "gone")


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (read_json, "is not JSON"),
        (read_rows, "is not a table"),
        (read_tensors, "is not a whole safetensors file"),
        (read_tensor_metadata, "is not a whole safetensors file"),
    ],
)
def test_a_corrupt_file_is_named_with_the_remedy(read, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactError, match=f"{message}.*delete it and run again"):
        read(tmp_path / "file")


def test_a_folder_in_the_way_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write .*taken.value.json: "):
        write_json(tmp_path / "taken" / "value.json", {})
