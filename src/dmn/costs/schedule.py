"""Jobs by phase, and how long they last on some cores."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from dmn.costs.jobs import Job

# of Snakemake itself: seconds until the first job, and those that it takes of a core for each
BEGINNING, EACH = 6.0, 0.3
# a phase waits for those before it; studies and their reports pass each other
ORDER = ("download", "encoder", "splits", "features", "memory", "projection", "reports")


@dataclass(frozen=True)
class Phase:
    """The jobs of a phase or study together; memory_mb: of the largest."""

    phase: str
    jobs: int
    cpu_seconds: float
    longest_seconds: float
    memory_mb: float
    disk_bytes: float


def place(job: Job) -> tuple[int, str]:
    """Return what jobs are ordered by: phases as they come, studies before the reports."""
    known = ORDER.index(job.phase) if job.phase in ORDER else ORDER.index("reports") - 0.5
    return int(2 * known), job.phase


def phases(jobs: Iterable[Job]) -> list[Phase]:
    """Return the sums of each phase and study, and of all."""
    jobs = sorted(jobs, key=place)
    found = [_summed(name, list(own)) for name, own in groupby(jobs, key=lambda job: job.phase)]
    return [*found, _summed("all", jobs)]


def _summed(name: str, jobs: Sequence[Job]) -> Phase:
    return Phase(
        name,
        len(jobs),
        round(sum(job.cpu for job in jobs), 1),
        round(max(job.cpu for job in jobs), 1),
        round(max(job.memory_mb for job in jobs)),
        round(sum(job.disk for job in jobs)),
    )


def wall_seconds(jobs: Iterable[Job], cores: int) -> float:
    """Return how long the jobs last on some cores: the longest first, phase after phase."""

    def step(job: Job) -> int:
        return min(place(job)[0], 2 * ORDER.index("reports") - 1)

    total = BEGINNING
    for _, own in groupby(sorted(jobs, key=step), key=step):
        free = [0.0] * cores
        for job in sorted(own, key=lambda job: -job.cpu):
            heapq.heapreplace(free, free[0] + job.cpu + EACH)
        total += max(free)
    return total
