"""Random small networks and streams, far from saturation, for tests against the plain loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from dmn import DualMemoryNetwork, Projections
from dmn.bench.reference import Answers, PlainLoop, Variant
from dmn.method.choices import POSITIONS


@dataclass
class Case:
    """One network, its stream and all that the plain loop needs to answer it."""

    classes: int = 5
    dimension: int = 16
    images: int = 60
    views: int = 4
    shots: int = 0
    kind: str | None = None
    position: str = "all"
    distinct: int | None = None
    one_class: bool = False
    seed: int = 0
    dtype: torch.dtype = torch.float64
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        random = torch.Generator().manual_seed(self.seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        C, D, N = self.classes, self.dimension, self.images
        self.text = draw(C, D)
        label = torch.randint(0, C, (N,), generator=random)
        self.stream = draw(N, self.views, D) + self.text[label][:, None]
        if self.one_class:
            self.stream = self.text[0] + 0.01 * self.stream
        if self.distinct is not None and N:
            # repeated images have equal entropies
            again = torch.randint(0, min(self.distinct, N), (N,), generator=random)
            self.stream = self.stream[again]
        self.shot_features = draw(C, self.shots, D) if self.shots else None
        shape = (D, D) if self.kind == "linear" else (C, D)
        names = POSITIONS["all"] if self.kind else ()
        self.layers = {name: 0.3 * draw(*shape) for name in names}

    @property
    def choices(self) -> dict[str, Any]:
        plain = {"length": 3, "beta": 2.0, "logit_scale": 8.0, "view_share": 0.5}
        return plain | self.options

    def network(self) -> DualMemoryNetwork:
        projections = None
        if self.kind:
            make = Projections.bias if self.kind == "bias" else Projections.linear
            projections = make(**self.layers)
        return DualMemoryNetwork(
            self.text,
            self.shot_features,
            projections=projections,
            position=self.position,
            dtype=self.dtype,
            **self.choices,
        )

    def plain(self) -> Answers:
        acting = {n: t.to(self.dtype) for n, t in self.layers.items() if n in self._acting()}
        shots = None if self.shot_features is None else self.shot_features.to(self.dtype)
        loop = PlainLoop(
            self.text.to(self.dtype),
            shots,
            None,
            acting,
            Variant(kind=self.kind or "bias", **self.choices),
        )
        return loop.run(self.stream.to(self.dtype))

    def _acting(self) -> tuple[str, ...]:
        return POSITIONS[self.position]
