"""Bad input over configuration, files, downloads, features, checkpoints and command lines.

Each case runs a command as a user would and expects one line that says what is wrong, exit
status 2, and that no file was written, changed or left half made.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from dmn.artifacts import sha256, write_bytes, write_json, write_rows, write_tensors, write_text
from dmn.cli import main
from dmn.config import Config
from dmn.datasets import digits
from dmn.datasets.images import read_split
from dmn.datasets.imported import read_imported_split
from dmn.datasets.registry import find_dataset, load_registry
from dmn.encoders.config import EncoderConfig
from dmn.schema import merge

ARCHIVE = "data/download/digits/digits.zip"
SPLIT = "data/splits/digits/split.json"
SHOTS = "data/splits/digits/split=0.json"
FEATURES = "data/features/digits/glyph"
TEXT, TRAIN = f"{FEATURES}/text.safetensors", f"{FEATURES}/train,split=0.safetensors"
TEST = f"{FEATURES}/test.safetensors"
MEMORY = "data/memory/digits/glyph/split=0/shots=1.safetensors"
WEIGHTS = "data/encoder/glyph.safetensors"
ROWS = "data/evaluation/main/digits/glyph/splits=0/orders=0.csv"
MANIFEST = "data/download/digits/manifest.json"
HOSTILE = "hostile-code-was-run"

Prepare = Callable[[], object]


class Hostile:
    """Unpickling this would make a file: no command may ever do that."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (HOSTILE, "w")


def nothing() -> None:
    """The bad part is on the command line."""


def yaml_file(text: str) -> Prepare:
    """Return a preparation that writes config.yaml."""
    return lambda: write_text("config.yaml", text)


def delete(name: str) -> Prepare:
    """Return a preparation that deletes a file."""
    return lambda: Path(name).unlink()


