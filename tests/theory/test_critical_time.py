"""Critical times against 50-digit references, and the order of what the expansion leaves out."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from jepabook import JEPA, MAE, critical_time, dynamics
from tests import references

TOLERANCE = 1e-12
BOTH = pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)


def relative_error(value, reference):
    with references.digits():
        return float(abs(mpf(float(value)) / reference - 1))


def reference_time(name, lam, rho, depth, epsilon, fraction, working=100):
    """t(fraction * w_inf) with the fixed point in full precision, not rounded to a double."""
    with references.digits(working):
        w = mpf(fraction) * references.fixed_point(name, rho, depth)
        return references.time(name, w, lam, rho, depth, epsilon, working)


def fractions(seed):
    """Endless fractions: uniform, from 1e-6, and up to 1 - 1e-12."""
    rng = np.random.default_rng([seed, 3])
    while True:
        yield float(rng.uniform(1e-6, 1))
        yield float(10 ** rng.uniform(-6, 0) * (1 - 1e-12))
        yield float(1 - 10 ** rng.uniform(-12, 0)) or 0.5


@BOTH
def test_exact_is_right_to_1e_12_for_depths_1_to_40_and_fractions_1e_6_to_1_minus_1e_12(objective):
    for (depth, lam, rho, epsilon), p in zip(
        references.parameters(objective.name, 320, seed=10), fractions(0), strict=False
    ):
        ours = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon, fraction=p)
        exact = reference_time(objective.name, lam, rho, depth, epsilon, p)
        assert relative_error(ours, exact) < TOLERANCE, (depth, lam, rho, epsilon, p)


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 5, 40])
def test_exact_at_the_ends_of_the_range(objective, depth):
    for rho in (0.05, 2.0):
        for relative in (1e-8, 0.9):
            epsilon = relative * dynamics.fixed_point(objective, rho, depth=depth)
            for p in (1e-6, 0.5, 1 - 1e-12):
                ours = critical_time.exact(
                    objective, 20.0, rho, depth=depth, epsilon=epsilon, fraction=p
                )
                exact = reference_time(objective.name, 20.0, rho, depth, epsilon, p)
                assert relative_error(ours, exact) < TOLERANCE, (rho, relative, p)


@BOTH
def test_exact_is_the_integral_of_the_ode_by_quadrature(objective):
    cases = references.parameters(objective.name, 12, seed=11)
    for (depth, lam, rho, epsilon), p in zip(cases, fractions(1), strict=False):
        with references.digits():
            w = mpf(p) * references.fixed_point(objective.name, rho, depth)
        exact = references.time_by_quadrature(objective.name, w, lam, rho, depth, epsilon)
        ours = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon, fraction=p)
        assert relative_error(ours, exact) < TOLERANCE


CASES = {
    "objective": st.sampled_from([JEPA, MAE]),
    "depth": st.integers(1, 40),
    "lam": st.floats(0.05, 20),
    "rho": st.floats(0.05, 2),
    "relative": st.floats(1e-8, 0.9),
}
P = np.array([1e-6, 1e-3, 0.1, 0.5, 0.9, 1 - 1e-6, 1 - 1e-12])


@given(**CASES)
@settings(deadline=None)
def test_exact_increases_with_the_fraction_and_decreases_with_epsilon(
    objective, depth, lam, rho, relative
):
    epsilon = relative * dynamics.fixed_point(objective, rho, depth=depth)
    t = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon, fraction=P)
    assert np.all(np.diff(t) > 0)
    assert np.all(
        critical_time.exact(objective, lam, rho, depth=depth, epsilon=0.9 * epsilon, fraction=P) > t
    )
    assert np.all((t > 0) == (P > relative)) or np.any(np.abs(P / relative - 1) < 1e-12)


@given(**CASES, power=st.integers(-20, 20))
@settings(deadline=None)
def test_lam_only_scales_time_bit_by_bit_for_powers_of_two(
    objective, depth, lam, rho, relative, power
):
    epsilon = relative * dynamics.fixed_point(objective, rho, depth=depth)
    t = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon, fraction=P)
    scaled = critical_time.exact(
        objective, 2.0**power * lam, rho, depth=depth, epsilon=epsilon, fraction=P
    )
    np.testing.assert_array_equal(scaled * 2.0**power, t)


@given(**CASES)
@settings(deadline=None)
def test_exact_is_the_time_to_reach_the_fraction_of_the_fixed_point(
    objective, depth, lam, rho, relative
):
    """Up to rounding p * w_inf, which moves the end of the way by a few 1e-16 of w."""
    top, p = dynamics.fixed_point(objective, rho, depth=depth), P[:5]
    known = {"lam": lam, "rho": rho, "depth": depth, "epsilon": relative * top}
    t = critical_time.exact(objective, **known, fraction=p)
    reach = dynamics.time_to_reach(objective, p * top, **known)
    room = np.abs(t) + p * top / dynamics.velocity(objective, p * top, lam, rho, depth=depth)
    assert np.all(np.abs(reach - t) <= 1e-13 * room)


@given(**CASES | {"relative": st.floats(1e-3, 0.9), "depth": st.integers(1, 5)})
@settings(deadline=None)
def test_trajectory_at_the_critical_time_is_the_fraction(objective, depth, lam, rho, relative):
    top = dynamics.fixed_point(objective, rho, depth=depth)
    t = critical_time.exact(objective, lam, rho, depth=depth, epsilon=relative * top, fraction=P)
    w = dynamics.trajectory(objective, t, lam, rho, depth=depth, epsilon=relative * top)
    speed = dynamics.velocity(objective, P * top, lam, rho, depth=depth)
    assert np.all(np.abs(w - P * top) <= TOLERANCE * (P * top + np.abs(t) * speed))


# The expansion


@BOTH
@pytest.mark.parametrize("depth", [2, 3, 5, 40])
def test_leading_terms_are_the_papers_equations_12_and_13(objective, depth):
    lam, rho, epsilon = 1.3, 0.7, 1e-3 * 0.7**depth
    with references.digits():
        if objective is JEPA:
            terms = 2 * depth - 1
            start = mpmath.root(mpf(epsilon), depth)  # epsilon^(1 / L)
            paper = sum(
                depth / (n * mpf(rho) ** (2 * depth - n - 1) * start**n)
                for n in range(1, 2 * depth)
            ) / mpf(lam)
        else:
            terms, power = 1, mpf(depth - 1) / depth
            paper = depth / (mpf(lam) * (depth - 1) * mpf(epsilon) ** power)
    ours = critical_time.expansion(objective, lam, rho, depth=depth, epsilon=epsilon, terms=terms)
    assert relative_error(ours, paper) < 1e-13


def test_leading_term_at_depth_1_is_equation_12_for_jepa_and_the_logarithm_for_mae():
    assert critical_time.expansion(JEPA, 2.0, 0.7, depth=1, epsilon=1e-3, terms=1) == pytest.approx(
        500
    )
    ours = critical_time.expansion(MAE, 2.0, 0.7, depth=1, epsilon=1e-3, terms=1)
    assert ours == pytest.approx(-np.log(1e-3) / 2.0)


def orders_of_terms(name, depth, count):
    """[(power of epsilon or "log", power n of 1 / rho)], from 1 / (lam w^q (1 - w^s / rho)).

    The geometric series, integrated term by term: exact fractions, nothing of the package.
    """
    q = {"JEPA": 3, "MAE": 2}[name] - Fraction(1, depth)
    s, orders, n = 3 - q, [], 0
    while len(orders) < count:
        power = 1 - q + n * s
        if power >= 0 and (0, None) not in orders:
            if power == 0:
                orders.append(("log", n))
            orders.append((0, None))
        if power != 0:
            orders.append((power, n))
        n += 1
    return orders[:count]


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_remainder_after_any_number_of_terms_is_the_next_term(objective, depth):
    """(exact - partial sum) / next term is near 1, with the exact time from `references`.

    The partial sums are the package's float64, so epsilon goes down only to where their rounding,
    1e-16 of the sum, is 1e-4 of the remainder. Power, coefficient and logarithm of each term are
    thereby tested without any formula of the package.
    """
    lam, rho, p = 1.3, 0.8, 0.5
    top = dynamics.fixed_point(objective, rho, depth=depth)
    count = 2 * depth + 3 if objective is JEPA else 5  # of more, float64 shows too little
    orders = orders_of_terms(objective.name, depth, count + 1)
    for terms in range(1, count + 1):
        off = np.inf
        for epsilon in top * 10.0 ** -np.arange(0.5, 12, 0.5):
            series = critical_time.expansion_terms(
                objective, lam, rho, depth=depth, epsilon=epsilon, fraction=p, terms=terms + 1
            )
            exact = reference_time(objective.name, lam, rho, depth, epsilon, p)
            with references.digits():
                remainder = float(exact - mpmath.fsum(mpf(float(x)) for x in series[:-1]))
            if 2e-16 * np.abs(series[:-1]).sum() < 1e-4 * abs(remainder):
                off = abs(remainder / series[-1] - 1)
        # a constant follows the logarithm; elsewhere the ratio tends to 1 with a power of epsilon
        assert off < (0.5 if orders[terms][0] == "log" else 0.1), (terms, off)


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 5, 10])
def test_terms_have_the_orders_of_the_series_whose_remainders_are_exact(objective, depth):
    """Two steps at 700 digits, down to epsilon = 1e-60, where float64 partial sums resolve nothing.

    The series written out here leaves remainders equal to its next term, whatever the number of
    terms; and the package's terms are those of this series.
    """
    lam, rho, p, name = 1.3, 0.8, 0.5, objective.name
    count = 2 * depth + 3 if objective is JEPA else 6
    with references.digits(700):

        def term(epsilon, order, n):
            if order == 0:
                return constant
            over = mpf(lam) * mpf(rho) ** n
            if order == "log":
                return -mpmath.log(epsilon) / over
            power = mpf(order.numerator) / order.denominator
            return -(epsilon**power) / power / over

        def exact(epsilon):
            return reference_time(name, lam, rho, depth, epsilon, p, working=700)

        # the constant is what is left at 1e-20 after so many terms that the rest is below 1e-500
        constant, far = mpf(0), mpf(10) ** -20
        enough = orders_of_terms(name, depth, 2 * depth + 30 * (depth if objective is JEPA else 1))
        constant = exact(far) - mpmath.fsum(term(far, *order) for order in enough)

        orders, small = orders_of_terms(name, depth, count + 1), mpf(10) ** -60
        left = exact(small)
        for following, order in zip(orders[1:], orders[:-1], strict=True):
            left -= term(small, *order)
            wanted = term(small, *following) + (constant if following[0] == "log" else 0)
            assert abs(left / wanted - 1) < 1e-4, following

        expected = [float(term(mpf(1e-3), *order)) for order in orders[:-1]]
    ours = critical_time.expansion_terms(
        objective, lam, rho, depth=depth, epsilon=1e-3, fraction=p, terms=count
    )
    # the constant is a difference and may be nearly 0: its error is 1e-14 of the largest term's
    atol = 1e-14 * np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=atol)


@BOTH
@pytest.mark.parametrize(("depth", "terms"), [(1, 60), (2, 100), (5, 200), (40, 1500)])
def test_the_series_converges_to_exact_for_a_large_epsilon(objective, depth, terms):
    """Not only asymptotic: at epsilon = w_inf / 2 (JEPA: z = 2^(-1/L)) enough terms give all."""
    rho = np.array([0.3, 1.0, 1.7])
    epsilon = 0.5 * dynamics.fixed_point(objective, rho, depth=depth)
    for p in (0.1, 0.5, 0.99):
        exact = critical_time.exact(objective, 1.3, rho, depth=depth, epsilon=epsilon, fraction=p)
        series = critical_time.expansion(
            objective, 1.3, rho, depth=depth, epsilon=epsilon, fraction=p, terms=terms
        )
        size = np.abs(
            critical_time.expansion_terms(
                objective, 1.3, rho, depth=depth, epsilon=epsilon, fraction=p
            )
        ).sum(axis=0)
        np.testing.assert_array_less(np.abs(series - exact), TOLERANCE * (size + 1e-300))


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_default_terms_end_with_the_constant(objective, depth):
    """What is left then vanishes with epsilon."""
    epsilon = np.array([1e-3, 1e-6])
    count = len(critical_time.expansion_terms(objective, 1.0, 1.0, depth=depth, epsilon=0.1))
    *_, (last, _), (power, _) = orders_of_terms(objective.name, depth, count + 1)
    assert last == 0 and power > 0
    exact = critical_time.exact(objective, 1.0, 1.0, depth=depth, epsilon=epsilon)
    off = np.abs(critical_time.expansion(objective, 1.0, 1.0, depth=depth, epsilon=epsilon) - exact)
    floor = 1e-15 * exact
    assert np.all(off < 10 * epsilon ** float(power) + floor)


@BOTH
def test_expansion_is_the_sum_of_its_terms_and_terms_are_a_prefix(objective):
    lam = np.array([[1.0], [2.0]])
    known = {"lam": lam, "rho": 0.9, "depth": 3, "epsilon": np.array([1e-3, 1e-2, 1e-1])}
    many = critical_time.expansion_terms(objective, **known, terms=12)
    assert many.shape == (12, 2, 3)
    for terms in (1, 5, 12):
        few = critical_time.expansion_terms(objective, **known, terms=terms)
        np.testing.assert_array_equal(few, many[:terms])
        total = critical_time.expansion(objective, **known, terms=terms)
        np.testing.assert_allclose(total, few.sum(axis=0), rtol=1e-15)
    assert isinstance(
        critical_time.expansion(objective, 1.0, 1.0, depth=2, epsilon=0.1), np.float64
    )
    assert isinstance(critical_time.exact(objective, 1.0, 1.0, depth=2, epsilon=0.1), np.float64)


# Extremes


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 5, 40])
@pytest.mark.parametrize("epsilon", [1e-100, 1e-250, 5e-324])
def test_tiny_epsilon_is_exact_or_a_clear_error(objective, depth, epsilon):
    lam, rho = 1.7, 1.3
    exact = reference_time(objective.name, lam, rho, depth, epsilon, 0.5, working=800)
    if exact > 1e305:
        for function in (critical_time.exact, critical_time.expansion):
            with pytest.raises(ValueError, match="epsilon must be large enough"):
                function(objective, lam, rho, depth=depth, epsilon=epsilon)
        return
    ours = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
    assert relative_error(ours, exact) < TOLERANCE
    terms = 2 * depth + 3
    series = critical_time.expansion(objective, lam, rho, depth=depth, epsilon=epsilon, terms=terms)
    assert relative_error(series, exact) < TOLERANCE


@BOTH
@pytest.mark.parametrize("rho", [1e-6, 50.0])
@pytest.mark.parametrize("lam", [1e-10, 1e10])
def test_extreme_lam_and_rho_are_exact(objective, lam, rho):
    for depth in (1, 2, 5, 20):
        epsilon = 1e-3 * dynamics.fixed_point(objective, rho, depth=depth)
        exact = reference_time(objective.name, lam, rho, depth, epsilon, 0.5)
        ours = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
        assert relative_error(ours, exact) < TOLERANCE


# Mutations: the comparisons above must be able to fail


def test_dropping_a_term_of_the_expansion_fails_the_remainder_test(monkeypatch):
    right = critical_time.expansion_terms

    def without_the_logarithm(*args, depth, **others):
        result = right(*args, depth=depth, **others)
        result[2 * depth - 1 : 2 * depth] = 0  # JEPA's resonant term
        return result

    test_remainder_after_any_number_of_terms_is_the_next_term(JEPA, 2)
    monkeypatch.setattr(critical_time, "expansion_terms", without_the_logarithm)
    with np.errstate(divide="ignore"), pytest.raises(AssertionError):
        test_remainder_after_any_number_of_terms_is_the_next_term(JEPA, 2)


@pytest.mark.parametrize(("factor", "shift"), [(1 + 1e-11, 0.0), (1.0, 1e-11)])
def test_an_error_of_1e_11_in_the_clock_is_noticed(monkeypatch, factor, shift):
    right = critical_time._elapsed_time

    def wrong(*args):
        elapsed = right(*args)
        return factor * elapsed + shift * np.abs(elapsed)

    monkeypatch.setattr(critical_time, "_elapsed_time", wrong)
    with pytest.raises(AssertionError):
        test_exact_at_the_ends_of_the_range(JEPA, 2)


def test_priorities_and_terms_where_only_factors_leave_float64():
    assert critical_time.deep_priority(1e-200, 1e-200, 1e200) == pytest.approx(-1e200, rel=1e-12)
    with pytest.raises(ValueError, match=r"^gain must be small enough .* got 1e\+200"):
        critical_time.deep_priority(1.0, 1e-200, 1e200)
    # lam rho^m alone is beyond float64 in each
    for lam, rho, depth, epsilon in (1e300, 1e-100, 1, 1e-150), (1e-200, 1e200, 2, 1e100):
        known = {"lam": lam, "rho": rho, "depth": depth, "epsilon": epsilon}
        expected = critical_time.exact(JEPA, **known)
        assert critical_time.expansion(JEPA, **known) == pytest.approx(expected, rel=1e-12)


def test_inversion_scales_far_below_1e_140_are_found():
    rho, other, depth = 1e-5, 0.8e-5, 44
    low, high = critical_time.inversion_scales(1.1, rho, other, depth=depth)
    assert 1e-290 < low < high < 1e-200
    for epsilon in (low, high):
        tie = critical_time.inversion_boundary(JEPA, rho, other, depth=depth, epsilon=epsilon)
        assert tie == pytest.approx(1.1, rel=1e-6)
