"""The stages' command lines: they find their inputs by name and fail in one line."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from dmn.artifacts import read_json, read_tensors, write_tensors
from dmn.cli import main
from dmn.config import Config
from dmn.datasets.splits import drawn_rows
from dmn.errors import ArtifactError
from dmn.evaluation.contract import sample_name, split_sample_name
from dmn.evaluation.inputs import Inputs, read_memory
from dmn.evaluation.shots import read_shots
from dmn.pipeline import paths
from dmn.stages.evaluation import provenance
from synthetic import study_data

STAGES = [
    "download",
    "encoder",
    "splits",
    "features",
    "memory",
    "projection",
    "evaluation",
    "reports",
]
CELL = {"dataset": "digits", "backbone": "glyph"}


@pytest.mark.parametrize("stage", ["download", "splits", "memory"])
def test_help_says_what_the_stage_does(stage: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "dmn", "stage", stage, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{stage}: " in run.stdout


def test_every_phase_has_its_rules_its_module_and_its_folder() -> None:
    root = Path(__file__).parent.parent
    for stage in STAGES:
        assert (root / f"workflow/rules/{stage}.smk").exists()
        assert (root / f"src/dmn/stages/{stage}.py").exists()
    folders = {str(value) for name, value in vars(paths).items() if name.isupper()}
    for stage in STAGES[:-1]:
        assert any(value.startswith(f"data/{stage}/") for value in folders), stage


def files(template: str, **lists: list[int]) -> list[str]:
    """Return a template's files as the rules list them, the last key running fastest."""
    keys = [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]
    return [paths.fill(template, **CELL, **values) for values in keys]


def test_inputs_of_one_split_are_its_own_and_those_of_none() -> None:
    train = files(paths.TRAIN_FEATURES, split=[1, 11])
    memory = files(paths.MEMORY, split=[1, 11], shots=[4, 16])
    first, second = Inputs("text", "test", "lists", train, memory=memory).by_split(2)
    assert first == Inputs("text", "test", "lists", train[:1], (), memory[:2], ())
    assert second.memory == memory[2:]
    assert second.files() == ["text", "test", "lists", train[1], *memory[2:]]


def test_inputs_that_splits_cannot_share_are_refused() -> None:
    with pytest.raises(ArtifactError, match="--memory has 3 files for 2 split seeds"):
        list(Inputs("text", "test", "lists", memory=["a", "b", "c"]).by_split(2))


def test_the_hash_of_inputs_does_not_depend_on_their_order(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in "abcd"]
    for name in names:
        Path(name).write_text(name)
    first = Inputs(*names[:3], images=names[3:])
    second = Inputs(names[2], names[0], names[3], images=[names[1]])
    assert first.sha256() == second.sha256()
    Path(names[3]).write_text("other")
    assert Inputs(*names[:2], names[3]).sha256() != first.sha256()


@pytest.mark.parametrize("views", [1, 4])
def test_rows_say_how_many_views_there_were_and_not_how_many_are_configured(
    tmp_path: Path, views: int
) -> None:
    names = [str(tmp_path / name) for name in "abc"]
    for name in names:
        Path(name).write_text(name)
    config = Config(views={"test": 16}, model={"view_share": 0.5})
    said = provenance(Inputs(*names), study_data(views=views), config)
    assert said["protocol"].startswith(f"views={views} share=0.5 ")


def test_a_memory_of_other_shots_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "memory.safetensors"
    write_tensors(path, {"memory": np.ones((2, 5, 3), np.float16)})
    assert read_memory(str(path), 4).shape == (2, 5, 3)
    with pytest.raises(ArtifactError, match="has 4 shots of a class, not 16"):
        read_memory(str(path), 16)


def test_samples_of_several_splits_share_a_file_under_names_of_their_own() -> None:
    assert split_sample_name(sample_name(12, "main/text/none")) == (12, "main/text/none")


def test_rows_of_each_k_point_into_the_union_of_all_draws() -> None:
    shots = {
        "train": {"1": [[7], [3]], "2": [[7, 5], [3, 9]]},
        "val": [[2, 4], [6]],
        "val_from": "val",
    }
    positions, rows, order, pool = drawn_rows(shots)
    assert positions == [3, 5, 7, 9]
    assert [[positions[i] for i in row] for row in rows["2"]] == [[7, 5], [3, 9]]
    assert (order, pool) == ([2, 6, 4], "val")


def _features(folder: Path) -> tuple[Path, Path]:
    draws = np.random.Generator(np.random.PCG64(0))
    views = draws.standard_normal((4, 2, 3)).astype(np.float16)
    write_tensors(folder / "text", {"text": np.eye(2, 3, dtype=np.float16)})
    facts = {"rows": {"2": [[3, 1], [0, 2]]}, "ids": list("abcd")}
    write_tensors(folder / "train", {"views": views, "labels": np.array([1, 0, 1, 0])}, facts)
    return folder / "text", folder / "train"


def test_a_memory_holds_text_then_plain_shots_in_the_order_drawn(tmp_path: Path) -> None:
    text, train = _features(tmp_path)
    out = tmp_path / "memory"
    arguments = ["--text", str(text), "--train", str(train), "--out", str(out), "--shots", "2"]
    main(["stage", "memory", *arguments])
    memory, views = read_tensors(out)["memory"], read_tensors(train)["views"]
    assert memory.shape == (2, 3, 3)
    np.testing.assert_array_equal(memory[0, 0], np.eye(2, 3)[0])
    np.testing.assert_array_equal(memory[0, 1:], views[[3, 1], 0])


def test_shots_that_were_not_drawn_are_named_with_the_key_to_change(tmp_path: Path) -> None:
    _, train = _features(tmp_path)
    with pytest.raises(ArtifactError, match="holds shots 2, not 8; add it to `shots`"):
        read_shots(str(train), 8)


def test_the_digits_take_the_way_of_any_data_set(tmp_path: Path) -> None:
    folder = tmp_path / "data/download/digits"
    run = [sys.executable, "-m", "dmn", "stage", "download", "file", "--dataset", "digits"]
    archive = folder / "digits.zip"
    subprocess.run([*run, "--file", "digits.zip", "--out", str(archive)], check=True)
    split = [sys.executable, "-m", "dmn", "stage", "splits", "lists", "--dataset", "digits"]
    out = tmp_path / "split.json"
    subprocess.run([*split, "--out", str(out), "--files", str(archive)], check=True)
    lists = read_json(out)
    assert [len(lists[part]) for part in ("train", "val", "test")] == [719, 539, 539]
