"""`lerch_phi` against two independent references: mpmath at 50 digits, and python-flint's balls.

The error is measured against sum |z^n / (n + a)|, as the docstring says: for a < 0 the first terms
are negative and Phi has a zero in z. The doubles z and a enter the references exactly.
"""

import flint
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf
from scipy.special import hyp2f1

from jepabook.theory import _tail
from jepabook.theory.lerch import lerch_phi
from tests import references

TOLERANCE = 1e-13
NEAR_ONE = 1 - np.array([1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 1e-13, 1e-14, 1e-15, 2.0**-53])
Z = np.concatenate(
    [[0, 5e-324, 1e-300, 1e-16, 1e-3], np.arange(1, 20) / 20, [np.nextafter(0.5, 1)], NEAR_ONE]
)
PAPER = [(1 - depth) / (1 + depth) for depth in range(2, 101)]  # MAE, eq. (98)


def error(value, z, a):
    with references.digits():
        reference, scale = references.lerch(z, a), references.lerch_scale(z, a)
        return float(abs(mpf(float(value)) - reference) / scale)


def ball(z, a):
    """Phi(z, 1, a) as a ball that contains it."""
    with flint.ctx.workprec(300):
        return flint.arb(z).hypgeom_2f1(1, flint.arb(a), flint.arb(a) + 1, abc=True) / flint.arb(a)


def within_of_ball(value, z, a):
    """True only if every point of the ball is within TOLERANCE * sum |z^n / (n + a)| of value."""
    with flint.ctx.workprec(300):
        phi, z, a = ball(z, a), flint.arb(z), flint.arb(a)
        scale, n = phi, 0
        while a + n < 0:
            scale, n = scale - 2 * z**n / (a + n), n + 1
        return bool(abs(flint.arb(float(value)) - phi) < TOLERANCE * scale)


@pytest.mark.parametrize("a", PAPER[::9] + PAPER[-1:])
def test_every_paper_a_agrees_with_mpmath_from_0_to_the_last_double_below_1(a):
    for z, value in zip(Z, lerch_phi(Z, a), strict=True):
        assert error(value, z, a) < TOLERANCE, (z, a)


def test_every_paper_a_lies_within_the_tolerance_of_a_rigorous_ball():
    for a in PAPER:
        for z, value in zip(Z, lerch_phi(Z, a), strict=True):
            assert within_of_ball(value, float(z), a), (z, a)


def random_points(count, seed=20261122):
    """z all the way to 1 and a in (-80, 1), a third of them within 1e-1 ... 1e-16 of a pole."""
    rng = np.random.default_rng(seed)
    z = np.where(rng.random(count) < 0.5, rng.random(count), 1 - 10 ** -rng.uniform(0, 15, count))
    a = rng.uniform(-80, 1, count)
    near_pole = -rng.integers(0, 80, count) + rng.choice([-1, 1], count) * 10 ** -rng.uniform(
        1, 16, count
    )
    a = np.where(rng.random(count) < 1 / 3, near_pole, a)
    keep = (a <= 1) & (a != np.round(a))
    return z[keep], a[keep]


def test_random_a_and_points_next_to_the_poles_agree_with_mpmath():
    z, a = random_points(150)
    for zi, ai, value in zip(z, a, lerch_phi(z, a), strict=True):
        assert error(value, zi, ai) < TOLERANCE, (zi, ai)


def test_random_a_and_points_next_to_the_poles_lie_within_rigorous_balls():
    z, a = random_points(1500, seed=1)
    for zi, ai, value in zip(z, a, lerch_phi(z, a), strict=True):
        assert within_of_ball(value, float(zi), float(ai)), (zi, ai)


def test_the_two_references_agree_to_40_digits_with_each_other_and_with_mpmath_lerchphi():
    z, a = random_points(12, seed=2)
    with references.digits(60):
        for zi, ai in zip(z, a, strict=True):
            by_mpmath = references.lerch(zi, ai, working=60)
            by_ball = mpf(ball(float(zi), float(ai)).mid().str(80, radius=False))
            assert abs(by_ball / by_mpmath - 1) < mpf(10) ** -40
        by_lerchphi = mpmath.lerchphi(mpf(0.75), 1, mpf(-2) / 3)
        by_sum = mpmath.nsum(lambda n: mpf(0.75) ** n / (n - mpf(2) / 3), [0, mpmath.inf])
        by_series = mpmath.hyp2f1(1, mpf(-2) / 3, mpf(1) / 3, mpf(0.75)) / (mpf(-2) / 3)
        assert abs(by_lerchphi / by_series - 1) < mpf(10) ** -40
        assert abs(by_sum / by_series - 1) < mpf(10) ** -40


