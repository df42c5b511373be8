"""The scalar dynamics against 50-digit references that share no code with the package.

How a value is judged. `time_to_reach` promises t to a relative 1e-12, and that is what is tested.
For `trajectory` such a promise is impossible: where a feature takes off, a change of t in the 16th
digit moves w by orders of magnitude. The right promise is mixed, forward and backward: the value
returned is, to a relative 1e-12, the exact solution at a time within a relative 1e-12 of t. As
t(w) increases, that is to say

    t(w (1 - 1e-12)) <= t + 1e-12 |t|    and    t(w (1 + 1e-12)) >= t - 1e-12 |t|,

two evaluations of the reference's t(w), and no inversion. `relative_gap` is judged the same way,
with the gap in the place of w.
"""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from jepabook import JEPA, MAE, clock, dynamics
from jepabook.theory.objectives import Objective
from tests import references

TOLERANCE = 1e-12
BOTH = pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)


def relative_error(value, reference):
    with references.digits():
        return float(abs(mpf(float(value)) / reference - 1))


def sizes(name, count, seed):
    """(w, depth, lam, rho, epsilon): w near the fixed point, near epsilon, or anywhere between."""
    rng = np.random.default_rng([seed, 1])
    for k, (depth, lam, rho, epsilon) in enumerate(references.parameters(name, count, seed)):
        with references.digits():
            top = references.fixed_point(name, rho, depth)
            w = (
                float(top * (1 - mpf(10) ** -rng.uniform(0.1, 16))),
                epsilon * (1 + 10 ** -rng.uniform(0, 15)),
                float(top * mpf(epsilon / top) ** rng.random()),
                float(top * 10 ** -rng.uniform(0, 6)),  # may lie below epsilon: negative times
            )[k // 40 % 4]
            if w < top and w != epsilon:
                yield w, depth, lam, rho, epsilon


def worst_time_error(objective, count=320, seed=0):
    return max(
        relative_error(
            dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon),
            references.time(objective.name, w, lam, rho, depth, epsilon),
        )
        for w, depth, lam, rho, epsilon in sizes(objective.name, count, seed)
    )


def times(name, count, seed):
    """(t, depth, lam, rho, epsilon): t from start to saturation, at the take-off, and negative."""
    rng = np.random.default_rng([seed, 2])
    for depth, lam, rho, epsilon in references.parameters(name, count, seed):
        with references.digits():
            half = references.fixed_point(name, rho, depth) * mpf(rng.uniform(0.01, 0.99))
        t = float(references.time(name, half, lam, rho, depth, epsilon))
        factor = (
            1.0,
            10 ** rng.uniform(-12, 0),
            1 + 10 ** rng.uniform(-16, 2),
            1 - 10 ** rng.uniform(-16, -1),
            -(10 ** rng.uniform(-6, 0)),
        )[rng.integers(5)]
        yield t * factor, depth, lam, rho, epsilon


def brackets(name, low, high, t, lam, rho, depth, epsilon, working=100):
    """Whether t, give or take 1e-12 of it, lies between the exact times of `low` and `high`."""
    with references.digits(working):
        t, slack = mpf(t), mpf(TOLERANCE) * abs(mpf(t))
        top = references.fixed_point(name, rho, depth)
        args = (lam, rho, depth, epsilon, working)
        early = low <= 0 or (low < top and references.time(name, low, *args) <= t + slack)
        late = high >= top or references.time(name, high, *args) >= t - slack
        return early and late


def trajectory_is_right(objective, t, depth, lam, rho, epsilon):
    with references.digits(100):
        w = mpf(float(dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=epsilon)))
        low, high = w * (1 - mpf(TOLERANCE)), w * (1 + mpf(TOLERANCE))
    return brackets(objective.name, low, high, t, lam, rho, depth, epsilon)


def gap_is_right(objective, t, depth, lam, rho, epsilon):
    gap = float(dynamics.relative_gap(objective, t, lam, rho, depth=depth, epsilon=epsilon))
    # a gap below float64 is returned as 0: then the exact one must be below 1e-307
    working = 100 - int(np.floor(np.log10(gap or 1e-308)))
    with references.digits(working):
        top, gap = references.fixed_point(objective.name, rho, depth), mpf(gap)
        low, high = (top * (1 - gap * (1 + d)) for d in (mpf(TOLERANCE), -mpf(TOLERANCE)))
        low = low if gap else top * (1 - mpf(10) ** -307)
    return brackets(objective.name, low, high, t, lam, rho, depth, epsilon, working)


# The reference itself


@BOTH
def test_reference_partial_fractions_equal_quadrature_of_the_ode_to_40_digits(objective):
    for w, depth, lam, rho, epsilon in list(sizes(objective.name, 160, seed=9))[::12]:
        args = (objective.name, w, lam, rho, depth, epsilon)
        with references.digits(60):
            by_quadrature = references.time_by_quadrature(*args, working=60)
            assert abs(references.time(*args) / by_quadrature - 1) < mpf(10) ** -40, args


