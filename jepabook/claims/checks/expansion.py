"""Checks of the complete expansion of the critical time, and of what it says as epsilon -> 0."""

from dataclasses import replace
from itertools import product

import numpy as np
import sympy
from flint import ctx
from mpmath import mp, mpf

from jepabook.claims.checks.orders import (
    DEPTHS,
    WORKING,
    at_precision,
    fixed_fractions,
    path,
    vanishes,
)
from jepabook.claims.checks.scalar import ScalarFeature, enclosure, in_balls, random_feature
from jepabook.claims.ledger import decided_by
from jepabook.theory import critical_time
from jepabook.theory.objectives import BOTH


class Symbols:
    """Arithmetic in sympy."""

    number = staticmethod(sympy.Rational)
    log = staticmethod(sympy.log)
    lerch = sympy.Function("Phi")


@decided_by("SNR")
def expansion_check(statement):
    """Statements (feature, count) -> the first terms of t*, in any arithmetic of the feature.

    Symbolically, the n-th of them (the constant left out) has the n-th term of the geometric
    series of dt*/depsilon = -1 / velocity(epsilon) as its derivative; every remainder, measured,
    is the next term; in balls, what is left beyond the constant lies between 0 and the bound
    next / (1 - epsilon^s / rho); and `critical_time.expansion_terms` gives the same terms.
    """
    checks = (_derivatives_agree, _remainders_agree, _encloses, _package_agrees)
    return all(check(statement, o, depth) for check in checks for o in BOTH for depth in DEPTHS[:5])


def _constant_index(feature):
    return -(-feature.m // 1) + (feature.m.denominator == 1)


def _derivatives_agree(statement, objective, depth):
    lam, rho, epsilon, x = sympy.symbols("lambda rho epsilon x", positive=True)
    feature = ScalarFeature(objective, depth, lam, rho, epsilon, x, ring=Symbols)
    constant = _constant_index(feature)
    terms = statement(feature, constant + 4)
    slopes = [sympy.diff(term, epsilon) for term in terms]
    if slopes.pop(constant) != 0:
        return False
    s = sympy.Rational(feature.s)
    expected = (-(epsilon ** (s * (n + 1) - 3)) / (lam * rho**n) for n in range(len(slopes)))
    return all(sympy.powsimp(a / b) == 1 for a, b in zip(slopes, expected, strict=True))


def _remainders_agree(statement, objective, depth):
    with mp.workdps(2 * WORKING):  # the terms beyond the constant are tiny
        features, _ = fixed_fractions(objective, depth)[0]
        count = _constant_index(features[0]) + 3
        gaps = []
        for f in features:
            terms, t = statement(f, count), f.time(f.x)
            gaps.append([abs((t - mp.fsum(terms[:n])) / terms[n] - 1) for n in range(count)])
        return all(vanishes(gap) for gap in zip(*gaps, strict=True))


def _encloses(statement, objective, depth):
    feature = random_feature(objective, depth)
    with mp.workdps(80), ctx.workprec(300):
        for share in (mpf(1) / 100, mpf(1) / 3, mpf(3) / 4):  # epsilon up to 3/4 of the way
            f = in_balls(replace(feature, epsilon=share * feature.w))
            exact = enclosure(replace(feature, epsilon=share * feature.w))
            constant = _constant_index(f)
            ratio = f.epsilon ** f.ring.number(f.s) / f.rho
            terms = statement(f, constant + 12)
            for count in (constant + 1, constant + 2, constant + 5, constant + 11):
                left = sum(terms[:count]) - exact
                if not 0 < left < -terms[count] / (1 - ratio):
                    return False
    return True


def _package_agrees(statement, objective, depth):
    with mp.workdps(30):
        f = random_feature(objective, depth)
        count = _constant_index(f) + 3
        # the same numbers in float64 and here
        numbers = [float(value) for value in (f.lam, f.rho, f.epsilon, f.p)]
        lam, rho, epsilon, p = map(mpf, numbers)
        f = ScalarFeature(objective, depth, lam, rho, epsilon, mp.root(p, depth))
        exact = np.array([float(term) for term in statement(f, count)])
    lam, rho, epsilon, p = numbers
    package = critical_time.expansion_terms(
        objective, lam, rho, depth=depth, epsilon=epsilon, fraction=p, terms=count
    )
    return np.allclose(package, exact, rtol=1e-12, atol=0)


@at_precision
def vanishing_start_check(statement):
    """Statements (feature i, feature j) -> the limit of t_i / t_j as epsilon -> 0.

    Measured along epsilon; and at epsilon = 1e-10 the order of the times is enclosed, where the
    velocities at epsilon are in that order too, from which on it cannot change any more: the
    difference of the times has the derivative 1 / velocity_j - 1 / velocity_i in epsilon.
    """
    for objective, depth in product(BOTH, DEPTHS[:5]):
        for lams, rhos in (((1, 1.5), (1, 0.5)), ((2, 1.25), (0.5, 1.75)), ((0.5, 1), (2, 1))):
            features = [
                path(objective, depth, mpf(lam), mpf(rho), lambda _: (mpf(3) / 4, None)).features
                for lam, rho in zip(lams, rhos, strict=True)
            ]
            pairs = list(zip(*features, strict=True))
            if not vanishes([abs(a.t / b.t / statement(a, b) - 1) for a, b in pairs]):
                return False
            if not _settled(*pairs[0], first_is_later=statement(*pairs[0]) > 1):
                return False
    return True


def _settled(a, b, first_is_later):
    slow, fast = (a, b) if first_is_later else (b, a)
    with mp.workdps(30), ctx.workprec(60):
        slow, fast = (replace(f, epsilon=mpf(10) ** -10) for f in (slow, fast))
        later, earlier = enclosure(slow), enclosure(fast)
        slow, fast = in_balls(slow), in_balls(fast)
        # velocity = lam epsilon^q (1 - y / rho) is linear in y = epsilon^s beyond its power
        y = slow.epsilon ** slow.ring.number(slow.s)
        faster_at_once = fast.lam > slow.lam
        faster = fast.lam * (1 - y / fast.rho) > slow.lam * (1 - y / slow.rho)
    return later > earlier and faster_at_once and faster
