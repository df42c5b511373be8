"""Exact arithmetic on small random networks, which the checks of matrix equations share.

A `Network` holds its weights and a finite sample in NumPy arrays of exact numbers (rationals, or
polynomials over them), so an expectation is a finite mean and an equation is decided without
rounding. A polynomial identity that holds at random rational points holds everywhere, but for a
probability that is negligible here (Schwartz and Zippel). A derivative is the coefficient of e in
arithmetic with polynomials in e, and so exact too.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, reduce
from random import Random

import numpy as np
from flint import fmpq, fmpq_mat, fmpq_poly

SHAPES = ((1, 2), (2, 3), (3, 2), (3, 4), (4, 2), (5, 2))  # (depth L, width d)


@dataclass(frozen=True)
class Network:
    """Weights W_1 ... W_L, V = W_{L+1} and n pairs (x, y); layers count from 1."""

    layers: tuple
    x: np.ndarray  # (d, n)
    y: np.ndarray  # (d, n)

    @property
    def depth(self):
        """The depth L of the encoder."""
        return len(self.layers) - 1

    @property
    def width(self):
        """The width d."""
        return len(self.x)

    def layer(self, a):
        """W_a, a = 1 ... L + 1."""
        return self.layers[a - 1]

    def product(self, first, last):
        """The product of W_b over b = first ... last, from right to left as eq. (3) has it."""
        return multiply(self.layers[first - 1 : last], self.width)

    def transposes(self, first, last):
        """The product of W_b' over b = first ... last, read in the same way."""
        return multiply([w.T for w in self.layers[first - 1 : last]], self.width)

    @property
    def decoder(self):
        """V."""
        return self.layers[-1]

    @cached_property
    def encoder(self):
        """W_L ... W_1."""
        return self.product(1, self.depth)

    @cached_property
    def total(self):
        """V W_L ... W_1."""
        return self.product(1, self.depth + 1)

    def mean(self, function):
        """The mean of function(x, y) over the sample, with x and y as columns."""
        count = self.x.shape[1]
        return sum(function(self.x[:, [k]], self.y[:, [k]]) for k in range(count)) / count

    @cached_property
    def xx(self):
        """E[x x']."""
        return self.x @ self.x.T / self.x.shape[1]

    @cached_property
    def yx(self):
        """E[y x']."""
        return self.y @ self.x.T / self.x.shape[1]

    def target(self, objective):
        """T of the target T y: the encoder (JEPA) or the identity (MAE)."""
        return self.encoder if objective.targets_encoder else identity(self.width)

    def moving(self, velocities):
        """The same network with weights W_a + e velocity_a."""
        pairs = zip(self.layers, velocities, strict=True)
        return replace(self, layers=tuple(along(w, v) for w, v in pairs))


class Power:
    """A positive w known by its L-th root, so that w ** (k / L) = root ** k stays exact.

    For a list of roots it is the diagonal matrix of these w.
    """

    def __init__(self, root, depth):
        self.root, self.depth = root, depth

    def __pow__(self, exponent):
        power = Fraction(exponent) * self.depth
        if power.denominator != 1 or power < 0:
            raise ValueError(f"exponent must be a multiple of 1/L, >= 0, got {exponent}")
        if isinstance(self.root, list):
            return diagonal([root**power.numerator for root in self.root])
        return self.root**power.numerator


def array(rows):
    """An object array of exact numbers."""
    rows = [list(row) for row in rows]
    result = np.empty((len(rows), len(rows[0])), dtype=object)
    for index in np.ndindex(result.shape):  # one by one: NumPy takes a polynomial for a sequence
        result[index] = rows[index[0]][index[1]]
    return result


def exact(number):
    """A float64 as a rational."""
    return fmpq(*float(number).as_integer_ratio())


def exact_matrix(matrix):
    """A float64 matrix as rationals."""
    return array([[exact(entry) for entry in row] for row in matrix])


def identity(width):
    """The identity matrix; its entries are integers, which every exact number can multiply."""
    return array([[int(i == j) for j in range(width)] for i in range(width)])


def along(value, rate):
    """The matrix of polynomials value + e rate."""
    pairs = zip(value, rate, strict=True)
    return array([[fmpq_poly([v, r]) for v, r in zip(*rows, strict=True)] for rows in pairs])


def diagonal(entries):
    """The diagonal matrix of the entries."""
    rows = range(len(entries))
    return array([[entries[i] if i == j else fmpq(0) for j in rows] for i in rows])


def multiply(factors, width):
    """The product of matrices from right to left: the last one stands leftmost."""
    return reduce(lambda right, left: left @ right, factors) if factors else identity(width)


def inverse(matrix):
    """The inverse of a matrix of rationals."""
    return array(fmpq_mat(matrix.tolist()).inv().tolist())


def coefficient(matrix, power):
    """The coefficient of e^power in every entry of a matrix."""
    return array([[(fmpq_poly([0]) + entry)[power] for entry in row] for row in matrix])


def equal(left, right):
    """Whether two matrices agree in every entry."""
    return left.shape == right.shape and all(
        a == b for a, b in zip(left.flat, right.flat, strict=True)
    )


def is_zero(matrix):
    """Whether every entry is zero."""
    return all(entry == 0 for entry in matrix.flat)


def random_matrix(random, rows, columns):
    """Random rationals k / 4 with |k| <= 8."""
    return array([[fmpq(random.randint(-8, 8), 4) for _ in range(columns)] for _ in range(rows)])


def random_orthogonal(random, width):
    """A random rational orthogonal matrix of either determinant, by the Cayley transform."""
    a = random_matrix(random, width, width)
    one = identity(width)
    flips = diagonal([fmpq(random.choice((1, -1))) for _ in range(width)])
    return (one - a + a.T) @ inverse(one + a - a.T) @ flips


def random_positive(random):
    """A random rational k / 32 between 1/2 and 3/2."""
    return fmpq(random.randint(16, 48), 32)


def random_network(depth, width, seed=0):
    """Weights and data without structure; in particular E[y x'] is not symmetric."""
    random = Random(f"{depth} {width} {seed}")
    layers = tuple(random_matrix(random, width, width) for _ in range(depth + 1))
    return Network(layers, *(random_matrix(random, width, width + 1) for _ in "xy"))


def random_features(random, width):
    """A sample x, y with E[x x'] and E[y x'] diagonal and positive: an atom on every axis."""
    return (diagonal([random_positive(random) for _ in range(width)]) for _ in "xy")


def gradient_flow(objective, network):
    """The velocities -dL/dW_a of all layers; eqs. (17)-(27) compare them with dL itself."""
    residual = network.total @ network.xx - network.target(objective) @ network.yx
    last = network.depth + 1
    return tuple(
        -network.product(a + 1, last).T @ residual @ network.product(1, a - 1).T
        for a in range(1, last + 1)
    )