# time_to_reach


@BOTH
def test_time_to_reach_is_exact_to_1e_12_for_depths_1_to_40(objective):
    assert worst_time_error(objective) < TOLERANCE


@BOTH
def test_time_to_reach_is_the_integral_of_the_ode_by_quadrature(objective):
    for w, depth, lam, rho, epsilon in list(sizes(objective.name, 160, seed=5))[::10]:
        by_quadrature = references.time_by_quadrature(objective.name, w, lam, rho, depth, epsilon)
        ours = dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon)
        assert relative_error(ours, by_quadrature) < TOLERANCE


def doubles_around(exact, count):
    """The `count` doubles next below an mpf and the one next above it."""
    above = float(exact)
    while mpf(above) <= exact:
        above = np.nextafter(above, np.inf)
    below = [above]
    for _ in range(count):
        below.append(np.nextafter(below[-1], 0))
    return np.array(below[1:]), above


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 7, 10, 16, 25, 40])
def test_time_to_the_very_last_doubles_below_the_fixed_point_is_exact_to_1e_12(objective, depth):
    """There 1 - w / w_inf is far below 1e-16, and rho^L is not a double: plain floats fail."""
    lam = 1.7
    for rho in (0.05, 1 / 3, 0.9, 1.0, 2.0):
        with references.digits(200):
            top = references.fixed_point(objective.name, rho, depth)
            below, above = doubles_around(top, 3)
        epsilon = 0.5 * below[-1]
        below = below[below < above]
        for w in below:
            with references.digits(200):
                if mpf(float(w)) >= top:  # rho = 1: the fixed point is itself a double
                    assert (
                        dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon)
                        == np.inf
                    )
                    continue
                exact = references.time(objective.name, w, lam, rho, depth, epsilon, working=200)
            ours = dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon)
            assert relative_error(ours, exact) < TOLERANCE, (rho, w)
        assert (
            dynamics.time_to_reach(objective, above, lam, rho, depth=depth, epsilon=epsilon)
            == np.inf
        )


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 5, 40])
def test_time_from_an_epsilon_within_1e_12_of_w_or_of_the_fixed_point(objective, depth):
    """No cancellation however short the way: the time of one unit in the last place of w."""
    lam, rho = 0.3, 0.7
    top = float(references.fixed_point(objective.name, rho, depth))
    for start in (1e-8 * top, 0.3 * top, top * (1 - 1e-12)):
        for w in (np.nextafter(start, 1e300), np.nextafter(start, 0), start * (1 + 1e-13)):
            exact = references.time(objective.name, w, lam, rho, depth, start)
            ours = dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=start)
            assert relative_error(ours, exact) < TOLERANCE
        assert dynamics.time_to_reach(objective, start, lam, rho, depth=depth, epsilon=start) == 0


@BOTH
def test_time_is_inf_at_and_above_the_fixed_point_and_negative_below_epsilon(objective):
    top = dynamics.fixed_point(objective, 0.25, depth=2)
    t = dynamics.time_to_reach(
        objective, np.array([0.001, 1.01, 7]) * top, 1.0, 0.25, depth=2, epsilon=0.1 * top
    )
    assert t[0] < 0
    assert np.all(np.isinf(t[1:]))
    assert (
        dynamics.time_to_reach(JEPA, 0.25, 1.0, 0.5, depth=2, epsilon=0.1) == np.inf
    )  # w = rho^L exactly


# trajectory and relative_gap


@BOTH
def test_trajectory_is_the_solution_to_1e_12_at_a_time_within_1e_12_of_t(objective):
    for case in times(objective.name, 200, seed=0):
        assert trajectory_is_right(objective, *case), case


@BOTH
def test_relative_gap_is_the_solution_to_1e_12_at_a_time_within_1e_12_of_t(objective):
    for case in times(objective.name, 120, seed=1):
        assert gap_is_right(objective, *case), case


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("size", [1e-3, 1e-12, 1e-15, 1e-17, 1e-50, 1e-100, 1e-300])
def test_relative_gap_keeps_a_relative_accuracy_of_1e_12_however_small(objective, depth, size):
    """Purely forward, at the double t itself; w(t) = w_inf (1 - gap) cannot show such a gap."""
    lam, rho = 1.3, 0.6
    with references.digits(700):
        top = references.fixed_point(objective.name, rho, depth)
        epsilon = float(top / 10)
        args = (lam, rho, depth, epsilon, 700)
        t = float(references.time(objective.name, top * (1 - mpf(size)), *args))
        gap = mpf(
            float(dynamics.relative_gap(objective, t, lam, rho, depth=depth, epsilon=epsilon))
        )
        w = top * (1 - gap)
        late = references.time(objective.name, w, *args) - mpf(t)
        rate = references.velocity(objective.name, w, lam, rho, depth) / (top * gap)
        assert abs(late * rate) < TOLERANCE  # = |d log gap|
    if size < 1e-16:
        assert dynamics.trajectory(
            objective, t, lam, rho, depth=depth, epsilon=epsilon
        ) == pytest.approx(float(top), rel=1e-14)


