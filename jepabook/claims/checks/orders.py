"""Checks of what holds as epsilon -> 0: orders, leading terms, ratios, the complete expansion.

An order is measured on `EXPONENTS`: sixty decades of epsilon, with so many digits that fifty are
left of the remainder. (value - approximation) / order must then be constant: an exponent that is
off by 1/L, L <= 6, changes it by a factor 10^10, a missing logarithm by 2.
"""

from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from typing import NamedTuple

from mpmath import mp, mpf

from jepabook.claims.checks.scalar import (
    ScalarFeature,
    antiderivative,
    random_feature,
    vanishing_point,
)
from jepabook.claims.ledger import decided_by
from jepabook.theory.objectives import JEPA, MAE

EXPONENTS = (60, 90, 120)  # epsilon = 10^-k
DEPTHS = (1, 2, 3, 4, 5, 6)
WORKING = 50 + 3 * EXPONENTS[-1]
GENERIC, SPECIAL = "generic", "special"


class Estimate(NamedTuple):
    """value = approximation + Theta(order), or + O(order); exactly, if order is None."""

    value: object
    approximation: object
    order: object
    sharp: bool


def theta(value, approximation, order):
    """value = approximation + Theta(order): the quotient has a limit that is not 0."""
    return Estimate(value, approximation, order, sharp=True)


def big_o(value, approximation, order):
    """value = approximation + O(order): the quotient is bounded, and 0 only for special p."""
    return Estimate(value, approximation, order, sharp=False)


def exactly(value, approximation):
    """value = approximation."""
    return Estimate(value, approximation, None, sharp=True)


class Path(NamedTuple):
    """Features with epsilon = 10^-k for k in `EXPONENTS`, and the nature of their p."""

    features: tuple
    nature: str


@cache
def _parameters(depth):
    feature = random_feature(JEPA, depth)
    return feature.lam, feature.rho


def path(objective, depth, lam, rho, point, nature=GENERIC):
    """Features along epsilon; point(epsilon) gives x and log(1 - x)."""
    scales = [mpf(10) ** -k for k in EXPONENTS]
    features = (ScalarFeature(objective, depth, lam, rho, scale, *point(scale)) for scale in scales)
    return Path(tuple(features), nature)


@cache
def fixed_fractions(objective, depth):
    """Paths of constant p, the last of which kills the constant of t* (for JEPA at this rho)."""
    lam, rho = _parameters(depth)
    with mp.workdps(WORKING):
        points = [mp.root(mpf(p), depth) for p in (0.3, 0.85)]
        target = -mp.log(rho) if objective is JEPA else 0
        special = vanishing_point(objective, depth, target)
        return [
            *(path(objective, depth, lam, rho, lambda _, x=x: (x, None)) for x in points),
            path(objective, depth, lam, rho, lambda _: (special, None), SPECIAL),
        ]


def shrinking(objective, depth, end, beta, power=0):
    """A path along which p nears an end as epsilon -> 0.

    The paper's variable, psi* or u*, is epsilon^beta |log epsilon|^power (end 0), or 1 minus
    exp(-epsilon^-beta |log epsilon|^-power) (end 1).
    """
    lam, rho = _parameters(depth)
    root = 1 if objective is JEPA else depth - 1

    def point(scale):
        size = scale ** _number(beta) * abs(mp.log(scale)) ** power
        if end == 0:
            return mp.root(size, root), None
        return mpf(1), -1 / size - mp.log(root)

    return path(objective, depth, lam, rho, point)


def _number(fraction):
    return mpf(fraction.numerator) / fraction.denominator


def critical_exponents(objective, depth):
    """The bound on beta in (81) or (109) at either end."""
    at_zero = Fraction(1, depth) if objective is JEPA else Fraction(depth - 1, depth)
    at_one = Fraction(2 * depth - 1, depth) if objective is JEPA else at_zero
    return {0: at_zero, 1: at_one}


