"""The training curve: its two parts against the loss of eq. (5), its turns against the path."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepabook import JEPA, MAE, dynamics, loss_curves, matrix_flow, objectives

BOTH = pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)


def views(seed, width=4):
    """Covariances of two views that do not commute."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((2 * width, 3 * width))
    joint = mixed @ mixed.T / width
    return joint[:width, :width], joint[width:, :width], joint[width:, width:]


@BOTH
def test_the_two_parts_are_the_loss_and_the_floor_is_the_best_predictors(objective):
    rng = np.random.default_rng(1)
    for seed in range(3):
        sigmas, (encoder, decoder) = views(seed), rng.standard_normal((2, 4, 4))
        gap, floor = loss_curves.split(objective, encoder, decoder, *sigmas)
        assert gap + floor == pytest.approx(objectives.loss(objective, encoder, decoder, *sigmas))
        regression = sigmas[1] @ np.linalg.inv(sigmas[0])
        best = objective.target(encoder) @ regression @ np.linalg.inv(encoder)
        assert objectives.loss(objective, encoder, best, *sigmas) == pytest.approx(floor)
        assert loss_curves.split(objective, encoder, best, *sigmas)[0] < 1e-9 * floor


@BOTH
@given(st.floats(0.01, 1.2), st.floats(0.2, 3), st.floats(0.1, 1.5), st.floats(1, 3))
def test_a_feature_has_the_loss_of_the_matrices(objective, w, lam, rho, more):
    variance = lam * max(rho, 1 / rho) * more
    gap, floor = loss_curves.feature_loss(objective, w, lam, rho, depth=3, variance_y=variance)
    known = [[[x]] for x in (w, w ** (1 / 3), lam / rho, lam, variance)]
    assert gap + floor == pytest.approx(objectives.loss(objective, *known), rel=1e-9, abs=1e-12)
    assert [gap, floor] == pytest.approx(loss_curves.split(objective, *known), rel=1e-6, abs=1e-9)


@given(st.integers(1, 8), st.floats(0.5, 2), st.floats(0.3, 1.0), st.floats(1, 1.5))
def test_the_loss_falls_between_the_turning_sizes_alone(depth, lam, rho, more):
    variance = more * lam / rho
    low, high = loss_curves.turning_sizes(lam, rho, depth=depth, variance_y=variance)
    end = dynamics.fixed_point(JEPA, rho, depth=depth)
    correlation = rho / more**0.5
    border = loss_curves.turning_correlation(depth=depth)
    assert np.isnan(low) == (correlation <= border) or abs(correlation - border) < 1e-9
    turns = [] if np.isnan(low) else [low, high]
    assert all(0 < turn <= end * (1 + 1e-9) for turn in turns)
    for k, (a, b) in enumerate(zip([0, *turns], [*turns, end], strict=True)):
        if b - a > 1e-3 * end:
            sizes = a + (b - a) * np.linspace(0.01, 0.99, 50)
            loss = sum(
                loss_curves.feature_loss(JEPA, sizes, lam, rho, depth=depth, variance_y=variance)
            )
            assert np.all(np.diff(loss) < 0 if k == 1 else np.diff(loss) > 0)


@BOTH
def test_a_curve_is_the_loss_of_the_full_matrices(objective):
    lam, rho, depth, epsilon = np.array([1.2, 0.8]), np.array([0.9, 0.6]), 2, 0.1
    t, sigmas = np.linspace(0, 20, 5), (np.diag(lam / rho), np.diag(lam))
    found = loss_curves.curve(objective, t, lam, rho, depth=depth, epsilon=epsilon)
    weights = matrix_flow.aligned_weights(objective, depth=depth, width=2, epsilon=epsilon, seed=0)
    path = matrix_flow.integrate(objective, weights, *sigmas, t / depth)
    for row, layers in enumerate(path):
        encoder = np.linalg.multi_dot([np.eye(2), *layers[:depth][::-1]])
        whole = objectives.loss(objective, encoder, layers[depth], *sigmas, sigmas[0])
        assert whole == pytest.approx(found.loss[row].sum(), rel=1e-5)


def test_a_target_network_lies_between_a_frozen_teacher_and_jepa():
    t, known = np.linspace(0, 3000, 50), {"depth": 2, "epsilon": [0.04]}
    ends = [
        loss_curves.curve(JEPA, t, 0.9, 0.8, **known, target_rate=rate).loss[-1, 0]
        for rate in (0.0, 0.001, 50.0)
    ]
    jepa = loss_curves.curve(JEPA, t, 0.9, 0.8, **known)
    assert ends[0] < ends[1] < ends[2] <= jepa.loss[-1, 0] * (1 + 1e-6)
    assert np.array_equal(jepa.size, jepa.target)
    assert np.isnan(loss_curves.Curve(*np.zeros((5, 1, 1))).unexplained()).all()


GOOD = {"lam": 1.0, "rho": 0.8, "depth": 2}


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: loss_curves.feature_loss(JEPA, 0.5, 1.0, 1.2, depth=2), "rho"),
        (
            lambda: loss_curves.feature_loss(JEPA, 0.5, 1.0, 0.8, depth=2, variance_y=0.7),
            "variance_y",
        ),
        (lambda: loss_curves.feature_loss(MAE, 0.5, 1.0, 0.8, depth=2, target=0.5), "target"),
        (lambda: loss_curves.feature_loss(JEPA, 1e200, 1.0, 0.8, depth=2), "w"),
        (lambda: loss_curves.curve(MAE, [0, 1], **GOOD, epsilon=0.1, target_rate=1.0), "target"),
        (lambda: loss_curves.curve(JEPA, [0, 1], **GOOD, epsilon=0.1, teacher=1.0), "teacher"),
        (lambda: loss_curves.split(JEPA, [[1.0]], [[1.0]], [[0.0]], [[1.0]], [[1.0]]), "sigma_xx"),
    ],
)
def test_bad_arguments_are_named(call, named):
    with pytest.raises(ValueError, match=f"^{named}") as told:
        call()
    assert "\n" not in str(told.value)