@BOTH
def test_gap_and_trajectory_say_the_same_where_both_can(objective):
    t = np.linspace(-5, 30, 50)
    w = dynamics.trajectory(objective, t, 0.8, 1.2, depth=3, epsilon=0.05)
    gap = dynamics.relative_gap(objective, t, 0.8, 1.2, depth=3, epsilon=0.05)
    np.testing.assert_allclose(
        1 - w / dynamics.fixed_point(objective, 1.2, depth=3), gap, atol=1e-13
    )


@pytest.mark.parametrize(
    ("objective", "depth", "rho"), [(JEPA, 2, 0.8), (MAE, 3, 1.5), (MAE, 1, 0.3)]
)
def test_trajectory_follows_mpmaths_taylor_solver_of_the_ode(objective, depth, rho):
    """No closed form, no quadrature: Taylor steps of eqs. (7), (8) in v = w^(1/L), from t = 0.

    Depth and t are small here, so that w is well conditioned and compares directly.
    """
    lam, epsilon = 1.1, 0.2
    with references.digits(30):

        def slope(_, v):  # dv/dt = v^(1 - L) / L dw/dt, a polynomial in v
            power = 2 * depth if objective is JEPA else depth
            return mpf(lam) / depth * (v**power - v ** (2 * depth + 1) / mpf(rho))

        solution = mpmath.odefun(slope, 0, mpmath.root(mpf(epsilon), depth))
        exact = [solution(mpf(t)) ** depth for t in (0.5, 2, 4)]
    ours = dynamics.trajectory(objective, [0.5, 2, 4], lam, rho, depth=depth, epsilon=epsilon)
    for value, reference in zip(ours, exact, strict=True):
        assert relative_error(value, reference) < TOLERANCE


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 10, 40])
def test_limits_t_0_gives_epsilon_and_t_infinite_gives_the_fixed_point(objective, depth):
    rho = np.array([0.05, 0.5, 2.0])
    top = dynamics.fixed_point(objective, rho, depth=depth)
    for relative in (1e-8, 0.5):
        start = dynamics.trajectory(objective, 0, 1.0, rho, depth=depth, epsilon=relative * top)
        np.testing.assert_allclose(start, relative * top, rtol=TOLERANCE)
        for t in (1e150, 1e308):
            end = dynamics.trajectory(objective, t, 1.0, rho, depth=depth, epsilon=relative * top)
            np.testing.assert_allclose(end, top, rtol=1e-13)


def test_fixed_point_is_equation_9():
    for objective in (JEPA, MAE):
        for depth, _, rho, _ in references.parameters(objective.name, 80, seed=3):
            with references.digits():
                exact = references.fixed_point(objective.name, rho, depth)
            assert relative_error(dynamics.fixed_point(objective, rho, depth=depth), exact) < 1e-14


@BOTH
def test_velocity_is_equations_7_and_8_to_1e_12_also_next_to_the_fixed_point(objective):
    for w, depth, lam, rho, _ in sizes(objective.name, 320, seed=4):
        with references.digits(100):
            exact = references.velocity(objective.name, w, lam, rho, depth)
        assert (
            relative_error(dynamics.velocity(objective, w, lam, rho, depth=depth), exact)
            < TOLERANCE
        )


@BOTH
def test_velocity_is_zero_at_zero_and_negative_above_the_fixed_point(objective):
    v = dynamics.velocity(objective, [0, 1e-3, 0.9, 1.1, 1e50], 1.0, 1.0, depth=2)
    assert v[0] == 0 and np.all(v[1:3] > 0) and np.all(v[3:] < 0)
    assert dynamics.velocity(JEPA, 0.25, 1.0, 0.5, depth=2) == 0


# Special cases of the paper


@given(st.floats(0.05, 20), st.floats(0.05, 2), st.floats(1e-8, 0.9), st.floats(-1, 8))
def test_mae_at_depth_1_is_the_logistic_of_equations_115_to_119(lam, rho, relative, clock):
    epsilon, t = relative * np.sqrt(rho), clock / lam
    with references.digits():
        constant = mpmath.log(mpf(epsilon) ** 2 / (rho - mpf(epsilon) ** 2))
        growth = mpmath.exp(mpf(lam) * mpf(t) + constant / 2)
        exact = mpmath.sqrt(mpf(rho)) * growth / mpmath.sqrt(1 + growth**2)
    assert (
        relative_error(dynamics.trajectory(MAE, t, lam, rho, depth=1, epsilon=epsilon), exact)
        < TOLERANCE
    )


