"""What a job does, in units that a machine has a rate for, and what that takes."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dmn.costs.machine import DOCUMENTED, Machine

GIGA, TERA = 1e9, 1e12
# CPU seconds of a unit on the documented machine, and the reference task that it scales with
PRICES: dict[str, tuple[float, str]] = {
    "starts": (3.2, "start"),
    "products": (27 / TERA, "float32"),
    "double_products": (55 / TERA, "float64"),
    "probabilities": (5 / GIGA, "stream"),
    "searched": (8e-6, "stream"),
    "runs": (3e-3, "stream"),
    "peers": (5e-5, "stream"),
    "rows": (32e-6, "rows"),
    "views": (0.2e-3, "encoder"),
    "figures": (0.5, "start"),
    "seconds": (1.0, "start"),
}


@dataclass(frozen=True)
class Work:
    """Counts of what a job does.

    starts: processes. products, double_products: multiply-adds in float32 and float64, those of
    the compiled loops among them. probabilities: answered, N x C a run. searched: images whose
    weights are searched. runs: stream orders that are asked about. peers: images that peers
    answer. rows: of tables. views: that the embedded encoder draws and encodes. figures: drawn.
    seconds: of what is not counted apart.
    """

    starts: float = 1.0
    products: float = 0.0
    double_products: float = 0.0
    probabilities: float = 0.0
    searched: float = 0.0
    runs: float = 0.0
    peers: float = 0.0
    rows: float = 0.0
    views: float = 0.0
    figures: float = 0.0
    seconds: float = 0.0

    def cpu(self, machine: Machine) -> float:
        """Return the CPU seconds that it takes."""
        return sum(
            getattr(self, name) * price * getattr(machine, task) / getattr(DOCUMENTED, task)
            for name, (price, task) in PRICES.items()
        )

    def __add__(self, other: Work) -> Work:
        """Return both together, with the processes of both."""
        names = [field.name for field in fields(self)]
        return Work(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def times(self, count: float) -> Work:
        """Return so many times the work in one process."""
        names = [field.name for field in fields(self) if field.name != "starts"]
        return Work(self.starts, **{name: count * getattr(self, name) for name in names})
