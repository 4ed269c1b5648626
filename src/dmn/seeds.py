"""Seeds as a configuration and a file name write them: one, or a range such as 0-9."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from dmn.errors import ConfigError


def seed_range(entry: int | str) -> range:
    """Return the seeds of an entry such as `7` or `0-9`."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", str(entry))
    if match is None:
        raise ValueError(f"{entry!r} is not a seed or a range such as 0-9")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"range {entry!r} ends before it begins")
    return range(first, last + 1)


def given_seeds(option: str, text: str) -> list[int]:
    """Return the seeds that a command's option names; ConfigError for anything else."""
    try:
        return list(seed_range(text))
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def all_seeds(entries: Iterable[int | str]) -> list[int]:
    """Return the seeds of all entries."""
    return [seed for entry in entries for seed in seed_range(entry)]


def _checked_entry(entry: int | str) -> int | str:
    seed_range(entry)
    return entry


SeedEntry = Annotated[int | str, AfterValidator(_checked_entry)]