@given(st.integers(1, 40), st.floats(0.3, 2), st.floats(1e-6, 0.9), st.floats(1e-3, 0.999))
@settings(deadline=None)
def test_jepa_is_the_sum_of_lemma_b6(depth, rho, relative, fraction):
    """sigma^2 rho^(2L) t / L = I_L(psi) - I_L(psi_0) with eq. (69), sigma^2 = lam / rho."""
    lam, epsilon, w = 0.9, relative * rho**depth, fraction * rho**depth
    assume(abs(w / epsilon - 1) > 1e-6)

    def integral(size):
        psi = mpmath.root(mpf(size), depth) / mpf(rho)
        powers = mpmath.fsum(1 / (n * psi**n) for n in range(1, 2 * depth))
        return -powers + mpmath.log(psi) - mpmath.log(1 - psi)

    with references.digits(80):
        t = depth / mpf(lam) * mpf(rho) ** (1 - 2 * depth) * (integral(w) - integral(epsilon))
    assert (
        relative_error(dynamics.time_to_reach(JEPA, w, lam, rho, depth=depth, epsilon=epsilon), t)
        < TOLERANCE
    )


@pytest.mark.parametrize("rho", [0.3, 1.0, 1.8])
def test_mae_tends_to_jepa_at_depth_1_at_rate_1_over_depth_as_equation_10_says(rho):
    depths = np.array([100, 1000, 10_000])
    top, t = dynamics.fixed_point(JEPA, rho, depth=1), np.array([0.0, 2.0, 5.0, 20.0, 60.0])
    limit = dynamics.trajectory(JEPA, t, 1.0, rho, depth=1, epsilon=0.1 * top)
    far = [
        np.abs(
            dynamics.trajectory(MAE, t, 1.0, rho, depth=int(d), epsilon=0.1 * top) / limit - 1
        ).max()
        for d in depths
    ]
    np.testing.assert_allclose(np.array(far) * depths, far[-1] * depths[-1], rtol=0.1)
    reach = [
        dynamics.time_to_reach(MAE, 0.5 * top, 1.0, rho, depth=int(d), epsilon=0.1 * top)
        for d in depths
    ]
    late = np.array(reach) - dynamics.time_to_reach(
        JEPA, 0.5 * top, 1.0, rho, depth=1, epsilon=0.1 * top
    )
    np.testing.assert_allclose(late * depths, late[-1] * depths[-1], rtol=0.1)


# Properties

CASES = {
    "objective": st.sampled_from([JEPA, MAE]),
    "depth": st.integers(1, 40),
    "lam": st.floats(0.05, 20),
    "rho": st.floats(0.05, 2),
    "relative": st.floats(1e-8, 0.9),
}


def fraction_times(objective, depth, lam, rho, relative):
    """Fractions of the fixed point, the times at which they are passed, and epsilon."""
    top = dynamics.fixed_point(objective, rho, depth=depth)
    epsilon = relative * top
    w = top * np.array([1e-9, 1e-4, 0.1, 0.3, 0.5, 0.7, 0.9, 1 - 1e-4, 1 - 1e-9])
    return w, dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon), epsilon


@given(**CASES)
@settings(deadline=None)
def test_time_increases_with_w_and_w_increases_with_t(objective, depth, lam, rho, relative):
    _, t, epsilon = fraction_times(objective, depth, lam, rho, relative)
    assert np.all(np.diff(t) > 0)
    fine = np.concatenate([np.linspace(a, b, 9) for a, b in pairwise(t)])
    w = dynamics.trajectory(objective, fine, lam, rho, depth=depth, epsilon=epsilon)
    assert np.all(np.diff(w) >= -1e-13 * w[1:])
    gap = dynamics.relative_gap(objective, fine, lam, rho, depth=depth, epsilon=epsilon)
    assert np.all(np.diff(gap) <= 1e-13 * gap[1:])


@given(**CASES)
@settings(deadline=None)
def test_w_increases_with_lam_rho_and_epsilon(objective, depth, lam, rho, relative):
    """At t > 0, as the right-hand side increases with lam (below the fixed point) and with rho."""
    _, t, epsilon = fraction_times(objective, depth, lam, rho, min(relative, 0.5))
    t = t[t > 0]
    base = dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=epsilon)
    slack = 1 - TOLERANCE
    for change in ((1.1, 1, 1), (1, 1.1, 1), (1, 1, 1.1)):
        a, b, c = change
        other = dynamics.trajectory(
            objective, t, a * lam, b * rho, depth=depth, epsilon=c * epsilon
        )
        assert np.all(other >= slack * base)
        assert np.any(other > base)


