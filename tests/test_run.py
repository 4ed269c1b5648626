"""The front of Snakemake: what is asked for, what is shown of a run, and how it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from snakemake.cli import parse_config

from dmn.artifacts import write_json
from dmn.config import load
from dmn.errors import ArtifactError, ConfigError
from dmn.pipeline.asked import CHANGE, Asked
from dmn.pipeline.run import (
    check_targets,
    count_jobs,
    ending,
    in_words,
    job_counts,
    make,
    reason,
)
from dmn.pipeline.runs.progress import LAST_WORDS, TRUST, Progress, expectation, follow

SAID = """\
Building DAG of jobs...
Job stats:
job      count
-----  -------
shots        2
page         1
total        3

Select jobs to execute...
Execute 2 jobs...
[Thu Nov 26 15:07:02 2026]
Job 4: Draw the shots of digits, split seed 0
Reason: Missing output files: a
[Thu Nov 26 15:07:03 2026]
Finished jobid: 4 (Rule: shots)
1 of 3 steps (33%) done
[Thu Nov 26 15:07:03 2026]
Job 8: Write the page
Error in rule page:
    message: None
    log: logs/page.log (check log file(s) for error details)
Logfile logs/page.log:
================================================================================
Job 9: this line is the log's own

error: nothing to show
================================================================================
Shutting down, this might take some time.
"""


def told(text: str, **options: object) -> list[str]:
    """Return what a person is told of a run in which a second passes with every line."""
    ticks = iter(range(10_000))
    progress = Progress(clock=lambda: float(next(ticks)), **options)
    return list(follow(text.splitlines(keepends=True), progress))


def test_a_run_is_one_line_a_job_and_the_log_of_what_failed() -> None:
    assert told(SAID) == [
        "0/3  Draw the shots of digits, split seed 0",
        "1/3  10 s left: Write the page",
        "failed; logs/page.log says:",
        "  Job 9: this line is the log's own",
        "  ",
        "  error: nothing to show",
    ]


def test_reasons_are_told_where_they_are_asked_for() -> None:
    said = told(SAID, reasons=True)
    assert said[:2] == [
        "0/3  Draw the shots of digits, split seed 0",
        "    Reason: Missing output files: a",
    ]
    assert not [line for line in told(SAID) if "Reason" in line]


def test_a_failure_is_told_once_by_its_last_words_and_where_its_log_lies() -> None:
    frame = "=" * 80
    log = "\n".join(f"line {number}" for number in range(20))
    failure = f"Logfile logs/page.log:\n{frame}\n{log}\n{frame}\n"
    said = told(failure * 2, folder="runs/mine")
    assert said[0] == "failed; runs/mine/logs/page.log ends (5 lines before):"
    assert said[1:] == [f"  line {number}" for number in range(20 - LAST_WORDS, 20)]


def test_the_time_left_is_told_from_the_finished_jobs_of_the_same_rule() -> None:
    now = 0.0
    progress = Progress(clock=lambda: now)
    for line in ("slow   3", "fast   4", "total  7", "Job 1: a", "Job 2: b"):
        progress.hear(line)
    assert progress.left() is None
    assert progress.left_words() == ""
    now = 10.0
    progress.hear("Finished jobid: 2 (Rule: fast)")
    # slow jobs are taken for fast ones: 60 seconds, of which 10 are gone, two at once
    assert progress.left() == pytest.approx((3 * 10 + 3 * 10 - 10) / 2)
    now = 100.0
    progress.hear("Finished jobid: 1 (Rule: slow)")
    progress.hear("2 of 7 steps (29%) done")
    progress.hear("Job 3: c")
    # 110 seconds of jobs in 100: 1.1 went on at once
    assert progress.left() == pytest.approx((2 * 100 + 3 * 10) / 1.1)
    assert progress.left_words() == "3 min left: "
    progress.hear("7 of 7 steps (100%) done")
    assert progress.left_words() == ""


def test_the_time_left_is_that_of_the_model_until_jobs_have_finished() -> None:
    now = 0.0
    progress = Progress(clock=lambda: now)
    progress.hear(expectation({"slow": 100.0, "fast": 5.0}))
    for line in ("slow   3", "fast   4", "total  7", "Job 1: a", "Job 2: b"):
        progress.hear(line)
    assert progress.left() == pytest.approx((3 * 100 + 4 * 5) / 2)
    now = 10.0
    progress.hear("Finished jobid: 2 (Rule: fast)")
    # it took twice what the model says: so will the slow ones, of which one has begun
    fast = (10 + TRUST * 10) / (1 + TRUST)
    assert progress.left() == pytest.approx((3 * 200 + 3 * fast - 10) / 2)


def test_a_run_without_jobs_says_so() -> None:
    line = "Nothing to be done (all requested files are present and up to date)."
    assert told(f"Building DAG of jobs...\n{line}\n") == [line]


def test_jobs_are_counted_by_rule() -> None:
    assert job_counts(SAID) == {"shots": 2, "page": 1}
    assert in_words(job_counts(SAID)) == "Jobs still to run: 3 (shots 2, page 1)."


def test_the_reason_is_found_among_snakemakes_lines() -> None:
    said = 'Using profile x\nWorkflowError in file "common.smk", line 27:\nshots.0 = 0: too few\n'
    assert reason(said) == 'WorkflowError in file "common.smk", line 27: shots.0 = 0: too few'
    assert reason("a\nb\n") == "b"


def test_snakemake_reads_the_same_changes() -> None:
    words = ["seeds.split=[0-2]", "seeds.order=[7-9]", "datasets=[digits]", "views.flip=true"]
    asked = Asked.read("config/ci.yaml", [*words, "download.timeout=2.5"])
    file, path, config, *pairs = asked.options()
    assert (file, path, config) == ("--configfile", "config/ci.yaml", "--config")
    assert load(parse_config(pairs)) == load(dict(asked.changes))
    assert asked.changes["seeds"] == {"split": ["0-2"], "order": ["7-9"]}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("datasets", "'datasets' is not KEY=VALUE"),
        ("seeds={split: [", "the value of .* is not YAML"),
        ("download={mirror: null}", "write null into a file for --config"),
        ("download.mirror=", "write null into a file for --config"),
    ],
)
def test_a_word_that_changes_nothing_is_refused(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Asked.read(None, [word])


def test_files_are_told_from_changes_by_their_folder() -> None:
    assert CHANGE.match("seeds.split=[0]")
    assert not CHANGE.match("data/splits/digits/split=0.json")
    assert not CHANGE.match("reports/all")


def test_a_report_that_nobody_makes_gets_its_nearest_name() -> None:
    studies = ["main", "length"]
    check_targets(["reports/all", "reports/length", "reports/index.html", "data/x"], studies)
    with pytest.raises(
        ConfigError, match="no report reports/lenght; did you mean 'reports/length'"
    ):
        check_targets(["reports/lenght"], studies)


def test_a_whole_run_ends_with_its_main_sentence_and_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ending() == ["All studies: reports/index.html"]
    findings = ["The memory helps, +1.0 [+0.2, +1.8] points.", "more"]
    write_json("reports/studies/main/summary.json", {"findings": findings})
    assert ending() == [findings[0], "All studies: reports/index.html"]
    assert ending("runs/mine")[1] == "All studies: runs/mine/reports/index.html"


SNAKEFILE = """
rule good:
    output: "good"
    message: "Make good"
    shell: "touch {output}"

rule bad:
    input: "good"
    output: "bad"
    log: "bad.log"
    message: "Make bad"
    shell: "echo 'error: it is bad' > {log}; exit 3"
"""


def test_a_real_run_shows_its_jobs_and_why_one_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    monkeypatch.chdir(tmp_path)
    assert count_jobs(Asked(), ["bad"]) == {"good": 1, "bad": 1}
    with pytest.raises(ConfigError, match="cannot plan this configuration: .*No rule to produce"):
        make(["worse"], Asked(), "1")
    options = ["--show-failed-logs"]
    with pytest.raises(ArtifactError, match="the workflow did not make bad: see above"):
        make(["bad"], Asked(), "1", options)
    assert [line.replace("10 s left: ", "") for line in capfd.readouterr().err.splitlines()] == [
        "0/2  Make good",
        "1/2  Make bad",
        "failed; bad.log says:",
        "  error: it is bad",
    ]
    make(["good"], Asked(), "1", options)
    assert capfd.readouterr().err.startswith("Nothing to be done")
    make(["good"], Asked(), "1", [*options, "--forceall"], reasons=True)
    assert "    Reason: Forced execution" in capfd.readouterr().err.splitlines()
