"""The whole run as an RO-Crate of the Workflow Run Crate profile, one action for each job.

    dmn audit crate ../crate

Sources, artifacts and reports are copied, and ro-crate-metadata.json tells of all of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dmn
from dmn.audit.commands import source_files
from dmn.audit.configuration import run_config
from dmn.audit.environment import revision
from dmn.audit.hashes import read_manifest
from dmn.audit.records import Record, read_records, upstream
from dmn.errors import ArtifactError, OutputError
from dmn.pipeline import paths
from dmn.pipeline.runs.home import top_of

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
# the profile's own term, written out so that a reader needs no second context from the network
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
FORMATS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".html": "text/html",
    ".yaml": "application/yaml",
    ".py": "text/x-python",
    ".safetensors": "application/octet-stream",
    ".zip": "application/zip",
}
LICENSE = "https://spdx.org/licenses/MIT"
AGENT = "#operator"


def export(root: Path, folder: Path) -> None:
    """Write the crate: sources, artifacts, reports, and ro-crate-metadata.json about them."""
    from rocrate.rocrate import ROCrate

    if folder.exists():
        raise OutputError(f"{folder} exists; choose a new folder for the crate")
    records = read_records(root)
    chain = upstream(records, [paths.MANIFEST])
    if not chain:
        raise ArtifactError(f"{paths.MANIFEST} has no record; run snakemake, or dvc pull")
    crate = ROCrate(version="1.1")
    _describe(crate, root, chain)
    workflow = _add_workflow(crate, root)
    files = _add_files(crate, root)
    _add_parameters(crate, workflow, root, files)
    _add_run(crate, workflow, chain, files)
    crate.write(folder)
    sys.stderr.write(f"{folder}: {len(files)} files, {len(chain)} outputs of jobs\n")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _describe(crate: Any, root: Path, chain: list[Record]) -> None:
    from rocrate.model import ContextEntity

    crate.name = "Dual Memory Networks: a run of the workflow"
    crate.description = "Data, artifacts, reports, sources and provenance of one configuration."
    crate.datePublished = _time(max(record.end for record in chain))
    crate.license = crate.add(
        ContextEntity(
            crate,
            LICENSE,
            {"@type": "CreativeWork", "name": "MIT License", "description": "MIT License"},
        )
    )
    commit = revision(root)
    if commit:
        crate.root_dataset["version"] = commit
    profiles = [
        crate.add(
            ContextEntity(crate, url, {"@type": "CreativeWork", "name": name, "version": version})
        )
        for url, (name, version) in PROFILES.items()
    ]
    crate.root_dataset["conformsTo"] = profiles
    crate.metadata.extra_terms.update(TERMS)
    crate.add(ContextEntity(crate, AGENT, {"@type": "Person", "name": "who ran the workflow"}))


def _add_workflow(crate: Any, root: Path) -> Any:
    top = top_of(root)
    workflow = crate.add_workflow(
        top / "Snakefile", "Snakefile", main=True, lang="snakemake", properties=_facts("Snakefile")
    )
    workflow["name"] = "dmn-repro"
    workflow["version"] = dmn.__version__
    workflow["license"] = {"@id": LICENSE}
    workflow["conformsTo"] = {
        "@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
    }
    parts = [
        # a named run has its own pipeline and lock
        crate.add_file(
            (root if (root / name).is_file() else top) / name, name, properties=_facts(name)
        )
        for name in source_files(root)
        if name.startswith(("workflow/", "src/", "config/", "profiles/"))
        or name in ("requirements.lock", "pyproject.toml", "README.md", "dvc.yaml", "dvc.lock")
    ]
    workflow["hasPart"] = parts
    return workflow


def _facts(name: str, sha256: str | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": name}
    if encoding := FORMATS.get(Path(name).suffix):
        facts["encodingFormat"] = encoding
    else:
        facts["encodingFormat"] = "text/plain"
    if sha256:
        facts["sha256"] = sha256
    return facts


def _add_files(crate: Any, root: Path) -> dict[str, Any]:
    """Add all artifacts and reports; return them by name."""
    files = {
        name: crate.add_file(root / name, name, properties=_facts(name, digest), record_size=True)
        for name, digest in read_manifest(root).items()
    }
    manifest = paths.MANIFEST
    files[manifest] = crate.add_file(root / manifest, manifest, properties=_facts(manifest))
    return files


def _add_parameters(crate: Any, workflow: Any, root: Path, files: dict[str, Any]) -> None:
    """Declare the configuration's sections as inputs, and the manifest as output."""
    from rocrate.model import ContextEntity

    values = run_config(root).model_dump(mode="json")
    for name, value in values.items():
        parameter = crate.add_formal_parameter(
            name, "Text", f"#parameter-{name}", f"section {name!r} of the configuration"
        )
        given = crate.add(
            ContextEntity(
                crate,
                f"#value-{name}",
                {"@type": "PropertyValue", "name": name, "value": str(value)},
            )
        )
        given["exampleOfWork"] = parameter
        parameter["workExample"] = given
        workflow.append_to("input", parameter)
    output = crate.add_formal_parameter(
        "manifest", "File", "#parameter-manifest", "hashes of all artifacts and reports"
    )
    output["encodingFormat"] = "text/plain"
    output["workExample"] = files[paths.MANIFEST]
    files[paths.MANIFEST]["exampleOfWork"] = output
    workflow["output"] = output


