"""The leaderboard of docs/peers.md: its tables are those of docs/peers.csv."""

from __future__ import annotations

import pandas as pd
import pytest

from development.leaderboard import CHOSEN_ON, MEAN, PAGE, TABLE, page, read
from dmn.artifacts import read_rows, write_rows, write_tensors
from dmn.config import load
from dmn.evaluation.contract import sample_name
from dmn.peers.loading import load_peers
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
    plain = found[found["less"].isna()]
    assert plain[["mean", "low", "high", "rank", "operations"]].notna().all().all()
    assert (plain["low"] <= plain["mean"]).all()
    assert (plain["mean"] <= plain["high"]).all()
    for _, own in plain.groupby(["backbone", "setting", "shots"]):
        assert own["rank"].sum() == pytest.approx(len(own) * (len(own) + 1) / 2)


def test_a_lead_is_the_difference_of_the_means(found):
    plain = found[found["less"].isna() & (found["shots"] == 0)]
    means = plain.set_index(["backbone", "method"])["mean"]
    lead = found[found["less"].notna()]
    for row in lead[lead["backbone"] != MEAN].to_dict("records"):
        own, other = (means[row["backbone"], row[side]] for side in ("less", "method"))
        assert row["mean"] == pytest.approx(own - other, abs=2e-6)


def test_a_runs_evaluations_are_read(tmp_path):
    options = peers.Options(methods=["dmn_centred", "tda"], search=False)
    config = load({"settings": ["zero_shot"]})
    measured = peers.measure(study_data(), config, options, [0, 1])
    keys = {"dataset": "synthetic", "backbone": "random", "split_seed": 0}
    write_rows(tmp_path / "a.csv", measured.rows.assign(**keys))
    samples = {sample_name(0, name): array for name, array in measured.samples.items()}
    facts = {"dataset": "synthetic", "backbone": "random", "orders": "0-1", "class_names": []}
    write_tensors(tmp_path / "a.safetensors", samples, facts)
    table = read(tmp_path)
    own = table[table["less"] == ""].set_index("method")
    rows = measured.rows
    for method in ("dmn_centred", "tda", "dmn"):
        chosen = (rows["method"] == method) & (rows["metric"] == "accuracy")
        values = rows.loc[chosen & (rows["weights"] == "fixed"), "value"]
        assert own.loc[method, "mean"] == pytest.approx(values.mean())
    assert set(table["method"]) == {"dmn", *(p.name for p in load_peers(options.methods))}
    assert set(rows.loc[rows["component"] == "peer", "weights"]) == {"fixed", "none"}


def test_the_mean_lead_is_over_the_backbones_that_the_variant_was_not_chosen_on(found):
    lead = found[found["less"].notna()]
    others = lead[~lead["backbone"].isin([MEAN, CHOSEN_ON])]
    means = others.groupby("method")["mean"].mean()
    own = lead[lead["backbone"] == MEAN].set_index("method")["mean"]
    assert len(own)
    for method, value in own.items():
        assert value == pytest.approx(means[method], abs=2e-6)
