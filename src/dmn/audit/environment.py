"""The installed packages against the lock that pins them, as uv compares them."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dmn.audit.checks import Check, judged
from dmn.audit.commands import answer
from dmn.errors import DataError

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
