"""Crops cut anew at every step: octaves of photographs, the scales and places, and the jitter."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jepabook.vision import crops, images, runs, train
from jepabook.vision.batches import Batches, FreshBatches
from jepabook.vision.decoding import shrunk
from tests.trainings import MICRO, left, pictures, plan

SIZE = MICRO.image_size


def photograph(height, width, seed=0, grain=4):
    """Noise that is smooth over some pixels."""
    rng = np.random.default_rng(seed)
    small = rng.integers(256, size=(height // grain + 1, width // grain + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def album():
    return images.Photographs("noise", [photograph(40, 70), photograph(33, 20, 1)])


@given(st.integers(4, 40), st.integers(4, 40), st.integers(1, 4))
def test_octaves_are_means_of_two_by_two_pixels_as_long_as_the_size_fits(height, width, size):
    image = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    levels = crops.octaves(image, size)
    assert np.array_equal(levels[0], image)
    assert min(levels[-1].shape[:2]) >= size > min(levels[-1].shape[:2]) // 2
    for large, small in itertools.pairwise(levels):
        assert small.dtype == np.uint8
        rows, columns = (side // 2 for side in large.shape[:2])
        parts = [large[i : 2 * rows : 2, j : 2 * columns : 2] for i in (0, 1) for j in (0, 1)]
        assert np.abs(small - np.mean(parts, 0)).max() <= 0.5


def test_a_crop_is_its_window_shrunk_up_to_the_rounding_of_the_octave():
    image = photograph(200, 300, grain=30)
    found, which, scale = crops.fresh([crops.octaves(image, 8)], 8, 300, np.random.default_rng(3))
    assert set(which) == {0} and set(scale) == set(range(10))
    rng = np.random.default_rng(3)
    rng.integers(1, size=300)
    u, x, y = rng.random((300, 3)).T
    side = np.floor(8 * (201 / 8) ** u).astype(int)
    assert np.array_equal(scale, np.floor(2 * np.log2(side / 8) + 1e-9))
    far = []
    for pixels, s, left_share, top_share in zip(found, side, x, y, strict=True):
        top, start = int(top_share * (201 - s)), int(left_share * (301 - s))
        window = shrunk(Image.fromarray(image[top : top + s, start : start + s]), 8)
        far.append(np.abs(window.astype(int) - pixels).mean())
    # an octave begins at even pixels, and another place within two of its pixels is another crop
    other = np.abs(found[1:].astype(int) - found[:-1]).mean()
    assert np.mean(np.array(far)[side < 16]) == 0 and np.mean(far) < other / 4


def test_places_and_photographs_are_all_reached_and_sides_log_uniform():
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None], (64, 64))
    position = np.stack([ramp, ramp.T, np.zeros_like(ramp)], -1)
    other = np.full((9, 30, 3), 200, np.uint8)
    album = [crops.octaves(position, 8), crops.octaves(other, 8)]
    pixels, which, scale = crops.fresh(album, 8, 4000, np.random.default_rng(0))
    assert abs(which.mean() - 0.5) < 0.03
    assert (pixels[which == 1] == 200).all() and set(scale[which == 1]) == {0}
    counts = np.bincount(scale[which == 0])
    assert len(counts) == 7 and counts[:6].min() > 0.6 * counts[:6].max() > 5 * counts[6]
    smallest = pixels[(which == 0) & (scale == 0)]
    for axis in (0, 1):
        corner = smallest[:, 0, 0, axis].astype(int)
        assert corner.min() == 0 and corner.max() >= 54 and abs(corner.mean() - 27) < 2


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_shares_of_fresh_batches_make_up_the_whole_and_steps_differ(processes):
    source = FreshBatches(album().pixels, MICRO, 8, 5)
    whole, again = source.at(3), FreshBatches(album().pixels, MICRO, 8, 5).at(3)
    shares = [source.at(3, rank, processes) for rank in range(processes)]
    for one, two, parts in zip(whole, again, zip(*shares, strict=True), strict=True):
        assert torch.equal(one, two) and torch.equal(one, torch.cat(parts))
    assert len(whole) == 3 and whole[0].shape == (8, 3, SIZE, SIZE)
    assert not torch.equal(whole[0], source.at(4)[0])
    assert not torch.equal(whole[0], FreshBatches(album().pixels, MICRO, 8, 6).at(3)[0])


def test_the_jitter_is_one_number_for_each_view_of_each_picture_of_the_strength_asked_for():
    images, crop = pictures(200), 1.0
    plain = Batches(images.pixels, MICRO, 200, 1, crop)
    bright = Batches(images.pixels, MICRO, 200, 1, crop, 0.3)
    (before, *masks), (one, *same, two) = plain.at(2), bright.at(2)
    assert all(torch.equal(a, b) for a, b in zip(masks, same, strict=True))
    added = [(view - before) * plain.deviation[:, None, None] for view in (one, two)]
    for view in added:
        assert float(view.std((1, 2, 3)).max()) < 1e-5  # the same for all pixels and colours
    first, second = (view.mean((1, 2, 3)).numpy() for view in added)
    assert abs(first.std() - 0.3) < 0.05 and abs(second.std() - 0.3) < 0.05
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2
    none = Batches(images.pixels, MICRO, 200, 1, crop, 0.0).at(2)
    assert torch.equal(none[0], before) and torch.equal(none[3], before)


def test_what_the_encoder_sees_and_what_it_predicts_are_the_two_views():
    of = plan("mae-pixels", jitter=0.3, crop=1.0)
    images, keep, masked, others = of.batches(pictures()).at(0)
    network = of.network
    predicted = network.predictor(network.encoder(images, keep), keep, masked)
    due = torch.nn.functional.mse_loss(predicted, network.target_at(others, masked))
    assert torch.equal(network(images, keep, masked, others), due)
    assert not torch.equal(network(images, keep, masked), due)


@pytest.mark.parametrize("objective", ["jepa", "mae"])
def test_a_training_on_photographs_goes_on_after_an_interruption(tmp_path, objective, monkeypatch):
    of = plan(objective, crop=1.0, jitter=0.1, spacing="even", warmup=0.5)
    if objective == "jepa":
        of = plan(objective, crop=1.0, jitter=0.1, spacing="even", warmup=0.5, momentum=0.5)
    train.train(of, album(), tmp_path / "whole", save_every=0.0)
    assert runs.steps_of(tmp_path / "whole") == [0, 2, 4, 6]
    step = train._Training.step

    def stopped(self, number):
        if number == 4:
            raise KeyboardInterrupt
        return step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(train._Training, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.train(of, album(), tmp_path / "parts", save_every=0.0)
    train.train(of, album(), tmp_path / "parts")
    whole, parts = (left(tmp_path / name) for name in ("whole", "parts"))
    assert {name: whole[name] for name in whole if name.startswith("weights")} == {
        name: parts[name] for name in parts if name.startswith("weights")
    }


def test_a_constant_momentum_is_that_of_every_step():
    of = plan("jepa", momentum=0.75)
    network = of.network
    with torch.no_grad():
        for p in network.encoder.parameters():
            p.add_(1.0)
    slow = [p.clone() for p in network.target.parameters()]
    network.after_step(1.0)
    for before, now in zip(slow, network.target.parameters(), strict=True):
        torch.testing.assert_close(now, before + 0.25)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 0.5}, "crop must be 1 where crops are cut anew, got 0.5"),
        ({"momentum": 0.5, "objective": "mae"}, "momentum must be None for mae, got 0.5"),
        ({"momentum": -0.1}, r"momentum must lie in \(0, 1\], got -0.1"),
        ({"jitter": -1.0}, "jitter must be non-negative and finite, got -1.0"),
        ({"warmup": 1.0}, r"warmup must lie in \(0, 1\), got 1.0"),
        ({"spacing": "odd"}, "spacing must be one of geometric, even, got 'odd'"),
    ],
)
def test_plans_that_do_not_fit_are_refused_in_one_line(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        of = plan(**{"objective": "jepa", "crop": 1.0} | changes)
        train.train(of, album(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_photographs_smaller_than_the_model_s_images_are_refused():
    with pytest.raises(ValueError, match="size must be at most 5, its side, got 8"):
        crops.octaves(photograph(5, 30), 8)
