"""Named runs: where a configuration lives, what is refused, what is shared."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from dmn.artifacts import write_text
from dmn.audit.records import read_records
from dmn.cli import main
from dmn.errors import ConfigError
from dmn.pipeline import paths
from dmn.pipeline.asked import Asked
from dmn.pipeline.configuration import load_run
from dmn.pipeline.runs import home, shared, start
from dmn.pipeline.sources import relative
from dmn.pipeline.targets import Targets

ROOT = Path(__file__).resolve().parents[1]
CUT = "shots: [1]\nseeds: {split: [0], order: ['0']}\nstudies: {main: {}}\n"
MORE = "seeds.split=[0, 1]"


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout to stand in: its sources are links, its configurations its own."""
    for name in ("Snakefile", "workflow", "src", "profiles", "requirements.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    write_text(tmp_path / "config/cut.yaml", CUT)
    write_text(tmp_path / "config/defaults.yaml", "seeds: {split: ['0-2']}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cut(*changes: str) -> Asked:
    return Asked.read("config/cut.yaml", changes)


def enter(top: Path, name: str | None, asked: Asked, change: bool = False) -> Path:
    """Enter a run as a command does, and come back; return where it led."""
    try:
        start.enter(name, asked, change)
        return Path.cwd()
    finally:
        os.chdir(top)


def record(folder: Path, name: str, text: str = "made") -> Path:
    """Write an artifact with Snakemake's record of it."""
    write_text(folder / name, text)
    values = {"rule": "r", "input": [], "starttime": 0, "endtime": 1}
    write_text(folder / shared.RECORDS / shared.coded(name), json.dumps(values))
    return folder / name


def test_the_default_lives_at_the_top_and_a_file_under_its_own_name(top: Path) -> None:
    assert home.find(top, None, Asked()) == top
    assert home.find(top, "demo", Asked()) == top
    assert home.find(top, None, cut()) == top / "runs/cut"
    assert home.find(top, "other", cut()) == top / "runs/other"


def test_a_file_that_says_what_the_defaults_say_lives_at_the_top(top: Path) -> None:
    seeds = load_run({}).seeds.model_dump(mode="json")
    write_text("config/same.yaml", yaml.safe_dump({"seeds": seeds}))
    assert home.find(top, None, Asked.read("config/same.yaml", [])) == top


def test_a_changed_default_without_a_name_is_refused_with_the_way_out(top: Path) -> None:
    with pytest.raises(ConfigError, match=r"seeds.split would change it; .* dmn run --name NAME"):
        start.enter(None, Asked.read(None, [MORE]))
    assert not (top / "runs").exists()


@pytest.mark.parametrize("name", ["a/b", "..", "", "-x"])
def test_a_name_that_is_none_is_refused(top: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name"):
        home.find(top, name, cut())


def test_the_demo_has_the_defaults_and_nothing_else(top: Path) -> None:
    with pytest.raises(ConfigError, match="'demo' is the run of the defaults"):
        start.enter("demo", cut())


def test_a_new_run_has_its_configuration_and_what_the_tools_need(top: Path) -> None:
    folder = enter(top, None, cut())
    assert load_run(start.recorded(folder)) == cut().config()
    pipeline = yaml.safe_load((folder / "dvc.yaml").read_text())
    for stage in pipeline["stages"].values():
        # reports are made by the run itself
        deps = [name for name in stage["deps"] if not name.startswith("reports/")]
        assert [name for name in deps if not (folder / name).exists()] == []
    assert home.CONFIG in pipeline["stages"]["experiments"]["deps"]
    assert (folder / "Snakefile").samefile(top / "Snakefile")
    assert not Path(os.readlink(folder / "src")).is_absolute()
    assert home.named(top) == ["cut"]


def test_a_run_goes_on_by_its_name_by_its_file_and_in_its_folder(top: Path) -> None:
    folder = enter(top, None, cut())
    written = (folder / home.CONFIG).read_bytes()
    assert enter(top, "cut", Asked()) == enter(top, None, cut()) == folder
    os.chdir(folder)
    assert home.find(home.top_of(folder), None, Asked()) == folder
    assert home.in_place(Asked(), folder) == Asked(home.CONFIG)
    assert (folder / home.CONFIG).read_bytes() == written


def test_another_configuration_over_a_run_is_refused_by_what_differs(top: Path) -> None:
    folder = enter(top, None, cut())
    before = (folder / home.CONFIG).read_bytes()
    for name, asked in ((None, cut(MORE)), ("cut", Asked.read(None, [MORE]))):
        with pytest.raises(
            ConfigError,
            match=r"runs/cut holds another configuration \(seeds.split: \[0\] -> \[0, 1\]\); keep "
            r"both with another --name, or add --change",
        ):
            start.enter(name, asked)
    assert (folder / home.CONFIG).read_bytes() == before
    assert Path.cwd() == top


def test_a_run_is_changed_where_that_is_asked_for(top: Path) -> None:
    folder = enter(top, None, cut())
    enter(top, "cut", Asked.read(None, [MORE]), change=True)
    assert load_run(start.recorded(folder)) == cut(MORE).config()


def test_an_unknown_name_gets_the_nearest(top: Path) -> None:
    enter(top, "satellite", cut())
    with pytest.raises(ConfigError, match=r"no run 'satelite' in runs/; did you mean 'satellite'"):
        start.enter("satelite", Asked())
    assert home.named(top) == ["satellite"]


def test_nothing_is_written_for_a_target_that_nobody_makes(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", "--config", "config/cut.yaml", "reports/mian"])
    assert "no report reports/mian; did you mean 'reports/main'" in capsys.readouterr().err
    assert not (top / "runs").exists()


def test_files_that_a_configuration_names_are_found_in_the_run(top: Path) -> None:
    write_text("methods/mine.py", "")
    write_text("weights.pt", "")
    values = {"studies": {"peers": {"methods": ["methods/mine.py"]}}, "a": {"b": "weights.pt"}}
    start.arrange(top / "runs/own", values)
    assert (top / "runs/own/methods/mine.py").is_file()
    assert (top / "runs/own/weights.pt").is_file()
    write_text("data/manual/digits.zip", "")
    assert (top / "runs/own/data/manual/digits.zip").is_file()


def test_images_in_the_checkout_that_a_registry_names_are_found_in_the_run(top: Path) -> None:
    write_text("photos/a/1.png", "")
    files = {"photos.json": {"role": "archive", "folder": "photos"}}
    write_text("own.yaml", yaml.safe_dump({"datasets": {"mine": {"files": files}, "other": {}}}))
    start.arrange(top / "runs/own", {"datasets": ["mine"], "download": {"registry": "own.yaml"}})
    assert (top / "runs/own/photos/a/1.png").is_file()


def test_a_relative_path_out_of_the_checkout_is_refused(top: Path) -> None:
    write_text(top.parent / "weights.pt", "")
    with pytest.raises(
        ConfigError, match=r"\.\./weights.pt leads out of .*; write the whole path, /"
    ):
        start.arrange(top / "runs/own", {"encoders": {"a": {"checkpoint": "../weights.pt"}}})
    assert not (top / "runs").exists()


def test_rules_name_the_same_sources_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ROOT / "src/dmn/errors.py"
    monkeypatch.chdir(ROOT)
    assert relative(source) == "src/dmn/errors.py"


def test_rules_name_the_same_sources_in_a_named_run(top: Path) -> None:
    os.chdir(enter(top, None, cut()))
    assert relative(ROOT / "src/dmn/errors.py") == "src/dmn/errors.py"
    # of no checkout of this code
    os.chdir(top.parent)
    assert relative(ROOT / "src/dmn/errors.py") == str(ROOT / "src/dmn/errors.py")


def test_a_run_begins_with_what_others_have_finished(top: Path) -> None:
    name = Targets(cut().config()).data()[0]
    made = record(top, name)
    folder = enter(top, None, cut())
    assert (folder / name).samefile(made)
    assert list(read_records(folder)) == [name]
    # a job replaces its output as a whole, and the other run keeps its own
    write_text(folder / name, "made anew")
    assert made.read_text() == "made"


def test_what_is_unfinished_or_without_a_record_is_not_shared(top: Path) -> None:
    record(top, "data/a")
    write_text("data/b", "by hand")
    record(top, "data/c")
    write_text(top / shared.UNFINISHED / shared.coded("data/c"), "{}")
    assert shared.link_all(["data/a", "data/b", "data/c", "data/d"], [top], top / "runs/x") == 1
    assert [path.name for path in (top / "runs/x/data").iterdir()] == ["a"]


def test_records_with_long_names_are_shared(top: Path) -> None:
    name = "data/" + "/".join(f"key={number:030}" for number in range(12))
    record(top, name)
    assert shared.link_all([name], [top], top / "runs/x") == 1
    assert list(read_records(top / "runs/x")) == [name]


def test_the_nearest_configuration_is_asked_first(top: Path) -> None:
    far, near = enter(top, "far", cut("shots=[16]", MORE)), enter(top, "near", cut("shots=[16]"))
    folder = enter(top, None, cut())
    for place in (far, near, top):
        (place / shared.RECORDS).mkdir(parents=True)
    found = shared.others(folder, cut().config())
    assert found == [near, far, top]


def test_reports_of_other_data_sets_are_not_written_over(top: Path) -> None:
    write_text(paths.RUN_CONFIG, "datasets: [whu_rs19]\n")
    with pytest.raises(ConfigError, match=r"reports/ holds a run on whu_rs19, .*dmn run --config"):
        home.guard(load_run({}), top)
    write_text(paths.RUN_CONFIG, "datasets: [digits, whu_rs19]\n")
    home.guard(load_run({}), top)
    folder = enter(top, None, cut())
    write_text(folder / paths.RUN_CONFIG, "datasets: [whu_rs19]\n")
    home.guard(load_run({}), folder)


def test_each_run_has_its_command(top: Path) -> None:
    assert home.remake(top) == "dmn run"
    assert home.remake(enter(top, None, cut())) == "dmn run --name cut"
    write_text(paths.RUN_CONFIG, CUT)
    assert home.remake(top) == "snakemake --cores all --configfile reports/config.yaml"


def test_the_plan_of_a_configuration_finds_its_run(top: Path) -> None:
    assert home.holding(top, cut().config()) is None
    folder = enter(top, "mine", cut())
    assert home.holding(top, cut().config()) == folder
    write_text(folder / home.CONFIG, "shots: [0]\n")
    assert home.holding(top, cut().config()) is None


def test_a_dry_run_writes_nothing_and_refuses_what_a_run_refuses(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        (["reports/mian", "--config", "config/cut.yaml"], "did you mean 'reports/main'"),
        (["--name", "nobody"], "no run 'nobody' in runs/"),
        ([MORE], "give the run a name"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["run", "--dry-run", *words])
        assert message in capsys.readouterr().err
    assert not (top / "runs").exists()
