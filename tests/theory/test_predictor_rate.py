"""The predictor's rate: JEPA at rate 1, conserved quantities, and who survives decay."""

import numpy as np
import pytest

from jepabook import JEPA, dynamics, fast_predictor, predictor_rate, weight_decay

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
    assert w[-1] == pytest.approx(fast_predictor.final_size(rho, **known), rel=1e-5)
    assert v[-1] == pytest.approx(rho, rel=1e-5)


def test_a_predictor_of_any_speed_in_the_limit_leaves_sizes_as_they_were():
    fast = {"epsilon": 0.1, "predictor_rate": 1e12}
    assert fast_predictor.final_size(0.8, depth=3, **fast) == pytest.approx(0.1, rel=1e-6)
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
