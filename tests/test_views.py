import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image

from dmn.encoders.config import ViewConfig
from dmn.encoders.views import (
    CLIP_MEAN,
    CLIP_STD,
    OPERATIONS,
    Transform,
    _crop_box,
    augmix,
    enlarge_cells,
    make_views,
)
from dmn.randomness import generator

SMALL = Transform(size=32)
PLAIN = ViewConfig(augmix=False)


def photograph(width=60, height=44, seed=0):
    rows, columns = np.indices((height, width))
    noise = np.random.default_rng(seed).integers(0, 60, (height, width, 3))
    image = np.stack([rows * 4, columns * 3, rows + columns], axis=-1) + noise
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def test_view_zero_is_the_transform_of_open_clip():
    ours = make_views(photograph(), "a", 1, 0, PLAIN, SMALL)[0]
    theirs = image_transform(32, is_train=False, mean=CLIP_MEAN, std=CLIP_STD)(photograph())
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


def test_the_default_transform_is_that_of_clip():
    assert tuple(open_clip.OPENAI_DATASET_MEAN) == CLIP_MEAN == Transform().mean
    assert tuple(open_clip.OPENAI_DATASET_STD) == CLIP_STD == Transform().std


def test_a_view_depends_on_seed_image_and_number_only():
    few = make_views(photograph(), "a", 3, 7, ViewConfig(), SMALL)
    many = make_views(photograph(), "a", 6, 7, ViewConfig(), SMALL)
    np.testing.assert_array_equal(few, many[:3])
    for other in (("b", 7), ("a", 8)):
        assert (make_views(photograph(), other[0], 3, other[1], ViewConfig(), SMALL) != few)[
            1:
        ].any()
    assert len({view.tobytes() for view in many}) == 6


def test_a_grey_picture_in_rgb_has_the_views_of_its_one_channel():
    grey = photograph().convert("L")
    colour = make_views(grey.convert("RGB"), "a", 8, 0, ViewConfig(), SMALL)
    np.testing.assert_array_equal(make_views(grey, "a", 8, 0, ViewConfig(), SMALL), colour)


def test_grey_and_colour_take_the_same_way(monkeypatch):
    grey = photograph().convert("L")
    fast = make_views(grey, "a", 8, 0, ViewConfig(), SMALL)
    monkeypatch.setattr("dmn.encoders.views._one_channel", lambda image: image.convert("RGB"))
    slow = make_views(grey, "a", 8, 0, ViewConfig(), SMALL)
    np.testing.assert_allclose(fast, slow, atol=1e-6)


def test_crops_have_the_area_and_ratio_of_the_settings():
    settings = ViewConfig(scale=(0.5, 0.8), ratio=(0.9, 1.2))
    for number in range(200):
        draws = iter(generator(0, "test", number).random(64).tolist())
        left, top, right, bottom = _crop_box(200, 150, draws, settings)
        assert 0 <= left < right <= 200
        assert 0 <= top < bottom <= 150
        assert 0.48 < (right - left) * (bottom - top) / 30000 < 0.82
        assert 0.88 < (right - left) / (bottom - top) < 1.23


def test_an_impossible_crop_falls_back_to_the_middle():
    settings = ViewConfig(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    draws = iter(np.full(64, 0.5).tolist())
    assert _crop_box(100, 40, draws, settings) == (30, 0, 70, 40)


def test_flips_can_be_switched_off():
    ramp = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1)))
    kept = ViewConfig(flip=False, augmix=False)
    rising = [np.diff(v[0].mean(0)).mean() > 0 for v in make_views(ramp, "a", 12, 0, kept, SMALL)]
    assert all(rising)
    mirrored = make_views(ramp, "a", 40, 0, PLAIN, SMALL)
    assert 10 < sum(np.diff(v[0].mean(0)).mean() < 0 for v in mirrored) < 30


def test_augmix_is_a_mixture_of_normalised_tensors():
    image = photograph(32, 32)
    draws = generator(3, "test").random(64).tolist()
    mixed = SMALL.normalise(augmix(image, iter(draws), 1.0)[None])[0]
    plain = SMALL.normalise(np.asarray(image)[None])[0]
    share = draws[2]
    rest = (mixed - share * plain) / (1 - share)
    assert np.abs(rest - plain).max() > 1e-3
    low, high = SMALL.normalise(np.array([0, 255], dtype=np.uint8).reshape(2, 1, 1))[:, 0, 0, 0]
    assert low - 1e-4 <= rest[0].min()
    assert rest[0].max() <= high + 1e-4


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_keep_the_size_and_mode(operation):
    for image in (photograph(32, 32), photograph(32, 32).convert("L")):
        done = operation(image, 0.1, -1)
        assert (done.size, done.mode) == (image.size, image.mode)


def test_cells_are_enlarged_as_view_zero_is():
    cells = np.random.default_rng(0).integers(0, 255, (2, 8, 8)).astype(np.uint8)
    views = make_views(Image.fromarray(cells[1]), "a", 1, 0, PLAIN, SMALL)
    np.testing.assert_array_equal(SMALL.normalise(enlarge_cells(cells, 32))[1], views[0])
    assert torch.from_numpy(views).dtype == torch.float32
