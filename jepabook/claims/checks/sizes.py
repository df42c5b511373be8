"""Checks of the equation that the size |W e_i| of a feature obeys, by exact series in time.

The full network moves by gradient flow; its sizes are series in t with rational coefficients.
"""

from itertools import product
from random import Random

import numpy as np
from flint import fmpq, fmpq_poly

from jepabook.claims.checks.aligned import (
    ORDER,
    AlignedFeature,
    aligned,
    aligned_case,
    features,
    flow_series,
    truncate,
)
from jepabook.claims.checks.exact import (
    SHAPES,
    Network,
    Power,
    diagonal,
    equal,
    gradient_flow,
    multiply,
    random_features,
    random_orthogonal,
    random_positive,
)
from jepabook.claims.ledger import decided_by
from jepabook.theory import _ode, matrix_flow
from jepabook.theory.feature_spectrum import FeatureSpectrum
from jepabook.theory.objectives import BOTH


def root_series(series, degree, start):
    """The degree-th root, starting with `start`, of a power series (Miller's recurrence)."""
    exponent, p = fmpq(1, degree), (fmpq_poly([0]) + series).coeffs() + [fmpq(0)] * (ORDER + 1)
    q = [start]
    for n in range(1, ORDER + 1):
        terms = ((k * exponent - (n - k)) * p[k] * q[n - k] for k in range(1, n + 1))
        q.append(sum(terms) / (n * p[0]))
    return fmpq_poly(q)


def obeys(objective, network, rate, size):
    """Whether all |W e_i|, of L-th root `size` at t = 0, obey dw/dt = rate(i, w, L) in t of (6)."""
    depth = network.depth
    encoder = flow_series(objective, network).encoder
    squares = [sum(v * v for v in column) for column in encoder.T]

    def holds(i):
        root = root_series(truncate(squares[i]), 2 * depth, size[i])
        speed = truncate(root**depth).derivative()
        return speed == truncate(rate(i, Power(root, depth), depth), ORDER - 1)

    return all(holds(i) for i in range(network.width))


@decided_by("S")
def ode_check(*objectives, absorbed):
    """A check of statements (w, feature, L) -> dw/dt for the feature sizes of aligned networks.

    absorbed: whether the statement's time is L times that of gradient flow, as from (64) on.
    """

    def agrees(statement, objective, shape):
        frames, roots, _, x, y = aligned_case(*shape)
        network = aligned(objective, roots, frames, x, y)
        known, scale = features(network), shape[0] if absorbed else 1
        return obeys(
            objective, network, lambda i, w, depth: scale * statement(w, known[i], depth), roots
        )

    def check(statement):
        return all(agrees(statement, *case) for case in product(objectives, SHAPES))

    return check


def start(depth, width, decoder_of):
    """A network with W_a = r U_a and V = r decoder_of(U_L ... U_1), and r = epsilon^(1/L)."""
    random = Random(f"{depth} {width}")
    root = random_positive(random)
    turns = [random_orthogonal(random, width) for _ in range(depth)]
    frame = multiply(turns, width)
    layers = tuple(root * turn for turn in [*turns, decoder_of(frame)])
    return Network(layers, *random_features(random, width)), frame, root


def sign_matrices(width, signs=(1, -1)):
    """All diagonal matrices with entries among `signs`."""
    return [diagonal([fmpq(s) for s in choice]) for choice in product(signs, repeat=width)]


def aligned_decoders(objective, frame, signs=(1, -1)):
    """The U_v for which U_v (JEPA) or U_v frame (MAE) is diagonal with these signs."""
    matrices = sign_matrices(len(frame), signs)
    return matrices if objective.targets_encoder else [d @ frame.T for d in matrices]


