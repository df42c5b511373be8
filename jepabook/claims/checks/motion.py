"""Checks of the scalar equations (7), (8) and of their solutions, by sympy and at 50 digits."""

from itertools import pairwise, product
from random import Random

import sympy
from mpmath import mp

from jepabook.claims.ledger import decided_by
from jepabook.theory import critical_time, dynamics
from jepabook.theory.objectives import JEPA, MAE

DIGITS = 50
DEPTHS = (1, 2, 5)


def rate(objective, w, lam, rho, depth):
    """dw/dt of (7), (8) in the arithmetic of the arguments; depth may be a symbol."""
    return lam * w ** (objective.base_exponent - 1 / depth) - lam / rho * w**3


def elapsed(objective, start, stop, lam, rho, depth):
    """The time from size `start` to `stop` by quadrature, which no closed form enters."""
    points = mp.linspace(mp.log(start), mp.log(stop), 5)
    return mp.quad(
        lambda u: mp.exp(u) / rate(objective, mp.exp(u), lam, rho, mp.mpf(depth)), points
    )


def size_at(objective, time, lam, rho, depth, epsilon):
    """w(time): Newton's method on `elapsed`, from the package's float64 solution.

    That is left as it is at the fixed point, from which `elapsed` cannot tell it.
    """
    known = map(float, (time, lam, rho))
    w = mp.mpf(float(dynamics.trajectory(objective, *known, depth=depth, epsilon=epsilon)))
    last = rho ** (mp.mpf(depth) / objective.saturation_power(depth=depth))
    if abs(w / last - 1) < 1e-12:
        return w
    for _ in range(2):  # 12, 24, 48 digits
        excess = time - elapsed(objective, mp.mpf(epsilon), w, lam, rho, depth)
        w += excess * rate(objective, w, lam, rho, mp.mpf(depth))
    return w


def _draw(random, low, high):
    """A random number with few binary digits, the same in float64 and at 50 digits."""
    return mp.mpf(random.randint(round(64 * low), round(64 * high))) / 64


@decided_by("S")
def fixed_points_check(statement):
    """Statements (rho, L) -> sizes at infinite time (MAE, JEPA), for symbolic L and rho.

    The size must be a positive zero of the velocity. The velocity is lambda w^q (1 - w^s / rho)
    with s = 3 - q > 0, positive below the only such zero and negative above, so every solution
    tends to it; the slope there is -s lambda w^(q-1).
    """
    lam, rho, depth = sympy.symbols("lambda rho L", positive=True)
    w = sympy.Symbol("w", positive=True)

    def holds(objective, size):
        q = objective.base_exponent - 1 / depth
        velocity = rate(objective, w, lam, rho, depth)
        factored = lam * w**q * (1 - w ** (3 - q) / rho)
        slope = sympy.diff(velocity, w).subs(w, size) / (lam * size ** (q - 1))
        return (
            size.is_positive
            and (3 - q).is_positive
            and sympy.simplify(velocity - factored) == 0
            and sympy.simplify(velocity.subs(w, size)) == 0
            and sympy.simplify(slope + 3 - q) == 0
        )

    return all(holds(*pair) for pair in zip((MAE, JEPA), statement(rho, depth), strict=True))


@decided_by("N")
def deep_limit_check(statement):
    """Statements (size, t, rho) -> sequence, limit, limit in the time of gradient flow.

    size(objective, t, L) is the solution of (7) or (8). sequence(L') must approach the limit with
    an error c / L' + o(1 / L'): from L' to 2 L' it halves, to a remainder that itself shrinks. So
    must MAE at the time L' t the other limit.
    """

    def approaches(sequence, limit):
        errors = [sequence(depth) - limit for depth in (64, 128, 256)]
        halved = [2 * small - large for large, small in pairwise(errors)]
        return all(abs(h) < abs(e) / 8 for h, e in zip(halved, errors, strict=False)) and abs(
            halved[1]
        ) < 0.4 * abs(halved[0])

    def holds(seed):
        random = Random(seed)
        lam, rho = _draw(random, 0.5, 1.5), _draw(random, 0.5, 1.5)
        time = _draw(random, 3, 6) / lam

        def size(objective, t, depth):
            return size_at(objective, t, lam, rho, depth, 0.25)

        sequence, limit, end = statement(size, time, rho)
        return approaches(sequence, limit) and approaches(
            lambda depth: size(MAE, depth * time, depth), end
        )

    with mp.workdps(DIGITS):
        return all(holds(seed) for seed in (1, 2))


