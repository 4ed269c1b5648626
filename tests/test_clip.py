import pickle

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from dmn.artifacts import read_tensors, write_tensors
from dmn.encoders.clip import build_small, fetch_weights, load_encoder
from dmn.encoders.config import EncoderConfig, SmallClip
from dmn.encoders.pretrain import initialise
from dmn.errors import ArtifactError, ConfigError, DataError
from dmn.randomness import generator

ARCHITECTURE = SmallClip(embed_dim=16, image_width=4, text_width=16, text_layers=1)
EMBEDDED = EncoderConfig(precision="float64")


def facts(architecture):
    """Return what the stage writes beside the weights."""
    return {"pretraining": {"architecture": architecture.model_dump()}}


# the smallest model that open_clip ships
NAME = "RN50-test"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    model = build_small(ARCHITECTURE)
    initialise(model, generator(0, "test"), 100.0)
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    write_tensors(path, arrays, facts(ARCHITECTURE))
    return path


@pytest.fixture(scope="module")
def encoder(weights):
    return load_encoder(EMBEDDED, weights)


@pytest.fixture
def small_model(monkeypatch):
    """A small model under a name of its own among those of open_clip."""
    config = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 16,
            "head_width": 8,
            "patch_size": 8,
        },
        "text_cfg": {"context_length": 16, "width": 16, "heads": 2, "layers": 1},
    }
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, NAME, config)
    return NAME


def images(count, size=32):
    draws = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, size, size, generator=draws, dtype=torch.float64)


def test_features_are_normalised_and_of_the_precision(encoder):
    for features in (encoder.encode_images(images(3)), encoder.encode_text(["a", "b b"])):
        assert features.dtype == torch.float64
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(len(features)).double())
    assert encoder.logit_scale == pytest.approx(100.0)


def test_features_do_not_depend_on_the_batch(encoder):
    batch = images(6)
    whole = encoder.encode_images(batch)
    parts = torch.cat([encoder.encode_images(part) for part in batch.split(4)])
    torch.testing.assert_close(whole, parts, atol=1e-12, rtol=0)
    assert (whole.numpy().astype(np.float16) == parts.numpy().astype(np.float16)).all()


def test_many_prompts_are_encoded_as_few(encoder):
    prompts = [f"the number {i}" for i in range(300)]
    torch.testing.assert_close(
        encoder.encode_text(prompts)[257:260], encoder.encode_text(prompts[257:260])
    )


def test_a_batch_of_the_wrong_size_is_an_error(encoder):
    with pytest.raises(DataError, match=r"images must be \[B, 3, 32, 32\], not \[1, 3, 16, 16\]"):
        encoder.encode_images(images(1, 16))


def test_weights_of_another_architecture_are_refused(weights, tmp_path):
    other = tmp_path / "other.safetensors"
    write_tensors(other, read_tensors(weights), facts(SmallClip(embed_dim=32, image_width=4)))
    with pytest.raises(ArtifactError, match=r"is \[.*\] in .*other.safetensors, but the model has"):
        load_encoder(EMBEDDED, other)


def test_weights_that_do_not_say_their_architecture_are_refused(weights, tmp_path):
    write_tensors(tmp_path / "bare.safetensors", read_tensors(weights))
    with pytest.raises(ArtifactError, match="lack their architecture"):
        load_encoder(EMBEDDED, tmp_path / "bare.safetensors")


def test_the_transform_is_the_one_of_the_fetched_weights(small_model, tmp_path):
    settings = EncoderConfig(model=small_model)
    path = tmp_path / "weights.safetensors"
    for given, mean in (({}, 0.48145466), ({"mean": [0.5] * 3, "std": [0.5] * 3}, 0.5)):
        write_tensors(path, fetch_weights(settings), {"preprocessing": given})
        assert load_encoder(settings, path).transform.mean[0] == pytest.approx(mean)


def test_a_missing_file_of_weights_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot read .*none.safetensors"):
        load_encoder(EMBEDDED, tmp_path / "none.safetensors")


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(ConfigError, match="has no model 'ViT-B-61'; did you mean 'ViT-B-16'"):
        fetch_weights(EncoderConfig(model="ViT-B-61"))