def admissible(objective, depth):
    """Constant p, and p that nears 0 or 1 as (81) or (109) allow: beta at 2/5, 4/5 of the limit."""
    shrink = [
        shrinking(objective, depth, end, limit * Fraction(k, 5))
        for end, limit in critical_exponents(objective, depth).items()
        for k in (2, 4)
    ]
    return fixed_fractions(objective, depth) + shrink


def any_fraction(objective, depth):
    """Constant p, and p that nears an end faster, too, than (81) or (109) allow.

    At the end 0 that would be below the start.
    """
    limit = critical_exponents(objective, depth)[1]
    beyond = shrinking(objective, depth, 1, limit * Fraction(7, 5))
    return [*admissible(objective, depth), beyond]


def obeys(estimates, nature=GENERIC):
    """Whether estimates along a path bear out the order that they assert."""
    if any(e.order is None for e in estimates):
        small = mpf(10) ** (30 - mp.dps)
        return all(abs(e.value - e.approximation) <= small * abs(e.value) for e in estimates)
    quotients = [(e.value - e.approximation) / e.order for e in estimates]
    if not estimates[0].sharp and nature == SPECIAL:
        return all(abs(b) <= abs(a) * 5 / 4 for a, b in pairwise(quotients))
    if min(map(abs, quotients)) < mpf(10) ** -50:  # rounding alone
        return False
    return all(mpf(4) / 5 < b / a < mpf(5) / 4 for a, b in pairwise(quotients))


def vanishes(gaps):
    """Whether positive numbers along a path tend to 0, as 1 / |log epsilon| or faster."""
    return gaps[-1] < mpf(1) / 4 and all(b <= a * 4 / 5 for a, b in pairwise(gaps))


@decided_by("N")
def at_precision(check):
    """The check run with enough digits; False where the statement divides by zero."""

    def run(statement):
        with mp.workdps(WORKING):
            try:
                return check(statement)
            except ZeroDivisionError:
                return False

    return run


def order_check(objective, paths=fixed_fractions, depths=DEPTHS):
    """Statements (feature) -> Estimate, along paths(objective, L)."""

    @at_precision
    def check(statement):
        return all(
            obeys([statement(f) for f in features], nature)
            for depth in depths
            for features, nature in paths(objective, depth)
        )

    return check


def leading_check(objective, paths=fixed_fractions, depths=DEPTHS):
    """Statements (feature) -> value, leading term: their quotient tends to 1."""

    @at_precision
    def check(statement):
        for depth in depths:
            for features, _ in paths(objective, depth):
                pairs = [statement(f) for f in features]
                if not vanishes([abs(value / leading - 1) for value, leading in pairs]):
                    return False
        return True

    return check


def limit_check(objective, depths=DEPTHS):
    """Statements (feature) -> a number that tends to 0 with epsilon."""

    @at_precision
    def check(statement):
        return all(
            vanishes([abs(statement(f)) for f in features])
            for depth in depths
            for features, _ in fixed_fractions(objective, depth)[:1]
        )

    return check


def small_argument_check(depths, near):
    """Statements (L, u) -> Estimate as u -> 0 (near 0) or u -> 1 (near 1), u = 10^-k away."""

    @at_precision
    def check(statement):
        points = [near + (1 - 2 * near) * mpf(10) ** -k for k in EXPONENTS]
        return all(obeys([statement(depth, u) for u in points]) for depth in depths)

    return check


def subleading_check(objective, depths, logarithms=(0,)):
    """Statements (L, end, beta, power) -> whether p's part of t* is of smaller order than the rest.

    Along `shrinking` paths with beta below, at and above the limit of (81) or (109).
    """

    @at_precision
    def check(statement):
        for depth in depths:
            for end, limit in critical_exponents(objective, depth).items():
                for k, power in product((6, 9, 10, 11, 14), logarithms):
                    beta = limit * Fraction(k, 10)
                    features = shrinking(objective, depth, end, beta, power).features
                    shares = [_share(f) for f in features]
                    smaller = all(b < a * 4 / 5 for a, b in pairwise(shares))
                    if smaller != statement(depth, end, beta, power):
                        return False
        return True

    return check


