"""Make all reports, or the files that are named, through Snakemake, with one line a job.

    dmn run                                     the embedded demo: everything
    dmn run reports/length                      one study
    dmn run --config config/paper.yaml
    dmn run seeds.split='[0-2, 3]'              one more split seed

Snakemake does the work and serves as well; `--verbose` shows all that it says, and more options go
to it as `--snakemake='--forceall'`.
"""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dmn.artifacts import read_json
from dmn.errors import ArtifactError, ConfigError, nearest
from dmn.pipeline.asked import CHANGE, CONFIG_HELP, Asked
from dmn.pipeline.paths import MANIFEST, PAGE, REPORTS, RUN_CONFIG, STUDY_SUMMARY, fill

NOTHING = "Nothing to be done"


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


def follow(lines: Iterable[str]) -> Iterator[str]:
    """Yield what a person wants to see of a run: each job as it begins, and the log of a failure.

    A line begins with how many jobs are done, of all.
    """
    done, total, frames = "0", "?", 2
    for line in map(str.rstrip, lines):
        if frames < 2:
            # a log stands between two lines of equal signs
            framed = bool(line) and not line.strip("=")
            frames += framed
            yield from [] if framed else [f"  {line}"]
        elif found := re.fullmatch(r"total +(\d+)", line):
            total = found[1]
        elif found := re.match(r"(\d+) of (\d+) steps", line):
            done, total = found.groups()
        elif found := re.fullmatch(r"Job \d+: (.+)", line):
            yield f"{done:>{len(total)}}/{total}  {found[1]}"
        elif found := re.fullmatch(r"Logfile (.+):", line):
            frames = 0
            yield f"failed; {found[1]} says:"
        elif NOTHING in line:
            yield line


def count_jobs(
    asked: Asked, targets: Sequence[str] = (MANIFEST,), options: Sequence[str] = ()
) -> dict[str, int]:
    """Return how many jobs of each rule are still to run: Snakemake's own count, by a dry run."""
    dry_run = ("--dry-run", "--quiet", "rules", "--cores", "1", *options)
    command = snakemake(*dry_run, *asked.options(), "--", *targets)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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
    targets: Sequence[str], asked: Asked, cores: str = "all", options: Sequence[str] = ()
) -> None:
    """Let Snakemake make `targets`, each job one line on stderr.

    Raises ArtifactError where a job fails, ConfigError where none could begin.
    """
    command = snakemake("--cores", cores, *options, *asked.options(), "--", *targets)
    said: list[str] = []

    def kept(line: str) -> str:
        said.append(line)
        return line

    began = False
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        # Snakemake gets an interrupt as well, and ends its jobs before it ends itself
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for line in follow(map(kept, process.stdout or ())):
                began = True
                sys.stderr.write(f"{line}\n")
        finally:
            signal.signal(signal.SIGINT, handler)
    if process.returncode and not began:
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


def ending() -> list[str]:
    """Return what to look at after a whole run: its main sentence, and where the page lies."""
    summary = Path(fill(STUDY_SUMMARY, study="main"))
    findings = read_json(summary)["findings"][:1] if summary.exists() else []
    return [*findings, f"All studies: {PAGE}"]


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn run`."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FILE|KEY=VALUE",
        help=f"files to make (default: {MANIFEST}), keys to change",
    )
    parser.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    parser.add_argument("--cores", default="all", help="jobs at once (default: all cores)")
    parser.add_argument("--dry-run", action="store_true", help="only say how many jobs there are")
    parser.add_argument("--verbose", action="store_true", help="show all that Snakemake says")
    parser.add_argument("--snakemake", default="", metavar="OPTIONS", help="more, as one text")


def main(arguments: argparse.Namespace) -> None:
    """Run Snakemake."""
    changes = [word for word in arguments.words if CHANGE.match(word)]
    targets = [word for word in arguments.words if word not in changes] or [MANIFEST]
    asked = Asked.read(arguments.config, changes)
    config = asked.config()
    check_targets(targets, config.studies)
    options = shlex.split(arguments.snakemake)
    if arguments.dry_run:
        sys.stdout.write(in_words(count_jobs(asked, targets)) + "\n")
    elif arguments.verbose:
        command = snakemake("--cores", arguments.cores, *options, *asked.options(), "--", *targets)
        raise SystemExit(subprocess.run(command, check=False).returncode)
    else:
        make(targets, asked, arguments.cores, options)
        if targets == [MANIFEST]:
            sys.stdout.write("".join(f"{line}\n" for line in ending()))
