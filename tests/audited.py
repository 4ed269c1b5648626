"""A small made-up checkout with artifacts, manifest and records, for the tests of the audit."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dmn.artifacts import manifest_text, sha256, write_json, write_rows, write_tensors, write_text
from dmn.audit.commands import run
from dmn.audit.hashes import dvc
from dmn.pipeline import paths

SPLIT = "data/splits/digits/split.json"
TEXT = "data/features/digits/glyph/text.safetensors"
TABLE = "reports/studies/main/rows.csv"
CODE = "src/dmn/stages/splits.py"


def record(root: Path, output: str, rule: str, inputs: list[str], **changes: Any) -> None:
    """Write Snakemake's record of one output."""
    values = {
        "rule": rule,
        "input": inputs,
        "input_checksums": {name: f"sha256:{sha256(root / name)}" for name in inputs},
        "params": ["'{\"shots\": [1]}'"],
        "shellcmd": f"python -m dmn stage {rule}",
        "starttime": 1_700_000_000.0,
        "endtime": 1_700_000_001.0,
        "incomplete": False,
    }
    coded = urlsafe_b64encode(output.encode()).decode()
    path = root / ".snakemake/metadata" / coded
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**values, **changes}))


def list_files(root: Path, names: list[str]) -> None:
    """Write the manifest of a checkout."""
    lines = manifest_text(str(root / name) for name in names).replace(f"{root}/", "")
    write_text(root / paths.MANIFEST, lines)


def make_checkout(root: Path) -> Path:
    """Fill `root` with three artifacts in a chain, their manifest and records."""
    write_text(root / CODE, "draw = 1\n")
    write_text(root / "Snakefile", "rule all:\n")
    write_json(root / SPLIT, {"test": [["a.png", 0]]})
    write_tensors(root / TEXT, {"text": np.ones((2, 3), np.float16)}, {"logit_scale": 100})
    write_rows(root / TABLE, pd.DataFrame({"value": [1.0, 2.0, 3.0], "n": [9, 9, 9]}))
    write_text(root / paths.RUN_CONFIG, "")
    names = [SPLIT, TEXT, TABLE, paths.RUN_CONFIG]
    list_files(root, names)
    record(root, SPLIT, "splits", [CODE])
    record(root, TEXT, "features", [SPLIT, CODE])
    record(root, TABLE, "reports", [TEXT, CODE])
    record(root, paths.RUN_CONFIG, "run_config", [])
    record(root, paths.MANIFEST, "manifest", names)
    return root


def lock(root: Path) -> Path:
    """Let DVC lock a checkout, as `dvc repro` does after a run."""
    outs = [{name: {"persist": True}} for name in ("data/splits", "data/features", "reports")]
    stage = {"cmd": "snakemake --cores 8", "deps": ["Snakefile", "src"], "outs": outs}
    write_text(root / "dvc.yaml", json.dumps({"stages": {"experiments": stage}}))
    for command in ("init --no-scm --quiet", "commit --force --quiet"):
        done = run(dvc(*command.split()), root)
        assert done.returncode == 0, done.stdout
    return root
