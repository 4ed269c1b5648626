"""The documents tell the truth: every example runs as it stands, every file is there."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import yaml
from snakemake.cli import get_argument_parser

from development.leaderboard import parser as leaderboard
from development.variations.__main__ import parser as variations
from dmn import cli
from dmn.config import Config
from dmn.datasets.registry import load_registry
from dmn.pipeline.configuration import load_run
from dmn.report.writer import write_study_report
from dmn.studies.table import STUDIES
from documents import (
    DOCUMENTS,
    LANGUAGES,
    ROOT,
    blocks,
    commands,
    example,
    links,
    named_files,
    named_objects,
)
from synthetic import study_data

EXTENDING = "docs/extending.md"
# programs of other people's machines: their command lines are only read
ELSEWHERE = {"cd", "conda", "dvc", "git", "pip", "sha256sum", "source"}
COMMANDS = list(commands())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_says_its_language_and_none_is_only_indented(document: str) -> None:
    assert {block.language for block in blocks(document)} <= set(LANGUAGES)
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text("utf-8"), flags=re.DOTALL)
    assert not re.search(r"\n\n    \S", text)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_every_named_file_is_there(document: str) -> None:
    folder = (ROOT / document).parent
    assert [link for link in links(document) if not (folder / link).exists()] == []
    assert [name for name in named_files(document) if not list(ROOT.glob(name))] == []
    for name in named_objects(document):
        resolve_name(name)


def test_the_map_of_packages_has_each_of_them_once() -> None:
    text = (ROOT / "docs/structure.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    named = [name for row in rows for name in row.split(", ")]
    there = (path for path in (ROOT / "src/dmn").iterdir() if not path.name.startswith("_"))
    modules = {path.stem for path in there if path.is_dir() or path.suffix == ".py"}
    assert sorted(named) == sorted(f"`{name}`" for name in modules)


@cache
def whole() -> object:
    return cli.build()


@pytest.mark.parametrize(
    "words", [w for _, w in COMMANDS], ids=[f"{d}: {' '.join(w)}"[:90] for d, w in COMMANDS]
)
def test_every_command_line_is_understood(words: list[str]) -> None:
    match words:
        case ["dmn", *rest]:
            whole().parse_args(rest)
        case ["python", "-m", "development.variations", *rest]:
            variations().parse_args(rest)
        case ["python", "-m", "development.leaderboard", *rest]:
            leaderboard().parse_args(rest)
        case ["snakemake", *rest]:
            # the plugin of another cluster is not installed here
            known = " ".join(rest).replace("--executor kubernetes", "--executor slurm")
            get_argument_parser().parse_args(known.split())
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text("utf-8")
            names = [target for target in targets if "=" not in target]
            assert all(re.search(rf"^{name}:", makefile, re.MULTILINE) for name in names)
        case ["pytest", *rest]:
            files = [word for word in rest if word.startswith("tests/")]
            assert files
            assert all((ROOT / file).exists() for file in files)
        case ["pip-audit" | "cyclonedx-py" | "rocrate-validator" as tool, *rest]:
            verbs = [word for word in rest[:1] if not word.startswith("-")]
            run = [str(Path(sys.executable).parent / tool), *verbs, "--help"]
            shown = subprocess.run(run, capture_output=True, text=True, check=True).stdout
            assert all(word in shown for word in rest if word.startswith("--"))
        case [program, *_]:
            assert program in ELSEWHERE


YAML = [block for document in DOCUMENTS for block in blocks(document, "yaml")]


@pytest.mark.parametrize("block", YAML, ids=[f"{b.document}: {b.heading}" for b in YAML])
def test_every_yaml_example_is_accepted(
    block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_method.py").write_text(example(EXTENDING, "A method of your own", "python"))
    for other in blocks(block.document, "yaml"):
        # a configuration may use the registry that its document shows
        if other.heading == block.heading and "datasets:\n" in other.text:
            Path("mine.yaml").write_text(other.text)
    values = yaml.safe_load(block.text)
    if isinstance(values.get("datasets"), dict):
        Path("mine.yaml").write_text(block.text)
        assert set(values["datasets"]) <= set(load_registry("mine.yaml"))
    else:
        config = load_run(values, block.document)
        assert config != load_run({})


def test_the_readme_computes_with_the_network() -> None:
    draws = np.random.default_rng(0)
    text, shots, views = (draws.normal(size=size) for size in ((5, 16), (5, 4, 16), (30, 3, 16)))
    names = {"text": text, "shots": shots, "views": views}
    (block,) = blocks("README.md", "python")
    exec(block.text, names)
    result = names["result"]
    for answer in (result.text, result.dynamic, result.static):
        assert answer.shape == (30, 5)
        assert np.allclose(np.asarray(answer).sum(axis=1), 1)


def study(folder: Path) -> ModuleType:
    """Return the documented study as a module, from a file of its name."""
    file = folder / "views.py"
    file.write_text(example(EXTENDING, "A study", "python"))
    spec = importlib.util.spec_from_file_location("dmn.studies.views", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_documented_study_measures_and_reports(tmp_path: Path) -> None:
    module = study(tmp_path)
    assert "views" not in STUDIES
    options = module.Options()
    frames, samples = [], {}
    for seed in (0, 1):
        measured = module.measure(study_data(seed=seed), Config(), options, [0, 1])
        keys = {"dataset": "synthetic", "backbone": "random", "split_seed": seed}
        frames.append(measured.rows.assign(**keys))
        samples["synthetic", "random", seed, "0-1"] = measured.samples
    rows = pd.concat(frames, ignore_index=True)
    assert set(rows["views"]) == set(options.views)
    summary = write_study_report(module, rows, samples, options, tmp_path / "studies/views")
    assert re.fullmatch(
        r"synthetic \(random\), views of \w+ alone: none is clearly best: first is [124], "
        r"\d+\.\d% \(95% interval \d+\.\d to \d+\.\d over 120 images, with 2 splits only\); "
        r"[124] and [124] tie with it\.",
        summary.findings[0],
    )
    table = pd.read_csv(tmp_path / "studies/views/views.csv")
    assert sorted(table["views"].unique()) == options.views
    assert (tmp_path / "studies/views/views.svg").stat().st_size > 1000


def test_a_strangers_configuration_is_read_without_running_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (words,) = (w for d, w in COMMANDS if d == "docs/security.md" and w[0] == "dmn")
    monkeypatch.chdir(tmp_path)
    Path("stranger.yaml").write_text("__use_yte__: true\nshots: ?open('hostile', 'w')\n")
    with pytest.raises(SystemExit, match="2"):
        cli.main(words[1:])
    assert "unknown key '__use_yte__'" in capsys.readouterr().err
    assert not Path("hostile").exists()


def test_the_readmes_plan_of_the_paper_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    (words,) = (w for d, w in COMMANDS if d == "README.md" and w[:2] == ["dmn", "plan"])
    cli.main([*words[1:], "--no-jobs"])
    assert "ILSVRC2012_img_val.tar" in capsys.readouterr().out


RUNS = {" ".join(w): w for _, w in COMMANDS if w[:2] == ["dmn", "run"]}


@pytest.mark.slow
@pytest.mark.parametrize("line", RUNS)
def test_every_documented_run_can_be_planned(line: str, tmp_path: Path) -> None:
    for name in ("Snakefile", "workflow", "src", "config", "profiles"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "src/dmn/studies/views.py").write_text(example(EXTENDING, "A study", "python"))
    table = tmp_path / "src/dmn/studies/table.py"
    table.write_text(table.read_text().replace("STUDIES = (", 'STUDIES = (\n    "views",'))
    run = [sys.executable, "-m", "dmn", *RUNS[line][1:], "--dry-run"]
    environment = {"PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(
        run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert re.match(r"Jobs still to run: \d+ \(.*evaluate \d", done.stdout), done.stderr
