import numpy as np
import pytest
from PIL import Image

from dmn.datasets.corruptions import KINDS, corrupt
from dmn.errors import ConfigError
from dmn.randomness import generator

RANDOM = {"rotation", "motion_blur", "elastic", "fog"} | {k for k in KINDS if "noise" in k}


def photograph(size=48, seed=0):
    """A smooth colour image with an edge."""
    rows, columns = np.indices((size, size)) / size
    image = np.stack([rows, columns, (rows + columns > 1) * 0.8 + 0.1], axis=-1)
    return Image.fromarray(np.rint(image * 255).astype(np.uint8))


def scan():
    levels = np.zeros((8, 8), dtype=np.uint8)
    levels[1:7, 3:5] = 255
    return Image.fromarray(levels)


def distance(one, other):
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


def test_there_are_enough_kinds_with_five_severities():
    assert len(KINDS) >= 15
    assert all(len(levels) == 5 for levels, _ in KINDS.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_corruption_keeps_size_and_mode_and_changes_the_image(kind):
    done = corrupt(photograph(), kind, 5, generator(0, "test"))
    assert (done.size, done.mode) == ((48, 48), "RGB")
    assert distance(done, photograph()) > 0.5


@pytest.mark.parametrize("kind", ["noise", "blur", "rotation", "inversion", "erosion"])
def test_the_kinds_for_scans_change_eight_by_eight_pixels(kind):
    mild, severe = (corrupt(scan(), kind, s, generator(0, "test")) for s in (1, 5))
    assert (severe.size, severe.mode) == ((8, 8), "L")
    assert 0 < distance(mild, scan()) < distance(severe, scan())


@pytest.mark.parametrize("kind", KINDS)
def test_the_highest_severity_changes_more_than_the_lowest(kind):
    image = photograph()
    mild, severe = (
        np.mean([distance(corrupt(image, kind, s, generator(0, "t", i)), image) for i in range(5)])
        for s in (1, 5)
    )
    assert severe > mild


@pytest.mark.parametrize("kind", KINDS)
def test_equal_draws_give_equal_images(kind):
    image = photograph()
    first, second, other = (corrupt(image, kind, 3, generator(0, "test", i)) for i in (0, 0, 1))
    assert first.tobytes() == second.tobytes()
    assert (first.tobytes() == other.tobytes()) == (kind not in RANDOM)


def test_a_grey_picture_stays_grey_in_rgb():
    for kind in KINDS:
        grey = corrupt(scan(), kind, 4, generator(0, "test"))
        colour = np.asarray(corrupt(scan().convert("RGB"), kind, 4, generator(0, "test")))
        assert (colour == np.asarray(grey)[..., None]).all(), kind


def test_inversion_at_full_severity_is_the_negative():
    done = corrupt(photograph(), "inversion", 5, generator(0, "test"))
    np.testing.assert_array_equal(np.asarray(done), 255 - np.asarray(photograph()))


def test_an_unknown_kind_or_severity_is_named():
    with pytest.raises(ConfigError, match="unknown corruption 'nois'; did you mean 'noise'"):
        corrupt(scan(), "nois", 1, generator(0, "test"))
    with pytest.raises(ConfigError, match="severity 6 of corruption blur is not 1, 2, 3, 4 or 5"):
        corrupt(scan(), "blur", 6, generator(0, "test"))
