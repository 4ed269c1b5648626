"""Tell whether these reports are what this code and this data give.

    dmn audit                                  hashes, code, environment, configuration
    dmn audit --rebuild reports/studies/main/summary.json
    dmn audit --rebuild all --json audit.json

Exit status: 0 all checks hold, 1 one does not, 2 the audit could not be made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from dmn.artifacts import write_json
from dmn.audit import brought, configuration, environment, hashes, rebuild
from dmn.audit.checks import Check, as_json, passed, print_table
from dmn.errors import DmnError

# two float16 steps of a unit vector's component
TOLERANCE = 1e-3
CHECKS: dict[str, Callable[[Path], Check]] = {
    "environment": environment.check_environment,
    "code revision": environment.check_revision,
    "configuration": configuration.check_configuration,
    "seeds": configuration.check_seeds,
    "hashes in reports/all": hashes.check_manifest,
    "files not listed": hashes.check_extra,
    "hashes in dvc.lock": hashes.check_lock,
    brought.NAME: brought.check_brought,
    "records": configuration.check_records,
    "plan": configuration.check_plan,
}


def audit(root: Path) -> Iterator[Check]:
    """Yield all checks that need no rebuild; one that cannot be made fails by its reason."""
    for name, check in CHECKS.items():
        try:
            yield check(root)
        except DmnError as error:
            yield Check(name, "fail", str(error))


def audit_rebuild(root: Path, arguments: argparse.Namespace) -> Iterator[Check]:
    """Yield the checks that a rebuild gives."""
    with tempfile.TemporaryDirectory(prefix="dmn-audit-") as folder:
        scratch = Path(arguments.scratch or folder).resolve()
        recorded = arguments.recorded_features
        if recorded is None:
            recorded = configuration.run_config(root).numerics.device != "cpu"
        sys.stderr.write(f"Rebuilding {arguments.rebuild} in {scratch}; see {rebuild.LOG} there\n")
        rebuilt = rebuild.rebuild(root, scratch, arguments.rebuild, arguments.cores, recorded)
        yield rebuild.check_rebuilt(rebuilt)
        if recorded:
            yield rebuild.extract_again(root, scratch, arguments.cores, arguments.tolerance)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn audit`."""
    parser.add_argument("--rebuild", metavar="FILE|all", help="make it again elsewhere and compare")
    parser.add_argument("--cores", type=int, default=2, help="jobs at once in a rebuild (2)")
    parser.add_argument("--scratch", metavar="FOLDER", help="new folder for a rebuild, kept after")
    parser.add_argument(
        "--recorded-features",
        action=argparse.BooleanOptionalAction,
        help="rebuild from the recorded features (default: if they were made on a GPU)",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help="of features extracted again, each component (%(default)g)",
    )
    parser.add_argument("--json", metavar="FILE", help="also write all that was found")


def main(arguments: argparse.Namespace) -> None:
    """Make all checks and print their table."""
    root = Path.cwd()
    checks = list(audit(root))
    if arguments.rebuild:
        checks += audit_rebuild(root, arguments)
    print_table(checks)
    if arguments.json:
        write_json(arguments.json, as_json(checks))
    if not passed(checks):
        raise SystemExit(1)
