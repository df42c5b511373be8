"""One feature's critical time to any precision, in two independent ways, for the scalar claims.

With x = (w / w_inf)^(1/L) the equations (7), (8) have rational right-hand sides,

    dt = scale * dx / (x^(2L) (1 - x))  for JEPA,    scale * dx / (x^L (1 - x^(L+1)))  for MAE,

so `ScalarFeature.time` is a sum of powers and logarithms: partial fractions, in mpmath. It knows
nothing of the paper's solutions. `enclosure` does not even know that much: it integrates
dw / velocity(w) rigorously in python-flint balls, and every random feature handed out by
`random_feature` has its time confirmed by it.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property, lru_cache
from random import Random

from flint import acb, arb, ctx
from mpmath import mp, mpf

from jepabook.theory.objectives import JEPA, Objective

DIGITS = 50


class Digits:
    """Arithmetic in mpmath, at its ambient precision."""

    @staticmethod
    def number(x):
        """An int, Fraction or mpf in this arithmetic."""
        return mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mpf(x)

    @staticmethod
    def log(x):
        """The natural logarithm."""
        return mp.log(x)

    @staticmethod
    def lerch(z, a):
        """Phi(z, 1, a)."""
        return lerch(z, a)


class Balls:
    """Arithmetic in python-flint's balls, at its ambient precision: enclosures, never guesses."""

    @staticmethod
    def number(x):
        """The ball of an int, Fraction or mpf."""
        if isinstance(x, Fraction):
            return arb(x.numerator) / arb(x.denominator)
        return ball(mpf(x))

    @staticmethod
    def log(x):
        """The natural logarithm."""
        return x.log()

    @staticmethod
    def lerch(z, a):
        """Phi(z, 1, a)."""
        return z.hypgeom_2f1(1, a, a + 1, abc=True) / a


def ball(x):
    """An mpf as an exact ball."""
    sign, mantissa, exponent, _ = x._mpf_
    with ctx.workprec(max(64, int(mantissa).bit_length())):
        return (-1 if sign else 1) * arb(int(mantissa)) * arb(2) ** exponent


def midpoint(x):
    """The midpoint of a ball as an mpf."""
    mantissa, exponent = x.mid().man_exp()
    return mp.ldexp(mpf(int(mantissa)), int(exponent))


def lerch(z, a):
    """Phi(z, 1, a) for real 0 <= z < 1 at mpmath's ambient precision."""
    if a <= 0 and mp.isint(a):
        raise ZeroDivisionError(f"a must not be 0, -1, -2, ..., got {a}")
    return _lerch(mpf(z), mpf(a), mp.prec)


@lru_cache(maxsize=4096)
def _lerch(z, a, precision):
    # python-flint is a hundred times faster here than mpmath's hyp2f1
    with ctx.workprec(precision + 30):
        return midpoint(Balls.lerch(ball(z), ball(a)))


@dataclass(frozen=True)
class ScalarFeature:
    """One feature and the point x = (w* / w_inf)^(1/L) at which it is observed.

    log_gap is log(1 - x): given apart from x, so that x may be as near to 1 as one likes.
    """

    objective: Objective
    depth: int
    lam: object
    rho: object
    epsilon: object
    x: object
    log_gap: object = None
    ring: type = Digits

    @property
    def L(self):
        """The depth, under the paper's name."""
        return self.depth

    @property
    def s(self):
        """s = 3 - q, a Fraction."""
        return Fraction(self.objective.saturation_power(depth=self.depth), self.depth)

    @property
    def m(self):
        """m = (q - 1) / s, a Fraction."""
        return (2 - self.s) / self.s

    @property
    def sigma2(self):
        """sigma^2 = lambda / rho."""
        return self.lam / self.rho

    @property
    def p(self):
        """The fraction p of the fixed point, eq. (11)."""
        return self.x**self.depth

    @property
    def fixed_point(self):
        """Eq. (9), confirmed by the velocity in `enclosure`."""
        return self.rho ** self.ring.number(1 / self.s)

    @property
    def w(self):
        """The size observed, p w_inf."""
        return self.p * self.fixed_point

    @property
    def star(self):
        """The paper's psi* = p^(1/L) (JEPA) or u* = p^((L-1)/L) (MAE)."""
        return self.x if self.objective is JEPA else self.x ** (self.depth - 1)

    @property
    def log_gap_star(self):
        """log(1 - star), also where star rounds to 1."""
        if self.log_gap is None:
            return mp.log(1 - self.star)
        return self.log_gap + (0 if self.objective is JEPA else mp.log(self.depth - 1))

    @cached_property
    def t(self):
        """The time t* at which it is reached, eq. (11)."""
        return self.time(self.x, self.log_gap)

    def time(self, x, log_gap=None):
        """The time from epsilon to (w / w_inf)^(1/L) = x, by partial fractions."""
        root = self.ring.number(Fraction(1, self.depth))
        start = (self.epsilon / self.fixed_point) ** root
        if log_gap is None:
            log_gap = mp.log(1 - x)
        # (q - 1) L, an integer
        order = (self.objective.base_exponent - 1) * self.depth - 1
        scale = self.depth / (self.lam * self.fixed_point ** (order * root))
        return scale * (
            antiderivative(self.objective, self.depth, x, log_gap)
            - antiderivative(self.objective, self.depth, start, mp.log(1 - start))
        )


