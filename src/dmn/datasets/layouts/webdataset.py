"""Shards in webdataset's form, as the clip-benchmark collection has them.

classnames.txt, zeroshot_classification_templates.txt (read with the prompts), test/nshards.txt and
test/<n>.tar with an image and a .cls for each key, and in WILDS' sets an .npy of metadata.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from dmn.datasets.archives import ImageArchive
from dmn.datasets.archives.listing import is_image
from dmn.datasets.layouts.classes import Found, as_tests, text_lines
from dmn.datasets.placement import Layout
from dmn.datasets.registry import DatasetEntry
from dmn.datasets.splits import Split
from dmn.errors import DataError


def shard_prefix(name: str) -> str:
    """Return what stands before the keys of a shard, which may come again in another."""
    return f"{name.removesuffix('.tar')}/"


def webdataset(entry: DatasetEntry, folder: Path, archive: ImageArchive) -> Split:
    """Take all images of all shards, to test; DataError where shards or labels are missing."""
    layout = entry.layout
    assert layout is not None
    _check_shards(entry, folder)
    (names,) = entry.by_role("names")
    called = [line.strip() for line in text_lines(folder / names.name) if line.strip()]
    found = [
        Found(name, str(_label(archive, name)), _groups(layout, archive, name))
        for name in archive.names()
        if is_image(name)
    ]
    named = entry.model_copy(update={"layout": layout.model_copy(update={"names": tuple(called)})})
    return as_tests(named, folder, found)


def _check_shards(entry: DatasetEntry, folder: Path) -> None:
    """Compare the number of shards with that of the data set's own file."""
    (file,) = entry.by_role("shards")
    text = "".join(text_lines(folder / file.name)).strip()
    shards = entry.by_role("archive")
    if not text.isdecimal():
        raise DataError(f"{folder / file.name} holds {text[:40]!r} where a number of shards is due")
    if int(text) != len(shards):
        raise DataError(
            f"{folder / file.name} says {text} shards, the registry lists {len(shards)}; name the "
            f"others in a registry file of your own: datasets: {{{entry.name}: {{files: "
            f'{{"test/{{0..{int(text) - 1}}}.tar": {{}}}}}}}}'
        )


def _label(archive: ImageArchive, name: str) -> int:
    """Return the label beside an image; a key ends with the first dot of the file's name."""
    content = archive.read(f"{_key(name)}.cls")
    try:
        return int(content)
    except ValueError:
        raise DataError(f"{archive.place(_key(name))}.cls holds {content[:40]!r}") from None


def _key(name: str) -> str:
    above, slash, file = name.rpartition("/")
    return f"{above}{slash}{file.split('.')[0]}"


def _groups(layout: Layout, archive: ImageArchive, name: str) -> dict[str, str]:
    if not layout.groups:
        return {}
    member = f"{_key(name)}.npy"
    try:
        values = np.load(io.BytesIO(archive.read(member)), allow_pickle=False)
        columns = dict(zip(layout.metadata, map(str, values.ravel().tolist()), strict=True))
    except (ValueError, EOFError) as error:
        raise DataError(
            f"{archive.place(member)} is not the columns {', '.join(layout.metadata)} ({error})"
        ) from None
    return {group: form.format_map(columns) for group, form in layout.groups.items()}
