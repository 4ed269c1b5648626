"""Arrays in files that others wrote: .npy, .npz, .safetensors and .pt, read where they are needed.

Nothing is read twice and no more than is asked for: files are memory-mapped where their form
allows it, and shapes and dtypes come from their heads. No pickle is loaded: numpy files without
objects, .pt with tensors only, whichever device wrote them.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dmn.errors import FeatureError

# bytes of a zip's local header before the names; where in it their lengths stand
LOCAL_HEADER, LENGTHS = 30, slice(26, 30)
SAFETENSORS_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
FACTS = ("class_names", "ids", "logit_scale")


@dataclass(frozen=True)
class Lazy:
    """An array that is not read yet. `load` gives it mapped: an array of numpy's or of torch's."""

    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], Any]

    def read(self, rows: Any = ...) -> np.ndarray:
        """Return some rows, all by default, as numpy has them: bfloat16 as float32."""
        return _plain(self.load()[rows])

    def arranged(self, shape: tuple[int, ...], arrange: Callable[[Any], Any]) -> Lazy:
        """Return the array in another arrangement, such as transposed, still not read."""
        return Lazy(shape, self.dtype, lambda: arrange(self.load()))

    @property
    def words(self) -> str:
        """Return dtype and shape for messages."""
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Contents:
    """The arrays of one file by name (a file of one array has the name ''), and its facts."""

    path: Path
    arrays: Mapping[str, Lazy]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def one(self, *names: str) -> Lazy:
        """Return the array with the first name that is there; '' means the only one."""
        for name in names:
            if name in self.arrays:
                return self.arrays[name]
        if "" in names and len(self.arrays) == 1:
            return next(iter(self.arrays.values()))
        raise FeatureError(
            f"{self.path} has no array {names[0]!r}; it has {sorted(self.arrays) or 'none'}"
        )


def open_arrays(path: Path) -> Contents:
    """Open a file by its suffix; FeatureError, in one line, for anything but arrays."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(READERS)
        raise FeatureError(f"{path}: features are read from {known}, not from {path.suffix!r}")
    if not path.exists():
        raise FeatureError(f"cannot read {path}: no such file; check the path")
    _check_first_bytes(path)
    return reader(path)


