"""The installed packages against the lock that pins them."""

from __future__ import annotations

import platform
import re
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from dmn.audit.checks import Check, judged

LOCK = "requirements.lock"
# the project itself, and what `python -m venv` puts in
NOT_LOCKED = {"dmn-repro", "pip", "setuptools", "wheel"}


def locked_versions(lock: Path) -> dict[str, str]:
    """Return the versions that the lock pins for this interpreter and platform."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    versions: dict[str, str] = {}
    for line in text.splitlines():
        try:
            requirement = Requirement(re.sub(r"\s--hash=\S+", "", line).strip())
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate()
        if applies and (pins := [s.version for s in requirement.specifier if s.operator == "=="]):
            versions[canonicalize_name(requirement.name)] = pins[0]
    return versions


def installed_versions() -> dict[str, str]:
    """Return the versions of the installed packages."""
    return {canonicalize_name(item.name): item.version for item in distributions() if item.name}


def check_environment(root: Path, installed: dict[str, str] | None = None) -> Check:
    """Compare what is installed with the lock."""
    lock = root / LOCK
    if not lock.is_file():
        return Check("environment", "fail", f"{LOCK} is missing, so no version is pinned")
    locked = locked_versions(lock)
    have = installed_versions() if installed is None else installed
    problems = []
    for name in sorted({*locked, *have} - NOT_LOCKED):
        wanted, found = locked.get(name), have.get(name)
        if wanted is None:
            problems.append(f"{name} {found} is installed but not locked")
        elif found is None:
            problems.append(f"{name} {wanted} is locked but not installed")
        elif found.partition("+")[0] != wanted.partition("+")[0]:
            problems.append(f"{name} {found} is installed, {wanted} is locked")
    where = f"Python {platform.python_version()}, {platform.machine()}"
    return judged(
        "environment",
        problems,
        f"{len(locked)} packages as in {LOCK}; {where}",
        f"{len(problems)} packages are not as in {LOCK} (make setup installs it); {where}",
    )
