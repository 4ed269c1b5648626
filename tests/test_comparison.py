"""Two runs side by side: keys, files, and the first of each phase that differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from audited import SPLIT, TABLE, TEXT, list_files, make_checkout
from dmn.artifacts import write_json, write_tensors, write_text
from dmn.audit.runs.comparison import compare, lines
from dmn.cli import main
from dmn.errors import ArtifactError, ConfigError
from dmn.pipeline import paths


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    before = make_checkout(tmp_path / "before")
    shutil.copytree(before, tmp_path / "after")
    return before, tmp_path / "after"


def test_a_run_and_its_copy_are_the_same(runs: tuple[Path, Path]) -> None:
    found = compare(*runs)
    assert found.identical
    assert list(lines(found)) == ["The same configuration and the same 4 files."]


def test_keys_files_and_the_first_difference_of_each_phase_are_named(
    runs: tuple[Path, Path],
) -> None:
    before, after = runs
    more = "data/features/digits/glyph/test.safetensors"
    write_text(after / paths.RUN_CONFIG, "views: {test: 4}\n")
    for name, value in ((TEXT, 2), (more, 3)):
        write_tensors(
            after / name, {"text": np.full((2, 3), value, np.float16)}, {"logit_scale": 100}
        )
    write_text(after / TABLE, "value,n\n1.000000,9\n2.000000,9\n3.100000,9\n")
    (after / SPLIT).unlink()
    list_files(after, [TEXT, TABLE, paths.RUN_CONFIG, more])
    assert list(lines(compare(before, after))) == [
        "1 keys of the configuration differ",
        "  views: None -> {'test': 4}",
        "0 files are the same, 3 differ",
        f"  {TEXT}: tensor 'text': 6 of 6 values differ, by at most 1",
        "  reports/config.yaml: line 1: '' -> 'views: {test: 4}'",
        "1 files are in the run before only",
        f"  {SPLIT}",
        "1 files are in the run after only",
        f"  {more}",
    ]


def test_many_files_are_counted_and_not_all_named(runs: tuple[Path, Path]) -> None:
    before, after = runs
    names = [f"data/splits/digits/split={seed}.json" for seed in range(30)]
    for name in names:
        write_json(after / name, {})
    list_files(after, [SPLIT, TEXT, TABLE, paths.RUN_CONFIG, *names])
    assert list(lines(compare(before, after)))[-1] == "  and 10 more"


def test_the_command_ends_with_one_where_runs_differ_and_writes_json(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = map(str, runs)
    main(["compare", before, after])
    write_text(runs[1] / paths.RUN_CONFIG, "shots: [1]\n")
    out = tmp_path / "found.json"
    with pytest.raises(SystemExit, match="1"):
        main(["compare", before, after, "--json", str(out)])
    assert json.loads(out.read_text())["keys"] == {"shots": [None, [1]]}
    assert "shots: None -> [1]" in capsys.readouterr().out


def test_a_folder_that_is_no_run_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the run's configuration .*/nothing/"):
        compare(runs[0], tmp_path / "nothing")
    (runs[1] / paths.MANIFEST).unlink()
    with pytest.raises(ArtifactError, match="cannot read reports/all"):
        compare(*runs)