def _check_first_bytes(path: Path) -> None:
    """Refuse what stands in a file's place where a download was not made or went wrong."""
    try:
        with open(path, "rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError as error:
        raise FeatureError(f"cannot read {path}: {error.strerror}; check the path") from None
    if start.startswith(b"version https://git-lfs"):
        raise FeatureError(f"{path} is a Git LFS pointer and not the file; get it: git lfs pull")
    if start.startswith((b"<!doctype", b"<html")):
        raise FeatureError(f"{path} is a web page and not the file; download it again")
    if not start:
        raise FeatureError(f"{path} is an empty file; get it again")


def _plain(part: Any) -> np.ndarray:
    if isinstance(part, np.ndarray):
        return np.asarray(part)
    # numpy has no bfloat16 and no float8
    known = hasattr(np, str(part.dtype).removeprefix("torch."))
    array: np.ndarray = (part if known else part.float()).numpy()
    return array


def _npy(path: Path) -> Contents:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        # numpy's own words advise to unpickle
        pickled = "allow_pickle" in str(error)
        problem = "it holds objects; nothing of it was run" if pickled else first_line(error)
        raise FeatureError(f"{path} is not a plain .npy file ({problem})") from None
    return Contents(path, {"": Lazy(array.shape, str(array.dtype), lambda: array)})


def _npz(path: Path) -> Contents:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            arrays = {name: _member(path, archive, info) for name, info in members.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FeatureError(f"{path} is not an npz of plain arrays ({first_line(error)})") from None
    facts = {name: arrays[name].read().tolist() for name in FACTS if name in arrays}
    return Contents(path, {n: a for n, a in arrays.items() if n not in FACTS}, facts)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Lazy:
    """Return an array of an npz: mapped where it is stored, read when asked where compressed."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        head = stream.tell()
    if dtype.hasobject:
        raise ValueError(f"array {info.filename} holds objects")
    if info.compress_type != zipfile.ZIP_STORED:
        return Lazy(shape, str(dtype), lambda: np.load(path, allow_pickle=False)[info.filename])
    with open(path, "rb") as raw:
        raw.seek(info.header_offset)
        name, extra = np.frombuffer(raw.read(LOCAL_HEADER)[LENGTHS], "<u2").tolist()
    start = info.header_offset + LOCAL_HEADER + name + extra + head
    order: Any = "F" if fortran else "C"
    if 0 in shape:
        return Lazy(shape, str(dtype), lambda: np.empty(shape, dtype))
    return Lazy(shape, str(dtype), lambda: np.memmap(path, dtype, "r", start, shape, order=order))


def _safetensors(path: Path) -> Contents:
    from safetensors import SafetensorError, safe_open

    def lazy(name: str) -> Lazy:
        head = handle.get_slice(name)
        found = head.get_dtype()
        dtype = SAFETENSORS_DTYPES.get(found, found.lower())
        return Lazy(tuple(head.get_shape()), dtype, lambda: handle.get_tensor(name))

    try:
        # torch's tensors, because numpy has no bfloat16
        handle = safe_open(path, framework="pt")
        arrays = {name: lazy(name) for name in handle.keys()}  # noqa: SIM118
        facts = _metadata(handle.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        problem = first_line(error)
        raise FeatureError(f"{path} is not a whole safetensors file ({problem})") from None
    for name in FACTS:
        if name in arrays:
            facts[name] = arrays.pop(name).read().tolist()
    return Contents(path, arrays, facts)


def _metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the facts in a safetensors head: this project's, or plain keys with JSON or lines."""
    own = json.loads(metadata.get("dmn", "{}"))
    facts = {name: own[name] for name in FACTS if name in own}
    for name in set(FACTS) & set(metadata):
        try:
            facts[name] = json.loads(metadata[name])
        except json.JSONDecodeError:
            facts[name] = metadata[name].splitlines()
    return facts


def _pt(path: Path) -> Contents:
    import torch

    try:
        # files of torch before 1.6 are no archives and cannot be mapped
        mapped = zipfile.is_zipfile(path)
        with warnings.catch_warnings(action="ignore"):
            value = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        raise FeatureError(
            f"{path} holds more than tensors{_unsafe(path)}; nothing of it was run. Save the "
            "tensors alone, with torch.save"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise FeatureError(f"{path} is not a whole .pt file ({first_line(error)})") from None
    if isinstance(value, list | tuple):
        value = {str(place): item for place, item in enumerate(value)}
    if not isinstance(value, Mapping):
        value = {"": value}
    tensors = {str(name): t for name, v in value.items() if (t := _tensor(v)) is not None}
    if not tensors:
        kinds = sorted({type(item).__name__ for item in value.values()})
        raise FeatureError(f"{path} holds no tensor but {', '.join(kinds) or 'nothing'}")
    facts = {name: value[name] for name in FACTS if name in value}
    arrays = {name: _lazy(path, t) for name, t in tensors.items() if name not in facts}
    return Contents(path, arrays, facts)


def _tensor(value: Any) -> Any:
    """Return a tensor, also from a list of numbers or of single numbers' tensors; else None."""
    import torch

    if isinstance(value, list) and value and all(_is_number(item) for item in value):
        return torch.tensor([float(v) if isinstance(v, float) else int(v) for v in value])
    return value if isinstance(value, torch.Tensor) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or getattr(value, "shape", None) == ()


def _lazy(path: Path, tensor: Any) -> Lazy:
    if str(tensor.layout) != "torch.strided":
        raise FeatureError(f"{path} holds a sparse tensor; save it dense, with .to_dense()")
    plain = tensor.detach()
    return Lazy(tuple(plain.shape), str(plain.dtype).removeprefix("torch."), lambda: plain)


def _unsafe(path: Path) -> str:
    """Name what a .pt file would have run, where torch can tell without running it."""
    import torch

    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:
        return ""
    return f" ({', '.join(sorted(names)[:3])})" if names else ""


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its name."""
    return (str(error) or type(error).__name__).splitlines()[0]


READERS: dict[str, Callable[[Path], Contents]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".pt": _pt,
    ".pth": _pt,
}
