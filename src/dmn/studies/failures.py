"""Failure modes: when the memory is poisoned, which classes lose, which images turn wrong.

Labels are used for analysis only; nothing here feeds back into an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from dmn.config import Config
from dmn.evaluation.answers import Chosen, counted, pack
from dmn.evaluation.contract import EXPERIMENT, Cell, Measurement, Report, StudyData, StudyOptions
from dmn.evaluation.intervals import crossed
from dmn.evaluation.metrics import confusion
from dmn.evaluation.summaries import summarise
from dmn.report.comparisons import CELL, DYNAMIC, LEADING, PLACE, gains, only, worst
from dmn.report.drawing.failures import failure_figures
from dmn.report.headline import leads
from dmn.report.tables import describe
from dmn.report.words import cell_words, said, tally, verdict, where

if TYPE_CHECKING:
    from dmn.engine.schedule import Schedule
    from dmn.evaluation.run import Run

TITLE = "Failure modes"
QUESTION = "When does the memory take in wrong images, and which classes pay for it?"
NEEDS = ("images",)
READS = EXPERIMENT
TABLES = ("classes", "confusions", "poison", "cold_start")
FIGURES = ("purity_along_stream", "gain_by_class", "gain_along_stream", "turned_samples")
POISON = ("first_wrong_entry", "wrong_entries", "wrong_share_of_slot_time")
MOST = 10  # confusions listed


class Options(StudyOptions):
    """How much is recorded."""

    checkpoints: int = Field(20, ge=2, le=200, description="points of the stream, evenly spaced")
    pictures: int = Field(8, ge=1, le=64, description="images shown, of each kind")
    explained: int = Field(
        24, ge=0, le=200, description="images told one by one on the page, of each kind; 0: none"
    )
    max_orders: int = Field(10, ge=1, description="order seeds of a group that are used, at most")


def measure(
    data: StudyData, config: Config, options: Options, order_seeds: Sequence[int]
) -> Measurement:
    """Trace the memory's contents along the stream and compare answers with text alone."""
    from dmn.evaluation.experiment import CHOSEN, Experiment, cell_name
    from dmn.evaluation.explanation import stories, story_arrays, turned

    rows: list[dict[str, Any]] = []
    samples: dict[str, np.ndarray] = {"labels": data.test.labels.astype(np.int16)}
    for place, cell in enumerate(_cells(data, config)):
        experiment = Experiment(data, config, cell, fusions=CHOSEN)
        runs = experiment.runs(order_seeds[: options.max_orders])
        for run in runs:
            schedule = run.schedule(config.model.length)
            rows += run.course_rows(options.checkpoints, class_name="all")
            rows += _purity(run, schedule, options.checkpoints)
            rows += _poison(run, schedule, data.class_names)
            rows += _by_class(run, data.class_names)
        name = cell_name(cell)
        samples[f"{name}/text"] = runs[0].answers("text").astype(np.int16)
        answers = np.stack([run.answers("dynamic") for run in runs])
        samples[f"{name}/dynamic"] = answers.astype(np.int16)
        found = turned(runs, max(options.pictures, options.explained))
        samples |= _pictures(data, name, found, options.pictures)
        if not place and options.explained:
            # the wrong ones first: they are what is looked for
            told = [row for way in ("wrong", "right") for row in found[way][: options.explained]]
            samples |= story_arrays(stories(experiment, runs, told), data.thumbnails)
    return pack(rows, len(data.test), samples)


def _cells(data: StudyData, config: Config) -> list[Cell]:
    from dmn.evaluation.experiment import largest, study_cells

    found = list(study_cells(data, config))
    chosen = [largest(found, "zero_shot"), largest(found, "training_free")]
    return [cell for cell in chosen if cell is not None]


def _purity(run: Run, schedule: Schedule, checkpoints: int) -> list[dict[str, Any]]:
    """Return the share of filled slots whose image is of the slot's class, along the stream.

    Beside it the share for all pseudo-labels so far: what an unlimited memory would hold.
    """
    N = len(run.order)
    right = schedule.label == run.labels[run.order]
    arrival = np.arange(N)
    rows = []
    for end in np.unique(np.linspace(0, N, checkpoints + 1).round().astype(int))[1:]:
        alive = (schedule.end >= end) & (arrival < end)
        for metric, kept in (("purity", alive), ("pseudo_label_accuracy", arrival < end)):
            value = 100 * int(right[kept].sum()) / int(kept.sum())
            measured = {"metric": metric, "value": value, "n": int(kept.sum())}
            keys = run.keys(("dynamic", "none"), seen=int(end), class_name="all")
            rows.append(keys | measured)
    return rows


