"""Published numbers of other methods: their data, where they differ, and ours beside them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dmn.cli import main
from dmn.peers.table import PEERS
from dmn.report.peers.published import (
    beside_the_published,
    chosen_table,
    differing,
    published_peers,
    selection_in_print,
    sources,
    with_means,
)
from dmn.report.published import NOTHING
from dmn.report.tables import printed

REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "peers_published.csv"
KINDS = {"own", "rerun", "quoted", "copied", "secondary"}


def rows(method: str = "tda", dataset: str = "eurosat", backbone: str = "ViT-B-16"):
    return pd.DataFrame(
        {
            "dataset": dataset,
            "backbone": backbone,
            "setting": "zero_shot",
            "shots": 0,
            "order_seed": order,
            "method": method,
            "weights": "fixed",
            "metric": "accuracy",
            "value": 55.0 + order,
        }
        for order in range(3)
    )


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference is not beside this checkout")
def test_every_number_of_the_reference_is_there_with_its_value():
    reference = pd.read_csv(REFERENCE, keep_default_na=False)
    found = published_peers()
    assert len(found) == len(reference)
    assert found["value"].tolist() == reference["value"].tolist()
    assert found["dataset"].tolist() == reference["dataset"].tolist()
    assert found["backbone"].tolist() == reference["backbone"].tolist()
    told = reference["note"].str.contains("copied") | reference["setting"].str.contains("copy")
    secondary = (reference["note"] + reference["source"]).str.contains("secondary")
    assert (found["kind"] == "secondary").tolist() == secondary.tolist()
    assert (found["kind"] == "copied").tolist() == (told & ~secondary).tolist()


def test_every_number_has_a_known_source_kind_and_unit():
    found = published_peers()
    assert set(found["source"]) == set(sources()["source"])
    assert set(found["kind"]) == KINDS
    assert found["value"].between(0, 100).all()
    assert not found.duplicated().any()
    assert set(found["chosen"]) <= {*selection_in_print()["chosen"], "not stated"}


def test_who_chose_how_names_a_source_and_each_kind_of_choice():
    found = selection_in_print()
    assert (found[["how", "source"]] != "").all().all()
    ways = {"one setting", "by data set", "validation", "test labels"}
    assert set(found["chosen"]) == ways
    assert found["method"].is_unique
    # methods of the table that have settings to choose from the literature
    assert {"oga", "tda", "gda", "ape", "ecalp", "tip_adapter"} <= set(found["method"]) & set(PEERS)


def test_cells_differ_where_two_sources_give_two_numbers():
    found = with_means(published_peers())
    table = differing(found)
    assert (table["range"] > 0).all()
    cell = (table["method"] == "tip_adapter") & (table["dataset"] == "mean_of_11")
    own = table[cell & (table["shots"] == 16)].iloc[0]
    alike = found[
        (found["method"] == "tip_adapter")
        & (found["dataset"] == "mean_of_11")
        & (found["shots"] == 16)
        & (found["backbone"] == own["backbone"])
    ]
    assert own["range"] == pytest.approx(alike["value"].max() - alike["value"].min())
    assert all(source in own["numbers"] for source in alike["source"])


def test_a_mean_of_eleven_is_taken_of_a_source_that_has_all_eleven():
    found = published_peers()
    cell = found[(found["method"] == "ecalp") & (found["shots"] == 16)]
    (mean,) = with_means(cell)["value"].tolist()[len(cell) :]
    assert mean == pytest.approx(cell["value"].mean())
    assert len(with_means(cell.iloc[1:])) == len(cell) - 1


def test_ours_stand_beside_each_published_number_of_the_cell():
    table = beside_the_published(rows())
    known = published_peers()
    known = known[(known["method"] == "tda") & (known["dataset"] == "eurosat")]
    known = known[known["backbone"] == "ViT-B/16"]
    assert sorted(table["published"]) == sorted(known["value"])
    assert table["difference_mean"].tolist() == pytest.approx((56.0 - table["published"]).tolist())
    assert {"views", "chosen", "kind", "source"} <= set(table)


def test_a_run_without_published_cells_says_so():
    table = beside_the_published(rows(dataset="digits"))
    assert list(table["result"]) == [NOTHING]


def test_the_command_prints_what_is_asked_for(capsys):
    main(["published", "--dataset", "eurosat", "--method", "tda"])
    told = capsys.readouterr().out
    assert told.count("eurosat") >= 1
    assert "kdiAAA/TDA" in told
    assert "Tip-Adapter" not in told
    main(["published", "--chosen"])
    assert len(capsys.readouterr().out.splitlines()) > len(selection_in_print())
    with pytest.raises(SystemExit):
        main(["published", "--method", "tdaa"])
    assert "no method 'tdaa' was published; did you mean 'tda'" in capsys.readouterr().err


def test_the_table_of_choices_is_printed_whole():
    assert len(printed(chosen_table()).rows) == len(selection_in_print())
