"""The lock of DVC, as DVC itself tells whether it holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from audited import CODE, SPLIT, TEXT, lock, make_checkout
from dmn.artifacts import write_json, write_text
from dmn.audit.hashes import changed_outputs, changed_sources, check_lock
from dmn.errors import DataError


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lock(make_checkout(tmp_path_factory.mktemp("locked") / "checkout"))


@pytest.fixture
def checkout(locked: Path, tmp_path: Path) -> Path:
    shutil.copytree(locked, tmp_path / "checkout")
    return tmp_path / "checkout"


def test_an_untouched_checkout_is_as_locked(checkout: Path) -> None:
    found = check_lock(checkout)
    assert (found.status, found.summary) == ("ok", "3 outputs and 2 sources as locked")


def test_changed_lost_and_new_files_are_named_with_the_changed_sources(checkout: Path) -> None:
    write_json(checkout / SPLIT, {"test": []})
    write_json(checkout / "data/splits/digits/split=7.json", {"new": 1})
    (checkout / TEXT).unlink()
    write_text(checkout / CODE, "draw = 2\n")
    found = check_lock(checkout)
    assert found.status == "fail"
    assert found.details == (
        "src differs",
        f"{TEXT} is missing",
        f"{SPLIT} differs",
        "data/splits/digits/split=7.json is not in the lock",
    )


def test_outputs_that_are_as_locked_need_no_cache(checkout: Path) -> None:
    shutil.rmtree(checkout / ".dvc/cache")
    assert check_lock(checkout).status == "ok"
    write_json(checkout / SPLIT, {"test": []})
    assert check_lock(checkout).details[0].startswith("data/splits/")


def test_without_dvc_nobody_can_tell(checkout: Path) -> None:
    shutil.rmtree(checkout / ".dvc")
    with pytest.raises(DataError, match="dvc status --json experiments gives no answer: ERROR: "):
        check_lock(checkout)


def test_a_checkout_without_the_lock_or_its_stage_says_so(tmp_path: Path) -> None:
    assert check_lock(tmp_path).summary == "there is no dvc.lock; dvc repro writes it"
    write_json(tmp_path / "dvc.lock", {"schema": "2.0", "stages": {}})
    assert check_lock(tmp_path).summary == "dvc.lock has no stage experiments; run dvc repro"


def test_of_a_stages_status_only_sources_and_command_count() -> None:
    status = {
        "experiments": [
            {"changed deps": {"src": "modified", "config": "deleted", "profiles": "new"}},
            {"changed outs": {"reports": "not in cache"}},
            "changed command",
        ]
    }
    assert changed_sources(status) == [
        "config is missing",
        "profiles is not in the lock",
        "src differs",
        "the command of experiments differs",
    ]
    assert changed_sources({}) == []


def test_a_folder_is_named_where_its_files_cannot_be() -> None:
    status = {
        "not_in_cache": ["reports/"],
        "uncommitted": {
            "modified": ["data/splits/", "data/memory/", "data/memory/a"],
            "unknown": ["data/splits/x"],
            "renamed": [{"old": "data/features/a", "new": "data/features/b"}],
        },
    }
    assert changed_outputs(status) == [
        "data/features/a is missing",
        "data/features/b is not in the lock",
        "data/memory/a differs",
        "data/splits/ differs (dvc fetch lets DVC name the files)",
    ]
