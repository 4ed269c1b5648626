"""A job that was stopped goes on from what it had answered, and a terminal sees how far it is."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import numpy as np
import pytest

from dmn.config import load
from dmn.evaluation.contract import Cell
from dmn.evaluation.experiment import Experiment
from dmn.evaluation.gathered import finished, gathering
from dmn.evaluation.gathered.finished import Finished
from dmn.evaluation.gathered.progress import progress
from dmn.studies import main
from synthetic import study_data

CONFIG = load({"shots": [1, 4], "settings": ["zero_shot", "training_free"]})
FREE = Cell("training_free", 4)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(finished, "LEAST", 1)
    return replace(study_data(), finished=Finished(tmp_path / "unfinished"))


def refuse(*_, **__):
    raise AssertionError("answered again")


def test_a_study_that_is_started_again_answers_nothing_twice_and_measures_the_same(
    kept, monkeypatch
):
    options = main.Options()
    plain = main.measure(replace(kept, finished=None), CONFIG, options, [0, 1])
    first = main.measure(kept, CONFIG, options, [0, 1])
    monkeypatch.setattr(gathering, "answer_blockwise", refuse)
    again = main.measure(kept, CONFIG, options, [0, 1])
    for other in (first, again):
        assert other.rows.equals(plain.rows)
        assert other.samples.keys() == plain.samples.keys()
        for name, array in plain.samples.items():
            np.testing.assert_array_equal(other.samples[name], array)
    kept.finished.remove()
    assert not kept.finished.folder.exists()


@pytest.mark.parametrize(
    "change", ["a beta", "a memory length", "an order", "a view", "a number of views", "code"]
)
def test_what_answers_depend_on_is_answered_anew(kept, monkeypatch, change):
    Experiment(kept, CONFIG, FREE, ()).run(0)
    monkeypatch.setattr(gathering, "answer_blockwise", refuse)
    Experiment(kept, CONFIG, FREE, ()).run(0)
    views = kept.test.views.copy()
    views[7, 0] *= -1
    if change == "code":
        monkeypatch.setattr(finished, "code", lambda: "other code")
    data = replace(kept, test=replace(kept.test, views=views)) if change == "a view" else kept
    options = {"a beta": {"beta": 3.0}, "a memory length": {"length": 2}}
    options["a number of views"] = {"views": 1}
    experiment = Experiment(data, CONFIG, FREE, (), **options.get(change, {}))
    with pytest.raises(AssertionError, match="answered again"):
        experiment.run(1 if change == "an order" else 0)


def test_short_streams_are_not_kept(tmp_path):
    data = replace(study_data(), finished=Finished(tmp_path / "unfinished"))
    Experiment(data, CONFIG, FREE, ()).run(0)
    assert not data.finished.folder.exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("out", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_a_terminal_sees_how_far_a_job_is_and_a_log_does_not(monkeypatch, out, shown):
    stream = out()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress("digits, RN50, split 0: answers", 40) as count:
        count(10)
        count(30)
    assert ("digits, RN50, split 0: answers" in stream.getvalue()) == shown
    assert ("40 of 40" in stream.getvalue()) == shown
    assert bool(stream.getvalue()) == shown