def _add_run(crate: Any, workflow: Any, chain: list[Record], files: dict[str, Any]) -> None:
    """Add the action of the whole run, and one for each job."""
    values = [entity for entity in crate.contextual_entities if entity.id.startswith("#value-")]
    run = crate.add_action(
        workflow,
        "#run",
        object=values,
        result=_known(files, (record.output for record in chain)),
        properties=_action("run of the workflow", chain),
    )
    run["description"] = "snakemake --cores N reports/all"
    actions = [run]
    tools = {rule: _tool(crate, rule) for rule in sorted({record.rule for record in chain})}
    for job in _jobs(chain):
        action = crate.add_action(
            tools[job[0].rule],
            f"#job-{len(actions)}",
            object=_known(files, job[0].data),
            result=_known(files, (record.output for record in job)),
            properties=_action(f"job of rule {job[0].rule}", job),
        )
        action["description"] = job[0].command or f"rule {job[0].rule}, inside Snakemake"
        actions.append(action)
    crate.root_dataset["mentions"] = actions


def _tool(crate: Any, rule: str) -> Any:
    from rocrate.model import ContextEntity

    facts = {
        "@type": "SoftwareApplication",
        "name": rule,
        "description": f"rule {rule} of the workflow",
        "softwareVersion": dmn.__version__,
    }
    return crate.add(ContextEntity(crate, f"#rule-{rule}", facts))


def _jobs(chain: list[Record]) -> list[list[Record]]:
    """Group the records of one job: one rule, one command, the same inputs."""
    jobs: dict[tuple[str, str, tuple[str, ...]], list[Record]] = {}
    for record in chain:
        jobs.setdefault((record.rule, record.command, record.inputs), []).append(record)
    return list(jobs.values())


def _action(name: str, records: list[Record]) -> dict[str, Any]:
    return {
        "@type": "CreateAction",
        "name": name,
        "agent": {"@id": AGENT},
        "startTime": _time(min(record.start for record in records)),
        "endTime": _time(max(record.end for record in records)),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }


def _known(files: dict[str, Any], names: Iterable[str]) -> Any:
    """Return the files' entities; one alone stands without a list around it."""
    found = [files[name] for name in names if name in files]
    return found[0] if len(found) == 1 else found


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `dmn audit crate`."""
    parser.add_argument("folder", metavar="FOLDER", help="a new folder")


def main(arguments: argparse.Namespace) -> None:
    """Export the run of the current folder."""
    export(Path.cwd(), Path(arguments.folder))
