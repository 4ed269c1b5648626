"""Every study on a small synthetic data set: the contract, and numbers found another way."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from html import unescape
from io import StringIO

import numpy as np
import pandas as pd
import pytest

from dmn.config import load
from dmn.evaluation.answers import attach
from dmn.evaluation.contract import Cell, StudyData, stream_order
from dmn.evaluation.streams import recipes
from dmn.peers.contract import Given, Images, from_module
from dmn.peers.formulas import unit
from dmn.peers.online import dmn_centred
from dmn.report.page import RunFacts, render
from dmn.report.words import EFFECT, INFLUENCE, RIVALRY
from dmn.report.writer import write_study_report
from dmn.studies import order as order_study
from dmn.studies import sensitivity
from dmn.studies.table import STUDIES
from synthetic import memory, study_data

ORDERS = [0, 1, 2]
KEYS = [
    "order_seed", "setting", "shots", "training_seed", "component", "weights", "metric", "value",
    "n",
]  # fmt: skip
COMPONENTS = {"text", "dynamic", "static", "fused", "peer"}
SMALL = {
    "sensitivity": {"max_orders": 1, "positions": ["all"], "kinds": ["bias", "linear"]},
    "length": {"lengths": [1, 3, 10], "max_orders": 2},
    "order": {"max_orders": 2},
}
CONFIG = load(
    {
        "shots": [1, 4],
        "model": {"view_share": 0.5, "length": 4},
        "training": {"learning_rate": 1e-3, "epochs": 3},
        "fusion": {"grid": [0.1, 1, 10]},
    }
)


def split(seed: int) -> StudyData:
    """Two splits of one data set: the same test images, other shots."""
    data = study_data(noise=0.6)
    other = study_data(noise=0.6, seed=seed)
    train = data.train if seed == 0 else data.train[:, ::-1].copy()
    memories = {k: memory(data.text, train[:, :k, 0]) for k in (1, 4)}
    val = data.val or other.val
    data = replace(data, split_seed=seed, train=train, memories=memories, val=val)
    for shots in (1, 4):
        cell = Cell("few_shot", shots, 0)
        data.projections[shots, 0] = sensitivity.train(data, CONFIG, cell, "bias", "all")
    return data


@pytest.fixture(scope="module")
def splits():
    return [split(seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def measured(splits):
    """Return a function: rows as the reports read them, samples and options, measured once."""
    done = {}

    def measure(name):
        if name not in done:
            module = importlib.import_module(f"dmn.studies.{name}")
            options = module.Options(**SMALL.get(name, {}))
            frames, samples = [], {}
            for data in splits:
                found = module.measure(data, CONFIG, options, ORDERS)
                place = {"study": name, "dataset": "synthetic", "backbone": "random"}
                frames.append(found.rows.assign(**place, split_seed=data.split_seed))
                samples["synthetic", "random", data.split_seed, "0-2"] = found.samples
            text = pd.concat(frames, ignore_index=True).to_csv(index=False, float_format="%.6f")
            done[name] = pd.read_csv(StringIO(text)), samples, options
        return done[name]

    return measure


@pytest.fixture(scope="module")
def reported(measured):
    """Return a function: a study's report, made once."""
    done = {}

    def report(name):
        if name not in done:
            rows, samples, options = measured(name)
            module = importlib.import_module(f"dmn.studies.{name}")
            done[name] = module.report(attach(rows, samples), samples, options)
        return done[name]

    return report


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_measures_tidy_rows_without_gaps(measured, name):
    rows, samples, _ = measured(name)
    assert set(KEYS) <= set(rows)
    assert not rows[KEYS].isna().any().any()
    assert set(rows["component"]) <= COMPONENTS
    identity = [c for c in rows if c not in ("value", "n", "study")]
    assert not rows.duplicated(identity).any()
    for arrays in samples.values():
        for array in arrays.values():
            assert array.dtype != np.float64


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_reports_what_it_declares(reported, name):
    module = importlib.import_module(f"dmn.studies.{name}")
    report = reported(name)
    assert tuple(report.tables) == module.TABLES
    assert tuple(report.figures) == module.FIGURES
    assert all(len(table) for table in report.tables.values())
    assert report.findings
    assert all(f.endswith(".") and "nan" not in f for f in report.findings)


JUDGED = {
    phrase
    for phrases in (EFFECT, RIVALRY, INFLUENCE)
    for word, phrase in phrases.items()
    if word != "unjudged"
} | {"the best", "the most", "is clearly"}


