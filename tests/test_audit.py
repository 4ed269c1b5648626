"""The audit's checks on a small made-up checkout: what holds, and what each fault is called."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
from packaging.utils import canonicalize_name

from audited import CODE, SPLIT, TABLE, TEXT, make_checkout, record
from dmn.artifacts import write_json, write_tensors, write_text
from dmn.audit.checks import Check, as_json, passed, print_table
from dmn.audit.configuration import changed_keys, check_records
from dmn.audit.environment import check_environment, check_revision, problems
from dmn.audit.hashes import check_extra, check_manifest, read_manifest
from dmn.audit.lineage import lineage, print_lineage
from dmn.audit.rebuild import check_rebuilt, compare, known_target
from dmn.audit.records import read_records, upstream
from dmn.audit.runs.comparison import chain_order, phase
from dmn.errors import ArtifactError, DataError
from dmn.pipeline import paths


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


def test_an_untouched_checkout_passes_all_file_checks(checkout: Path) -> None:
    checks = [check(checkout) for check in (check_manifest, check_extra, check_records)]
    assert [check.status for check in checks] == ["ok"] * 3


def test_a_changed_artifact_fails_by_its_name(checkout: Path) -> None:
    write_text(checkout / TABLE, "value,n\n")
    assert check_manifest(checkout).status == "fail"
    assert TABLE in check_manifest(checkout).details[0]


def test_a_missing_artifact_is_called_missing(checkout: Path) -> None:
    (checkout / SPLIT).unlink()
    assert check_manifest(checkout).details == (f"{SPLIT} is missing",)


def test_a_file_of_a_removed_seed_is_a_note(checkout: Path) -> None:
    write_json(checkout / "data/splits/digits/split=7.json", {})
    found = check_extra(checkout)
    assert found.status == "note"
    assert found.details == ("data/splits/digits/split=7.json",)


def test_a_manifest_with_a_torn_line_says_which(checkout: Path) -> None:
    write_text(checkout / paths.MANIFEST, "abc  reports/index.html\n")
    with pytest.raises(ArtifactError, match="reports/all, line 1 is not a hash and a name"):
        read_manifest(checkout)


def test_no_manifest_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="snakemake --cores 2 reports/all"):
        read_manifest(tmp_path)


def test_changed_code_is_found_through_the_records(checkout: Path) -> None:
    write_text(checkout / CODE, "draw = 2\n")
    found = check_records(checkout)
    assert found.status == "fail"
    assert f"{SPLIT} came from another {CODE}" in found.details


def test_an_artifact_without_record_is_found(checkout: Path) -> None:
    shutil.rmtree(checkout / ".snakemake")
    assert check_records(checkout).status == "note"
    record(checkout, SPLIT, "splits", [CODE])
    assert f"{TABLE} has no record" in check_records(checkout).details


def test_records_with_long_names_are_read(checkout: Path) -> None:
    from base64 import urlsafe_b64encode

    name = "data/" + "x" * 300
    coded = urlsafe_b64encode(name.encode()).decode()
    values = (checkout / ".snakemake/metadata").iterdir().__next__().read_text()
    write_text(checkout / ".snakemake/metadata" / ("@" + coded[:250]) / coded[250:], values)
    assert name in read_records(checkout)


def test_a_torn_record_says_what_to_do(checkout: Path) -> None:
    write_text(checkout / ".snakemake/metadata/cmVwb3J0cy9hbGw=", "{")
    with pytest.raises(ArtifactError, match="not a record of Snakemake"):
        read_records(checkout)


def test_the_chain_goes_from_cause_to_effect(checkout: Path) -> None:
    chain = upstream(read_records(checkout), [TABLE])
    assert [step.output for step in chain] == [SPLIT, TEXT, TABLE]


def test_the_lineage_names_rules_parameters_and_code(checkout: Path) -> None:
    found = lineage(checkout, TABLE)
    assert [step["rule"] for step in found["chain"]] == ["splits", "features", "reports"]
    assert found["chain"][0]["params"] == [{"shots": [1]}]
    assert [source["file"] for source in found["code"]] == [CODE]


def test_the_printed_lineage_has_each_path_whole_on_one_line(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    found = lineage(checkout, TABLE)
    print_lineage(found)
    lines = capsys.readouterr().out.splitlines()
    for step in found["chain"]:
        place = lines.index(f"  {step['sha256'][:12]}  {step['file']}  (rule {step['rule']})")
        inputs = lines[place + 1 : place + 1 + len(step["inputs"])]
        assert [line.strip() for line in inputs] == [f"<- {name}" for name in step["inputs"]]


def test_the_lineage_of_an_unknown_file_names_the_nearest(checkout: Path) -> None:
    with pytest.raises(ArtifactError, match="did you mean 'reports/studies/main/rows.csv'"):
        lineage(checkout, "reports/studies/main/row.csv")


def test_the_first_difference_of_the_chain_is_named(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(checkout, other)
    write_text(other / TABLE, "value,n\n1.000000,9\n2.000000,9\n3.100000,9\n")
    write_tensors(other / TEXT, {"text": np.full((2, 3), 2, np.float16)}, {"logit_scale": 100})
    found = check_rebuilt(compare(checkout, other, "all"))
    assert found.status == "fail"
    assert f"2 of 5 files differ; the first is {TEXT} (rule features)" in found.summary
    assert "tensor 'text': 6 of 6 values differ, by at most 1" in found.summary
    assert "1 of 3 rows differ; first row 3, column 'value'" in found.details[0]


def test_equal_rebuilds_are_called_identical(checkout: Path, tmp_path: Path) -> None:
    shutil.copytree(checkout, tmp_path / "other")
    found = check_rebuilt(compare(checkout, tmp_path / "other", "all"))
    assert (found.status, found.summary) == ("ok", "all: 5 files, all identical")


def test_files_are_compared_in_the_order_of_the_phases() -> None:
    names = ["reports/all", "reports/index.html", TEXT, "data/encoder/glyph.safetensors", SPLIT]
    order = chain_order(names)
    assert [phase(name) for name in order[:3]] == ["encoder", "splits", "features"]
    assert order[-1] == "reports/all"


def test_a_rebuild_of_an_unknown_file_names_the_nearest(checkout: Path) -> None:
    assert known_target(checkout, "reports/all") == "all"
    with pytest.raises(ArtifactError, match="no artifact 'reports/studies/main/rows.cvs'"):
        known_target(checkout, "reports/studies/main/rows.cvs")


def test_packages_that_are_not_as_locked_are_named_with_both_versions() -> None:
    changes = [
        ("numpy", "2.1.0", "uninstalled"),
        ("numpy", "2.0.0", "installed"),
        ("left-pad", "1", "uninstalled"),
        ("rich", "13.0", "installed"),
        ("dmn-repro", "0.1.0", "uninstalled"),
    ]
    keys = ("name", "version", "action")
    assert problems([dict(zip(keys, change, strict=True)) for change in changes]) == [
        "left-pad 1 is installed but not locked",
        "numpy 2.1.0 is installed, 2.0.0 is locked",
        "rich 13.0 is locked but not installed",
    ]


def frozen(*left_out: str) -> str:
    """Return a lock of what is installed here."""
    pins = {canonicalize_name(d.name): d.version for d in distributions() if d.name}
    return "".join(f"{n}=={v}\n" for n, v in pins.items() if n not in (*left_out, "dmn-repro"))


def test_the_real_uv_compares_the_lock_with_what_is_installed(tmp_path: Path) -> None:
    assert "is missing, so no version is pinned" in check_environment(tmp_path).summary
    write_text(tmp_path / "requirements.lock", frozen())
    assert check_environment(tmp_path).status == "ok"
    write_text(
        tmp_path / "requirements.lock",
        f"{frozen('snakefmt')}pywin32==311 ; sys_platform == 'win32'\n",
    )
    found = check_environment(tmp_path)
    assert (found.status, len(found.details)) == ("fail", 1)
    assert re.fullmatch(r"snakefmt \S+ is installed but not locked", found.details[0])


def test_a_lock_that_uv_cannot_read_is_said_with_its_reason(tmp_path: Path) -> None:
    write_text(tmp_path / "requirements.lock", "numpy===\n")
    with pytest.raises(DataError, match=r"uv pip sync .* gives no answer: error: .*requirements"):
        check_environment(tmp_path)


def test_outside_a_repository_the_revision_is_a_note(tmp_path: Path) -> None:
    assert check_revision(tmp_path).status == "note"


def test_changed_keys_are_named_with_their_section() -> None:
    old, new = {"shots": [1], "views": {"test": 16}}, {"shots": [1], "views": {"test": 4}, "x": 1}
    assert list(changed_keys(old, new)) == [("views.test", 16, 4), ("x", None, 1)]


def test_the_table_shows_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [Check("seeds", "ok", "splits 0"), Check("plan", "fail", "3 jobs", ("a",) * 9)]
    print_table(checks)
    shown = capsys.readouterr().out
    assert "and 4 more" in shown
    assert "Not shown to be what this code and this data give: plan." in shown
    assert not passed(checks)
    assert as_json(checks)["checks"][1]["details"] == ("a",) * 9
