"""The scalar dynamics of one feature, eqs. (7) and (8), solved in closed form.

Both equations are ``dw/dt = lam w^q - (lam / rho) w^3``. With ``s = 3 - q``, the fixed point
``w_inf = rho^(1/s)``, the saturation ``z = (w / w_inf)^s`` and ``m = (q - 1) / s`` they become

    s lam rho^m dt = z^(-m-1) / (1 - z) dz,

whose integral is ``z^(-m) Phi(z, 1, -m)``, with a logarithm in place of the resonant term when m
is an integer (JEPA always, MAE at L = 1). In ``y = logit z`` the same equation reads
``dy/dt = s lam rho^m z^m``. The functions below evaluate the integral between two points as a sum
of positive terms, so that nothing cancels near the start or near the fixed point.

Time is the paper's: the factor L of gradient flow is absorbed into it, see eq. (64).
"""

import math

import numpy as np
from scipy.special import log_expit

from jepabook import _validate
from jepabook._double_double import log_product
from jepabook.lerch import positive_tail


def velocity(objective, w, lam, rho, depth):
    """Right-hand side of eqs. (7), (8): lam w^(k - 1/L) - (lam / rho) w^3.

    Parameters
    ----------
    objective : Objective
        `JEPA` or `MAE`.
    w, lam, rho : array_like
        Size of the feature in the encoder (>= 0), its covariance and regression coefficient
        (> 0); broadcast against each other.
    depth : int
        Number L >= 1 of layers of the encoder.

    Returns
    -------
    ndarray or float64
        dw/dt, accurate relative to itself also near the fixed point.
    """
    depth = _validate.depth(depth)
    w, lam, rho = _validate.broadcast(
        w=_validate.non_negative("w", w),
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
    )
    growth = lam * w ** objective.growth_exponent(depth)
    return (-growth * np.expm1(log_saturation(objective, w, rho, depth)))[()]


def fixed_point(objective, rho, depth):
    """The stable fixed point of eq. (9): rho^L for JEPA, rho^(L / (L + 1)) for MAE.

    Parameters
    ----------
    objective : Objective
    rho : array_like
        Regression coefficients, > 0.
    depth : int

    Returns
    -------
    ndarray or float64
    """
    rho, depth = _validate.positive("rho", rho), _validate.depth(depth)
    return (rho ** (depth / objective.saturation_power(depth)))[()]


def log_saturation(objective, w, rho, depth):
    """log z with z = (w / w_inf)^s = (w^j / rho^L)^(1/L), accurate relative to itself.

    Arrays that broadcast; no checks. Zero exactly at the fixed point, negative below it.
    """
    power = objective.saturation_power(depth)
    return log_product((w, power), (rho, -depth)) / depth


def time_to_reach(objective, w, lam, rho, depth, epsilon):
    """The time t(w) at which the solution of (7) or (8) that starts at epsilon passes w.

    The closed form of Theorems B.7 and B.10 and of eqs. (115)-(119) in one formula:
    ``s lam rho^m t = [z^(-m) Phi(z, 1, -m)]`` between the two saturations.

    Parameters
    ----------
    objective : Objective
    w, lam, rho, epsilon : array_like
        w > 0, lam > 0, rho > 0, 0 < epsilon < fixed point; broadcast against each other.
    depth : int

    Returns
    -------
    ndarray or float64
        inf where w is at or above the fixed point, which is never reached; negative where
        w < epsilon (the solution continued backwards). Relative error below 1e-12.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; also where w or epsilon is so small
        that the time, which grows like epsilon^(1 - q), overflows float64.
    """
    depth = _validate.depth(depth)
    w, lam, rho, epsilon = _validate.broadcast(
        w=_validate.positive("w", w),
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        epsilon=_validate.positive("epsilon", epsilon),
    )
    start = _start(objective, epsilon, rho, depth)
    stop = log_saturation(objective, w, rho, depth)
    reached = stop < 0
    step = objective.saturation_power(depth) / depth * log_product((w, 1), (epsilon, -1))
    elapsed = elapsed_clock(
        objective, depth, rho, start, np.where(reached, stop, -1.0), np.where(reached, step, 0.0)
    )
    elapsed = np.where(reached & (step != 0), elapsed, 0.0)
    time = elapsed_time(objective, elapsed, lam, depth, w, epsilon)
    return np.where(reached, time, np.inf)[()]


def trajectory(objective, t, lam, rho, depth, epsilon):
    """The solution w(t) of eq. (7) or (8) with w(0) = epsilon, by inverting the closed form.

    Parameters
    ----------
    objective : Objective
    t, lam, rho, epsilon : array_like
        t finite (negative: the solution continued backwards), lam > 0, rho > 0,
        0 < epsilon < fixed point; broadcast against each other.
    depth : int

    Returns
    -------
    ndarray or float64
        The exact solution at a time within a relative 1e-12 of t, to a relative 1e-12. (Near its
        take-off w(t) is ill-conditioned in t, so no float64 method can promise more.)
    """
    log_z, rho = _log_saturation_at(objective, t, lam, rho, depth, epsilon)
    log_z += np.log(rho)
    log_z *= depth / objective.saturation_power(depth)
    return np.exp(log_z)[()]


def relative_gap(objective, t, lam, rho, depth, epsilon):
    """1 - w(t) / w_inf, the distance still to go, with full relative accuracy however small.

    Parameters as for `trajectory`. A float64 w(t) cannot show a gap below 1e-16; this can.
    """
    log_z, _ = _log_saturation_at(objective, t, lam, rho, depth, epsilon)
    return -np.expm1(depth / objective.saturation_power(depth) * log_z)[()]


