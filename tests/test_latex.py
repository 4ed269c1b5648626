"""Tables in LaTeX: pivoted, the numbers of the page, and TeX sets them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import report_example
from dmn.evaluation.answers import ASKED, RIGHT, attach, pack, packed
from dmn.report import tables
from dmn.report.comparisons import CELL, LEVEL, with_level
from dmn.report.grids import grid
from dmn.report.paper.latex import MOST_LINES, latex
from dmn.report.summary import Table, read_summary


def cells(datasets: tuple[str, ...] = ("digits",), methods: int = 3) -> pd.DataFrame:
    """Return means of some methods in two settings with two numbers of shots."""
    names = [
        {"dataset": d, "backbone": "glyph", "setting": setting, "shots": shots, "method": f"m {m}"}
        for d in datasets
        for setting in ("training_free", "few_shot")
        for shots in (1, 16)
        for m in range(methods)
    ]
    frame = pd.DataFrame(names).assign(mean=np.arange(len(names)) + 10.0)
    return frame.assign(low=frame["mean"] - 1, high=frame["mean"] + 1)


def printed(frame: pd.DataFrame) -> Table:
    return tables.printed(
        tables.describe(frame, "Accuracy & more.", best="max", within=CELL), "main"
    )


def test_settings_and_shots_stand_across_and_intervals_under_the_means() -> None:
    text = latex(printed(cells()))
    assert r"& \multicolumn{2}{c}{training-free} & \multicolumn{2}{c}{few-shot} \\" in text
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-5}" in text
    assert r"method & 1 shot & 16 shots & 1 shot & 16 shots \\" in text
    assert "\n" + r"m 0 & 10.00 & 13.00 & 16.00 & 19.00 \\[-2pt]" in text
    assert r" & {\tiny [9.00, 11.00]} & {\tiny [12.00, 14.00]} & " in text
    assert r"m 2 & \textbf{12.00} & \textbf{15.00} & \textbf{18.00} & \textbf{21.00}" in text
    assert r"\caption{Accuracy \& more." in text
    assert text.count(r"\begin{table}") == 1


def test_a_table_longer_than_a_page_is_one_for_each_data_set() -> None:
    frame = cells(("digits", "letters", "signs"), methods=MOST_LINES // 4)
    text = latex(printed(frame))
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 3
    assert [f"tab:main-{n}" in text for n in (1, 2, 3)] == [True] * 3
    assert latex(printed(cells(methods=MOST_LINES))).count(r"\begin{table}") == 2
    short = latex(printed(cells(("digits", "letters"))))
    assert r"\multicolumn{5}{@{}l}{\emph{letters}} \\" in short
    assert short.count(r"\addlinespace") == 1


def test_latex_has_every_number_of_the_page(tmp_path: Path) -> None:
    report_example.write(tmp_path, ("digits", "letters"))
    summary = read_summary(tmp_path / "studies/example/summary.json")
    for table in summary.tables:
        text = (tmp_path / f"studies/example/{table.name}.tex").read_text()
        shown = [c for g in grid(table).groups for line in g.lines for c in line.cells if c]
        assert len(shown) > 2
        for cell in shown:
            mean, _, interval = cell.text.partition(" [")
            assert mean.replace("−", "$-$") in text
            assert f"[{interval}".replace("−", "$-$") in text or not interval


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is absent")
def test_tex_sets_the_tables_without_a_word(tmp_path: Path) -> None:
    """The preamble is that of docs/paper.md, whose margins are LaTeX's own, wide ones."""
    report_example.write(tmp_path, ("digits", "letters"))
    page = (Path(__file__).parents[1] / "docs/paper.md").read_text(encoding="utf-8")
    document = re.search(r"```latex\n(.*?)```", page, re.DOTALL)[1]
    files = sorted((tmp_path / "studies/example").glob("*.tex"))
    assert len(files) == 4
    inputs = "\\clearpage\n".join(rf"\input{{{file.relative_to(tmp_path)}}}" for file in files)
    text = re.sub(r"\\input\{.*?\}", lambda _: inputs, document)
    (tmp_path / "paper.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
    assert "Undefined control sequence" not in done.stdout


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_no_text_breaks_out_of_a_cell(name: str) -> None:
    text = latex(tables.printed(pd.DataFrame({"class": [name], "n": [1]})))
    body = text.split("\\midrule\n")[1].split("\n\\bottomrule")[0]
    assert len(body.split("\n")) == 1
    known = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar"
    plain = re.sub(known + r"|textquotedbl|dots)\{\}", "", body)
    plain = re.sub(r"\$(-|\\times|\\pm|\\to|\\le|\\ge|\\beta)\$|\\[&%$#_{}]|\\\\$", "", plain)
    assert not re.search(r"[\\%$#_{}~^<>|\"]", plain)
    assert plain.count("&") == 1


def answered(rates: dict[str, float], images: int = 400, orders: int = 3) -> pd.DataFrame:
    """Return accuracies of methods on one place, each right on the first images of a share."""
    generator = np.random.default_rng(0)
    rows = []
    for order in range(orders):
        for method, rate in rates.items():
            right = np.arange(images) < rate * images + generator.integers(-1, 2)
            weights = "oracle" if method == "oracle" else "none"
            rows.append(
                {
                    "dataset": "d", "backbone": "b", "split_seed": 0, "order_seed": order,
                    "training_seed": "none", "setting": "zero_shot", "shots": 0,
                    "method": method, "weights": weights, "metric": "accuracy",
                    "value": 100 * right.mean(), "n": images, RIGHT: packed(right), ASKED: None,
                }
            )  # fmt: skip
    found = pack(rows, images)
    jobs = {("d", "b", "0", "0-2"): found.samples}
    return attach(found.rows, jobs)


def level(rates: dict[str, float], largest: bool = True) -> dict[str, str]:
    rows = answered(rates)
    table = rows.groupby([*CELL, "method", "weights"], sort=False)["value"].mean().reset_index()
    table = table.rename(columns={"value": "mean"})
    marked = with_level(table, rows, CELL, ["method"], largest)
    return dict(zip(marked["method"], marked[LEVEL], strict=True))


def test_bold_is_the_best_and_what_it_does_not_beat() -> None:
    rates = {"worst": 0.5, "second": 0.795, "best": 0.8, "oracle": 0.9}
    assert level(rates) == {"worst": "no", "second": "yes", "best": "yes", "oracle": "no"}
    assert level({"worst": 0.5, "best": 0.8}) == {"worst": "no", "best": "yes"}
    errors = level({"worst": 0.5, "best": 0.8}, largest=False)
    assert errors == {"worst": "yes", "best": "no"}


def test_nothing_is_bold_where_the_best_beats_nothing() -> None:
    assert set(level({"one": 0.8, "other": 0.799}).values()) == {"no"}
    assert set(level({"one": 0.8}).values()) == {"no"}
