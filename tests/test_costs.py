"""The model of costs: held to measured jobs, to the engine's own constants, and to what it says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from snakemake.settings.enums import RerunTrigger

from dmn.bench import calibrate
from dmn.cli import main
from dmn.costs.jobs import Costs, Job
from dmn.costs.machine import DOCUMENTED, read_machine
from dmn.costs.schedule import BEGINNING, EACH, phases, wall_seconds
from dmn.costs.sizes import Sizes
from dmn.costs.studies import KEPT, PAIR_COST, SLOT_COST, WHOLE, WORK, Design, evaluation, training
from dmn.costs.work import PRICES, Work
from dmn.engine.together import pairs
from dmn.errors import ConfigError
from dmn.evaluation import experiment
from dmn.evaluation.gathered import finished
from dmn.pipeline.asked import Asked
from dmn.pipeline.configuration import load_run
from dmn.pipeline.run import count_jobs
from dmn.pipeline.targets import Targets
from dmn.schema import read_yaml
from dmn.studies import length
from dmn.studies.table import STUDIES, study_options

ROOT = Path(__file__).parents[1]
# totals of finished runs on the documented machine: docs/costs.md says of which
MEASURED = pd.read_csv(ROOT / "docs/costs.csv")
LARGE = """
datasets:
  large:
    title: Features of ImageNet's size
    kind: features
    classes: 1000
    sizes: {train: 20000, test: 50000}
    files: {text.npz: , test.npz: , train.npz: }
    training: [{shots: [1, 2, 4, 8, 16], learning_rate: 0.0001, epochs: 2}]
