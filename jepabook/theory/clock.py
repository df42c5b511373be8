"""The clock of both objectives: F(z), with s lam rho^m t = F(z(t)) - F(z(0)), and its inverse.

F is an antiderivative of z^(-m-1) / (1 - z). JEPA and MAE differ in m alone, see
`Objective.slowdown`. Saturations 0 < z < 1 are given by their logarithms, which keep their digits
at both ends.
"""

import math

import numpy as np
from scipy.special import log_expit

from jepabook._support import validate
from jepabook.theory._tail import positive_tail

#: Of |F| in `inverse`, whose table holds sums of up to m terms of this size.
LARGEST = 1e300


def antiderivative(m, log_z):
    """F(z) = z^(-m) Phi(z, 1, -m) at z = e^log_z.

    Where m is an integer the resonant term z^0 / 0 of Phi is replaced by log z (Lemma B.6).

    Parameters
    ----------
    m : float
        Slowdown, 0 to 20 000.
    log_z : array_like
        < 0.

    Returns
    -------
    ndarray
    """
    m, log_z = _order(m), _below_one("log_z", log_z)
    with np.errstate(over="ignore"):
        total = _antiderivative(m, log_z)
    allowed = "must be so large that F fits in float64"
    validate.where("log_z", log_z, np.isfinite(total), allowed)
    return total


def _antiderivative(m, log_z):
    """`antiderivative`, not finite where it overflows."""
    count, fraction = _split(m)
    gap = -np.expm1(log_z)
    if fraction:
        total = np.exp(fraction * log_z) * positive_tail(np.exp(log_z), gap, fraction)
    else:
        total = log_z - np.log(gap)
    for n in range(count):
        total = total - np.exp(-(m - n) * log_z) / (m - n)
    return total


def difference(m, start, stop, step, log_scale):
    """e^log_scale (F(e^stop) - F(e^start)), as a sum of terms of one sign.

    Parameters
    ----------
    m : float
    start, stop : arrays
        Logarithms of the two saturations, < 0.
    step : array
        stop - start, given on its own because its digits matter when the two are close.
    log_scale : array
        Taken into every term, because F alone may leave float64.

    Returns
    -------
    ndarray
    """
    m, start, stop = _order(m), _below_one("start", start), _below_one("stop", stop)
    step, log_scale = validate.finite("step", step), validate.finite("log_scale", log_scale)
    start, stop, step, log_scale = validate.broadcast(
        start=start, stop=stop, step=step, log_scale=log_scale
    )
    total = _difference(m, start, stop, step, log_scale)
    allowed = "must be so small that the difference fits in float64"
    validate.where("log_scale", log_scale, np.isfinite(total), allowed)
    return total


def _difference(m, start, stop, step, log_scale):
    """`difference`, not finite where it overflows."""
    count, fraction = _split(m)
    with np.errstate(over="ignore", invalid="ignore"):
        total = _tail_between(fraction, start, stop, step) * np.exp(log_scale)
        for n in range(count):
            power = m - n
            total = total - np.exp(-power * start + log_scale) * np.expm1(-power * step) / power
    return total


# Nodes per unit of y, and per unit of the logarithm of the clock's rate: quintic interpolation
# with these is exact to rounding (shown in tests/theory/test_dynamics.py against mpmath).
_NODES_PER_LOGIT, _NODES_PER_FOLD = 64, 128
_BLOCK = 8192  # values inverted at a time, so that the temporaries stay in the processor's cache


