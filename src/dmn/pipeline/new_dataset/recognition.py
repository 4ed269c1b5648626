"""What a folder of features holds: its form, one of its data sets, the files of each backbone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dmn.datasets.formats import FORMATS, LAST_RESORT, find, recognise, unrecognised
from dmn.datasets.formats.arrays import READERS, open_arrays
from dmn.datasets.formats.rules import FeatureFiles
from dmn.errors import DataError, FeatureError, nearest, some


@dataclass(frozen=True)
class Found:
    """What a folder holds of one data set: its form, the files by name, what is where.

    unused: the names of files of features that are of no part, text or backbone.
    """

    form: str
    files: dict[str, Path]
    backbones: dict[str, FeatureFiles]
    unused: tuple[str, ...] = ()


def look(folder: Path, form: str | None = None, only: str | None = None) -> Found:
    """Recognise the files of one data set below a folder; `only` names it where there are more.

    FeatureError where no form fits, or several data sets are there.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; name the one that holds the features")
    paths = _by_name(folder)
    name, found = _recognised(folder, paths, form)
    if only is not None and only not in found:
        raise FeatureError(f"{folder} has no data set {only!r}; {nearest(only, found)}")
    if only is None and len(found) != 1:
        listed = ", ".join(sorted(found)[:10])
        raise FeatureError(
            f"{folder} holds features of {len(found)} data sets ({listed}); name one with --only"
        )
    backbones = found[only if only is not None else next(iter(found))]
    taken = {file for files in backbones.values() for file in files.files()}
    files = {file: paths[file] for file in sorted(taken)}
    unused = tuple(paths[file].relative_to(folder).as_posix() for file in paths.keys() - taken)
    return Found(name, files, backbones, tuple(sorted(unused)))


def _recognised(
    folder: Path, paths: Mapping[str, Path], form: str | None
) -> tuple[str, dict[str, dict[str, FeatureFiles]]]:
    """Return the form of files and what is where by data set; FeatureError where none is."""
    if form is not None:
        found = find(form, paths)
        if not found:
            raise FeatureError(
                f"{folder} holds no features as {form} ({FORMATS[form].TITLE}); among its files "
                f"are {some(sorted(paths))}"
            )
        return form, found
    name, found = recognise(paths)
    if name == LAST_RESORT:
        found = {one: by for one, by in found.items() if _are_dictionaries(by, paths)}
        if not found:
            raise unrecognised(paths)
    return name, found


def _are_dictionaries(by_backbone: Mapping[str, FeatureFiles], paths: Mapping[str, Path]) -> bool:
    """Say whether the files hold arrays by name; ECALP's own names fit any .pt."""
    stored = [one for files in by_backbone.values() for one in files.features.values()]
    return all(set(one.keys) & set(open_arrays(paths[one.file]).arrays) for one in stored)


def _by_name(folder: Path) -> dict[str, Path]:
    """Return the files of features below a folder by the names that the registry takes."""
    files = sorted(path for path in folder.rglob("*") if _is_shown(path, folder))
    gone = [path for path in files if not path.exists() and path.suffix.lower() in READERS]
    if gone:
        raise FeatureError(f"{gone[0]} is a link to a file that is not there; bring it, or unlink")
    paths: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() not in READERS:
            continue
        name = plain_name(path.relative_to(folder))
        if name in paths:
            raise FeatureError(
                f"{paths[name]} and {path} would both be called {name}; rename one of them"
            )
        paths[name] = path
    if not paths:
        listed = some([path.relative_to(folder).as_posix() for path in files])
        raise FeatureError(
            f"{folder} holds no file of features ({', '.join(READERS)}), "
            f"{f'but {listed}' if listed else 'and nothing else'}"
        )
    return paths


def _is_shown(path: Path, folder: Path) -> bool:
    """Say whether a path is a file that no dot hides."""
    parts = path.relative_to(folder).parts
    link = path.is_symlink() and not path.exists()
    return (path.is_file() or link) and not any(part.startswith(".") for part in parts)


def plain_name(path: Path) -> str:
    """Return a file's name as the registry takes it, its suffix in lower case."""
    path = path.with_suffix(path.suffix.lower())
    parts = (re.sub(r"[^A-Za-z0-9._-]+", "-", part).lstrip("._-") for part in path.parts)
    return "/".join(parts)
