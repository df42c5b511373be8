"""Rests of balanced JEPA, their rates, and what reads features off a training."""

import numpy as np
import pytest
from scipy.linalg import eigh

from jepabook import JEPA, MAE, critical_time, dynamics, matrix_flow, rests
from jepabook.claims.checks.ends import covariances

ORDER = pytest.mark.parametrize("depth", [1, 2, 5])


@ORDER
@pytest.mark.parametrize("places", [1, 2, 4])
def test_a_rest_is_balanced_has_no_slope_and_no_memory_of_its_seed(depth, places):
    xx, yx = covariances(np.random.default_rng(places), 4, 0.6)
    rows = eigh(yx, xx)[1].T[:places]
    first, then = (rests.rest(xx, yx, depth=depth, rows=rows, seed=seed) for seed in (0, 1))
    codes = [matrix_flow.encoder(weights) for weights in (first, then)]
    assert np.linalg.matrix_rank(codes[0], tol=1e-6) == places
    assert np.abs(matrix_flow.gradient(JEPA, first, xx, yx)).max() < 1e-9
    assert np.abs(rests.imbalance(first)).max() < 1e-9
    np.testing.assert_allclose(*(code.T @ code for code in codes), atol=1e-9)
    assert np.abs(codes[0] - codes[1]).max() > 1e-3


def test_sigma_yx_may_be_neither_symmetric_nor_positive():
    xx = np.array([[2.0, 0.3], [0.3, 1.0]])
    yx = np.array([[0.2, -1.5], [1.1, -0.4]])  # complex eigenvalues: only the whole space
    weights = rests.rest(xx, yx, depth=2, rows=np.eye(2), seed=0)
    assert np.abs(matrix_flow.gradient(JEPA, weights, xx, yx)).max() < 1e-9
    with pytest.raises(ValueError, match="rows must span a left-invariant subspace, got rows that"):
        rests.rest(xx, yx, depth=2, rows=[[1.0, 0.0]], seed=0)


@pytest.mark.parametrize("rows", [np.zeros((1, 2)), np.ones((2, 2)), np.zeros((0, 2))])
def test_rows_are_independent(rows):
    with pytest.raises(ValueError, match="rows must"):
        rests.rest(np.eye(2), np.eye(2), depth=1, rows=rows, seed=0)


@ORDER
def test_rates_of_the_residual_are_those_of_commuting_features(depth):
    lam, rho = np.array([1.0, 0.8, -0.6, 0.5]), np.array([0.9, 0.7, -0.8, 1.2])
    xx, yx = np.diag(lam / rho), np.diag(lam)
    for kept in ([0, 1, 2, 3], [0, 2], [1]):
        weights = rests.rest(xx, yx, depth=depth, rows=np.eye(4)[kept], seed=0)
        rates = rests.residual_rates(weights, xx, yx)
        due = rests.commuting_rates(lam, rho, kept, depth=depth)
        np.testing.assert_allclose(np.sort(rates.real), np.sort(due.ravel()), atol=1e-9)


def test_rates_are_asked_for_where_the_residual_is_zero():
    with pytest.raises(ValueError, match="weights must have no residual, got one of"):
        rests.residual_rates(np.stack([np.eye(2), np.eye(2)]), 2 * np.eye(2), np.eye(2))


@pytest.mark.parametrize("objective", [JEPA, MAE])
@ORDER
def test_features_are_read_off_their_sizes(objective, depth):
    lam, rho = 1.3, 0.7
    final = dynamics.fixed_point(objective, rho, depth=depth)
    times = critical_time.exact(objective, lam, rho, depth=depth, epsilon=0.01 * final) * np.array(
        [0.5, 0.95]
    )
    sizes = dynamics.trajectory(objective, times, lam, rho, depth=depth, epsilon=0.01 * final)
    found = rests.read_off(objective, times, sizes, final, depth=depth)
    np.testing.assert_allclose(found, (lam, rho), rtol=1e-6)


def test_delay_grows_with_depth_as_the_line_comes_near_nothing():
    assert rests.delay(2.0, 0.1, depth=1) == pytest.approx(np.pi / 0.2)
    np.testing.assert_allclose(
        rests.delay(1.0, [0.1, 0.01], depth=2), np.pi / 2 * 10.0 ** np.array([3, 6])
    )
    with pytest.raises(ValueError, match="distance must be large enough"):
        rests.delay(1.0, 1e-200, depth=3)


@pytest.mark.parametrize(
    "xx, yx, rows, name",
    [
        (np.eye(2), np.diag([1.0, 0.0]), [[0.0, 1.0]], "rows must be such that B is invertible"),
        (np.eye(2), np.diag([1.0, 1e-12]), np.eye(2), "rows must be such that B is invertible"),
        (np.diag([1.0, -1.0]), np.eye(2), np.eye(2), "sigma_xx must be positive definite"),
    ],
)
def test_what_has_no_rest_is_refused(xx, yx, rows, name):
    with pytest.raises(ValueError, match=name):
        rests.rest(xx, yx, depth=1, rows=rows, seed=0)


def test_rates_that_leave_float64_are_refused():
    with pytest.raises(ValueError, match="rho must be small enough for rates to fit, got 1e"):
        rests.commuting_rates([1.0, 1.0], [1e200, 1.0], [0], depth=3)