@given(**CASES, power=st.integers(-20, 20))
@settings(deadline=None)
def test_lam_only_scales_time_bit_by_bit_for_powers_of_two(
    objective, depth, lam, rho, relative, power
):
    w, t, epsilon = fraction_times(objective, depth, lam, rho, relative)
    scale = 2.0**power
    scaled = dynamics.time_to_reach(objective, w, scale * lam, rho, depth=depth, epsilon=epsilon)
    np.testing.assert_array_equal(scaled * scale, t)
    np.testing.assert_array_equal(
        dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=epsilon),
        dynamics.trajectory(objective, t / scale, scale * lam, rho, depth=depth, epsilon=epsilon),
    )
    any_scale = dynamics.time_to_reach(objective, w, lam / 3, rho, depth=depth, epsilon=epsilon)
    np.testing.assert_allclose(any_scale / 3, t, rtol=1e-15)


@given(**CASES, unit=st.floats(0.5, 2))
@settings(deadline=None)
def test_changing_the_unit_of_w_changes_lam_and_rho_by_powers(
    objective, depth, lam, rho, relative, unit
):
    """w -> c w solves the same equation with lam c^(1 - q) and rho c^(3 - q)."""
    q = objective.growth_exponent(depth=depth)
    w, t, epsilon = fraction_times(objective, depth, lam, rho, relative)
    inner = slice(2, 7)  # away from the fixed point, where rounding rho alone moves t
    other = dynamics.time_to_reach(
        objective,
        unit * w[inner],
        lam * unit ** (1 - q),
        rho * unit ** (3 - q),
        depth=depth,
        epsilon=unit * epsilon,
    )
    # rounding the arguments moves the end of the way by a few 1e-14 at L = 40
    moved = 1e-12 * w[inner] / dynamics.velocity(objective, w[inner], lam, rho, depth=depth)
    start = 1e-12 * epsilon / dynamics.velocity(objective, epsilon, lam, rho, depth=depth)
    assert np.all(np.abs(other - t[inner]) <= 1e-12 * np.abs(t[inner]) + moved + start)


@given(**CASES)
@settings(deadline=None)
def test_round_trip_from_t_through_w_returns_t(objective, depth, lam, rho, relative):
    """|t' - t| <= 1e-12 (|t| + w / velocity): the two ways in which w may be off."""
    _, t, epsilon = fraction_times(objective, depth, lam, rho, relative)
    w = dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=epsilon)
    back = dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon)
    room = np.abs(t) + w / np.abs(dynamics.velocity(objective, w, lam, rho, depth=depth))
    inside = np.isfinite(back)  # at its very end w may round to the fixed point
    assert inside[:-2].all()
    assert np.all(np.abs(back - t)[inside] <= TOLERANCE * room[inside])


@given(
    **CASES | {"relative": st.floats(1e-3, 0.9), "depth": st.integers(1, 5)},
    fraction=st.floats(1e-6, 1 - 1e-12),
)
@settings(deadline=None)
def test_round_trip_from_w_through_t_returns_w(objective, depth, lam, rho, relative, fraction):
    top = dynamics.fixed_point(objective, rho, depth=depth)
    w, epsilon = fraction * top, relative * top
    t = dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon)
    back = dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=epsilon)
    room = w + np.abs(t) * dynamics.velocity(objective, w, lam, rho, depth=depth)
    assert abs(back - w) <= TOLERANCE * room


@given(**CASES, first=st.floats(-1, 0.4), second=st.floats(-1, 0.4))
@settings(deadline=None)
def test_flow_property_two_steps_are_one(objective, depth, lam, rho, relative, first, second):
    """w(t1 + t2; epsilon) = w(t2; w(t1; epsilon)), in the unit of time of the start."""
    epsilon = relative * dynamics.fixed_point(objective, rho, depth=depth)
    unit = epsilon / dynamics.velocity(objective, epsilon, lam, rho, depth=depth)
    unit = unit * (1 - relative)  # stays away from the fixed point
    middle = dynamics.trajectory(objective, first * unit, lam, rho, depth=depth, epsilon=epsilon)
    two = dynamics.trajectory(objective, second * unit, lam, rho, depth=depth, epsilon=middle)
    one = dynamics.trajectory(
        objective, (first + second) * unit, lam, rho, depth=depth, epsilon=epsilon
    )
    speed = abs(dynamics.velocity(objective, one, lam, rho, depth=depth))
    still = epsilon / dynamics.velocity(objective, epsilon, lam, rho, depth=depth)
    assert abs(one - two) <= TOLERANCE * (one + speed * (abs(unit) + still))


