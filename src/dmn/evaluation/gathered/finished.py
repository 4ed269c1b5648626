"""Streams that are answered already, for a job that is started again after it was stopped."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dmn import artifacts
from dmn.digests import add_array
from dmn.engine.search import Fronts
from dmn.engine.together.requests import Answered, Request
from dmn.method.model import Model

PACKAGE = Path(__file__).resolve().parents[2]
CODE = ("engine", "evaluation/gathered", "method")
# probabilities of all orders and lengths: what has fewer is answered again as fast
LEAST = 10**7
PARTS = ("start", "classes", "values")


class Finished:
    """What was kept of requests, one file each, in a folder that goes when the job ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def remove(self) -> None:
        """Remove the folder: the job has ended, and what it kept serves nobody."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def names(
        self, requests: Sequence[Request], permutations: Sequence[np.ndarray], rows: np.ndarray
    ) -> list[str]:
        """Return a name for each request: a hash of all that its answers depend on, code too.

        Empty where there is little to do. Requests that are answered together depend on each other
        in the last bits.
        """
        numbers = sum(r.model.classes * len(r.lengths) for r in requests)
        if numbers * len(rows) * len(permutations) < LEAST:
            return []
        digest = hashlib.sha256(code().encode())
        for array in (rows, *permutations):
            add_array(digest, array)
        seen: list[object] = []
        for request in requests:
            _add_model(digest, request.model)
            digest.update(repr((request.lengths, request.betas)).encode())
            if not any(request.views is views for views in seen):
                add_array(digest, request.views)
            seen.append(request.views)
        return [f"{digest.hexdigest()[:32]}-{place}" for place in range(len(requests))]

    def read(self, name: str) -> tuple[Answered, dict[tuple[int, int], Fronts]] | None:
        """Return what `write` wrote, None where it did not come to that."""
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            return None
        arrays = artifacts.read_tensors(path)
        facts: dict[str, Any] = artifacts.read_tensor_metadata(path)
        fronts = {}
        for key in np.ndindex(facts["orders"], facts["lengths"]):
            start, classes, values = (arrays[_array_name(part, *key)] for part in PARTS)
            fronts[key[0], key[1]] = Fronts(start, classes, values, facts["has_static"])
        return Answered(arrays["pseudo_label"], arrays["entropy"]), fronts

    def write(self, name: str, answered: Answered, fronts: dict[tuple[int, int], Fronts]) -> None:
        """Keep the fronts of a request by (order, length)."""
        arrays = answered._asdict()
        for (order, length), own in fronts.items():
            arrays |= {_array_name(part, order, length): getattr(own, part) for part in PARTS}
        facts = {
            "orders": 1 + max(order for order, _ in fronts),
            "lengths": 1 + max(length for _, length in fronts),
            "has_static": next(iter(fronts.values())).has_static,
        }
        artifacts.write_tensors(self.folder / f"{name}.safetensors", arrays, facts)


@cache
def code() -> str:
    """Return a hash of the modules that answers are computed by."""
    digest = hashlib.sha256(f"{np.__version__} {torch.__version__}".encode())
    for folder in CODE:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _add_model(digest: Any, model: Model) -> None:
    for name in (field.name for field in fields(model)):
        value = getattr(model, name)
        tensors = value.tensors() if name == "projections" else {name: value}
        for part, own in tensors.items():
            digest.update(part.encode())
            if isinstance(own, torch.Tensor):
                add_array(digest, own.cpu().numpy())
            else:
                digest.update(repr(own).encode())
    digest.update(model.projections.kind.encode())


def _array_name(part: str, order: int, length: int) -> str:
    return f"{part}/{order}/{length}"
