"""Rebuild the reports under other circumstances and compare reports/all.

    python -m development.variations --list
    python -m development.variations --config config/ci.yaml
    python -m development.variations --only time-zone,cpu-avx2 --start memory

Each variation runs in a folder of its own, with the sources of this checkout. `--start PHASE`
takes the artifacts of the phases before it from the control and makes the rest. What a variation
needs and the machine lacks (faketime, disorderfs, unshare, qemu-user, root) is said, not hidden.
Exit status: 0 all that ran are identical, 1 one is not, 2 the control could not be made.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from development.variations.circumstances import VARIATIONS, Variation
from dmn.artifacts import write_json, write_text
from dmn.audit.commands import copy_sources, environment, last_lines
from dmn.audit.hashes import read_manifest
from dmn.audit.rebuild import CONFIG, check_rebuilt, compare
from dmn.audit.records import RECORDS
from dmn.audit.runs.comparison import PHASES
from dmn.errors import ConfigError, DataError, nearest, run_main
from dmn.pipeline import paths
from dmn.pipeline.run import snakemake


@dataclass(frozen=True)
class Outcome:
    """What became of one variation."""

    name: str
    how: str
    result: str
    detail: str = ""
    seconds: float = 0.0
    files: int = field(default=0)


def prepare(root: Path, work: Path, configfile: Path, before: Path | None, start: str) -> None:
    """Fill a work folder: sources, configuration, and the control's phases before `start`."""
    work.mkdir(parents=True)
    copy_sources(root, work)
    write_text(work / CONFIG, configfile.read_text(encoding="utf-8"))
    if before is None or start == PHASES[0]:
        return
    for phase in PHASES[: PHASES.index(start)]:
        if (before / paths.DATA / phase).is_dir():
            shutil.copytree(before / paths.DATA / phase, work / paths.DATA / phase)
    shutil.copytree(before / RECORDS, work / RECORDS)


@contextmanager
def shuffled(work: Path, wanted: bool) -> Iterator[Path]:
    """Give `work` through a file system that lists folders in a random order."""
    if not wanted:
        yield work
        return
    mounted = work.with_name(work.name + "-shuffled")
    mounted.mkdir()
    subprocess.run(["disorderfs", "--shuffle-dirents=yes", "-q", work, mounted], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["fusermount", "-u", mounted], check=False)


def around_jobs(work: Path, prefix: Sequence[str]) -> dict[str, str]:
    """Return the environment that puts a command before the Python of each job.

    bash reads BASH_ENV before it runs a job's command; Snakemake itself is left alone.
    """
    if not prefix:
        return {}
    script = work / "around_jobs.sh"
    write_text(script, f'python() {{ {shlex.join(prefix)} "{sys.executable}" "$@"; }}\n')
    return {"BASH_ENV": str(script)}


def execute(variation: Variation, work: Path, cores: int) -> None:
    """Run Snakemake in `work` under one variation; DataError with the log's end if it fails."""
    jobs = variation.cores or cores
    inner = snakemake("--cores", str(jobs), "--configfile", CONFIG, "--", "all")
    changes = {
        name: value.replace("{work}", str(work)) for name, value in variation.variables.items()
    }
    # a job's leftovers could hold a pipe open: the log is a file
    log_file = work.with_name(work.name + ".log")
    with shuffled(work, variation.shuffled) as folder, open(log_file, "w") as log:
        status = subprocess.run(
            [*variation.prefix, *inner],
            cwd=folder,
            env=environment(folder, {**changes, **around_jobs(work, variation.jobs)}),
            stdout=log,
            stderr=subprocess.STDOUT,
            umask=-1 if variation.umask is None else variation.umask,
            check=False,
        ).returncode
    if status:
        end = last_lines(log_file.read_text(encoding="utf-8", errors="replace"))
        raise DataError(f"{variation.name} ended with status {status}: {end}")


def attempt(
    variation: Variation, root: Path, control: Path, base: Path, options: argparse.Namespace
) -> Outcome:
    """Run one variation and compare it with the control."""
    if reason := variation.missing():
        return Outcome(variation.name, variation.how, "skipped", reason)
    work = base / variation.name / (variation.folder or "checkout")
    start = max(options.start, variation.start, key=PHASES.index)
    began = time.monotonic()
    # an earlier one that failed was kept to be looked at
    shutil.rmtree(base / variation.name, ignore_errors=True)
    try:
        prepare(root, work, Path(options.config), control, start)
        execute(variation, work, options.cores)
        rebuilt = compare(control, work, "all")
    except DataError as error:
        return Outcome(variation.name, variation.how, "failed", str(error))
    seconds = time.monotonic() - began
    found = check_rebuilt(rebuilt)
    result, detail = ("identical", "") if found.status == "ok" else ("differs", found.summary)
    shutil.rmtree(base / variation.name)
    return Outcome(
        variation.name, variation.how, result, detail, round(seconds, 1), len(rebuilt.files)
    )


def make_control(root: Path, base: Path, options: argparse.Namespace) -> Path:
    """Return the run that all others are compared with; made once, reused if it is whole."""
    control = base / "control"
    if not (control / paths.MANIFEST).is_file():
        if control.exists():
            shutil.rmtree(control)
        prepare(root, control, Path(options.config), None, PHASES[0])
        execute(Variation("control", "as it is"), control, options.cores)
    read_manifest(control)
    return control


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print the table of variations."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for heading in ("variation", "how", "result", "files", "s", ""):
        table.add_column(heading, overflow="fold")
    for found in outcomes:
        row = (found.name, found.how, found.result, str(found.files or ""))
        seconds = f"{found.seconds:.0f}" if found.seconds else ""
        table.add_row(*(escape(cell) for cell in (*row, seconds, found.detail[:300])))
    Console().print(table)


def chosen(names: str | None) -> list[Variation]:
    """Return the variations that are asked for."""
    if names is None:
        return list(VARIATIONS.values())
    for name in names.split(","):
        if name not in VARIATIONS:
            raise ConfigError(f"--only: no variation {name!r}; {nearest(name, VARIATIONS)}")
    return [VARIATIONS[name] for name in names.split(",")]


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    top = argparse.ArgumentParser(
        prog="python -m development.variations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--list", action="store_true", help="name the variations and stop")
    top.add_argument("--only", metavar="NAME,...", help="run these (default: all)")
    top.add_argument(
        "--config", metavar="FILE", default="config/ci.yaml", help="default: %(default)s"
    )
    top.add_argument("--start", choices=PHASES, default=PHASES[0], help="first phase to vary")
    top.add_argument("--cores", type=int, default=2, help="jobs at once (default %(default)s)")
    top.add_argument("--work", metavar="FOLDER", help="keep the control here, to be used again")
    top.add_argument("--json", metavar="FILE", help="also write the outcomes as JSON")
    return top


def main() -> None:
    """Run the chosen variations one after another."""
    options = parser().parse_args()
    variations = chosen(options.only)
    if options.list:
        print_outcomes([Outcome(v.name, v.how, v.missing() or "can run") for v in variations])
        return
    root = Path.cwd()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="dmn-variations-") as folder:
        base = Path(options.work or folder).resolve()
        control = make_control(root, base, options)
        for variation in variations:
            outcomes.append(attempt(variation, root, control, base, options))
            sys.stderr.write(f"{outcomes[-1].name}: {outcomes[-1].result}\n")
            if options.json:
                write_json(options.json, [asdict(outcome) for outcome in outcomes])
    print_outcomes(outcomes)
    if any(outcome.result in ("differs", "failed") for outcome in outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    run_main(main)
