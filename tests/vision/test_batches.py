"""Schedules against the recipes' own formulas, and batches that are functions of seed and step."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from jepabook.vision import recipes, train
from jepabook.vision.batches import (
    ASPECT,
    Batches,
    colours,
    cropped,
    prepared,
    random_boxes,
)
from jepabook.vision.model import Config

CONFIG = Config(8, 2, 8, 1, 2, 4, 1, 1)
NAMES = pytest.mark.parametrize("name", recipes.RECIPES)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count, size=8):
    """Pictures of one grey each, which tells their number."""
    pixels = np.empty((count, size, size, 3), np.uint8)
    pixels[:] = np.arange(count)[:, None, None, None]
    return pixels


def noise(count, size=8, seed=0):
    shape = count, size, size, 3
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def same(first, second):
    assert len(first) == len(second)
    for one, two in zip(first, second, strict=True):
        assert one.dtype == two.dtype and torch.equal(one, two)


# schedules


def ijepa(step, steps, warmup, start, peak, final):
    """I-JEPA's learning rate at its counter `step`, which is 1 at the first step."""
    if step < warmup:
        return start + step / max(1, warmup) * (peak - start)
    angle = math.pi * (step - warmup) / max(1, steps - warmup)
    return max(final, final + (peak - final) * 0.5 * (1 + math.cos(angle)))


def mae(epoch, epochs, warmup, peak, least=0.0):
    """MAE's learning rate, whose epochs are fractions."""
    if epoch < warmup:
        return peak * epoch / warmup
    return least + (peak - least) * 0.5 * (
        1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup))
    )


def rates(name, steps, peak=1.0):
    of = recipes.recipe(name)
    return np.array([recipes.learning_rate(of, peak, step, steps) for step in range(steps)])


def test_jepas_learning_rate_is_ijepas_in_the_warm_up_and_a_step_behind_in_the_cosine():
    per_epoch, peak = 6, 1e-3
    steps, warmup = 300 * per_epoch, 40 * per_epoch
    theirs = [ijepa(n, steps, warmup, 2e-4, peak, 1e-6) for n in range(1, steps + 1)]
    ours = rates("jepa", steps, peak)
    np.testing.assert_allclose(ours[:warmup], theirs[:warmup], rtol=1e-12)
    np.testing.assert_allclose(ours[warmup:], theirs[warmup - 1 : -1], rtol=1e-12)
    assert ours[warmup - 1] == peak and theirs[-1] == 1e-6 < ours[-1] < 1.01e-6


def test_maes_learning_rate_is_maes_in_the_cosine_and_a_step_ahead_in_the_warm_up():
    per_epoch, peak = 5, 2.4e-3
    steps, warmup = 800 * per_epoch, 40 * per_epoch
    theirs = [mae(n / per_epoch, 800, 40, peak) for n in range(steps + 1)]
    ours = rates("mae", steps, peak)
    np.testing.assert_allclose(ours[:warmup], theirs[1 : warmup + 1], rtol=1e-12)
    np.testing.assert_allclose(ours[warmup:], theirs[warmup:-1], rtol=1e-9)
    assert theirs[0] == 0 < ours[0] and 0 < ours[-1] < 1e-6 * peak


@NAMES
@given(steps=st.integers(1, 3000), peak=st.floats(1e-6, 1))
@example(steps=1, peak=1.0)
def test_the_learning_rate_rises_to_its_peak_and_falls_towards_its_end(name, steps, peak):
    of, ours = recipes.recipe(name), rates(name, steps, peak)
    warmup = round(of.warmup * steps)
    at_peak = [ours.max(), ours[max(warmup - 1, 0)], ours[warmup]]
    np.testing.assert_allclose(at_peak, peak, rtol=1e-12)
    assert (np.diff(ours[:warmup]) > 0).all() and (np.diff(ours[warmup:]) < 0).all()
    assert ours.min() > 0 and ours[-1] > of.end * peak
    if warmup:
        first = of.start + (1 - of.start) / warmup
        np.testing.assert_allclose(ours[0], first * peak)


