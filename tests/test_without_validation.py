"""No validation image at all (`splits.validation_shots: 0`): every study measures and reports."""

from __future__ import annotations

import importlib
from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest

from dmn.config import load
from dmn.evaluation.answers import attach
from dmn.studies.table import STUDIES
from test_studies import CONFIG, SMALL, split

WITHOUT = load({**CONFIG.model_dump(exclude_unset=True), "splits": {"validation_shots": 0}})


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_needs_no_validation_image(name: str) -> None:
    module = importlib.import_module(f"dmn.studies.{name}")
    options = module.Options(**SMALL.get(name, {}))
    frames, samples = [], {}
    for seed in (0, 1):
        data = replace(split(seed), val=None)
        found = module.measure(data, WITHOUT, options, [0, 1])
        place = {"study": name, "dataset": "synthetic", "backbone": "random"}
        frames.append(found.rows.assign(**place, split_seed=seed))
        samples["synthetic", "random", seed, "0-1"] = found.samples
    text = pd.concat(frames, ignore_index=True).to_csv(index=False, float_format="%.6f")
    rows = pd.read_csv(StringIO(text))
    assert len(rows)
    assert "validation" not in set(rows["weights"])
    assert {"fixed", "oracle"} & set(rows["weights"]) or "fused" not in set(rows["component"])
    report = module.report(attach(rows, samples), samples, options)
    assert tuple(report.tables) == module.TABLES
    assert report.findings
    assert all(sentence.endswith(".") and "nan" not in sentence for sentence in report.findings)
