"""Class names as data sets have them: twice, like numbers, like nothing, in any script."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib.font_manager
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.text import Text

from dmn.artifacts import read_rows, write_json, write_rows, write_tensors
from dmn.config import load
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split, told_apart
from dmn.evaluation.answers import read_all_samples
from dmn.evaluation.inputs import Inputs, read_data
from dmn.report.drawing import fonts
from dmn.stages.reports import write_study
from dmn.studies import failures
from synthetic import study_data

CONFIG = load({"shots": [1, 4], "model": {"view_share": 0.5, "length": 4}})
AWKWARD = ["missile", "missile", "nan", "007", "50 % of a|b & $x_1$", "猫 🐈"]
APART = ["missile (0)", "missile (1)", *AWKWARD[2:]]


def test_names_of_several_classes_get_their_index() -> None:
    assert told_apart(AWKWARD) == APART
    assert told_apart(["a", "b"]) == ["a", "b"]


def test_names_stay_apart_when_one_is_called_as_another_with_its_index() -> None:
    names = told_apart(["a", "a", "a (0)"])
    assert len(set(names)) == 3


def test_a_study_gets_names_that_are_apart(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    split = Split("mine", tuple(AWKWARD), (), (), tuple((f"{c}.jpg", c) for c in range(6)))
    unit = np.eye(6, 8, dtype=np.float16)
    folder = "data/features/mine/glyph"
    lists = "data/splits/mine/split.json"
    write_json(lists, split.to_json())
    write_tensors(f"{folder}/text.safetensors", {"text": unit}, {"logit_scale": 100.0})
    views = {"views": unit[:, None], "labels": np.arange(6)}
    write_tensors(f"{folder}/test.safetensors", views, {"ids": list("abcdef")})
    inputs = Inputs(*(f"{folder}/{part}.safetensors" for part in ("text", "test")), lists)
    entry = DatasetEntry(name="mine", title="Mine", kind="digits", classes=6)
    data = read_data(inputs, CONFIG, entry, "glyph", 0)
    assert data.class_names == APART


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the failures of classes with awkward names, from files as a job leaves them."""
    folder = tmp_path_factory.mktemp("report")
    data = replace(study_data(noise=0.6), class_names=told_apart(AWKWARD))
    options = failures.Options(checkpoints=3, pictures=2)
    measured = failures.measure(data, CONFIG, options, [0, 1])
    place = {"study": "failures", "dataset": "synthetic", "backbone": "random", "split_seed": 0}
    write_rows(folder / "rows.csv", measured.rows.assign(**place))
    facts = {"dataset": "synthetic", "backbone": "random", "orders": "0-1"}
    arrays = {f"split=0/{name}": array for name, array in measured.samples.items()}
    facts |= {"class_names": data.class_names}
    write_tensors(folder / "samples.safetensors", arrays, facts)
    out = folder / "out" / "rows.csv"
    files = [str(folder / "rows.csv")], [str(folder / "samples.safetensors")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_study(failures, *files, options, str(out))
    return out.parent


def test_each_class_of_any_name_has_its_own_rows_in_the_report(reported: Path) -> None:
    table = pd.read_csv(reported / "classes.csv", keep_default_na=False, dtype=str)
    assert set(table["class_name"]) == set(APART)
    per_class = table.groupby("class_name").size()
    assert per_class.nunique() == 1
    confusions = pd.read_csv(reported / "confusions.csv", keep_default_na=False, dtype=str)
    assert set(confusions["class_name"]) | set(confusions["answered"]) <= set(APART)


def test_a_figure_says_the_index_of_a_class_that_no_font_can_write(reported: Path) -> None:
    files = reported.parent / "rows.csv", reported.parent / "samples.safetensors"
    rows = read_rows(files[0], dtype={"class_name": str, "training_seed": str})
    found = failures.report(rows, read_all_samples([str(files[1])]), failures.Options())
    said = {text.get_text() for text in found.figures["gain_by_class"].findobj(Text)}
    assert {"missile (0)", "missile (1)", "nan", "007", "class 5"} <= said
    assert "猫 🐈" in set(found.tables["classes"]["class_name"])


@pytest.fixture
def cat_font(tmp_path: Path) -> Iterator[str]:
    """Install a font with one character that matplotlib's own font lacks."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord("猫"): "cat"})
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (900, 700), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "cat": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "cat": (1000, 100)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Tests Cats", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cats.ttf")
    manager = matplotlib.font_manager.fontManager
    before = list(manager.ttflist)
    # what a machine has installed may know the character too
    manager.ttflist[:] = [font for font in before if font.name.startswith("DejaVu")]
    manager.addfont(str(tmp_path / "cats.ttf"))
    fonts._families.cache_clear()
    yield "Tests Cats"
    manager.ttflist[:] = before
    fonts._families.cache_clear()


def test_an_installed_font_writes_what_the_own_font_cannot(cat_font: str, tmp_path: Path) -> None:
    from dmn.report.drawing import style

    assert fonts.drawable("猫 7")
    assert not fonts.drawable("猫 🐈")
    plot, axes = style.new_figure()
    axes[0, 0].set_xlabel("a 猫")
    with warnings.catch_warnings():
        # matplotlib warns of a character that it draws as an empty box
        warnings.simplefilter("error")
        style.save(plot, tmp_path / "figure")
    assert axes[0, 0].xaxis.label.get_fontfamily() == [fonts.OWN, cat_font]
    assert axes[0, 0].yaxis.label.get_fontfamily() == ["sans-serif"]
