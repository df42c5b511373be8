"""Checks that the losses and conventions of eqs. (1)-(5) are those that the package implements.

Weights and data are small integers and samples have four pairs, so that float64 is exact.
"""

from random import Random

import numpy as np
from flint import fmpq_poly

from jepabook.claims.checks.exact import (
    Network,
    coefficient,
    exact,
    exact_matrix,
    gradient_flow,
    random_matrix,
)
from jepabook.claims.ledger import decided_by
from jepabook.theory import matrix_flow, objectives
from jepabook.theory.feature_spectrum import FeatureSpectrum
from jepabook.theory.objectives import JEPA, MAE

DEPTHS = (1, 2, 3)


def _integers(depth, width=3):
    rng = np.random.default_rng(depth)
    shapes = (depth + 1, width, width), (width, 4), (width, 4)
    return tuple(rng.integers(-2, 3, shape).astype(float) for shape in shapes)


def _loss(objective, weights, x, y):
    count = x.shape[1]
    return objectives.loss(
        objective,
        matrix_flow.encoder(weights),
        weights[-1],
        x @ x.T / count,
        y @ x.T / count,
        y @ y.T / count,
    )


@decided_by("S")
def sample_loss_check(objective):
    """A check of statements (g, f, x, y) -> loss of one pair, for linear f and g."""

    def agrees(statement, depth):
        weights, x, y = _integers(depth)
        encoder, decoder = matrix_flow.encoder(weights), weights[-1]
        losses = [
            statement(decoder.__matmul__, encoder.__matmul__, a, b)
            for a, b in zip(x.T, y.T, strict=True)
        ]
        return np.mean(losses) == _loss(objective, weights, x, y)

    return lambda statement: all(agrees(statement, depth) for depth in DEPTHS)


@decided_by("S")
def linear_network_check(statement):
    """Statements (layers, V, x) -> (encoder matrix, f(x), g(f(x)))."""

    def agrees(depth):
        weights, x, _ = _integers(depth)
        representation = x
        for layer in weights[:-1]:
            representation = layer @ representation
        expected = (matrix_flow.encoder(weights), representation, weights[-1] @ representation)
        found = statement(list(weights[:-1]), weights[-1], x)
        return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))

    return all(agrees(depth) for depth in DEPTHS)


@decided_by("S")
def covariances_check(statement):
    """Statements (x, y) -> what is averaged to Sigma_xx, Sigma_yy, Sigma_xy, x and y columns.

    The package's loss, given (Sigma_xy)' for Sigma_yx, must be the mean loss of the sample; and
    the covariances of a `FeatureSpectrum` must be those of a sample that realises it.
    """

    def moments(x, y):
        pairs = [statement(x[:, [k]], y[:, [k]]) for k in range(x.shape[1])]
        return [sum(matrices) / len(pairs) for matrices in zip(*pairs, strict=True)]

    def same_loss(objective, depth):
        weights, x, y = _integers(depth)
        encoder, decoder = matrix_flow.encoder(weights), weights[-1]
        xx, yy, xy = moments(x, y)
        residual = decoder @ encoder @ x - objective.target(encoder) @ y
        mean = (residual**2).sum() / (2 * x.shape[1])
        return objectives.loss(objective, encoder, decoder, xx, xy.T, yy) == mean

    def same_spectrum():
        # orthogonal rows of +-1 carry x and the part of y that x does not predict
        signs = np.array([[1, 1], [1, -1]])
        rows = np.kron(signs, signs)
        sizes, slopes = np.array([[2.0], [3.0]]), np.array([[0.5], [2.0]])
        x = sizes * rows[:2]
        xx, _, xy = moments(x, slopes * x + rows[2:])
        spectrum = FeatureSpectrum(lam=(slopes * sizes**2)[:, 0], rho=slopes[:, 0])
        expected = spectrum.covariances()[:2]
        return np.array_equal(xx, expected[0]) and np.array_equal(xy.T, expected[1])

    return same_spectrum() and all(
        same_loss(objective, depth) for objective in (JEPA, MAE) for depth in DEPTHS
    )


@decided_by("S")
def linear_losses_check(statement):
    """Statements (V, W, stop_gradient, x, y) -> the losses (JEPA, MAE) of one pair.

    Their means must be the package's losses, and their derivatives by every layer those that
    gradient flow descends; stop_gradient drops the derivative of what it is given.
    """

    def losses(network):
        pairs = [
            statement(
                network.decoder,
                network.encoder,
                lambda matrix: coefficient(matrix, 0),
                network.x[:, [k]],
                network.y[:, [k]],
            )
            for k in range(network.x.shape[1])
        ]
        return [sum(values) / len(pairs) for values in zip(*pairs, strict=True)]

    def slopes(network, a, direction):
        still = [0 * layer for layer in network.layers]
        moved = network.moving([*still[: a - 1], direction, *still[a:]])
        return [(fmpq_poly([0]) + value)[1] for value in losses(moved)]

    def agrees(depth):
        weights, x, y = _integers(depth, width=2)
        layers = tuple(exact_matrix(layer) for layer in weights)
        network = Network(layers, exact_matrix(x), exact_matrix(y))
        direction = random_matrix(Random(depth), 2, 2)
        values = [exact(_loss(objective, weights, x, y)) for objective in (JEPA, MAE)]
        flows = [gradient_flow(objective, network) for objective in (JEPA, MAE)]
        return losses(network) == values and all(
            slopes(network, a, direction) == [-sum((f[a - 1] * direction).flat) for f in flows]
            for a in range(1, depth + 2)
        )

    return all(agrees(depth) for depth in DEPTHS)
