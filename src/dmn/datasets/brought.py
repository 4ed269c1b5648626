"""Files and folders that a person brings: their content is known, so that a change is noticed.

Beside a file that was brought stands a hidden note of its SHA-256. Where the brought file is gone
(a clone that pulled, a disk that was cleaned), the note still says what had been brought.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from dmn.artifacts import write_text
from dmn.datasets.archives.listing import list_folder
from dmn.datasets.registry import RemoteFile
from dmn.digests import Digests
from dmn.errors import DataError


def own_file(manual: Path, dataset: str, file: RemoteFile) -> Path:
    """Return where a person's own copy of a file lies, or the folder that stands for it."""
    return Path(file.folder) if file.folder else manual / dataset / file.name


def listing_text(folder: Path, digests: Digests) -> str:
    """Return the listing of a folder of images as it stands in the pipeline."""
    return json.dumps(list_folder(folder, digests), ensure_ascii=False, indent=0) + "\n"


def _note(target: Path) -> Path:
    return target.with_name(f".{target.name}.brought")


def remember(target: Path, sha256: str) -> None:
    """Note what was brought as `target`; empty: nothing was."""
    if sha256:
        write_text(_note(target), f"{sha256}\n")
    else:
        _note(target).unlink(missing_ok=True)


def brought_sha256(own: Path, target: Path, digests: Digests) -> str:
    """Return the SHA-256 of what a person brings as `target`, empty where nothing is brought.

    Of a folder it is that of its listing. Without the file or folder, what was brought before.
    """
    if own.is_file():
        return digests.sha256(own)
    if own.is_dir():
        return hashlib.sha256(listing_text(own, digests).encode()).hexdigest()
    note = _note(target)
    return note.read_text(encoding="utf-8").strip() if note.exists() else ""


def refuse_folder(own: Path, file: RemoteFile) -> None:
    """Refuse a folder where a file is due, and say what would serve."""
    if own.is_dir():
        name = Path(file.name).name
        raise DataError(
            f"{own} is a folder where {'an archive' if file.role == 'archive' else 'a file'} is "
            f"due: bring {name} as it was, or packed again (zip or tar); a folder of images is "
            "read as it is after: dmn new-dataset FOLDER"
        )


def unpacked_hint(own: Path) -> str:
    """Return words on a folder beside a missing archive that is called like it."""
    beside = own.with_name(own.name.split(".")[0])
    if not beside.is_dir():
        return ""
    return f"; there is a folder {beside}: if it is the archive unpacked, bring the archive itself"