@given(steps=st.integers(1, 2000))
def test_jepas_weight_decay_is_ijepas_cosine_a_step_behind_and_maes_is_constant(steps):
    def theirs(step):
        return min(0.4, 0.4 + (0.04 - 0.4) * 0.5 * (1 + math.cos(math.pi * step / steps)))

    ours = [
        [recipes.weight_decay(recipes.recipe(name), step, steps) for step in range(steps)]
        for name in ("jepa", "mae")
    ]
    np.testing.assert_allclose(ours[0], [theirs(step) for step in range(steps)], rtol=1e-12)
    assert (np.diff(ours[0]) > 0).all() and ours[0][0] == pytest.approx(0.04)
    np.testing.assert_allclose(ours[1], 0.05)


def test_the_peak_grows_with_the_batch_up_to_the_recipes_own():
    assert train.Plan("jepa", CONFIG, 10, 2048).rate == pytest.approx(1e-3)
    assert train.Plan("mae", CONFIG, 10, 4096).rate == pytest.approx(2.4e-3)
    assert train.Plan("mae", CONFIG, 10, 4096, rate=0.5).rate == 0.5


@given(st.integers(1, 10**6), st.integers(1, 40))
def test_models_are_kept_at_the_start_the_end_and_steps_in_geometric_progression(steps, keep):
    kept = train.Plan("mae", CONFIG, steps, keep=keep).kept
    assert kept[0] == 0 and kept[-1] == steps and sorted(set(kept)) == kept
    assert len(kept) <= max(keep, 2) + 1 and all(type(step) is int for step in kept)
    if keep > 1:
        ratio = steps ** (1 / (keep - 1))
        assert {round(ratio**i) for i in range(keep)} <= {s + d for s in kept for d in (-1, 0, 1)}


# batches


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**40), st.integers(0, 5))
def test_every_picture_is_seen_once_an_epoch_in_an_order_of_its_own(count, batch, seed, epoch):
    batch = min(batch, count)
    source = Batches(numbered(count), CONFIG, batch, seed, crop=1)
    assert source.per_epoch == count // batch

    def order(epoch):
        steps = range(epoch * source.per_epoch, (epoch + 1) * source.per_epoch)
        seen = torch.cat([source.at(step)[0][:, 0, 0, 0] for step in steps])
        return ((seen * source.deviation[0] + source.mean[0]) * 255).round().int().tolist()

    first, second = order(epoch), order(epoch + 1)
    assert len(set(first)) == len(first) == source.per_epoch * batch
    assert set(first) <= set(range(count)) and len(first) > count - batch
    if count > 20 and batch < count:
        assert first != second != sorted(second)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 200), max_size=5), st.integers(0, 200), st.integers(0, 99))
def test_a_step_has_the_same_batch_whatever_was_asked_before(before, step, seed):
    torch.manual_seed(seed)  # nor does the global generator matter
    fresh, used = (Batches(noise(30), CONFIG, 4, 7) for _ in range(2))
    for other in before:
        used.at(other)
    same(fresh.at(step), used.at(step))


def test_seeds_and_steps_change_the_pictures_the_crops_and_the_masks():
    pixels, every = noise(4), []
    for seed, step in ((0, 0), (0, 1), (1, 0), (1, 1)):
        every.append(Batches(pixels, CONFIG, 4, seed).at(step))
    for i, one in enumerate(every):
        for other in every[:i]:
            assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@settings(max_examples=20)
