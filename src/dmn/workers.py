"""Threads for work that is split into tasks: no sum is cut by their number."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


class Workers(ThreadPoolExecutor):
    """A pool of `count` threads that run each product on one thread."""

    def __init__(self, count: int) -> None:
        super().__init__(count, initializer=torch.set_num_threads, initargs=(1,))
        self.count = count


@contextmanager
def workers(count: int | None) -> Iterator[Workers]:
    """Give a pool of `count` threads (torch's number if None), each product on one thread.

    A product's last bits may depend on the threads it runs on, so work is split by tasks.
    """
    before = torch.get_num_threads()
    pool = Workers(count or before)
    try:
        torch.set_num_threads(1)
        with pool:
            yield pool
    finally:
        torch.set_num_threads(before)
