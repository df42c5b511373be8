"""The scalar dynamics of one feature, eqs. (7) and (8), solved in closed form.

Both equations are ``dw/dt = lam w^q - (lam / rho) w^3``. With ``s = 3 - q``, the fixed point
``w_inf = rho^(1/s)``, the saturation ``z = (w / w_inf)^s`` and ``m = (q - 1) / s`` they become::

    s lam rho^m dt = z^(-m-1) / (1 - z) dz

The integral is ``z^(-m) Phi(z, 1, -m)``, with a logarithm in place of the resonant term when m
is an integer (JEPA always, MAE at L = 1). In ``y = logit z`` the same equation reads
``dy/dt = s lam rho^m z^m``. The functions below evaluate the integral between two points as a sum
of positive terms, so that nothing cancels near the start or near the fixed point.

Time is the paper's: the factor L of gradient flow is absorbed into it, see eq. (64).
"""

import numpy as np

from jepabook import _validate, clock
from jepabook._double_double import log_product


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
    _validate.objective(objective)
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
    _validate.objective(objective)
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
    _validate.objective(objective)
    depth = _validate.depth(depth)
    w, lam, rho, epsilon = _validate.broadcast(
        w=_validate.positive("w", w),
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        epsilon=_validate.positive("epsilon", epsilon),
    )
    start = log_start(objective, epsilon, rho, depth)
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
    return clock.difference(m, start, stop, step, -m * np.log(rho))


def elapsed_time(objective, elapsed, lam, depth, w, epsilon):
    """t = elapsed / (s lam); ValueError naming the smaller of w and epsilon if that overflows."""
    with np.errstate(over="ignore"):
        time = elapsed / _rate(objective, lam, depth)
    allowed = "must be large enough for the time to fit in float64"
    finite = np.isfinite(time)
    _validate.where("epsilon", epsilon, finite | (w < epsilon), allowed)
    _validate.where("w", w, finite, allowed)
    return time


def log_start(objective, epsilon, rho, depth):
    """log z at w = epsilon, arrays that broadcast; ValueError unless below the fixed point."""
    start = log_saturation(objective, epsilon, rho, depth)
    _validate.where(
        "epsilon", epsilon, start < 0, f"must lie in (0, fixed_point({objective}, rho, {depth}))"
    )
    return start


def _rate(objective, lam, depth):
    return lam * objective.saturation_power(depth) / depth


def _log_saturation_at(objective, t, lam, rho, depth, epsilon):
    """log z at time t, and rho as an array."""
    _validate.objective(objective)
    depth = _validate.depth(depth)
    t, lam = _validate.finite("t", t), _validate.positive("lam", lam)
    rho, epsilon = _validate.positive("rho", rho), _validate.positive("epsilon", epsilon)
    _validate.broadcast(t=t, lam=lam, rho=rho, epsilon=epsilon)
    m = objective.slowdown(depth)
    epsilon, wide_rho = _validate.broadcast(epsilon=epsilon, rho=rho)
    start = log_start(objective, epsilon, wide_rho, depth)
    half = rho ** (m / 2)  # rho^m itself may leave float64 where its product with t does not
    with np.errstate(over="ignore"):
        start = clock.antiderivative(m, start)
        _validate.where(
            "epsilon",
            epsilon,
            np.abs(start) < clock.LARGEST,
            "must be large enough for the time to leave it to fit in float64",
        )
        target = start + (_rate(objective, lam, depth) * half) * t * half
    if m:
        _validate.where(
            "t",
            np.broadcast_to(t, target.shape),
            target > -clock.LARGEST,
            "must not be so negative that the clock overflows float64",
        )
    return clock.inverse(m, target), rho