@pytest.mark.parametrize("name", STUDIES)
def test_each_finding_has_an_interval_or_says_that_it_has_none(reported, name):
    for sentence in reported(name).findings:
        assert "95% interval" in sentence or "no interval" in sentence, sentence
        if "95% interval" in sentence:
            assert re.search(r" over (\d+ to )?\d+ (splits?|orders?|images?|classes)", sentence)
        if any(phrase in sentence for phrase in JUDGED):
            assert "95% interval" in sentence, sentence


@pytest.mark.parametrize("name", STUDIES)
def test_each_accuracy_in_a_table_is_over_images_too(measured, reported, name):
    for table in reported(name).tables.values():
        if "n_images" in table and "class_name" not in table:
            assert (table["n_images"] > 0).all()


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_needs_no_heavy_import_and_says_what_it_asks(name):
    module = importlib.import_module(f"dmn.studies.{name}")
    assert module.TITLE
    assert module.QUESTION.endswith("?")
    for field in module.Options.model_fields.values():
        assert field.description


def test_a_main_cell_is_recomputed_from_the_samples(measured, reported):
    samples, report = measured("main")[1], reported("main")
    per_split = []
    for arrays in samples.values():
        answers = arrays["training_free,shots=4/dynamic/none"]
        per_split.append(100 * np.mean([(a == arrays["labels"]).mean() for a in answers]))
    table = report.tables["main"]
    row = table[
        (table["setting"] == "training_free")
        & (table["shots"] == 4)
        & (table["component"] == "dynamic")
    ].iloc[0]
    assert row["mean"] == pytest.approx(np.mean(per_split), abs=1e-5)
    if row["over"] == "splits":
        half = 12.7062 * np.std(per_split, ddof=1) / np.sqrt(2)
        assert row["high"] - row["mean"] == pytest.approx(half, rel=1e-3, abs=1e-4)


def test_the_optimism_is_recomputed_from_the_samples(measured, reported):
    samples, report = measured("main")[1], reported("main")
    differences = []
    for arrays in samples.values():
        right = {
            kind: (arrays[f"few_shot,shots=4,training=0/fused/{kind}"] == arrays["labels"]).mean()
            for kind in ("oracle", "validation")
        }
        differences.append(100 * (right["oracle"] - right["validation"]))
    table = report.tables["optimism"]
    row = table[
        (table["setting"] == "few_shot")
        & (table["shots"] == 4)
        & (table["comparison"] == "oracle - validation")
    ].iloc[0]
    assert row["mean"] == pytest.approx(np.mean(differences), abs=1e-5)


def test_purity_is_recomputed_by_keeping_lists(measured, splits):
    rows, _, _ = measured("failures")
    main, _ = measured("main")[1:]
    arrays = main["synthetic", "random", 0, "0-2"]
    labels, entropy = arrays["labels"], arrays["zero_shot/entropy"].astype(float)
    pseudo, order = arrays["zero_shot/pseudo_label"], arrays["orders"][1]
    memory = [[] for _ in range(6)]
    for row in order:
        own = memory[pseudo[row]]
        own.append(row)
        # four slots: the least certain image leaves, the newer of equals
        if len(own) > 4:
            own.remove(max(own, key=lambda r: (entropy[r], own.index(r))))
    kept = [(c, r) for c, own in enumerate(memory) for r in own]
    purity = 100 * np.mean([labels[r] == c for c, r in kept])
    last = rows[
        (rows["metric"] == "purity")
        & (rows["setting"] == "zero_shot")
        & (rows["split_seed"] == 0)
        & (rows["order_seed"] == 1)
        & (rows["seen"] == len(order))
    ]
    assert last["n"].item() == len(kept)
    assert last["value"].item() == pytest.approx(purity, abs=1e-5)


def test_a_shift_gain_is_recomputed_with_a_fresh_network(measured, splits):
    from dmn import DualMemoryNetwork

    rows, _, _ = measured("shift")
    data = splits[0]
    part = data.shifts["noise", 5]
    network = DualMemoryNetwork(
        data.text, length=4, view_share=0.5, logit_scale=100.0, dtype="float64"
    )
    right = 0
    for row in stream_order(2, len(part)):
        right += int(network.step(part.views[row]).dynamic.argmax()) == part.labels[row]
    own = rows[
        (rows["corruption"] == "noise")
        & (rows["severity"] == 5)
        & (rows["metric"] == "accuracy")
        & (rows["length"] == "configured")
        & (rows["setting"] == "zero_shot")
        & (rows["component"] == "dynamic")
        & (rows["order_seed"] == 2)
        & (rows["split_seed"] == 0)
    ]
    assert own["value"].item() == pytest.approx(100 * right / len(part), abs=1e-5)


