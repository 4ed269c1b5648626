import numpy as np
import pytest
import torch
from PIL import Image

from dmn.artifacts import read_tensor_metadata, read_tensors
from dmn.encoders import extraction
from dmn.encoders.clip import Encoder, build_small
from dmn.encoders.config import SmallClip, ViewConfig
from dmn.encoders.extraction import Picture, ViewPlan, extract, fitted_batch
from dmn.encoders.pretrain import initialise
from dmn.encoders.views import Transform, make_views
from dmn.errors import DataError, FeatureError
from dmn.randomness import generator

PLAN = ViewPlan(3, 0, ViewConfig())


class Opener:
    """Draws one picture; can be sent to another process."""

    def __init__(self, index):
        self.index = index

    def __call__(self):
        levels = generator(0, "picture", self.index).integers(0, 255, (12, 10, 3))
        return Image.fromarray(levels.astype(np.uint8))


class Broken:
    def __call__(self):
        raise DataError("images/0004.png is not a whole image (cut off); get the archive again")


def pictures(count=7):
    return [Picture(f"images/{i}.png", i % 3, Opener(i)) for i in range(count)]


@pytest.fixture(scope="module")
def encoder():
    model = build_small(SmallClip(embed_dim=16, image_width=4, text_width=16, text_layers=1))
    initialise(model, generator(0, "test"), 100.0)
    return Encoder(model, None, Transform(size=32), torch.device("cpu"), "float64")


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(extraction, "SHARD_IMAGES", 3)


def test_features_are_those_of_every_view_alone(encoder, tmp_path):
    extract(pictures(), encoder, PLAN, tmp_path / "out.safetensors", facts={"weights": "abc"})
    found = read_tensors(tmp_path / "out.safetensors")
    assert found["views"].dtype == np.float16
    assert found["labels"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    facts = read_tensor_metadata(tmp_path / "out.safetensors")
    assert facts["ids"] == [picture.id for picture in pictures()]
    assert facts["weights"] == "abc"
    for index, picture in enumerate(pictures()):
        views = make_views(picture.opener(), picture.id, 3, 0, PLAN.config, encoder.transform)
        alone = np.stack([encoder.encode_images(torch.from_numpy(v[None]))[0] for v in views])
        np.testing.assert_array_equal(found["views"][index], alone.astype(np.float16))


@pytest.mark.parametrize(("workers", "batch"), [(0, 1), (0, 5), (2, 4)])
def test_the_bytes_do_not_depend_on_workers_or_batch(
    encoder, tmp_path, small_shards, workers, batch
):
    extract(pictures(), encoder, PLAN, tmp_path / "one.safetensors")
    extract(pictures(), encoder, PLAN, tmp_path / "two.safetensors", workers=workers, batch=batch)
    one, two = (tmp_path / f"{name}.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.safetensors", "two.safetensors"]


class Counting:
    """Passes batches on to an encoder and fails after some of them, like a killed run."""

    def __init__(self, encoder, limit):
        self.encoder, self.limit, self.batches = encoder, limit, 0

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def encode_images(self, images):
        self.batches += 1
        if self.batches > self.limit:
            raise KeyboardInterrupt
        return self.encoder.encode_images(images)


def test_a_killed_run_goes_on_from_its_last_shard(encoder, tmp_path, small_shards):
    extract(pictures(), encoder, PLAN, tmp_path / "whole.safetensors", batch=3)
    out = tmp_path / "out.safetensors"
    with pytest.raises(KeyboardInterrupt):
        extract(pictures(), Counting(encoder, 5), PLAN, out, batch=3)
    assert not out.exists()
    rest = Counting(encoder, 100)
    extract(pictures(), rest, PLAN, out, batch=3)
    assert rest.batches == 4, "the first shard of three images was not made again"
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_shards_of_other_weights_are_not_used(encoder, tmp_path, small_shards):
    out = tmp_path / "out.safetensors"
    with pytest.raises(KeyboardInterrupt):
        extract(pictures(), Counting(encoder, 5), PLAN, out, facts={"weights": "a"}, batch=3)
    again = Counting(encoder, 100)
    extract(pictures(), again, PLAN, out, facts={"weights": "b"}, batch=3)
    assert again.batches == 7


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_image_is_an_error_that_names_it(encoder, tmp_path, workers):
    spoilt = [*pictures(4), Picture("images/0004.png", 0, Broken())]
    with pytest.raises(DataError, match=r"^images/0004.png is not a whole image \(cut off\)"):
        extract(spoilt, encoder, PLAN, tmp_path / "out.safetensors", workers=workers)
    assert not (tmp_path / "out.safetensors").exists()


def test_no_images_or_a_repeated_id_are_errors(encoder, tmp_path):
    with pytest.raises(FeatureError, match="no images to extract features from"):
        extract([], encoder, PLAN, tmp_path / "out.safetensors")
    with pytest.raises(FeatureError, match="two images have the same id"):
        extract(pictures(2) + pictures(1), encoder, PLAN, tmp_path / "out.safetensors")


def test_a_batch_that_does_not_fit_is_halved(encoder):
    class Tight(Counting):
        def encode_images(self, images):
            if len(images) > 2:
                raise torch.cuda.OutOfMemoryError
            return self.encoder.encode_images(images)

    views = torch.zeros(3, 2, 3, 32, 32)
    found = extraction._features(Tight(encoder, 0), views, 6)
    np.testing.assert_array_equal(found, extraction._features(encoder, views, 6))


def test_the_batch_shrinks_with_the_images_size(encoder):
    large = Counting(encoder, 0)
    large.transform = Transform(size=448)
    assert fitted_batch(encoder) == 128
    assert 1 <= fitted_batch(large) < 16
