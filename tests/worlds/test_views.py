"""Views of pictures: what each pair shares, and how much of a picture each view shows."""

import numpy as np
import pytest

from jepabook import views

PICTURES = np.random.default_rng(0).random((7, 12, 12))
SHOWN = PICTURES - PICTURES.mean(0)


def masks(pair):
    """Which pixels each view shows (count, 12, 12), and whose pictures they are."""
    x, y, which = pair
    x, y = (view.reshape(-1, 12, 12) for view in (x, y))
    for view in (x, y):
        assert ((view == 0) | (view == SHOWN[which])).all()
    return x != 0, y != 0, which


@pytest.mark.parametrize("patch", [1, 3])
def test_random_masks_show_every_patch_in_one_view_or_the_other(patch):
    x, y, which = masks(views.random_masks(PICTURES, 2000, 0, visible=0.25, patch=patch))
    assert (x ^ y).all() and which.tolist() == [k % 7 for k in range(2000)]
    tiles = x.reshape(2000, 12 // patch, patch, 12 // patch, patch)
    assert (tiles.all((2, 4)) | ~tiles.any((2, 4))).all()
    assert abs(x.mean() - 0.25) < 0.01 and abs(x.mean(0) - 0.25).max() < 0.05


def test_block_masks_show_blocks_in_y_and_a_square_without_them_in_x():
    x, y, _ = masks(views.block_masks(PICTURES, 3000, 0))
    assert not (x & y).any() and x.any(0).all() and y.any(0).all()
    one = masks(views.block_masks(PICTURES, 3000, 0, blocks=1))[1]
    rows, columns = one.any(2).sum(1), one.any(1).sum(1)
    assert (one.sum((1, 2)) == rows * columns).all()  # a rectangle
    area, shape = rows * columns / 144, rows / columns
    assert area.min() > 0.11 and area.max() < 0.25 and abs(area.mean() - 0.175) < 0.01
    assert shape.min() > 0.6 and shape.max() < 1.8 and (shape > 1).any() and (shape < 1).any()
    whole = masks(views.block_masks(PICTURES, 500, 0, blocks=1, context=(1.0, 1.0)))
    assert (whole[0] ^ whole[1]).all()


def test_crops_are_means_over_their_parts():
    x, y, which = views.crops(PICTURES, 21, 0, size=12, scale=(1.0, 1.0))
    np.testing.assert_allclose(x.reshape(-1, 12, 12), PICTURES[which])
    halves = views.crops(PICTURES, 7, 0, size=6, scale=(1.0, 1.0))[0].reshape(7, 6, 6)
    np.testing.assert_allclose(halves, PICTURES.reshape(7, 6, 2, 6, 2).mean((2, 4)))
    ramp = np.tile(np.arange(12.0), (3, 12, 1))
    x, y, _ = views.crops(ramp, 400, 0, size=4, scale=(0.25, 1.0))
    for view in (x.reshape(-1, 4, 4), y.reshape(-1, 4, 4)):
        step = np.diff(view, axis=2)
        # linear where it is cut from a ramp of pixels, but for their steps
        assert np.ptp(view, axis=1).max() < 1e-12 and step.min() > 1 and step.max() < 4
        assert abs((step.mean((1, 2)) * 4 / 12) ** 2 - 0.625).mean() < 0.25
    assert not np.allclose(x, y)


def test_jitter_is_common_to_a_view_and_independent_between_views():
    x, y, which = views.jitter(PICTURES, 4000, 0, spread=0.3)
    off = [view - PICTURES.reshape(7, -1)[which] for view in (x, y)]
    for part in off:
        np.testing.assert_allclose(part, np.repeat(part[:, :1], 144, axis=1), atol=1e-12)
    first, second = (part[:, 0] for part in off)
    assert abs(first.std() - 0.3) < 0.02 and abs(np.corrcoef(first, second)[0, 1]) < 0.06
    same = views.jitter(PICTURES, 7, 0, spread=0.0)
    np.testing.assert_array_equal(same[0], same[1])


@pytest.mark.parametrize("gap", [1, 2])
def test_frames_are_pairs_within_one_clip(gap):
    clips = np.array([3, 3, 1, 3, 1, 1, 3])
    x, y, clip = views.frames(PICTURES, clips, gap=gap)
    at = {3: [0, 1, 3, 6], 1: [2, 4, 5]}
    expected = [(places[i], places[i + gap], k) for k, places in sorted(at.items())
                for i in range(len(places) - gap)]  # fmt: skip
    rows = PICTURES.reshape(7, -1)
    np.testing.assert_array_equal(x, rows[[a for a, _, _ in expected]])
    np.testing.assert_array_equal(y, rows[[b for _, b, _ in expected]])
    assert clip.tolist() == [k for _, _, k in expected]


@pytest.mark.parametrize(
    ("call", "start"),
    [
        (lambda: views.random_masks(PICTURES, 3, 0, patch=5), "patch must divide the pictures' s"),
        (lambda: views.random_masks(PICTURES, 3, 0, patch=12), "patch must be smaller than the pi"),
        (lambda: views.random_masks(PICTURES, 3, 0, visible=0), "visible must lie in (0, 1), got"),
        (lambda: views.block_masks(PICTURES, 3, 0, share=(0.3, 0.2)), "share must be two rising n"),
        (lambda: views.block_masks(PICTURES, 3, 0, context=(0.3, 1.2)), "context must be two risi"),
        (lambda: views.crops(PICTURES, 3, 0, size=13), "size must be an integer <= 12, got 13"),
        (lambda: views.jitter(PICTURES[0], 3, 0), "pictures must have shape (n, side, side), got"),
        (lambda: views.frames(PICTURES, np.arange(7)), "gap must be shorter than a clip, got 1"),
        (lambda: views.frames(PICTURES, np.arange(6)), "clips must be one for each of 7 pictures"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(call, start):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)
