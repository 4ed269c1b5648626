"""What an archive may hold before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Files, bytes and pixels, far above those of any published data set."""

    members: int = 3_000_000
    member_bytes: int = 256 << 20
    expanded_bytes: int = 1 << 40
    ratio: float = 200.0
    pixels: int = 150_000_000
