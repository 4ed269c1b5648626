import logging
import unicodedata

import numpy as np
import pytest
import torch
from open_clip import SimpleTokenizer

from dmn.encoders.clip import Encoder
from dmn.encoders.prompts import (
    check_told_apart,
    prompts_for,
    prompts_hash,
    read_sentences,
    tell_equal_features,
    text_features,
)
from dmn.encoders.views import Transform
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


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"ant": "It is small.", "bee": ["It hums."]},
            {"ant": ["It is small."], "bee": ["It hums."]},
        ),
        ({"ant": ["One.", "Two."]}, {"ant": ["One.", "Two."]}),
        ({"ant": []}, {"ant": []}),
    ],
)
def test_one_string_a_class_is_one_sentence(content, expected):
    assert read_sentences(content, "x.json") == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([["ant", "It is small."]], "but it is a list"),
        (None, "but it is null"),
        ("It is small.", "but it is the text 'It is small.'"),
        ({"ant": None}, "but class 'ant' has null"),
        ({"ant": 3}, "but class 'ant' has 3"),
        ({"ant": {"1": "It is small."}}, "but class 'ant' has a mapping"),
        ({"ant": ["It is small.", None]}, "but a sentence of class 'ant' is null"),
        ({"ant": [["It is small."]]}, "but a sentence of class 'ant' is a list"),
        ({"ant": ["It is small.", " "]}, "but a sentence of class 'ant' is the text ' '"),
        ({"ant": ""}, "but a sentence of class 'ant' is the text ''"),
    ],
)
def test_a_file_of_sentences_of_another_form_names_file_and_class(content, words):
    with pytest.raises(DataError, match=f"^x.json must hold .*{words}$"):
        read_sentences(content, "x.json")


def test_sentences_are_found_whichever_way_accents_are_written():
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    for name, key in ((composed, apart), (apart, composed)):
        assert prompts_for([name], [], {key: ["It smells."]}, "cupl") == [["It smells."]]


def reader(context: int = 16) -> Encoder:
    """Return an encoder whose tokens matter and whose model does not."""
    tokenizer = SimpleTokenizer(context_length=context)
    device = torch.device("cpu")
    return Encoder(torch.nn.Identity(), tokenizer, Transform(), device, "float32")


def test_tokens_beyond_the_context_are_counted():
    words = ["one " * n for n in (1, 14, 15, 40, 400)]
    tokens, cut = reader().tokens(words)
    assert tokens.shape == (5, 16)
    # each has a mark at its beginning and at its end
    assert cut.tolist() == [0, 0, 1, 26, 7 * 16 - 1]


LONG = "a beetle of the woods of a country far away that feeds on the leaves of the "


def test_classes_whose_difference_is_cut_off_are_an_error():
    names = ["cat", f"{LONG}oak", f"{LONG}elm"]
    prompts = prompts_for(names, [], None, "single")
    words = "classes 1 .*oak'. and 2 .*elm'. have one prompt to the encoder, which reads 16 tokens"
    with pytest.raises(DataError, match=words):
        check_told_apart(reader(), names, prompts)
    check_told_apart(reader(77), names, prompts)


def test_prompts_that_are_cut_are_told_with_their_class(caplog):
    names = ["cat", f"{LONG}oak"]
    check_told_apart(reader(), names, prompts_for(names, TEMPLATES, None, "templates"))
    assert "2 of 4 prompts are longer than the 16 tokens that the encoder reads" in caplog.text
    assert repr(names[1]) in caplog.text


@pytest.mark.parametrize("names", [["missile", "cat", "missile"], ["Missile", "cat", "missile"]])
def test_classes_of_equal_prompts_are_told_and_no_error(names, caplog):
    check_told_apart(reader(), names, prompts_for(names, TEMPLATES, None, "templates"))
    assert f"classes 0 ({names[0]!r}), 2 ('missile') have the same prompts" in caplog.text


def test_classes_of_other_prompts_and_equal_features_are_told(caplog):
    prompts = [["a striped insect."], ["a furry pet."], ["a bird."]]
    features = np.array([[1, 0], [1, 0], [0, 1]], np.float16)
    tell_equal_features(["bee", "cat", "owl"], prompts, features)
    assert "classes 0 ('bee'), 1 ('cat') have other prompts, but the encoder gives" in caplog.text
    caplog.clear()
    tell_equal_features(["bee", "bee", "owl"], [prompts[0], prompts[0], prompts[2]], features)
    assert caplog.text == ""


def test_nothing_is_said_of_prompts_that_are_read_whole_and_apart(caplog):
    with caplog.at_level(logging.DEBUG):
        check_told_apart(reader(), NAMES, prompts_for(NAMES, TEMPLATES, CUPL, "both"))
    assert caplog.text == ""
