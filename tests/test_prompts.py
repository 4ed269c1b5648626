import pytest
import torch

from dmn.encoders.prompts import prompts_for, prompts_hash, text_features
from dmn.errors import ConfigError, DataError

NAMES = ["sea_lion", "cat"]
TEMPLATES = ["a photo of a {}.", "art of the {}."]
CUPL = {"sea lion": ["A sea lion swims."], "cat": ["A cat purrs.", "A cat sleeps."]}


class StubEncoder:
    """Answers each prompt with a unit vector of its own."""

    def encode_text(self, prompts):
        rows = [torch.Generator().manual_seed(sum(text.encode())) for text in prompts]
        features = torch.stack([torch.randn(8, generator=g, dtype=torch.float64) for g in rows])
        return features / features.norm(dim=-1, keepdim=True)


def test_underscores_become_spaces():
    assert prompts_for(NAMES, [], None, "single")[0] == ["a photo of a sea lion."]


def test_each_kind_takes_its_sources():
    assert prompts_for(NAMES, TEMPLATES, None, "templates")[1] == [
        "a photo of a cat.",
        "art of the cat.",
    ]
    assert prompts_for(NAMES, TEMPLATES, CUPL, "cupl")[0] == ["A sea lion swims."]
    both = prompts_for(NAMES, TEMPLATES, CUPL, "both")
    assert both[1] == ["a photo of a cat.", "art of the cat.", "A cat purrs.", "A cat sleeps."]


def test_sentences_may_be_keyed_by_the_name_with_underscores():
    keyed = {"sea_lion": ["It swims."], "cat": ["It purrs."]}
    assert prompts_for(NAMES, [], keyed, "cupl")[0] == ["It swims."]


@pytest.mark.parametrize(
    ("kind", "templates", "cupl", "error", "words"),
    [
        ("template", TEMPLATES, CUPL, ConfigError, "unknown kind of prompts 'template'; did you"),
        ("templates", [], CUPL, ConfigError, "need templates, but the data set has none"),
        ("templates", ["a photo."], CUPL, ConfigError, "template 'a photo.' must hold {} once"),
        ("cupl", TEMPLATES, None, ConfigError, "need a file of CuPL sentences"),
        ("both", TEMPLATES, {"cat": ["x"]}, DataError, "no CuPL sentences for class 'sea lion'"),
    ],
)
def test_unusable_prompts_are_errors(kind, templates, cupl, error, words):
    with pytest.raises(error, match=words):
        prompts_for(NAMES, templates, cupl, kind)


def test_the_hash_depends_on_every_prompt_and_its_class():
    one = prompts_hash([["a", "b"], ["c"]])
    assert one == prompts_hash([("a", "b"), ("c",)])
    assert one != prompts_hash([["a"], ["b", "c"]])
    assert len(one) == 64


def test_text_features_are_the_mean_direction_of_each_class():
    prompts = prompts_for(NAMES, TEMPLATES, CUPL, "both")
    features = text_features(StubEncoder(), prompts)
    for row, texts in zip(features, prompts, strict=True):
        mean = torch.stack([StubEncoder().encode_text([text])[0] for text in texts]).mean(0)
        torch.testing.assert_close(row, mean / mean.norm())


def test_a_class_without_prompts_is_an_error():
    with pytest.raises(DataError, match="class 1 has no prompts"):
        text_features(StubEncoder(), [["a"], []])
