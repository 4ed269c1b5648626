"""The one command: what it lists, how its help reads, what it loads, and what it completes."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmn.cli import COMMANDS, build, main

ROOT = Path(__file__).parent.parent
HEAVY = {"numpy", "pandas", "pydantic", "scipy", "matplotlib", "numba", "torch", "yaml", "rich"}


def parsers(top: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield top
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


WHOLE = {parser.prog: parser for parser in parsers(build())}


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(re.search(rf"\n    {name}\s", shown) for name in COMMANDS)


def test_the_help_loads_no_library() -> None:
    code = (
        "import atexit, sys\nfrom dmn.cli import main\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\nmain(['--help'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in run.stderr.split()}
    assert "dmn" in loaded
    assert not loaded & HEAVY


def test_python_dash_m_is_the_same_command() -> None:
    run = [sys.executable, "-m", "dmn", "bench", "--help"]
    shown = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert shown == build(["bench"])._subparsers._group_actions[0].choices["bench"].format_help()


def test_there_is_no_other_way_in() -> None:
    package = ROOT / "src/dmn"
    doors = [
        file.relative_to(package).as_posix()
        for file in sorted(package.rglob("*.py"))
        if file.name == "__main__.py" or '__name__ == "__main__"' in file.read_text("utf-8")
    ]
    assert doors == ["__main__.py"]
    others = [file for place in ("workflow", "docs", "src") for file in (ROOT / place).rglob("*.*")]
    texts = (file.read_text("utf-8", errors="replace") for file in others if file.is_file())
    assert not any("python -m dmn." in text for text in texts)


def test_the_console_script_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"dmn": "dmn.cli:main"}


@pytest.mark.parametrize("prog", WHOLE)
def test_every_help_has_one_style(prog: str) -> None:
    parser = WHOLE[prog]
    assert parser.description
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        assert action.help, f"{prog} {action.dest} has no help"
        assert not action.help.endswith("."), f"{prog} {action.dest}: no full stop"
        first = action.help.split()[0]
        assert first == first.lower() or first.upper() == first or not first.isalpha()
    assert parser.format_help().startswith(f"usage: {prog} ")


def test_a_command_that_is_not_asked_for_is_not_declared() -> None:
    short = {parser.prog: parser for parser in parsers(build(["plan"]))}
    assert "--images-per-second" in short["dmn plan"].format_help()
    assert "--rebuild" not in short["dmn audit"].format_help()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["bench"], "the following arguments are required: COMMAND"),
        (["audti"], "invalid choice: 'audti'"),
        (["plan", "--configfile", "x"], "unrecognized arguments: --configfile"),
    ],
)
def test_a_wrong_command_line_shows_the_usage(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    said = capsys.readouterr().err
    assert said.startswith("usage: dmn ")
    assert message in said


def test_words_may_stand_between_options() -> None:
    words = ["run", "reports/main", "--cores", "2", "shots=[1]", "--dry-run", "seeds.split=[0]"]
    found = build(words).parse_args(words)
    assert found.words == ["reports/main", "shots=[1]", "seeds.split=[0]"]
    assert (found.cores, found.dry_run) == ("2", True)


def test_a_mistake_of_the_user_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["plan", "views.tset=3"])
    assert capsys.readouterr().err.startswith("error: unknown key 'views.tset' in the command line")


def test_the_completion_of_bash_knows_commands_options_and_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    ask = script + (
        'COMP_WORDS=(dmn audit --re); COMP_CWORD=2; _shtab_dmn; echo "${COMPREPLY[@]}"\n'
        'COMP_WORDS=(dmn try st); COMP_CWORD=2; _shtab_dmn; echo "${COMPREPLY[@]}"\n'
        'COMP_WORDS=(dmn plan --config pyproj); COMP_CWORD=3; _shtab_dmn; echo "${COMPREPLY[@]}"\n'
    )
    answers = subprocess.run(
        ["bash"], input=ask, capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.splitlines()
    assert answers == ["--rebuild --recorded-features", "static", "pyproject.toml"]


def test_the_variations_name_the_nearest_one() -> None:
    run = [sys.executable, "-m", "development.variations", "--only", "tiem"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: --only: no variation 'tiem'; did you mean 'time'" in done.stderr
