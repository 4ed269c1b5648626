"""A run's numbers beside the published ones."""

from __future__ import annotations

import pandas as pd
import pytest

from dmn.report.published import (
    ELEVEN,
    NOTHING,
    beside_the_paper,
    closeness,
    read_published,
    views_of,
)
from dmn.report.tables import printed


def make_rows(datasets=("dtd",), backbone: str = "ViT-B-16", value: float = 50.0) -> pd.DataFrame:
    kinds = [("text", "none"), ("dynamic", "none"), ("fused", "fixed"), ("fused", "oracle")]
    return pd.DataFrame(
        {
            "dataset": dataset,
            "backbone": backbone,
            "setting": "zero_shot",
            "shots": 0,
            "split_seed": 0,
            "order_seed": order,
            "training_seed": "none",
            "component": component,
            "weights": weights,
            "metric": "accuracy",
            "value": value + order,
            "protocol": "views=32 share=0.1 L=50",
        }
        for dataset in datasets
        for order in range(3)
        for component, weights in kinds
    )


def test_each_cell_stands_beside_the_paper_and_the_authors_log() -> None:
    table = beside_the_paper(make_rows()).set_index(["component", "weights"])
    text = table.loc["text", "none"]
    assert text["log"] == pytest.approx(53.191)
    assert text["mean"] == pytest.approx(51.0)
    assert text["difference_mean"] == pytest.approx(51.0 - 53.191)
    fused = table.loc["fused", "oracle"]
    assert fused["difference_mean"] == pytest.approx(51.0 - fused["paper"])
    assert fused["difference_high"] - fused["difference_low"] == pytest.approx(
        fused["high"] - fused["low"]
    )
    assert ("fused", "fixed") not in table.index


def test_the_mean_of_eleven_needs_all_eleven() -> None:
    all_of_them = beside_the_paper(make_rows(ELEVEN))
    assert "mean_of_11" in set(all_of_them["dataset"])
    assert "mean_of_11" not in set(beside_the_paper(make_rows(ELEVEN[1:]))["dataset"])


def test_published_weights_stand_beside_ours() -> None:
    published = read_published()
    validation = published[published["weights"] == "validation"]
    assert set(validation["published_weights"]) == {"oracle"}
    assert set(published["weights"]) == {"none", "fixed", "validation", "oracle"}


def test_a_run_without_published_numbers_says_so() -> None:
    for rows in (make_rows(("digits",)), make_rows(backbone="glyph")):
        table = beside_the_paper(rows)
        assert list(table["result"]) == [NOTHING]
        assert closeness(table) == []
        assert printed(table).rows


def test_views_are_said_in_words() -> None:
    assert views_of("views=32 share=0.1 L=50") == "32, 10% kept"
    assert views_of("views=1 share=0.1 L=50") == "1"


def test_closeness_counts_cells_of_the_same_protocol_only() -> None:
    sentences = closeness(beside_the_paper(make_rows()))
    assert [s.split(":")[0].rpartition(", ")[2] for s in sentences] == ["text", "dynamic", "fused"]
    assert all("1 cells" in s for s in sentences)
    single = make_rows().assign(protocol="views=1 share=0.1 L=50")
    assert closeness(beside_the_paper(single)) == []
