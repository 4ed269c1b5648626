"""Accuracies of two runs, paired by seeds and images."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dmn.artifacts import write_json, write_rows, write_tensors
from dmn.audit.runs import page
from dmn.audit.runs.accuracy import change_words, changed_accuracy
from dmn.audit.runs.comparison import Comparison
from dmn.audit.runs.sides import Side
from dmn.config import load
from dmn.errors import ArtifactError
from dmn.evaluation.contract import sample_name
from dmn.studies.main import Options, measure
from synthetic import study_data

KEYS = ["setting", "shots", "component", "weights"]


def make_run(root: Path, length: int, orders: list[int], noise: float = 0.6) -> Path:
    """Write the study main of one data set, two splits, as its job would."""
    config = load({"model": {"length": length}, "settings": ["zero_shot", "training_free"]})
    stem = root / "data/evaluation/main/synthetic/random/splits=0-1/orders=0"
    frames, arrays = [], {}
    for split in (0, 1):
        data = replace(study_data(noise=noise), split_seed=split)
        found = measure(data, config, Options(), orders)
        keys = {"study": "main", "dataset": "synthetic", "backbone": "random", "split_seed": split}
        frames.append(found.rows.assign(**keys))
        arrays |= {sample_name(split, name): a for name, a in found.samples.items()}
    write_rows(f"{stem}.csv", pd.concat(frames))
    names = f"{orders[0]}-{orders[-1]}"
    facts = {"dataset": "synthetic", "backbone": "random", "orders": names, "class_names": []}
    write_tensors(f"{stem}.safetensors", arrays, facts)
    write_json(root / "data/splits/synthetic/split.json", {"test": [noise]})
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    base = tmp_path_factory.mktemp("runs")
    return make_run(base / "a", 1, [0, 1, 2]), make_run(base / "b", 8, [1, 2, 3])


def accuracy(run: Path) -> pd.DataFrame:
    (file,) = run.rglob("orders=0.csv")
    rows = pd.read_csv(file)
    return rows[rows["metric"] == "accuracy"]


def sides(folders: tuple[Path, Path]) -> list[Side]:
    return [Side(folder.name, folder) for folder in folders]


def test_common_cells_are_paired_over_the_seeds_that_both_have(runs: tuple[Path, Path]) -> None:
    table, notes = changed_accuracy(*sides(runs))
    assert not notes
    old, new = (
        rows[rows["order_seed"].isin([1, 2])].groupby(KEYS)["value"].mean()
        for rows in map(accuracy, runs)
    )
    expected = (new - old).to_dict()
    found = table.set_index(KEYS)["mean"].to_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value), key
    assert (table["after"] - table["before"]).to_numpy() == pytest.approx(table["mean"].to_numpy())
    text = table[table["component"] == "text"]
    assert (text["mean"] == 0).all()
    assert set(table["n_orders"]) <= {1, 2}
    assert ((table["low"] <= table["mean"]) & (table["mean"] <= table["high"])).all()


def test_the_page_draws_every_common_cell_and_marks_what_moved(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    table, notes = changed_accuracy(*sides(runs))
    table.loc[table.index[0], ["mean", "low", "high", "p"]] = [5.0, 4.0, 6.0, 1e-6]
    found = Comparison({}, (), (), (), (), {})
    page.write(tmp_path / "page.html", ("old", "new"), found, table, change_words(table, notes))
    text = (tmp_path / "page.html").read_text()
    assert text.count("<svg") == len(table)
    assert text.count("<strong>") == 1
    assert "<strong>+5.00 [+4.00, +6.00]</strong>" in text
    assert "is higher in 1 of" in text


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_the_comparison_fits_its_window_and_needs_nothing_beside_it(
    runs: tuple[Path, Path], tmp_path: Path, width: int
) -> None:
    import chromium

    table, notes = changed_accuracy(*sides(runs))
    name = "data/evaluation/" + "a_long_name_of_a_data_set/" * 4 + "splits=0-2/orders=0-9.csv"
    found = Comparison({"model.length": (1, 8)}, (), (name,), (), (), {name: "row 1 differs"})
    path = tmp_path / "index.html"
    page.write(path, ("old", "new"), found, table, change_words(table, notes))
    with chromium.fitting(path, width, tmp_path / "profile") as tab:
        assert tab.run("document.querySelectorAll('svg').length") == len(table)
        for fold in ("true", "false"):
            tab.run(f"document.querySelectorAll('details').forEach(d => {{ d.open = {fold} }})")
            assert tab.run("document.documentElement.scrollWidth") <= width


def test_a_run_and_itself_are_level_everywhere(runs: tuple[Path, Path]) -> None:
    table, notes = changed_accuracy(*sides((runs[0], runs[0])))
    assert not table["mean"].any()
    (sentence,) = change_words(table, notes)
    assert sentence.startswith(
        f"synthetic (random), accuracy after less before, {len(table)} cells: ties in {len(table)}"
    )


def test_other_lists_of_images_are_not_paired(runs: tuple[Path, Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "c", 1, [0, 1, 2], noise=0.5)
    table, notes = changed_accuracy(*sides((runs[0], other)))
    assert table.empty
    assert change_words(table, notes) == [
        "synthetic: the runs have other lists of images, so nothing is paired",
        "no cell of study main is in both runs",
    ]


def test_a_run_without_evaluations_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"d has no data/evaluation/main, .* dvc pull"):
        changed_accuracy(*sides((runs[0], tmp_path / "d")))


def test_an_extended_run_has_the_cells_of_the_first(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    more = tmp_path / "more"
    shutil.copytree(runs[0], more)
    (file,) = more.rglob("orders=0.csv")
    rows = pd.read_csv(file)
    write_rows(file, rows[rows["shots"] == 0])
    table, _ = changed_accuracy(*sides((runs[0], more)))
    assert set(table["shots"]) == {0}
    assert np.isfinite(table["mean"]).all()
