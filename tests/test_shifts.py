"""Shifts: distances against plain formulas, groups and pseudo-labels against plain loops, words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.linalg import sqrtm

from atlas import make_atlas_mirror
from dmn.artifacts import read_rows
from dmn.config import load
from dmn.engine.schedule import write_schedule
from dmn.evaluation.answers import attach
from dmn.evaluation.contract import Cell, Part, stream_order
from dmn.evaluation.experiment import Experiment, take
from dmn.evaluation.shifts.distances import LABEL_FREE, MOST, distances, frechet, mmd
from dmn.evaluation.shifts.groups import WORST
from dmn.report.headline import everywhere
from dmn.report.shifts.tables import BOTH, MEMORY, NEITHER, NO_GROUPS, PSEUDO_LABELS, broken
from dmn.studies.shift import Options, measure, report
from mirror import serve
from synthetic import study_data, unit
from test_mirrors_workflow import save_checkpoint, small_config, workflow

CONFIG = load({"model": {"length": 4}})
OPTIONS = Options(max_orders=2, lengths=[2, 8], length_orders=1, least_images=5)
DRAWS = np.random.default_rng(3)
X = unit(DRAWS.normal(size=(60, 7)))
Y = unit(DRAWS.normal(size=(45, 7)) + 0.3)
TEXT = unit(DRAWS.normal(size=(5, 7)))


def test_frechet_is_the_distance_of_two_gaussians():
    m, n = X.mean(axis=0), Y.mean(axis=0)
    a, b = np.cov(X.T, bias=True), np.cov(Y.T, bias=True)
    root = sqrtm(a)
    shared = np.trace(sqrtm(root @ b @ root)).real
    expected = ((m - n) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * shared
    assert frechet(X, Y) == pytest.approx(expected, rel=1e-6)
    # of fewer images than dimensions, too
    few, many = X[:4], Y[:3]
    assert frechet(few, many) > 0
    assert frechet(few, few) == pytest.approx(0, abs=1e-12)


def test_mmd_is_its_sum_over_pairs():
    apart = [((u - v) ** 2).sum() for i, u in enumerate(X) for j, v in enumerate(X) if i != j]
    spread = np.median(apart)

    def kernel(u: np.ndarray, v: np.ndarray) -> float:
        return float(np.exp(-((u - v) ** 2).sum() / spread))

    def own(part: np.ndarray) -> float:
        values = [kernel(u, v) for i, u in enumerate(part) for j, v in enumerate(part) if i != j]
        return float(np.mean(values))

    across = np.mean([kernel(u, v) for u in X for v in Y])
    assert mmd(X, Y) == pytest.approx(own(X) + own(Y) - 2 * across)


def test_nothing_is_far_from_itself_and_all_distances_are_told():
    found = distances(X, X, TEXT, 20.0)
    assert tuple(found) == LABEL_FREE
    assert all(abs(value) < 1e-9 for name, value in found.items() if name != "mmd")
    assert found["mmd"] < 0
    assert all(value > 0 for value in list(distances(X, Y, TEXT, 20.0).values())[:3])


def test_confidence_and_margin_are_those_of_text():
    found = distances(X, Y, TEXT, 20.0)

    def means(part: np.ndarray) -> tuple[float, float]:
        largest, lead = [], []
        for x in part:
            similar = sorted(x @ TEXT.T)
            p = np.exp(20.0 * np.array(similar))
            largest.append(p[-1] / p.sum())
            lead.append(similar[-1] - similar[-2])
        return float(np.mean(largest)), float(np.mean(lead))

    (p, a), (q, b) = means(X), means(Y)
    assert found["confidence_drop"] == pytest.approx(100 * (p - q))
    assert found["margin_drop"] == pytest.approx(a - b)


def test_large_sets_are_looked_at_in_part_and_always_the_same():
    many = unit(np.random.default_rng(0).normal(size=(MOST + 50, 3)))
    once, again = (distances(many, many[:100], TEXT[:, :3], 5.0) for _ in range(2))
    assert once == again


def grouped(few_shot: bool = True):
    """Return data whose test images have a hospital, which small slides are a part of."""
    data = study_data(images=90, noise=0.6, few_shot=few_shot)
    hospital = np.array([f"{i % 3}" for i in range(90)])
    slide = np.array(["rare" if i < 4 else f"s{i % 2}" for i in range(90)])
    groups = {"hospital": hospital, "slide": slide}
    return replace(data, test=replace(data.test, groups=groups))


def frame(data, orders=(0, 1)) -> pd.DataFrame:
    measured = measure(data, CONFIG, OPTIONS, list(orders))
    keys = {"dataset": data.dataset, "backbone": data.backbone, "split_seed": data.split_seed}
    rows = measured.rows.assign(**keys)
    samples = {(data.dataset, data.backbone, data.split_seed, "0-1"): measured.samples}
    return attach(rows, samples)


@pytest.fixture(scope="module")
def data():
    return grouped()


@pytest.fixture(scope="module")
def rows(data) -> pd.DataFrame:
    return frame(data)


def test_groups_stay_with_their_images_in_any_order(data):
    order = np.random.default_rng(1).permutation(90)
    part = take(data.test, order)
    assert part.groups["hospital"].tolist() == [f"{i % 3}" for i in order]


def test_accuracy_of_a_group_is_counted_over_its_images(data, rows):
    experiment = Experiment(data, CONFIG, Cell("zero_shot"))
    run = experiment.run(1)
    own = rows[
        (rows["corruption"] == "hospital 2")
        & (rows["metric"] == "accuracy")
        & (rows["setting"] == "zero_shot")
        & (rows["component"] == "dynamic")
        & (rows["order_seed"] == 1)
    ]
    images = [i for i in range(90) if i % 3 == 2]
    right = [run.answers("dynamic")[i] == data.test.labels[i] for i in images]
    assert own["value"].item() == pytest.approx(100 * np.mean(right))
    assert own["n"].item() == 30


def test_the_worst_group_is_the_least_of_those_that_are_large_enough(rows):
    zero = rows[(rows["setting"] == "zero_shot") & (rows["order_seed"] == 0)]
    kind = zero[(zero["component"] == "dynamic") & (zero["length"] == "configured")]
    for name in ("hospital", "slide"):
        named = kind["corruption"].str.startswith(f"{name} ")
        groups = kind[named & (kind["metric"] == "accuracy")]
        worst = kind[(kind["metric"] == WORST) & (kind["corruption"] == name)]
        assert worst["value"].item() == groups["value"].min()
    # four images are too few
    assert "slide rare" not in set(rows["corruption"])


def test_written_pseudo_labels_are_counted_as_a_plain_loop_counts_them(data, rows):
    part = data.shifts["noise", 5]
    run = Experiment(data, CONFIG, Cell("zero_shot"), ()).run(1, part)
    order = stream_order(1, len(part))
    written = write_schedule(run.pseudo_label[order], run.entropy[order], 6, 4).slot >= 0
    right = [run.pseudo_label[row] == part.labels[row] for row in order[written]]
    own = rows[
        (rows["metric"] == "pseudo_label_accuracy")
        & (rows["corruption"] == "noise")
        & (rows["severity"] == 5)
        & (rows["order_seed"] == 1)
    ]
    assert own["value"].item() == pytest.approx(100 * np.mean(right))
    assert own["n"].item() == written.sum() < len(part)


def test_a_length_under_a_shift_is_that_of_a_network_of_this_length(data, rows):
    part = data.shifts["blur", 5]
    run = Experiment(data, CONFIG, Cell("zero_shot"), (), length=2).run(0, part)
    own = rows[
        (rows["length"] == "2")
        & (rows["component"] == "dynamic")
        & (rows["corruption"] == "blur")
        & (rows["severity"] == 5)
    ]
    assert own["value"].item() == pytest.approx(100 * (run.right("dynamic")).mean())


def test_a_group_is_as_far_as_it_is_from_all_other_images(data, rows):
    own = rows[(rows["metric"] == "mean_distance") & (rows["corruption"] == "hospital 1")]
    view = data.test.views[:, 0].astype(np.float64)
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    some = np.arange(90) % 3 == 1
    expected = np.linalg.norm(view[some].mean(axis=0) - view[~some].mean(axis=0))
    assert own["value"].iloc[0] == pytest.approx(expected)


def test_a_data_set_without_shifted_copies_is_reported_by_its_groups(data):
    alone = replace(data, shifts={})
    found = report(frame(alone), {}, OPTIONS)
    assert set(found.tables["groups"]["group"]) >= {"all", "hospital 0", "worst hospital"}
    assert any("accuracy in the worst group by hospital is" in line for line in found.findings)
    assert any("under slide s0" in line or "slide s0" in line for line in found.findings)


def test_a_data_set_without_groups_says_so(data):
    plain = replace(data, test=replace(data.test, groups={}))
    found = report(frame(plain), {}, OPTIONS)
    assert found.tables["groups"]["result"].tolist() == [NO_GROUPS]
    assert len(found.tables["pseudo_labels"]) == 4
    assert set(found.tables["correlations"]["distance"]) == {*LABEL_FREE, "text_drop"}


def test_a_zero_shot_data_set_without_shots_is_reported():
    found = report(frame(grouped(few_shot=False)), {}, OPTIONS)
    assert set(found.tables["shift"]["setting"]) == {"zero_shot"}


def test_several_places_are_told_in_one_sentence_first(rows):
    both = pd.concat([rows, rows.assign(dataset="other")], ignore_index=True)
    findings = report(both, {}, OPTIONS).findings
    assert findings[0].startswith("Zero-shot, under 18 shifts of 2 data sets (random), the dynamic")
    # what they have in common is not said of each
    assert " on synthetic" in findings[0]
    assert " on synthetic (random)" not in findings[0]


def test_one_place_alone_has_no_sentence_over_all():
    table = pd.DataFrame([{"dataset": "a", "backbone": "b", "stream": "random"}])
    assert everywhere(table, "stream", "On", "it", 0.5) == []


def place(shift: str, severity: int, **values: float) -> dict[str, object]:
    keys = {"dataset": "a", "backbone": "b", "setting": "zero_shot", "shots": 0}
    return keys | {"corruption": shift, "severity": severity} | values


@pytest.mark.parametrize(
    ("right", "gain", "expected"),
    [
        (0.9, 5.0, NEITHER),
        (0.2, 5.0, PSEUDO_LABELS),
        (0.9, -5.0, MEMORY),
        (0.2, -5.0, BOTH),
        (0.45, 5.0, NEITHER),  # not clearly below half
    ],
)
def test_what_breaks_needs_an_interval(right: float, gain: float, expected: str):
    from dmn.evaluation.answers import Answers, packed

    images = np.arange(100) < 100 * right
    row = place("fog", 5) | {"component": "dynamic", "weights": "none", "order_seed": 0}
    row |= {"metric": "pseudo_label_accuracy", "value": 100 * right, "split_seed": 0}
    answers = Answers(100, np.frombuffer(packed(images), np.uint8))
    written = pd.DataFrame([row]).assign(answers=[answers])
    own = place("fog", 5, mean=gain, low=gain - 1, high=gain + 1, p=0.001, text_drop=3.0)
    own |= {"component": "dynamic", "weights": "none", "text_accuracy": 50.0}
    (found,) = broken(written, pd.DataFrame([own]), 0.5)["breaks"]
    assert found == expected


def test_groups_are_empty_where_nobody_names_them():
    assert dict(Part(X[:, None], np.zeros(60, int), [str(i) for i in range(60)]).groups) == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("dataset", ["pacs", "wds_camelyon17"])
def test_groups_travel_from_a_server_to_the_rows_of_the_study(dataset: str, tmp_path: Path):
    mirror = make_atlas_mirror(dataset, tmp_path)
    (tmp_path / "served").mkdir(exist_ok=True)
    save_checkpoint(tmp_path / "epoch_1.pt")
    with serve(mirror.served) as server:
        config = small_config(tmp_path, mirror, server.url, [dataset])
        config |= {"studies": {"shift": {"least_images": 1}}, "prompts": {"kind": "templates"}}
        config["corruptions"] = {"kinds": []}
        done = workflow(tmp_path, config, "reports/studies/shift/rows.csv")
    assert done.returncode == 0, done.stdout[-4000:]
    rows = read_rows(tmp_path / "reports/studies/shift/rows.csv")
    (grouping, *_) = mirror.entry.groups
    named = {name for name in rows["corruption"] if name.startswith(f"{grouping} ")}
    assert len(named) > 1
    assert grouping in set(rows.loc[rows["metric"] == WORST, "corruption"])
    assert yaml.safe_load(mirror.registry.read_text())["datasets"][dataset]["sizes"]["test"] in set(
        rows["n"]
    )