def test_an_unknown_tag_names_the_nearest():
    settings = EncoderConfig(model="ViT-B-16-quickgelu", pretrained="opnai")
    with pytest.raises(ConfigError, match="no pretrained tag 'opnai'; did you mean 'openai'"):
        fetch_weights(settings)


def test_weights_trained_with_another_activation_are_refused():
    settings = EncoderConfig(model="RN50", pretrained="openai")
    with pytest.raises(ConfigError, match="another activation .* set the model to RN50-quickgelu"):
        fetch_weights(settings)


def test_a_failed_download_is_one_error(monkeypatch):
    def fail(*_):
        raise RuntimeError("no route")

    monkeypatch.setattr("open_clip.pretrained.download_pretrained", fail)
    settings = EncoderConfig(model="RN50-quickgelu", pretrained="openai")
    with pytest.raises(DataError, match="cannot download RN50-quickgelu openai: no route; check"):
        fetch_weights(settings)


@pytest.mark.parametrize("kind", ["state_dict", "training", "safetensors"])
def test_a_checkpoint_saved_by_open_clip_loads(small_model, tmp_path, kind):
    model = open_clip.create_model(small_model)
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "model.pt")
    if kind == "safetensors":
        save_file(model.state_dict(), path)
    else:
        state = model.state_dict()
        torch.save({"epoch": 3, "state_dict": state} if kind == "training" else state, path)
    settings = EncoderConfig(model=small_model, checkpoint=str(path))
    write_tensors(tmp_path / "weights.safetensors", fetch_weights(settings))
    encoder = load_encoder(settings, tmp_path / "weights.safetensors")
    expected = model.eval().encode_image(images(2).float(), normalize=True)
    torch.testing.assert_close(encoder.encode_images(images(2)), expected)


def test_a_hostile_pickle_is_not_run(small_model, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for path, save in ((tmp_path / "a.pt", torch.save), (tmp_path / "b.pt", None)):
        if save:
            save({"state_dict": Hostile()}, path)
        else:
            path.write_bytes(pickle.dumps({"state_dict": Hostile()}))
        with pytest.raises(ArtifactError, match="holds more than tensors, so it is not loaded"):
            fetch_weights(EncoderConfig(model=small_model, checkpoint=str(path)))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_named(small_model, tmp_path, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model.pt (is damaged|holds more)"):
        fetch_weights(EncoderConfig(model=small_model, checkpoint=str(path)))


def test_a_checkpoint_of_another_image_size_is_not_resized_in_silence(small_model, tmp_path):
    larger = open_clip.create_model(small_model, force_image_size=64)
    torch.save(larger.state_dict(), tmp_path / "model.pt")
    settings = EncoderConfig(model=small_model, checkpoint=str(tmp_path / "model.pt"))
    with pytest.raises(
        ArtifactError, match="positional_embedding.*are they of this model and imag"
    ):
        fetch_weights(settings)


def test_a_missing_checkpoint_is_named(small_model):
    with pytest.raises(ArtifactError, match="no checkpoint file nowhere.pt"):
        fetch_weights(EncoderConfig(model=small_model, checkpoint="nowhere.pt"))


def test_the_transform_comes_with_the_checkpoint(small_model, tmp_path):
    torch.save(open_clip.create_model(small_model).state_dict(), tmp_path / "model.pt")
    (tmp_path / "open_clip_config.json").write_text(
        '{"preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "size": 32}}'
    )
    settings = EncoderConfig(model=small_model, checkpoint=str(tmp_path / "model.pt"))
    write_tensors(tmp_path / "weights.safetensors", fetch_weights(settings))
    transform = load_encoder(settings, tmp_path / "weights.safetensors").transform
    assert transform.mean == (0.5, 0.5, 0.5)
    (tmp_path / "open_clip_config.json").write_text('{"preprocess_cfg": {"size": 64}}')
    with pytest.raises(ConfigError, match="made for images of 64 pixels, but the model"):
        fetch_weights(settings)


def test_untrained_weights_are_the_same_each_time(small_model):
    first, second = (fetch_weights(EncoderConfig(model=small_model)) for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)


def test_an_absent_device_is_an_error(weights, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device 'cuda' is not there"):
        load_encoder(EMBEDDED, weights, "cuda")
    with pytest.raises(ConfigError, match="unknown device 'gpu0'"):
        load_encoder(EMBEDDED, weights, "gpu0")
