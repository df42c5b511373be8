"""Numbers near the ends of float64: a unit that is a power of two moves exponents and no digit."""

import numpy as np
import pytest

from jepabook import JEPA, autocorrelation, clock, generative, learning_order, random_masks
from jepabook._support.units import in_units, norm, unit_vectors

TIMES, SIZES = np.array([0.0, 1.0, 2.0]), np.array([[1.0], [2.0], [4.0]])
PAIR = [1.0, 0.25], [0.9, -0.2]


def told(features):
    return features.lam, features.rho, features.sigma_squared


def masks_of(unit):
    return generative.RandomMasks(np.eye(3) * unit, [3.0, 2.0, 1.0], 0.0, 0.3)


def masks(unit):
    return told(masks_of(unit).theory())


def loud(unit):
    power = np.array([3.0, 2.0, 1.0]) * unit
    return told(generative.RandomMasks(np.eye(3), power, 0.5 * unit, 0.3).theory())


def world(unit):
    return generative.FlickeringWorld(np.eye(2) * unit, [0.9, 0.5], [unit, 2 * unit], [0, 1])


# by name: how what it gives depends on a unit u, as powers of u, and the function of u
COVARIANT = {
    "RandomMasks, dictionary": ((0, 0, 0), masks),
    "RandomMasks, power": ((1, 0, 1), loud),
    "masked_covariances": (
        (1, 1, 1),
        lambda u: generative.masked_covariances(np.array([[2.0, 1.0], [1.0, 2.0]]) * u, 0.3),
    ),
    "FlickeringWorld.theory": ((2, 0, 2), lambda u: told(world(u).theory())),
    "FlickeringWorld.sample": ((1, 1), lambda u: world(u).sample(3, 0)),
    "basis": ((0,), lambda u: [autocorrelation.basis(world(u))]),
    "off_diagonal": ((4,), lambda u: [autocorrelation.off_diagonal(world(u), [9, 100])]),
    "estimate_covariance": (
        (2,),
        lambda u: [autocorrelation.estimate_covariance(np.multiply(PAIR[0], u), PAIR[1], 7)],
    ),
    "long_run_covariance": (
        (2,),
        lambda u: [autocorrelation.long_run_covariance(np.multiply(PAIR[0], u), PAIR[1])],
    ),
    "learning_time_deviation": (
        (-0.5,),
        lambda u: [
            autocorrelation.learning_time_deviation(JEPA, *PAIR, depth=3, epsilon=1e-3, frames=u)
        ],
    ),
    "random_masks.moments": ((1, 0), lambda u: random_masks.moments([u, -u / 2], u, 0.3)),
    "random_masks.features": (
        (1, 0, 1),
        lambda u: told(random_masks.features(np.array([[2.0, 1.0], [1.0, 2.0]]) * u, 0.3)),
    ),
    "best_share": ((0,), lambda u: [random_masks.best_share(JEPA, 0.1, 2 * u, u, depth=3)]),
    "half_times": ((1,), lambda u: [learning_order.half_times(TIMES * u, SIZES * u)]),
    "mean_interval": ((1, 1, 1), lambda u: learning_order.mean_interval(TIMES * u)),
    "norm": ((1,), lambda u: [norm(SIZES * u, 0)]),
    "unit_vectors": ((0,), lambda u: [unit_vectors(SIZES * u, 0)]),
}


# what these hold must have squares in float64
SQUARED = {"RandomMasks, dictionary", "FlickeringWorld.sample", "basis"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("exponent", [-1000, -560, -8, 500, 1000])
@pytest.mark.parametrize("name", COVARIANT)
def test_a_unit_changes_no_digit_of_what_float64_holds_and_what_it_does_not_is_refused(
    name, exponent
):
    powers, function = COVARIANT[name]
    plain = function(1.0)
    due = [exponent * power for power in powers]
    if max(*due, 2 * exponent * (name in SQUARED)) > 1010:
        with pytest.raises(ValueError, match=r"must be .*fits? in float64"):
            function(2.0**exponent)
        return
    found = function(2.0**exponent)
    for one, other, shift in zip(found, plain, due, strict=True):
        right = np.ldexp(np.asarray(other, dtype=float), int(shift))
        # below the smallest normal number digits go
        np.testing.assert_allclose(
            one, right, rtol=1e-13, atol=1e-13 * np.abs(right).max() + 1e-307
        )


@pytest.mark.parametrize("array", [[0.0, 0.0], [np.nan, 3.0], [np.inf, 3.0], []])
def test_units_of_what_has_no_size(array):
    scaled, unit = in_units(np.array(array))
    np.testing.assert_array_equal(np.ldexp(scaled, unit), array)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clock.antiderivative(1.5, [-1.0, -1e4]), "log_z must be so large that F fits in "),
        (lambda: clock.difference(2.0, -1e3, -1.0, 999.0, 0.0), "log_scale must be so small that "),
        (lambda: learning_order.mean_interval([1.7e308, -1.6e308]), "values must be such that "),
        (
            lambda: random_masks.trained_sizes(JEPA, masks_of(1e60), 2, [0, 3], 0),
            "world must be such that 3 steps of rate 0.4 leave the sizes finite, got a largest ",
        ),
        (
            lambda: autocorrelation.estimate_covariance([1.0, 1.0], [0.5, -0.5], 2.5),
            "count must be whole where gamma differ in sign, got 2.5",
        ),
        (
            lambda: autocorrelation.ratio_moments([[0.0, 1.0], [1.0, 0.0]], 1.0, 1.0),
            "covariance must be positive semidefinite",
        ),
        (lambda: autocorrelation.moments(world(2.0**510), [9000], 0), "world must be so dim that "),
    ],
)
def test_what_overflows_is_refused_with_the_argument(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def test_a_ratio_that_never_varies_has_no_deviation():
    for scale in (1.0, 1e-200, 1 / 3):
        bias, deviation = autocorrelation.ratio_moments(np.full((2, 2), scale), 1.0, 1.0)
        assert bias == deviation == 0