def elapsed_clock(objective, depth, rho, start, stop, step):
    """rho^(-m) times the integral of z^(-m-1) / (1 - z) from z = e^start to e^stop.

    Parameters
    ----------
    start, stop : arrays
        Logarithms of the two saturations, < 0.
    step : array
        stop - start, given on its own because its digits matter when the two are close.

    Returns
    -------
    ndarray
        s lam t, or not finite where it overflows. Every term has the sign of `step`.
    """
    m = objective.slowdown(depth)
    count, fraction = _split_slowdown(m)
    log_rho = np.log(rho)
    with np.errstate(over="ignore", invalid="ignore"):
        total = _tail_between(fraction, start, stop, step) * np.exp(-m * log_rho)
        for n in range(count):
            power = m - n
            total = total - np.exp(-power * start - m * log_rho) * np.expm1(-power * step) / power
    return total


def elapsed_time(objective, elapsed, lam, depth, w, epsilon):
    """t = elapsed / (s lam); ValueError naming the smaller of w and epsilon if that overflows."""
    with np.errstate(over="ignore"):
        time = elapsed / _rate(objective, lam, depth)
    allowed = "must be large enough for the time to fit in float64"
    finite = np.isfinite(time)
    _validate.where("epsilon", epsilon, finite | (w < epsilon), allowed)
    _validate.where("w", w, finite, allowed)
    return time


def clock(m, log_z):
    """An antiderivative of z^(-m-1) / (1 - z) at z = e^log_z: z^(-m) Phi(z, 1, -m).

    Where m is an integer the resonant term z^0 / 0 of Phi is replaced by log z (Lemma B.6).
    """
    count, fraction = _split_slowdown(m)
    gap = -np.expm1(log_z)
    if fraction:
        total = np.exp(fraction * log_z) * positive_tail(np.exp(log_z), gap, fraction)
    else:
        total = log_z - np.log(gap)
    for n in range(count):
        total = total - np.exp(-(m - n) * log_z) / (m - n)
    return total


def _split_slowdown(m):
    """The number of diverging powers z^(n-m), and the exponent in [0, 1) that is left."""
    count = math.ceil(m)
    return count, count - m


def _start(objective, epsilon, rho, depth):
    """log z at t = 0; ValueError where epsilon is not below the fixed point."""
    start = log_saturation(objective, epsilon, rho, depth)
    _validate.where(
        "epsilon", epsilon, start < 0, f"must lie in (0, fixed_point({objective}, rho, {depth}))"
    )
    return start


def _rate(objective, lam, depth):
    return lam * objective.saturation_power(depth) / depth


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
    # the difference of the two antiderivatives has no cancellation left.
    nodes, weights = np.polynomial.legendre.leggauss(16)
    logit, short_step = start - np.log(gap), np.clip(logit_step, -4, 4)
    short = sum(
        weight / 2 * np.exp(fraction * log_expit(logit + (node + 1) / 2 * short_step))
        for node, weight in zip(nodes, weights, strict=True)
    )
    short = short * short_step
    far = np.exp(fraction * stop) * positive_tail(np.exp(stop), gap_stop, fraction)
    near = np.exp(fraction * start) * positive_tail(np.exp(start), gap, fraction)
    return np.where(np.abs(logit_step) <= 4, short, far - near)


def _log_saturation_at(objective, t, lam, rho, depth, epsilon):
    """log z at time t, and rho as an array."""
    depth = _validate.depth(depth)
    t, lam = _validate.finite("t", t), _validate.positive("lam", lam)
    rho, epsilon = _validate.positive("rho", rho), _validate.positive("epsilon", epsilon)
    _validate.broadcast(t=t, lam=lam, rho=rho, epsilon=epsilon)
    m = objective.slowdown(depth)
    epsilon, wide_rho = _validate.broadcast(epsilon=epsilon, rho=rho)
    log_start = _start(objective, epsilon, wide_rho, depth)
    half = rho ** (m / 2)  # rho^m itself may leave float64 where its product with t does not
    with np.errstate(over="ignore"):
        start = clock(m, log_start)
        _validate.where(
            "epsilon",
            epsilon,
            np.abs(start) < _LARGEST_CLOCK,
            "must be large enough for the time to leave it to fit in float64",
        )
        target = start + (_rate(objective, lam, depth) * half) * t * half
    if m:
        _validate.where(
            "t",
            np.broadcast_to(t, target.shape),
            target > -_LARGEST_CLOCK,
            "must not be so negative that the clock overflows float64",
        )
    return _inverse_clock(m, target), rho


# Nodes per unit of y, and per unit of the logarithm of the clock's rate: quintic interpolation
# with these is exact to rounding (shown in tests/test_dynamics.py against mpmath).
_NODES_PER_LOGIT, _NODES_PER_FOLD = 64, 128
_LARGEST_CLOCK = 1e300  # the table holds sums of up to m terms of this size
_BLOCK = 8192  # values inverted at a time, so that the temporaries stay in the processor's cache


def _inverse_clock(m, target):
    """log z at which `clock` equals target, by a quintic Hermite table of y = logit z.

    All features share the function to invert (it depends on m alone), so it is tabulated once a
    call; a million values then cost one search and one polynomial each.
    """
    if m == 0 or target.size == 0:
        return log_expit(target)
    last = 40 + np.log(max(m, 1.0))  # from here on clock(y) = y + constant in float64
    logit = _nodes(m, _lower_bound(m, target), last)
    values = clock(m, log_expit(logit))
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


def _lower_bound(m, target):
    """A y = logit z with clock(y) below all targets, from clock <= most - z^(-m) / m."""
    _, fraction = _split_slowdown(m)
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
