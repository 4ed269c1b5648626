"""Download of one registry file: resumes, retries, verifies; whole under its name or not at all.

Sources in order: the user's own copy, a mirror if one is set, the official homes.
torchvision's download helpers are not used: they neither resume nor retry, and check MD5 only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from dmn.artifacts import atomic, read_json, write_json, write_text
from dmn.datasets.brought import listing_text, own_file, refuse_folder, remember, unpacked_hint
from dmn.datasets.checksums import digests, problem_with, published_checksum
from dmn.datasets.registry import DatasetEntry, RemoteFile
from dmn.digests import Digests
from dmn.errors import DataError, OutputError

LIMIT_UNKNOWN = 1 << 40
LONGEST_PAUSE = 60.0
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Transfer:
    """How files are fetched: where from, how patiently, and who is told of the progress."""

    manual: Path
    mirror: str | None = None
    timeout: float = 30.0
    retries: int = 4
    pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    progress: bool = True
    digests: Digests = field(default_factory=Digests)


@dataclass
class _Attempt:
    """One URL being fetched into one part file, with what went wrong so far."""

    file: RemoteFile
    url: str
    part: Path
    report: Report
    transfer: Transfer
    seen: int = field(default=0)

    @property
    def note(self) -> Path:
        return self.part.with_name(f"{self.part.name}.source")

    def clear(self) -> None:
        """Forget what has arrived."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


class _RefusedError(Exception):
    """The source answers, but not with this file: no use to ask again."""


class _InterruptedError(Exception):
    """The source failed for now: ask again."""


def fetch(dataset: str, file: RemoteFile, target: Path, transfer: Transfer) -> str:
    """Put one file of a data set at `target` and return where it came from.

    DataError tells in one line what was tried and where a person can put the file.
    """
    own = own_file(transfer.manual, dataset, file)
    if file.folder:
        _list(own, target, transfer.digests)
        return str(own)
    refuse_folder(own, file)
    if own.exists():
        _bring(file, own, target, transfer.digests)
        return str(own)
    if target.exists() and problem_with(file, target) is None:
        return str(target)
    failures = []
    for url in _sources(dataset, file, transfer.mirror):
        try:
            with _progress(file, transfer) as report:
                part = target.with_name(f".{target.name}.part")
                _from_url(_Attempt(file, url, part, report, transfer), target)
            remember(target, "")
            return url
        except _RefusedError as reason:
            failures.append(f"{url} ({reason})")
        except OSError as error:
            raise OutputError(
                f"cannot write {target}: {error.strerror or error}; free some space or choose a "
                "folder that you may write to, then run again: the download goes on"
            ) from None
    raise _not_found(dataset, file, own, failures)


def _sources(dataset: str, file: RemoteFile, mirror: str | None) -> list[str]:
    first = [f"{mirror.rstrip('/')}/{dataset}/{file.name}"] if mirror else []
    return [*first, *file.urls]


def _not_found(dataset: str, file: RemoteFile, own: Path, failures: list[str]) -> DataError:
    tried = f"tried {'; '.join(failures)}" if failures else "it is not offered for download"
    where = f" ({file.manual})" if file.manual else ""
    return DataError(
        f"cannot get {file.name} of {dataset}: {tried}. Get it yourself{where}, "
        f"put it at {own} and run again{unpacked_hint(own)}"
    )


def _list(folder: Path, target: Path, digests: Digests) -> None:
    """Write the listing of a folder of images, which stays where it is."""
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder} that the registry names; correct `folder`, or bring it"
        )
    text = listing_text(folder, digests)
    write_text(target, text)
    remember(target, hashlib.sha256(text.encode()).hexdigest())


def _bring(file: RemoteFile, own: Path, target: Path, digests: Digests) -> None:
    """Link or copy the user's file to `target` after checking it, and note what it was."""
    try:
        problem = problem_with(file, own)
    except OSError as error:
        raise DataError(f"cannot read {own}: {error.strerror}; check its permissions") from None
    if problem:
        raise DataError(f"{own} {problem}; it is not the published file, replace or remove it")
    with atomic(target) as temporary:
        temporary.unlink()
        try:
            os.link(own.resolve(), temporary)
        except OSError:
            shutil.copyfile(own, temporary)
    remember(target, digests.sha256(own))


