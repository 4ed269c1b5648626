"""What a person sees of a run, from Snakemake's lines: jobs done of all, time left, one failure.

The time left is told from the finished jobs of this run and from the plan's model: a rule's jobs
take what its jobs took so far, and while few have finished what the model says of them, times what
all finished jobs took of what it says. As many go on at once as did so far, or do now.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from dmn.durations import duration

NOTHING = "Nothing to be done"
LAST_WORDS = 15  # lines of a failed job's log
# the variable that asks Snakemake to say what the model expects, and the line that it says
ASKED, EXPECTED = "DMN_PROGRESS", "expected seconds of a job: "
TRUST = 2  # in the model's mean of a rule's jobs, in finished jobs


def expectation(seconds: Mapping[str, float]) -> str:
    """Return the line that tells what a job of each rule is expected to take."""
    return EXPECTED + json.dumps(dict(seconds))


@dataclass
class Progress:
    """The state of a run, told line by line."""

    clock: Callable[[], float] = time.monotonic
    folder: str = ""  # of the run, before the names of its logs
    reasons: bool = False
    jobs: bool = True  # say each as it begins
    total: int = 0
    done: int = 0
    latest: str = ""  # the job that began last
    planned: Counter[str] = field(default_factory=Counter)
    finished: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)  # seconds by rule
    expected: dict[str, float] = field(default_factory=dict)  # seconds of a job by rule
    running: dict[str, float] = field(default_factory=dict)  # job: when it began
    _began: float | None = None
    _counted: bool = False
    _log: str = ""
    _frames: int = 2
    _last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))
    _cut: int = 0
    _told: set[tuple[str, ...]] = field(default_factory=set)

    def hear(self, line: str) -> list[str]:
        """Take one line of Snakemake's; return what it says to a person, beside the progress."""
        line = line.rstrip()
        if self._frames < 2:
            return self._of_log(line)
        if found := re.fullmatch(r"(\w+) +(\d+)", line):
            self._count(found[1], int(found[2]))
        elif found := re.match(r"(\d+) of (\d+) steps", line):
            self.done, self.total = int(found[1]), int(found[2])
        elif found := re.fullmatch(r"Job (\d+): (.+)", line):
            now = self.clock()
            self._began = now if self._began is None else self._began
            self.running[found[1]] = now
            self.latest = found[2]
            place = f"{self.done:>{len(str(self.total))}}/{self.total or '?'}"
            return [f"{place}  {self.left_words()}{self.latest}"] if self.jobs else []
        elif found := re.match(r"Finished jobid: (\d+) \(Rule: (\w+)\)", line):
            self._finish(found[1], found[2])
        elif self.reasons and line.startswith("Reason: "):
            return [f"    {line}"]
        elif found := re.fullmatch(r"Logfile (.+):", line):
            self._log, self._frames, self._cut = found[1], 0, 0
            self._last.clear()
        elif line.startswith(EXPECTED):
            self.expected = json.loads(line.removeprefix(EXPECTED))
        elif NOTHING in line:
            return [line]
        return []

    def _count(self, rule: str, count: int) -> None:
        # the table of jobs comes once, and ends with the total
        if rule == "total":
            self.total, self._counted = count, True
        elif not self._counted:
            self.planned[rule] = count

    def _finish(self, job: str, rule: str) -> None:
        began = self.running.pop(job, None)
        if began is not None:
            self.finished[rule] += 1
            self.spent[rule] += self.clock() - began  # type: ignore[assignment]

    def _of_log(self, line: str) -> list[str]:
        """Take a line of a failed job's log, which stands between two lines of equal signs."""
        if line and not line.strip("="):
            self._frames += 1
            return self._failure() if self._frames == 2 else []
        self._cut += len(self._last) == LAST_WORDS
        self._last.append(line)
        return []

    def _failure(self) -> list[str]:
        """Return a failed job's last words, once however often it was tried."""
        words = (self._log, *self._last)
        if words in self._told:
            return []
        self._told.add(words)
        head = f"failed; {PurePath(self.folder) / self._log} "
        head += f"ends ({self._cut} lines before):" if self._cut else "says:"
        return [head, *(f"  {line}" for line in self._last)]

    def left(self) -> float | None:
        """Return the seconds that the run will still take; None while nothing tells it."""
        count, spent = sum(self.finished.values()), sum(self.spent.values())
        if self._began is None or not (count or self.expected):
            return None
        now = self.clock()
        work = sum(
            self._each(rule) * max(planned - self.finished[rule], 0)
            for rule, planned in self.planned.items()
        )
        gone = sum(now - began for began in self.running.values())
        elapsed = max(now - self._began, 1e-9)
        at_once = max((spent + gone) / elapsed, len(self.running), 1)
        return max(work - gone, 0.0) / at_once

    def _each(self, rule: str) -> float:
        """Return the seconds that a rule's jobs will take in the mean."""
        count, spent = self.finished[rule], self.spent[rule]
        if rule in self.expected:
            told = [name for name in self.finished if name in self.expected]
            said = sum(self.finished[name] * self.expected[name] for name in told)
            took = sum(self.spent[name] for name in told)
            before = self.expected[rule] * (took / said if said else 1)
            return (spent + TRUST * before) / (count + TRUST)
        if count:
            return spent / count
        return sum(self.spent.values()) / max(sum(self.finished.values()), 1)

    def left_words(self) -> str:
        """Return the time left before a job's text; nothing while it is not known."""
        left = self.left() if self.done < self.total else None
        if left is None:
            return ""
        return f"{duration(left if left > 95 else max(round(left, -1), 10))} left: "


def follow(lines: Iterable[str], progress: Progress) -> Iterator[str]:
    """Yield what a person is told of a run, line by line."""
    for line in lines:
        yield from progress.hear(line)


def show(lines: Iterable[str], progress: Progress) -> None:
    """Show a run on stderr: one line that moves on a terminal, a line for each job elsewhere."""
    if progress.reasons or not sys.stderr.isatty():
        for said in follow(lines, progress):
            sys.stderr.write(f"{said}\n")
            sys.stderr.flush()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    progress.jobs = False
    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("planning", total=None)
        for line in lines:
            for said in progress.hear(line):
                console.print(said, markup=False, soft_wrap=True)
            if progress.total:
                text = f"{progress.left_words()}{escape(progress.latest)}"
                bar.update(task, total=progress.total, completed=progress.done, description=text)
