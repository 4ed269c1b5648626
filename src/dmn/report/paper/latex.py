"""Tables in LaTeX, with the package booktabs and nothing else.

As on the page: methods down, settings and shots across, a block for each data set and backbone, its
intervals small under the means. A table longer than a page is cut into several.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from dmn.report.grids import Grid, Group, Head, Line, grid
from dmn.report.summary import Cell, Table
from dmn.report.tables import EMPTY

MOST_LINES = 52  # of a page in footnotesize
ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
SIGNS = {
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "→": r"$\to$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "β": r"$\beta$",
    "…": r"\dots{}",
}


def latex(table: Table) -> str:
    """Return a table as one or more `table` environments; best in bold."""
    shown = grid(table)
    wanted = [shown.groups]
    if sum(map(_height, shown.groups)) > MOST_LINES:
        wanted = [[part] for group in shown.groups for part in _cut(group)]
    parts = [
        "\n".join(_environment(table, shown, groups, "" if len(wanted) == 1 else f"-{place}"))
        for place, groups in enumerate(wanted, start=1)
    ]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return a text that LaTeX prints as it is."""
    known = ESCAPES | SIGNS
    return "".join(known.get(letter, letter) for letter in " ".join(text.split()))


def _cut(group: Group) -> Iterator[Group]:
    """Yield a block in parts that fit on a page."""
    lines: list[Line] = []
    for line in group.lines:
        if lines and _height(replace(group, lines=[*lines, line])) > MOST_LINES:
            yield replace(group, lines=lines)
            lines = []
        lines.append(line)
    yield replace(group, lines=lines)


def _environment(table: Table, shown: Grid, groups: Sequence[Group], number: str) -> Iterator[str]:
    label = re.sub(r"[^A-Za-z0-9]+", "-", table.name)
    yield r"\begin{table}"
    yield r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"
    yield rf"\caption{{{escaped(f'{table.caption} {table.note}')}}}"
    yield rf"\label{{tab:{label}{number}}}"
    yield rf"\begin{{tabular}}{{@{{}}l{''.join(_layout(shown))}@{{}}}}"
    yield r"\toprule"
    yield from _head(shown)
    for place, group in enumerate(groups):
        yield r"\midrule" if not place else r"\addlinespace"
        if group.title:
            width = len(shown.heads) + 1
            yield rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{escaped(group.title)}}}}} \\"
        for line in group.lines:
            yield from _lines(line)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def _layout(shown: Grid) -> Iterator[str]:
    """Yield the alignment of each column: names to the left, numbers centred over intervals."""
    lines = [line for group in shown.groups for line in group.lines]
    for place in range(len(shown.heads)):
        cells = [cell for line in lines if (cell := line.cells[place]) is not None]
        if all(cell.value is None for cell in cells if cell.text != EMPTY):
            yield "l"
        else:
            yield "c" if any(" [" in cell.text for cell in cells) else "r"


def _head(shown: Grid) -> Iterator[str]:
    corner = escaped(shown.corner)
    if not any(head.detail for head in shown.heads):
        yield " & ".join([corner, *(escaped(head.label) for head in shown.heads)]) + r" \\"
        return
    spans: list[str] = []
    rules: list[str] = []
    first = 2
    for label, own in groupby(shown.heads, key=lambda head: head.label):
        last = first + len(list(own)) - 1
        spans.append(rf"\multicolumn{{{last - first + 1}}}{{c}}{{{escaped(label)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{last}}}")
        first = last + 1
    yield " & ".join(["", *spans]) + r" \\"
    yield "".join(rules)
    yield " & ".join([corner, *map(_detail, shown.heads)]) + r" \\"


def _detail(head: Head) -> str:
    return escaped(head.detail)


def _height(group: Group) -> int:
    return sum(1 + _is_tall(line) for line in group.lines) + bool(group.title)


def _is_tall(line: Line) -> bool:
    return any(cell is not None and " [" in cell.text for cell in line.cells)


def _lines(line: Line) -> Iterator[str]:
    """Yield the means of a line and, under them, its intervals."""
    means = [escaped(line.label), *(_mean(cell) for cell in line.cells)]
    if not _is_tall(line):
        yield " & ".join(means) + r" \\"
        return
    yield " & ".join(means) + r" \\[-2pt]"
    yield " & ".join(["", *(_interval(cell) for cell in line.cells)]) + r" \\"


def _mean(cell: Cell | None) -> str:
    if cell is None:
        return ""
    text = escaped(cell.text.partition(" [")[0] if cell.value is not None else cell.text)
    return rf"\textbf{{{text}}}" if cell.best else text


def _interval(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return ""
    _, bracket, rest = cell.text.partition(" [")
    return rf"{{\tiny [{escaped(rest)}}}" if bracket else ""
