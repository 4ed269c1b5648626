"""Classes and groups told by tables: WILDS' metadata.csv, GTSRB's list, annotations as COCO's."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dmn.datasets.archives import ImageArchive
from dmn.datasets.layouts.classes import Found, as_tests
from dmn.datasets.placement import PLACE, Layout
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split
from dmn.errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd


def table(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Take the images that the rows of the layout's table name, in its order, to test.

    All columns are text. A column is also asked for in `select`. DataError for a missing column.
    """
    layout = entry.layout
    assert layout is not None
    assert layout.table is not None
    rows = _rows(layout, archive)
    forms = [layout.table.image, *layout.groups.values()]
    asked = [layout.table.label, *(column for form in forms for column in PLACE.findall(form))]
    for column in [*asked, *(name for name in layout.select if name not in layout.groups)]:
        if column not in rows:
            raise DataError(
                f"{entry.name}: {', '.join(layout.table.files)} has no column {column!r}; "
                f"{nearest(column, map(str, rows))}"
            )
    for name, form in layout.groups.items():
        rows[f" {name}"] = _filled(rows, form)
    own = layout.select.get(layout.table.label)
    every = set(rows[layout.table.label]) if own is None else set(own)
    for name, values in layout.select.items():
        column = f" {name}" if name in layout.groups else name
        rows = rows[rows[column].isin(values)]
    paths = _filled(rows, str(PurePosixPath(layout.root) / layout.table.image))
    groups = rows[[f" {name}" for name in layout.groups]].to_numpy().tolist()
    return as_tests(
        entry,
        folder,
        [
            Found(path, called, dict(zip(layout.groups, own, strict=True)))
            for path, called, own in zip(paths, rows[layout.table.label], groups, strict=True)
        ],
        every,
    )


def _filled(rows: pd.DataFrame, form: str) -> list[str]:
    """Return a form with the columns of each row in their places."""
    wanted = list(dict.fromkeys(PLACE.findall(form)))
    values = rows[wanted].to_numpy().tolist()
    return [form.format_map(dict(zip(wanted, own, strict=True))) for own in values]


def _rows(layout: Layout, archive: ImageArchive) -> pd.DataFrame:
    import pandas as pd

    assert layout.table is not None
    own = [_read(archive, _below(layout, name)) for name in layout.table.files]
    rows = pd.concat(own, ignore_index=True)
    rows["row"] = [str(row) for row in range(len(rows))]
    for name, (left, right) in layout.table.joined.items():
        other = _read(archive, _below(layout, name)).drop_duplicates(right)
        # a column that both have is the image's
        other = other[[right, *(c for c in other if c not in rows and c != right)]]
        rows = rows.merge(other, how="left", left_on=left, right_on=right, suffixes=("", " other"))
    return rows.fillna("")


def _below(layout: Layout, name: str) -> str:
    return str(PurePosixPath(layout.root) / name)


def _read(archive: ImageArchive, name: str) -> pd.DataFrame:
    """Return a CSV, or the annotations of images in COCO's form, all columns as text."""
    import pandas as pd

    content = archive.read(name)
    try:
        if name.endswith(".json"):
            return _annotations(json.loads(content))
        # GTSRB's are separated by semicolons
        return pd.read_csv(
            io.BytesIO(content),
            dtype=str,
            keep_default_na=False,
            sep=";" if content.split(b"\n", 1)[0].count(b";") else ",",
            encoding="utf-8-sig",
        )
    except (ValueError, KeyError, TypeError, pd.errors.ParserError) as error:
        raise DataError(f"{archive.place(name)} is not a table of images ({error})") from None


def _annotations(content: Mapping[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """Return a row for each image whose annotations agree: its own columns and `category`."""
    import pandas as pd

    kinds = {kind["id"]: kind["name"] for kind in content["categories"]}
    seen: dict[object, set[object]] = {}
    for mark in content["annotations"]:
        seen.setdefault(mark["image_id"], set()).add(kinds[mark["category_id"]])
    alone = [(image, seen[image["id"]]) for image in content["images"] if image["id"] in seen]
    rows = [image | {"category": next(iter(found))} for image, found in alone if len(found) == 1]
    return pd.DataFrame(rows).astype(str)