def antiderivative(objective, depth, x, log_gap):
    """The integral of 1 / (x^(2L) (1 - x)) (JEPA) or 1 / (x^L (1 - x^(L+1))) (MAE)."""
    if objective is JEPA:
        powers = mp.fsum(-1 / (n * x**n) for n in range(1, 2 * depth))
        return powers + mp.log(x) - log_gap
    # x^(-L) + x / (1 - x^n), n = L + 1: at a root omega of 1 the second has residue -omega^2 / n
    n = depth + 1
    total = log_gap
    for j in range(1, n):
        root = mp.expjpi(mpf(2 * j) / n)
        total += (root**2 * mp.log(1 - x / root)).real
    power = mp.log(x) if depth == 1 else -(x ** (1 - depth)) / (depth - 1)
    return power - total / n


def enclosure(feature):
    """A ball with the time from epsilon to feature.w: the integral of dw / velocity, rigorously."""
    f = in_balls(feature)
    q = f.ring.number(f.objective.base_exponent - Fraction(1, f.depth))

    def integrand(y, _):  # w = e^y, dt = w dy / (lam w^q - (lam / rho) w^3)
        return y.exp() / (f.lam * (q * y).exp() - f.lam / f.rho * (3 * y).exp())

    return acb.integral(integrand, acb(f.epsilon.log()), acb(f.w.log())).real


def in_balls(feature):
    """The same feature, its numbers as balls."""
    numbers = (feature.lam, feature.rho, feature.epsilon, feature.x)
    lam, rho, epsilon, x = (Balls.number(value) for value in numbers)
    return replace(feature, lam=lam, rho=rho, epsilon=epsilon, x=x, log_gap=None, ring=Balls)


@cache
def random_feature(objective, depth, seed=0):
    """A random feature at 50 digits, its time confirmed by a rigorous enclosure."""
    random = Random(f"{objective} {depth} {seed}")
    with mp.workdps(DIGITS + 30), ctx.workprec(400):
        lam, rho = (mpf(random.uniform(0.4, 2.2)) for _ in "lr")
        p = mpf(random.uniform(0.2, 0.95))
        top = rho ** (mpf(depth) / objective.saturation_power(depth=depth))
        epsilon = top * mpf(10) ** random.uniform(-4, -1.5)
        feature = ScalarFeature(objective, depth, lam, rho, epsilon, p ** (mpf(1) / depth))
        error = abs(ball(feature.t) - enclosure(feature))
        if not error < abs(ball(feature.t)) * arb(10) ** -DIGITS:
            raise ArithmeticError(f"time must lie in its enclosure, got an error of {error}")
        return feature


def vanishing_point(objective, depth, target=0):
    """The x at which `antiderivative`, which increases from -inf to inf, equals target.

    There a constant of the critical time vanishes. Newton's method, at the ambient precision.
    """
    x, order = mpf(1) / 2, (objective.base_exponent - 1) * depth
    for _ in range(60):
        value = antiderivative(objective, depth, x, mp.log(1 - x)) - target
        step = value * x**order * (1 - x ** objective.saturation_power(depth=depth))
        x = min(max(x - step, x / 2), (1 + x) / 2)
        if abs(step) < mpf(10) ** (10 - mp.dps):
            return x
    raise ArithmeticError(f"Newton's method must converge, got a step of {mp.nstr(step, 3)}")
