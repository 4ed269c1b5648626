"""Lengths of time in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a length of time for people.

    >>> duration(42), duration(240), duration(9000)
    ('42 s', '4 min', '2.5 h')
    """
    if seconds >= 5400:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"
