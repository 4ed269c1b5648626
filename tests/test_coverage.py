"""The simulation of intervals: true accuracies are as said, and coverage can be found too low."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dmn.bench import intervals
from dmn.bench.intervals import Design, answers, designs, simulate
from dmn.cli import main
from dmn.evaluation.intervals import Interval, crossed

DESIGN = Design(500, 3, 10, 80.0, 0.001, 0.001)


def test_the_model_has_the_accuracies_that_it_says():
    draws = np.random.default_rng(0)
    design = Design(400, 5, 5, 80.0, 0.01, 0.01)
    found = [answers(design, (3.0, 0.0), draws) for _ in range(300)]
    control = np.mean([right.mean() for right, _ in found])
    ahead, level = (np.mean([both[i].mean() for _, both in found]) for i in range(2))
    assert [control, ahead, level] == pytest.approx([0.8, 0.83, 0.8], abs=0.005)
    spread = np.std([both[1].mean(axis=(1, 2)) - both[1].mean() for _, both in found])
    # 2.8 points between splits, less the mean of five, and what images add
    assert 0.02 < spread < 0.035


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    found = simulate(DESIGN, 300, seed=0)
    assert 93 <= found.coverage <= 99
    assert found.coverage_of_accuracy >= 93
    assert found.named <= found.false_alarms <= 7


def over_seeds_alone(means, names, samples=None, added=()) -> Interval:
    return crossed(means, names)


def test_intervals_over_seeds_alone_are_found_out(monkeypatch):
    monkeypatch.setattr(intervals, "crossed", over_seeds_alone)
    found = simulate(DESIGN, 100, seed=0)
    assert found.coverage < 90
    assert found.false_alarms > 10


def test_a_simulation_depends_on_its_seed_alone():
    first, again, other = (simulate(DESIGN, 20, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.half_width != other.half_width


def test_one_split_is_held_and_so_never_varies():
    assert all(design.split_share == 0 for design in designs() if design.splits == 1)
    assert len(set(designs())) == len(list(designs()))


def test_the_command_prints_and_writes_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(intervals, "designs", lambda: iter([DESIGN, Design(120, 1, 10)]))
    main(["bench", "intervals", "--simulations", "5", "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "intervals.csv")
    assert table["images"].tolist() == [500, 120]
    assert table["simulations"].eq(5).all()
    assert {"coverage", "coverage_of_accuracy", "false_alarms", "named"} <= set(table)
    assert "false_alarms" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "intervals", "--simulations", "0"])
    assert "--simulations 0: at least one is needed" in capsys.readouterr().err