@given(**CASES | {"relative": st.floats(1e-3, 0.9), "depth": st.integers(1, 5)})
@settings(deadline=None)
def test_velocity_is_the_time_derivative_of_trajectory(objective, depth, lam, rho, relative):
    w, t, epsilon = fraction_times(objective, depth, lam, rho, relative)
    w, t = w[2:7], t[2:7]
    v = dynamics.velocity(objective, w, lam, rho, depth=depth)
    h = 1e-3 * w / v  # fourth-order central difference: error of order h^4 = 1e-12
    steps = t + np.multiply.outer([-2, -1, 1, 2], h)
    values = dynamics.trajectory(objective, steps, lam, rho, depth=depth, epsilon=epsilon)
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    # the quotient magnifies the 1e-12 |t| by which trajectory may be late, by 1 / h
    late = 1e-12 * np.abs(t) / h
    np.testing.assert_array_less(np.abs(slope / v - 1), 1e-8 + 2 * late)


@given(**CASES, back=st.floats(1e-6, 1e6))
@settings(deadline=None)
def test_negative_times_continue_the_solution_below_epsilon(
    objective, depth, lam, rho, relative, back
):
    epsilon = relative * dynamics.fixed_point(objective, rho, depth=depth)
    t = -back * epsilon / dynamics.velocity(objective, epsilon, lam, rho, depth=depth)
    w = dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=epsilon)
    assert 0 <= w < epsilon
    if w > 1e-300:  # MAE at depth 1 falls exponentially, to 0 in float64
        assert trajectory_is_right(objective, t, depth, lam, rho, epsilon)


# Shapes


@BOTH
def test_scalars_in_scalar_out_and_arrays_broadcast(objective):
    assert isinstance(dynamics.velocity(objective, 0.1, 1, 1, depth=2), np.float64)
    assert isinstance(dynamics.fixed_point(objective, 1, depth=2), np.float64)
    assert isinstance(
        dynamics.time_to_reach(objective, 0.5, 1, 1, depth=2, epsilon=0.1), np.float64
    )
    assert isinstance(dynamics.trajectory(objective, 1, 1, 1, depth=2, epsilon=0.1), np.float64)
    assert isinstance(
        dynamics.relative_gap(objective, np.array(1), 1, 1, depth=2, epsilon=0.1), np.float64
    )
    lam, rho, epsilon = np.ones((4, 1, 1)), np.ones((3, 1)), np.full(2, 0.1)
    for depth in (1, 2):
        known = {"lam": lam, "rho": rho, "depth": depth, "epsilon": epsilon}
        assert dynamics.velocity(objective, epsilon, lam, rho, depth=depth).shape == (4, 3, 2)
        assert dynamics.trajectory(objective, 0.0, **known).shape == (4, 3, 2)
        for function in (dynamics.time_to_reach, dynamics.trajectory, dynamics.relative_gap):
            assert function(objective, np.full((5, 1, 1, 1), 0.5), **known).shape == (5, 4, 3, 2)


@BOTH
def test_a_value_does_not_depend_on_the_other_features_in_the_call(objective):
    """All share one table; each value must still be right on its own."""
    rng = np.random.default_rng(0)
    lam, rho = rng.uniform(0.05, 20, 30), rng.uniform(0.05, 2, 30)
    epsilon = dynamics.fixed_point(objective, rho, depth=4) * 10 ** -rng.uniform(0.1, 8, 30)
    t = dynamics.time_to_reach(
        objective,
        0.4 * dynamics.fixed_point(objective, rho, depth=4),
        lam,
        rho,
        depth=4,
        epsilon=epsilon,
    )
    together = dynamics.trajectory(objective, t, lam, rho, depth=4, epsilon=epsilon)
    for k in range(30):
        assert trajectory_is_right(objective, t[k], 4, lam[k], rho[k], epsilon[k])
        with references.digits(100):
            low, high = (mpf(together[k]) * (1 + d) for d in (-mpf(TOLERANCE), mpf(TOLERANCE)))
        assert brackets(objective.name, low, high, t[k], lam[k], rho[k], 4, epsilon[k])


@BOTH
def test_a_million_points_in_any_order_equal_the_same_points_in_small_calls(objective):
    rng = np.random.default_rng(1)
    lam, rho = rng.uniform(0.5, 1.5, (1000, 1)), rng.uniform(0.5, 1.5, (1000, 1))
    t = rng.uniform(0, 50, 1000)
    big = dynamics.trajectory(objective, t, lam, rho, depth=3, epsilon=0.01)
    assert big.shape == (1000, 1000) and np.all(np.isfinite(big))
    few = dynamics.trajectory(objective, t[::100], lam[::100], rho[::100], depth=3, epsilon=0.01)
    speed = dynamics.velocity(objective, few, lam[::100], rho[::100], depth=3)
    assert np.all(np.abs(big[::100, ::100] - few) <= TOLERANCE * (few + speed * t[::100]))


