"""Features that others extracted: their parts, their split, and the whole workflow on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from dmn.artifacts import read_rows, read_tensor_metadata, read_tensors, write_json
from dmn.cli import main
from dmn.config import Config, load
from dmn.datasets.imported import ImportedFeatures, read_imported_split
from dmn.datasets.registry import DatasetEntry, load_registry
from dmn.errors import ConfigError, DataError, FeatureError
from dmn.evaluation.inputs import read_part
from dmn.pipeline.targets import Targets
from dmn.stages.splits import draw
from dmn.studies.table import STUDIES
from documents import blocks
from test_mirrors_workflow import workflow

ROOT = Path(__file__).parents[1]
CLASSES, DIMENSION, VIEWS = 3, 16, 2
ROWS = {"train": 15, "val": 9, "test": 12}


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def make_features(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Return text and parts [N, V, D] around one direction a class, so that they are separable."""
    draws = np.random.default_rng(seed)
    centres = unit(draws.normal(size=(CLASSES, DIMENSION)))
    found = {"text": {"features": unit(centres + 0.1 * draws.normal(size=centres.shape))}}
    for part, count in ROWS.items():
        labels = np.arange(count) % CLASSES
        noise = draws.normal(size=(count, VIEWS, DIMENSION))
        found[part] = {"features": unit(centres[labels][:, None] + 0.1 * noise), "labels": labels}
    return found


