"""A method of a user's own: the example of the documentation, and what is wrong with others."""

from __future__ import annotations

import pandas as pd
import pytest

from dmn.errors import ConfigError
from dmn.pipeline.configuration import load_run as load
from dmn.pipeline.targets import Targets
from dmn.report.page import RunFacts, write_page
from dmn.report.writer import write_study_report
from dmn.studies import peers
from dmn.studies.table import study_options
from documents import example as example_of
from synthetic import study_data


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The documentation's example as a file."""
    text = example_of("docs/extending.md", "A method of your own", "python")
    assert len(text.splitlines()) <= 45
    file = tmp_path_factory.mktemp("own") / "my_method.py"
    file.write_text(text)
    return file


def test_one_line_shows_a_method_in_tables_figures_and_page(example, tmp_path):
    one_line = {"files": [str(example)]}
    config = load(
        {"shots": [1], "model": {"view_share": 0.5}, "settings": ["zero_shot"]}
        | {"studies": {"peers": one_line}}
    )
    options = study_options("peers", config.studies["peers"])
    frames, samples = [], {}
    for seed in (0, 1):
        measured = peers.measure(study_data(seed=seed), config, options, [0, 1])
        frames.append(measured.rows.assign(split_seed=seed))
        samples["synthetic", "random", seed, "0-1"] = measured.samples
    place = {"study": "peers", "dataset": "synthetic", "backbone": "random"}
    rows = pd.concat(frames, ignore_index=True).assign(**place)
    own = rows[(rows["method"] == "my_method") & (rows["metric"] == "accuracy")]
    assert set(own["weights"]) == {"fixed", "validation", "oracle"}
    folder = tmp_path / "studies" / "peers"
    summary = write_study_report(peers, rows, samples, options, folder, {})
    for table in ("peers", "against_dmn", "cost"):
        assert "my_method" in (folder / f"{table}.csv").read_text()
        assert "my method" in (folder / f"{table}.md").read_text()
    shown = [text for figure in summary.figures for _, _, text in figure.points]
    assert any("my method" in text for text in shown)
    write_page([summary], RunFacts(config, ""), tmp_path / "index.html")
    assert "my method" in (tmp_path / "index.html").read_text()


def test_a_changed_method_reruns_the_study_and_no_other(example):
    targets = Targets(load({"studies": {"peers": {"files": [str(example)]}, "main": {}}}))
    assert str(example) in targets.evaluation_code("peers")
    assert str(example) not in targets.evaluation_code("main")


def test_a_study_depends_on_the_peers_that_it_runs_and_no_other():
    targets = Targets(load({"studies": {"peers": {"methods": ["tda"]}}}))
    code = " ".join(targets.evaluation_code("peers"))
    assert "peers/online/tda.py" in code
    assert "peers/few_shot/tip_adapter.py" not in code


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ["tdaa"]}, "no method 'tdaa'; did you mean 'tda'"),
        ({"files": ["nowhere.py"]}, "no file nowhere.py .*a method is a Python file"),
        ({"options": {"tda": {"alpha": 1}}}, "tda has no option 'alpha'; .*positive_alpha"),
        ({"options": {"tda": {"positive_alpha": -1}}}, "tda: positive_alpha = -1: .*greater"),
        ({"methods": ["tda"], "options": {"linear_probe": {}}}, "'linear_probe', which is not run"),
    ],
)
def test_a_wrong_choice_of_methods_is_told_in_one_line(changes, words):
    with pytest.raises(ConfigError, match=words):
        load({"studies": {"peers": changes}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SOURCE = ''", "method broken .* has no SETTINGS, SEES, .*cost; docs/extending.md"),
        ("1 / 0", "broken.py does not run: ZeroDivisionError"),
        ("def f(:", "broken.py does not run: SyntaxError"),
    ],
)
def test_a_file_that_is_no_method_is_told_in_one_line(tmp_path, text, words):
    file = tmp_path / "broken.py"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load({"studies": {"peers": {"files": [str(file)]}}})


def test_words_that_the_contract_does_not_know_are_told(example, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(example.read_text().replace('"stream"', '"streams"'))
    with pytest.raises(ConfigError, match="SEES of method mine .* says 'streams'; did you mean"):
        load({"studies": {"peers": {"files": [str(file)]}}})


def test_a_file_with_the_name_of_a_peer_is_refused(example, tmp_path):
    file = tmp_path / "tda.py"
    file.write_text(example.read_text())
    with pytest.raises(ConfigError, match="the name 'tda' is taken"):
        load({"studies": {"peers": {"files": [str(file)]}}})
