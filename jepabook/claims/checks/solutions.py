"""Exact checks of the scalar claims: equations, antiderivatives, series, along one trajectory.

A check returns False where a statement divides by zero: what has no value is not true.
"""

from dataclasses import replace
from functools import cache, wraps
from random import Random

import sympy
from flint import acb, arb, ctx
from mpmath import mp, mpc, mpf

from jepabook.claims.checks.scalar import DIGITS, ball, lerch, midpoint, random_feature
from jepabook.claims.ledger import decided_by
from jepabook.theory.objectives import JEPA, MAE

EVERY_DEPTH = tuple(range(1, 13))
DEEP = EVERY_DEPTH[1:]  # L > 1, as Appendix B.3 wants
L, x, lam, rho = sympy.symbols("L x lambda rho", positive=True)
psi = sympy.Symbol("psi", positive=True)


def at_digits(check):
    """The check run with guard digits in mpmath; False where it divides by zero."""

    @wraps(check)
    def run(statement):
        with mp.workdps(DIGITS + 30):
            try:
                return check(statement)
            except ZeroDivisionError:
                return False

    return run


def same(*sides):
    """Whether all sides agree to 45 digits and are finite."""
    first, *others = (mp.mpmathify(side) for side in sides)
    return mp.isfinite(first) and all(
        abs(first - other) <= mpf(10) ** (5 - DIGITS) * max(abs(first), abs(other))
        for other in others
    )


@decided_by("N")
def equation_check(objective, depths=EVERY_DEPTH):
    """Statements (feature) -> the sides of an equation, at random features."""

    @at_digits
    def check(statement):
        return all(
            same(*statement(random_feature(objective, depth, seed)))
            for depth in depths
            for seed in range(2)
        )

    return check


@decided_by("N")
def constant_check(objective, depths=EVERY_DEPTH):
    """Statements (feature) -> a number that must stay the same as the feature grows."""

    @at_digits
    def check(statement):
        for depth in depths:
            feature = random_feature(objective, depth)
            later = replace(feature, x=(1 + feature.x) / 2)
            numbers = statement(feature), statement(later)
            if any(isinstance(number, mpc) for number in numbers) or not same(*numbers):
                return False
        return True

    return check


@decided_by("S")
def separates_check(objective, depth=L):
    """Statements (L, x, lam, rho) -> w(x), f(x), rate with f(x) dx = rate dt along (7) or (8).

    For a symbolic L (or one depth), identically in x, lambda and rho; w must depend on x.
    """

    def check(statement):
        w, integrand, rate = statement(depth, x, lam, rho)
        velocity = (
            lam * w ** (objective.base_exponent - 1 / sympy.sympify(depth)) - lam / rho * w**3
        )
        slope = sympy.diff(w, x)
        return slope != 0 and not _monomials(velocity - rate / integrand * slope)

    return check


def _monomials(expression):
    """A sum of monomials in x and rho with symbolic exponents, as {(exponents): coefficient}."""
    powers = sympy.expand_power_base(expression, force=True)
    powers = sympy.expand(sympy.powdenest(powers, force=True))
    terms = {}
    for term in sympy.Add.make_args(powers):
        exponents, factor = {x: sympy.Integer(0), rho: sympy.Integer(0)}, sympy.Integer(1)
        for part in sympy.Mul.make_args(term):
            base, exponent = part.as_base_exp()
            if base in exponents:
                exponents[base] += exponent
            else:
                factor *= part
        key = tuple(sympy.cancel(e) for e in exponents.values())
        terms[key] = sympy.cancel(terms.get(key, 0) + factor)
    return {key: factor for key, factor in terms.items() if factor != 0}


@decided_by("S")
def antiderivative_check(integrand, depths=EVERY_DEPTH):
    """Statements (L, psi) -> an antiderivative of integrand(L, psi); for each L, identically."""

    def check(statement):
        return all(
            sympy.cancel(sympy.diff(statement(d, psi), psi) - integrand(d, psi)) == 0
            for d in depths
        )

    return check


@decided_by("S")
def identity_check(*depths):
    """Statements (L, psi) -> the two sides of an identity in psi, for each of the depths."""

    def check(statement):
        for depth in depths:
            left, right = statement(depth, psi)
            if sympy.simplify(sympy.expand(left - right)) != 0:
                return False
        return True

    return check


@decided_by("S")
def induction_check(statement):
    """Statements -> (L, psi) -> two sides, and the predicate for which L the step is made.

    The steps that start at L = 1, the base case, must be identities and lead to every L.
    """
    step, made = statement()
    reached = {1}
    for depth in EVERY_DEPTH[:-1]:
        if depth in reached and made(depth):
            reached.add(depth + 1)
    return reached == set(EVERY_DEPTH) and identity_check(*EVERY_DEPTH)(step)


@decided_by("N")
@at_digits
def initial_condition_check(statement):
    """Statements (feature) -> psi(0): the variable psi = w^(1/L) / rho at w = epsilon."""
    features = [random_feature(JEPA, depth) for depth in EVERY_DEPTH]
    return all(same(statement(f), mp.root(f.epsilon, f.depth) / f.rho) for f in features)


