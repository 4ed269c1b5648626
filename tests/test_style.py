"""One colour, marker and line a method; equal figures give equal bytes."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import matplotlib
import pytest
from matplotlib.colors import to_hex, to_rgb

from dmn.errors import OutputError
from dmn.report.drawing import style

COMPONENTS = [
    ("text", "none"),
    ("dynamic", "none"),
    ("static", "none"),
    ("fused", "fixed"),
    ("fused", "validation"),
    ("fused", "oracle"),
]
PEERS = [("zero_shot_clip",), ("tip_adapter",), ("tip_adapter_f",), ("tda",), ("linear_probe",)]


def drawing() -> style.Plot:
    plot, axes = style.new_figure()
    axes[0, 0].plot([1, 2, 3], [70.0, 75.5, 80.0], **style.mark("dynamic").line_options())
    axes[0, 0].barh([1], [60.0], **style.mark("fused", "oracle").bar_options())
    axes[0, 0].set_xlabel("accuracy (%)")
    return plot


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in style.save(drawing(), folder / "figure")}


def test_equal_figures_give_equal_bytes(tmp_path: Path) -> None:
    first, second = files(tmp_path / "a"), files(tmp_path / "b")
    assert set(first) == {"figure.svg", "figure.pdf", "figure.png"}
    assert first == second


def test_files_say_neither_date_nor_program(tmp_path: Path) -> None:
    for content in files(tmp_path).values():
        for word in (b"CreationDate", b"dc:date", b"Software", b"Producer", b"matplotlib.org"):
            assert word not in content


def test_a_users_own_settings_change_nothing(tmp_path: Path) -> None:
    expected = files(tmp_path / "a")
    with matplotlib.rc_context({"font.size": 31.0, "svg.hashsalt": None, "savefig.dpi": 30}):
        assert files(tmp_path / "b") == expected


def test_an_unwritable_folder_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write .*figure.svg"):
        style.save(drawing(), tmp_path / "file" / "figure")


@pytest.mark.parametrize("component", ["text", "dynamic", "static", "fused", "tda", "new method"])
def test_the_oracle_is_always_named_hollow_dashed_and_hatched(component: str) -> None:
    oracle = style.mark(component, "oracle")
    assert oracle.label.endswith(", oracle")
    assert (oracle.hollow, oracle.line, bool(oracle.hatch)) == (True, style.DASHED, True)
    assert oracle.color != style.mark(component, "validation").color


def test_methods_differ_without_their_colours() -> None:
    for group in (COMPONENTS, PEERS):
        for a, b in combinations(map(lambda names: style.mark(*names), group), 2):
            assert (a.marker, a.hollow) != (b.marker, b.hollow)
            assert (a.color, a.hatch) != (b.color, b.hatch)


def test_a_component_keeps_its_colour_whatever_weights_it_is_fused_with() -> None:
    for component in ("dynamic", "static", "tda"):
        colours = {style.mark(component, w).color for w in ("none", "fixed", "validation")}
        assert colours == {style.mark(component).color}


def test_unknown_methods_get_marks_of_their_own() -> None:
    found = style.marks([("text",), ("one",), ("two",), ("text", "none")])
    assert len({(m.color, m.marker, m.line) for m in found}) == 4
    assert style.marks([("dynamic",)])[0] == style.mark("dynamic")


def test_keys_are_shown_as_words() -> None:
    labels = [style.mark(*n).label for n in (("fused", "validation"), ("tip_adapter_f",))]
    assert labels == ["fused, validation", "Tip-Adapter-F"]
    assert style.mark("a$b_c").label == r"a\$b c"


def test_many_unknown_methods_all_look_different() -> None:
    drawn = style.marks([(f"method {i}",) for i in range(30)])
    assert len({(how.color, how.marker, how.line) for how in drawn}) == 30


def turned(color: str) -> str:
    """Return a colour as the dark page shows it: CSS invert(1) hue-rotate(180deg), in sRGB."""
    red, green, blue = (1 - part for part in to_rgb(color))
    weights = 0.213, 0.715, 0.072
    twice = 2 * sum(w * part for w, part in zip(weights, (red, green, blue), strict=True))
    return to_hex([min(max(twice - part, 0.0), 1.0) for part in (red, green, blue)])


def test_every_series_is_seen_on_paper_and_on_the_dark_page() -> None:
    known = [style.mark(name) for name in style.MARKS]
    oracles = [style.mark(name, "oracle") for name in style.MARKS]
    others = style.marks([(f"method {i}",) for i in range(8)])
    scales = [how for n in range(1, 12) for how in style.ordered_marks(range(n))]
    for how in [*known, *oracles, *others, *scales]:
        assert style.contrast(how.color) >= 3, how
        assert style.contrast(turned(how.color), "black") >= 3, how


def test_contrast_is_that_of_the_guidelines() -> None:
    assert style.contrast("#777777") == pytest.approx(4.48, abs=0.005)
    assert style.contrast("#ffffff", "#0000ff") == pytest.approx(8.59, abs=0.005)


def test_a_drawing_has_no_longer_numbers_than_are_seen(tmp_path: Path) -> None:
    text = (style.save(drawing(), tmp_path / "figure")[0]).read_text(encoding="utf-8")
    numbers = re.sub(r"scale\([^)]*\)|<style.*?</style>", "", text, flags=re.DOTALL)
    assert not re.search(r"[ \"(,]-?\d+\.\d{3,}[ \"),]", numbers)
    assert "scale(0.01" in text
