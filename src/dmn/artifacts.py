"""Reading and writing of the pipeline's files: atomic, checked, equal bytes for equal content.

safetensors for tensors (no pickle), JSON for facts, CSV for rows. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmn.errors import ArtifactError, OutputError

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 1 << 20
FLOAT_FORMAT = "%.6f"


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(CHUNK):
                digest.update(block)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}; {_remedy(path)}") from None
    return digest.hexdigest()


def manifest_text(files: Iterable[str]) -> str:
    """Return hashes and names in the form that `sha256sum --check` reads."""
    return "".join(f"{sha256(file)}  {file}\n" for file in sorted(files))


def _remedy(path: Path | str) -> str:
    return f"make it with: snakemake --cores 2 {path}"


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` only if the block succeeds.

    Raises OutputError where the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        # mkstemp makes the file private; artifacts get the mode that the umask gives
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; "
            "free some space or choose a folder that you may write to"
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, content: str) -> None:
    """Write UTF-8 text with Unix line ends."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON with sorted keys; NaN is refused because JSON has none."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """Read a JSON file."""
    try:
        # files that a person brings may begin with a byte order mark
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}; {_remedy(path)}") from None
    except ValueError as error:
        raise ArtifactError(
            f"{path} is not JSON in UTF-8 ({error}); save it so, or delete it and run again"
        ) from None


def write_tensors(
    path: Path | str, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write arrays as safetensors; `metadata` values are stored as JSON text.

    The keys are sorted, so equal content gives equal bytes.
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    # safetensors keeps the order of one metadata entry only, so all facts go into one
    facts = {"dmn": json.dumps(dict(metadata or {}), sort_keys=True)}
    write_bytes(path, save(arrays, metadata=facts))


def read_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """Read all arrays of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _tensor_error(path, error) from None


def read_tensor_metadata(path: Path | str) -> dict[str, Any]:
    """Read the facts that `write_tensors` stored beside the arrays."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as handle:
            return json.loads((handle.metadata() or {}).get("dmn", "{}"))
    except (OSError, SafetensorError) as error:
        raise _tensor_error(path, error) from None


def _tensor_error(path: Path | str, error: Exception) -> ArtifactError:
    if not Path(path).exists():
        return ArtifactError(f"cannot read {path}: no such file; {_remedy(path)}")
    return ArtifactError(
        f"{path} is not a whole safetensors file ({error}); delete it and run again"
    )


def write_rows(path: Path | str, rows: pd.DataFrame) -> None:
    """Write a table as CSV: floats with six decimals, so the last bits of a sum do not show."""
    buffer = StringIO()
    rows.to_csv(buffer, index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    write_text(path, buffer.getvalue())


def read_rows(path: Path | str, **options: Any) -> pd.DataFrame:
    """Read a table of `write_rows`: what is missing is empty, so `nan` and `None` are words."""
    import pandas as pd

    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""], **options)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}; {_remedy(path)}") from None
    except (ValueError, pd.errors.EmptyDataError) as error:
        raise ArtifactError(f"{path} is not a table ({error}); delete it and run again") from None
