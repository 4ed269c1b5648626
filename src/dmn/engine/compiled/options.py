"""How the compiled loops are compiled, and where machine code is kept between runs.

Numba asks of kept code only whether the file of its own function has changed. A loop that takes
in one of another file would then stay as it was when that one changes, and give the numbers of
yesterday's code. So the folder of the machine code is named by a hash of all these files.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from numba import config

PACKAGE = Path(__file__).resolve().parent
MODULES = ("exponential", "fronts", "kernels", "loops", "moves", "options", "orders", "tracing")
# fused multiply-adds do not change the order of a sum
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"contract"},
}
# for a loop over one tile, because a call costs as much as such a loop
INLINE = {**OPTIONS, "forceinline": True}


def code_hash() -> str:
    """Return a hash of all files that hold compiled loops."""
    digest = hashlib.sha256()
    for module in MODULES:
        digest.update((PACKAGE / f"{module}.py").read_bytes())
    return digest.hexdigest()[:16]


def cache_folder(name: str) -> Path:
    """Return the first folder for machine code that can be written: beside the sources, if any."""
    beside = PACKAGE / "__pycache__"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for parent in (beside, home / "dmn-repro"):
        try:
            (parent / name).mkdir(parents=True, exist_ok=True)
            # a folder that is there already may belong to somebody else
            tempfile.TemporaryFile(dir=parent / name).close()
        except OSError:
            continue
        return parent / name
    return Path(tempfile.mkdtemp(prefix="dmn-repro-"))


config.CACHE_DIR = config.CACHE_DIR or str(cache_folder(f"numba-{code_hash()}"))