@given(st.sampled_from([1, 2, 3, 4, 6, 12]), st.integers(0, 50), st.sampled_from([0.3, 1.0]))
def test_the_processes_shares_make_up_the_whole_batch(processes, step, crop):
    source = Batches(noise(40), CONFIG, 12, 3, crop)
    shares = [source.at(step, rank, processes) for rank in range(processes)]
    same([torch.cat(parts) for parts in zip(*shares, strict=True)], source.at(step))
    assert {len(part) for share in shares for part in share} == {12 // processes}


def test_a_batch_has_its_shapes_and_masks_that_complement_each_other():
    pictures, keep, masked = Batches(noise(9), CONFIG, 5, 0).at(3)
    assert pictures.shape == (5, 3, 8, 8) and pictures.dtype == torch.float32
    assert keep.shape == (5, 4) and masked.shape == (5, 12)
    every = torch.cat([keep, masked], 1).sort(1).values
    assert torch.equal(every, torch.arange(16).expand(5, -1))


def test_without_crops_the_pictures_are_the_set_s_own_and_the_masks_do_not_change():
    pixels = noise(9)
    whole, cut = (Batches(pixels, CONFIG, 9, 5, crop) for crop in (1.0, 0.5))
    found = {tuple(row.tolist()) for row in whole.at(2)[0].flatten(1)}
    own = prepared(torch.from_numpy(pixels), whole.mean, whole.deviation).flatten(1)
    assert found == {tuple(row.tolist()) for row in own}
    same(whole.at(2)[1:], cut.at(2)[1:])
    assert not torch.allclose(whole.at(2)[0], cut.at(2)[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 10}, "batch must be at most 9, all images, got 10"),
        ({"batch": 0}, "batch must be an integer >= 1, got 0"),
        ({"seed": -1}, "seed must be an integer >= 0, got -1"),
        ({"crop": 0.0}, r"crop must lie in (0, 1], got 0.0"),
        ({"crop": 1.5}, r"crop must lie in (0, 1], got 1.5"),
        ({"crop": math.nan}, "crop must not be NaN, got nan"),
    ],
)
def test_batches_that_cannot_be_are_refused_in_one_line(changes, message):
    with pytest.raises(ValueError) as caught:
        Batches(noise(9), CONFIG, **{"batch": 4, "seed": 0} | changes)
    assert str(caught.value) == message


# crops


@given(st.floats(0.01, 1), st.integers(0, 10**6))
def test_boxes_lie_in_the_picture_with_area_and_aspect_in_their_bounds(least, seed):
    left, top, width, height = random_boxes(200, least, seeded(seed)).double().unbind(1)
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= 1 + 1e-6
    area, aspect = width * height, width / height
    # a side cut to the picture's leaves three quarters of it
    assert area.min() > min(least, 0.75) - 1e-6 and area.max() <= 1 + 1e-6
    assert aspect.min() > 1 / ASPECT - 1e-6 and aspect.max() < ASPECT + 1e-6


def test_areas_log_aspects_and_places_of_boxes_are_uniform():
    count = 40_000
    left, top, width, height = random_boxes(count, 0.3, seeded()).double().unbind(1)
    area, whole = width * height, (width < 1) & (height < 1)
    # sides are cut to the picture's in boxes of three quarters and more only
    for low, high in ((0.3, 0.4), (0.5, 0.6), (0.65, 0.75)):
        share = ((area > low) & (area < high)).double().mean()
        assert abs(share - 0.1 / 0.7) < 5 * (0.1 / 0.7 / count) ** 0.5
    lean = ((width / height).log() / math.log(ASPECT))[area < 0.75]
    places = [left[whole] / (1 - width[whole]), top[whole] / (1 - height[whole])]
    for uniform in ((lean + 1) / 2, *places):
        seen = torch.histc(uniform, 10, 0, 1) / len(uniform)
        assert (seen - 0.1).abs().max() < 5 * (0.09 / len(uniform)) ** 0.5


