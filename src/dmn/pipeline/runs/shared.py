"""What a run takes over from the other runs of its checkout, so that nothing is made twice.

Artifacts have the same paths in every run. One that a run lacks and another has is linked into it
with Snakemake's record of how it was made; Snakemake then compares parameters and checksums as for
any file, and makes anew what this configuration wants otherwise. Hard links cost no disk, and hold
because every artifact is replaced as a whole, never written in place.
"""

from __future__ import annotations

import os
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

from dmn.config import Config
from dmn.errors import DmnError, OutputError
from dmn.pipeline import paths
from dmn.pipeline.configuration import load_run
from dmn.pipeline.runs.home import CONFIG, RUNS, config_changes, is_run, named, top_of
from dmn.pipeline.targets import Targets
from dmn.schema import read_yaml

RECORDS = Path(".snakemake/metadata")
UNFINISHED = Path(".snakemake/incomplete")
FAR = 1 << 30
LONGEST = 254  # of a part of a record's name: Snakemake leaves one letter for its mark


def coded(output: str) -> Path:
    """Return the name of Snakemake's record of an output.

    >>> coded("a")
    PosixPath('YQ==')
    """
    text = urlsafe_b64encode(output.encode()).decode()
    parts = [text[start : start + LONGEST] for start in range(0, len(text), LONGEST)]
    return Path(*(f"@{part}" for part in parts[:-1]), parts[-1])


def others(folder: Path, config: Config) -> list[Path]:
    """Return the other runs' folders, the one whose configuration is nearest first."""
    top = top_of(folder)
    found: list[tuple[int, int, Path]] = []
    for place in (top, *(top / RUNS / name for name in named(top))):
        if place == folder or not (place / RECORDS).is_dir():
            continue
        try:
            values = read_yaml(place / (CONFIG if is_run(place) else paths.RUN_CONFIG))
            apart = len(list(config_changes(load_run(values), config)))
        except DmnError:
            # unfinished, or of another version: its artifacts are as good as their records
            apart = FAR
        found.append((apart, len(found), place))
    return [place for _, _, place in sorted(found)]


def bring(folder: Path, config: Config) -> int:
    """Link the artifacts of a configuration that other runs have into `folder`; count them."""
    wanted = Targets(config).data()
    missing = [name for name in wanted if not (folder / name).exists()]
    return link_all(missing, others(folder, config), folder) if missing else 0


def link_all(names: Iterable[str], places: Iterable[Path], folder: Path) -> int:
    """Link each file from the first place that has it finished, with its record; count them."""
    places, count = list(places), 0
    for name in names:
        record = coded(name)
        for place in places:
            finished = (place / RECORDS / record).is_file()
            if finished and (place / name).is_file() and not (place / UNFINISHED / record).exists():
                _link(place / name, folder / name)
                _copy(place / RECORDS / record, folder / RECORDS / record)
                count += 1
                break
    return count


def _link(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        # another disk, or one without links
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:100]}.part")
        shutil.copy2(source, part)
        os.replace(part, target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}") from None
