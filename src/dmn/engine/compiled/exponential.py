"""Exponential for compiled loops, in plain arithmetic that becomes vector instructions.

By hand, because the C library's differs between machines in its last bit and is called one number
at a time.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

# queries that a loop takes at once: its scratch stays in the first-level cache
TILE = 48


def exp(x: float) -> float:
    """Return e^x for x below 80, alike on every machine; under 2 units in the last place."""
    raise NotImplementedError  # compiled code only


@overload(exp, inline="always")
def _exp(x):
    return _exp32 if x == types.float32 else _exp64


def _exp32(x):
    one, half = np.float32(1), np.float32(0.5)
    x = max(x, np.float32(-87))
    n = np.floor(x * np.float32(1.44269504088896341) + half)
    r = x - n * np.float32(0.693359375)
    r = r - n * np.float32(-2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + half
    p = p * (r * r) + r + one
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


def _exp64(x):
    x = max(x, -700.0)
    n = np.floor(x * 1.44269504088896341 + 0.5)
    r = x - n * 6.93145751953125e-1
    r = r - n * 1.42860682030941723212e-6
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * (r * r) + r + 1.0
    return p * np.int64((np.int64(n) + np.int64(1023)) << np.int64(52)).view(np.float64)
