"""A study that measures nothing, with rows made up, for tests of the report's helpers."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.contract import Report, StudyOptions
from dmn.evaluation.summaries import paired, summarise
from dmn.report import tables
from dmn.report.drawing import figures
from dmn.report.drawing.style import Plot
from dmn.report.page import RunFacts, write_page
from dmn.report.summary import Stories, Summary
from dmn.report.writer import write_study_report

HOSTILE = '<script>alert("x")</script> & 50%_{$#}'
# a white picture of one pixel
PIXEL = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="
COMPONENTS = [
    ("text", "none"),
    ("dynamic", "none"),
    ("static", "none"),
    ("fused", "fixed"),
    ("fused", "validation"),
    ("fused", "oracle"),
]
KEYS = ["dataset", "backbone", "shots", "component", "weights"]


class Options(StudyOptions):
    """Options of the example."""

    bins: int = Field(10, description="bins of confidence")


def rows(datasets: tuple[str, ...] = ("digits",), seed: int = 0) -> pd.DataFrame:
    """Return accuracies with spread over splits and orders; text varies with neither."""
    generator = np.random.default_rng(seed)
    records = []
    for dataset, shots, (place, (component, weights)) in product(
        datasets, (1, 4, 16), enumerate(COMPONENTS)
    ):
        base = 70 + 2.5 * place + (0 if component == "text" else np.log2(shots))
        for split, order in product(range(3), range(3)):
            noise = 0 if component == "text" else generator.normal()
            records.append(
                {
                    "study": "example",
                    "dataset": dataset,
                    "backbone": "glyph",
                    "split_seed": split,
                    "order_seed": order,
                    "training_seed": "none",
                    "shots": shots,
                    "component": component,
                    "weights": weights,
                    "metric": "accuracy",
                    "value": round(base + noise, 6),
                    "n": 540,
                }
            )
    return pd.DataFrame(records)


def story(image: str, turned: str, neighbours: list[str]) -> dict[str, Any]:
    """Return an image that the memory turned, as `dmn.evaluation.explanation` tells it."""
    right = turned == "right"
    answers = [("text", "none", not right), ("dynamic", "none", right), ("fused", "fixed", right)]
    return {
        "image": image, "label": "3", "setting": "zero_shot", "shots": 0, "order_seed": 1,
        "step": 7, "images": 540, "pseudo_label": "3", "entropy": 0.25, "slot": 2,
        "replaced": neighbours[0],
        "answers": [
            {"component": c, "weights": w, "answer": "3" if yes else HOSTILE, "probability": 0.75,
             "of_label": 0.75 if yes else 0.125, "right": yes}
            for c, w, yes in answers
        ],
        "neighbours": [
            {"holds": name, "filed_under": "3", "true_class": "3" if name == "text" else "8",
             "weight": 0.5, "share": 0.5}
            for name in neighbours
        ],
        "orders": [
            {"order_seed": seed, "step": 90 - seed, "text": not right, "fused": right,
             "dynamic": right == (seed < 2)}
            for seed in range(3)
        ],
    }  # fmt: skip


def stories() -> list[Stories]:
    """Return stories of two data sets, the second without pictures."""
    names = ["test/a 1.png", "test/2.png", HOSTILE]
    told = [
        story(names[0], "wrong", ["test/2.png", "text"]),
        story(names[1], "right", ["test/9.png", "text"]),
        story(names[2], "right", ["test/2.png"]),
    ]
    first = Stories(
        dataset="digits", backbone="glyph", split=0, told=told, pictures={names[0]: PIXEL}
    )
    second = Stories(dataset="letters", backbone="glyph", split=0, told=told[:1])
    return [first, second]


def gallery() -> Plot:
    """Return pictures, with the stories of some images."""
    pictures = list(np.random.default_rng(0).random((5, 8, 8)))
    plot = figures.gallery(pictures, ["true 3\nsaid 8"] * 5, caption="Pictures.")
    plot.stories = stories()
    return plot


def report(measured: pd.DataFrame, samples: Any, options: Options) -> Report:
    """Return one of each form."""
    del samples
    summary = summarise(measured, KEYS)
    gain = paired(
        measured,
        ["dataset", "backbone", "shots"],
        {"component": "fused", "weights": "validation"},
        {"component": "text", "weights": "none"},
    )
    classes = pd.DataFrame(
        {
            "class": [HOSTILE, "ordinary", "third"],
            "mean": [1.0, -2.0, 10.0],
            "low": [0.5, -2.5, np.nan],
            "high": [1.5, -1.5, np.nan],
        }
    )
    bins = pd.DataFrame(
        [
            {"component": c, "weights": w, "confidence": x, "accuracy": x * 0.9, "share": 0.1}
            for (c, w), x in product(COMPONENTS, np.linspace(5, 95, options.bins))
        ]
    )
    heat = gain.assign(kind="blur", severity=gain["shots"])
    both = rows(("digits", "letters"))
    cells = summarise(
        pd.concat([both.assign(setting=setting) for setting in ("training_free", "few_shot")]),
        ["dataset", "backbone", "setting", "shots", "component", "weights"],
    )
    many = pd.DataFrame({"class": [f"kind {i}" for i in range(60)], "mean": np.arange(60.0)})
    many[["low", "high"]] = np.nan
    stream = pd.concat(
        summary[summary["shots"] == 4].assign(seen=seen, mean=lambda f: f["mean"] - 200 / f["seen"])
        for seen in range(20, 541, 20)
    )
    stream[["low", "high"]] = np.stack([stream["mean"] - 1, stream["mean"] + 1], axis=1)
    return Report(
        tables={
            "main": tables.describe(
                summary,
                "Accuracy of each component.",
                best="max",
                spread="shots",
                unit="%",
            ),
            "classes": tables.describe(classes, "Gain of each class.", best="max", unit="points"),
            "cells": tables.describe(cells, "Accuracy of each cell.", best="max", unit="%"),
            "many": tables.describe(many, "Very many rows.", unit="points"),
        },
        figures={
            "shots": figures.lines(
                summary,
                "shots",
                caption="Accuracy against shots.",
                x_label="shots per class",
                table="main",
            ),
            "stream": figures.lines(
                stream,
                "seen",
                caption="Accuracy along the stream.",
                x_label="images seen",
                band=True,
                width=7.0,
            ),
            "components": figures.dots(summary, "shots", caption=f"Dots of {HOSTILE}."),
            "gains": figures.dots(
                gain, "shots", series=(), bars=True, caption="Gains.", x_label="gain (points)"
            ),
            "heat": figures.heatmap(
                heat, "kind", "severity", caption="Gains.", diverging=True, value_label="points"
            ),
            "reliability": figures.reliability(bins, caption="Reliability."),
            "scatter": figures.scatter(
                gain, "shots", "mean", caption="Scatter.", y_label="gain (points)", reference=0
            ),
            "gallery": gallery(),
        },
        findings=[
            f"The fused prediction gains {gain.iloc[0]['mean']:.1f} points.",
            f"The class {HOSTILE} gains.",
        ],
    )


def study(name: str = "example", title: str = "An example & more") -> ModuleType:
    """Return the study as a module, which is what the writer takes."""
    module = ModuleType(f"dmn.studies.{name}")
    module.__dict__.update(
        TITLE=title,
        QUESTION="Does it work, and by how much?",
        TABLES=("main", "classes", "cells", "many"),
        FIGURES=(
            "shots",
            "stream",
            "components",
            "gains",
            "heat",
            "reliability",
            "scatter",
            "gallery",
        ),
        Options=Options,
        report=report,
    )
    return module


def write(folder: Path, datasets: tuple[str, ...] = ("digits",)) -> Summary:
    """Write the example's report and a page of it below `folder`."""
    summary = write_study_report(
        study(),
        rows(datasets),
        {},
        Options(),
        folder / "studies" / "example",
        {"data/rows.csv": "0" * 64},
    )
    config = Config().model_copy(update={"datasets": ("digits", "letters")})
    facts = RunFacts(config, "seeds: <none>\n", {"dmn": "0.1.0"}, {"data/a": "1" * 64})
    write_page([summary], facts, folder / "index.html")
    return summary