def by_formula(picture, box):
    """A box stretched to the whole bilinearly, pixel by pixel; picture (channels, size, size)."""
    size = picture.shape[-1]
    left, top, width, height = box

    def weights(start, length):
        table = np.zeros((size, size))
        for pixel in range(size):
            at = np.clip((start + (pixel + 0.5) / size * length) * size - 0.5, 0, size - 1)
            low = min(int(at), size - 2)
            table[pixel, low : low + 2] = 1 - (at - low), at - low
        return table

    return weights(top, height) @ picture @ weights(left, width).T


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.02, 1))
def test_crops_are_bilinear(seed, least):
    pictures = torch.randn(5, 3, 8, 8, generator=seeded(seed))
    boxes = random_boxes(5, least, seeded(seed + 1))
    found = cropped(pictures, boxes).numpy()
    for picture, box, crop in zip(pictures.numpy(), boxes.tolist(), found, strict=True):
        np.testing.assert_allclose(crop, by_formula(picture, box), atol=1e-4)


def test_the_whole_box_changes_nothing_and_the_halves_are_torch_s_own():
    pictures = torch.randn(4, 3, 16, 16, generator=seeded())

    def cut(*box):
        return cropped(pictures, torch.tensor([box] * 4))

    torch.testing.assert_close(cut(0.0, 0.0, 1.0, 1.0), pictures, rtol=0, atol=1e-5)
    halves = {
        (0.0, 0.0, 0.5, 1.0): pictures[..., :8],
        (0.0, 0.5, 1.0, 0.5): pictures[..., 8:, :],
    }
    for box, half in halves.items():
        expected = functional.interpolate(half, (16, 16), mode="bilinear", align_corners=False)
        # the pixels at the box's edge inside the picture look across it
        inner = (..., slice(1, -1), slice(1, -1))
        torch.testing.assert_close(cut(*box)[inner], expected[inner], rtol=0, atol=1e-5)


# colours


def test_colours_are_numpys_mean_and_deviation():
    pixels = noise(50)
    pixels[..., 1] //= 3
    mean, deviation = colours(pixels)
    assert mean.dtype == deviation.dtype == torch.float32
    np.testing.assert_allclose(mean, (pixels / 255).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(deviation, (pixels / 255).std((0, 1, 2)), rtol=1e-6)
    mean, deviation = colours(pixels, most=10)
    chosen = pixels[np.linspace(0, 49, 10).astype(int)] / 255
    np.testing.assert_allclose(mean, chosen.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(deviation, chosen.std((0, 1, 2)), rtol=1e-6)


def test_colours_of_many_pictures_meet_block_by_block_also_from_a_file(tmp_path):
    pixels = noise(2300, 2)
    np.save(tmp_path / "pixels.npy", pixels)
    there = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    for source in (pixels, there):
        mean, deviation = colours(source)
        np.testing.assert_allclose(mean, (pixels / 255).mean((0, 1, 2)), rtol=1e-6)
        np.testing.assert_allclose(deviation, (pixels / 255).std((0, 1, 2)), rtol=1e-6)


def test_prepared_pictures_have_mean_0_and_deviation_1_from_bytes_and_from_shares_of_one():
    pixels = noise(30)
    pixels[..., 2] //= 5
    of_set, as_bytes = colours(pixels), torch.from_numpy(pixels)
    shares, before = as_bytes / 255, pixels.copy()
    kept = shares.clone()
    found = prepared(as_bytes, *of_set)
    assert found.shape == (30, 3, 8, 8) and found.is_contiguous()
    torch.testing.assert_close(prepared(shares, *of_set), found, rtol=0, atol=1e-5)
    expected = (pixels / 255 - of_set[0].numpy()) / of_set[1].numpy()
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, atol=1e-5)
    np.testing.assert_allclose(found.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((0, 2, 3), correction=0), 1, atol=1e-5)
    # what was given stays as it is
    assert torch.equal(shares, kept) and np.array_equal(pixels, before)


def test_pictures_of_one_colour_do_not_become_infinite():
    pixels = np.full((3, 8, 8, 3), 7, np.uint8)
    assert Batches(pixels, CONFIG, 3, 0).at(0)[0].abs().max() < 1
