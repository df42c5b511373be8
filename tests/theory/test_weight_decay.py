"""Weight decay: fixed points against the velocity, thresholds against integration and matrices."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from jepabook import (
    JEPA,
    MAE,
    FeatureSpectrum,
    dynamics,
    linear_net,
    matrix_flow,
    minibatch,
    target_network,
    weight_decay,
)

OBJECTIVES = st.sampled_from([JEPA, MAE])
BOTH = pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)


def growth(objective, w, lam, rho, depth):
    """dw/dt / w without decay."""
    return lam * w ** (objective.growth_exponent(depth=depth) - 1) - lam / rho * w**2


@given(OBJECTIVES, st.integers(1, 12), st.floats(0.1, 10), st.floats(0.3, 3))
def test_critical_decay_is_the_formula_in_q_and_the_largest_growth(objective, depth, lam, rho):
    q = objective.growth_exponent(depth=depth)
    top = lam * (3 - q) / 2 * (rho * (q - 1) / 2) ** ((q - 1) / (3 - q))
    found = weight_decay.critical_decay(objective, lam, rho, depth=depth)
    assert found == pytest.approx(top, rel=1e-10)
    sizes = dynamics.fixed_point(objective, rho, depth=depth) * np.linspace(1e-6, 1, 400)
    assert growth(objective, sizes, lam, rho, depth).max() <= found * (1 + 1e-12)


@given(
    OBJECTIVES,
    st.integers(1, 12),
    st.floats(0.1, 10),
    st.floats(0.3, 3),
    st.floats(1e-9, 0.999999),
)
def test_at_the_fixed_points_growth_equals_decay(objective, depth, lam, rho, share):
    kappa = share * weight_decay.critical_decay(objective, lam, rho, depth=depth)
    low, high = weight_decay.fixed_points(objective, lam, rho, depth=depth, weight_decay=kappa)
    assert 0 <= low < high <= dynamics.fixed_point(objective, rho, depth=depth)
    noise = 1e-13 * lam * rho ** objective.slowdown(depth=depth)  # of two terms that nearly cancel
    assert growth(objective, high, lam, rho, depth) == pytest.approx(kappa, rel=1e-9, abs=noise)
    if objective is JEPA or depth > 1:
        assert growth(objective, low, lam, rho, depth) == pytest.approx(kappa, rel=1e-9)
    else:
        assert low == 0


@BOTH
def test_no_decay_and_too_much_decay_in_one_array(objective):
    top = weight_decay.critical_decay(objective, 1.0, 0.8, depth=3)
    low, high = weight_decay.fixed_points(
        objective, 1.0, 0.8, depth=3, weight_decay=[0.0, top / 2, 1.01 * top]
    )
    assert low[0] == 0 and high[0] == dynamics.fixed_point(objective, 0.8, depth=3)
    assert np.isnan(low[2]) and np.isnan(high[2]) and np.isfinite([low[1], high[1]]).all()


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("share", [0.3, 0.95])
def test_greatest_decay_separates_starts_that_die_from_starts_that_live(objective, depth, share):
    lam, rho = 1.2, 0.8
    epsilon = share**depth * dynamics.fixed_point(objective, rho, depth=depth)
    limit = weight_decay.greatest_decay(objective, lam, rho, depth=depth, epsilon=epsilon)
    kappa = limit * np.array([0.98, 1.02])
    t = np.array([0.0, 4000 / limit])
    end = weight_decay.trajectory(
        objective, t, lam, rho, depth=depth, epsilon=epsilon, weight_decay=kappa
    )[-1]
    expected = weight_decay.final_size(
        objective, lam, rho, depth=depth, epsilon=epsilon, weight_decay=kappa
    )
    assert expected[0] > 0 == expected[1]
    np.testing.assert_allclose(end, expected, rtol=1e-6, atol=1e-6)


@BOTH
@pytest.mark.parametrize("depth", [1, 3])
def test_full_matrices_follow_the_scalar_equation_with_decay(objective, depth):
    spectrum, epsilon, kappa = FeatureSpectrum([0.6, 0.9, 1.2], [1.1, 0.7, 0.9]), 0.05, 0.01
    start = torch.tensor(
        matrix_flow.aligned_weights(objective, depth=depth, width=3, epsilon=epsilon, seed=1)
    )[:, None]
    options = linear_net.settings(objective, start, weight_decay=kappa)
    source, theta = minibatch.Population(*spectrum.covariances()), np.linspace(0, 12, 4)
    full = linear_net.flow(start, options, source, theta, rtol=1e-11, atol=1e-13).sizes[:, 0]
    known = {"depth": depth, "epsilon": epsilon, "weight_decay": kappa}
    scalar = weight_decay.trajectory(objective, depth * theta, spectrum.lam, spectrum.rho, **known)
    np.testing.assert_allclose(full, scalar, rtol=1e-8)


@pytest.mark.parametrize("tau", [0.002, 0.1, 5.0])
def test_a_target_network_does_not_move_the_threshold(tau):
    lam, rho, depth, epsilon = 1.1, 0.9, 2, 0.09
    kappa = weight_decay.greatest_decay(JEPA, lam, rho, depth=depth, epsilon=epsilon) * np.array(
        [0.97, 1.03]
    )
    t = np.array([0.0, 2000 / kappa[0]])
    end = target_network.trajectory(
        t, lam, rho, depth=depth, epsilon=epsilon, target_rate=tau, weight_decay=kappa
    )[0][-1]
    expected = weight_decay.final_size(
        JEPA, lam, rho, depth=depth, epsilon=epsilon, weight_decay=kappa
    )
    np.testing.assert_allclose(end, expected, rtol=1e-5, atol=1e-6)


@given(st.floats(0.1, 10), st.floats(0.4, 1.5), st.integers(1, 8), st.floats(0.01, 0.4))
def test_small_starts_bear_what_the_priority_of_chapter_6_says(lam, rho, depth, share):
    gain = share * rho
    found = weight_decay.greatest_decay(JEPA, lam, rho, depth=depth, epsilon=gain**depth)
    assert found == pytest.approx(gain ** (2 * depth - 1) * (lam - gain * lam / rho), rel=1e-9)


EXTREMES = [(1.0, 1.0), (1e300, 1e-290), (1e-300, 3.0), (1.0, 1e30)]


@BOTH
@pytest.mark.parametrize("depth", [1, 5, 72, 200, 10_000])
def test_critical_decays_and_fixed_points_at_the_ends_of_float64(objective, depth):
    for lam, rho in EXTREMES if depth < 9 else [(1.0, 1.0), (1e300, 0.9)]:
        with mp.workdps(40):
            k, L = objective.base_exponent, mpf(depth)
            m, s = ((k - 1) * L - 1) / ((3 - k) * L + 1), (3 - k) + 1 / L
            fold = mp.exp(m * mp.log(m) if m else 0) / (m + 1) ** (m + 1)
            top = lam * mpf(rho) ** m * fold
        if top > 1e308:
            with pytest.raises(ValueError, match=r"^rho must be small enough for the decay"):
                weight_decay.critical_decay(objective, lam, rho, depth=depth)
            continue
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            found = weight_decay.critical_decay(objective, lam, rho, depth=depth)
            assert found == pytest.approx(float(top), rel=1e-12)
            kappa = found * np.array([1e-280, 1e-170, 1e-9, 0.5, 1 + 1e-12])
            low, high = weight_decay.fixed_points(
                objective, lam, rho, depth=depth, weight_decay=kappa
            )
        assert np.isnan(low[-1]) == np.isnan(high[-1]) == (found > 0)
        for decay, unstable, stable in zip(kappa[:-1], low, high, strict=False):
            for size in (unstable, stable):
                if size > 1e-300 and decay > 1e-300:
                    with mp.workdps(40):
                        z = mpf(size) ** s / mpf(rho)
                        rest = lam * mpf(size) ** (s * m) * (1 - z) / decay
                    if z < 0.9:  # beyond, 1 - z has few digits of a size in float64
                        assert float(rest) == pytest.approx(1, rel=1e-9)


@BOTH
def test_without_decay_every_start_is_learned_also_where_its_limit_is_below_float64(objective):
    for epsilon in (1e-300, 1e-200, 0.1):
        final = weight_decay.final_size(
            objective, 1.0, 0.9, depth=100, epsilon=epsilon, weight_decay=0.0
        )
        assert final == dynamics.fixed_point(objective, 0.9, depth=100) or epsilon == 0.1


@pytest.mark.parametrize("share", [0.0, 1e-12, 0.3, 0.999])
def test_one_layer_of_mae_with_decay_is_mae_with_less_lam(share):
    t = np.append(0, np.geomspace(1e-9, 1e9, 40))
    for epsilon in (1e-300, 1e-20, 0.1):
        lam, rho = 2.0 * (1 - share), 0.9 * (1 - share)
        if epsilon < rho**0.5:
            found = weight_decay.trajectory(
                MAE, t, 2.0, 0.9, depth=1, epsilon=epsilon, weight_decay=2.0 * share
            )
            early, late = (
                dynamics.trajectory(MAE, t * (1 + shift), lam, rho, depth=1, epsilon=epsilon)
                for shift in (-1e-10, 1e-10)
            )
            assert np.all((found > early * (1 - 1e-8)) & (found < late * (1 + 1e-8)))


@BOTH
@pytest.mark.parametrize("depth", [1, 4, 100])
def test_without_decay_trajectories_are_the_closed_form(objective, depth):
    t = np.append(0, np.geomspace(1e-9, 1e9, 40))
    for epsilon in (1e-100, 1e-3):
        found = weight_decay.trajectory(
            objective, t, 2.0, 1.0, depth=depth, epsilon=epsilon, weight_decay=0.0
        )
        early, late = (
            dynamics.trajectory(objective, t * (1 + shift), 2.0, 1.0, depth=depth, epsilon=epsilon)
            for shift in (-1e-10, 1e-10)
        )
        assert np.all((found > early * (1 - 1e-8)) & (found < late * (1 + 1e-8)))


GOOD = {"lam": 1.0, "rho": 0.8, "depth": 2, "weight_decay": 0.01}


@pytest.mark.parametrize(
    ("name", "value"),
    [("lam", 0.0), ("rho", np.nan), ("depth", 0), ("weight_decay", -1.0), ("objective", "JEPA")],
)
def test_bad_input_is_named_in_one_line(name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b") as caught:
        weight_decay.fixed_points(**({"objective": JEPA} | GOOD | {name: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: weight_decay.greatest_decay(JEPA, 1.0, 1.0, depth=2, epsilon=0.0), "epsilon"),
        (
            lambda: weight_decay.final_size(
                MAE, 1.0, 1.0, depth=2, epsilon=0.1, weight_decay=np.inf
            ),
            "weight_decay",
        ),
        (
            lambda: weight_decay.trajectory(
                MAE, [0.0], 1.0, 1.0, depth=2, epsilon=0.1, weight_decay=0.0
            ),
            "t must",
        ),
        (
            lambda: weight_decay.trajectory(
                MAE, [0.0, 1.0], 1.0, 1.0, depth=2, epsilon=-0.1, weight_decay=0.0
            ),
            "epsilon",
        ),
        (
            lambda: weight_decay.critical_decay(MAE, [1.0, 2.0], [1.0] * 3, depth=2),
            "shapes must .* lam",
        ),
    ],
)
def test_bad_input_of_the_other_functions_is_named(call, name):
    with pytest.raises(ValueError, match=rf"^{name}\b") as caught:
        call()
    assert "\n" not in str(caught.value)