def _share(feature):
    """|J(x*) / J(x_0)|: what p contributes to the critical time, over what epsilon contributes."""
    start = mp.root(feature.epsilon / feature.fixed_point, feature.depth)
    gaps = (
        mp.log(1 - feature.x) if feature.log_gap is None else feature.log_gap,
        mp.log(1 - start),
    )
    ends = [
        antiderivative(feature.objective, feature.depth, x, gap)
        for x, gap in zip((feature.x, start), gaps, strict=True)
    ]
    return abs(ends[0] / ends[1])


def pairs_of_rho(objective, depth):
    """(features with rho, features with a larger rho', nature of p), all else being equal."""
    lam, rho = _parameters(depth)
    larger = rho * mpf(7) / 4
    for features, nature in fixed_fractions(objective, depth):
        # JEPA's constant in the ratio is killed by another p than that in t*; not looked for here
        nature = nature if objective is MAE else GENERIC
        points = {f.epsilon: (f.x, f.log_gap) for f in features}
        yield features, path(objective, depth, lam, larger, points.get).features, nature


def ratio_check(depths, must=DEPTHS[1:]):
    """Statements (ratio, objective, L, rho, rho', epsilon) -> Estimate of the ratio of times.

    None where the statement makes no claim, which it may not do for the depths in `must`.
    """

    @at_precision
    def check(statement):
        for depth, objective in product(depths, (JEPA, MAE)):
            for smaller, larger, nature in pairs_of_rho(objective, depth):
                estimates = [
                    statement(a.t / b.t, objective, depth, a.rho, b.rho, a.epsilon)
                    for a, b in zip(smaller, larger, strict=True)
                ]
                if None in estimates:
                    if depth in must:
                        return False
                elif not obeys(estimates, nature):
                    return False
        return True

    return check


@at_precision
def fraction_range_check(statement):
    """Statements (L, end) -> the beta below which (14)'s correction, and up to which its
    remainder, survive when p nears 0 or 1 like the paths of `shrinking` (JEPA, L >= 2)."""
    for depth, end in product(DEPTHS[1:], (0, 1)):
        correction, remainder = statement(depth, end)
        step = Fraction(1, 10 * depth) * (1 if end == 0 else 2 * depth - 1)
        for beta in (remainder - step, remainder, remainder + step, correction, correction + step):
            gaps, squares = [], []
            for f in shrinking(JEPA, depth, end, beta).features:
                other = ScalarFeature(JEPA, depth, f.lam, f.rho * 7 / 4, f.epsilon, f.x, f.log_gap)
                root = mp.root(f.epsilon, depth)
                delta = 1 / f.rho - 1 / other.rho
                excess = f.t / other.t - 1 - mpf(2 * depth - 1) / (2 * depth - 2) * delta * root
                gaps.append(abs(excess) / root)
                squares.append(abs(excess) / root**2)
            if all(b < a * 4 / 5 for a, b in pairwise(gaps)) != (beta < correction):
                return False
            if all(b < a * 5 / 4 for a, b in pairwise(squares)) != (beta <= remainder):
                return False
    return True


@at_precision
def mae_order_check(statement):
    """Statements (L, p) -> whether of two MAE features of equal lambda the larger rho goes first.

    As epsilon -> 0: at epsilon = 1e-60, well off the p where the constant of t* vanishes, and at
    0.001 on either side of it.
    """
    for depth in DEPTHS:
        fractions = [mpf(k) / 100 for k in (10, 97)]
        if depth > 1:
            turn = vanishing_point(MAE, depth) ** depth
            fractions += [turn - mpf(1) / 1000, turn + mpf(1) / 1000]
        lam, rho = _parameters(depth)
        for p in fractions:
            x = mp.root(p, depth)
            smaller, larger = (
                path(MAE, depth, lam, value, lambda _, x=x: (x, None)).features[0].t
                for value in (rho, rho * 7 / 4)
            )
            if (larger < smaller) != statement(depth, p):
                return False
    return True
