"""Checks of gradients, of the product rule and of balance, on random networks."""

from functools import cache, partial
from itertools import product
from random import Random

import numpy as np
from flint import fmpq_poly
from sympy import QQ, ring

from jepabook.claims.checks.exact import (
    SHAPES,
    Network,
    array,
    coefficient,
    equal,
    exact_matrix,
    gradient_flow,
    identity,
    random_matrix,
    random_network,
)
from jepabook.claims.ledger import decided_by
from jepabook.theory import matrix_flow

SYMBOLIC_DEPTHS = (1, 2, 3)


def loss_derivative(objective, network, a, direction, stop_gradient=True):
    """The derivative of the loss (5) by W_a in a direction, the target held constant or not."""
    still = [0 * w for w in network.layers]
    moved = network.moving([*still[: a - 1], direction, *still[a:]])
    target = (network if stop_gradient else moved).target(objective)
    residual = moved.total @ network.x - target @ network.y
    square = sum(r * r for r in residual.flat) + fmpq_poly([0])
    return square[1] / (2 * network.x.shape[1])


def loss_gradient(objective, network, a, stop_gradient=True):
    """The gradient of the loss (5) by W_a, entry by entry."""
    indices = range(network.width)

    def entry(i, j):
        unit = array([[int((m, n) == (i, j)) for n in indices] for m in indices])
        return loss_derivative(objective, network, a, unit, stop_gradient)

    return array([[entry(i, j) for j in indices] for i in indices])


@cache
def symbolic_gradients(objective, depth):
    """A network of symbols, and the sympy derivatives of its loss (5) by every weight."""
    width, count = 2, 4
    names = [f"{block}{i}" for block in range(depth + 4) for i in range(count)]
    symbols = ring(names, QQ)[1:]
    blocks = [array(np.reshape(np.arange(count), (width, width))) for _ in range(depth + 4)]
    for k, block in enumerate(blocks):
        block.flat = symbols[k * count : (k + 1) * count]
    *layers, x, y, held = blocks
    network = Network(tuple(layers), x, y)
    target = held if objective.targets_encoder else identity(width)
    residual = network.total @ x - target @ y
    loss = sum(r**2 for r in residual.flat) / (2 * width)
    release = list(zip(held.flat, network.encoder.flat, strict=True))
    gradients = [
        array([[loss.diff(w).compose(release) for w in row] for row in layer]) for layer in layers
    ]
    return network, gradients


@decided_by("S")
def gradient_check(objective, layers, sign):
    """A check of statements (network, a) -> sign times the gradient of the loss (5) by W_a.

    First on random rational networks (L = 1 ... 5), in a random direction; then identically in
    all weights and data (d = 2, L = 1, 2, 3). layers: "encoder" or "decoder", whose statements
    take the network only.
    """

    def value(statement, network, a):
        return statement(network, a) if layers == "encoder" else statement(network)

    def indices(depth):
        return range(1, depth + 1) if layers == "encoder" else (depth + 1,)

    def at_random(statement, depth, width, a):
        network = random_network(depth, width)
        direction = random_matrix(Random(a), width, width)
        slope = sum((value(statement, network, a) * direction).flat)
        return slope == sign * loss_derivative(objective, network, a, direction)

    def identically(statement, depth, a):
        network, gradients = symbolic_gradients(objective, depth)
        return equal(value(statement, network, a), sign * gradients[a - 1])

    def check(statement):
        return all(
            at_random(statement, depth, width, a) for depth, width in SHAPES for a in indices(depth)
        ) and all(
            identically(statement, depth, a) for depth in SYMBOLIC_DEPTHS for a in indices(depth)
        )

    return check


@decided_by("S")
def descent_check(*objectives):
    """A check of statements (gradient) -> velocity against the flow that the package integrates.

    gradient(stop_gradient=True) is that of the loss (5) by one layer. Small integer weights and
    data keep the package's float64 exact.
    """

    def agrees(statement, objective, depth):
        rng = np.random.default_rng(depth)
        weights, x, y = (
            rng.integers(-3, 4, shape).astype(float)
            for shape in ((depth + 1, 2, 2), (2, 4), (2, 4))
        )
        layers = tuple(exact_matrix(layer) for layer in weights)
        network = Network(layers, exact_matrix(x), exact_matrix(y))
        package = matrix_flow.gradient(objective, weights, x @ x.T / 4, y @ x.T / 4)
        return all(
            equal(statement(partial(loss_gradient, objective, network, a)), exact_matrix(-gradient))
            for a, gradient in enumerate(package, start=1)
        )

    def check(statement):
        return all(agrees(statement, o, depth) for o, depth in product(objectives, (1, 2, 3)))

    return check


def product_rule(network, velocities):
    """The derivative of V W_L ... W_1 when W_a moves with velocity_a."""
    return coefficient(network.moving(velocities).total, 1)


@decided_by("S")
def product_rule_check(statement):
    """Statements (network, velocities) -> derivative of the product, for any velocities."""

    def agrees(depth, width):
        network = random_network(depth, width)
        velocities = random_network(depth, width, seed=1).layers
        return equal(statement(network, velocities), product_rule(network, velocities))

    return all(agrees(*shape) for shape in SHAPES)


def random_networks():
    """Networks without structure, one of every shape."""
    return [random_network(*shape) for shape in SHAPES]


@decided_by("S")
def product_flow_check(objective):
    """A check of statements (network) -> velocity of V W_L ... W_1 under gradient flow."""

    def check(statement):
        return all(
            equal(statement(n), product_rule(n, gradient_flow(objective, n)))
            for n in random_networks()
        )

    return check