# Extremes


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 5, 40])
@pytest.mark.parametrize("epsilon", [1e-100, 1e-250, 5e-324])
def test_tiny_epsilon_is_exact_or_a_clear_error(objective, depth, epsilon):
    """A time of order epsilon^(1 - q) leaves float64: then ValueError, and only then."""
    q, lam, rho, w = objective.growth_exponent(depth=depth), 1.7, 1.3, 0.5
    with references.digits(400):
        exact = references.time(objective.name, w, lam, rho, depth, epsilon, working=800)
    known = {"lam": lam, "rho": rho, "depth": depth, "epsilon": epsilon}
    if exact > 1e300:
        with pytest.raises(ValueError, match="epsilon must be large enough"):
            dynamics.time_to_reach(objective, w, **known)
        with pytest.raises(ValueError, match="epsilon must be large enough"):
            dynamics.trajectory(objective, 1.0, **known)
        return
    assert -np.log10(epsilon) * (q - 1) < 301
    t = dynamics.time_to_reach(objective, w, **known)
    assert relative_error(t, exact) < TOLERANCE
    assert dynamics.trajectory(objective, 0, **known) == pytest.approx(epsilon, rel=1e-12)
    for k in (-1, 0.5, 1 - 1e-9, 1, 1 + 1e-9, 2):
        w_k = dynamics.trajectory(objective, k * t, **known)
        assert 0 <= w_k <= dynamics.fixed_point(objective, rho, depth=depth) * (1 + 1e-14)
        if 0 < k < 1 and epsilon > 1e-310:
            with references.digits(800):
                low, high = (mpf(float(w_k)) * (1 + d) for d in (-mpf(TOLERANCE), mpf(TOLERANCE)))
            assert brackets(objective.name, low, high, k * t, lam, rho, depth, epsilon, 800)


@BOTH
@pytest.mark.parametrize("rho", [1e-6, 50.0])
@pytest.mark.parametrize("lam", [1e-10, 1e10])
@pytest.mark.parametrize("depth", [1, 2, 5, 20])
def test_extreme_lam_and_rho_are_exact(objective, depth, lam, rho):
    with references.digits():
        top = references.fixed_point(objective.name, rho, depth)
        epsilon, w = float(top / 1000), float(top * mpf("0.7"))
    exact = references.time(objective.name, w, lam, rho, depth, epsilon)
    t = dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon)
    assert relative_error(t, exact) < TOLERANCE
    for k in (-3, 0, 0.1, 0.9, 1):
        assert trajectory_is_right(objective, k * t, depth, lam, rho, epsilon)


def test_a_start_whose_time_scale_overflows_still_gives_0_at_epsilon_and_inf_above():
    rho, depth = 1e-6, 40  # fixed point 1e-240, time scale 1e474
    assert dynamics.time_to_reach(JEPA, 1e-241, 1.0, rho, depth=depth, epsilon=1e-241) == 0
    assert dynamics.time_to_reach(JEPA, 1.0, 1.0, rho, depth=depth, epsilon=1e-241) == np.inf
    with pytest.raises(ValueError, match="epsilon must be large enough"):
        dynamics.time_to_reach(JEPA, 2e-241, 1.0, rho, depth=depth, epsilon=1e-241)


@BOTH
def test_huge_negative_times_give_0_or_a_clear_error(objective):
    for depth in (1, 2, 5, 40):
        w = dynamics.trajectory(objective, -1e200, 1.0, 0.5, depth=depth, epsilon=1e-15)
        assert 0 <= w < 1e-15
        if objective.slowdown(depth=depth):
            with pytest.raises(ValueError, match=r"t must not be so negative .* got -1e\+308"):
                dynamics.trajectory(objective, -1e308, 1e60, 0.5, depth=depth, epsilon=1e-15)


@BOTH
@pytest.mark.parametrize("depth", [100, 1000, 10_000])
def test_depths_far_beyond_40_are_still_right(objective, depth):
    rho, lam = 0.99, 1.0
    with references.digits():
        top = references.fixed_point(objective.name, rho, depth)
        w, epsilon = float(top * mpf("0.7")), float(top / 1000)
    if depth == 100:
        exact = references.time(objective.name, w, lam, rho, depth, epsilon)
    else:
        exact = references.time_by_quadrature(objective.name, w, lam, rho, depth, epsilon)
    t = dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon)
    assert relative_error(t, exact) < TOLERANCE
    back = dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=epsilon)
    room = w + t * dynamics.velocity(objective, w, lam, rho, depth=depth)
    assert abs(back - w) < TOLERANCE * room


# Mutations: the comparisons above must be able to fail


def mutate_slowdown(monkeypatch):
    right = Objective.slowdown
    monkeypatch.setattr(Objective, "slowdown", lambda self, depth: right(self, depth=depth) + 1)


def mutate_resonant_log(monkeypatch):
    right = clock._tail_between
    monkeypatch.setattr(
        clock,
        "_tail_between",
        lambda fraction, *rest: right(fraction, *rest) if fraction else 0.0 * rest[2],
    )


