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

from jepabook._support import validate
from jepabook.theory import clock
from jepabook.theory._double_double import log_product

SIZE_FITS = "must be small enough for the size to fit in float64"


def velocity(objective, w, lam, rho, *, depth):
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

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; w also where dw/dt overflows float64.
    """
    validate.objective(objective)
    depth = validate.depth(depth)
    w, lam, rho = validate.broadcast(
        w=validate.non_negative("w", w),
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
    )
    q, log_z = objective.growth_exponent(depth=depth), _log_saturation(objective, w, rho, depth)
    with np.errstate(all="ignore"):
        plain, grown = -lam * w**q * np.expm1(log_z), q * np.log(w)
        # in logarithms where a factor leaves float64 and the product need not
        above = log_z + np.log1p(-np.exp(-np.abs(log_z)))
        log_gap = np.where(log_z > 0, above, np.log(np.abs(np.expm1(log_z))))
        far = np.maximum(np.abs(grown), np.abs(log_z)) + np.abs(np.log(lam)) > 600
        far &= w > 0
        log_size = grown + np.log(lam) + log_gap
        change = np.where(far, -np.sign(log_z) * np.exp(log_size), plain)
        change = np.where(log_z == 0, 0.0, change)
    validate.where("w", w, np.isfinite(change), "must be small enough for dw/dt to fit in float64")
    return change[()]


def fixed_point(objective, rho, *, depth):
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

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; rho also where the size overflows.
    """
    validate.objective(objective)
    rho, depth = validate.positive("rho", rho), validate.depth(depth)
    with np.errstate(over="ignore", under="ignore"):
        size = rho ** (depth / objective.saturation_power(depth=depth))
    validate.where("rho", rho, np.isfinite(size), SIZE_FITS)
    return size[()]


def _log_saturation(objective, w, rho, depth):
    """log z with z = (w / w_inf)^s = (w^j / rho^L)^(1/L), accurate relative to itself.

    Arrays that broadcast; no checks. Zero exactly at the fixed point, negative below it.
    """
    power = objective.saturation_power(depth=depth)
    return log_product((w, power), (rho, -depth)) / depth


def time_to_reach(objective, w, lam, rho, *, depth, epsilon):
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
        w < epsilon (the solution continued backwards). Relative error below 1e-12; below 1e-11 at
        depths beyond 40 and where lam or rho^m is near an end of float64.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; also where w or epsilon is so small
        that the time, which grows like epsilon^(1 - q), overflows float64.
    """
    validate.objective(objective)
    depth = validate.depth(depth)
    w, lam, rho, epsilon = validate.broadcast(
        w=validate.positive("w", w),
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
    )
    start = _log_start(objective, epsilon, rho, depth)
    stop = _log_saturation(objective, w, rho, depth)
    reached = stop < 0
    step = objective.saturation_power(depth=depth) / depth * log_product((w, 1), (epsilon, -1))
    stop, step = np.where(reached, stop, -1.0), np.where(reached, step, 0.0)
    time = np.where(step != 0, _elapsed_time(objective, depth, lam, rho, start, stop, step), 0.0)
    _check_time(time, epsilon, "w", w, step)
    return np.where(reached, time, np.inf)[()]


def trajectory(objective, t, lam, rho, *, depth, epsilon):
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
    log_z *= depth / objective.saturation_power(depth=depth)
    return _size_of(log_z, "rho", rho)


def relative_gap(objective, t, lam, rho, *, depth, epsilon):
    """1 - w(t) / w_inf, the distance still to go, with full relative accuracy however small.

    Parameters as for `trajectory`. A float64 w(t) cannot show a gap below 1e-16; this can.
    """
    log_z, _ = _log_saturation_at(objective, t, lam, rho, depth, epsilon)
    return -np.expm1(depth / objective.saturation_power(depth=depth) * log_z)[()]


def _elapsed_time(objective, depth, lam, rho, start, stop, step):
    """1 / (s lam rho^m) times the integral of z^(-m-1) / (1 - z) from z = e^start to e^stop.

    Parameters
    ----------
    start, stop : arrays
        Logarithms of the two saturations, < 0.
    step : array
        stop - start, given on its own because its digits matter when the two are close.

    Returns
    -------
    ndarray
        t, not finite where it overflows. Every term has the sign of `step`.
    """
    m = objective.slowdown(depth=depth)
    log_scale = -m * np.log(rho)
    # where terms leave float64, their quotients by lam need not
    far = np.abs(log_scale) + np.abs(m * start) > 600
    log_scale = np.where(far, log_scale - np.log(lam), log_scale)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        elapsed = clock._difference(m, start, stop, step, log_scale)
        return elapsed / _power(objective, depth) / np.where(far, 1.0, lam)


def _check_time(time, epsilon, name, goal, step):
    """ValueError, naming the smaller of epsilon and the goal, where a time overflows float64."""
    allowed = "must be large enough for the time to fit in float64"
    finite = np.isfinite(time)
    validate.where("epsilon", epsilon, finite | (step < 0), allowed)
    validate.where(name, goal, finite, allowed)


def _size_of(log_size, name, value):
    """e^log_size, 0 where it is below float64; ValueError naming an argument where it is above."""
    with np.errstate(over="ignore", under="ignore"):
        size = np.exp(log_size)
    validate.where(name, np.broadcast_to(value, np.shape(size)), np.isfinite(size), SIZE_FITS)
    return size[()]


def _log_start(objective, epsilon, rho, depth):
    """log z at w = epsilon, arrays that broadcast; ValueError unless below the fixed point."""
    start = _log_saturation(objective, epsilon, rho, depth)
    allowed = f"must lie in (0, fixed_point({objective}, rho, depth={depth}))"
    validate.where("epsilon", epsilon, start < 0, allowed)
    return start


def _power(objective, depth):
    """s = 3 - q."""
    return objective.saturation_power(depth=depth) / depth


def _log_saturation_at(objective, t, lam, rho, depth, epsilon):
    """log z at time t, and rho as an array."""
    validate.objective(objective)
    depth = validate.depth(depth)
    t, lam = validate.finite("t", t), validate.positive("lam", lam)
    rho, epsilon = validate.positive("rho", rho), validate.positive("epsilon", epsilon)
    validate.broadcast(t=t, lam=lam, rho=rho, epsilon=epsilon)
    m = objective.slowdown(depth=depth)
    epsilon, wide_rho = validate.broadcast(epsilon=epsilon, rho=rho)
    start = _log_start(objective, epsilon, wide_rho, depth)
    s, log_speed = _power(objective, depth), m * np.log(rho)
    # rho^m may leave float64 where its product with lam t does not
    far = np.abs(log_speed) > 600
    with np.errstate(all="ignore"):
        half = rho ** (m / 2)
        moved = np.where(
            far,
            np.sign(t) * np.exp(log_speed + np.log(s * lam) + np.log(np.abs(t))),
            (lam * s * half) * t * half,
        )
        start = clock._antiderivative(m, start)
        validate.where(
            "epsilon",
            epsilon,
            np.abs(start) < clock.LARGEST,
            "must be large enough for the time to leave it to fit in float64",
        )
        target = start + moved
    if m:
        validate.where(
            "t",
            np.broadcast_to(t, target.shape),
            target > -clock.LARGEST,
            "must not be so negative that the clock overflows float64",
        )
    return clock.inverse(m, target), rho