def garble(name: str) -> Prepare:
    """Return a preparation that cuts a file in half."""
    return lambda: write_bytes(name, Path(name).read_bytes()[: Path(name).stat().st_size // 2])


def registry(**facts: object) -> Prepare:
    """Return a preparation that writes a registry file with one data set, `mine`."""
    entry = {"title": "Mine", "kind": "features", "classes": 2, **facts}
    return lambda: write_text("registry.yaml", yaml.safe_dump({"datasets": {"mine": entry}}))


def features(**arrays: np.ndarray) -> Prepare:
    """Return a preparation of a data set `mine` of features; some arrays are replaced."""

    def prepare() -> None:
        registry(files={"text.npz": {"role": "archive"}, "test.npz": {"role": "archive"}})()
        folder = Path("data/download/mine")
        folder.mkdir(parents=True)
        whole = {"features": np.eye(4)[:, :3] + 1.0, "labels": np.array([0, 1, 0, 1])}
        np.savez(folder / "text.npz", features=np.eye(3)[:2])
        np.savez(folder / "test.npz", **whole)
        entry = load_registry("registry.yaml")["mine"]
        files = [folder / "text.npz", folder / "test.npz"]
        write_json("data/splits/mine/split.json", read_imported_split(entry, files).to_json())
        np.savez(folder / "test.npz", **{**whole, **arrays})

    return prepare


def checkpoint(content: object) -> Prepare:
    """Return a preparation that saves any object as torch does."""
    return lambda: torch.save(content, "model.pt")


def config(**values: object) -> list[str]:
    """Return `--config` with a whole configuration, changed, as JSON text."""
    whole = merge(Config().model_dump(mode="json"), values)
    return ["--config", json.dumps(whole)]


CHECK = ["config", "--config", "config.yaml"]
DOWNLOAD = ["stage download", "file", "--dataset", "digits", "--file", "digits.zip"]
MINE = config(download={"registry": "registry.yaml"})
IMPORT = [
    *("stage imported", "features", "--dataset", "mine", "--text", "t", "--test", "o", *MINE),
    *("--backbone", "friend", "--split", "data/splits/mine/split.json"),
    *("--files", "data/download/mine/text.npz", "data/download/mine/test.npz"),
]
EXTRACT = [
    *("stage features", "test", "--dataset", "digits", "--backbone", "glyph"),
    *("--weights", WEIGHTS, "--split", SPLIT, "--files", ARCHIVE, "--out", "out.safetensors"),
]
FETCH = ["stage encoder", "fetch", "--backbone", "mine", "--weights", "out.safetensors"]
DRAW = ["stage splits", "shots", "--split", SPLIT, "--seed", "0", "--out", "out.json"]
LISTED = [
    *("stage download", "manifest", "--dataset", "digits"),
    *("--out", MANIFEST, "--files", ARCHIVE),
]
STATIC = [
    *("stage memory", "--text", TEXT, "--train", TRAIN, "--shots", "1"),
    *("--out", "out.safetensors"),
]
TRAINING = [
    *("stage projection", "--dataset", "digits", "--kind", "bias", "--seed", "0"),
    *("--text", TEXT, "--train", TRAIN, "--memory", MEMORY),
    *("--weights", "out.safetensors", "--curves", "out.csv"),
]
EVALUATE = [
    *("stage evaluation", "--study", "main", "--orders", "0", "--splits", "0"),
    *("--dataset", "digits", "--backbone", "glyph"),
    *("--rows", "out.csv", "--samples", "out.safetensors"),
    *("--test", TEST, "--lists", SPLIT, "--text", TEXT),
]
REPORT = ["stage reports", "--study", "main", "--out", "reports/studies/main"]
PAGE = ["stage page", "--out", "page.html", "--config", "config.yaml"]


def local(**values: object) -> list[str]:
    """Return a configuration with an encoder `mine` of a small model of open_clip."""
    changes = {"model": "ViT-B-32", "checkpoint": "model.pt", **values}
    encoder = {**EncoderConfig().model_dump(), **changes}
    return config(backbones=["mine"], encoders={"mine": encoder})


CONFIG_CASES: dict[str, tuple[Prepare, list[str], str]] = {
    "unknown key": (yaml_file("shotz: [1]"), CHECK, "unknown key 'shotz'.*did you mean 'shots'"),
    "unknown key inside": (
        yaml_file("model: {lenght: 5}"),
        CHECK,
        r"unknown key 'model.lenght' in config.yaml; did you mean 'length'",
    ),
    "words for numbers": (yaml_file("shots: four"), CHECK, "shots = 'four' in config.yaml"),
    "a number for a name": (
        yaml_file("datasets: [2024]"),
        CHECK,
        "datasets.0 = 2024 in config.yaml: input should be a valid string; put it in quotes",
    ),
    "true for a name": (
        yaml_file("encoders: {on: {}}"),
        CHECK,
        "encoders.*= True in config.yaml: input should be a valid string; put it in quotes",
    ),
    "zero shots": (yaml_file("shots: [0]"), CHECK, "shots.0 = 0 .*greater than or equal to 1"),
    "no shots": (yaml_file("shots: []"), CHECK, "shots = .*at least 1"),
    "negative seed": (yaml_file("seeds: {split: [-1]}"), CHECK, "seeds.split.0 = -1"),
    "orders twice": (
        yaml_file("seeds: {order: ['0-9', 5]}"),
        CHECK,
        "seeds.order = .* seed 5 stands in two entries",
    ),
    "orders backwards": (yaml_file("seeds: {order: ['9-0']}"), CHECK, "ends before it begins"),
    "orders in words": (
        yaml_file("seeds: {order: [ten]}"),
        CHECK,
        "'ten' is not a seed or a range",
    ),
    "unknown study": (yaml_file("studies: {mian: {}}"), CHECK, "no study 'mian'.*'main'"),
    "unknown option of a study": (
        yaml_file("studies: {main: {colour: red}}"),
        CHECK,
        "unknown key 'colour' in config.yaml, studies.main",
    ),
    "backbone without encoder": (
        yaml_file("backbones: [glyhp]"),
        CHECK,
        "backbones: 'glyhp' .*did you mean 'glyph'",
    ),
    "no share of views": (yaml_file("model: {view_share: 0}"), CHECK, "model.view_share = 0"),
    "unknown setting": (yaml_file("settings: [one_shot]"), CHECK, "settings.0 = 'one_shot'"),
    "no candidates": (yaml_file("fusion: {grid: []}"), CHECK, "fusion.grid = "),
    "no threads": (yaml_file("numerics: {threads: 0}"), CHECK, "numerics.threads = 0"),
    "severity six": (yaml_file("corruptions: {severities: [6]}"), CHECK, "severities.0 = 6"),
    "a list for a configuration": (yaml_file("- 1"), CHECK, "holds list; a mapping"),
    "broken YAML": (yaml_file("shots: [1"), CHECK, "config.yaml is not YAML"),
    "YAML that would run code": (
        yaml_file("shots: !!python/object/apply:os.mkdir [made]"),
        CHECK,
        "config.yaml is not YAML: could not determine a constructor",
    ),
    "a template that would run code": (
        yaml_file("__use_yte__: true\n? open('made', 'w')\n: {shots: [1]}\n"),
        CHECK,
        "unknown key '__use_yte__'",
    ),
    "binary configuration": (
        lambda: write_bytes("config.yaml", b"\xff\xfe\x00"),
        CHECK,
        "config.yaml is not YAML",
    ),
    "no configuration file": (nothing, CHECK, "cannot read configuration config.yaml"),
    "a configuration not JSON": (
        nothing,
        [*DOWNLOAD, "--out", "x", "--config", "{"],
        "--config is not JSON",
    ),
}
DATA_CASES: dict[str, tuple[Prepare, list[str], str]] = {
    "unknown data set": (
        nothing,
        [*DOWNLOAD[:2], "--dataset", "digist", "--file", "digits.zip", "--out", "x"],
        "digist.*did you mean 'digits'",
    ),
    "unknown file": (
        nothing,
        ["stage download", "file", "--dataset", "digits", "--file", "digit.zip", "--out", "x"],
        "digits has no file 'digit.zip'; did you mean 'digits.zip'",
    ),
    "no registry file": (
        nothing,
        [*DOWNLOAD, "--out", "x", *MINE],
        "cannot read the registry file registry.yaml",
    ),
    "registry of another form": (
        lambda: write_text("registry.yaml", "mine: {}\n"),
        [*DOWNLOAD, "--out", "x", *MINE],
        "registry.yaml needs one key, datasets",
    ),
    "registry with an unknown fact": (
        registry(colour="red"),
        [*DOWNLOAD, "--out", "x", *MINE],
        "data set 'mine' in registry.yaml: colour",
    ),
    "a source that is a local file": (
        registry(files={"a.npz": {"role": "archive", "urls": ["file:///etc/passwd"]}}),
        [*DOWNLOAD, "--out", "x", *MINE],
        "source 'file:///etc/passwd' of a.npz is not an http",
    ),
    "a file name that leaves its folder": (
        registry(files={"../../a.npz": {"role": "archive"}}),
        [*DOWNLOAD, "--out", "x", *MINE],
        "data set 'mine' in registry.yaml: files.../../a.npz.name",
    ),
    "an archive that you must bring": (
        nothing,
        [
            *("stage download", "file", "--dataset", "imagenet", "--out", "x"),
            *("--file", "ILSVRC2012_img_val.tar"),
        ],
        "data/manual/imagenet",
    ),
    "no network": (
        registry(files={"a.npz": {"role": "archive", "urls": ["http://127.0.0.1:9/a.npz"]}}),
        [
            *("stage download", "file", "--dataset", "mine", "--file", "a.npz", "--out", "x"),
            *config(download={"registry": "registry.yaml", "retries": 0, "timeout": 1}),
        ],
        "a.npz",
    ),
    "a folder that is a file": (
        nothing,
        [*DOWNLOAD, "--out", "config.txt/digits.zip"],
        "cannot write config.txt/digits.zip",
    ),
    "manifest of a missing file": (
        delete(ARCHIVE),
        LISTED,
        "digits.zip is missing",
    ),
    "manifest of a damaged file": (
        garble(ARCHIVE),
        LISTED,
        "digits.zip .*delete it and run again",
    ),
    "damaged archive": (garble(ARCHIVE), EXTRACT, "digits.zip"),
    "no archive": (delete(ARCHIVE), EXTRACT, "digits.zip"),
    "no split": (delete(SPLIT), DRAW, "cannot read data/splits/digits/split.json"),
    "split not JSON": (lambda: write_text(SPLIT, "{"), DRAW, "split.json is not JSON"),
    "a data set called by a number": (
        lambda: write_text("registry.yaml", "datasets: {2024: {title: T}}"),
        [*DOWNLOAD, "--out", "x", *MINE],
        "data set 2024 in registry.yaml has a name that YAML reads as a number; put it in quotes",
    ),
    "split of another form": (lambda: write_json(SPLIT, {"train": 1}), DRAW, "split.json"),
    "more shots than images": (nothing, [*DRAW, *config(shots=[5000])], "5000"),
}
FEATURE_CASES: dict[str, tuple[Prepare, list[str], str]] = {
    "no weights": (delete(WEIGHTS), EXTRACT, f"cannot read {WEIGHTS}"),
    "half the weights": (garble(WEIGHTS), EXTRACT, f"{WEIGHTS} is not a whole safetensors file"),
    "weights of another model": (nothing, EXTRACT, f"the weights in {WEIGHTS} (lack|have)"),
    "unknown device": (
        nothing,
        [*EXTRACT, *config(numerics={"device": "gpu"})],
        "unknown device 'gpu'",
    ),
    "NaN among features": (
        features(features=np.full((4, 3), np.nan)),
        IMPORT,
        "test.npz: the feature at .* extract it again",
    ),
    "a feature of zeros": (features(features=np.zeros((4, 3))), IMPORT, "test.npz: the feature"),
    "features of integers": (
        features(features=np.ones((4, 3), int)),
        IMPORT,
        "not floating point",
    ),
    "features of another dimension": (
        features(features=np.ones((4, 5))),
        IMPORT,
        "feature dimensions differ",
    ),
    "too few labels": (features(labels=np.array([0])), IMPORT, r"must be integers \[4\]"),
    "a label out of range": (features(labels=np.array([0, 1, 0, 7])), IMPORT, "label 7 of row 3"),
    "features in a pickle": (
        features(features=np.array([Hostile()], dtype=object)),
        IMPORT,
        "test.npz is not an npz of plain arrays",
    ),
    "no text features": (delete(TEXT), STATIC, f"cannot read {TEXT}"),
    "damaged text features": (garble(TEXT), STATIC, "not a whole safetensors file"),
    "shots that were not drawn": (
        nothing,
        [*STATIC[:-4], "--shots", "16", "--out", "out.safetensors"],
        "holds shots 1, not 16; add it to `shots`",
    ),
    "no memory": (delete(MEMORY), TRAINING, f"cannot read {MEMORY}"),
    "training without a rate": (
        nothing,
        ["stage projection", "--dataset", "imagenet_a", *TRAINING[3:]],
        "never .zero-shot only.",
    ),
    "evaluation without text features": (delete(TEXT), EVALUATE, f"cannot read {TEXT}"),
    "memories of other shots": (
        nothing,
        [*EVALUATE, "--memory", MEMORY],
        "--memory has 1 files; the configuration has 3 of them",
    ),
    "training images of no split": (
        nothing,
        [*EVALUATE[:5], "--splits", "0-1", *EVALUATE[7:], "--train", TRAIN],
        "--train has 1 files for 2 split seeds",
    ),
    "options not JSON": (nothing, [*EVALUATE, "--options", "{"], "--options is not JSON"),
    "evaluation of an unknown study": (
        nothing,
        ["stage evaluation", "--study", "mian", *EVALUATE[3:]],
        "no study 'mian'",
    ),
    "orders that are no range": (
        nothing,
        [*EVALUATE[:3], "--orders", "first", *EVALUATE[5:]],
        "--orders: 'first' is not a seed or a range",
    ),
    "no rows": (
        delete(ROWS),
        [*REPORT, "--rows", ROWS],
        f"cannot read {ROWS}",
    ),
    "empty rows": (
        lambda: write_text(ROWS, ""),
        [*REPORT, "--rows", ROWS],
        "orders=0.csv is not a table",
    ),
    "no summary": (
        yaml_file("shots: [1]"),
        [*PAGE, "--summaries", "reports/studies/main/summary.json"],
        "cannot read reports/studies/main/summary.json",
    ),
}
CHECKPOINT_CASES: dict[str, tuple[Prepare, list[str], str]] = {
    "no checkpoint": (nothing, [*FETCH, *local()], "no checkpoint file model.pt"),
    "a hostile checkpoint": (
        checkpoint({"state_dict": Hostile()}),
        [*FETCH, *local()],
        "model.pt holds more than tensors, so it is not loaded",
    ),
    "a hostile plain pickle": (
        lambda: write_bytes("model.pt", pickle.dumps(Hostile())),
        [*FETCH, *local()],
        "model.pt",
    ),
    "a damaged checkpoint": (
        lambda: write_bytes("model.pt", b"PK\x03\x04" + bytes(100)),
        [*FETCH, *local()],
        "model.pt is damaged or no checkpoint",
    ),
    "a checkpoint of another model": (
        checkpoint({"weight": torch.zeros(2)}),
        [*FETCH, *local()],
        "are they of this model",
    ),
    "unknown model": (
        checkpoint({}),
        [*FETCH, *local(model="ViT-B-33")],
        "model: open_clip has no model 'ViT-B-33'; did you mean 'ViT-B-32'",
    ),
    "unknown weights": (
        nothing,
        [*FETCH, *local(checkpoint=None, pretrained="opennai")],
        "no pretrained tag 'opennai'; did you mean 'openai'",
    ),
}
AUDIT_CASES: dict[str, tuple[Prepare, list[str], str]] = {
    "lineage without records": (
        nothing,
        ["audit", "lineage", "reports/all"],
        ".snakemake/metadata is empty; run snakemake",
    ),
    "crate without records": (nothing, ["audit", "crate", "out"], "reports/all has no record"),
    "a first experiment with orders in words": (
        nothing,
        ["try", "dynamic", "--orders", "abc"],
        "--orders: 'abc' is not a seed or a range",
    ),
    "a run of a key that is none": (nothing, ["run", "vews.test=3"], "unknown key 'vews'"),
    "a comparison with nothing": (
        nothing,
        ["compare", "data", "."],
        "data has no reports/all, which lists a whole run",
    ),
    "crate over something": (nothing, ["audit", "crate", "data"], "data exists; choose a new"),
}
CASES = {**CONFIG_CASES, **DATA_CASES, **FEATURE_CASES, **CHECKPOINT_CASES, **AUDIT_CASES}

USAGE_CASES = {
    "nothing at all": (["stage memory"], "the following arguments are required: --text"),
    "unknown action": (["stage splits", "draw", "--out", "x"], "invalid choice: 'draw'"),
    "unknown option": ([*STATIC, "--shoots", "1"], "unrecognized arguments: --shoots"),
    "a seed in words": ([*DRAW[:4], "--seed", "one", "--out", "x"], "invalid int value: 'one'"),
    "cores in words": (["audit", "--cores", "two"], "invalid int value: 'two'"),
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("digits") / "digits.zip"
    digits.export(path)
    return path.read_bytes()


@pytest.fixture
def world(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, the current one, with small good files of every phase."""
    monkeypatch.chdir(tmp_path)
    unit = np.eye(10, 16, dtype=np.float16)
    write_bytes(ARCHIVE, archive)
    write_json(SPLIT, read_split(find_dataset("digits", load_registry()), [], Path()).to_json())
    write_tensors(TEXT, {"text": unit}, {"logit_scale": 100.0})
    views = {"views": unit[:, None].repeat(2, 1), "labels": np.arange(10)}
    ids = [str(i) for i in range(10)]
    rows = {"1": np.arange(10)[:, None].tolist()}
    write_tensors(TRAIN, views, {"ids": ids, "rows": rows})
    write_tensors(TEST, views, {"ids": ids})
    write_tensors(MEMORY, {"memory": unit[:, None].repeat(2, 1)})
    write_tensors(WEIGHTS, {"weight": np.zeros((4, 4), np.float32)})
    write_rows(ROWS, pd.DataFrame({"value": [1.0]}))
    write_text("config.txt", "not a folder\n")
    return tmp_path


def snapshot(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): sha256(path)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_clear_line(
    name: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, command, words = CASES[name]
    prepare()
    before = snapshot(world)
    with pytest.raises(SystemExit) as ended:
        main([*command[0].split(), *command[1:]])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    line = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(line) == 1, said
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(line[0])
    assert snapshot(world) == before
    assert not Path(HOSTILE).exists()


@pytest.mark.parametrize("name", USAGE_CASES)
def test_a_bad_command_line_shows_the_usage(
    name: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, words = USAGE_CASES[name]
    before = snapshot(world)
    with pytest.raises(SystemExit) as ended:
        main([*command[0].split(), *command[1:]])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "usage: dmn " in said
    assert words in said
    assert snapshot(world) == before
