"""What the page is told of one study: `reports/<study>/summary.json`, checked when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from dmn.artifacts import read_json, write_json
from dmn.errors import ArtifactError
from dmn.schema import Strict


class Cell(Strict):
    """One cell: its text, the number behind it for sorting, and whether it is the best."""

    text: str
    value: float | None = None
    best: bool = False


class Column(Strict):
    """The head of a column and the key that it has in the CSV."""

    label: str
    key: str


class Table(Strict):
    """A table as printed. `file` is the CSV below reports/, `sha256` its content's hash."""

    name: str
    caption: str
    note: str = ""
    columns: list[Column]
    rows: list[list[Cell]]
    file: str = ""
    sha256: str = ""


class Stories(Strict):
    """What happened to some images of one data set, backbone and split, told one by one.

    told: as `dmn.evaluation.explanation` has them; pictures: WebP in base64, by image.
    """

    dataset: str
    backbone: str
    split: int
    told: list[dict[str, Any]]
    pictures: dict[str, str] = Field(default_factory=dict)


class Drawing(Strict):
    """A figure: files below reports/ by kind, their hashes, and the numbers that were drawn.

    points: what is said near (x, y), in thousandths of width and height from the top left.
    stories: of images that the figure is about.
    """

    name: str
    caption: str
    alt: str
    files: dict[str, str]
    sha256: dict[str, str]
    table: str | None = None
    data: Table | None = None
    points: list[tuple[int, int, str]] = Field(default_factory=list)
    stories: list[Stories] = Field(default_factory=list)


class Rows(Strict):
    """All rows of the study: the CSV that tables and figures are made of."""

    file: str
    sha256: str
    count: int


class Summary(Strict):
    """One study's section of the page. `sources` are the evaluations' files with their hashes."""

    study: str
    title: str
    question: str
    findings: list[str]
    options: dict[str, Any]
    rows: Rows
    tables: list[Table]
    figures: list[Drawing]
    sources: dict[str, str] = Field(default_factory=dict)

    def write(self, path: Path | str) -> None:
        """Write the summary as JSON."""
        write_json(path, self.model_dump(mode="json"))


def read_summary(path: Path | str) -> Summary:
    """Read a study's summary. Raises ArtifactError where the file is not one."""
    try:
        return Summary.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ArtifactError(
            f"{path} is not a study's summary: {place}: {first['msg']}; delete it and run again"
        ) from None