def admitted_starts_check(statement, rates):
    """Whether `rates` hold from every start that a statement admits, and from no other sign.

    statement(objective, U_L ... U_1) lists decoders U_v; of `aligned_decoders` those that it leaves
    out must break the equations. rates maps each objective to (w, feature, L) -> dw/dt in the time
    of (6).
    """

    def agrees(objective, decoder, shape):
        network, _, root = start(*shape, lambda _: decoder)
        known = features(network)
        return obeys(
            objective,
            network,
            lambda i, w, depth: rates[objective](w, known[i], depth),
            [root] * shape[1],
        )

    def exact(objective, shape):
        _, frame, _ = start(*shape, lambda frame: frame)
        admitted = statement(objective, frame)
        left_out = [
            decoder
            for decoder in aligned_decoders(objective, frame)
            if not any(equal(decoder, one) for one in admitted)
        ]
        return all(agrees(objective, decoder, shape) for decoder in admitted) and not any(
            agrees(objective, decoder, shape) for decoder in left_out
        )

    return all(exact(*case) for case in product(BOTH, SHAPES))


def integrated_agrees(rates):
    """Whether the rates predict |W e_i| of a network integrated in float64 until they are large."""
    spectrum, depth = FeatureSpectrum([0.8, 1.2], [1.1, 0.9]), 3
    epsilon, times = 0.3, np.linspace(0, 6, 7)

    def agrees(objective):
        weights = matrix_flow.aligned_weights(
            objective, depth=depth, width=2, epsilon=epsilon, seed=1
        )
        flow = matrix_flow.integrate(objective, weights, *spectrum.covariances()[:2], times)
        known = [
            AlignedFeature(s, m) for s, m in zip(spectrum.sigma_squared, spectrum.lam, strict=True)
        ]
        scalar = _ode.solve(
            "the scalar equations",
            lambda _, w: [
                rates[objective](float(v), f, depth) for v, f in zip(w, known, strict=True)
            ],
            times,
            [epsilon, epsilon],
            method="DOP853",
            t_eval=times,
            rtol=1e-11,
            atol=1e-13,
        )
        sizes = np.array([matrix_flow.feature_sizes(weights) for weights in flow])
        return np.abs(sizes - scalar.y.T).max() < 1e-7

    return all(agrees(objective) for objective in BOTH)


@decided_by("S")
def signed_growth_check(statement):
    """Statements (objective, kappa, w, feature, L) -> dw/dt, L absorbed, from any orthogonal U_v.

    kappa_i is the i-th diagonal entry of U' U_v U (JEPA) or of U_v U (MAE), U = U_L ... U_1. The
    equation must hold at t = 0 for random orthogonal U_v, and at all times where U_v makes that
    matrix diagonal with signs: for MAE all signs, for JEPA a common one (others do not decouple).
    """

    def initially(objective, depth, width):
        other = random_orthogonal(Random(7), width)
        network, frame, root = start(depth, width, lambda _: other)
        aligned_with = frame.T @ other @ frame if objective.targets_encoder else other @ frame
        moved = network.moving(gradient_flow(objective, network)).encoder
        squares = [sum((v * v for v in column), fmpq_poly([0]))[1] for column in moved.T]
        return all(
            square
            == 2
            * root**depth
            * depth
            * statement(objective, aligned_with[i, i], Power(root, depth), f, depth)
            for i, (square, f) in enumerate(zip(squares, features(network), strict=True))
        )

    def later(objective, depth, width, signs):
        def decoder_of(frame):
            turned = diagonal([fmpq(s) for s in signs])
            return turned if objective.targets_encoder else turned @ frame.T

        network, _, root = start(depth, width, decoder_of)
        known = features(network)

        def rate(i, w, depth):
            return depth * statement(objective, signs[i], w, known[i], depth)

        return obeys(objective, network, rate, [root] * width)

    def signs_of(objective, width):
        if objective.targets_encoder:
            return [(s,) * width for s in (1, -1)]
        return list(product((1, -1), repeat=width))

    return all(initially(*case) for case in ((o, *s) for o, s in product(BOTH, SHAPES))) and all(
        later(objective, *shape, signs)
        for objective, shape in product(BOTH, SHAPES)
        for signs in signs_of(objective, shape[1])
    )
