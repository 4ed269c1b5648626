"""From any file back to the data: artifacts, rules, parameters and code that made it.

    dmn audit lineage reports/studies/main/accuracy_against_shots.svg

Read from Snakemake's records; hashes and commits are those of now.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from dmn.artifacts import read_json, sha256, write_json
from dmn.audit.commands import git
from dmn.audit.environment import revision
from dmn.audit.records import RECORDS, Record, read_records, upstream
from dmn.errors import ArtifactError, nearest
from dmn.pipeline import paths
from dmn.pipeline.runs.home import top_of

MANIFEST_NAME = Path(paths.DOWNLOAD_MANIFEST).name


def lineage(root: Path, target: str) -> dict[str, Any]:
    """Return the chain that made `target`, causes before effects, with hashes as they are now."""
    target = target.removeprefix("./")
    records = read_records(root)
    if not records:
        raise ArtifactError(f"{RECORDS} is empty; run snakemake, or dvc pull")
    if target not in records:
        raise ArtifactError(f"no rule made {target!r}; {nearest(target, records)}")
    chain = upstream(records, [target])
    code = sorted({name for record in chain for name in record.code})
    return {
        "target": target,
        "revision": revision(root),
        "chain": [_step(root, record) for record in chain],
        "code": [_source(root, name) for name in code],
        "data": _data(root, chain),
    }


def _step(root: Path, record: Record) -> dict[str, Any]:
    return {
        "file": record.output,
        "sha256": _hash(root, record.output),
        "rule": record.rule,
        "inputs": list(record.data),
        "params": [_value(text) for text in record.params],
        "command": record.command,
        "code": list(record.code),
    }


def _value(text: str) -> Any:
    """Return a recorded parameter: Snakemake stores the repr, the settings are JSON text."""
    text = text[1:-1] if text[:1] == text[-1:] == "'" else text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _source(root: Path, name: str) -> dict[str, Any]:
    commit = git(top_of(root), "log", "-1", "--format=%H", "--", name)
    return {"file": name, "sha256": _hash(root, name), "commit": (commit or "").strip() or None}


def _data(root: Path, chain: list[Record]) -> list[dict[str, Any]]:
    """Return source, licence and hash of the downloaded files in the chain."""
    folders = sorted({str(Path(r.output).parent) for r in chain if _is_download(r.output)})
    manifests = (root / folder / MANIFEST_NAME for folder in folders)
    return [read_json(path) for path in manifests if path.is_file()]


def _is_download(name: str) -> bool:
    return name.startswith(f"{paths.DATA}/download/")


def _hash(root: Path, name: str) -> str | None:
    return sha256(root / name) if (root / name).is_file() else None


def print_lineage(found: dict[str, Any]) -> None:
    """Print the chain for a person: files by rule, then parameters, code and data."""
    from rich.console import Console

    # whole paths on one line each, to be copied and searched
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"What made {found['target']}, from the data on")
    for step in found["chain"]:
        hashed = (step["sha256"] or "missing")[:12]
        console.print(f"  {hashed}  {step['file']}  (rule {step['rule']})")
        for name in step["inputs"]:
            console.print(f"{'':14}  <- {name}")
    console.print("Parameters")
    for rule, params in _params_by_rule(found).items():
        console.print(f"  {rule}: {params}")
    console.print(f"Code, {len(found['code'])} files at commit {found['revision'] or 'unknown'}")
    for source in found["code"]:
        commit = (source["commit"] or "not committed")[:12]
        console.print(f"  {source['sha256'][:12]}  {commit}  {source['file']}")
    console.print("Data")
    for manifest in found["data"]:
        console.print(f"  {json.dumps(manifest, sort_keys=True)}")


def _params_by_rule(found: dict[str, Any]) -> dict[str, str]:
    return {
        step["rule"]: json.dumps(step["params"], sort_keys=True)
        for step in found["chain"]
        if step["params"]
    }


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn audit lineage`."""
    parser.add_argument("file", metavar="FILE", help="an artifact or a report")
    parser.add_argument("--json", metavar="FILE", help="also write the chain, commands and all")


def main(arguments: argparse.Namespace) -> None:
    """Print the chain that made a file."""
    found = lineage(Path.cwd(), arguments.file)
    print_lineage(found)
    if arguments.json:
        write_json(arguments.json, found)
