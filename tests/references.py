"""Reference values in mpmath, from the ODEs (7), (8) alone: nothing here comes from the package.

With w = v^L both equations have a rational right-hand side, (L / lam) dv / (v^(2L) (1 - v / rho))
for JEPA and (L / lam) dv / (v^L (1 - v^(L + 1) / rho)) for MAE, so that t(w) follows from partial
fractions: powers of v and one logarithm for each root of the denominator. `time_by_quadrature`
knows not even that: it integrates dw / velocity numerically, and so decides whether the partial
fractions are right. Every float64 argument enters exactly.

Times are the paper's: no factor L, see eq. (64).
"""

import contextlib

import flint
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


def target_time(lam, rho, depth, epsilon, rate, fraction, tolerance=1e-11, order=9):
    """When a feature behind a target network of `rate` reaches `fraction` of rho^L, at 34 digits.

    From d(lead)/dx and dT/dx along x = log(omega / rho), by implicit Euler steps, n = 1 ... order
    of them on the same stretch, and extrapolation to n = infinity; python-flint, whose error bounds
    are dropped.
    """
    with flint.ctx.workdps(34):
        lam, rho, epsilon, rate, fraction = map(flint.arb, (lam, rho, epsilon, rate, fraction))
        x, stop = _middle(epsilon.log() / depth - rho.log()), _middle(fraction.log() / depth)
        speed = _middle(lam * rho ** (2 * depth - 1))
        lead, time, step = flint.arb(0), flint.arb(0), _middle((stop - x) / 50)
        while x < stop:
            step = _middle(stop - x) if x + step >= stop else step
            rows = []
            for n in range(1, order + 1):
                row = [_euler(depth, rate / speed, x, lead, step, n)]
                for k, below in enumerate(rows[-1] if rows else (), start=1):
                    share = flint.arb(n) / (n - k) - 1
                    pairs = zip(row[-1], below, strict=True)
                    row.append([_middle(new + (new - old) / share) for new, old in pairs])
                rows.append(row)
            (new, passed), (old, before) = rows[-1][-1], rows[-1][-2]
            room = -(x + step) / depth - new
            error = max(abs((new - old) / room), abs((passed - before) / (time + passed)))
            error = float(error) / tolerance
            if error <= 1 and new > 0 and room > 0:
                x, lead, time = _middle(x + step), new, _middle(time + passed)
            step = _middle(step * min(4, max(0.1, 0.8 * max(error, 1e-12) ** (-1 / order))))
        return float(depth * time / speed)


def _middle(ball):
    return ball.mid()


def _euler(depth, rate, x, lead, step, count):
    """Lead and time after `count` implicit Euler steps, each by Newton's method, bracketed."""
    time, step = flint.arb(0), _middle(step / count)
    for i in range(1, count + 1):
        here = x + step * i
        inverse, size = _middle((-here).exp()), _middle((2 * depth * here).exp())
        low, high, before = flint.arb(0), _middle(-here / depth), lead
        top = high
        lead = lead if lead < top else _middle(top / 2)
        for _ in range(200):
            growth = inverse * (-depth * lead).exp()
            moved, pull = size * (growth - 1), step * rate * lead.exp()
            miss = _middle((lead - before - step) * moved + pull - step * rate)
            low, high = (low, lead) if miss > 0 else (lead, high)
            slope = moved - (lead - before - step) * size * depth * growth + pull
            new = _middle(lead - miss / slope)
            new = new if low < new < high else _middle((low + high) / 2)
            change, lead = abs(new - lead), new
            if change <= 1e-30 * min(abs(top - lead), abs(lead)):
                break
        time = _middle(time + step / (size * (inverse * (-depth * lead).exp() - 1)))
    return lead, time