def _from_url(attempt: _Attempt, target: Path) -> None:
    """Fetch one URL with retries; the part file stays for the next run if it fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    tries = attempt.transfer.retries + 1
    for turn in range(tries):
        try:
            _receive(attempt)
            break
        except _InterruptedError as reason:
            if turn + 1 == tries:
                raise _RefusedError(f"{reason}, {tries} tries") from None
            attempt.transfer.sleep(min(attempt.transfer.pause * 2**turn, LONGEST_PAUSE))
    if problem := problem_with(attempt.file, attempt.part):
        attempt.clear()
        raise _RefusedError(f"what arrived {problem}")
    with open(attempt.part, "rb") as stream:
        os.fsync(stream.fileno())
    os.replace(attempt.part, target)
    attempt.clear()


def _receive(attempt: _Attempt) -> None:
    """Ask for the missing bytes and append them to the part file."""
    have, validator = _resumable(attempt)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    timeout = attempt.transfer.timeout
    try:
        with httpx.stream(
            "GET", attempt.url, headers=headers, timeout=timeout, follow_redirects=True
        ) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                _beyond_the_end(attempt, have)
                return
            _check_answer(response, attempt)
            _append(response, attempt, have)
    except httpx.TimeoutException:
        raise _InterruptedError(f"no answer within {timeout:g} s") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise _RefusedError(str(error)) from None
    except httpx.HTTPError as error:
        raise _InterruptedError(str(error) or type(error).__name__) from None


def _resumable(attempt: _Attempt) -> tuple[int, str | None]:
    """Return how many bytes can be kept, and the validator that they belong to.

    Without a checksum or a validator, bytes of an earlier run could belong to another file.
    """
    if not attempt.part.exists():
        return 0, None
    note = read_json(attempt.note) if attempt.note.exists() else {}
    checked = published_checksum(attempt.file) is not None or note.get("validator")
    if note.get("url") != attempt.url or not checked:
        attempt.clear()
        return 0, None
    return attempt.part.stat().st_size, note.get("validator")


def _beyond_the_end(attempt: _Attempt, have: int) -> None:
    """Keep a part file that is already whole; forget one that is too long."""
    if have != attempt.file.bytes:
        attempt.clear()
        raise _InterruptedError("the part file did not fit the source, starting again")


def _check_answer(response: httpx.Response, attempt: _Attempt) -> None:
    status = response.status_code
    if status >= 500 or status in (408, 429):
        raise _InterruptedError(f"status {status}")
    if status >= 400:
        raise _RefusedError(f"status {status}")
    kind = response.headers.get("content-type", "")
    if "text/html" in kind and attempt.file.role == "archive":
        raise _RefusedError("answers with a web page, not with the file")


def _append(response: httpx.Response, attempt: _Attempt, have: int) -> None:
    file, part = attempt.file, attempt.part
    goes_on = response.status_code == httpx.codes.PARTIAL_CONTENT
    if goes_on and not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
        attempt.clear()
        raise _InterruptedError("the source sent another range than asked for")
    arrived = have if goes_on else 0
    announced = int(response.headers.get("content-length", 0)) + arrived
    limit = file.bytes or LIMIT_UNKNOWN
    if not goes_on:
        etag = response.headers.get("etag", "")
        strong = None if etag.startswith("W/") else etag or response.headers.get("last-modified")
        write_json(attempt.note, {"url": attempt.url, "validator": strong})
    with open(part, "ab" if goes_on else "wb") as stream:
        # as they arrive: a larger block would be lost with a connection that breaks
        for block in response.iter_raw():
            stream.write(block)
            arrived += len(block)
            attempt.report(arrived, file.bytes or announced)
            if arrived > limit:
                break
    if arrived > limit:
        attempt.clear()
        raise _RefusedError(f"sends more than the {limit} bytes that it should have")


@contextmanager
def _progress(file: RemoteFile, transfer: Transfer) -> Iterator[Report]:
    """Show a bar with rate and time left on stderr; in a log, a line at each tenth."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, quiet=not transfer.progress)
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(file.name, total=file.expected_bytes or None)
        told = 0

        def report(done: int, total: int) -> None:
            nonlocal told
            bar.update(task, completed=done, total=total or None)
            tenth = 10 * done // total if total else 0
            if tenth > told and not console.is_terminal:
                console.print(f"{file.name}: {10 * tenth}% of {total} bytes")
            told = max(told, tenth)

        yield report


def manifest(entry: DatasetEntry, folder: Path) -> dict[str, object]:
    """Return the facts of all files of a data set in `folder`: size, SHA-256, how verified.

    Which source served is left out (it is in the log): equal files give equal manifests.
    """
    files = []
    for file in entry.files.values():
        path = folder / file.name
        if not path.exists():
            raise DataError(f"{path} is missing; get it with: snakemake --cores 2 {path}")
        found, checksum = digests(path), published_checksum(file)
        if problem := problem_with(file, path, found):
            raise DataError(f"{path} {problem}; delete it and run again")
        files.append(
            {
                "name": file.name,
                "role": file.role,
                "bytes": path.stat().st_size,
                "sha256": found["sha256"],
                "verified_by": checksum[0] if checksum else _recorded(file),
                "sources": list(file.urls),
            }
        )
    facts = {"dataset": entry.name, "homepage": entry.homepage, "licence": entry.licence}
    return {**facts, "files": files}


def _recorded(file: RemoteFile) -> str:
    return "listed, image by image" if file.folder else "recorded at the first download"
