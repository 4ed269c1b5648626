"""Make all reports, or the files that are named, through Snakemake, with one line a job.

    dmn run                                     the embedded demo: everything
    dmn run reports/length                      one study
    dmn run --config config/satellite.yaml      another configuration: in runs/satellite
    dmn run --name more seeds.split='[0-2, 3]'  the demo with one more split seed: in runs/more
    dmn run --name more                         go on with it

The demo is at the top, in data/ and reports/; any other configuration has a folder runs/NAME, where
snakemake, dvc repro and dmn audit work as they do at the top. What a run has made, others share.
Snakemake does the work and serves as well; `--verbose` shows all that it says, `--reasons` why each
job runs, and more options go to it as `--snakemake='--forceall'`.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dmn.artifacts import read_json
from dmn.errors import ArtifactError, ConfigError, nearest
from dmn.pipeline.asked import CHANGE, CONFIG_HELP, Asked
from dmn.pipeline.configuration import load_run
from dmn.pipeline.paths import MANIFEST, PAGE, REPORTS, RUN_CONFIG, STUDY_SUMMARY, fill
from dmn.pipeline.runs.home import CONFIG, NAME_HELP, find, is_run, top_of
from dmn.pipeline.runs.progress import ASKED, NOTHING, Progress, show
from dmn.pipeline.runs.start import enter, settle

LOCKED = "LockException"


def snakemake(*arguments: str) -> list[str]:
    """Return the command line of this environment's Snakemake."""
    return [sys.executable, "-m", "snakemake", *arguments]


def job_counts(output: str) -> dict[str, int]:
    """Return how many jobs of each rule a run or a dry run has, by what Snakemake says.

    >>> job_counts("job      count\\n-----    -----\\nshots        2\\ntotal        2\\n")
    {'shots': 2}
    """
    found = re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule != "total"}


