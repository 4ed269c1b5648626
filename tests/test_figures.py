"""Figures draw the numbers they are given, and nothing in them is cut or covered."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import report_example
from dmn.errors import ArtifactError
from dmn.evaluation.summaries import summarise
from dmn.report.drawing import figures
from dmn.report.drawing.labels import spread_apart
from dmn.report.drawing.style import Plot


def summary(*datasets: str) -> pd.DataFrame:
    return summarise(report_example.rows(datasets or ("digits",)), report_example.KEYS)


def cells() -> pd.DataFrame:
    return summary().assign(name=lambda f: f["component"] + f["weights"])


def bins() -> pd.DataFrame:
    return summary().assign(confidence=50.0, accuracy=60.0, share=0.2)


FORMS: dict[str, Callable[[], Plot]] = {
    "lines": lambda: figures.lines(summary(), "shots", caption="c"),
    "lines of four sets": lambda: figures.lines(summary(*"abcd"), "shots", caption="c"),
    "lines over words": lambda: figures.lines(
        summary().assign(length=lambda f: f["shots"].map({1: 1, 4: 200, 16: "unlimited"})),
        "length",
        caption="c",
    ),
    "ordered lines": lambda: figures.lines(
        summary().query("weights == 'fixed'").assign(severity=5),
        "shots",
        series=["severity"],
        ordered=True,
        caption="c",
    ),
    "dots": lambda: figures.dots(summary(*"ab"), "shots", caption="c"),
    "bars": lambda: figures.dots(summary(), "shots", bars=True, caption="c"),
    "heatmap": lambda: figures.heatmap(cells(), "name", "shots", caption="c"),
    "reliability": lambda: figures.reliability(bins(), caption="c"),
    "scatter": lambda: figures.scatter(summary(), "shots", "mean", caption="c"),
    "gallery": lambda: figures.gallery([np.eye(8)] * 9, ["true 1\nsaid $7"] * 9, caption="c"),
}


@pytest.fixture(params=FORMS)
def plot(request: pytest.FixtureRequest) -> Plot:
    found = FORMS[request.param]()
    FigureCanvasAgg(found).draw()
    return found


def boxes_of(plot: Plot) -> dict[str, Bbox]:
    """Return where each visible text stands, in pixels; ticks beyond the axes are not drawn."""
    found = [text for text in (*plot.texts, plot._supxlabel, plot._supylabel) if text]
    for legend in plot.legends:
        found += legend.get_texts()
    for axes in plot.axes:
        found += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high and axes.axison:
                    found += [tick.label1, tick.label2]
    # an annotation's own extent holds its leader, too
    shown = [text for text in found if text.get_visible() and text.get_text()]
    return {f"{i}: {t.get_text()}": Text.get_window_extent(t) for i, t in enumerate(shown)}


def test_nothing_written_is_cut_by_the_edge(plot: Plot) -> None:
    for text, box in boxes_of(plot).items():
        assert -1 <= box.x0 <= box.x1 <= plot.bbox.x1 + 1, text
        assert -1 <= box.y0 <= box.y1 <= plot.bbox.y1 + 1, text


def test_names_of_steps_do_not_cover_each_other(plot: Plot) -> None:
    for axes in plot.axes:
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            shown = [t for t in labels if t.get_text() and t.get_visible() and not t.get_rotation()]
            boxes = [label.get_window_extent() for label in shown]
            for a, b in pairwise(boxes):
                assert not a.overlaps(b)


def test_every_form_keeps_what_the_page_says(plot: Plot) -> None:
    assert plot.caption.startswith("c")
    assert plot.alt


def test_lines_draw_the_means_in_the_order_of_x() -> None:
    rows = summary()
    plot = figures.lines(rows.sample(frac=1, random_state=0), "shots", caption="c", scale="log")
    drawn = {line.get_label(): line for line in plot.axes[0].get_lines()}
    own = rows[(rows["component"] == "fused") & (rows["weights"] == "oracle")]
    np.testing.assert_array_equal(drawn["fused, oracle"].get_xdata(), [1, 4, 16])
    np.testing.assert_array_equal(drawn["fused, oracle"].get_ydata(), own["mean"])


def test_bars_of_the_oracle_are_hatched() -> None:
    plot = figures.dots(summary(), "shots", bars=True, caption="c")
    bars = {c.get_label(): c.patches for c in plot.axes[0].containers if hasattr(c, "patches")}
    assert all(bar.get_hatch() for bar in bars["fused, oracle"])
    assert not any(bar.get_hatch() for bar in bars["fused, validation"])


def test_each_data_set_has_a_panel_with_its_rows() -> None:
    rows = summary("digits", "flowers102")
    plot = figures.lines(rows, "shots", caption="c", series=["component", "weights"])
    assert [axes.get_title(loc="left") for axes in plot.axes] == ["digits", "flowers102"]
    assert plot.data is not None
    assert len(plot.data) == len(rows)


def test_panels_with_different_categories_name_their_own() -> None:
    rows = pd.DataFrame(
        {
            "parameter": ["beta", "beta", "views"],
            "level": ["1", "5.5", "16"],
            "mean": [1.0, 2.0, 3.0],
        }
    )
    plot = figures.dots(rows, "level", series=(), panels=["parameter"], caption="c")
    names = [[t.get_text() for t in axes.get_yticklabels()] for axes in plot.axes]
    assert names == [["1", "5.5"], ["16"]]


def several() -> pd.DataFrame:
    """Return rows of two data sets in two settings, of which one lacks a number of shots."""
    parts = [summary("a", "b").assign(setting=name) for name in ("zero_shot", "few_shot")]
    rows = pd.concat(parts, ignore_index=True)
    return rows[(rows["setting"] == "few_shot") | (rows["shots"] < 16)]


def test_settings_stand_across_and_data_sets_down() -> None:
    plot = figures.dots(several(), "shots", caption="c", panels=["dataset", "setting"])
    places = {
        axes.get_title(loc="left"): (
            axes.get_subplotspec().rowspan.start,
            axes.get_subplotspec().colspan.start,
        )
        for axes in plot.axes
    }
    assert places == {
        "a, zero-shot": (0, 0),
        "a, few-shot": (0, 1),
        "b, zero-shot": (1, 0),
        "b, few-shot": (1, 1),
    }
    FigureCanvasAgg(plot).draw()
    named = [
        bool([t for t in a.get_yticklabels() if t.get_text() and t.get_visible()])
        for a in plot.axes
    ]
    assert named == [True, False, True, False]


def test_lines_keep_their_place_and_lone_points_stand_beside_each_other() -> None:
    rows = summary()
    alone = rows[(rows["shots"] == 1) | (rows["component"] != "text")]
    plot = figures.lines(alone, "shots", caption="c", scale="ordinal")
    at = {line.get_label(): list(line.get_xdata()) for line in plot.axes[0].get_lines()}
    assert at["dynamic"] == at["fused, oracle"] == [0, 1, 2]
    assert 0 < abs(at["text"][0]) < 0.2


def test_series_that_coincide_are_one_line_with_both_names() -> None:
    rows = summary()
    own = rows[rows["component"] == "dynamic"]
    twin = own.assign(component="static", mean=own["mean"] + 0.01)
    plot = figures.lines(pd.concat([own, twin]), "shots", caption="c")
    labels = [line.get_label() for line in plot.axes[0].get_lines()]
    assert labels == ["dynamic = static"]
    apart = figures.lines(
        pd.concat([own, twin.assign(mean=own["mean"] + 0.1)]), "shots", caption="c"
    )
    assert len(apart.axes[0].get_lines()) == 2


def test_near_a_hundred_percent_is_drawn_further_apart() -> None:
    rows = summary().assign(
        mean=lambda f: 50 + 49 * f.index / f.index.max(), low=np.nan, high=np.nan
    )
    plot = figures.lines(rows, "shots", caption="c", odds=True)
    FigureCanvasAgg(plot).draw()
    axes = plot.axes[0]
    places = [axes.transData.transform((0, y))[1] for y in (60, 70, 90, 98)]
    assert places[3] - places[2] > places[1] - places[0]
    low, high = axes.get_ylim()
    assert low < rows["mean"].min()
    assert high > rows["mean"].max()


def test_the_alternative_text_says_which_series_is_highest() -> None:
    alt = figures.lines(summary(), "shots", caption="c").alt
    assert "from the highest: fused, oracle 8" in alt
    assert alt.endswith("and text 70.0.")


def test_points_are_named_beside_them() -> None:
    rows = summary().query("shots == 4").assign(cost=lambda f: 10.0 ** (1 + f.index % 3))
    plot = figures.scatter(
        rows, "cost", "mean", caption="c", series=["component", "weights"], named=True, log_x=True
    )
    FigureCanvasAgg(plot).draw()
    names = [text.get_text() for text in plot.axes[0].texts]
    assert sorted(names) == sorted(
        ["text", "dynamic", "static", "fused, fixed", "fused, validation", "fused, oracle"]
    )
    boxes = sorted((Text.get_window_extent(t) for t in plot.axes[0].texts), key=lambda box: box.y0)
    assert all(b.y0 >= a.y1 - 2 for a, b in pairwise(boxes))


def test_labels_at_the_ends_of_lines_do_not_cover_each_other() -> None:
    rows = summary().assign(mean=lambda f: 70 + 0.06 * f.index, low=np.nan, high=np.nan)
    plot = figures.lines(rows, "shots", caption="c")
    FigureCanvasAgg(plot).draw()
    boxes = [Text.get_window_extent(text) for text in plot.axes[0].texts]
    assert len(boxes) == 6
    heights = sorted((box.y0, box.y1) for box in boxes)
    assert all(b[0] >= a[1] - 1 for a, b in pairwise(heights))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12), st.floats(0.1, 8))
def test_labels_spread_apart_in_their_order(wanted: list[float], distance: float) -> None:
    placed = spread_apart(wanted, distance, 0, 100)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) >= distance - 1e-9).all()
    assert placed.min() >= -1e-9
    assert placed.max() <= 100 + 1e-9


def test_labels_with_room_stay_where_they_are() -> None:
    np.testing.assert_array_equal(spread_apart([80, 10, 40], 5, 0, 100), [80, 10, 40])


def test_no_rows_give_a_figure_that_says_so() -> None:
    plot = figures.lines(summary().iloc[:0], "shots", caption="Accuracy.")
    assert plot.caption == "Accuracy."
    assert [t.get_text() for t in plot.axes[0].texts] == ["Not measured with this configuration."]


def test_a_missing_column_is_told_with_the_known_ones() -> None:
    with pytest.raises(ArtifactError, match="no column 'length'; they have: dataset, backbone"):
        figures.lines(summary(), "length", caption="c")


def test_a_gallery_needs_a_title_for_each_picture() -> None:
    with pytest.raises(ArtifactError, match="2 images has 1 titles"):
        figures.gallery([np.eye(2)] * 2, ["one"], caption="c")


@pytest.mark.parametrize("form", ["lines", "dots", "bars", "scatter", "heatmap"])
def test_a_caption_says_over_what_the_intervals_are(form: str) -> None:
    assert "95% intervals over 3 splits and 3 orders." in FORMS[form]().caption
