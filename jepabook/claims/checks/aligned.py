"""Checks of the aligned solutions, exact: by tangent vectors and by power series in time.

An aligned network has W_a = Q_a omega Q_{a-1}' with Q_0 = 1, Q_L = U and omega diagonal, and
V = U omega U' (JEPA) or omega U' (MAE); then W_L ... W_1 = U omega^L. The flow of the full network
is expanded in powers of t, with rational coefficients.
"""

from dataclasses import dataclass
from itertools import product
from random import Random

import numpy as np
from flint import fmpq, fmpq_poly

from jepabook.claims.checks.exact import (
    SHAPES,
    Network,
    Power,
    array,
    coefficient,
    equal,
    gradient_flow,
    identity,
    inverse,
    random_features,
    random_orthogonal,
    random_positive,
)
from jepabook.claims.ledger import decided_by

ORDER = 3  # of the expansions in time


@dataclass(frozen=True)
class AlignedFeature:
    """Sigma_xx and Sigma_yx of one feature."""

    xx: fmpq
    yx: fmpq

    @property
    def lam(self):
        """lambda."""
        return self.yx

    @property
    def rho(self):
        """rho = lambda / sigma^2."""
        return self.yx / self.xx


def features(network):
    """The features of a network's data, whose covariances are diagonal."""
    return [AlignedFeature(network.xx[i, i], network.yx[i, i]) for i in range(network.width)]


def aligned(objective, roots, frames, x, y):
    """The aligned network with omega = diag(roots) and frames Q_1 ... Q_L."""
    omega = Power(roots, 1) ** 1
    layers = [
        left @ omega @ right.T
        for right, left in zip([identity(len(roots)), *frames], frames, strict=False)
    ]
    decoder = omega @ frames[-1].T
    layers.append(frames[-1] @ decoder if objective.targets_encoder else decoder)
    return Network(tuple(layers), x, y)


def aligned_case(depth, width):
    """Frames Q_a, roots omega_i, rates for these, and data with diagonal covariances."""
    random = Random(f"{depth} {width}")
    frames = [random_orthogonal(random, width) for _ in range(depth)]
    roots, rates = ([random_positive(random) for _ in range(width)] for _ in "rv")
    return frames, roots, rates, *random_features(random, width)


def truncate(polynomial, order=ORDER):
    """A power series without the powers above `order`."""
    return fmpq_poly((fmpq_poly([0]) + polynomial).coeffs()[: order + 1])


def _map(function, matrix):
    return array([[function(entry) for entry in row] for row in matrix])


def flow_series(objective, network):
    """The network under gradient flow, its weights as power series in time (Picard iteration)."""
    moving = network
    for _ in range(ORDER):
        velocities = gradient_flow(objective, moving)
        layers = tuple(
            w + _map(lambda v: truncate((fmpq_poly([0]) + v).integral()), velocity)
            for w, velocity in zip(network.layers, velocities, strict=True)
        )
        moving = Network(layers, network.x, network.y)
    return moving


@decided_by("S")
def along_flow_check(*objectives):
    """A check of statements (network, U, w) -> two matrices, equal at all times.

    The network moves by gradient flow from an aligned start. Its sizes w are computed apart, as
    the solution of omega' = omega^((k-1) L) Sigma_yx - omega^(2 L + 1) Sigma_xx.
    """

    def solution(objective, depth, root, feature):
        series = root
        for _ in range(ORDER):
            rate = series ** ((objective.base_exponent - 1) * depth) * feature.yx
            rate = fmpq_poly([0]) + rate - series ** (2 * depth + 1) * feature.xx
            series = root + truncate(rate.integral())
        return series

    def agrees(statement, objective, shape):
        frames, roots, _, x, y = aligned_case(*shape)
        network = aligned(objective, roots, frames, x, y)
        sizes = [
            solution(objective, shape[0], root, feature)
            for root, feature in zip(roots, features(network), strict=True)
        ]
        left, right = statement(flow_series(objective, network), frames[-1], Power(sizes, shape[0]))
        return equal(_map(truncate, left), _map(truncate, right))

    def check(statement):
        return all(agrees(statement, *case) for case in product(objectives, SHAPES))

    return check


