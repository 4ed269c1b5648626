"""Two runs side by side: keys, files, and the first of each phase that differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from audited import CODE, SPLIT, TABLE, TEXT, list_files, make_checkout, record
from dmn.artifacts import read_rows, write_json, write_tensors, write_text
from dmn.audit.commands import run
from dmn.audit.hashes import dvc
from dmn.audit.runs.accuracy import ANSWERS
from dmn.audit.runs.command import lines
from dmn.audit.runs.comparison import Comparison, compare
from dmn.audit.runs.metrics import metrics
from dmn.audit.runs.sides import Side, find_side
from dmn.audit.runs.surroundings import cause, packages, surroundings
from dmn.cli import main
from dmn.errors import ArtifactError, ConfigError
from dmn.pipeline import paths


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    before = make_checkout(tmp_path / "before")
    shutil.copytree(before, tmp_path / "after")
    return before, tmp_path / "after"


def compared(before: Path, after: Path) -> Comparison:
    return compare(Side("before", before), Side("after", after))


def test_a_run_and_its_copy_are_the_same(runs: tuple[Path, Path]) -> None:
    found = compared(*runs)
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
    assert list(lines(compared(before, after))) == [
        "1 key of the configuration differs",
        "  views: None -> {'test': 4}",
        "0 files are the same, 3 differ",
        f"  {TEXT}: tensor 'text': 6 of 6 values differ, by at most 1 (made from the same code, "
        "parameters and inputs)",
        "  reports/config.yaml: line 1: '' -> 'views: {test: 4}'",
        "1 file is in the run before only",
        f"  {SPLIT}",
        "1 file is in the run after only",
        f"  {more}",
    ]


def test_many_files_are_counted_and_not_all_named(runs: tuple[Path, Path]) -> None:
    before, after = runs
    names = [f"data/splits/digits/split={seed}.json" for seed in range(30)]
    for name in names:
        write_json(after / name, {})
    list_files(after, [SPLIT, TEXT, TABLE, paths.RUN_CONFIG, *names])
    assert list(lines(compared(before, after)))[-1] == "  and 10 more"


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
        compared(runs[0], tmp_path / "nothing")
    (runs[1] / paths.MANIFEST).unlink()
    with pytest.raises(ArtifactError, match="cannot read reports/all"):
        compared(*runs)


def test_why_the_first_file_differs_is_told_from_the_records(runs: tuple[Path, Path]) -> None:
    before, after = runs
    write_tensors(after / TEXT, {"text": np.zeros((2, 3), np.float16)}, {"logit_scale": 100})
    list_files(after, [SPLIT, TEXT, TABLE, paths.RUN_CONFIG])
    write_text(after / CODE, "draw = 2\n")
    record(after, TEXT, "features", [SPLIT, CODE], params=["'{\"shots\": [2]}'"])
    found = compared(before, after)
    assert found.cause == f"its parameters differ; source that differs: {CODE}"
    assert list(found.surroundings["source file"]) == [CODE]
    assert any(line.endswith(f"({found.cause})") for line in lines(found))
    assert cause(None, None) == "no record says why"


def test_locked_packages_and_the_versions_of_the_rows_are_compared(
    runs: tuple[Path, Path],
) -> None:
    before, after = runs
    write_text(before / "requirements.lock", "numpy==1.0 \\\n    --hash=sha256:0\ntorch==2.0\n")
    write_text(after / "requirements.lock", "numpy==1.1\ntorch==2.0\nrich==3.0\n")
    write_text(before / TABLE, "value,versions\n1,dmn 0.1; torch 2.0\n")
    write_text(after / TABLE, "value,versions\n1,dmn 0.1; torch 2.1\n")
    assert packages(before) == {"numpy": "1.0", "torch": "2.0"}
    found = surroundings(before, after, {}, {})
    assert found["locked package"] == {"numpy": ("1.0", "1.1"), "rich": (None, "3.0")}
    assert found["version"] == {"torch": ("2.0", "2.1")}
    assert not surroundings(before, before, {}, {})["locked package"]


def test_a_page_and_tables_are_written_equal_to_the_byte(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(runs[1] / paths.RUN_CONFIG, "shots: ['<b>']\n")
    for name in ("one", "two"):
        with pytest.raises(SystemExit, match="1"):
            main(["compare", *map(str, runs), "--out", str(tmp_path / name)])
    assert "no data/evaluation/main, which paired differences need" in capsys.readouterr().out
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["accuracy.csv", "differences.csv", "index.html"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    page = (tmp_path / "one/index.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<script" not in page
    table = read_rows(tmp_path / "one/differences.csv")
    assert table.to_dict("records") == [
        {"kind": "key", "name": "shots", "before": "None", "after": "['<b>']"}
    ]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository whose last commit recorded a run at the top and one named other."""
    top = make_checkout(tmp_path_factory.mktemp("recorded") / "checkout")
    other = make_checkout(top / "runs/other")
    write_text(other / "config.yaml", "shots: [2]\n")
    write_text(other / paths.RUN_CONFIG, "shots: [2]\n")
    list_files(other, [SPLIT, TEXT, TABLE, paths.RUN_CONFIG])
    answers = [f"{ANSWERS}/{name}.csv" for name in "ab"]
    for name in answers:
        write_text(top / name, f"{name}\n")
    list_files(top, [SPLIT, TEXT, TABLE, paths.RUN_CONFIG, *answers])
    outs = ["data/evaluation", "data/splits", "data/features", "reports", ".snakemake/metadata"]
    stage = {"cmd": "true", "outs": outs}
    write_text(top / "dvc.yaml", json.dumps({"stages": {"experiments": stage}}))
    stage["outs"] = outs[1:]
    write_text(other / "dvc.yaml", json.dumps({"stages": {"experiments": stage}}))
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    write_text(top / ".gitignore", "data\nreports\n.snakemake\n")
    for command in (
        ["git", "init", "--quiet"],
        dvc("init", "--quiet"),
        dvc("commit", "--force", "--quiet"),
        ["git", "add", "--all"],
        ["git", *identity, "commit", "--quiet", "--message=Record"],
    ):
        done = run(command, top)
        assert done.returncode == 0, done.stdout
    return top