@pytest.mark.parametrize("a", [-2 / 3, -1 / 3, 0.5])
def test_scipy_alone_fails_near_one_so_that_the_own_code_is_needed(a):
    """If SciPy gets this right one day this test fails, and `lerch.py` can become one line."""
    z = NEAR_ONE[NEAR_ONE > 1 - 5e-14]
    with np.errstate(all="ignore"):
        by_scipy = hyp2f1(1, a, a + 1, z) / a
    assert not np.any(np.abs(by_scipy / lerch_phi(z, a) - 1) < 0.1)
    assert (
        max(error(value, zi, a) for zi, value in zip(z, lerch_phi(z, a), strict=True)) < TOLERANCE
    )


@pytest.mark.parametrize("depth", [1, 2, 5, 40])
def test_jepa_a_is_a_pole_and_raises(depth):
    with pytest.raises(ValueError, match=r"a must not be 0, -1, -2, \.\.\. \(a pole\), got -\d+"):
        lerch_phi(0.5, 1 - 2 * depth)


def test_mae_at_depth_1_is_the_pole_at_zero_and_raises():
    with pytest.raises(ValueError, match=r"a must not be 0"):
        lerch_phi(0.5, 0.0)


def test_a_equal_to_1_is_minus_log_of_1_minus_z_over_z():
    z = Z[Z > 1e-300]
    exact = [float(-mpmath.log1p(-mpf(x)) / mpf(x)) for x in z]
    np.testing.assert_allclose(lerch_phi(z, 1.0), exact, rtol=TOLERANCE)


@given(st.floats(0, 1, exclude_max=True), st.floats(-30, 0))
def test_recurrence_phi_of_a_is_1_over_a_plus_z_phi_of_a_plus_1(z, a):
    if a == np.round(a) or a + 1 == np.round(a + 1):
        return
    left, right = lerch_phi(z, a), 1 / a + z * lerch_phi(z, a + 1)
    # a + 1 is rounded, which near its pole matters as much as 2^-53 / |a + 1|
    scale = 1 / abs(a) + 30 + abs(lerch_phi(z, a + 1)) * (1 + 1 / abs(a + 1 - np.round(a + 1)))
    assert abs(left - right) < TOLERANCE * scale


@given(st.floats(1e-6, 0.999))
def test_tail_is_increasing_in_z_and_decreasing_in_a(b):
    z = np.linspace(0, 1, 200, endpoint=False)
    assert np.all(np.diff(lerch_phi(z, b)) > 0)
    assert np.all(lerch_phi(z, b) > lerch_phi(z, 1.0))


def test_broadcasting_scalars_and_empty_arrays():
    assert lerch_phi(np.zeros((3, 1)), np.full(4, 0.5)).shape == (3, 4)
    assert np.isscalar(lerch_phi(0.3, 0.5)) and isinstance(lerch_phi(0.3, 0.5), float)
    assert lerch_phi([], 0.5).shape == (0,)
    assert lerch_phi([0, 0], [1, 0.5]).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["_TERMS", "digamma"])
def test_a_truncated_series_or_a_wrong_constant_is_noticed(monkeypatch, name):
    """The comparisons above can fail: 24 terms are too few, a constant off by 1e-10 is seen."""
    right = _tail.digamma
    wrong = {"_TERMS": 24, "digamma": lambda x: right(x) + 1e-10 * x}
    monkeypatch.setattr(_tail, name, wrong[name])
    a = PAPER[3]
    assert not all(within_of_ball(x, float(z), a) for x, z in zip(lerch_phi(Z, a), Z, strict=True))


def test_an_a_whose_inverse_leaves_float64_is_refused():
    with pytest.raises(ValueError, match=r"^a must be so far from 0"):
        lerch_phi(0.5, 5e-324)
    assert lerch_phi(0.5, 1e-300) == pytest.approx(1e300)