@decided_by("S")
def flow_limit_check(statement):
    """Statements (w, lam, rho, zeta) -> (velocity, its limit as zeta -> 0).

    The velocity must be that of MAE with zeta = 1/L, the limit that of JEPA at L = 1.
    """
    w, lam, rho, zeta = sympy.symbols("w lambda rho zeta", positive=True)
    velocity, limit = statement(w, lam, rho, zeta)
    return (
        sympy.simplify(velocity - rate(MAE, w, lam, rho, 1 / zeta)) == 0
        and sympy.simplify(sympy.limit(velocity, zeta, 0) - limit) == 0
        and sympy.simplify(limit - rate(JEPA, w, lam, rho, sympy.Integer(1))) == 0
    )


@decided_by("N")
def critical_time_check(statement):
    """Statements (p, w_inf) -> size at the critical time, against `critical_time.exact`."""

    def holds(objective, depth):
        random = Random(depth)
        lam, rho, fraction = (_draw(random, *r) for r in ((0.5, 2), (0.5, 2), (0.25, 0.9)))
        epsilon = 2.0**-8
        known = {"depth": depth, "epsilon": epsilon, "fraction": float(fraction)}
        found = critical_time.exact(objective, float(lam), float(rho), **known)
        last = rho ** (mp.mpf(depth) / objective.saturation_power(depth=depth))
        time = elapsed(objective, mp.mpf(epsilon), statement(fraction, last), lam, rho, depth)
        return abs(found / time - 1) < 1e-12

    with mp.workdps(DIGITS):
        return all(holds(*case) for case in product((JEPA, MAE), DEPTHS))


@decided_by("N")
def closed_form_check(statement):
    """Statements (k, L, lam, rho, w, epsilon, phi) -> t(w), with phi(z, a) the Lerch function.

    Compared with quadrature at 50 digits and with the package. Where -a is an integer n, phi has
    z^n log(z) in place of its infinite term z^n / 0.
    """

    def phi(z, a):
        n = -int(mp.nint(a))
        if abs(a + n) < mp.mpf(10) ** -40:  # m is an integer but for the rounding of 1 / L
            head = mp.fsum(z**j / (j - n) for j in range(n))
            return head + z**n * (mp.log(z) - mp.log1p(-z))
        return mp.hyp2f1(1, a, a + 1, z) / a

    def holds(objective, depth):
        random = Random(10 * depth)
        lam, rho, part = (_draw(random, *r) for r in ((0.5, 2), (0.5, 2), (0.25, 0.95)))
        epsilon = mp.mpf(1) / 256
        w = part * rho ** (mp.mpf(depth) / objective.saturation_power(depth=depth))
        found = statement(objective.base_exponent, mp.mpf(depth), lam, rho, w, epsilon, phi)
        time = elapsed(objective, epsilon, w, lam, rho, depth)
        known = map(float, (w, lam, rho))
        package = dynamics.time_to_reach(objective, *known, depth=depth, epsilon=2.0**-8)
        return abs(found / time - 1) < mp.mpf(10) ** -40 and abs(package / time - 1) < 1e-11

    with mp.workdps(DIGITS):
        return all(holds(*case) for case in product((JEPA, MAE), DEPTHS))


@decided_by("S")
def logit_check(statement):
    """Statements (s, m, lam, rho, z) -> dy/dt with y = logit z, for symbolic L."""
    w, lam, rho, depth = sympy.symbols("w lambda rho L", positive=True)

    def holds(objective):
        s = 3 - objective.base_exponent + 1 / depth
        m = (objective.base_exponent - 1 - 1 / depth) / s
        z = w**s / rho
        speed = sympy.diff(sympy.log(z / (1 - z)), w) * rate(objective, w, lam, rho, depth)
        return sympy.simplify(speed / statement(s, m, lam, rho, z)) == 1

    return all(holds(objective) for objective in (JEPA, MAE))
