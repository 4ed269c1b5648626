"""The look of every figure: one colour, marker and line a method, one way to save.

Colours come from the palettes of Okabe and Ito and of Paul Tol, which stay apart for colour-blind
readers; markers and lines tell the same in grey. What used test labels is always called oracle and
is drawn lighter, hollow, dashed and hatched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from dmn.artifacts import atomic
from dmn.report.drawing.fonts import complete
from dmn.report.words import in_figure

if TYPE_CHECKING:
    import pandas as pd

    from dmn.report.summary import Stories

COLUMN = 3.35
PAGE = 7.0
LONG = re.compile(r"-?(?<![\w#.])\d+\.\d{3,}(?![\w.])")
SCALES = re.compile(r"(scale\([^)]*\)|xlink:href=\"data:[^\"]*\")")
BESIDE = re.compile(r"<!DOCTYPE.*?>\n| *<metadata>.*?</metadata>\n| *<!--.*?-->\n", re.DOTALL)
PATH, STYLE = re.compile(r' d="([^"]*)"'), re.compile(r' style="[^"]*"')
MOST_HINTS = 400
KINDS = ("svg", "pdf", "png")
INK = "#222222"
FAINT = "#8a8a8a"
LIGHTEST = 0.42  # of a scale from light to dark, where contrast is enough
LEAST_CONTRAST = 3.0  # of a series on paper
PLAIN = "#4a6fa5"
RC_FILE = Path(__file__).with_name("style.mplstyle")
# what a file says about itself beside its content: no dates, no machine, no program
METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


@dataclass(frozen=True)
class Mark:
    """How one method is drawn."""

    label: str
    color: str
    marker: str = "o"
    line: Any = "-"
    hollow: bool = False
    hatch: str = ""

    def line_options(self) -> dict[str, Any]:
        """Return the options of a line with markers."""
        face = "white" if self.hollow else self.color
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": face,
            "markeredgecolor": self.color,
        }

    def bar_options(self) -> dict[str, Any]:
        """Return the options of a bar."""
        return {"facecolor": self.color, "hatch": self.hatch, "edgecolor": INK, "linewidth": 0.4}


@dataclass(frozen=True)
class Hint:
    """What the page says where the pointer comes near a point of a figure."""

    axis: Any
    x: float
    y: float
    text: str


class Plot(Figure):
    """A figure that carries what the page says about it.

    caption: one or two sentences; data: the rows that were drawn; table: the report's table
    with the same numbers, if there is one; stories: of images that it is about.
    """

    caption: str = ""
    alt: str = ""
    table: str | None = None
    data: pd.DataFrame | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.hints: list[Hint] = []
        self.stories: list[Stories] = []

    def points(self) -> list[tuple[int, int, str]]:
        """Return the hints in thousandths of width and height from the top left, once it is drawn.

        Of very many every n-th; what lies outside its axes has none.
        """
        found = []
        for hint in self.hints[:: -(-len(self.hints) // MOST_HINTS) or 1]:
            x, y = hint.axis.transData.transform((hint.x, hint.y))
            if hint.axis.bbox.padded(2).contains(x, y):
                across, up = (self.transFigure.inverted().transform((x, y)) * 1000).round()
                found.append((int(across), int(1000 - up), hint.text))
        return found


DOTTED = (0, (1, 1.4))
DASHED = (0, (4, 1.6))
DASH_DOT = (0, (5, 1.4, 1, 1.4))
MARKS = {
    "none": Mark("none", "#5c5c5c", "o", DOTTED),
    "text": Mark("text", "#5c5c5c", "o", DOTTED),
    "dynamic": Mark("dynamic", "#0072b2", "s"),
    "static": Mark("static", "#a87b00", "^", DASHED),
    "both": Mark("both memories", "#7b3294", "P", DASH_DOT),
    "fused": Mark("fused", "#c44601", "D"),
    "fused fixed": Mark("fused, fixed", "#7b3294", "P", DASH_DOT),
    "fused label free": Mark("fused, label-free", "#aa3377", ">", DASH_DOT),
    "fused validation": Mark("fused, validation", "#c44601", "D"),
    "fixed": Mark("fixed", "#7b3294", "P", DASH_DOT),
    "label free": Mark("label-free", "#aa3377", ">", DASH_DOT),
    "validation": Mark("validation", "#c44601", "D"),
    "zero shot clip": Mark("zero-shot CLIP", "#5c5c5c", "o", DOTTED),
    "dmn": Mark("DMN", "#c44601", "D"),
    "dmn centred": Mark("DMN, centred", "#8c2d04", "*"),
    "tip adapter": Mark("Tip-Adapter", "#2a8d6d", "v", DASHED),
    "tip adapter f": Mark("Tip-Adapter-F", "#00634a", "<"),
    "tda": Mark("TDA", "#2b8cc4", "X", DASH_DOT),
    "nearest class mean": Mark("nearest class mean", "#84842a", "p", DOTTED),
    "linear probe": Mark("linear probe", "#882255", "h", DASHED),
}
ALIASES = {"clip": "zero shot clip"}
OTHERS = (
    ("#332288", "o", "-"),
    ("#2f9484", "s", DASHED),
    ("#a87b00", "^", DASH_DOT),
    ("#aa4499", "D", DOTTED),
    ("#117733", "v", "-"),
    ("#c25a6c", "P", DASHED),
    ("#4a6fa5", "X", DASH_DOT),
    ("#6b4c2a", "p", DOTTED),
)


def mark(*names: object) -> Mark:
    """Return how a method is drawn, by component and weights or by a peer's name.

    >>> mark("fused", "oracle").label
    'fused, oracle'
    """
    parts = [part for part in (_plain(name) for name in names) if part and part != "none"]
    name = " ".join(parts) or "none"
    if name == "oracle":
        return replace(_oracle("fused"), label="oracle")
    if name.endswith("oracle"):
        return _oracle(name.removesuffix("oracle").strip() or "fused")
    for known in (name, ALIASES.get(name, ""), parts[0] if parts else ""):
        if known in MARKS:
            found = MARKS[known]
            extra = name.removeprefix(known).strip() if name.startswith(known) else ""
            line = DASH_DOT if extra == "fixed" else found.line
            label = f"{found.label}, {extra}" if extra else found.label
            return replace(found, label=label, line=line)
    return Mark(", ".join(in_figure(n) for n in names if _plain(n) != "none"), INK)


def _plain(name: object) -> str:
    return re.sub(r"[\s_,()-]+", " ", str(name)).strip().lower()


def _oracle(name: str) -> Mark:
    base = mark(name if name != "fused" else "fused validation")
    label = f"{'fused' if name == 'fused' else base.label}, oracle"
    light = next(
        color
        for share in range(45, -1, -5)
        if contrast(color := _lighter(base.color, share / 100)) >= LEAST_CONTRAST or not share
    )
    return Mark(label, light, base.marker, DASHED, hollow=True, hatch="////")


def _lighter(color: str, share: float) -> str:
    red, green, blue = (part + share * (1 - part) for part in to_rgb(color))
    return to_hex((red, green, blue))


def contrast(color: str, ground: str = "white") -> float:
    """Return the contrast of two colours as WCAG 2 has it, from 1 to 21.

    >>> contrast("black"), contrast("white")
    (21.0, 1.0)
    """
    lights = sorted(_luminance(one) + 0.05 for one in (color, ground))
    return round(lights[1] / lights[0], 6)


def _luminance(color: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def marks(names: Sequence[tuple[object, ...]]) -> list[Mark]:
    """Return one mark for each name, all different: unknown methods take the spare ones in turn."""
    found: list[Mark] = []
    spare = 0
    for name in names:
        own = mark(*name)
        taken = {(m.color, m.marker, m.line) for m in found}
        if own.color == INK or (own.color, own.marker, own.line) in taken:
            turn, place = divmod(spare, len(OTHERS))
            color, _, line = OTHERS[place]
            marker = OTHERS[(place + turn) % len(OTHERS)][1]
            own, spare = replace(own, color=color, marker=marker, line=line), spare + 1
        found.append(own)
    return found


def in_order(names: Sequence[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return methods in the order that all figures show them in; unknown ones last, as given."""
    ranks = {how.marker: place for place, how in reversed(list(enumerate(MARKS.values())))}

    def rank(name: tuple[object, ...]) -> tuple[int, bool]:
        how = mark(*name)
        return (len(MARKS) if how.color == INK else ranks[how.marker]), how.hollow

    return sorted(names, key=rank)