def test_lengths_beyond_the_stream_answer_like_no_limit(measured):
    rows, _, _ = measured("length")
    whole = rows[(rows["component"] == "dynamic") & (rows["setting"] == "zero_shot")]
    wide = whole.pivot_table(
        index=["order_seed", "entry_rule", "seen"], columns="length", values="value"
    )
    # on fifteen images no class can fill ten slots with more than a few
    first = wide[wide.index.get_level_values("seen") == wide.index.get_level_values("seen").min()]
    assert (first["10"] == first["unlimited"]).all()


def test_peers_do_as_well_in_any_order_but_those_of_the_stream(measured):
    rows, _, _ = measured("peers")
    part = rows[(rows["metric"] == "accuracy") & (rows["component"] == "peer")]
    still = part[~part["method"].isin(["dmn_centred", "tda"])]
    keys = ["method", "setting", "shots", "split_seed", "weights"]
    assert (still.groupby(keys)["value"].nunique() == 1).all()


@pytest.mark.parametrize(
    "name", list(order_study.arrangements(np.zeros(8, int), 0, order_study.Options()))
)
def test_an_arrangement_is_a_permutation_that_its_seed_fixes(name):
    labels = np.random.default_rng(0).integers(0, 5, size=60)
    options = order_study.Options()
    first, again, other = (
        order_study.arrangements(labels, seed, options)[name] for seed in (3, 3, 4)
    )
    assert sorted(first) == list(range(60))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def runs_of_one_class(labels):
    return 1 + int((np.diff(labels) != 0).sum())


def test_less_concentration_makes_streams_more_correlated():
    labels = np.random.default_rng(0).integers(0, 8, size=400)
    lengths = []
    for concentration in (0.01, 1.0, 100.0):
        runs = [
            runs_of_one_class(
                labels[recipes.correlated(labels, np.random.default_rng(s), concentration)]
            )
            for s in range(5)
        ]
        lengths.append(np.mean(runs))
    assert lengths == sorted(lengths)
    in_order = recipes.sorted_by_class(labels, np.random.default_rng(0))
    assert runs_of_one_class(labels[in_order]) == 8


def test_bursts_are_no_longer_than_asked_apart():
    labels = np.repeat(np.arange(4), 10)
    stream = labels[recipes.in_bursts(labels, np.random.default_rng(1), 5)]
    assert all(len(set(stream[i : i + 5])) == 1 for i in range(0, 40, 5))


def test_the_centred_memory_without_a_part_is_recomputed_by_the_peer(measured, splits):
    rows = measured("ablation")[0]
    peer = from_module("dmn_centred", dmn_centred, {"centre": False})
    data = splits[0]
    given = Given(unit(data.text), data.logit_scale)
    for seed in ORDERS:
        order = stream_order(seed, len(data.test))
        answers = peer.answer(given, Images(data.test.views[order]), peer.options).argmax(axis=1)
        own = rows[(rows["memories"] == "centred") & (rows["variant"] == "no means taken off")]
        own = own[(own["order_seed"] == seed) & (own["split_seed"] == 0)]
        expected = 100 * (answers == data.test.labels[order]).mean()
        assert own["value"].tolist() == pytest.approx([expected], abs=1e-5)


def test_the_grid_of_weights_is_recomputed_by_fusing(measured, splits):
    from dmn.evaluation.experiment import Experiment
    from dmn.method.fusion import fuse

    _, samples, _ = measured("weights")
    counts = samples["synthetic", "random", 0, "0-2"]["counts/training_free,shots=4"]
    grid = CONFIG.fusion.grid
    q = Experiment(splits[0], CONFIG, Cell("training_free", 4), whole=True).run(2).predictions
    for i, second in enumerate(grid):
        for j, third in enumerate(grid):
            fused = fuse(q.text, q.dynamic, q.static, (1.0, second, third))
            assert counts[2, i, j] == (fused.argmax(axis=1) == splits[0].test.labels).sum()


