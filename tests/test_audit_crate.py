"""The RO-Crate of a run is valid under the Workflow Run Crate profile, without the network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audited import TABLE, make_checkout
from dmn.artifacts import write_text
from dmn.audit.crate import export
from dmn.config import Config
from dmn.config.writing import commented_yaml
from dmn.errors import ArtifactError, OutputError
from dmn.pipeline import paths

SCHEMA = "http://schema.org/"
BIOSCHEMAS = "https://bioschemas.org/"
# the terms of RO-Crate's 1.1 context that are not plain names of schema.org
OTHER = {
    "File": SCHEMA + "MediaObject",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "ComputationalWorkflow": BIOSCHEMAS + "ComputationalWorkflow",
    "FormalParameter": BIOSCHEMAS + "FormalParameter",
    "input": BIOSCHEMAS + "ComputationalWorkflow#input",
    "output": BIOSCHEMAS + "ComputationalWorkflow#output",
}


def terms(value: Any) -> Iterator[str]:
    """Yield all types and keys of a crate."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "@type":
                yield from [inner] if isinstance(inner, str) else inner
            elif not key.startswith("@"):
                yield key
            yield from terms(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from terms(inner)


@pytest.fixture
def crate(tmp_path: Path) -> Path:
    checkout = make_checkout(tmp_path / "checkout")
    write_text(checkout / paths.RUN_CONFIG, commented_yaml(Config()))
    export(checkout, tmp_path / "crate")
    return tmp_path / "crate"


def test_a_crate_holds_the_artifacts_and_one_action_a_job(crate: Path) -> None:
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    by_id = {entity["@id"]: entity for entity in graph}
    assert (crate / TABLE).is_file()
    assert len(by_id[TABLE]["sha256"]) == 64
    jobs = [entity for name, entity in by_id.items() if name.startswith("#job-")]
    assert len(jobs) == 5
    report = next(job for job in jobs if job["instrument"]["@id"] == "#rule-reports")
    assert report["result"] == {"@id": TABLE}
    assert by_id["./"]["mainEntity"] == {"@id": "Snakefile"}


def test_a_crate_is_never_written_over_something(crate: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists; choose a new folder"):
        export(tmp_path / "checkout", crate)


def test_a_checkout_without_records_has_no_crate(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="has no record; run snakemake, or dvc pull"):
        export(tmp_path, tmp_path / "crate")


def test_a_crate_is_valid(crate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = pytest.importorskip("rocrate_validator.models")
    from rocrate_validator import services
    from rocrate_validator.utils import document_loader
    from rocrate_validator.utils.http import HttpRequester

    metadata = json.loads((crate / "ro-crate-metadata.json").read_text())
    assert metadata["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    names = {name: SCHEMA + name for name in terms(metadata["@graph"])} | OTHER
    context = {"@context": {**names, "MediaObject": SCHEMA + "MediaObject"}}
    answer = SimpleNamespace(
        status_code=200,
        headers={"Content-Type": "application/ld+json"},
        text=json.dumps(context),
        json=lambda: context,
    )
    monkeypatch.setattr(document_loader, "_fetch_json_ld", lambda url: context)
    monkeypatch.setattr(HttpRequester, "__getattr__", lambda self, name: lambda *_, **__: answer)
    settings = services.ValidationSettings(
        rocrate_uri=str(crate),
        profile_identifier="workflow-run-crate",
        requirement_severity=models.Severity.REQUIRED,
    )
    result = services.validate(settings)
    assert not [f"{issue.check.identifier}: {issue.message}" for issue in result.get_issues()]
