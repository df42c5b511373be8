"""Normalised targets: gains against known integrals and sampling, rests, and limits."""

import numpy as np
import pytest

from jepabook import JEPA, dynamics, normalised_target


def test_one_direction_is_the_mean_absolute_value():
    found = normalised_target.gains([4.0])
    assert found == pytest.approx(np.sqrt(2 / np.pi) / 2, rel=1e-14)


@pytest.mark.parametrize("width", [2, 3, 7])
def test_equal_directions_are_the_mean_length_of_a_gaussian(width):
    """E[u_i^2 / |u|] = E|u| / d, and E|u| = sqrt(2) Gamma((d + 1) / 2) / Gamma(d / 2)."""
    from scipy.special import gamma

    stated = np.sqrt(2) * gamma((width + 1) / 2) / gamma(width / 2) / width
    assert normalised_target.gains(np.ones(width)) == pytest.approx(stated, rel=1e-13)


def test_uneven_directions_are_what_samples_have():
    variances = np.array([1.0, 0.5, 2.0, 1e-3])
    u = np.random.default_rng(0).standard_normal((400_000, 4)) * np.sqrt(variances)
    seen = np.mean(u**2 / np.linalg.norm(u, axis=1, keepdims=True), axis=0) / variances
    assert normalised_target.gains(variances) == pytest.approx(seen, rel=0.01)


def test_gains_follow_the_scale_of_the_code_and_the_length_of_the_target():
    variances = np.array([[1.0, 3.0], [0.1, 0.2]])
    base = normalised_target.gains(variances)
    assert normalised_target.gains(100 * variances, 7.0) == pytest.approx(0.7 * base, rel=1e-12)
    assert np.all(base[:, 0] > base[:, 1])  # what dominates is held back


def test_an_end_is_a_rest_and_where_a_training_ends():
    lam, rho = np.array([1.0, 1.3, 0.7]), np.array([0.9, 0.5, 0.8])
    for depth in (1, 2, 4):
        end = normalised_target.final_size(lam, rho, depth=depth, scale=2.0)
        gain = normalised_target.gains(lam / rho * end**2, 2.0)
        assert end == pytest.approx((gain * rho) ** depth, rel=1e-11)
        t = [0.0, 5e3]
        known = {"depth": depth, "epsilon": 0.3**depth, "scale": 2.0}
        sizes, gains = normalised_target.trajectory(t, lam, rho, **known)
        assert sizes[-1] == pytest.approx(end, rel=1e-6)
        assert gains[-1] == pytest.approx(gain, rel=1e-6)
        assert sizes[0] == pytest.approx(0.3**depth)


def test_many_alike_features_share_one_gain_and_follow_jepa_s_ratios():
    lam, rho = np.ones(200), np.repeat([0.9, 0.7], 100)
    end = normalised_target.final_size(lam, rho, depth=3, scale=200**0.5)
    ratio = dynamics.fixed_point(JEPA, 0.9, depth=3) / dynamics.fixed_point(JEPA, 0.7, depth=3)
    assert end[0] / end[-1] == pytest.approx(ratio, rel=0.06)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="lam and rho must be sequences"):
        normalised_target.final_size([[1.0]], [[0.5]], depth=1)
    with pytest.raises(ValueError, match="scale must be positive"):
        normalised_target.gains([1.0], 0.0)