def test_no_kind_of_weights_is_above_the_oracle(measured, reported):
    search = reported("weights").tables["search"]
    gaps = search[search["comparison"].str.match("oracle - (fixed|label_free|validation)")]
    assert len(gaps) == 15
    assert (gaps["mean"] >= -1e-9).all()
    gain = search[search["comparison"] == "oracle - text"].set_index(["setting", "shots"])["mean"]
    for kind in ("fixed", "label_free", "validation"):
        named = search[search["comparison"].isin([f"{kind} - text", f"oracle - {kind}"])]
        total = named.groupby(["setting", "shots"])["mean"].sum()
        np.testing.assert_allclose(total.loc[gain.index], gain, atol=1e-6)


def test_weights_that_are_best_in_another_cell_come_from_its_own_counts(measured):
    rows, samples, _ = measured("weights")
    arrays = samples["synthetic", "random", 1, "0-2"]
    source = arrays["counts/training_free,shots=1"].sum(axis=0)
    i, j = np.unravel_index(int(source.argmax()), source.shape)
    carried = rows[
        (rows["source"] == "training_free,shots=1")
        & (rows["setting"] == "training_free")
        & (rows["shots"] == 4)
        & (rows["split_seed"] == 1)
    ]
    right = arrays["counts/training_free,shots=4"][:, i, j]
    np.testing.assert_allclose(carried["value"], 100 * right / carried["n"], atol=1e-5)


def test_the_study_of_weights_stands_without_shots(measured):
    from dmn.studies import weights

    options = weights.Options()
    found = weights.measure(study_data(few_shot=False), CONFIG, options, ORDERS)
    place = {"study": "weights", "dataset": "synthetic", "backbone": "random", "split_seed": 0}
    samples = {("synthetic", "random", 0, "0-2"): found.samples}
    report = weights.report(attach(found.rows.assign(**place), samples), samples, options)
    assert tuple(report.figures) == weights.FIGURES
    assert report.tables["transfer"].empty
    assert set(report.tables["optimum"]["weights"]) == {"fixed", "label_free", "oracle"}


WRONG = {
    "an ordinal": r"\b(?!1[123]th)\d*[123]th\b",
    "one of several": r"(?<![\d.,+-])1 (slots|shots|orders|splits|trainings|images|backbones|rows"
    r"|classes|methods|views|streams|data sets|points|seeds)\b",
    "a signed zero": r"(?<![\w.])[-\u2212]0(\.0+)?(?![\d.])",
    "what it may not be": r"\breproduction\b",
}


@pytest.mark.parametrize("name", STUDIES)
def test_no_report_counts_or_signs_wrongly(measured, name, tmp_path):
    """Of two backbones, so that all sentences are there; a CSV has none."""
    rows, samples, options = measured(name)
    both = [rows.assign(backbone=backbone) for backbone in ("random", "second")]
    twice = {
        (place[0], backbone, *place[2:]): own
        for backbone in ("random", "second")
        for place, own in samples.items()
    }
    folder = tmp_path / "studies" / name
    module = importlib.import_module(f"dmn.studies.{name}")
    rows = pd.concat(both, ignore_index=True)
    summary = write_study_report(module, rows, twice, options, folder)
    config = CONFIG.model_copy(
        update={"datasets": ("synthetic",), "backbones": ("random", "second")}
    )
    page = render([summary], RunFacts(config, ""), tmp_path)
    not_told = r'src="data:[^"]*"|<style>.*?</style>|<script>.*?</script>'
    told = re.sub(not_told, "", page, flags=re.DOTALL)
    files = [*folder.glob("*.md"), *folder.glob("*.tex")]
    texts = {path.name: path.read_text() for path in files}
    for where, text in (texts | {"the page": unescape(told)}).items():
        for what, pattern in WRONG.items():
            found = re.search(f".{{0,60}}{pattern}.{{0,30}}", text)
            assert not found, f"{where} has {what}: {found[0]!r}"


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("an ordinal", "Every 2th of 300 rows"),
        ("one of several", "with 1 slots per class"),
        ("a signed zero", "gains -0.0 points [-0.00, 0.1]"),
        ("what it may not be", "Dual Memory Networks: a reproduction"),
    ],
)
def test_the_wrong_words_are_known(what, text):
    assert re.search(WRONG[what], text)
    assert not re.search(WRONG[what], "the 11th of 21 slots, 1 slot, -0.04, 0.1 points, 10-0-9")