def test_a_revision_is_compared_as_dvc_recorded_it(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded)
    write_text(TABLE, "value,n\n1.000000,9\n2.000000,9\n3.100000,9\n")
    files = [f"{ANSWERS}/{name}.csv" for name in "ab"]
    list_files(recorded, [SPLIT, TEXT, TABLE, paths.RUN_CONFIG, *files])
    found = compare(find_side("HEAD", tmp_path), find_side("demo", tmp_path))
    assert found.differing == (TABLE,)
    assert "3.1" in found.first[TABLE]
    assert found.cause == "made from the same code, parameters and inputs"


def test_all_answers_of_a_revision_are_fetched_though_some_are_there(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded)
    side = find_side("HEAD", tmp_path)
    side.bring([f"{ANSWERS}/a.csv"])
    assert [path.name for path in (side.folder / ANSWERS).iterdir()] == ["a.csv"]
    side.bring_below(ANSWERS)
    assert sorted(path.name for path in (side.folder / ANSWERS).iterdir()) == ["a.csv", "b.csv"]


def test_a_named_run_of_a_revision_is_found(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded)
    before, after = find_side("HEAD:other", tmp_path), find_side("other", tmp_path)
    assert compare(before, after).identical
    assert compare(find_side("HEAD", tmp_path), before).keys == {"shots": (None, [2])}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("othre", "othre is no folder, no run .* and no revision; did you mean 'other'"),
        ("--all", "is no folder, no run of this checkout and no revision"),
        ("HEAD:none", "revision HEAD recorded no reports/all at runs/none; commit dvc.lock"),
    ],
)
def test_a_word_that_is_no_run_is_refused(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, message: str
) -> None:
    monkeypatch.chdir(recorded)
    with pytest.raises(ArtifactError, match=message):
        find_side(word, tmp_path)


def test_a_run_that_was_not_made_whole_is_refused_with_the_command(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded)
    part = recorded / "runs/part"
    write_text(part / "config.yaml", "shots: [2]\n")
    with pytest.raises(ArtifactError, match="part has no reports/all.*: dmn run --name part$"):
        find_side("part", tmp_path)
    with pytest.raises(ArtifactError, match="name a run's own folder$"):
        find_side(str(tmp_path), tmp_path)
    shutil.rmtree(part)


def test_metrics_are_the_accuracies_of_main(tmp_path: Path) -> None:
    assert metrics(tmp_path) == {}
    write_text(
        tmp_path / "reports/studies/main/main.csv",
        "dataset,backbone,setting,shots,component,weights,mean\n"
        "digits,glyph,few_shot,4,fused,oracle,81.234\ndigits,glyph,zero_shot,0,text,none,70\n",
    )
    assert metrics(tmp_path) == {
        "digits": {
            "glyph": {
                "few_shot": {"4": {"fused oracle": 81.23}},
                "zero_shot": {"0": {"text": 70.0}},
            }
        }
    }
