"""The two objectives: their exponents, and the loss of eq. (5) as an expectation over samples."""

import numpy as np
import pytest

from jepabook import JEPA, MAE, FeatureSpectrum
from jepabook.theory.objectives import Objective, loss


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 40])
def test_exponents_are_those_of_equations_7_and_8(depth):
    assert JEPA.growth_exponent(depth=depth) == 3 - 1 / depth
    assert MAE.growth_exponent(depth=depth) == 2 - 1 / depth


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 40])
def test_slowdown_is_q_minus_1_over_3_minus_q_and_minus_a_of_the_paper(depth):
    for objective in (JEPA, MAE):
        q = objective.growth_exponent(depth=depth)
        assert objective.slowdown(depth=depth) == pytest.approx((q - 1) / (3 - q), rel=1e-13)
    assert JEPA.slowdown(depth=depth) == 2 * depth - 1
    assert MAE.slowdown(depth=depth) == (depth - 1) / (depth + 1)


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 40])
def test_saturation_power_is_the_integer_l_times_3_minus_q(depth):
    assert (JEPA.saturation_power(depth=depth), MAE.saturation_power(depth=depth)) == (1, depth + 1)
    assert all(type(o.saturation_power(depth=depth)) is int for o in (JEPA, MAE))


def test_names_and_frozen():
    assert (str(JEPA), str(MAE)) == ("JEPA", "MAE")
    with pytest.raises(AttributeError):
        JEPA.base_exponent = 2
    assert Objective("JEPA", 3, True) == JEPA


@pytest.mark.parametrize("objective", [JEPA, MAE])
def test_loss_is_the_mean_of_equation_5_over_samples(objective):
    """Exactly so when the covariances are those of the same samples."""
    rng = np.random.default_rng(0)
    encoder, decoder = rng.standard_normal((2, 3, 3))
    x, y = rng.standard_normal((2, 50, 3))
    target = encoder if objective is JEPA else np.eye(3)
    by_samples = 0.5 * np.mean(np.sum((x @ encoder.T @ decoder.T - y @ target.T) ** 2, axis=1))
    by_covariances = loss(objective, encoder, decoder, x.T @ x / 50, y.T @ x / 50, y.T @ y / 50)
    assert by_covariances == pytest.approx(by_samples, rel=1e-13)


def test_loss_is_zero_for_the_perfect_mae_and_the_collapsed_jepa():
    spectrum = FeatureSpectrum([1.0, 2.0], [0.5, 0.7])
    covariances = *spectrum.covariances(), np.diag(spectrum.rho * spectrum.lam)
    assert loss(MAE, np.eye(2), np.diag(spectrum.rho), *covariances) == pytest.approx(0, abs=1e-15)
    assert loss(JEPA, np.zeros((2, 2)), np.eye(2), *covariances) == 0


def test_a_loss_beyond_float64_is_refused():
    large, one = np.full((2, 2), 1e200), np.eye(2)
    with pytest.raises(ValueError, match=r"^encoder and decoder must be small .* of 1e\+200$"):
        loss(MAE, large, one, one, one, one)
