"""A long job says how far it is."""

from __future__ import annotations

import threading

import pytest

from dmn.evaluation.gathered.progress import Lines, progress


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_what_how_many_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    count = Lines("digits, glyph, split 0: answers", 4000, clock)
    clock.now = 61.0
    count(1000)
    said = capsys.readouterr().err
    assert said == "digits, glyph, split 0: answers: 1,000 of 4,000 (25 %), 3 min left\n"


def test_a_log_gets_a_line_a_minute_and_a_line_a_hundredth_at_most(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    count = Lines("answers", 1000, clock)
    for _ in range(100):  # 0.1 % a second: a hundredth in ten
        clock.now += 1
        count(1)
    assert capsys.readouterr().err.count("\n") == 1
    slow = Lines("answers", 100_000, clock)
    for _ in range(100):  # 0.1 % a minute
        clock.now += 60
        slow(100)
    assert capsys.readouterr().err.count("\n") == 10


def test_a_job_of_seconds_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("answers", 10) as count:
        count(10)
    assert capsys.readouterr().err == ""


def test_threads_count_together() -> None:
    count = Lines("answers", 10_000)
    threads = [threading.Thread(target=lambda: [count(1) for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.done == 4000
