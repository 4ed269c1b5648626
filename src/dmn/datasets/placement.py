"""Where the images of a data set stand inside its archives, as the registry says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from dmn.schema import Strict

Kind = Literal[
    "split_file",
    "aircraft",
    "imagenet",
    "class_folders",
    "pattern",
    "table",
    "webdataset",
    "arrays",
]
PLACE = re.compile(r"\{(\w+)[^}]*\}")
NEEDED: dict[str, tuple[str, ...]] = {
    "split_file": ("split",),
    "imagenet": ("classes",),
    "webdataset": ("names", "shards"),
}


class Table(Strict):
    """A table with a row for each image, in the archives: CSV, or annotations as COCO has them."""

    files: tuple[str, ...] = Field(min_length=1, description="one below the other")
    image: str = Field(description="an image's path, with {columns}; {row} counts rows from 0")
    label: str = Field(description="column of the class")
    joined: Mapping[str, tuple[str, str]] = Field(
        default_factory=dict, description="further tables: own column and the table's, which agree"
    )


class Layout(Strict):
    """Where the images stand inside the archives (see `dmn.datasets.layouts`)."""

    kind: Kind
    root: str = Field("", description="folder inside the archive that image paths begin at")
    folders: Literal["wnid", "index"] = Field("wnid", description="what class folders are called")
    pattern: str = Field(
        "", description="paths with {class}, {image} and groups; {_} is any text (pattern, arrays)"
    )
    table: Table | None = None
    labels: str = Field("", description="file of the labels (arrays)")
    blocks: str = Field("", description="group that equal blocks of an array are, from 1 (arrays)")
    metadata: tuple[str, ...] = Field((), description="columns of an image's .npy (webdataset)")
    groups: Mapping[str, str] = Field(
        default_factory=dict, description="by name, with {columns} (table, webdataset)"
    )
    names: tuple[str, ...] | Mapping[str, str] = Field(
        (),
        description="class names: by label, or by folder or label, whose order is the classes'",
    )
    select: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="values of groups or columns; other images are left out"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        wanted = {"pattern": "pattern", "arrays": "pattern", "table": "table"}.get(self.kind)
        if wanted and not getattr(self, wanted):
            raise ValueError(f"layout {self.kind} needs {wanted}")
        if self.kind == "arrays" and not self.labels:
            raise ValueError("layout arrays needs labels")
        if self.kind == "pattern" and "class" not in PLACE.findall(self.pattern):
            raise ValueError(f"pattern {self.pattern!r} needs {{class}}")
        return self

    @property
    def needed_roles(self) -> tuple[str, ...]:
        """Return the roles of files that there must be beside archives."""
        return NEEDED.get(self.kind, ())

    @property
    def group_names(self) -> tuple[str, ...]:
        """Return what images are grouped by."""
        found = [
            name for name in PLACE.findall(self.pattern) if name not in ("class", "image", "_")
        ]
        return tuple([*found, *([self.blocks] if self.blocks else []), *self.groups])
