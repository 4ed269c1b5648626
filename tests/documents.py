"""The documents as data: their code blocks, commands, links, and the files that they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "docs/*.md", "development/*.md")
    for path in ROOT.glob(pattern)
)
LANGUAGES = ("bash", "docker", "latex", "python", "text", "yaml")


@dataclass(frozen=True)
class Block:
    """One fenced block and the heading above it."""

    document: str
    heading: str
    language: str
    text: str


def blocks(document: str, language: str | None = None) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    found, heading, inside = [], "", None
    for line in (ROOT / document).read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            if inside is None:
                inside = Block(document, heading, line.removeprefix("```"), "")
            else:
                found.append(inside)
                inside = None
        elif inside is not None:
            inside = Block(document, heading, inside.language, f"{inside.text}{line}\n")
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return [block for block in found if language in (None, block.language)]


def example(document: str, heading: str, language: str) -> str:
    """Return the one block of a language below a heading."""
    (block,) = (b for b in blocks(document, language) if b.heading == heading)
    return block.text


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the documents' command lines as words, without comments and variables before them."""
    for document in DOCUMENTS:
        for block in blocks(document, "bash"):
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words = words[1:]
                if words:
                    yield document, words


def links(document: str) -> list[str]:
    """Return the targets of a document's links to other files of the project."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]


def named_files(document: str) -> list[str]:
    """Return the files and folders of the sources that a document names in `code`."""
    text = (ROOT / document).read_text(encoding="utf-8")
    places = "src|tests|docs|workflow|config|profiles|development"
    return re.findall(rf"`((?:{places})/[\w./-]+)`", text)


def named_objects(document: str) -> list[str]:
    """Return the modules, and what is in them, that a document names as `dmn.something`."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"`(dmn(?:\.\w+)+)`", text)