@decided_by("S")
def sides_check(objective, observed):
    """A check of statements (U, w, d, network) -> (left, right) about an aligned network.

    w moves at an arbitrary rate and d(...) is the derivative along it. The left side must be the
    derivative of observed(network, U) along that motion, the right side its derivative along
    gradient flow: equating them says that the motion is the flow.
    """

    def agrees(statement, depth, width):
        frames, roots, rates, x, y = aligned_case(depth, width)
        moving = [fmpq_poly([r, v]) for r, v in zip(roots, rates, strict=True)]
        still = aligned(objective, roots, frames, x, y)
        ansatz = aligned(objective, moving, frames, x, y)
        flow = still.moving(gradient_flow(objective, still))
        left, right = statement(
            frames[-1], Power(moving, depth), lambda m: coefficient(m, 1), still
        )
        return all(
            equal(coefficient(side, 0), coefficient(observed(moved, frames[-1]), 1))
            for side, moved in ((left, ansatz), (right, flow))
        )

    def check(statement):
        return all(agrees(statement, *shape) for shape in SHAPES)

    return check


@decided_by("S")
def solution_check(objective):
    """A check of statements (U, w, network) -> (encoder, product V encoder, dw/dt).

    At any sizes w of the layers W_a = Q_a omega Q_{a-1}', and of the V that the product implies,
    the velocity of every single layer under gradient flow is the one that dw/dt implies; and with
    equal sizes it is a start as in clauses 2 and 3 of Assumption 3.1.
    """

    def agrees(statement, depth, width):
        frames, roots, _, x, y = aligned_case(depth, width)
        still = aligned(objective, roots, frames, x, y)
        rate = statement(frames[-1], Power(roots, depth), still)[2]
        rates = [rate[i, i] / (depth * roots[i] ** (depth - 1)) for i in range(width)]
        moving = [fmpq_poly([r, v]) for r, v in zip(roots, rates, strict=True)]
        encoder, total, _ = statement(frames[-1], Power(moving, depth), still)
        ansatz = aligned(objective, moving, frames, x, y)
        diagonal_rate = all(rate[i, j] == 0 for i, j in np.ndindex(rate.shape) if i != j)
        # V follows from the products as total encoder^(-1), and its velocity likewise
        back = inverse(coefficient(encoder, 0))
        decoder = coefficient(total, 0) @ back
        decoder_rate = (coefficient(total, 1) - decoder @ coefficient(encoder, 1)) @ back
        velocities = gradient_flow(objective, still)
        return (
            diagonal_rate
            and _same(encoder, ansatz.encoder)
            and equal(decoder, still.decoder)
            and equal(decoder_rate, velocities[-1])
            and all(
                equal(coefficient(layer, 1), velocity)
                for layer, velocity in zip(ansatz.layers[:-1], velocities, strict=False)
            )
        )

    def starts(statement, depth, width):
        frames, roots, _, x, y = aligned_case(depth, width)
        encoder, total, _ = statement(
            frames[-1], Power(roots[:1] * width, depth), aligned(objective, roots, frames, x, y)
        )
        decoder, size, one = total @ inverse(encoder), roots[0], identity(width)
        return (
            equal(encoder @ encoder.T, one * size ** (2 * depth))
            and equal(decoder @ decoder.T, one * size**2)
            and equal(decoder if objective.targets_encoder else total / size**depth, one * size)
        )

    def check(statement):
        return all(agrees(statement, *shape) and starts(statement, *shape) for shape in SHAPES)

    return check


def _same(left, right):
    return all(equal(coefficient(left, n), coefficient(right, n)) for n in (0, 1))
