"""The revision of the code, and whether files differ from it."""

from __future__ import annotations

from pathlib import Path

from dmn.audit.checks import Check, judged
from dmn.audit.commands import git


def revision(root: Path) -> str | None:
    """Return the commit that is checked out; None outside a repository."""
    found = git(root, "rev-parse", "HEAD")
    return found.strip() if found else None


def dirty_files(root: Path) -> list[str]:
    """Return the files that differ from the commit, with git's two letters before each name."""
    status = git(root, "status", "--porcelain=v1", "--untracked-files=all") or ""
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
