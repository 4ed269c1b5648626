"""Errors that a user can cause, each one line: what, which value, where from, what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches

EXIT_USER_ERROR = 2


class DmnError(Exception):
    """Base of all errors that are the input's fault; its text is one line for a person."""


class ConfigError(DmnError):
    """A configuration key or value that cannot be used."""


class DataError(DmnError):
    """A data set, archive or download that is not what the registry says."""


class ArtifactError(DmnError):
    """A file of the pipeline that is missing, corrupt or of the wrong kind."""


class FeatureError(DmnError, ValueError):
    """Features, labels or memories with unusable shapes or values."""


class OutputError(DmnError):
    """A place that cannot be written."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` plus the known names, for an unknown `name`."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names)}"


def some(names: Sequence[str], count: int = 3) -> str:
    """Return the first names of a list, and how many more there are.

    >>> some(["a", "b", "c", "d"], 2)
    'a, b and 2 more'
    """
    shown = ", ".join(names[:count])
    return f"{shown} and {len(names) - count} more" if len(names) > count else shown


def run_main(main: Callable[[], None]) -> None:
    """Run a command; show a DmnError as one line on stderr and exit with status 2."""
    try:
        main()
    except DmnError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        raise SystemExit(EXIT_USER_ERROR) from None
