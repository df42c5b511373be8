"""Reference values in mpmath, from the ODEs (7), (8) alone: nothing here comes from the package.

With w = v^L both equations have a rational right-hand side, (L / lam) dv / (v^(2L) (1 - v / rho))
for JEPA and (L / lam) dv / (v^L (1 - v^(L + 1) / rho)) for MAE, so that t(w) follows from partial
fractions: powers of v and one logarithm for each root of the denominator. `time_by_quadrature`
knows not even that: it integrates dw / velocity numerically, and so decides whether the partial
fractions are right. Every float64 argument enters exactly.

Times are the paper's: no factor L, see eq. (64).
"""

import contextlib

import mpmath
import numpy as np
from mpmath import mp, mpf

DIGITS = 50


@contextlib.contextmanager
def digits(count=DIGITS):
    """Work with `count` digits and leave mpmath's global precision as it was."""
    with mpmath.workdps(count):
        yield


def growth_exponent(name, depth):
    """q of dw/dt = lam w^q - (lam / rho) w^3, from eqs. (7) and (8) as printed."""
    return {"JEPA": mpf(3), "MAE": mpf(2)}[name] - mpf(1) / depth


def velocity(name, w, lam, rho, depth):
    """Eqs. (7), (8)."""
    w, lam, rho = mpf(w), mpf(lam), mpf(rho)
    return lam * w ** growth_exponent(name, depth) - lam / rho * w**3


def fixed_point(name, rho, depth):
    """Eq. (9)."""
    return mpf(rho) ** {"JEPA": mpf(depth), "MAE": mpf(depth) / (depth + 1)}[name]


def time(name, w, lam, rho, depth, epsilon, working=2 * DIGITS):
    """t(w), from epsilon < fixed point to w < fixed point, by partial fractions.

    Works with twice the digits of the answer: near the fixed point, and where w is near epsilon,
    the difference loses as many digits as the two are close.
    """
    with digits(working):
        lam, rho = mpf(lam), mpf(rho)
        stop, start = (mpf(x) ** (mpf(1) / depth) for x in (w, epsilon))
        integral = {"JEPA": _jepa, "MAE": _mae}[name]
        return depth / lam * (integral(stop, rho, depth) - integral(start, rho, depth))


def _jepa(v, rho, depth):
    # 1 / (x^(2L) (1 - x)) = 1 / (1 - x) + sum of x^(-n), n = 1 ... 2L, with x = v / rho
    x = v / rho
    powers = mp.fsum(-1 / ((n - 1) * x ** (n - 1)) for n in range(2, 2 * depth + 1))
    return (powers + mp.log(x) - mp.log(1 - x)) * rho ** (1 - 2 * depth)


def _mae(v, rho, depth):
    # v^(-L) / (1 - v^n / rho) = v^(-L) + v / (rho - v^n), n = L + 1; the roots r of v^n = rho
    # have the residues -r^2 / (n rho)
    n = depth + 1
    power = mp.log(v) if depth == 1 else v ** (1 - depth) / (1 - depth)
    radius = mp.root(rho, n)
    total = mpf(0)
    for j in range(n):
        root = radius * mp.expjpi(mpf(2 * j) / n)
        total += root**2 * mp.log(1 - v / root)
    return power - mp.re(total) / (n * rho)


def time_by_quadrature(name, w, lam, rho, depth, epsilon, working=DIGITS):
    """t(w) as the integral of dw / velocity(w), by Gauss-Legendre quadrature on short pieces.

    The variable is x = logit(w / fixed point), in which the integrand is smooth.
    """
    with digits(working + 40):
        top = fixed_point(name, rho, depth)

        def integrand(x):
            below = 1 / (1 + mp.exp(-x))
            return top * below * (1 - below) / velocity(name, top * below, lam, rho, depth)

        first, last = (mp.log(mpf(s) / top) - mp.log1p(-mpf(s) / top) for s in (epsilon, w))
        pieces = int(abs(last - first) / 2) + 1
        with digits(working):
            return mp.quad(integrand, mp.linspace(first, last, pieces + 1), method="gauss-legendre")


def parameters(name, count, seed):
    """Random (depth, lam, rho, epsilon) over the promised ranges, every depth 1 ... 40 in turn.

    lam in [0.05, 20], rho in [0.05, 2], log-uniform; epsilon from 1e-8 to 0.9 of the fixed point
    or, one time in three, 1e-8 itself where that lies below 0.9 of the fixed point.
    """
    rng = np.random.default_rng(seed)
    for k in range(count):
        depth = k % 40 + 1
        lam, rho = 10 ** rng.uniform(np.log10([0.05, 0.05]), np.log10([20, 2]))
        with digits():
            top = fixed_point(name, float(rho), depth)
            epsilon = float(top * mpf(10) ** rng.uniform(-8, np.log10(0.9)))
            if rng.random() < 1 / 3 and top * 0.9 > 1e-8:
                epsilon = 1e-8
        yield depth, float(lam), float(rho), epsilon


def lerch(z, a, working=DIGITS):
    """Phi(z, 1, a) by mpmath's hypergeometric function, from the exact doubles z and a."""
    with digits(working):
        z, a = mpf(z), mpf(a)
        return mp.hyp2f1(1, a, a + 1, z) / a


def lerch_scale(z, a, working=DIGITS):
    """sum of |z^n / (n + a)|, the yardstick of `lerch_phi`'s error."""
    with digits(working):
        z, a = mpf(z), mpf(a)
        negative = (n for n in range(int(mp.ceil(-a)) if a < 0 else 0))
        return lerch(z, a, working) - 2 * mp.fsum(z**n / (n + a) for n in negative)
