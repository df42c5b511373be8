"""Checks of what balanced layers imply, on random networks."""

from dataclasses import replace
from itertools import product
from random import Random

from flint import fmpq, fmpq_mat

from jepabook.claims.checks.exact import (
    SHAPES,
    Network,
    array,
    coefficient,
    diagonal,
    equal,
    gradient_flow,
    identity,
    is_zero,
    multiply,
    random_matrix,
    random_network,
    random_orthogonal,
    random_positive,
)
from jepabook.claims.checks.networks import product_rule, random_networks
from jepabook.claims.ledger import decided_by
from jepabook.theory.objectives import BOTH


def balanced_networks():
    """Networks with W_{a+1}' W_{a+1} = W_a W_a', of full rank and not.

    W_1 W_1' is the square of a random matrix S, so the singular values are irrational in general.
    """
    return [_balanced(depth, width, rank) for depth, width in SHAPES for rank in (width, width - 1)]


def _balanced(depth, width, rank):
    random = Random(f"{depth} {width} {rank}")
    root = random_matrix(random, width, rank)
    size = root @ root.T
    layers, frame = [size @ random_orthogonal(random, width)], identity(width)
    for _ in range(depth):
        turn = random_orthogonal(random, width)
        layers.append(turn @ frame @ size @ frame.T)
        frame = turn @ frame
    return Network(tuple(layers), *(random_matrix(random, width, width + 1) for _ in "xy"))


@decided_by("S")
def shared_form_check(statement):
    """Statements (network, Xi, power) -> velocity of the product, for balanced networks.

    power(M, k / (L + 1)) is the k-th power of the positive semidefinite root of M, which is V V'
    or W_1' W_1 in a balanced network: that its (L + 1)-th power is M is confirmed at each use.
    """

    def power_of(network):
        order = network.depth + 1
        first, last = network.layer(1), network.decoder
        roots = [last @ last.T, first.T @ first]
        powers = [multiply([root] * order, network.width) for root in roots]

        def power(matrix, exponent):
            root = next(r for r, p in zip(roots, powers, strict=True) if equal(matrix, p))
            return multiply([root] * int(exponent * order), network.width)

        return power

    def agrees(objective, network):
        xi = network.target(objective) @ network.yx
        velocity = product_rule(network, gradient_flow(objective, network))
        return equal(statement(network, xi, power_of(network)), velocity)

    return all(agrees(o, n) for o, n in product(BOTH, balanced_networks()))


@decided_by("S")
def layers_check(*objectives, layers="all"):
    """A check of statements (network, velocity, a) -> matrices that gradient flow makes equal.

    velocity(a) is the derivative of W_a; a = 1 ... L ("all"), 1 ... L - 1 ("inner") or L ("last").
    """

    def indices(depth):
        return {"all": range(1, depth + 1), "inner": range(1, depth), "last": [depth]}[layers]

    def agrees(statement, network, flow, a):
        first, *others = statement(network, lambda b: flow[b - 1], a)
        return all(equal(first, other) for other in others)

    def check(statement):
        return all(
            agrees(statement, network, gradient_flow(objective, network), a)
            for objective, network in product(objectives, random_networks())
            for a in indices(network.depth)
        )

    return check


@decided_by("S")
def conserved_check(statement):
    """Statements (network, a) -> matrix that gradient flow conserves, whatever the weights."""

    def agrees(objective, network, a):
        moved = network.moving(gradient_flow(objective, network))
        return is_zero(coefficient(statement(moved, a), 1))

    return all(
        agrees(objective, network, a)
        for objective, network in product(BOTH, random_networks())
        for a in range(1, network.depth + 1)
    )


def _scaled_orthogonal(depth, width):
    """A network that obeys Assumption 3.1.2."""
    random = Random(f"{depth} {width}")
    scale = random_positive(random)
    layers = tuple(scale * random_orthogonal(random, width) for _ in range(depth + 1))
    return replace(random_network(depth, width), layers=layers)


@decided_by("S")
def balance_check(statement):
    """Statements (network, a) -> two matrices, equal at every time from Assumption 3.1.2.

    Their difference is zero at scaled orthogonal weights, and conserved.
    """

    def difference(network, a):
        left, right = statement(network, a)
        return left - right

    return conserved_check(difference) and all(
        is_zero(difference(_scaled_orthogonal(*shape), a))
        for shape in SHAPES
        for a in range(1, shape[0] + 1)
    )


@decided_by("S")
def balanced_flow_check(statement):
    """Statements (whether the start is balanced) -> whether the layers are, at every time.

    At random starts and at scaled orthogonal ones; what the start has is conserved.
    """

    def difference(network, a):
        return network.layer(a + 1).T @ network.layer(a + 1) - network.layer(a) @ network.layer(a).T

    def kept_zero(network, depth):
        return all(is_zero(difference(network, a)) for a in range(1, depth + 1))

    if not conserved_check(difference):
        return False
    return all(
        kept_zero(network, depth) == statement(balanced)
        for depth, width in SHAPES
        for balanced, network in (
            (True, _scaled_orthogonal(depth, width)),
            (False, random_network(depth, width)),
        )
    )


@decided_by("S")
def spectra_check(statement):
    """Statements (network, spectrum, a) -> two spectra that balance makes equal, a = 1 ... L + 1.

    spectrum(M) is the characteristic polynomial of M.
    """

    def spectrum(matrix):
        return array([fmpq_mat(matrix.tolist()).charpoly().coeffs()])

    return all(
        equal(*statement(network, spectrum, a))
        for network in balanced_networks()
        for a in range(1, network.depth + 2)
    )


@decided_by("S")
def decompositions_check(offset=None):
    """A check of statements (network, svd, a) -> two equal matrices, for balanced networks.

    svd(a) is a singular value decomposition (Q, omega, P) with W_a = Q omega P, chosen for each
    layer anew among all that there are: singular values may coincide (at t = 0 they all do) and
    singular vectors are determined up to an orthogonal matrix that commutes with omega.
    a = 1 ... L + offset; with offset None the statement takes no a.
    """

    def case(depth, singular_values):
        width = len(singular_values)
        random = Random(f"{depth} {singular_values}")
        frames = [random_orthogonal(random, width) for _ in range(depth + 2)]
        omega = diagonal([fmpq(value) for value in singular_values])
        freedom = [_commuting(random, singular_values) for _ in range(depth + 1)]
        parts = [
            (left @ s, omega, s.T @ right.T)
            for right, left, s in zip(frames, frames[1:], freedom, strict=False)
        ]
        layers = tuple(left @ middle @ right for left, middle, right in parts)
        return replace(random_network(depth, width), layers=layers), lambda a: parts[a - 1]

    def agrees(statement, network, svd):
        if offset is None:
            return equal(*statement(network, svd))
        return all(equal(*statement(network, svd, a)) for a in range(1, network.depth + offset + 1))

    def check(statement):
        spectra = ((3, 2, 1), (2, 2, 1), (2, 2, 2), (2, 1, 0))
        return all(agrees(statement, *case(*pair)) for pair in product((1, 2, 3, 4), spectra))

    return check


def _commuting(random, values):
    """A random orthogonal matrix that commutes with diag(values), values in groups."""
    width = len(values)
    if len(set(values)) == 1:
        return random_orthogonal(random, width)
    result = diagonal([fmpq(random.choice((1, -1))) for _ in values])
    if values[0] == values[1]:
        result[:2, :2] = random_orthogonal(random, 2)
    return result
