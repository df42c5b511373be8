"""The flickering world: its frames have the moments that it states, however they are drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from jepabook import autocorrelation
from jepabook.worlds.generative import FlickeringWorld, Frames, two_images

SEEDS = st.integers(0, 2**32 - 1)
SLOW = two_images(4, gamma=(0.9, -0.6), noise=(0.7, 0.3), noise_gamma=(0.0, 0.8))
# z-scores of all tests of moments here together exceed it with probability 0.001
BOUND = norm.isf(1e-3 / 2 / 3000)


def world(**changes):
    known = {"images": np.eye(2, 3), "gamma": 0.5, "noise": 1.0, "region": np.array([0, 1, 1])}
    return FlickeringWorld(**{**known, **changes})


def test_many_short_streams_have_the_stated_moments_from_the_first_frame_on():
    streams, length = 4000, 4
    frames = np.stack([Frames(SLOW, seed).next(length) for seed in range(streams)])
    xx, yx, _ = SLOW.covariances()
    for t in range(length - 1):
        for other, sigma in ((t, xx), (t + 1, yx)):
            products = frames[:, other, :, None] * frames[:, t, None, :]
            spread = np.sqrt((np.outer(np.diag(xx), np.diag(xx)) + sigma**2) / streams)
            assert np.abs((products.mean(0) - sigma) / spread).max() < BOUND
    assert np.abs(frames.mean(0) / np.sqrt(np.diag(xx) / streams)).max() < BOUND


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_memory_decays_geometrically_across_the_parts_of_a_stream(lag):
    stream = Frames(SLOW, 3)
    frames = np.concatenate([stream.next(count) for count in [1, 2, 3] * 7000])
    p = frames @ autocorrelation.basis(SLOW)
    law = autocorrelation.components(SLOW)
    expected = np.repeat((law.power * law.gamma**lag).sum(1), law.count)
    found = (p[lag:] * p[:-lag]).mean(0)
    # the variance of a lagged mean is at most sum_k C(k)^2 + C(k + lag) C(k - lag) <= 2 sum C^2
    laws = zip(law.power, law.gamma, strict=True)
    spread = [autocorrelation.long_run_covariance(*known)[1, 1] for known in laws]
    assert (np.abs(found - expected) < BOUND * np.sqrt(np.repeat(spread, law.count) / len(p))).all()


@given(SEEDS, st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_frames_do_not_depend_on_how_many_are_drawn_at_a_time(seed, parts):
    stream = Frames(SLOW, seed)
    frames = np.concatenate([stream.next(count) for count in parts])
    whole = Frames(SLOW, seed).next(sum(parts))
    np.testing.assert_allclose(frames, whole, rtol=1e-12, atol=1e-12)


@given(SEEDS, st.integers(1, 30), st.integers(1, 9))
def test_a_sample_is_all_consecutive_pairs_of_one_stream(seed, count, chunk):
    frames = np.concatenate(list(SLOW.frames(count + 1, seed, chunk)))
    x, y = SLOW.sample(count, seed)
    assert np.array_equal(x[1:], y[:-1])
    np.testing.assert_allclose([x, y], [frames[:-1], frames[1:]], rtol=1e-12, atol=1e-12)


@settings(max_examples=30)
@given(
    st.floats(-0.9, 0.9),
    st.floats(0.1, 3),
    st.floats(0.1, 2),
    st.floats(-0.9, 0.9),
)
def test_theory_is_what_the_covariances_do_to_the_images(gamma, size, noise, slow):
    images = size * np.array([[1.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, -1.0]])
    region = np.array([0, 0, 0, 1, 1])
    made = FlickeringWorld(images, [gamma, 0.5], [noise, 0.4], region, [slow, 0.0])
    xx, yx, yy = made.covariances()
    features = made.theory()
    np.testing.assert_allclose(images @ yx, features.lam[:, None] * images, atol=1e-12)
    np.testing.assert_allclose(images @ xx, features.sigma_squared[:, None] * images, atol=1e-12)
    np.testing.assert_allclose(features.rho, features.lam / features.sigma_squared)
    assert np.array_equal(xx, yy)


@pytest.mark.parametrize("side", [4, 6, 8, 10, 32])
def test_the_world_of_figure_3_has_two_images_of_norm_1_and_opposite_trends(side):
    features = two_images(side).theory()
    np.testing.assert_allclose(features.lam, [0.99, 0.95])
    np.testing.assert_allclose(features.rho, [0.495, 0.76])
    assert ((features.directions != 0).sum(1) >= 4).all()


@pytest.mark.parametrize(("square", "sign"), [(17.56, 1), (17.57, -1)])
def test_large_images_turn_the_trend_of_rho(square, sign):
    known = two_images(4)
    made = FlickeringWorld(
        square**0.5 * known.images, known.gamma, known.noise, known.region, known.noise_gamma
    )
    assert np.sign(np.diff(made.theory().rho)) == sign


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"images": np.zeros((2, 3))}, "images"),
        ({"images": np.ones((2, 3))}, "images"),
        ({"images": np.ones(3)}, "images"),
        ({"images": np.array([[np.nan, 0, 0], [0, 1, 0]])}, "images"),
        ({"gamma": 1.0}, "gamma"),
        ({"gamma": [0.1, 0.2, 0.3]}, "gamma"),
        ({"noise": -1.0}, "noise"),
        ({"noise_gamma": [0.0, -1.5]}, "noise_gamma"),
        ({"region": np.array([0, 1])}, "region"),
        ({"region": np.array([0, 1, 2])}, "region"),
        ({"region": np.array([0.0, 1.0, 1.0])}, "region"),
    ],
)
def test_bad_worlds_are_refused(changes, name):
    with pytest.raises(ValueError, match=f"^{name} must"):
        world(**changes)


@pytest.mark.parametrize("side", [2, 5, 4.0])
def test_bad_screens_are_refused(side):
    with pytest.raises(ValueError, match=r"^side must"):
        two_images(side)