def reason(output: str) -> str:
    """Return the lines that say what went wrong, among Snakemake's lines about itself."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if re.match(r"\w*(Error|Exception)\b", line)]
    return " ".join(lines[starts[0] : starts[0] + 2] if starts else lines[-1:])


def count_jobs(
    asked: Asked,
    targets: Sequence[str] = (MANIFEST,),
    options: Sequence[str] = (),
    folder: Path | None = None,
) -> dict[str, int]:
    """Return how many jobs of each rule are still to run: Snakemake's own count, by a dry run.

    folder: of the run, the current one by default.
    """
    dry_run = ("--dry-run", "--quiet", "rules", "--cores", "1", *options)
    command = snakemake(*dry_run, *asked.options(), "--", *targets)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    said = done.stdout + done.stderr
    counts = job_counts(said)
    if done.returncode or not (counts or NOTHING in said):
        raise ConfigError(f"Snakemake cannot plan this configuration: {reason(said)}")
    return counts


def in_words(counts: Mapping[str, int]) -> str:
    """Return numbers of jobs as a sentence.

    >>> in_words({"shots": 2, "page": 1})
    'Jobs still to run: 3 (shots 2, page 1).'
    """
    by_rule = ", ".join(f"{rule} {count}" for rule, count in counts.items())
    return f"Jobs still to run: {sum(counts.values()):,} ({by_rule or 'none'})."


def make(
    targets: Sequence[str],
    asked: Asked,
    cores: str = "all",
    options: Sequence[str] = (),
    reasons: bool = False,
    folder: str = "",
) -> None:
    """Let Snakemake make `targets`, and show on stderr how far it is.

    folder: of the run, as the names of its files begin for the reader. Raises ArtifactError where a
    job fails, ConfigError where none could begin.
    """
    why = ("--quiet", "host") if reasons else ()
    command = snakemake("--cores", cores, *why, *options, *asked.options(), "--", *targets)
    said: list[str] = []

    def kept(line: str) -> str:
        said.append(line)
        return line

    progress = Progress(folder=folder, reasons=reasons)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, ASKED: "1"},
    ) as process:
        # Snakemake gets an interrupt as well, and ends its jobs before it ends itself
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            show(map(kept, process.stdout or ()), progress)
        finally:
            signal.signal(signal.SIGINT, handler)
    if process.returncode and any(LOCKED in line for line in said):
        raise ConfigError(
            "another run is at work on these files, or one was killed; if none is, unlock and run "
            f"again: {f'cd {folder} && ' if folder else ''}snakemake --unlock"
        )
    if process.returncode and not progress.latest:
        raise ConfigError(f"Snakemake cannot plan this configuration: {reason(''.join(said))}")
    if process.returncode:
        raise ArtifactError(f"the workflow did not make {', '.join(targets)}: see above")


def check_targets(targets: Sequence[str], studies: Iterable[str]) -> None:
    """Refuse a report of a study that the configuration does not have, with the nearest name."""
    known = [f"{REPORTS}/{study}" for study in studies]
    for target in targets:
        first, _, rest = target.partition("/")
        if (
            first == REPORTS
            and "/" not in rest
            and target not in (*known, MANIFEST, PAGE, RUN_CONFIG)
        ):
            raise ConfigError(f"no report {target}; {nearest(target, [*known, MANIFEST])}")


def ending(folder: str = "") -> list[str]:
    """Return what to look at after a whole run: its main sentence, and where the page lies."""
    summary = Path(fill(STUDY_SUMMARY, study="main"))
    findings = read_json(summary)["findings"][:1] if summary.exists() else []
    return [*findings, f"All studies: {(Path(folder) / PAGE).as_posix()}"]


def counted(arguments: argparse.Namespace, asked: Asked, targets: Sequence[str]) -> dict[str, int]:
    """Return how many jobs a run would have; nothing is written."""
    top = top_of(Path.cwd())
    folder = find(top, arguments.name, asked)
    values = {} if folder == top else settle(folder, asked, arguments.change)
    check_targets(targets, load_run(values, str(folder)).studies)
    if not is_run(folder):
        # a new run begins with what the demo has made
        return count_jobs(asked, targets)
    file = str(Path(asked.file).resolve()) if asked.file else CONFIG
    return count_jobs(Asked(file, asked.changes), targets, folder=folder)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn run`."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FILE|KEY=VALUE",
        help=f"files to make (default: {MANIFEST}), keys to change",
    )
    parser.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    parser.add_argument("--name", metavar="NAME", help=NAME_HELP)
    parser.add_argument(
        "--change", action="store_true", help="give a run that is there another configuration"
    )
    parser.add_argument("--cores", default="all", help="jobs at once (default: all cores)")
    parser.add_argument("--dry-run", action="store_true", help="only say how many jobs there are")
    parser.add_argument("--reasons", action="store_true", help="say of each job why it runs")
    parser.add_argument("--verbose", action="store_true", help="show all that Snakemake says")
    parser.add_argument("--snakemake", default="", metavar="OPTIONS", help="more, as one text")


def main(arguments: argparse.Namespace) -> None:
    """Run Snakemake."""
    changes = [word for word in arguments.words if CHANGE.match(word)]
    targets = [word for word in arguments.words if word not in changes] or [MANIFEST]
    wanted = Asked.read(arguments.config, changes)
    options = shlex.split(arguments.snakemake)
    if arguments.dry_run:
        sys.stdout.write(in_words(counted(arguments, wanted, targets)) + "\n")
        return
    here = Path.cwd()
    asked = enter(
        arguments.name,
        wanted,
        arguments.change,
        check=lambda config: check_targets(targets, config.studies),
    )
    folder = "" if Path.cwd() == here else Path(os.path.relpath(Path.cwd(), here)).as_posix()
    if arguments.verbose:
        why = ("--quiet", "host") if arguments.reasons else ()
        command = snakemake(
            "--cores", arguments.cores, *why, *options, *asked.options(), "--", *targets
        )
        raise SystemExit(subprocess.run(command, check=False).returncode)
    make(targets, asked, arguments.cores, options, arguments.reasons, folder)
    if targets == [MANIFEST]:
        sys.stdout.write("".join(f"{line}\n" for line in ending(folder)))
