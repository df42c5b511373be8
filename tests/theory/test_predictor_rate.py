"""The predictor's rate: JEPA at rate 1, what is conserved, who survives decay, the optimal one."""

import numpy as np
import pytest

from jepabook import JEPA, dynamics, predictor_rate, weight_decay

START = {"depth": 3, "epsilon": 0.05, "predictor_rate": 1.0}


def test_rate_one_is_jepa():
    t = np.linspace(0, 60, 30)
    w, v = predictor_rate.trajectory(t, 1.1, 0.8, **START)
    assert w == pytest.approx(dynamics.trajectory(JEPA, t, 1.1, 0.8, depth=3, epsilon=0.05))
    assert v == pytest.approx(w ** (1 / 3), rel=1e-6)
    decayed = predictor_rate.trajectory(t, 1.1, 0.8, **START, weight_decay=1e-3)[0]
    known = weight_decay.trajectory(JEPA, t, 1.1, 0.8, depth=3, epsilon=0.05, weight_decay=1e-3)
    assert decayed == pytest.approx(known, rel=1e-6)


@pytest.mark.parametrize("rate", [0.3, 1.0, 5.0])
def test_sizes_end_where_the_conserved_difference_says(rate):
    lam, rho, epsilon = 1.2, np.array([0.7, 1.1]), 0.05
    t = np.linspace(0, 4e4, 50)
    known = {"depth": 2, "epsilon": epsilon, "predictor_rate": rate}
    w, v = predictor_rate.trajectory(t, lam, rho, **known)
    kept = v**2 / rate - w
    assert kept == pytest.approx(np.broadcast_to(kept[0], kept.shape), abs=1e-7)
    assert w[-1] == pytest.approx(predictor_rate.final_size(rho, **known), rel=1e-5)
    assert v[-1] == pytest.approx(rho, rel=1e-5)


def test_a_predictor_of_any_speed_in_the_limit_leaves_sizes_as_they_were():
    fast = {"epsilon": 0.1, "predictor_rate": 1e12}
    assert predictor_rate.final_size(0.8, depth=3, **fast) == pytest.approx(0.1, rel=1e-6)
    fast["predictor_rate"] = 1e4
    w, _ = predictor_rate.trajectory([0.0, 100.0], 1.0, 0.8, depth=2, **fast)
    assert w[-1] == pytest.approx(0.1, rel=0.02)


def test_a_slow_predictor_kills_what_a_fast_one_keeps():
    lam, rho, depth = 1.0, 0.9, 3
    kappa = 0.7 * weight_decay.critical_decay(JEPA, lam, rho, depth=depth)
    least = predictor_rate.least_rate(lam, rho, depth=depth, weight_decay=kappa)
    size = weight_decay.fixed_points(JEPA, lam, rho, depth=depth, weight_decay=kappa)[1]
    assert 0 < least < 1 - 1 / depth
    rates = least * np.array([0.7, 1.5])
    known = {"depth": depth, "epsilon": 1.01 * size, "weight_decay": kappa}
    ends = predictor_rate.trajectory([0.0, 1e5], lam, rho, predictor_rate=rates, **known)[0][-1]
    assert ends[0] < 1e-9 and ends[1] == pytest.approx(size, rel=1e-4)
    border = 0.999999 * weight_decay.critical_decay(JEPA, lam, rho, depth=depth)
    assert predictor_rate.least_rate(lam, rho, depth=depth, weight_decay=border) == pytest.approx(
        2 / 3, abs=2e-3
    )
    assert np.isnan(predictor_rate.least_rate(lam, rho, depth=depth, weight_decay=1.0))


# an optimal predictor


RNG = np.random.default_rng(3)
ROOT = RNG.standard_normal((4, 4))
XX, YX = ROOT @ ROOT.T + np.eye(4), RNG.standard_normal((4, 4))


def test_the_predictor_is_the_regression_of_sampled_codes():
    """Least squares on draws whose second moments are exactly these."""
    encoder = RNG.standard_normal((2, 4))
    x = RNG.standard_normal((50, 4))
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / 50)).T @ np.linalg.cholesky(XX).T
    y = x @ np.linalg.inv(XX) @ YX.T
    expected = np.linalg.lstsq(x @ encoder.T, y @ encoder.T, rcond=None)[0].T
    assert np.allclose(predictor_rate._optimal(encoder, XX, YX), expected)


def test_the_flow_keeps_the_last_layers_gram_matrix_even_unbalanced():
    layers = [RNG.standard_normal((3, 4)), RNG.standard_normal((2, 3))]
    first, last = predictor_rate.optimal_flow(layers, XX, YX, [0.0, 0.5, 1.0])
    assert np.allclose(first[0], layers[0]) and np.allclose(last[0], layers[1])
    assert np.abs(last - last[0]).max() > 1e-3
    assert np.allclose(last @ last.mT, layers[1] @ layers[1].T, atol=1e-8)


def test_final_sizes_at_the_ends_of_the_rate():
    known = {"depth": 3, "epsilon": 0.2**3}
    rho = np.array([0.5, 0.9])
    assert np.allclose(predictor_rate.final_size(rho, predictor_rate=1.0, **known), rho**3)
    assert np.allclose(
        predictor_rate.final_size(rho, predictor_rate=np.float64(1e300), **known), 0.008
    )


def test_a_predictor_too_slow_for_a_shrinking_feature_is_refused():
    with pytest.raises(ValueError, match="predictor_rate must leave"):
        predictor_rate.final_size(0.1, depth=1, epsilon=0.9, predictor_rate=0.1)
