"""What the scalar claims rest on: the reference times, and the power of the measured orders."""

import pytest
from mpmath import mp, mpf

from jepabook import JEPA, MAE
from jepabook.claims.checks import orders, scalar
from jepabook.claims.checks.orders import EXPONENTS, SPECIAL, big_o, exactly, obeys, theta
from tests import references


@pytest.fixture(autouse=True)
def many_digits():
    with mp.workdps(orders.WORKING):
        yield


@pytest.mark.parametrize("objective", [JEPA, MAE])
@pytest.mark.parametrize("depth", [1, 2, 5, 12])
def test_time_is_that_of_the_reference(objective, depth):
    f = scalar.random_feature(objective, depth)
    reference = references.time(objective.name, f.w, f.lam, f.rho, depth, f.epsilon)
    assert abs(f.time(f.x) / reference - 1) < mpf(10) ** -48


def test_wrong_time_is_not_confirmed(monkeypatch):
    right = scalar.antiderivative
    monkeypatch.setattr(scalar, "antiderivative", lambda *a: right(*a) * (1 + mpf("1e-45")))
    with pytest.raises(ArithmeticError, match="time must lie in its enclosure"):
        scalar.random_feature.__wrapped__(JEPA, 2, seed=99)


@pytest.mark.parametrize("a", [mpf(2) / 3, -mpf(1) / 3, mpf(-1) / 2])
def test_lerch_is_that_of_mpmath(a):
    with mp.workdps(30):
        assert abs(scalar.lerch(mpf("0.6"), a) / mp.lerchphi(mpf("0.6"), 1, a) - 1) < 1e-25


def test_lerch_at_a_pole_divides_by_zero():
    with pytest.raises(ZeroDivisionError):
        scalar.lerch(mpf(1) / 2, -1)


def test_vanishing_point_of_the_shallow_mae():
    # log(p^2 / (1 - p^2)) = 0, eq. (120)
    assert abs(scalar.vanishing_point(MAE, 1) - 1 / mp.sqrt(2)) < mpf(10) ** -50


def along(value, order, kind=theta):
    """Estimates of value(epsilon) = 1 + order(epsilon) along the measured epsilon."""
    scales = [mpf(10) ** -k for k in EXPONENTS]
    return [kind(1 + value(scale), 1, order(scale)) for scale in scales]


ORDERS = {
    "constant": lambda e: mpf(3),
    "logarithm": lambda e: mp.log(e) + 20,
    "log squared": lambda e: mp.log(e) ** 2,
    "1/6": lambda e: mp.root(e, 6) + e,
    "1/5": lambda e: mp.root(e, 5),
    "log times 1/5": lambda e: mp.root(e, 5) * mp.log(e),
}


@pytest.mark.parametrize("measured", ORDERS)
@pytest.mark.parametrize("asserted", ORDERS)
def test_an_order_is_told_from_its_neighbours(measured, asserted):
    estimates = along(ORDERS[measured], ORDERS[asserted])
    assert obeys(estimates) == (measured == asserted)


def test_theta_of_zero_is_false_and_big_o_of_zero_holds_for_special_fractions_only():
    nothing, one = (lambda e: mpf(0)), (lambda e: mpf(1))
    assert not obeys(along(nothing, one))
    assert not obeys(along(nothing, one, big_o))
    assert obeys(along(nothing, one, big_o), SPECIAL)
    assert not obeys(along(lambda e: 1 / e, one, big_o), SPECIAL)


def test_equality_is_told_from_a_tiny_difference():
    scales = [mpf(10) ** -k for k in EXPONENTS]
    assert obeys([exactly(scale, scale) for scale in scales])
    assert not obeys([exactly(1 / scale, 1 / scale + scale) for scale in scales])