# lam, rho, L, epsilon, rate, fraction drawn at random, and their `target_time`
TARGET_TIMES = [
    (4.28188, 0.488443, 30, 2.30879e-10, 1.50656e-20, 0.999989972774, 6.860593154692242e23),
    (3.65538, 4.87057, 2, 0.392632, 0.000952313, 0.996097440456, 39241.20144928085),
    (0.459194, 6.56512, 6, 1.92306e-05, 20979.1, 0.994097794132, 540575019.1563675),
    (3.98361, 0.328892, 2, 0.0136373, 1.00632e-05, 0.665705311696, 658748.2686128666),
    (0.484996, 0.863971, 6, 2.39495e-09, 4.18638e-20, 0.420655456654, 2.7362956207349464e21),
    (0.510815, 2.82118, 4, 0.0388753, 1.09655, 0.990336848543, 522.625646703374),
    (2.43308, 0.129931, 2, 0.00622633, 5.38721e-07, 0.990318447953, 46155117.35222104),
    (0.40993, 0.821405, 2, 0.00378418, 0.0141744, 0.291713783484, 8434.485151077588),
    (0.366838, 1.3056, 30, 66.6929, 0.298457, 0.5, 5194.450853374042),
    (0.828278, 2.81606, 2, 0.0730987, 29.8984, 0.5, 48.08800726005745),
    (0.443692, 0.372848, 1, 0.00270761, 1.01951e-09, 0.5, 1185039033.8407252),
    (4.17458, 1.08884, 4, 0.123805, 3318.64, 0.5, 13.787953791025965),
    (0.242166, 0.427268, 4, 0.00517969, 3.05994e-05, 0.453104273427, 471071.050743775),
    (8.86237, 1.51655, 1, 0.00153821, 0.316544, 0.5, 86.57196050781317),
    (1.17856, 0.132946, 3, 8.55673e-11, 0.00110881, 0.5, 3.076735215353402e16),
    (0.829865, 4.42671, 2, 0.000115529, 1.33152, 0.312608241561, 649324.9072082574),
    (0.112398, 1.79527, 1, 0.226479, 0.142871, 0.5, 48.85352520461774),
    (0.383708, 2.7202, 1, 0.137952, 34.2972, 0.898559803185, 22.87072069910928),
    (0.224588, 7.64125, 1, 6.28745e-08, 38.7931, 0.263043097249, 70817233.9969065),
    (3.83158, 1.70249, 1, 0.00352561, 0.496653, 0.999987248859, 126.52528031421107),
    (1.1818, 0.263532, 10, 9.62826e-07, 2.66189e-17, 0.996313856872, 2.002194886941028e19),
    (8.42196, 0.213703, 4, 5.4977e-05, 8.28041e-14, 0.5, 330006302242613.75),
    (1.83549, 0.611751, 4, 0.0917959, 5.771e-08, 0.999999932423, 5342114803.160386),
    (0.281987, 0.12773, 1, 0.0277547, 5.31134e-07, 0.265283808727, 34.849617650484475),
    (6.21271, 0.859007, 2, 4.10175e-08, 0.00679173, 0.996533005879, 12921943126.03713),
    (0.127969, 0.161668, 3, 0.000460457, 6.90286e-08, 0.5, 146986322.8371247),
    (0.675819, 0.113607, 6, 1.99233e-14, 1.40163e-12, 0.5, 1.1149204968681012e25),
    (0.263768, 3.18412, 6, 0.0816328, 4601.64, 0.5, 264.8698803221831),
    (8.16267, 6.54646, 1, 0.109999, 0.437575, 0.698064036057, 6.6869961229248505),
    (1.6197, 4.43532, 3, 0.326973, 268.386, 0.993902885825, 3.2795092852846666),
    (6.5382, 1.94038, 10, 1.21613, 0.0115846, 0.5, 20007.199691778005),
    (5.28874, 0.140925, 6, 9.93193e-10, 1.55963e-08, 0.638250496299, 4388498934744795.5),
    (1.94758, 0.32118, 6, 1.71978e-05, 5.33706e-06, 0.99999676892, 463983509.58978236),
    (0.528765, 0.93398, 4, 0.00829818, 2.25045e-08, 0.589402766704, 1624675734.1007156),
    (6.21907, 8.42619, 4, 2121.17, 33012.8, 0.873546809114, 0.0009800310447525802),
    (3.95267, 9.03294, 10, 812648000.0, 1.54091e22, 0.999998567275, 3.7768194930252653e-17),
    (0.836813, 1.14939, 1, 0.00135632, 0.339078, 0.108361418081, 888.775048257689),
    (0.222171, 0.266183, 3, 0.0122833, 3.083e-07, 0.688247461956, 3847.814128557269),
    (2.98264, 0.304692, 10, 1.16802e-15, 9.43374e-12, 0.99999994328, 4.674552002414097e27),
]
