"""Running the tools that an audit asks: git, Snakemake, DVC, uv."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmn.errors import DataError
from dmn.pipeline.runs.home import RUNS, top_of

BIN = Path(sys.executable).parent
LAST_LINES = 15
# a copy of the sources for a rebuild holds none of these
NOT_SOURCES = (
    *(".git", ".venv", ".snakemake", ".dvc/cache", ".dvc/tmp"),
    *("data", "reports", "logs", RUNS),
)


def environment(root: Path, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a tool: this interpreter's programs, the sources of `root`."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    own = {"PATH": path, "PYTHONPATH": str(root / "src"), "DVC_NO_ANALYTICS": "true"}
    return {**os.environ, **own, **(changes or {})}


def run(
    command: Sequence[str], root: Path, changes: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in `root`, its output kept as text, its errors among it."""
    return subprocess.run(
        list(command),
        cwd=root,
        env=environment(root, changes),
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def answer(command: Sequence[str], root: Path) -> Any:
    """Return what a command prints as JSON; DataError with its reason where it fails."""
    done = subprocess.run(
        list(command), cwd=root, env=environment(root), capture_output=True, text=True, check=False
    )
    try:
        if not done.returncode:
            return json.loads(done.stdout)
    except json.JSONDecodeError:
        pass
    said = last_lines(done.stderr or done.stdout) or "it says nothing"
    raise DataError(f"{shlex.join(command)} gives no answer: {' '.join(said.split())}")


def last_lines(text: str) -> str:
    """Return the end of a tool's output, where the reason of a failure stands."""
    return "\n".join(line for line in text.splitlines()[-LAST_LINES:] if line.strip())


def git(root: Path, *arguments: str) -> str | None:
    """Return what git says, or None where there is no git or no repository."""
    if shutil.which("git") is None:
        return None
    result = run(["git", "-c", "core.quotepath=off", *arguments], root)
    return result.stdout if result.returncode == 0 else None


def source_files(root: Path) -> list[str]:
    """Return the files of the checkout that are not made by it, dirty and new ones included.

    Those of its named runs are not among them.
    """
    root = top_of(root)
    listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    if listed is not None:
        names = {name for name in listed.split("\0") if name and not name.startswith(f"{RUNS}/")}
        return sorted(name for name in names if (root / name).is_file())
    paths = (path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file())
    return [
        path.as_posix()
        for path in paths
        if not path.as_posix().startswith(tuple(f"{name}/" for name in NOT_SOURCES))
        and "__pycache__" not in path.parts
    ]


def copy_sources(root: Path, target: Path) -> None:
    """Copy the sources of a checkout, as they stand, into a new folder."""
    root, names = top_of(root), source_files(root)
    if "Snakefile" not in names:
        raise DataError(f"{root} has no Snakefile; run the audit in the root of a checkout")
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target / name)
