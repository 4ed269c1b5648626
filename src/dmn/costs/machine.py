"""How fast a machine is: seconds of a few reference tasks, by which the model of costs scales.

`dmn bench calibrate` measures them and writes `machine.json` beside the checkout; without it the
documented machine stands in.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from dmn.errors import ConfigError
from dmn.pipeline.runs.home import top_of
from dmn.schema import Strict, read_yaml

FILE = "machine.json"


class Machine(Strict):
    """CPU seconds of one core for each reference task (dmn.bench.calibrate)."""

    name: str = Field(description="the machine in words")
    start: float = Field(gt=0, description="a process that imports what a measuring job imports")
    float32: float = Field(gt=0, description="10^11 operations of float32 products")
    float64: float = Field(gt=0, description="10^11 operations of float64 products")
    stream: float = Field(gt=0, description="a small stream, answered and searched for weights")
    rows: float = Field(gt=0, description="a table of rows, packed and written")
    encoder: float = Field(gt=0, description="views of digits, drawn and encoded")


DOCUMENTED = Machine(
    name="two virtual cores with AVX2, 24 GB",
    start=2.0,
    float32=0.9,
    float64=1.9,
    stream=0.15,
    rows=0.0092,
    encoder=0.1,
)


def place() -> Path:
    """Return where the machine's file is: at the top of the checkout, for named runs too."""
    return top_of(Path.cwd()) / FILE


def read_machine(path: Path | None = None) -> Machine:
    """Return the machine of a file, the documented one where there is none."""
    path = path or place()
    if not path.exists():
        return DOCUMENTED
    try:
        return Machine(**read_yaml(path, "machine"))
    except ValueError as error:
        line = str(error).splitlines()[0]
        raise ConfigError(f"{path}: {line}; write it anew with dmn bench calibrate") from None
