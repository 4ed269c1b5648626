"""What an audit found: one line a check, with details where something is not as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "note", "fail"]
SHOWN = 5


@dataclass(frozen=True)
class Check:
    """One answer: `fail` makes the audit fail, `note` is for the reader to weigh."""

    name: str
    status: Status
    summary: str
    details: tuple[str, ...] = ()


def passed(checks: Iterable[Check]) -> bool:
    """Say whether no check failed."""
    return all(check.status != "fail" for check in checks)


def judged(name: str, problems: Sequence[str], good: str, bad: str) -> Check:
    """Return `ok` with the text `good`, or `fail` with `bad` and the problems."""
    if problems:
        return Check(name, "fail", bad, tuple(problems))
    return Check(name, "ok", good)


def as_json(checks: Sequence[Check]) -> dict[str, Any]:
    """Return all checks with all details."""
    return {"passed": passed(checks), "checks": [asdict(check) for check in checks]}


def print_table(checks: Sequence[Check]) -> None:
    """Print the checks for a person, at most SHOWN details each."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {"ok": "green", "note": "yellow", "fail": "red"}
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in checks:
        lines = [check.summary, *(f"  {line}" for line in check.details[:SHOWN])]
        if len(check.details) > SHOWN:
            lines.append(f"  and {len(check.details) - SHOWN} more (all of them with --json)")
        colour = colours[check.status]
        status = f"[{colour}]{check.status}[/{colour}]"
        table.add_row(escape(check.name), status, escape("\n".join(lines)))
    console = Console(soft_wrap=False)
    console.print(table)
    if passed(checks):
        console.print("These reports are what this code and this data give, as far as checked.")
    else:
        failed = ", ".join(check.name for check in checks if check.status == "fail")
        console.print(f"Not shown to be what this code and this data give: {failed}.")