def category_marks(names: Sequence[tuple[object, ...]]) -> list[Mark]:
    """Return the methods' own marks; categories that are no methods all have the same."""
    own = [mark(*name) for name in names]
    if any(how.color != INK for how in own):
        return marks(names)
    return [replace(how, color=PLAIN) for how in own]


def ordered_marks(labels: Sequence[object]) -> list[Mark]:
    """Return marks from light to dark for values with an order, such as severities."""
    shades = matplotlib.colormaps["cividis_r"]
    count = max(len(labels) - 1, 1)
    cycle = "osD^vPX<>ph"
    return [
        Mark(
            in_figure(label),
            to_hex(shades(LIGHTEST + (1 - LIGHTEST) * i / count)),
            cycle[i % len(cycle)],
        )
        for i, label in enumerate(labels)
    ]


@cache
def _parameters() -> Any:
    return matplotlib.rc_params_from_file(RC_FILE, fail_on_error=True)


def apply() -> None:
    """Set matplotlib to the project's style, whatever a user's own matplotlibrc says."""
    matplotlib.rcParams.update(_parameters())


def new_figure(
    width: float = COLUMN,
    height: float = 2.3,
    rows: int = 1,
    columns: int = 1,
    **options: Any,
) -> tuple[Plot, Any]:
    """Return an empty figure of `width` x `height` inches and its axes [rows, columns]."""
    apply()
    plot = Plot(figsize=(width, height), layout="constrained")
    return plot, plot.subplots(rows, columns, squeeze=False, **options)


