"""Full matrices: the gradient against the loss and the paper, the flow against the scalar ODE."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepabook import JEPA, MAE, FeatureSpectrum, dynamics, matrix_flow
from jepabook.theory.objectives import loss

BOTH = pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
DEPTHS = pytest.mark.parametrize("depth", [1, 2, 3, 4])


def random_problem(depth, width=3, seed=0):
    """Weights and covariances without any structure (not diagonal, not aligned)."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((depth + 1, width, width))
    x, y = rng.standard_normal((2, 20, width))
    return weights, x.T @ x / 20, y.T @ x / 20, y.T @ y / 20


def loss_with_frozen_target(objective, weights, frozen, xx, yx, yy):
    """Eq. (5) written out again; the target comes from `frozen`, the weights may be complex."""
    encoder = np.eye(len(xx))
    for layer in weights[:-1]:
        encoder = layer @ encoder
    product = weights[-1] @ encoder
    target = matrix_flow.encoder(frozen) if objective is JEPA else np.eye(len(xx))
    return (
        np.trace(product @ xx @ product.T)
        - 2 * np.trace(product.T @ target @ yx)
        + np.trace(target @ yy @ target.T)
    ) / 2


@BOTH
@DEPTHS
def test_gradient_is_the_complex_step_derivative_of_the_loss_with_frozen_target(objective, depth):
    weights, xx, yx, yy = random_problem(depth)
    direct = loss(objective, matrix_flow.encoder(weights), weights[-1], xx, yx, yy)
    assert loss_with_frozen_target(objective, weights, weights, xx, yx, yy) == pytest.approx(direct)
    by_step = np.empty_like(weights)
    for index in np.ndindex(weights.shape):
        moved = weights.astype(complex)
        moved[index] += 1e-30j
        value = loss_with_frozen_target(objective, moved, weights, xx, yx, yy)
        by_step[index] = value.imag / 1e-30
    gradient = matrix_flow.gradient(objective, weights, xx, yx)
    np.testing.assert_allclose(gradient, by_step, rtol=1e-12, atol=1e-12 * np.abs(by_step).max())


@DEPTHS
def test_without_the_stop_gradient_the_jepa_gradient_would_differ(depth):
    """The complex step can tell the two apart: the check above is able to fail."""
    weights, xx, yx, yy = random_problem(depth)
    moved = weights.astype(complex)
    moved[0, 0, 0] += 1e-30j
    encoder = moved[0]
    for layer in moved[1:-1]:
        encoder = layer @ encoder
    product = moved[-1] @ encoder
    value = (
        np.trace(product @ xx @ product.T)
        - 2 * np.trace(product.T @ encoder @ yx)
        + np.trace(encoder @ yy @ encoder.T)
    ) / 2
    ours = matrix_flow.gradient(JEPA, weights, xx, yx)[0, 0, 0]
    assert abs(value.imag / 1e-30 - ours) > 1e-3


def chain(layers, width):
    result = np.eye(width)
    for layer in layers:
        result = layer @ result
    return result


@DEPTHS
def test_gradient_equals_the_papers_equations_20_and_21(depth):
    weights, xx, yx, _ = random_problem(depth, seed=1)
    decoder, encoder = weights[-1], chain(weights[:-1], 3)
    for a in range(depth):
        above, below = chain(weights[a + 1 : depth], 3), chain(weights[:a], 3)
        eq20 = above.T @ decoder.T @ decoder @ encoder @ xx @ below.T
        eq20 = eq20 - above.T @ decoder.T @ encoder @ yx @ below.T
        ours = matrix_flow.gradient(JEPA, weights, xx, yx)[a]
        np.testing.assert_allclose(ours, eq20, rtol=1e-11, atol=1e-11 * np.abs(eq20).max())
    eq21 = decoder @ encoder @ xx @ encoder.T - encoder @ yx @ encoder.T
    np.testing.assert_allclose(matrix_flow.gradient(JEPA, weights, xx, yx)[-1], eq21, rtol=1e-10)


@DEPTHS
def test_gradient_equals_minus_the_papers_equations_24_and_25(depth):
    weights, xx, yx, _ = random_problem(depth, seed=2)
    decoder, encoder = weights[-1], chain(weights[:-1], 3)
    for a in range(depth):
        above, below = chain(weights[a + 1 : depth], 3), chain(weights[:a], 3)
        eq24 = above.T @ decoder.T @ yx @ below.T
        eq24 = eq24 - above.T @ decoder.T @ decoder @ encoder @ xx @ below.T
        ours = matrix_flow.gradient(MAE, weights, xx, yx)[a]
        np.testing.assert_allclose(-ours, eq24, rtol=1e-11, atol=1e-11 * np.abs(eq24).max())
    eq25 = yx @ encoder.T - decoder @ encoder @ xx @ encoder.T
    np.testing.assert_allclose(-matrix_flow.gradient(MAE, weights, xx, yx)[-1], eq25, rtol=1e-10)


