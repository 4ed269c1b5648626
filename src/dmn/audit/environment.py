"""What runs here: the installed packages against their lock, the code against its commit."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dmn.audit.checks import Check, judged
from dmn.audit.commands import answer, git
from dmn.errors import DataError
from dmn.pipeline.runs.home import RUNS

LOCK = "requirements.lock"
# the project itself, and what `python -m venv` puts in
NOT_LOCKED = {"dmn-repro", "pip", "setuptools", "wheel"}


def wanted_changes(root: Path) -> list[dict[str, str]]:
    """Return what uv would install and uninstall: none where the environment is as locked.

    Only what is neither installed nor in uv's cache is asked of the package index.
    """
    dry_run = ["pip", "sync", "--dry-run", "--output-format", "json", "--python", sys.executable]
    command = [sys.executable, "-m", "uv", *dry_run, LOCK]
    try:
        found = answer([*command, "--offline"], root)
    except DataError as offline:
        try:
            found = answer(command, root)
        except DataError:
            raise offline from None
    return list(found["changes"])


def problems(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one line a package that is not as locked."""
    versions: dict[str, dict[str, str]] = {}
    for change in changes:
        if change["name"] not in NOT_LOCKED:
            versions.setdefault(change["name"], {})[change["action"]] = change["version"]
    lines = []
    for name, found in sorted(versions.items()):
        # what uv would uninstall is here, what it would install is locked
        have, wanted = found.get("uninstalled"), found.get("installed")
        if wanted is None:
            lines.append(f"{name} {have} is installed but not locked")
        elif have is None:
            lines.append(f"{name} {wanted} is locked but not installed")
        else:
            lines.append(f"{name} {have} is installed, {wanted} is locked")
    return lines


def check_environment(root: Path) -> Check:
    """Compare what is installed with the lock."""
    if not (root / LOCK).is_file():
        return Check("environment", "fail", f"{LOCK} is missing, so no version is pinned")
    found = problems(wanted_changes(root))
    where = f"Python {platform.python_version()}, {platform.machine()}"
    return judged(
        "environment",
        found,
        f"all packages as in {LOCK}; {where}",
        f"{len(found)} packages are not as in {LOCK} (make setup installs it); {where}",
    )


def revision(root: Path) -> str | None:
    """Return the commit that is checked out; None outside a repository."""
    found = git(root, "rev-parse", "HEAD")
    return found.strip() if found else None


def dirty_files(root: Path) -> list[str]:
    """Return the files that differ from the commit, with git's two letters before each name.

    Named runs are no code: each is recorded by itself.
    """
    code = ("--", ":(top)", f":(top,exclude){RUNS}")
    status = git(root, "status", "--porcelain=v1", "--untracked-files=all", *code) or ""
    return [line for line in status.splitlines() if line]


def check_revision(root: Path) -> Check:
    """Say which revision this is; uncommitted changes make the reports untraceable."""
    commit = revision(root)
    if commit is None:
        return Check("code revision", "note", "not a git repository: the revision is unknown")
    return judged(
        "code revision",
        dirty_files(root),
        f"commit {commit[:12]}, no file differs from it",
        f"files differ from commit {commit[:12]}: nobody else has this code (git status)",
    )
