"""How far a long job is: one line of a terminal, and in a log a line a minute at most."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dmn.durations import duration

# a line of a log waits for both, so that a job of seconds says nothing and one of days not too much
EACH_SECONDS, EACH_SHARE = 60.0, 0.01


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that counts, for any thread; it says how many of `total`, and the time left.

    Lines go to stderr, which the rules write to the job's log.
    """
    if not sys.stderr.isatty():
        yield Lines(what, total)
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), MofNCompleteColumn(" of "), TimeRemainingColumn()
    console = Console(file=sys.stderr)
    with Progress(*columns, TextColumn("left"), console=console, transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda count: shown.advance(task, count)


class Lines:
    """Counts, and says a line on stderr where a minute and a hundredth of all have passed."""

    def __init__(self, what: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.total, self.clock = what, total, clock
        self.began = self.said_at = clock()
        self.done = self.said = 0
        self.lock = threading.Lock()

    def __call__(self, count: int) -> None:
        """Count so many more."""
        with self.lock:
            self.done += count
            now, further = self.clock(), self.done - self.said
            if now - self.said_at < EACH_SECONDS or further < EACH_SHARE * self.total:
                return
            self.said_at, self.said = now, self.done
            left = (now - self.began) * (self.total - self.done) / self.done
            sys.stderr.write(
                f"{self.what}: {self.done:,} of {self.total:,} "
                f"({100 * self.done / self.total:.0f} %), {duration(left)} left\n"
            )
            sys.stderr.flush()