def _shorten(path: Path) -> None:
    """Say a drawing in half the letters, one tag a line, and round it to hundredths of a point.

    Scales stay as they are.
    """
    text = BESIDE.sub("", path.read_text(encoding="utf-8"))
    parts = SCALES.split(text)
    parts[::2] = [
        LONG.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), p) for p in parts[::2]
    ]
    text = PATH.sub(lambda m: f' d="{_path(m[1])}"', "".join(parts))
    text = STYLE.sub(lambda m: re.sub(r"([:;]) ", r"\1", m[0]), text)
    text = re.sub(r"\n\s*", "\n", text)
    # the page embeds it between double quotes
    path.write_text(text if "'" in text else text.replace('"', "'"), encoding="utf-8")


def _path(steps: str) -> str:
    """Return a path without the letters and spaces that go without saying."""
    found, last = "", ""
    for step, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", steps):
        short = " ".join(numbers.split()).replace(" -", "-")
        said = step if step != last else "" if short.startswith("-") else " "
        found += said + short
        # numbers alone go on as before, and after a move they are lines
        last = "L" if step == "M" else step
    return found


def save(figure: Figure, stem: Path | str) -> list[Path]:
    """Write `stem`.svg, .pdf and .png; equal figures give equal bytes. Raises OutputError."""
    apply()
    complete(figure)
    written = []
    for kind in KINDS:
        path = Path(f"{stem}.{kind}")
        with atomic(path) as temporary:
            figure.savefig(temporary, format=kind, metadata=METADATA[kind])
            if kind == "svg":
                _shorten(temporary)
        written.append(path)
        # the layout is found once: the other kinds have the same, and drawing is quicker
        figure.set_layout_engine("none")
    return written
