import csv
from pathlib import Path

import pytest

from atlas import COPIES
from dmn.datasets.formats.choice import backbone_files
from dmn.datasets.registry import find_dataset, load_registry
from dmn.errors import ConfigError

PAPER = [
    *("imagenet", "flowers102", "dtd", "oxford_pets", "stanford_cars", "ucf101", "caltech101"),
    *("food101", "sun397", "fgvc_aircraft", "eurosat"),
    *("imagenet_a", "imagenet_v2", "imagenet_r", "imagenet_sketch"),
]

# docs/shifts.md; their small copies are in tests/atlas.py
ATLAS = sorted(COPIES)


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def test_registry_holds_the_papers_data_sets_the_atlas_and_what_is_embedded(registry):
    assert sorted(registry) == sorted([*PAPER, *ATLAS, "digits", "whu_rs19"])


def test_the_satellite_features_are_pinned_and_checked_file_by_file(registry):
    entry = registry["whu_rs19"]
    assert entry.licence.startswith("MIT")
    assert "arXiv:2409.00698" in entry.citation
    assert len(backbone_files(entry)) == 11
    for file in entry.files.values():
        assert file.sha256
        assert file.bytes
        assert len(file.urls) == 2
        assert all("a766b4d94314b96f73d51505ddff0697af3f5d00" in url for url in file.urls)


def test_files_without_addresses_are_looked_for_at_the_homes(tmp_path: Path):
    path = tmp_path / "registry.yaml"
    path.write_text(
        "datasets: {mine: {title: Mine, kind: features, classes: 3, homes: ['https://a.b/c/'],"
        " files: {RN50/test.npz: , text.npz: {urls: ['https://d.e/text.npz']}}}}"
    )
    files = load_registry(path)["mine"].files
    assert files["RN50/test.npz"].urls == ("https://a.b/c/RN50/test.npz",)
    assert files["text.npz"].urls == ("https://d.e/text.npz",)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("class_names: [a, b]", "2 class_names for 3 classes"),
        ("groups: [hospital]", "features.groups need a file with role: groups"),
        ("parts: {val: 3}", "features.parts.train: Field required"),
        ("backbones: {RN50: {logit_scale: -1}}", "features.backbones.RN50.logit_scale: .*greater"),
    ],
)
def test_unusable_facts_of_features_are_named(tmp_path: Path, features: str, words: str):
    path = tmp_path / "registry.yaml"
    facts = f"title: Mine, kind: features, classes: 3, features: {{{features}}}"
    path.write_text(f"datasets: {{mine: {{{facts}}}}}")
    with pytest.raises(ConfigError, match=words):
        load_registry(path)


@pytest.mark.parametrize("name", PAPER)
def test_each_entry_says_sources_licence_and_citation(registry, name):
    entry = registry[name]
    assert entry.by_role("archive")
    assert len(entry.by_role("prompts")) == 1
    assert entry.licence
    assert entry.citation
    assert entry.homepage.startswith("https://")
    for file in entry.files.values():
        assert file.urls or file.manual
        assert file.expected_bytes > 0


@pytest.mark.parametrize("name", PAPER)
def test_pinned_files_are_checked_and_have_a_second_source(registry, name):
    for role in ("split", "prompts", "classes"):
        for file in registry[name].by_role(role):
            assert file.sha256 or file.git_blob
            assert len(file.urls) == 2


def test_imagenet_archives_are_brought_by_the_user(registry):
    archives = registry["imagenet"].by_role("archive")
    assert [file.name for file in archives] == [
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
        "ILSVRC2012_devkit_t12.tar.gz",
    ]
    assert all(not file.urls and "image-net.org" in str(file.manual) for file in archives)


def test_training_follows_the_paper_by_shots(registry):
    eurosat = registry["eurosat"]
    assert eurosat.training_setting(16).learning_rate == 1e-3
    assert eurosat.training_setting(4).learning_rate == 1e-4
    assert registry["food101"].training_setting(4).epochs == 20
    with pytest.raises(ConfigError, match="zero-shot only"):
        registry["imagenet_a"].training_setting(1)


def test_unknown_data_set_names_the_nearest(registry):
    with pytest.raises(ConfigError, match="did you mean 'eurosat'"):
        find_dataset("euro_sat", registry)


def test_extra_file_overrides_single_values_and_adds_data_sets(tmp_path: Path):
    extra = tmp_path / "extra.yaml"
    extra.write_text(
        "datasets:\n"
        "  eurosat: {classes: 3, files: {EuroSAT.zip: {bytes: 7}}}\n"
        "  mine: {title: Mine, kind: features, classes: 2}\n"
    )
    registry = load_registry(extra)
    assert registry["eurosat"].classes == 3
    assert registry["eurosat"].files["EuroSAT.zip"].bytes == 7
    assert registry["eurosat"].files["EuroSAT.zip"].urls
    assert registry["mine"].kind == "features"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: {eurosat: {clases: 3}}", "eurosat.*clases"),
        ("datasets: {eurosat: {classes: one}}", "eurosat.*classes"),
        ("datasets: {eurosat: {files: {../x: {role: archive}}}}", "eurosat.*name"),
        ("datasets: {eurosat: {files: [1]}}", "files is a mapping"),
        ("datasets: {eurosat: {templates: [a photo]}}", "needs one {}"),
        ("datasets: {eurosat: 3}", "needs keys and values"),
        ("eurosat: {}", "needs one key, datasets"),
        ("[", "is not YAML"),
        ("datasets: !!python/object/apply:os.getcwd []", "is not YAML"),
        ("datasets: {x: {title: X, kind: images, classes: 2}}", "needs a layout"),
        (
            "datasets: {x: {title: X, kind: images, classes: 2, layout: {kind: imagenet}}}",
            "layout imagenet needs a file with role: classes",
        ),
        ("datasets: {2024: {title: X}}", "2024 .*reads as a number; put it in quotes"),
        ("datasets: {1.5: {title: X}}", "1.5 .*reads as a number; put it in quotes"),
        ("datasets: {on: {title: X}}", "True .*reads as true or false; put it in quotes"),
        ("datasets: {null: {title: X}}", "None .*reads as nothing; put it in quotes"),
        ("datasets: {2024-01-01: {title: X}}", "2024-01-01 .*reads as a date; put it in quotes"),
        ("datasets: {eurosat: {files: {1: {role: archive}}}}", "file 1 .*put it in quotes"),
    ],
)
def test_unusable_registry_file_is_refused(tmp_path: Path, text: str, message: str):
    extra = tmp_path / "extra.yaml"
    extra.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_registry(extra)


def test_a_data_set_may_be_called_by_a_number_in_quotes(tmp_path: Path):
    extra = tmp_path / "extra.yaml"
    extra.write_text("\ufeffdatasets: {'2024': {title: X, kind: features, classes: 2}}")
    assert load_registry(extra)["2024"].name == "2024"


def test_missing_registry_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"cannot read the registry file .*none\.yaml"):
        load_registry(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["published", "ablations"])
def test_published_numbers_name_their_source_and_known_data_sets(registry, name):
    path = Path(__file__).parents[1] / "src" / "dmn" / "report" / "data" / f"{name}.csv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        assert row["source"]
        assert row["dataset"] in registry or row["dataset"].startswith("mean")
        assert 0 < float(row["top1"]) <= 100