def inverse(m, target):
    """log z at which `antiderivative` equals target, by a quintic Hermite table of y = logit z.

    All features share the function to invert (it depends on m alone), so it is tabulated once a
    call; a million values then cost one search and one polynomial each. Targets must be above
    -LARGEST.
    """
    m, target = _order(m), validate.array("target", target)
    if m == 0 or target.size == 0:
        return log_expit(target)
    validate.where("target", target, target > -LARGEST, f"must be above {-LARGEST}")
    last = 40 + np.log(max(m, 1.0))  # from here on clock(y) = y + constant in float64
    logit = _nodes(m, _lower_bound(m, target), last)
    values = _antiderivative(m, log_expit(logit))
    rate = np.exp(m * log_expit(logit))  # dy / d clock
    width = np.diff(values)
    rise = np.diff(logit)
    # rate * width is of order 1; either alone may be near the ends of float64
    slope = rate[:-1] * width, rate[1:] * width
    bend = m * np.exp(log_expit(-logit))
    bend = bend[:-1] * slope[0] ** 2, bend[1:] * slope[1] ** 2
    coefficients = (
        6 * rise - 3 * (slope[0] + slope[1]) - (bend[0] - bend[1]) / 2,
        -15 * rise + 8 * slope[0] + 7 * slope[1] + 1.5 * bend[0] - bend[1],
        10 * rise - 6 * slope[0] - 4 * slope[1] - 1.5 * bend[0] + bend[1] / 2,
        bend[0] / 2,
        slope[0],
        logit[:-1],
    )
    flat, log_z = target.ravel(), np.empty(target.size)
    index = np.minimum(np.arange(values.size), width.size - 1)
    for block in (slice(k, k + _BLOCK) for k in range(0, flat.size, _BLOCK)):
        inside = np.minimum(flat[block], values[-1])
        # np.interp remembers the last cell, so neighbours in time cost no search; where it rounds
        # up to the next cell, u = -1e-13 there is as good as 1 - 1e-13 here
        cell = np.interp(inside, values, index).astype(np.intp)
        u = (inside - values[cell]) / width[cell]
        y = coefficients[0][cell]
        for coefficient in coefficients[1:]:
            y *= u
            y += coefficient[cell]
        y += flat[block] - inside  # beyond the table y = clock + constant
        log_z[block] = np.minimum(y, 0) - np.log1p(np.exp(-np.abs(y)))
    return log_z.reshape(target.shape)


def _order(m):
    """m as a float; ValueError unless it is that of a network."""
    m = validate.number("m", m, validate.non_negative)
    return float(validate.where("m", m, m <= validate.MOST_TERMS, "must be at most 20000"))


def _below_one(name, value):
    """Logarithms of saturations as an array, all < 0, or ValueError."""
    value = validate.finite(name, value)
    return validate.where(name, value, value < 0, "must be negative")


def _lower_bound(m, target):
    """A y = logit z with F(z) below all targets, from F(z) <= most - z^(-m) / m."""
    _, fraction = _split(m)
    most = (1 / fraction if fraction else 0.0) + 2 + np.log(max(m, 1.0))
    log_z = -max(np.log(m * max(most - target.min(), 1.0)), 1.0) / m
    return log_z - np.log(-np.expm1(log_z))


def _nodes(m, first, last):
    """Values of y between first and last, dense where the clock's rate changes fast."""
    y = np.linspace(first, last, 4096)
    # d density / dy = nodes per logit + nodes per fold * m * (1 - z)
    density = _NODES_PER_LOGIT * y + _NODES_PER_FOLD * m * log_expit(y)
    count = int(np.ceil(density[-1] - density[0])) + 1
    return np.interp(np.linspace(density[0], density[-1], count), density, y)


def _split(m):
    """The number of diverging powers z^(n-m), and the exponent in [0, 1) that is left."""
    count = math.ceil(m)
    return count, count - m


def _tail_between(fraction, start, stop, step):
    """The integral of z^(fraction-1) / (1 - z), fraction in [0, 1), from e^start to e^stop."""
    gap, gap_stop = -np.expm1(start), -np.expm1(stop)
    # (z_stop - z_start) / gap, written so that neither a long step nor a tiny z overflows
    change = -np.sign(step) * np.exp(np.maximum(start, stop)) * np.expm1(-np.abs(step)) / gap
    logit_step = step - np.where(
        np.abs(change) < 0.5, np.log1p(np.clip(-change, -0.5, 0.5)), np.log(gap_stop / gap)
    )
    if not fraction:
        return logit_step
    # A short way is integrated in y = logit z, where the integrand is z^fraction; for a long one
    # the antiderivatives differ, once the term 1 / fraction that they share has been taken out.
    nodes, weights = np.polynomial.legendre.leggauss(16)
    logit, short_step = start - np.log(gap), np.clip(logit_step, -4, 4)
    short = sum(
        weight / 2 * np.exp(fraction * log_expit(logit + (node + 1) / 2 * short_step))
        for node, weight in zip(nodes, weights, strict=True)
    )
    short = short * short_step
    ends = ((start, gap), (stop, gap_stop))
    near, far = (
        np.exp((fraction + 1) * x) * positive_tail(np.exp(x), g, fraction + 1) for x, g in ends
    )
    first = np.exp(fraction * np.maximum(start, stop)) * np.sign(step) / fraction
    first = first * -np.expm1(-fraction * np.abs(step))
    return np.where(np.abs(logit_step) <= 4, short, first + (far - near))