"""
CELL = {"dataset": "large", "backbone": "made", "orders": "0-9"}
WITHIN = 1.5
CASES = [
    pytest.param(row, id=" ".join(map(str, row[:3]))) for row in MEASURED.itertuples(index=False)
]


def costs(**changes: object) -> Costs:
    return Costs(Targets(load_run(changes)), DOCUMENTED)


def configured(name: str, folder: Path) -> Costs:
    """Return the costs of a configuration that was measured."""
    if name != "large":
        return costs(**read_yaml(ROOT / f"config/{name}.yaml"))
    (folder / "large.yaml").write_text(LARGE, encoding="utf-8")
    known = {"datasets": ["large"], "backbones": ["made"], "shots": [1, 2, 4, 8, 16]}
    known |= {"download": {"registry": str(folder / "large.yaml")}, "corruptions": {"kinds": []}}
    return costs(**{**known, "numerics": {"dtype": "float32"}})


@pytest.mark.parametrize("row", CASES)
def test_the_model_is_within_a_factor_of_the_measured_times(row, tmp_path: Path) -> None:
    model = configured(row.configuration, tmp_path)
    if row.what != "all":
        job = model.of("evaluate", study=row.what, splits=row.splits, **CELL)
        assert row.cpu_s / WITHIN < job.cpu < row.cpu_s * WITHIN
        return
    jobs = list(model.all())
    # Snakemake's own share is in what was measured
    cpu = sum(job.cpu for job in jobs) + BEGINNING + EACH * len(jobs)
    assert row.cpu_s / WITHIN < cpu < row.cpu_s * WITHIN
    assert row.wall_s / WITHIN < wall_seconds(jobs, 2) < row.wall_s * WITHIN


@pytest.mark.parametrize("row", [case for case in CASES if case.values[0].what != "all"])
def test_no_measured_job_would_be_killed(row, tmp_path: Path) -> None:
    model, job = configured(row.configuration, tmp_path), {"study": row.what, "splits": row.splits}
    assert 60 * model.runtime("evaluate", **job, **CELL) > 2 * row.cpu_s
    assert 1.1 * row.peak_mb < model.mem_mb("evaluate", **job, **CELL) < 3 * row.peak_mb


def test_the_engines_balance_is_the_models() -> None:
    assert (SLOT_COST, PAIR_COST) == (pairs.SLOT_COST, pairs.PAIR_COST)
    assert (KEPT, WHOLE) == (finished.LEAST, experiment.WHOLE)


def sizes(**changes: object) -> Sizes:
    known = {"N": 500, "V": 1, "C": 10, "D": 64, "shots": (1, 4), "trainings": 1, "validation": 2}
    known |= {"settings": ("zero_shot", "training_free", "few_shot"), "length": 50}
    return Sizes(**{**known, **changes})


def design(study: str, **changes: object) -> Design:
    return Design(sizes(**changes), study_options(study, {}), 10, 1, 2, 2)


@pytest.mark.parametrize("study", sorted(WORK))
@pytest.mark.parametrize("size", ["N", "C", "D"])
def test_more_of_anything_never_costs_less(study: str, size: str) -> None:
    few, many = (evaluation(study, design(study, **{size: n})) for n in (600, 6000))
    assert few.cpu(DOCUMENTED) < many.cpu(DOCUMENTED)


def test_runs_are_counted_as_the_studies_make_them() -> None:
    # zero-shot, two training-free and two few-shot cells in ten orders
    assert evaluation("main", design("main")).runs == 5 * 10
    # lengths and no limit for two cells, and three more rules for each length
    options = length.Options()
    count = 2 * (len(options.lengths) + 1) + 3 * len(options.lengths)
    assert evaluation("length", design("length")).runs == 10 * count


def test_splits_of_one_job_are_measured_one_after_the_other() -> None:
    one, three = (Design(sizes(), study_options("main", {}), 10, n) for n in (1, 3))
    found = evaluation("main", three)
    assert found.starts == 1
    assert found.runs == 3 * evaluation("main", one).runs


def test_a_study_without_a_line_counts_as_main() -> None:
    assert evaluation("mine", design("main")) == evaluation("main", design("main"))


def test_every_study_with_a_line_is_a_study() -> None:
    assert set(WORK) <= set(STUDIES)


def test_training_grows_with_classes_shots_and_epochs() -> None:
    first = training(sizes(), 4, 20).cpu(DOCUMENTED)
    assert training(sizes(C=1000), 4, 20).cpu(DOCUMENTED) > 100 * first
    assert training(sizes(), 4, 200).cpu(DOCUMENTED) == pytest.approx(10 * first)


def test_work_scales_with_the_task_that_it_is_made_of() -> None:
    slower = DOCUMENTED.model_copy(update={"rows": 2 * DOCUMENTED.rows})
    work = Work(starts=3, rows=1000)
    more = work.cpu(slower) - work.cpu(DOCUMENTED)
    assert more == pytest.approx(1000 * PRICES["rows"][0])


@pytest.mark.slow
@pytest.mark.parametrize("config", [None, "config/satellite.yaml"])
def test_the_plan_has_the_jobs_that_snakemake_has(config: str | None, tmp_path: Path) -> None:
    asked = Asked(None if config is None else str(ROOT / config))
    options = ("--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path))
    counted = count_jobs(asked, options=options)
    assert Counter(job.rule for job in Costs(Targets(asked.config())).all()) == counted


def test_no_job_is_run_anew_because_of_its_memory_or_time() -> None:
    assert {trigger.name for trigger in RerunTrigger.all()} == {
        *("MTIME", "PARAMS", "INPUT", "SOFTWARE_ENV", "CODE")
    }


def test_shots_that_the_paper_does_not_train_with_are_planned() -> None:
    jobs = list(costs(shots=[3], settings=["zero_shot", "training_free"]).all())
    assert {job.rule for job in jobs} >= {"evaluate", "static_memory"}
    assert "train_projection" not in {job.rule for job in jobs}


def test_a_second_try_asks_for_twice_as_much() -> None:
    model = costs()
    keys = {"study": "main", "dataset": "digits", "backbone": "glyph"}
    keys |= {"splits": "0-2", "orders": "0-9"}
    first, second = (model.mem_mb("evaluate", attempt, **keys) for attempt in (1, 2))
    assert 2 * first - 1 <= second <= 2 * first
    assert model.runtime("evaluate", 2, **keys) == 2 * model.runtime("evaluate", 1, **keys)


def test_the_documented_machine_stands_in_for_one_that_was_not_measured(tmp_path: Path) -> None:
    assert read_machine(tmp_path / "machine.json") is DOCUMENTED
    other = DOCUMENTED.model_copy(update={"name": "m"})
    (tmp_path / "machine.json").write_text(other.model_dump_json())
    assert read_machine(tmp_path / "machine.json").name == "m"


@pytest.mark.parametrize("text", ["{}", "{name: m, start: -1}", "[1]"])
def test_a_file_of_no_machine_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machine.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"machine\.json") as caught:
        read_machine(path)
    assert "\n" not in str(caught.value)


def job(phase: str, cpu: float) -> Job:
    return Job("rule", phase, cpu, 100.0, 5.0)


def test_phases_wait_for_each_other_and_share_the_cores() -> None:
    jobs = [job("features", 10), job("features", 10), job("memory", 4), job("main", 6)]
    assert wall_seconds(jobs, 2) == pytest.approx(BEGINNING + 10 + 4 + 6 + 3 * EACH)
    assert wall_seconds(jobs, 1) == pytest.approx(BEGINNING + 30 + 4 * EACH)


def test_phases_are_summed_and_memory_is_the_largest() -> None:
    found = {phase.phase: phase for phase in phases([job("main", 1), job("main", 2)])}
    assert (found["main"].jobs, found["main"].cpu_seconds) == (2, 3)
    assert (found["main"].longest_seconds, found["main"].memory_mb) == (2, 100)
    assert found["all"].disk_bytes == 10


def test_the_machine_is_measured_and_the_plan_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # three processes and an encoder: the slow test has them
    monkeypatch.setattr(calibrate, "start_seconds", lambda: 2.0)
    monkeypatch.setattr(calibrate, "encoder_seconds", lambda: 0.2)
    monkeypatch.chdir(tmp_path)
    main(["bench", "calibrate", "--name", "mine"])
    assert read_machine().name == "mine"
    capsys.readouterr()
    main(["plan", "--no-jobs"])
    assert "Machine: mine (measured by dmn bench calibrate)" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.slow
def test_starts_and_views_take_time() -> None:
    assert min(calibrate.start_seconds(), calibrate.encoder_seconds()) > 0
