"""The benchmark of whole studies measures what it says; its times are not checked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dmn.bench import studies
from dmn.cli import main
from dmn.studies.table import find_study


def test_the_quick_benchmark_writes_its_tables(tmp_path: Path) -> None:
    main(["bench", "studies", "--out", str(tmp_path), "--quick"])
    found = pd.read_csv(tmp_path / "studies.csv")
    assert found["study"].tolist() == list(studies.STUDIES)
    assert (found[["plain_s", "study_s", "ratio"]] > 0).all().all()
    grown = pd.read_csv(tmp_path / "growth_of_studies.csv")
    assert grown["ten times the"].tolist() == list(studies.GROWTH)
    assert "published loop" in (tmp_path / "studies.md").read_text()


@pytest.mark.parametrize("study", studies.STUDIES)
def test_runs_are_those_that_a_study_makes(study: str) -> None:
    case = studies.QUICK["small"]
    module = find_study(study)
    rows = module.measure(case.data(), case.config(), case.options(study), range(case.orders)).rows
    names = ["order_seed", "setting", "shots", "stream", "length", "entry_rule"]
    known = rows[rows["metric"] == "accuracy"]
    if study == "length":
        # no limit is the same for all rules
        known = known[(known["length"] != "unlimited") | (known["entry_rule"] == "entropy")]
    found = known[[name for name in names if name in known]].drop_duplicates()
    assert len(found) == case.runs(study)


def test_growth_changes_one_size_by_ten() -> None:
    for what, (_, case) in studies.GROWTH.items():
        changed = [
            name for name in vars(case) if getattr(case, name) != getattr(studies.BASE, name)
        ]
        assert len(changed) == 1, what
