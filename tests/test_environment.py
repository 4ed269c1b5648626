"""pyproject.toml, the hashed lock and environment.yml say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINNED: dict[str, set[str]] = {}
for line in LOCK.splitlines():
    if match := re.match(r"([a-z0-9][a-z0-9._-]*)(?:\[.*?\])?==(\S+)", line):
        PINNED.setdefault(match[1], set()).add(match[2])
WANTED = [
    *PROJECT["dependencies"],
    *(text for extra in PROJECT["optional-dependencies"].values() for text in extra),
]


@pytest.mark.parametrize("text", WANTED)
def test_the_lock_pins_what_the_project_asks_for(text: str) -> None:
    wanted = Requirement(text)
    versions = PINNED.get(canonicalize_name(wanted.name), set())
    assert versions, f"{wanted.name} is not locked; run: make lock"
    assert all(wanted.specifier.contains(version) for version in versions)


def test_every_pin_has_a_hash() -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", LOCK)
    bare = [block.split()[0] for block in blocks if "--hash=sha256:" not in block]
    assert not bare


def test_the_lock_names_no_index() -> None:
    assert not re.search(r"index-url|find-links|https?://", LOCK)


def test_conda_users_install_the_same_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert pip == ["--require-hashes", "--requirement requirements.lock"]
    python = next(item for item in environment["dependencies"] if str(item).startswith("python="))
    assert PROJECT["requires-python"] == f">={python.removeprefix('python=')}"


def test_the_installed_snakemake_is_the_locked_one() -> None:
    from importlib.metadata import version

    assert PINNED["snakemake"] == {version("snakemake")}