def _poison(run: Run, schedule: Schedule, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each class when its memory first takes in a wrong image, and how many it takes.

    A class that never does has no first step.
    """
    truth = run.labels[run.order]
    N = len(truth)
    entered = schedule.slot >= 0
    wrong = entered & (schedule.label != truth)
    rows = []
    for c, name in enumerate(names):
        own = schedule.label == c
        keys = run.keys(("dynamic", "none"), seen=N, class_name=name)
        stays = np.minimum(schedule.end, N) - np.arange(N)
        total = int(stays[entered & own].sum())
        measured = {
            "wrong_entries": (int((wrong & own).sum()), int((entered & own).sum())),
            "wrong_share_of_slot_time": (
                100 * int(stays[wrong & own].sum()) / total if total else 0.0,
                total,
            ),
        }
        if (wrong & own).any():
            measured["first_wrong_entry"] = (int(np.flatnonzero(wrong & own)[0]) + 1, 1)
        rows += [
            keys | {"metric": metric, "value": float(value), "n": n}
            for metric, (value, n) in measured.items()
        ]
    return rows


def _by_class(run: Run, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    classes = [(name, run.labels == c) for c, name in enumerate(names)]
    images = [(name, Chosen(own)) for name, own in classes if own.any()]
    for kind in run.kinds():
        right = Chosen(run.right(*kind))
        for name, own in images:
            keys = run.keys(kind, seen=len(own.mask), class_name=name)
            rows.append(keys | counted("class_accuracy", right, own))
    return rows


def _pictures(
    data: StudyData, name: str, turned: Mapping[str, Sequence[int]], count: int
) -> dict[str, np.ndarray]:
    """Return the images that the memory most often turned right, and wrong, with their rows."""
    found: dict[str, np.ndarray] = {}
    for way, rows in turned.items():
        chosen = np.array(rows[:count], dtype=np.int32)
        found[f"{name}/turned_{way}"] = chosen
        ids = [data.test.ids[i] for i in chosen]
        if ids and all(i in data.thumbnails for i in ids):
            pictures = np.stack([data.thumbnails[i] for i in ids])
            found[f"{name}/turned_{way}_pictures"] = pictures
    return found


def report(
    rows: pd.DataFrame, samples: Mapping[Any, Mapping[str, np.ndarray]], options: Options
) -> Report:
    """Tell which classes lose, through which confusions, and when the memory is poisoned."""
    keys = [*CELL, "class_name"]
    classes = gains(rows[rows["metric"] == "class_accuracy"], keys, LEADING)
    poison = summarise(rows[rows["metric"].isin(POISON)], [*keys, "metric"])
    start = _cold_start(rows)
    confusions = _confusions(samples, rows)
    purity = summarise(
        rows[rows["metric"].isin(["purity", "pseudo_label_accuracy"])], [*CELL, "seen", "metric"]
    )
    tables = {
        "classes": describe(
            classes, "Gain and loss of each class against text alone.", unit="points"
        ),
        "confusions": describe(
            confusions,
            "Confusions that the dynamic memory moved most: images of a class that it answers "
            "with another class more, or less, often than text alone; mean count over orders.",
            decimals=1,
        ),
        "poison": describe(
            poison,
            "Wrong images in the memory: the step at which a class first takes one in, how many "
            "it takes in, and their share of its slots' time in percent.",
            decimals=1,
        ),
        "cold_start": describe(
            start,
            "Gain over text alone in the first, and the last, part of the stream.",
            unit="points",
        ),
    }
    found = _findings(classes, confusions, poison, start, options.smallest_difference)
    return Report(tables, failure_figures(rows, samples, purity, classes), found)


def _cold_start(rows: pd.DataFrame) -> pd.DataFrame:
    """Return gains over text alone in the first and in the last window of each stream."""
    part = rows[rows["metric"] == "accuracy_between"]
    found = []
    ends = part.groupby(PLACE, sort=False)["seen"]
    for window, end in (("first", ends.transform("min")), ("last", ends.transform("max"))):
        own = gains(part[part["seen"] == end], CELL, LEADING)
        own.insert(len(CELL), "window", f"{window} {100 / part['seen'].nunique():g}%")
        found.append(own)
    return pd.concat(found, ignore_index=True)


def _confusions(samples: Mapping[Any, Mapping[str, np.ndarray]], rows: pd.DataFrame) -> Any:
    """Return the largest changes of the confusion matrix, [C, C], from text to dynamic memory."""
    own = rows[rows["metric"] == "wrong_entries"]
    changes: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for key, arrays in samples.items():
        for name in [n.removesuffix("/text") for n in arrays if n.endswith("/text")]:
            changes.setdefault((*key[:2], name), []).append(_change(arrays, name))
    found = []
    for (dataset, backbone, name), several in changes.items():
        classes = own[(own["dataset"] == dataset) & (own["backbone"] == backbone)]
        names = classes["class_name"].unique()
        change = np.mean(several, axis=0)
        pairs = np.argwhere(~np.eye(len(change), dtype=bool) & (change != 0))
        order = np.argsort(-np.abs(change[tuple(pairs.T)]), kind="stable")[:MOST]
        setting, _, shots = name.partition(",shots=")
        found += [
            {
                "dataset": dataset,
                "backbone": backbone,
                "setting": setting,
                "shots": int(shots or 0),
                "class_name": names[true],
                "answered": names[answer],
                "more_images": float(change[true, answer]),
            }
            for true, answer in pairs[order]
        ]
    columns = [*CELL, "class_name", "answered", "more_images"]
    return pd.DataFrame(found, columns=columns)


def _change(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    labels, before = (arrays[k].astype(np.int64) for k in ("labels", f"{name}/text"))
    after = arrays[f"{name}/dynamic"].astype(np.int64)
    # answers name every class that a matrix needs, but a class may never be answered
    C = int(max(labels.max(), before.max(), after.max())) + 1
    counts = np.mean([confusion(answers, labels, C) for answers in after], axis=0)
    return counts - confusion(before, labels, C)


def _findings(
    classes: pd.DataFrame,
    confusions: pd.DataFrame,
    poison: pd.DataFrame,
    start: pd.DataFrame,
    least: float,
) -> list[str]:
    sentences = []
    for window, own in only(start, **DYNAMIC, setting="zero_shot").groupby("window", sort=False):
        what = f"in the {window} of the stream, the dynamic memory against text alone"
        sentences += leads(own, what, least)
    for names, part in only(classes, **DYNAMIC).groupby(CELL, sort=False):
        place = dict(zip(CELL, names, strict=True))
        begin = f"{where(place)}, {cell_words(place)}: against text alone, the dynamic memory"
        found = tally(part.to_dict("records"), "class_name", least)
        sentences.append(f"{begin} by class {found}.")
        sentences.append(f"{begin} gains {_over_classes(part)}.")
        moved = confusions[(confusions[CELL] == list(names)).all(axis=1)]
        if len(moved):
            most = moved.iloc[0]
            direction = "more" if most["more_images"] > 0 else "fewer"
            sentences.append(
                f"{begin} answers {most['answered']} for {abs(most['more_images']):.1f} "
                f"{direction} images of {most['class_name']}, the confusion that moved furthest; "
                "there is no interval, as it was chosen among all pairs of classes."
            )
        first = only(poison, metric="first_wrong_entry", **place)
        if len(first):
            earliest = worst(first)
            sentences.append(
                f"{where(place)}, {cell_words(place)}: of all classes, the memory of "
                f"{earliest['class_name']} takes in a wrong image first, after "
                f"{said(earliest, ' images', digits=0)}."
            )
    for row in only(start, **DYNAMIC).to_dict("records"):
        sentences.append(
            f"{where(row)}, {cell_words(row)}: in the {row['window']} of the stream the dynamic "
            f"memory {verdict(row, least)} against text alone, {said(row, ' points', signed=True)}."
        )
    return sentences


def _over_classes(part: pd.DataFrame) -> str:
    """Return in words the gain of a class in the mean, were the classes drawn anew."""
    interval = crossed(part["mean"].to_numpy(), ["classes"])
    low, high = interval.bounds()
    row: dict[str, Any] = {
        "mean": interval.centre,
        "low": max(-100.0, low),
        "high": min(100.0, high),
    }
    row |= {"over": "classes", "n_classes": len(part)}
    return f"{said(row, ' points', signed=True)} in the mean of classes, were they drawn anew"
