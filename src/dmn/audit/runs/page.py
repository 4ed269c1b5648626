"""The comparison of two runs as one self-contained page, and as rows.

Equal runs give equal bytes: no dates, no machine, no script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from dmn.artifacts import write_text
from dmn.audit.runs.accuracy import CHANGE, LEAST
from dmn.audit.runs.comparison import Comparison
from dmn.evaluation.across import holm
from dmn.report import page as reports
from dmn.report.words import cell_words, verdict, words

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 160  # of the drawing of an interval
MARGIN = 8
FEW = 12  # lines of a list that is not folded
LEAST_SCALE = 1.0  # points: a difference of nothing is not drawn as a large one


def rows(found: Comparison) -> pd.DataFrame:
    """Return all that differs, a row each: kind, name, before, after."""
    import pandas as pd

    return pd.DataFrame(list(_rows(found)), columns=["kind", "name", "before", "after"])


def _rows(found: Comparison) -> Iterator[tuple[str, str, str, str]]:
    for key, (old, new) in found.keys.items():
        yield "key", key, str(old), str(new)
    for kind, changes in found.surroundings.items():
        for name, (was, now) in changes.items():
            yield kind, name, was or "none", now or "none"
    for name in found.differing:
        yield "file", name, "there", found.first.get(name, "differs")
    for name in found.only_before:
        yield "file", name, "there", "none"
    for name in found.only_after:
        yield "file", name, "none", "there"


def write(
    path: Path,
    labels: tuple[str, str],
    found: Comparison,
    table: pd.DataFrame,
    sentences: Sequence[str],
) -> None:
    """Write the page: sentences, common cells with intervals, and what else differs."""
    here = Path(__file__).parent
    style = Path(reports.__file__).with_suffix(".css").read_text("utf-8")
    style += (here / "page.css").read_text("utf-8")
    template = reports.templates(here).get_template("page.html")
    text = template.render(
        before=labels[0],
        after=labels[1],
        found=found,
        style=Markup(style),
        policy=f"default-src 'none'; style-src {reports.hashed(style)}; img-src data:",
        sentences=[sentence[:1].upper() + sentence[1:] for sentence in sentences],
        cells=list(_cells(table)),
        width=WIDTH,
        # files come last: they follow from what stands before
        groups=[(kind, list(own)) for kind, own in groupby(_rows(found), lambda row: row[0])],
        few=FEW,
    )
    write_text(path, text)


def _cells(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield what is shown of each common cell; x: the interval's ends and mean in the drawing."""
    if table.empty:
        return
    scale = max(LEAST_SCALE, float(table[["low", "high"]].abs().max().max()))

    def x(points: float) -> float:
        return round(WIDTH / 2 + points / scale * (WIDTH / 2 - MARGIN), 2)

    found = table.to_dict("records")
    for row, p_value in zip(found, holm([row["p"] for row in found]), strict=True):
        weights = "" if row["weights"] == "none" else f", {words(row['weights'])}"
        said = verdict(row, LEAST, CHANGE, p_value)
        yield {
            "place": f"{row['dataset']} ({row['backbone']})",
            "cell": cell_words(row),
            "what": f"{words(row['component'])}{weights}",
            "before": f"{row['before']:.1f}",
            "after": f"{row['after']:.1f}",
            "change": f"{row['mean']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]",
            "verdict": said,
            "moved": said in (CHANGE["gain"], CHANGE["loss"]),
            "low": x(row["low"]),
            "mean": x(row["mean"]),
            "high": x(row["high"]),
        }