def write_npz(folder: Path, parts: dict[str, dict[str, np.ndarray]]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, arrays in parts.items():
        np.savez(folder / f"{name}.npz", **arrays)
    return [f"{name}.npz" for name in parts]


def write_tip_adapter(folder: Path, parts: dict[str, dict[str, np.ndarray]]) -> list[str]:
    """Write one view as Tip-Adapter's program caches it, and the text beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    train = parts["train"]
    one_hot = np.eye(CLASSES)[train["labels"]]
    tensors = {"keys_5shots": train["features"][:, 0].T, "values_5shots": one_hot}
    for part in ("val", "test"):
        tensors |= {f"{part}_f": parts[part]["features"][:, 0], f"{part}_l": parts[part]["labels"]}
    for name, array in tensors.items():
        torch.save(torch.from_numpy(np.ascontiguousarray(array)), folder / f"{name}.pt")
    write_npz(folder, {"text": parts["text"]})
    return ["text.npz", *(f"{name}.pt" for name in tensors)]


def facts(files: list[str]) -> dict[str, object]:
    """Return a registry entry as a user writes it."""
    return {
        "title": "Features of a friend",
        "kind": "features",
        "classes": CLASSES,
        "files": {name: {"role": "archive"} for name in files},
        "training": [{"shots": [1, 2, 4], "learning_rate": 1.0e-3, "epochs": 2}],
    }


def write_registry(folder: Path, datasets: dict[str, list[str]]) -> Path:
    path = folder / "registry.yaml"
    entries = {name: facts(files) for name, files in datasets.items()}
    path.write_text(yaml.safe_dump({"datasets": entries}), encoding="utf-8")
    return path


def make_entry(folder: Path, files: list[str]) -> tuple[DatasetEntry, list[Path]]:
    registry = load_registry(write_registry(folder, {"mine": files}))
    return registry["mine"], [folder / name for name in files]


@pytest.mark.parametrize("writer", [write_npz, write_tip_adapter])
def test_a_split_is_read_from_the_rows_of_feature_files(tmp_path: Path, writer) -> None:
    entry, files = make_entry(tmp_path, writer(tmp_path, make_features()))
    split = read_imported_split(entry, files)
    assert {part: len(split.part(part)) for part in ROWS} == ROWS
    assert split.test[4] == ("test/0000004", 1)
    assert split.classes == ("class 0", "class 1", "class 2")
    assert ImportedFeatures(entry, files, "").text().features.shape == (CLASSES, DIMENSION)


def test_features_without_training_images_are_zero_shot_only(tmp_path: Path) -> None:
    parts = make_features()
    names = write_npz(tmp_path, {name: parts[name] for name in ("text", "test")})
    entry, files = make_entry(tmp_path, names)
    split = read_imported_split(entry, files)
    assert (len(split.train), len(split.val), len(split.test)) == (0, 0, ROWS["test"])


@pytest.mark.parametrize(
    ("missing", "message"),
    [("text", "has no text features among .*add text.npz"), ("test", "no test features")],
)
def test_a_missing_file_is_asked_for(tmp_path: Path, missing: str, message: str) -> None:
    parts = {name: value for name, value in make_features().items() if name not in (missing, "val")}
    entry, files = make_entry(tmp_path, write_npz(tmp_path, parts))
    with pytest.raises(DataError, match=message):
        ImportedFeatures(entry, files, "").text()


def test_validation_images_are_the_test_images_where_no_others_are(tmp_path: Path) -> None:
    parts = {name: value for name, value in make_features().items() if name != "test"}
    entry, files = make_entry(tmp_path, write_npz(tmp_path, parts))
    split = read_imported_split(entry, files)
    assert (len(split.train), len(split.val), len(split.test)) == (15, 0, ROWS["val"])


def test_backbones_of_other_images_are_not_shown_side_by_side(tmp_path: Path) -> None:
    for backbone, seed in (("a", 0), ("b", 1)):
        parts = make_features(seed)
        parts["test"]["labels"] = np.roll(parts["test"]["labels"], seed)
        write_npz(tmp_path / backbone, parts)
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.npz"))
    entry, files = make_entry(tmp_path, names)
    with pytest.raises(FeatureError, match="b/test.npz: the test labels are not those of the oth"):
        read_imported_split(entry, files)
    with pytest.raises(DataError, match="mine has no features of backbone 'c'; known: a, b"):
        ImportedFeatures(entry, files, "c")


def test_features_of_one_encoder_do_not_serve_two_backbones(tmp_path: Path) -> None:
    registry = write_registry(tmp_path, {"mine": write_npz(tmp_path, make_features())})
    values = {
        "datasets": ["mine"],
        "backbones": ["glyph", "other"],
        "encoders": {"glyph": {}, "other": {}},
        "download": {"registry": str(registry)},
    }
    with pytest.raises(ConfigError, match="mine has imported features.*2 backbones"):
        Targets(load(values))


def run_stage(*arguments: object) -> None:
    main(["stage", "imported", *map(str, arguments)])


@pytest.mark.parametrize("writer", [write_npz, write_tip_adapter])
def test_the_stage_writes_features_in_the_pipelines_form(tmp_path: Path, writer) -> None:
    parts = make_features()
    entry, files = make_entry(tmp_path, writer(tmp_path, parts))
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"download": {"registry": str(tmp_path / "registry.yaml")}}))
    shots, split = tmp_path / "split=0.json", tmp_path / "split.json"
    lists = read_imported_split(entry, files)
    write_json(split, lists.to_json())
    write_json(shots, draw(lists, 0, Config(shots=[1, 2])))
    common = [
        "--dataset",
        "mine",
        "--backbone",
        "friend",
        "--split",
        split,
        "--config",
        config,
        "--files",
        *files,
    ]
    out = {name: tmp_path / f"out/{name}.safetensors" for name in ("text", "test", "train", "val")}
    run_stage("features", *common, "--text", out["text"], "--test", out["test"])
    outputs = ["--train", out["train"], "--val", out["val"]]
    run_stage("shots", *common, "--shots", shots, *outputs)
    views = VIEWS if writer is write_npz else 1
    found = read_tensors(out["test"])
    expected = parts["test"]["features"][:, :views].astype(np.float16)
    assert np.allclose(found["views"], expected, atol=2e-3)
    assert found["labels"].tolist() == parts["test"]["labels"].tolist()
    assert read_tensor_metadata(out["text"])["logit_scale"] == 100.0
    rows = read_tensor_metadata(out["train"])["rows"]
    labels = read_tensors(out["train"])["labels"]
    assert [labels[row].tolist() for row in rows["2"]] == [[0, 0], [1, 1], [2, 2]]
    assert read_tensors(out["val"])["labels"].tolist() == [0, 1, 2] * 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("validation_shots", [4, 0])
def test_imported_features_go_through_the_workflow_to_an_accuracy(
    tmp_path: Path, validation_shots: int
) -> None:
    manual = tmp_path / "data" / "manual"
    names = {
        "plain": write_npz(manual / "plain", make_features(1)),
        "cached": write_tip_adapter(manual / "cached", make_features(2)),
    }
    config = {
        "datasets": list(names),
        "backbones": ["friend"],
        "encoders": {"friend": {}},
        "shots": [1],
        "seeds": {"split": [0], "order": ["0-1"]},
        "splits": {"validation_shots": validation_shots},
        "studies": {"main": {"checkpoints": 2}},
        "model": {"view_share": 0.5, "length": 3},
        "fusion": {"grid": [0.1, 1, 10]},
        "download": {"registry": str(write_registry(tmp_path, names))},
    }
    done = workflow(tmp_path, config, "reports/studies/main/rows.csv")
    assert done.returncode == 0, done.stdout[-4000:]
    rows = read_rows(tmp_path / "reports/studies/main/rows.csv")
    for dataset in names:
        mine = rows[(rows["dataset"] == dataset) & (rows["metric"] == "accuracy")]
        assert set(mine["setting"]) == {"zero_shot", "training_free", "few_shot"}
        assert mine[mine["component"] == "text"]["value"].min() > 90
        assert ("validation" in set(mine["weights"])) == bool(validation_shots)
    assert not (tmp_path / "data" / "encoder").exists()


def grouped(folder: Path, table: str, columns: list[str]) -> tuple[DatasetEntry, list[Path]]:
    """Return the entry and files of features whose test images have a table of groups."""
    files = write_npz(folder, make_features())
    (folder / "groups.csv").write_text(table, encoding="utf-8")
    entry = facts(files) | {"features": {"groups": columns}}
    entry["files"]["groups.csv"] = {"role": "groups"}
    registry = folder / "registry.yaml"
    registry.write_text(yaml.safe_dump({"datasets": {"mine": entry}}), encoding="utf-8")
    names = [*files, "groups.csv"]
    return load_registry(registry)["mine"], [folder / name for name in names]


def test_groups_of_a_table_reach_the_split_and_the_features(tmp_path: Path) -> None:
    hospitals = [f"{row % 5}" for row in range(ROWS["test"])]
    table = "\n".join(["slide,hospital", *(f"s{i},{h}" for i, h in enumerate(hospitals))])
    entry, files = grouped(tmp_path / "in", table, ["hospital"])
    split = read_imported_split(entry, files)
    assert split.groups == {"hospital": tuple(hospitals)}
    write_json(tmp_path / "split.json", split.to_json())
    values = entry.model_dump_json()
    out = [str(tmp_path / name) for name in ("text.safetensors", "test.safetensors")]
    arguments = ["--dataset", values, "--backbone", "friend", "--text", out[0], "--test", out[1]]
    arguments += ["--split", str(tmp_path / "split.json"), "--files", *map(str, files)]
    main(["stage", "imported", "features", *arguments])
    assert read_part(out[1]).groups["hospital"].tolist() == hospitals


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("hospitals\n1\n", "has no column 'hospital'; did you mean 'hospitals'"),
        ("hospital\n1\n2\n", "has 2 rows for 12 images; one for each is due"),
    ],
)
def test_a_table_of_groups_that_does_not_fit_is_named(
    tmp_path: Path, table: str, words: str
) -> None:
    entry, files = grouped(tmp_path, table, ["hospital"])
    with pytest.raises(DataError, match=words):
        read_imported_split(entry, files)


def documented() -> tuple[dict[str, object], dict[str, object]]:
    """Return the entry and the configuration that docs/data.md shows."""
    entry, config = (
        yaml.safe_load(block.text)
        for block in blocks("docs/data.md", "yaml")
        if "my_cache" in block.text
    )
    return entry, config


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("few_shot", [True, False])
def test_the_documented_example_runs_with_the_default_studies(
    tmp_path: Path, few_shot: bool
) -> None:
    entry, config = documented()
    facts = entry["datasets"]["my_cache"]
    if not few_shot:
        facts.pop("training")
        facts["files"].pop("train.npz")
    parts = {name: a for name, a in make_features(3).items() if f"{name}.npz" in facts["files"]}
    write_npz(tmp_path / "data/manual/my_cache", parts)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    done = workflow(tmp_path, config, "reports/all")
    assert done.returncode == 0, done.stdout[-4000:]
    studies = {path.name for path in (tmp_path / "reports/studies").iterdir()}
    assert studies == set(STUDIES) - {"shift"}
    rows = read_rows(tmp_path / "reports/studies/main/rows.csv")
    assert ("few_shot" in set(rows["setting"])) == few_shot
    assert rows["protocol"].str.startswith(f"views={VIEWS} ").all()
