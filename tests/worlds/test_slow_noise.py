"""Trajectories with slow noise: distances by brute force, autocorrelations in closed form."""

import itertools

import numpy as np
import pytest

from jepabook import slow_noise


@pytest.mark.parametrize("within", [True, False])
def test_distances_are_means_over_all_pairs(within):
    frames = np.random.default_rng(1).standard_normal((3, 4, 2))
    places = list(itertools.product(range(3), range(4)))
    pairs = [(a, b) for a in places for b in places if a != b and (a[0] == b[0]) == within]
    gaps = np.array([frames[a] - frames[b] for a, b in pairs])
    steps = np.array([frames[i, t + 1] - frames[i, t] for i in range(3) for t in range(3)])
    positives, negatives = slow_noise.distances(frames, within)
    assert np.allclose(negatives, gaps.T @ gaps / (2 * len(gaps)))
    assert np.allclose(positives, steps.T @ steps / (2 * len(steps)))


def test_mean_autocorrelation_by_its_sum():
    for gamma, length in ((0.0, 5), (0.7, 2), (0.9, 9), (1.0, 4)):
        pairs = [abs(t - s) for t in range(length) for s in range(length) if t != s]
        mean = sum(gamma**lag for lag in pairs) / len(pairs)
        assert slow_noise.mean_autocorrelation(gamma, length) == pytest.approx(mean)


def test_trajectories_have_the_moments_asked_for():
    frames = slow_noise.trajectories([2.0, 1.0], [0.6, 1.0], [0.5, 0.0], 3, 40_000, seed=5)
    assert np.allclose((frames**2).mean((0, 1)), [2.5, 1.0], atol=0.05)
    assert np.allclose((frames[:, 0] * frames[:, 2]).mean(0), [2 * 0.36, 1.0], atol=0.05)
    assert np.array_equal(frames[:, 0, 1], frames[:, 2, 1])  # still


def test_across_it_is_rho():
    found = slow_noise.remaining_correlation(2.0, 0.6, 0.5)
    assert found == pytest.approx(2.0 * 0.6 / 2.5)
