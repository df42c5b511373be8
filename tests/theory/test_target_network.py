"""JEPA with a target network: the scalar theory against matrices, limits and bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy.integrate import solve_ivp

from jepabook import (
    JEPA,
    MAE,
    FeatureSpectrum,
    critical_time,
    dynamics,
    linear_net,
    matrix_flow,
    minibatch,
    target_network,
)
from tests import references

SPECTRUM = FeatureSpectrum([0.6, 0.9, 1.2, 1.5], [1.1, 0.7, 0.9, 0.6])
DEPTHS = pytest.mark.parametrize("depth", [1, 2, 3])


def sizes_of_matrices(depth, epsilon, rates, theta, kappa=0.0, teacher=None):
    """Sizes (n, rates, d) of full networks under target networks, by gradient flow in torch."""
    start = torch.tensor(
        matrix_flow.aligned_weights(JEPA, depth=depth, width=4, epsilon=epsilon, seed=2)
    )
    weights = start[:, None].repeat(1, len(rates), 1, 1)
    options = linear_net.settings(JEPA, weights, target_rate=rates, weight_decay=kappa)
    source = minibatch.Population(*SPECTRUM.covariances())
    known = {"target_weights": teacher, "rtol": 1e-11, "atol": 1e-13}
    return linear_net.flow(weights, options, source, theta, **known).sizes


@DEPTHS
@pytest.mark.parametrize("kappa", [0.0, 0.004])
def test_full_matrices_follow_the_two_scalar_equations(depth, kappa):
    rates, epsilon, theta = np.array([0.5, 0.02, 0.0]), 0.3**depth, np.linspace(0, 15, 4)
    full = sizes_of_matrices(depth, epsilon, rates, theta, kappa)
    known = {"depth": depth, "epsilon": epsilon, "target_rate": rates[:, None]}
    scalar, _ = target_network.trajectory(
        depth * theta, SPECTRUM.lam, SPECTRUM.rho, **known, weight_decay=kappa
    )
    np.testing.assert_allclose(full, scalar, rtol=1e-8)


def test_the_comparison_can_fail_by_the_clock_of_the_target():
    depth, epsilon, theta = 3, 0.03, np.linspace(0, 15, 4)
    full = sizes_of_matrices(depth, epsilon, np.array([0.05]), theta)[:, 0]
    wrong, _ = target_network.trajectory(
        depth * theta, SPECTRUM.lam, SPECTRUM.rho, depth=depth, epsilon=epsilon, target_rate=0.15
    )
    assert np.abs(full / wrong - 1).max() > 1e-3


def test_a_frozen_teacher_is_the_mae_equation_also_in_full_matrices():
    depth, epsilon, theta = 2, 0.04, np.linspace(0, 20, 4)
    start = matrix_flow.aligned_weights(JEPA, depth=depth, width=4, epsilon=epsilon, seed=2)
    teacher = torch.tensor(3 * start[:depth])[:, None]  # layers three times as large
    full = sizes_of_matrices(depth, epsilon, np.array([0.0]), theta, teacher=teacher)[:, 0]
    student = target_network.behind_teacher(SPECTRUM.lam, SPECTRUM.rho, 9 * epsilon)
    closed = dynamics.trajectory(
        MAE, depth * theta[:, None], *student, depth=depth, epsilon=epsilon
    )
    np.testing.assert_allclose(full, closed, rtol=1e-8)


@DEPTHS
def test_a_very_fast_target_is_jepa(depth):
    known = {"lam": SPECTRUM.lam, "rho": SPECTRUM.rho, "depth": depth, "epsilon": 0.2**depth}
    found = target_network.critical_time(**known, target_rate=1e9)
    np.testing.assert_allclose(found, critical_time.exact(JEPA, **known), rtol=1e-7)


def test_critical_times_agree_with_a_plain_integration_of_the_sizes():
    lam, rho, depth, epsilon, tau = 0.8, 1.1, 3, 0.05, 0.07

    def slope(_, state):
        w, omega = state
        growth = lam * omega**depth * w ** (2 - 1 / depth)
        return [growth - lam / rho * w**3, tau / depth * (w ** (1 / depth) - omega)]

    def half(_, state):
        return state[0] - rho**depth / 2

    start = [epsilon, epsilon ** (1 / depth)]
    options = {"events": half, "method": "DOP853", "rtol": 1e-12, "atol": 1e-14}
    crossing = solve_ivp(slope, (0, 1000), start, **options).t_events[0][0]
    found = target_network.critical_time(lam, rho, depth=depth, epsilon=epsilon, target_rate=tau)
    assert found == pytest.approx(crossing, rel=1e-8)


def critical(lam, rho, depth, epsilon, rate, fraction=0.5):
    """The critical time of the numbers of one row."""
    return target_network.critical_time(
        lam, rho, depth=depth, epsilon=epsilon, target_rate=rate, fraction=fraction
    )


PRINTED = 1.4057964046815468, 0.5620923958379297, 1, 5.446103921410937e-8, 185006.43222367956
PRINTED += (0.7527143143541591,)


def test_critical_times_are_those_of_an_extrapolated_integration_at_34_digits():
    assert critical(*PRINTED) == pytest.approx(
        references.target_time(*PRINTED, tolerance=1e-14, order=12), rel=1e-12
    )
    assert critical(*PRINTED) == pytest.approx(13061477.84, rel=1e-9)
    for *known, time in references.TARGET_TIMES:
        assert critical(*known) == pytest.approx(time, rel=1e-10), known


def extreme_features(count, seed):
    """(lam, rho, L, epsilon, rate, fraction) from the ends of float64."""
    rng = np.random.default_rng(seed)
    while count:
        depth, wide = int(10 ** rng.uniform(0, 2)), count % 2
        lam, rho = 10 ** rng.uniform(-200, 200) if wide else 10 ** rng.uniform(-3, 3), 0.0
        rho = 10 ** rng.uniform(-200 / depth, 200 / depth) if wide else 10 ** rng.uniform(-2, 2)
        fraction = rng.choice([rng.uniform(0.01, 0.99), 1 - 10 ** rng.uniform(-14, -1)])
        log_epsilon = depth * np.log(rho) + np.log(fraction) - 10 ** rng.uniform(-6, 2.5)
        rate = 10 ** rng.uniform(-250, 250) if count % 3 else lam * 10 ** rng.uniform(-9, 9)
        if abs(log_epsilon) < 600:
            count -= 1
            yield lam, rho, depth, np.exp(log_epsilon), rate, fraction


@pytest.mark.parametrize("seed", [0, 1])
def test_a_target_that_lags_is_never_earlier_than_jepa_at_the_ends_of_float64(seed):
    refused = 0
    for known in extreme_features(20, seed):
        lam, rho, depth, epsilon, rate, fraction = known
        try:
            with np.errstate(divide="raise", over="raise", invalid="raise"):
                time = critical(*known)
        except ValueError as error:
            assert str(error).endswith(f"for the time to fit in float64, got {epsilon}")
            refused += 1
            continue
        jepa = critical_time.exact(JEPA, lam, rho, depth=depth, epsilon=epsilon, fraction=fraction)
        assert jepa <= time < np.inf
        if jepa > 1e-250:
            fastest = critical(lam, rho, depth, epsilon, 1e300, fraction)
            assert fastest == pytest.approx(jepa, rel=1e-12) or rate < 1e300
    assert refused < 10


@DEPTHS
def test_critical_times_at_both_ends_of_the_rate_are_closed_forms(depth):
    rho, epsilon = np.array([0.7, 1.4]), 0.05**depth
    jepa = critical_time.exact(JEPA, 1.3, rho, depth=depth, epsilon=epsilon)
    np.testing.assert_array_equal(critical(1.3, rho, depth, epsilon, 1e300), jepa)
    for tau in (1e-20, 1e-40, 1e-280):
        slow = target_network.slow_critical_time(rho, depth=depth, epsilon=epsilon, target_rate=tau)
        np.testing.assert_allclose(critical(1.3, rho, depth, epsilon, tau), slow, rtol=1e-9)
        # up to the plateau (rho epsilon)^(L/(L+1)) the target is a frozen teacher
        goal = 0.9 * (rho * epsilon) ** (depth / (depth + 1))
        student = target_network.behind_teacher(1.3, rho, epsilon)
        frozen = dynamics.time_to_reach(MAE, goal, *student, depth=depth, epsilon=epsilon)
        found = target_network.critical_time(
            1.3, rho, depth=depth, epsilon=epsilon, target_rate=tau, goal=goal
        )
        np.testing.assert_allclose(found, frozen, rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-90, 1e-3, 1e40, 1e200])
def test_critical_times_scale_with_the_unit_of_time(factor):
    rates = np.array([0.01, 1.0, 50.0])
    time = critical(1.2, 0.8, 2, 0.03, rates)
    scaled = critical(1.2 * factor, 0.8, 2, 0.03, factor * rates)
    np.testing.assert_allclose(factor * scaled, time, rtol=1e-12)


def test_the_way_to_a_goal_next_to_the_start_is_jepas_and_zero_where_there_is_none():
    for gap in (1e-4, 1e-9, 1e-15):
        goal = 0.1 * (1 + gap)
        late = target_network.critical_time(
            1.0, 1.0, depth=2, epsilon=0.1, target_rate=1e-3, goal=goal
        )
        jepa = dynamics.time_to_reach(JEPA, goal, 1.0, 1.0, depth=2, epsilon=0.1)
        assert jepa <= late <= jepa * (1 + 4 * gap)


def enclosed(path, t, expected):
    """Whether `expected` lies between path(t) at times a relative 1e-10 earlier and later."""
    early, late = path(t * (1 - 1e-10)), path(t * (1 + 1e-10))
    low, high = np.minimum(early, late), np.maximum(early, late)
    return np.all((expected > low * (1 - 1e-8)) & (expected < high * (1 + 1e-8)))


@pytest.mark.parametrize("rate", [0.0, 1e-12, 1e-3, 1.0, 1e9])
@DEPTHS
def test_trajectories_pass_the_goals_at_their_times_and_obey_the_frozen_closed_form(depth, rate):
    known = {"depth": depth, "epsilon": 0.005**depth}

    def path(t):
        return target_network.trajectory(t, 1.1, 0.9, **known, target_rate=rate)

    for fraction in (0.01, 0.5, 0.999) if rate else ():
        goal = fraction * 0.9**depth
        time = critical(1.1, 0.9, **known, rate=rate, fraction=fraction)
        assert enclosed(lambda t: path([0, t])[0][-1], time, goal)
    if not rate:
        student = target_network.behind_teacher(1.1, 0.9, 0.005**depth)
        t = np.append(0, np.geomspace(1e-3, 1e6 / student[0], 12))
        w, target = path(t)
        closed = dynamics.trajectory(MAE, t, *student, **known)
        np.testing.assert_allclose(w, closed, rtol=1e-8)
        np.testing.assert_allclose(target, 0.005**depth, rtol=1e-12)


def test_trajectories_reach_from_one_end_of_float64_to_the_other():
    t, starts = [0.0, 1e-30, 1.0, 1e10, 1e120], [1e-300, 1e-50, 0.3, 1e40]
    for rate in (1e-3, 1.0):
        w, target = target_network.trajectory(
            t, 1.0, 0.7, depth=3, epsilon=starts, target_rate=rate
        )
        np.testing.assert_allclose(w[-1, 1:], 0.7**3, rtol=1e-10)
        np.testing.assert_allclose(target[-1, 1:], 0.7**3, rtol=1e-10)
        np.testing.assert_allclose(w[:, 0], 1e-300, rtol=1e-10)
    with pytest.raises(ValueError, match=r"^t must be small enough for its product"):
        target_network.trajectory([0.0, 1e300], 1.0, 0.7, depth=3, epsilon=1e50, target_rate=1.0)


@pytest.mark.parametrize("epsilon", [1e-40, 1e-300, 0.5 - 1e-15])
@pytest.mark.parametrize(("depth", "rho"), [(1, 1.0), (3, 0.9), (10_000, 1.0)])
def test_the_slow_limit_is_exact_at_the_start_and_however_far_from_it(depth, rho, epsilon):
    start, passed = mp.mpf(epsilon) / mp.mpf(rho) ** depth, (0.0, 1e-20, 1e-3, 1.0, 40.0, 1e300)
    for a in passed:
        found = target_network.slow_trajectory(
            a, rho, depth=depth, epsilon=epsilon, target_rate=1.0
        )
        with references.digits():
            y = 1 - (1 - mp.root(start, depth * (depth + 1))) * mp.exp(
                -mp.mpf(a) / (depth * (depth + 1))
            )
            sizes = [mp.mpf(rho) ** depth * y ** (depth * n) for n in (depth, depth + 1)]
            for value, size in zip(found, sizes, strict=True):
                assert value == pytest.approx(float(size), rel=2e-12)


@given(
    st.integers(1, 5),
    st.floats(0.3, 2.0),
    st.floats(0.5, 1.5),
    st.floats(0.1, 0.8),
    st.floats(-4, 3),
)
@settings(max_examples=25)
def test_critical_times_fall_with_the_rate_and_with_lam_and_exceed_jepas(
    depth, lam, rho, share, log_rate
):
    epsilon, tau = share**depth * 0.5 * rho**depth, 10.0**log_rate
    time = target_network.critical_time(lam, rho, depth=depth, epsilon=epsilon, target_rate=tau)
    faster = target_network.critical_time(
        lam, rho, depth=depth, epsilon=epsilon, target_rate=1.5 * tau
    )
    assert time > faster * (1 - 1e-8)  # at large rates the fall is below the integrator's error
    assert time > target_network.critical_time(
        1.2 * lam, rho, depth=depth, epsilon=epsilon, target_rate=tau
    )
    assert time > critical_time.exact(JEPA, lam, rho, depth=depth, epsilon=epsilon) * (1 - 1e-7)


def test_first_order_delay_has_an_error_of_second_order():
    known, rates = {"rho": 0.9, "depth": 2, "epsilon": 0.06}, np.array([20.0, 40.0, 80.0])
    late = target_network.critical_time(1.1, **known, target_rate=rates)
    late -= critical_time.exact(JEPA, 1.1, **known)
    error = np.abs(late - target_network.fast_delay(**known, target_rate=rates))
    np.testing.assert_allclose(error[:-1] / error[1:], 4, rtol=0.2)


@DEPTHS
def test_slow_limit_is_approached_by_sizes_targets_and_times(depth):
    rho, epsilon, tau = np.array([0.7, 1.1]), 0.2**depth, 1e-8
    t = np.array([0.0, 0.5, 2.0, 8.0]) * depth / tau
    found = target_network.trajectory(t, 1.3, rho, depth=depth, epsilon=epsilon, target_rate=tau)
    limit = target_network.slow_trajectory(
        t[:, None], rho, depth=depth, epsilon=epsilon, target_rate=tau
    )
    for sizes, closed in zip(found, limit, strict=True):
        np.testing.assert_allclose(sizes[1:], closed[1:], rtol=1e-3)
    times = target_network.slow_critical_time(
        rho, depth=depth, epsilon=epsilon, target_rate=tau, fraction=0.7
    )
    reached = target_network.slow_trajectory(
        times, rho, depth=depth, epsilon=epsilon, target_rate=tau
    )[0]
    np.testing.assert_allclose(reached, 0.7 * rho**depth, rtol=1e-12)
    exact = target_network.critical_time(
        1.3, rho, depth=depth, epsilon=epsilon, target_rate=tau, fraction=0.7
    )
    np.testing.assert_allclose(exact, times, rtol=1e-3)


def test_at_the_boundary_two_features_tie():
    for share, rate in [(0.5, 1e-3), (0.5, 0.3), (0.1, 0.3), (0.9, 1e3)]:
        known = {"depth": 3, "epsilon": 0.02, "target_rate": rate, "fraction": share}
        ratio = target_network.inversion_boundary(1.0, 0.7, **known)
        first = target_network.critical_time(1.0, 1.0, **known)
        assert target_network.critical_time(ratio, 0.7, **known) == pytest.approx(first, rel=1e-8)
        assert target_network.inversion_boundary(0.8, 0.8, **known) == pytest.approx(1, rel=1e-8)
    far = {"depth": 2, "epsilon": 0.25, "target_rate": 1e-3}
    assert np.isnan(target_network.inversion_boundary(1.0, 3.0, **far))


@given(st.integers(1, 6), st.floats(0.4, 1.5))
def test_generations_start_at_one_pass_mae_and_end_at_jepa(depth, rho):
    sizes = target_network.generation_size(rho, depth=depth, generation=[0, 1, 2, np.inf])
    second = dynamics.fixed_point(
        MAE, target_network.behind_teacher(1, rho, sizes[1])[1], depth=depth
    )
    ends = [
        1,
        dynamics.fixed_point(MAE, rho, depth=depth),
        second,
        dynamics.fixed_point(JEPA, rho, depth=depth),
    ]
    np.testing.assert_allclose(sizes, ends, rtol=1e-12)


GOOD = {"lam": 1.0, "rho": 0.8, "depth": 2, "epsilon": 0.05, "target_rate": 0.1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lam", 0.0),
        ("rho", -1.0),
        ("depth", 1.5),
        ("epsilon", 0.5),
        ("target_rate", 0.0),
        ("target_rate", np.inf),
        ("fraction", 1.0),
        ("goal", 0.7),
        ("lam", [[1.0, 2.0], [1.0, np.nan]]),
    ],
)
def test_bad_input_is_named_in_one_line(name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b") as caught:
        target_network.critical_time(**(GOOD | {name: value}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: target_network.trajectory([1.0, 2.0], **GOOD), "t must"),
        (lambda: target_network.trajectory([0.0, 1.0], **GOOD, weight_decay=-1.0), "weight_decay"),
        (lambda: target_network.trajectory([0.0, 1.0], **GOOD, teacher=0.0), "teacher"),
        (
            lambda: target_network.trajectory(
                [0.0, 1.0], **(GOOD | {"rho": [0.8] * 2, "lam": [1.0] * 3})
            ),
            "shapes must .* lam",
        ),
        (lambda: target_network.fast_delay(0.8, depth=2, epsilon=0.7, target_rate=1.0), "epsilon"),
        (
            lambda: target_network.slow_critical_time(0.8, depth=2, epsilon=0.7, target_rate=1.0),
            "epsilon",
        ),
        (
            lambda: target_network.slow_trajectory(
                -1.0, 0.8, depth=2, epsilon=0.1, target_rate=1.0
            ),
            "t must",
        ),
        (lambda: target_network.behind_teacher(1.0, 1.0, -1.0), "teacher"),
        (lambda: target_network.generation_size(1.0, depth=2, generation=-1), "generation"),
        (
            lambda: target_network.inversion_boundary(
                1.0, 0.7, depth=2, epsilon=0.1, target_rate=-1.0
            ),
            "target_rate",
        ),
    ],
)
def test_bad_input_of_the_other_functions_is_named(call, name):
    with pytest.raises(ValueError, match=rf"^{name}\b") as caught:
        call()
    assert "\n" not in str(caught.value)
