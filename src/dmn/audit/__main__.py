"""Tell whether these reports are what this code and this data give.

    python -m dmn.audit                                  hashes, code, environment, configuration
    python -m dmn.audit --rebuild reports/studies/main/summary.json
    python -m dmn.audit --rebuild all --json audit.json
    python -m dmn.audit lineage FILE                     what made a file, back to the data
    python -m dmn.audit crate FOLDER                     the run as a Workflow Run RO-Crate

Exit status: 0 all checks hold, 1 one does not, 2 the audit could not be made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from dmn.artifacts import write_json
from dmn.audit import configuration, environment, hashes, rebuild, revision
from dmn.audit.checks import Check, as_json, passed, print_table
from dmn.audit.lineage import lineage, print_lineage
from dmn.errors import DmnError, run_main

# two float16 steps of a unit vector's component
TOLERANCE = 1e-3
CHECKS: dict[str, Callable[[Path], Check]] = {
    "environment": environment.check_environment,
    "code revision": revision.check_revision,
    "configuration": configuration.check_configuration,
    "seeds": configuration.check_seeds,
    "hashes in reports/all": hashes.check_manifest,
    "files not listed": hashes.check_extra,
    "hashes in dvc.lock": hashes.check_lock,
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


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(
        prog="python -m dmn.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--rebuild", metavar="FILE|all", help="make it again elsewhere and compare")
    top.add_argument("--cores", type=int, default=2, help="jobs at once in a rebuild (default 2)")
    top.add_argument("--scratch", metavar="FOLDER", help="new folder for the rebuild, kept after")
    top.add_argument(
        "--recorded-features",
        action=argparse.BooleanOptionalAction,
        help="rebuild from the recorded features (default: if they were made on a GPU)",
    )
    top.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help="of features extracted again, each component (default %(default)g)",
    )
    top.add_argument("--json", metavar="FILE", help="also write all that was found as JSON")
    actions = top.add_subparsers(dest="action", metavar="lineage | crate")
    line = actions.add_parser("lineage", help="what made a file")
    line.add_argument("file", help="an artifact or report, such as reports/index.html")
    line.add_argument("--json", metavar="FILE", help="also write the chain as JSON")
    crate = actions.add_parser("crate", help="export the run as an RO-Crate")
    crate.add_argument("folder", help="a new folder")
    return top


def main() -> None:
    """Run one of the actions; without one, audit."""
    arguments = parser().parse_args()
    root = Path.cwd()
    if arguments.action == "lineage":
        found = lineage(root, arguments.file)
        print_lineage(found)
    elif arguments.action == "crate":
        from dmn.audit.crate import export

        export(root, Path(arguments.folder))
        return
    else:
        checks = list(audit(root))
        if arguments.rebuild:
            checks += audit_rebuild(root, arguments)
        print_table(checks)
        found = as_json(checks)
    if arguments.json:
        write_json(arguments.json, found)
    if arguments.action is None and not passed(checks):
        raise SystemExit(1)


if __name__ == "__main__":
    run_main(main)
