"""One side of a comparison: a folder, a named run, or a run as a git revision recorded it.

A revision is read through DVC: what git keeps from git, what DVC keeps from its cache or remote,
file by file, so that a run of a colleague is fetched only as far as it is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dmn.audit.commands import git
from dmn.audit.hashes import read_manifest
from dmn.audit.records import RECORDS
from dmn.errors import ArtifactError, nearest
from dmn.pipeline import paths
from dmn.pipeline.runs.home import DEMO, RUNS, named, top_of

# what is read of every run, where it is there
ALWAYS = (paths.MANIFEST, paths.RUN_CONFIG, "requirements.lock", str(RECORDS))
TOP_FILES = ("requirements.lock",)


@dataclass(frozen=True)
class Side:
    """A run by what a person calls it, and the folder that its files lie in."""

    label: str
    folder: Path

    def bring(self, names: Iterable[str]) -> None:
        """Make files or folders of the run be in its folder, as far as the run has them."""

    def bring_below(self, folder: str) -> None:
        """Make the listed files below one of its folders be there."""


@dataclass(frozen=True)
class Recorded(Side):
    """A run as a revision recorded it; `folder` is a temporary place for what is fetched."""

    top: Path = field(default_factory=Path)
    revision: str = ""
    place: str = ""  # of the run in its checkout, empty for the top

    @cached_property
    def _files(self) -> Any:
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            return DVCFileSystem(repo=Repo(str(self.top), rev=self.revision))
        except DvcException as error:
            raise ArtifactError(f"DVC cannot open {self.label}: {error}") from None

    def bring_below(self, folder: str) -> None:
        """Fetch the files that the manifest lists, some of which may be here."""
        self.bring([name for name in read_manifest(self.folder) if name.startswith(f"{folder}/")])

    def bring(self, names: Iterable[str]) -> None:
        """Fetch what is not here yet. ArtifactError where the cache and the remote lack it."""
        from dvc.exceptions import DvcException

        for name in names:
            # the sources' files stand at the top
            parts = [] if name in TOP_FILES or not self.place else [self.place]
            source, target = "/".join([*parts, name]), self.folder / name
            if target.exists() or not self._files.exists(source):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._files.get(source, str(target), recursive=True)
            except (DvcException, OSError) as error:
                raise ArtifactError(
                    f"{self.label} has {source}, but neither DVC's cache nor its remote: "
                    f"{' '.join(str(error).split())}; dvc push it where it was made"
                ) from None


def find_side(word: str, scratch: Path) -> Side:
    """Return the run that a word names: a folder, a run of this checkout, or REVISION[:RUN].

    What is fetched goes below `scratch`. ArtifactError for a word that is none of them.
    """
    top = top_of(Path.cwd())
    here = {DEMO: top, **{name: top / RUNS / name for name in named(top)}}
    if word in here or Path(word).is_dir():
        folder = here.get(word, Path(word))
        if not (folder / paths.MANIFEST).is_file():
            more = "" if word == DEMO else f" --name {word}"
            how = f"make it whole: dmn run{more}" if word in here else "name a run's own folder"
            raise ArtifactError(f"{word} has no {paths.MANIFEST}, which lists a whole run; {how}")
        return Side(word, folder)
    revision, _, name = word.partition(":")
    commit = git(top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    # a word that begins with a dash would be an option of git's
    if not commit or not re.fullmatch(r"[\w.@{}~^/-]+", revision) or revision.startswith("-"):
        raise ArtifactError(
            f"{word} is no folder, no run of this checkout and no revision; {nearest(word, here)}"
        )
    place = "" if name in ("", DEMO) else f"{RUNS}/{name}"
    found = Recorded(
        word, scratch / commit.strip()[:12] / (name or DEMO), top, commit.strip(), place
    )
    found.bring(ALWAYS)
    if not (found.folder / paths.MANIFEST).is_file():
        at = place or "its top"
        raise ArtifactError(
            f"revision {revision} recorded no {paths.MANIFEST} at {at}; commit dvc.lock after dvc "
            "repro; a named run is REVISION:NAME"
        )
    return found
