"""The leaderboard of docs/peers.md: its tables are those of docs/peers.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from development.leaderboard import (
    ACCURACY,
    AUDIT,
    CHOSEN_ON,
    LEAD,
    MEAN,
    PAGE,
    TABLE,
    WAYS,
    page,
    read,
)
from dmn.artifacts import read_rows, write_rows, write_tensors
from dmn.config import load
from dmn.evaluation.contract import sample_name
from dmn.studies import peers
from synthetic import study_data


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return read_rows(TABLE)


def test_the_page_is_what_its_table_gives(found):
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, found) == text
    assert page(text, found.assign(mean=found["mean"] + 1)) != text


def test_every_method_has_an_interval_and_a_rank_on_each_backbone(found):
    plain = found[found["table"] == ACCURACY]
    assert plain[["mean", "low", "high", "rank", "operations"]].notna().all().all()
    assert (plain["low"] <= plain["mean"]).all()
    assert (plain["mean"] <= plain["high"]).all()
    for _, own in plain.groupby(["dataset", "backbone", "setting", "shots"]):
        assert own["rank"].sum() == pytest.approx(len(own) * (len(own) + 1) / 2)


def test_a_lead_is_the_difference_of_the_means(found):
    plain = found[(found["table"] == ACCURACY) & (found["shots"] == 0)]
    means = plain.set_index(["dataset", "backbone", "method"])["mean"]
    lead = found[found["table"] == LEAD]
    for row in lead[lead["backbone"] != MEAN].to_dict("records"):
        own, other = (
            means[row["dataset"], row["backbone"], row[side]] for side in ("less", "method")
        )
        assert row["mean"] == pytest.approx(own - other, abs=2e-6)


def measured(folder: Path, search: bool) -> pd.DataFrame:
    """Write a job's evaluation of two methods below a folder and return its rows."""
    options = peers.Options(methods=["dmn_centred", "tda"], search=search)
    found = peers.measure(study_data(), load({"settings": ["zero_shot"]}), options, [0, 1])
    keys = {"dataset": "synthetic", "backbone": "random", "split_seed": 0}
    folder.mkdir()
    write_rows(folder / "a.csv", found.rows.assign(**keys))
    samples = {sample_name(0, name): array for name, array in found.samples.items()}
    facts = {"dataset": "synthetic", "backbone": "random", "orders": "0-1", "class_names": []}
    write_tensors(folder / "a.safetensors", samples, facts)
    return found.rows[found.rows["metric"] == "accuracy"]


def test_a_runs_evaluations_are_read(tmp_path):
    rows = measured(tmp_path / "fixed", search=False)
    table = read([tmp_path / "fixed"])
    own = table[table["table"] == ACCURACY].set_index("method")
    for method in ("dmn_centred", "tda", "dmn"):
        chosen = (rows["method"] == method) & (rows["weights"] == "fixed")
        assert own.loc[method, "mean"] == pytest.approx(rows.loc[chosen, "value"].mean())
    assert set(table["method"]) == {"dmn", "dmn_centred", "tda"}
    assert set(rows.loc[rows["component"] == "peer", "weights"]) == {"fixed"}


def test_the_audit_is_of_the_run_that_searched(tmp_path):
    measured(tmp_path / "fixed", search=False)
    rows = measured(tmp_path / "searched", search=True)
    table = read([tmp_path / "fixed"], tmp_path / "searched")
    audit = table[(table["table"] == AUDIT) & (table["less"] == "fixed")].set_index("method")
    for method in ("dmn_centred", "tda"):
        means = rows[rows["method"] == method].groupby("weights")["value"].mean()
        assert audit.loc[method, "mean"] == pytest.approx(means["oracle"] - means["fixed"])
    assert set(table.loc[table["table"] == AUDIT, "less"]) <= set(WAYS)


def test_the_mean_lead_is_over_the_backbones_that_the_variant_was_not_chosen_on(found):
    lead = found[found["table"] == LEAD]
    lead = lead[lead["dataset"].isin(lead.loc[lead["backbone"] == MEAN, "dataset"])]
    others = lead[~lead["backbone"].isin([MEAN, CHOSEN_ON])]
    means = others.groupby("method")["mean"].mean()
    own = lead[lead["backbone"] == MEAN].set_index("method")["mean"]
    assert len(own)
    for method, value in own.items():
        assert value == pytest.approx(means[method], abs=2e-6)