def mutate_fixed_point(monkeypatch):
    """rho^(L + 1) and rho^((L + 1) / (L + 1)) for eq. (9)."""
    from jepabook.theory._double_double import log_product

    def wrong(objective, w, rho, depth):
        power = objective.saturation_power(depth=depth)
        return log_product((w, power), (rho, -depth - 1)) / depth

    monkeypatch.setattr(dynamics, "_log_saturation", wrong)


def mutate_exact_logarithm(monkeypatch):
    """log z in plain floats: right to 1e-16, useless next to the fixed point."""

    def plain(objective, w, rho, depth):
        return objective.saturation_power(depth=depth) / depth * np.log(w) - np.log(rho)

    monkeypatch.setattr(dynamics, "_log_saturation", plain)


def mutate_clock_factor(monkeypatch):
    monkeypatch.setattr(dynamics, "_power", lambda objective, depth: 1.0)


@pytest.mark.parametrize(
    ("mutate", "objective"),
    [
        (mutate_slowdown, JEPA),
        (mutate_slowdown, MAE),
        (mutate_resonant_log, JEPA),
        (mutate_fixed_point, JEPA),
        (mutate_fixed_point, MAE),
        (mutate_exact_logarithm, JEPA),
        (mutate_exact_logarithm, MAE),
        (mutate_clock_factor, JEPA),
        (mutate_clock_factor, MAE),
    ],
)
def test_mutations_of_the_closed_form_fail_the_comparison_of_times(mutate, objective, monkeypatch):
    assert worst_time_error(objective, count=160) < TOLERANCE
    mutate(monkeypatch)
    with np.errstate(all="ignore"):
        try:
            worst = worst_time_error(objective, count=160)
        except ValueError:  # a start above a wrong fixed point is refused: noticed as well
            return
    assert not worst < 1e3 * TOLERANCE


def mutate_table(monkeypatch):
    """Thinned out thirty-fold."""
    monkeypatch.setattr(clock, "_NODES_PER_LOGIT", 2)
    monkeypatch.setattr(clock, "_NODES_PER_FOLD", 4)


@pytest.mark.parametrize("mutate", [mutate_table, mutate_clock_factor])
@BOTH
def test_mutations_of_the_inversion_fail_the_comparison_of_trajectories(
    objective, mutate, monkeypatch
):
    cases = list(times(objective.name, 60, seed=0))
    mutate(monkeypatch)
    assert not all(trajectory_is_right(objective, *case) for case in cases)


ENDS = [
    # w, lam, rho, depth, epsilon: factors leave float64, the answers do not
    (1e200, 1.0, 1e200, 1, 1e190),
    (1e-200, 1e300, 1.0, 1, 1e-220),
    (1e100, 1e-250, 1e60, 2, 1e90),
    (1e219, 6.4e-198, 17.0, 200, 1e218),
    (1e-150, 1e250, 1e-3, 40, 1e-170),
    (0.5, 1e308, 1.0, 10_000, 0.4),
]


@pytest.mark.parametrize("known", ENDS)
@BOTH
def test_where_only_factors_leave_float64_the_answer_is_right(objective, known):
    w, lam, rho, depth, epsilon = known
    with references.digits(60):
        power = mp.mpf(objective.saturation_power(depth=depth)) / depth
        log_z = [power * mp.log(mp.mpf(size)) - mp.log(mp.mpf(rho)) for size in (w, epsilon)]
        speed = references.velocity(objective.name, w, lam, rho, depth)
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        if abs(speed) < 1e308:
            found = dynamics.velocity(objective, w, lam, rho, depth=depth)
            assert found == pytest.approx(float(speed), rel=1e-12, abs=0)
        else:
            with pytest.raises(ValueError, match=r"^w must be small enough for dw/dt"):
                dynamics.velocity(objective, w, lam, rho, depth=depth)
        if not log_z[1] < log_z[0] < 0 or depth > 1000:
            return
        with references.digits(60):
            time = references.time_by_quadrature(objective.name, w, lam, rho, depth, epsilon, 30)
        if time < 1e308:
            found = dynamics.time_to_reach(objective, w, lam, rho, depth=depth, epsilon=epsilon)
            assert found == pytest.approx(float(time), rel=1e-11, abs=0)
            around = found * np.array([1 - 1e-9, 1 + 1e-9])
            early, late = dynamics.trajectory(
                objective, around, lam, rho, depth=depth, epsilon=epsilon
            )
            assert early <= w * (1 + 1e-10) and w <= late * (1 + 1e-10)


def test_sizes_beyond_float64_are_refused_and_those_below_it_are_0():
    with pytest.raises(ValueError, match=r"^rho must be small enough for the size to fit"):
        dynamics.fixed_point(JEPA, 1e10, depth=100)
    assert dynamics.fixed_point(JEPA, 1e-10, depth=100) == 0
