"""Views cut from photographs are what they say, and reproducible."""

import numpy as np
import pytest

from jepabook import photographs

IMAGE = np.arange(40 * 50, dtype=float).reshape(40, 50)  # a pixel's value is its place
IMAGES = {"one": IMAGE, "two": IMAGE + 10_000}


@pytest.fixture(scope="module")
def stereo():
    return photographs.stereo_pair()


def test_photographs_are_grey_between_0_and_1():
    images = photographs.load()
    assert len(images) == 6
    for image in images.values():
        assert image.ndim == 2 and min(image.shape) >= 300
        assert image.min() >= 0 and image.max() <= 1 and image.std() > 0.1


@pytest.mark.parametrize("gap", [0, 3])
def test_neighbours_lie_side_by_side_in_one_photograph(gap):
    x, y = photographs.neighbours(IMAGES, 5, 400, seed=1, gap=gap)
    step = y[:, 0] - x[:, 0]
    assert set(np.unique(step)) == {5 + gap, -(5 + gap)}  # either may be x, both happen
    assert np.abs(step.mean()) < 0.3 * (5 + gap)
    patch = (np.arange(5)[:, None] * 50 + np.arange(5)).ravel()
    assert np.all(x - x[:, :1] == patch) and np.all(y - y[:, :1] == patch)


def test_photographs_take_turns():
    x, _ = photographs.neighbours(IMAGES, 5, 101, seed=1)
    assert np.sum(x[:, 0] < 10_000) == 51


def test_masked_views_share_no_pixel_and_together_are_the_centred_patch():
    x, y = photographs.masked(IMAGES, 6, 3000, visible=0.3, seed=2)
    assert not np.any((x != 0) & (y != 0))
    np.testing.assert_allclose((x + y).mean(0), 0, atol=1e-8)
    assert abs(np.mean(x != 0) - 0.3) < 0.01


def test_aligned_eyes_see_the_same(stereo):
    left, right, disparity = stereo
    assert left.shape == right.shape == disparity.shape
    x, y = photographs.stereo(8, 3000, seed=3)

    def correlation(x, y):
        return np.corrcoef(x.ravel(), y.ravel())[0, 1]

    assert correlation(x, y) > 0.9 > 0.75 > correlation(left, right)


def test_jitter_moves_whole_views_independently():
    x, y = photographs.brightened(np.zeros((5000, 4)), np.ones((5000, 4)), 0.2, seed=4)
    assert np.ptp(x, axis=1).max() == 0 and np.ptp(y, axis=1).max() == 0
    assert abs(x[:, 0].std() - 0.2) < 0.01 and abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < 0.05


def test_a_seed_gives_the_same_views_and_another_seed_others():
    for views in (
        lambda seed: photographs.neighbours(IMAGES, 5, 50, seed),
        lambda seed: photographs.masked(IMAGES, 5, 50, 0.5, seed),
        lambda seed: photographs.stereo(5, 50, seed),
        lambda seed: photographs.brightened(np.zeros((50, 2)), np.zeros((50, 2)), 1.0, seed),
    ):
        (x, y), (a, b), (c, _) = views(1), views(1), views(2)
        assert np.array_equal(x, a) and np.array_equal(y, b) and not np.array_equal(x, c)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: photographs.neighbours(IMAGES, 30, 10, 0), "size"),
        (lambda: photographs.neighbours(IMAGES, 0, 10, 0), "size"),
        (lambda: photographs.neighbours(IMAGES, 5, 10, 0, gap=-1), "gap"),
        (lambda: photographs.masked(IMAGES, 41, 10, 0.5, 0), "size"),
        (lambda: photographs.masked(IMAGES, 5, 10, 1.0, 0), "visible"),
        (lambda: photographs.stereo(5, 2.5, 0), "count"),
        (lambda: photographs.stereo(600, 10, 0), "size"),
        (lambda: photographs.brightened(np.zeros((2, 2)), np.zeros((2, 2)), -1.0, 0), "spread"),
    ],
)
def test_bad_arguments_are_named_in_one_line(call, name):
    with pytest.raises(ValueError, match=f"^{name} ") as caught:
        call()
    assert "\n" not in str(caught.value)