@cache
def _integral(alpha, start, stop):
    """The integral of 1 / (psi^2 - psi^alpha), enclosed rigorously, as an mpf."""
    with ctx.workprec(mp.prec + 40):
        power = ball(alpha)

        def integrand(y, _):  # psi = e^y
            return y.exp() / ((2 * y).exp() - (power * y).exp())

        limits = (acb(ball(point).log()) for point in (start, stop))
        result = acb.integral(integrand, *limits).real
        if not result.rad() < arb(10) ** -DIGITS:
            raise ArithmeticError(f"enclosure must be tight, got {result}")
        return midpoint(result)


@decided_by("NR")
def integral_check(alphas, constant=True):
    """Statements (alpha, delta, u) -> the integral of 1 / (psi^2 - psi^alpha) from delta to u.

    With `constant`, only up to a constant that may depend on delta and alpha.
    """

    @at_digits
    def check(statement):
        for alpha in map(mpf, alphas):
            delta, middle, end = mpf(1) / 8, mpf(1) / 4, mpf(1) / 2
            values = [statement(alpha, delta, u) for u in (middle, end)]
            exact = [_integral(alpha, delta, u) for u in (middle, end)]
            if constant:
                values, exact = ([pair[1] - pair[0]] for pair in (values, exact))
            if not all(map(same, values, exact)):
                return False
        return True

    return check


@decided_by("NR")
@at_digits
def power_integral_check(statement):
    """Statements (L, u) -> an antiderivative of 1 / (u^2 - u^alpha), alpha = (3L - 1) / (L - 1)."""
    for depth in DEEP:
        alpha = mpf(3 * depth - 1) / (depth - 1)
        start, stop = mpf(1) / 4, mpf(13) / 16
        difference = statement(depth, stop) - statement(depth, start)
        if not same(difference, _integral(alpha, start, stop)):
            return False
    return True


@decided_by("N")
@at_digits
def geometric_check(statement):
    """Statements (alpha, psi) -> the two sides of an expansion for alpha > 2, 0 < psi < 1."""
    random = Random(90)
    pairs = [(2 + random.uniform(0.3, 3), random.uniform(0.1, 0.8)) for _ in range(6)]
    return all(same(*statement(mpf(alpha), mpf(point))) for alpha, point in pairs)


@decided_by("NR")
@at_digits
def lerch_check(statement):
    """Statements (z, s, a) -> Phi(z, s, a), against mpmath's integral, and enclosures at s = 1."""
    for z, s, a in ((0.3, 2, 0.7), (0.7, 1.5, 2.25), (-0.6, 1, 0.4), (0.5, 3, 1.3)):
        with mp.workdps(25):
            reference = mp.lerchphi(mpf(z), s, mpf(a))
            if not abs(statement(mpf(z), mpf(s), mpf(a)) - reference) < mpf(10) ** -20:
                return False
    return all(
        same(statement(mpf(z), mpf(1), mpf(a)), lerch(z, a))
        for z, a in ((0.5, -0.375), (0.25, -0.75), (0.75, 0.625))
    )


@decided_by("NR")
@at_digits
def elementary_check(statement):
    """Statements (L, r) -> the integral of dr / (r^L - r^(2L+1)) whose series has no constant.

    Against the Lerch transcendent, its differences against rigorous enclosures of the integral,
    and times against those of random features.
    """

    def value(depth, r):
        result = mp.mpmathify(statement(depth, r))
        return result.real if abs(result.imag) < mpf(10) ** -DIGITS else mp.nan

    for depth in DEEP:
        points = mpf(1) / 8, mpf(1) / 2, mpf(15) / 16
        values = [value(depth, r) for r in points]
        for r, found in zip(points, values, strict=True):
            a = mpf(1 - depth) / (1 + depth)
            if not same(found, lerch(r ** (depth + 1), a) / ((depth + 1) * r ** (depth - 1))):
                return False
        with ctx.workprec(mp.prec + 40):
            limits = (acb(ball(r)) for r in points[:2])
            exact = acb.integral(lambda r, _, n=depth: 1 / (r**n - r ** (2 * n + 1)), *limits)
            if not same(values[1] - values[0], midpoint(exact.real)):
                return False
        f = random_feature(MAE, depth)
        start = mp.root(f.epsilon / f.fixed_point, depth)
        scale = depth / f.lam * f.rho ** (mpf(1 - depth) / (1 + depth))
        if not same(f.t, scale * (value(depth, f.x) - value(depth, start))):
            return False
    return True


def total(term, start=0):
    """The sum of term(n) over n >= start, of geometric decay, at mpmath's ambient precision.

    ArithmeticError where 10000 terms are not enough.
    """
    result, n, small = mpf(0), start, mpf(10) ** -(mp.dps + 5)
    while n < start + 10_000:
        value = term(n)
        result += value
        n += 1
        if n > start + 3 and abs(value) <= small * abs(result):
            return result
    raise ArithmeticError(f"terms must decay, got {mp.nstr(value, 3)} as the last")