@given(st.sampled_from([JEPA, MAE]), st.integers(1, 5), st.integers(2, 6), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_aligned_weights_obey_assumption_3_1(objective, depth, width, seed):
    epsilon = 0.3
    weights = matrix_flow.aligned_weights(
        objective, depth=depth, width=width, epsilon=epsilon, seed=seed
    )
    scaled = weights / epsilon ** (1 / depth)
    products = np.einsum("aij,akj->aik", scaled, scaled)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(width), products.shape), atol=1e-12)
    last = scaled[-1] if objective is JEPA else scaled[-1] @ chain(scaled[:-1], width)
    np.testing.assert_allclose(last, np.eye(width), atol=1e-12)
    np.testing.assert_allclose(matrix_flow.feature_sizes(weights), epsilon, rtol=1e-12)


def test_seeds_reproduce_and_differ():
    one, same, other = (
        matrix_flow.aligned_weights(JEPA, depth=2, width=4, epsilon=0.1, seed=seed)
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-2
    generator = np.random.default_rng(7)
    first = matrix_flow.aligned_weights(JEPA, depth=2, width=4, epsilon=0.1, seed=generator)
    second = matrix_flow.aligned_weights(JEPA, depth=2, width=4, epsilon=0.1, seed=generator)
    np.testing.assert_array_equal(one, first)
    assert np.abs(first - second).max() > 1e-2


def test_signs_are_the_diagonal_of_the_decoder():
    weights = matrix_flow.aligned_weights(
        JEPA, depth=2, width=3, epsilon=0.25, seed=0, signs=[1, -1, 1]
    )
    np.testing.assert_allclose(weights[-1], 0.5 * np.diag([1.0, -1.0, 1.0]))


SPECTRUM = FeatureSpectrum([0.6, 0.9, 1.2, 1.5], [1.1, 0.7, 0.9, 0.5])


def flow_against_scalar(objective, depth, clock=None, signs=1.0):
    """Largest relative difference |w_matrix / w_scalar - 1|, features of very different speed."""
    epsilon = 0.2 * dynamics.fixed_point(objective, SPECTRUM.rho, depth=depth).min()
    weights = matrix_flow.aligned_weights(
        objective, depth=depth, width=4, epsilon=epsilon, seed=3, signs=signs
    )
    known = {"lam": SPECTRUM.lam, "rho": SPECTRUM.rho, "depth": depth, "epsilon": epsilon}
    reach = dynamics.time_to_reach(
        objective, 0.9 * dynamics.fixed_point(objective, SPECTRUM.rho, depth=depth), **known
    )
    times = np.linspace(0, reach.min() / depth, 5)
    xx, yx = SPECTRUM.covariances()
    layers = matrix_flow.integrate(objective, weights, xx, yx, times)
    sizes = np.array([matrix_flow.feature_sizes(w) for w in layers])
    scale = depth if clock is None else clock
    scalar = dynamics.trajectory(objective, scale * times[:, None], **known)
    return np.abs(sizes / scalar - 1).max()


@BOTH
@DEPTHS
def test_aligned_flow_follows_the_scalar_equation_with_t_equal_to_depth_times_flow_time(
    objective, depth
):
    assert flow_against_scalar(objective, depth) < 1e-8


def test_the_comparison_can_fail_by_the_wrong_clock_or_a_wrong_sign():
    assert flow_against_scalar(JEPA, 3, clock=1) > 1e-3
    assert flow_against_scalar(MAE, 3, clock=4) > 1e-3
    assert flow_against_scalar(JEPA, 2, signs=[1, 1, 1, -1]) > 1e-2


@BOTH
def test_flow_decreases_the_mae_loss_and_conserves_the_balance_of_lemma_b1(objective):
    weights, xx, yx, yy = random_problem(2, seed=4)
    weights = 0.3 * weights
    times = np.linspace(0, 1, 6)
    layers = matrix_flow.integrate(objective, weights, xx, yx, times)
    assert layers.shape == (6, 3, 3, 3)
    np.testing.assert_array_equal(layers[0], weights)
    balance = layers[:, 1:].swapaxes(-1, -2) @ layers[:, 1:]
    balance = balance - layers[:, :-1] @ layers[:, :-1].swapaxes(-1, -2)
    np.testing.assert_allclose(balance, np.broadcast_to(balance[0], balance.shape), atol=1e-10)
    if objective is MAE:
        losses = [loss(MAE, matrix_flow.encoder(w), w[-1], xx, yx, yy) for w in layers]
        assert np.all(np.diff(losses) < 0)


def test_integrate_accepts_a_start_at_zero_only_and_a_late_start():
    weights, xx, yx, _ = random_problem(1, seed=5)
    weights = 0.3 * weights
    only = matrix_flow.integrate(MAE, weights, xx, yx, [0.0])
    np.testing.assert_array_equal(only[0], weights)
    late = matrix_flow.integrate(MAE, weights, xx, yx, [0.5, 1])
    both = matrix_flow.integrate(MAE, weights, xx, yx, [0, 0.5, 1])
    np.testing.assert_allclose(late, both[1:], rtol=1e-9)
