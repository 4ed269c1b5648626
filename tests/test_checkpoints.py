"""Checkpoints as people save them: wrapped, prefixed, half precision, TorchScript, and hostile."""

from __future__ import annotations

import io
import json
import logging
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from dmn.encoders.checkpoints import read_checkpoint
from dmn.encoders.clip import fetch_weights
from dmn.encoders.config import EncoderConfig
from dmn.encoders.torchscript import read_torchscript, uses_quick_gelu
from dmn.errors import ArtifactError, ConfigError

pytestmark = pytest.mark.filterwarnings("ignore")  # tracing is deprecated, its archives are not
PLAIN, QUICK = "tiny", "tiny-quickgelu"
ACTIVATION = "another activation than {} has; set the model to {}$"


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small models under names of their own, which differ in their GELU alone."""
    for name, quick in ((PLAIN, False), (QUICK, True)):
        config = {
            "embed_dim": 16,
            "quick_gelu": quick,
            "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8}
            | {"patch_size": 8},
            "text_cfg": {"context_length": 16, "width": 16, "heads": 2, "layers": 1},
        }
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)


class Scripted(torch.nn.Module):
    """A CLIP as OpenAI traced it: all weights under their own names, and three numbers."""

    def __init__(self, model: torch.nn.Module, *, openai: bool = True) -> None:
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        for name, value in model.named_parameters(recurse=False):
            self.register_parameter(name, value)
        self.register_buffer("attn_mask", model.attn_mask)
        if openai:
            for name, value in (("input_resolution", 32), ("context_length", 16)):
                self.register_buffer(name, torch.tensor(value))
            self.register_buffer("vocab_size", torch.tensor(49408))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.visual(images)


def scripted(model: torch.nn.Module, path: Path, **options: Any) -> None:
    """Save a model as a TorchScript archive."""
    whole = Scripted(model.eval(), **options)
    torch.jit.save(torch.jit.trace(whole, torch.zeros(1, 3, 32, 32), check_trace=False), str(path))


def model_of(name: str = PLAIN) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(3)
        return open_clip.create_model(name, pretrained_text=False)


def state_of(name: str = PLAIN) -> dict[str, torch.Tensor]:
    return dict(model_of(name).state_dict())


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in state_of().items()}


OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(2), "step": torch.zeros(1)}}, "param_groups": []}
WRAPPED: dict[str, Callable[[], Any]] = {
    "alone": state_of,
    "model": lambda: {"model": state_of()},
    "model_state_dict": lambda: {"model_state_dict": state_of(), "epoch": 3},
    "state_dict beside others": lambda: {"state_dict": state_of(), "ema": state_of()},
    "optimizer beside it": lambda: {"net": state_of(), "optimizer": OPTIMIZER, "lr": 0.1},
    "two deep": lambda: {"checkpoint": {"clip": state_of()}, "epoch": 1},
    "DataParallel": lambda: {"state_dict": prefixed("module.")},
    "compiled": lambda: prefixed("_orig_mod."),
    "Lightning": lambda: {"state_dict": prefixed("model."), "hyper_parameters": {"lr": 0.1}},
    "both": lambda: {"model": prefixed("module._orig_mod.")},
    "half": lambda: {"model": {name: value.half() for name, value in state_of().items()}},
    "bfloat16": lambda: {name: value.bfloat16() for name, value in state_of().items()},
}


@pytest.mark.parametrize("how", WRAPPED)
def test_weights_are_found_in_any_wrapper(how: str, tmp_path: Path) -> None:
    torch.save(WRAPPED[how](), tmp_path / "x.pt")
    found = fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(tmp_path / "x.pt")))
    near = 1e-2 if how in ("half", "bfloat16") else 0
    for name, value in state_of().items():
        np.testing.assert_allclose(found[name], value.numpy(), atol=near)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"model": state_of, "ema": state_of}, "holds several sets of weights: model, ema; save"),
        ({"epoch": 3, "lr": 0.1}, "holds no weights of this model; it has the keys 'epoch', 'lr'"),
        ({"a": {"x": torch.ones(1)}}, "lack 'ln_final.bias'.*this model. They begin with x"),
        ({}, "holds no weights of this model"),
        ([torch.ones(1)], "holds list, not weights by name"),
        (torch.ones(1), "holds Tensor, not weights by name"),
    ],
)
def test_what_holds_no_weights_is_told_by_its_keys(
    content: Any, words: str, tmp_path: Path
) -> None:
    if isinstance(content, dict):
        content = {key: value() if callable(value) else value for key, value in content.items()}
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ArtifactError, match=words):
        fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(tmp_path / "x.pt")))


def test_a_weight_outside_the_wrapper_is_not_left_out_in_silence(tmp_path: Path) -> None:
    torch.save({**prefixed("model."), "loss.weight": torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(ArtifactError, match="have an unknown 'loss.weight'"):
        fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(tmp_path / "x.pt")))


@pytest.mark.parametrize("name", [PLAIN, QUICK])
def test_a_torchscript_archive_is_read_without_running_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    scripted(model_of(name), path, openai=name == QUICK)
    found = fetch_weights(EncoderConfig(model=name, checkpoint=str(path)))
    assert found.keys() == state_of(name).keys()
    for key, value in state_of(name).items():
        np.testing.assert_array_equal(found[key], value.numpy())
    theirs = torch.jit.load(str(path)).state_dict()
    ours = read_torchscript(path)
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())


def test_half_precision_and_views_of_one_storage_are_read_from_torchscript(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            whole = torch.arange(12, dtype=torch.float16).reshape(3, 4)
            self.register_buffer("part", whole[1:, ::2])
            self.register_buffer("turned", whole.T)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.part.sum() + self.turned.sum()

    torch.jit.save(torch.jit.trace(Two(), torch.zeros(1)), str(tmp_path / "x.pt"))
    found = read_torchscript(tmp_path / "x.pt")
    assert found["part"].tolist() == [[4.0, 6.0], [8.0, 10.0]]
    assert found["turned"].shape == (4, 3)
    assert found["turned"].dtype == torch.float16


def test_a_hostile_torchscript_archive_is_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(tmp_path / "ran"), "w")

    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/constants.pkl", b"")
        archive.writestr("x/data.pkl", pickle.dumps(Hostile()))
    with pytest.raises(ArtifactError, match="holds more than tensors, so it is not loaded"):
        fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(tmp_path / "x.pt")))
    assert not (tmp_path / "ran").exists()


def test_a_damaged_torchscript_archive_is_named(tmp_path: Path) -> None:
    scripted(model_of(), tmp_path / "x.pt")
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(tmp_path / "x.pt") as whole,
        zipfile.ZipFile(buffer, "w") as part,
    ):
        for name in whole.namelist():
            if not name.endswith("data/3"):
                part.writestr(name, whole.read(name))
    (tmp_path / "x.pt").write_bytes(buffer.getvalue())
    with pytest.raises(ArtifactError, match="x.pt is damaged or no checkpoint"):
        fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(tmp_path / "x.pt")))


def told_by(how: str, name: str, path: Path) -> None:
    """Save weights of a model so that its activation is told in one of four ways."""
    if how == "code":
        scripted(model_of(name), path, openai=False)
        return
    state = state_of(name)
    if how == "OpenAI's numbers":
        state |= {
            key: torch.tensor(1) for key in ("input_resolution", "context_length", "vocab_size")
        }
    if how == "configuration beside":
        config = {"model_cfg": {"quick_gelu": name == QUICK}, "preprocess_cfg": {}}
        text = "\ufeff" + json.dumps(config)
        path.with_name("open_clip_config.json").write_text(text, encoding="utf-8")
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)


@pytest.mark.parametrize("how", ["code", "OpenAI's numbers", "configuration beside"])
def test_openai_weights_are_refused_for_a_model_of_another_activation(
    how: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.pt"
    told_by(how, QUICK, path)
    with pytest.raises(ConfigError, match=ACTIVATION.format(PLAIN, QUICK)):
        fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(path)))
    assert fetch_weights(EncoderConfig(model=QUICK, checkpoint=str(path)))


@pytest.mark.parametrize("how", ["code", "configuration beside"])
def test_weights_of_the_exact_gelu_are_refused_for_the_fast_one(how: str, tmp_path: Path) -> None:
    told_by(how, PLAIN, tmp_path / "x.pt")
    with pytest.raises(ConfigError, match=ACTIVATION.format(QUICK, PLAIN)):
        fetch_weights(EncoderConfig(model=QUICK, checkpoint=str(tmp_path / "x.pt")))


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_a_file_that_does_not_tell_its_activation_is_said_to(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told_by("nothing", PLAIN, tmp_path / name)
    with caplog.at_level(logging.WARNING):
        fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(tmp_path / name)))
    assert "does not say which GELU it was trained with; tiny computes the exact one" in caplog.text
    assert QUICK in caplog.text


def test_the_activation_of_code_without_any_is_unknown(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1)), str(tmp_path / "x.pt"))
    assert uses_quick_gelu(tmp_path / "x.pt") is None
    with pytest.raises(ArtifactError, match="They begin with bias, weight"):
        fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(tmp_path / "x.pt")))


def test_a_broken_configuration_beside_a_checkpoint_is_named(tmp_path: Path) -> None:
    told_by("nothing", PLAIN, tmp_path / "x.pt")
    (tmp_path / "open_clip_config.json").write_text("{")
    with pytest.raises(ArtifactError, match="open_clip_config.json is not JSON"):
        fetch_weights(EncoderConfig(model=PLAIN, checkpoint=str(tmp_path / "x.pt")))


def test_names_of_the_model_itself_decide_what_is_a_prefix(tmp_path: Path) -> None:
    torch.save(state_of(), tmp_path / "x.pt")
    assert read_checkpoint(model_of(), str(tmp_path / "x.pt")).keys() == state_of().keys()
