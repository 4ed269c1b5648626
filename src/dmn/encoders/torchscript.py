"""Reads the tensors of a TorchScript archive, the form in which OpenAI publishes CLIP.

torch.jit.load would run what the archive's modules do when they are restored. Here its pickle is
read by an unpickler that can make tensors, lists and empty objects, and its code is not touched.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def is_torchscript(path: str | Path) -> bool:
    """Say whether a file is a TorchScript archive: torch tells it by its constants."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: str | Path) -> dict[str, Tensor]:
    """Return all tensors of the archive's module by their dotted names.

    pickle.UnpicklingError for anything but a module of tensors, KeyError and RuntimeError for a
    damaged archive.
    """
    with zipfile.ZipFile(path) as archive:
        data = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(data) as stream:
            module = _Unpickler(stream, archive, data.removesuffix("data.pkl")).load()
    if not isinstance(module, _Module):
        raise pickle.UnpicklingError("no module")
    return dict(_tensors(module, ""))


def uses_quick_gelu(path: str | Path) -> bool | None:
    """Say whether the archive's code computes OpenAI's fast GELU, x * sigmoid(1.702 x)."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
        code = b"\n".join(archive.read(name) for name in names)
    if b"torch.sigmoid(" in code:
        return True
    return False if b"torch.gelu(" in code else None


class _Module:
    """A module or object of the archive: its attributes, nothing that could run."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.attributes = dict(state)


class _Unpickler(pickle.Unpickler):
    """Makes tensors, lists and `_Module`s; refuses every other name."""

    def __init__(self, stream: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(stream)
        self._archive, self._folder = archive, folder
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if module == "torch.jit._pickle":
            # lists of a type, and values with the name of their type
            return _first
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _first,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _, count = pid
        if kind != "storage":
            raise pickle.UnpicklingError(str(kind))
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            self._storages[key] = torch.frombuffer(content, dtype=dtype, count=count)
        return self._storages[key]


def _tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _first(value: Any, *_: Any) -> Any:
    return value


def _tensors(module: _Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in getattr(module, "attributes", {}).items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
