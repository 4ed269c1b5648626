"""Intervals of a mean over crossed seeds and test images.

The same images are answered under every split, order and training seed: a crossed design of random
factors (Clark 1973, Owen 2007). The variance of the grand mean is the sum over all sets of factors
of their mean squares, with signs that alternate, as the analysis of variance of the fully random
model has it. The quantile is Cochran's (1964): the mean of the factors' Student quantiles, weighted
by what each adds to the variance. So an interval is wide where three splits differ much, and the
usual one over images where no seed matters (docs/statistics.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
LEAST_LEVELS = 3  # of a seed that an interval is over: two splits say too little of their spread
SAME = 1e-12  # means closer than this, relatively, differ by rounding only
IMAGES = "images"
NAN = float("nan")


class Factor(NamedTuple):
    """What varies in an interval: its share of the parts' variances, and degrees of freedom."""

    name: str
    share: float
    freedom: int


@dataclass(frozen=True)
class Interval:
    """A mean's interval over `factors`; without any there is none and its bounds are NaN.

    centre is the estimate that it is built around, error its standard error.
    """

    centre: float
    error: float = NAN
    factors: tuple[Factor, ...] = ()

    def bounds(self) -> tuple[float, float]:
        """Return low and high, NaN without an interval."""
        half = self._quantile((1 - CONFIDENCE) / 2) * self.error
        return self.centre - half, self.centre + half

    def p_value(self) -> float:
        """Return the two-sided p-value of a mean of zero, NaN without an interval."""
        if not self.factors:
            return NAN
        distance = abs(self.centre) / self.error
        low, high = 0.0, 0.5
        for _ in range(60):
            tail = (low + high) / 2
            low, high = (tail, high) if self._quantile(tail) > distance else (low, tail)
        return 2 * high

    def _quantile(self, tail: float) -> float:
        if not self.factors:
            return NAN
        # half a second that jobs which measure do not need
        from scipy import special

        return -sum(f.share * float(special.stdtrit(f.freedom, tail)) for f in self.factors)


class Part(NamedTuple):
    """What the mean square of a set of factors says of the mean's variance."""

    factors: tuple[str, ...]
    variance: float
    freedom: int


def crossed(
    means: np.ndarray,
    names: Sequence[str],
    samples: np.ndarray | None = None,
    added: Sequence[float] = (),
) -> Interval:
    """Return the interval of the mean of a complete design.

    means [L1, L2, ...]: a value for each combination of seeds, which `names` has by axis.
    samples [L1, L2, ..., N]: the images' values, whose means they are; runs may share them.
    added: values of images beside those, the same in every run: see `summaries`. A seed of fewer
    than three levels is averaged over, so the interval holds for these levels.
    """
    centre = float(np.mean(means))
    parts = list(_parts(np.asarray(means, dtype=np.float64), names))
    if samples is None:
        return _interval(centre, parts, _levels(means, names))
    whole = _with_added(np.asarray(samples, dtype=np.float64), added)
    centre = (centre * samples.shape[-1] + sum(added)) / whole.shape[-1]
    parts += [p for p in _parts(whole, [*names, IMAGES]) if IMAGES in p.factors]
    return _interval(centre, parts, _levels(whole, names))


def partial(
    samples: np.ndarray, asked: np.ndarray, names: Sequence[str], added: Sequence[float] = ()
) -> Interval:
    """Return the interval of a mean of runs that were asked other images, such as a stream's start.

    samples, asked [L1, L2, ..., N], asked of booleans. Variances are of sums over each level
    (Cameron, Gelbach and Miller 2011); what seeds share with images is counted twice, except
    along a seed that decides which images are asked.
    """
    samples = _with_added(np.asarray(samples, dtype=np.float64), added)
    asked = _with_added(np.asarray(asked, dtype=np.float64), [1.0] * len(added))
    counts = asked.sum(axis=-1, keepdims=True)
    centre = float(((samples * asked).sum(axis=-1, keepdims=True) / counts).mean())
    shares = asked * (samples - centre) / counts / counts.size
    parts = []
    last = samples.ndim - 1
    for axis, name in enumerate([*names, IMAGES]):
        sums = _sums(shares, (axis,))
        if axis < last and sums.size < LEAST_LEVELS:
            continue
        parts.append(_part((name,), sums, sums.size - 1, sums.size / (sums.size - 1)))
        if axis < last and (asked != asked.take([0], axis=axis)).any():
            cells = _sums(shares, (axis, last))
            parts.append(_part((name, IMAGES), cells, cells.size - 1))
    return _interval(centre, parts, _levels(samples, names))


def _parts(cube: np.ndarray, names: Sequence[str]) -> Iterator[Part]:
    """Yield the mean square of each set of factors, divided by the number of values."""
    usable = [a for a, n in enumerate(names) if cube.shape[a] >= LEAST_LEVELS or n == IMAGES]
    for size in range(1, len(usable) + 1):
        for axes in combinations(usable, size):
            effect = cube.mean(axis=tuple(a for a in range(cube.ndim) if a not in axes))
            for axis in range(effect.ndim):
                effect = effect - effect.mean(axis=axis, keepdims=True)
            freedom = int(np.prod([n - 1 for n in effect.shape]))
            if freedom:
                yield _part(
                    tuple(names[a] for a in axes), effect, freedom, effect.size**-1 / freedom
                )


def _part(
    factors: tuple[str, ...], deviations: np.ndarray, freedom: int, factor: float = 1.0
) -> Part:
    return Part(factors, factor * float((deviations**2).sum()), freedom)


def _levels(cube: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    return dict(zip([*names, IMAGES], cube.shape, strict=False))


def _sums(shares: np.ndarray, kept: tuple[int, ...]) -> np.ndarray:
    return shares.sum(axis=tuple(a for a in range(shares.ndim) if a not in kept))


def _interval(centre: float, parts: Sequence[Part], levels: Mapping[str, int]) -> Interval:
    """Return the interval of the parts' variances.

    What a set of factors shares is taken from the one with the fewest levels, which knows its own
    variance least; what is left of it adds to the variance where it is positive.
    """
    least = (SAME * max(1.0, abs(centre))) ** 2
    single = {p.factors[0]: p for p in parts if len(p.factors) == 1 and p.variance > least}
    own = dict.fromkeys(single, 0.0)
    for part in parts:
        rarest = min(part.factors, key=levels.__getitem__)
        if rarest in own:
            own[rarest] += -part.variance if len(part.factors) % 2 == 0 else part.variance
    added = {name: max(0.0, variance) for name, variance in own.items()}
    total = sum(added.values())
    if not total:
        return Interval(centre)
    factors = [Factor(name, v / total, single[name].freedom) for name, v in added.items()]
    return Interval(centre, total**0.5, tuple(factors))


def _with_added(samples: np.ndarray, added: Sequence[float]) -> np.ndarray:
    if not len(added):
        return samples
    beside = np.broadcast_to(np.asarray(added, dtype=np.float64), (*samples.shape[:-1], len(added)))
    return np.concatenate([samples, beside], axis=-1)
