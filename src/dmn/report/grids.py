"""Tables as the page shows them: methods down, settings and shots across, a group for each place.

The files keep the long form. A table without one measure, or whose cells would collide, keeps one
row for each of its own, its means before its other numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dmn.report.summary import Cell, Column, Table
from dmn.report.tables import EMPTY, numeric_columns

PLACE = ("dataset", "backbone")
ACROSS = ("setting", "shots")
FILTERS = (*PLACE, *ACROSS)
# numbers that tell rows apart instead of being measured
COUNTED = (*ACROSS, "length", "level", "share", "severity", "seen", "window")
BARE = ("level",)  # numbers that stand without their name
DROPPED = ("none", EMPTY)  # of a label: it says nothing
LEAST_ROWS = 2  # of a group in the mean; shorter ones are named in their rows


@dataclass(frozen=True)
class Head:
    """The head of a column of numbers, and which setting and shots it is of."""

    label: str
    detail: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """One row: what it is of, its cells in the order of the heads, None where there is none."""

    label: str
    cells: Sequence[Cell | None]
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """The rows of one data set and backbone."""

    title: str
    lines: Sequence[Line]
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """A table of the page."""

    corner: str
    heads: Sequence[Head]
    groups: Sequence[Group]

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return sum(len(group.lines) for group in self.groups)


def grid(table: Table) -> Grid:
    """Return a table as the page shows it."""
    numeric = numeric_columns(table)
    keys = [
        place
        for place, (column, number) in enumerate(zip(table.columns, numeric, strict=True))
        if column.key in COUNTED or not (number or _is_mean(column))
    ]
    values = [place for place in range(len(table.columns)) if place not in keys]
    values.sort(key=lambda place: not _is_mean(table.columns[place]))
    if not values:
        keys, values = keys[:1], keys[1:]
    names = {column.key: place for place, column in enumerate(table.columns)}
    across = [names[key] for key in ACROSS if names.get(key) in keys]
    if len(across) == len(ACROSS) and len(values) == 1:
        wide = _wide(table, keys, across, values[0])
        if wide is not None:
            return wide
    heads = [Head(table.columns[place].label) for place in values]
    lines = [_line(table, row, keys, [row[place] for place in values]) for row in table.rows]
    return _grouped(table, keys, heads, lines)


def _is_mean(column: Column) -> bool:
    return column.key.endswith("mean")


def _wide(table: Table, keys: Sequence[int], across: Sequence[int], value: int) -> Grid | None:
    """Return settings and shots as columns; None for one column, or where two cells collide."""
    shown = {tuple(row[place].text for place in across): row for row in table.rows}
    settings = list(dict.fromkeys(setting for setting, _ in shown))
    cells = sorted(
        shown, key=lambda cell: (settings.index(cell[0]), shown[cell][across[1]].value or 0)
    )
    if len(cells) < 2:
        return None
    rest = [place for place in keys if place not in across]
    found: dict[tuple[str, ...], tuple[list[Cell], list[Cell | None]]] = {}
    for row in table.rows:
        name = tuple(row[place].text for place in rest)
        _, line = found.setdefault(name, (row, [None] * len(cells)))
        column = cells.index(tuple(row[place].text for place in across))
        if line[column] is not None:
            return None
        line[column] = row[value]
    heads = [_head(setting, shots) for setting, shots in cells]
    lines = [_line(table, row, rest, line) for row, line in found.values()]
    # the fullest column knows the order of the methods
    full = max(range(len(cells)), key=lambda c: sum(line.cells[c] is not None for line in lines))
    fullest = [row for row in table.rows if tuple(row[p].text for p in across) == cells[full]]
    order = dict.fromkeys(_line(table, row, rest, ()).label for row in fullest)
    rank = {label: place for place, label in enumerate(order)}
    lines.sort(key=lambda line: rank.get(line.label, len(rank)))
    return _grouped(table, rest, heads, lines)


def _head(setting: str, shots: str) -> Head:
    detail = "" if shots in ("0", EMPTY) else f"{shots} shot{'s' if shots != '1' else ''}"
    return Head(setting, detail, {"setting": setting, "shots": shots})


def _line(
    table: Table, row: Sequence[Cell], keys: Sequence[int], cells: Sequence[Cell | None]
) -> Line:
    named = {table.columns[place].key: row[place].text for place in keys}
    parts = [
        _said(table.columns[place], row[place])
        for place in keys
        if table.columns[place].key not in PLACE and row[place].text not in DROPPED
    ]
    return Line(", ".join(parts), cells, {key: named[key] for key in FILTERS if key in named})


def _said(column: Column, cell: Cell) -> str:
    plain = cell.value is None or column.key in BARE
    return cell.text if plain else f"{column.label} {cell.text}"


def _grouped(
    table: Table, keys: Sequence[int], heads: Sequence[Head], lines: Sequence[Line]
) -> Grid:
    labels = [table.columns[place].label for place in keys if table.columns[place].key not in PLACE]
    by_place: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        by_place.setdefault(tuple(line.keys.get(key, "") for key in PLACE), []).append(line)
    if len(lines) < LEAST_ROWS * len(by_place) or not labels:
        named = [
            Line(", ".join(filter(None, (_title(line.keys), line.label))), line.cells, line.keys)
            for line in lines
        ]
        return Grid(", ".join(labels), heads, [Group("", named)])
    groups = [
        Group(_title(own[0].keys), own, {k: v for k, v in own[0].keys.items() if k in PLACE})
        for own in by_place.values()
    ]
    return Grid(", ".join(labels), heads, groups)


def _title(keys: Mapping[str, str]) -> str:
    return ", ".join(keys[key] for key in PLACE if key in keys)
