"""Weight decay: which features it lets live, from which start, and at what size (ours).

With kappa/2 times the sum of all squared weights added to the loss, each feature obeys::

    dw/dt = lam w^q - (lam / rho) w^3 - kappa w

in the paper's clock. In the saturation z = w^s / rho, s = 3 - q, m = (q - 1) / s, this is
``dz/dt = s z (lam rho^m z^m (1 - z) - kappa)``, so all turns on the one function z^m (1 - z).
"""

import numpy as np
from scipy.optimize.elementwise import find_root

from jepabook._support import validate
from jepabook.theory._path import follow
from jepabook.theory.dynamics import _log_saturation, _size_of, fixed_point

_DECAY_FITS = "must be small enough for the decay to fit in float64"


def critical_decay(objective, lam, rho, *, depth):
    """The decay above which a feature has no size but zero: lam rho^m m^m / (m + 1)^(m + 1).

    Parameters
    ----------
    objective : Objective
    lam, rho : array_like
        > 0; broadcast.
    depth : int
        Number L >= 1 of layers of the encoder.

    Returns
    -------
    ndarray or float64
        The exponent m of rho is 2L - 1 for JEPA, (L - 1)/(L + 1) for MAE.
    """
    validate.objective(objective)
    lam, rho = validate.broadcast(
        lam=validate.positive("lam", lam), rho=validate.positive("rho", rho)
    )
    decay = _product(lam, rho, objective.slowdown(depth=depth), _log_fold(objective, depth))
    return validate.where("rho", decay, np.isfinite(decay), _DECAY_FITS)[()]


def _log_fold(objective, depth):
    """The logarithm of m^m / (m + 1)^(m + 1), the largest value of z^m (1 - z)."""
    m = objective.slowdown(depth=depth)
    return -m * np.log1p(1 / m) - np.log1p(m) if m else 0.0


def _product(factor, base, power, log_rest):
    """factor base^power e^log_rest, whichever of them leaves float64; inf where all do."""
    with np.errstate(all="ignore"):
        plain, log_power = factor * base**power * np.exp(log_rest), power * np.log(base)
        log_product = np.log(factor) + log_power + log_rest
        far = np.abs(log_power) + np.abs(np.log(factor)) + np.abs(log_rest) > 600
        return np.where(far, np.exp(log_product), plain)


def fixed_points(objective, lam, rho, *, depth, weight_decay):
    """The unstable size, below which a feature dies, and the stable one, where it ends.

    Parameters
    ----------
    objective : Objective
    lam, rho, weight_decay : array_like
        kappa >= 0; broadcast.
    depth : int

    Returns
    -------
    low, high : ndarrays or float64
        NaN where kappa reaches `critical_decay`. Without decay, and for MAE at L = 1, low is 0:
        then every start grows; also where it is below float64.
    """
    validate.objective(objective)
    lam, rho, decay = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        weight_decay=validate.non_negative("weight_decay", weight_decay),
    )
    m, top = objective.slowdown(depth=depth), fixed_point(objective, rho, depth=depth)
    power = depth / objective.saturation_power(depth=depth)  # w = top z^power
    log_fold, none = _log_fold(objective, depth), decay == 0
    log_share = np.log(np.where(none, 1.0, decay)) - np.log(lam) - m * np.log(rho)
    limit = _product(lam, rho, m, log_fold)
    # the number that `critical_decay` returns is the border, wherever it is in float64
    known = (limit > np.finfo(float).tiny) & np.isfinite(limit)
    alive = np.where(known, decay < limit, log_share < log_fold)
    log_share = np.where(alive & ~none, np.minimum(log_share, log_fold), log_fold - 1)
    # z^m (1 - z) = share on either side of its maximum, solved for log (1 - z) and for log z
    gap, low = log_share, np.zeros_like(top)
    if m:
        gap = _root(lambda x, y: m * np.log1p(-np.exp(x)) + x - y, gap, gap, -np.log1p(m))
        small = _root(
            lambda x, y: m * x + np.log1p(-np.exp(x)) - y,
            log_share,
            log_share / m,
            -np.log1p(1 / m),
        )
        low = _size_of(power * (np.log(rho) + small), "rho", rho)
    with np.errstate(under="ignore"):
        high = top * np.exp(power * np.log1p(-np.exp(gap)))
    low, high = np.where(none, 0.0, low), np.where(none, top, high)
    return tuple(np.where(alive | none, size, np.nan)[()] for size in (low, high))


def _root(function, value, low, high):
    """x with function(x, value) = 0, function increasing between the brackets low and high."""
    # rounding may put the root on a bracket's end, where the function has either sign
    return find_root(function, (low - 1e-9, np.broadcast_to(high, low.shape)), args=(value,)).x


def greatest_decay(objective, lam, rho, *, depth, epsilon):
    """The decay up to which a feature that starts at epsilon is learned.

    Below the size at which (dw/dt)/w without decay is largest, (fold rho)^(1/s) with
    fold = m/(m + 1), the start decides: lam epsilon^(q - 1) - (lam / rho) epsilon^2. Above it,
    `critical_decay` does.

    Parameters
    ----------
    objective : Objective
    lam, rho, epsilon : array_like
        > 0; broadcast.
    depth : int

    Returns
    -------
    ndarray or float64
        For JEPA and gain = epsilon^(1/L) the first case is gain^(2L - 1) (lam - gain sigma^2).
    """
    validate.objective(objective)
    lam, rho, epsilon = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
    )
    m, log_z = objective.slowdown(depth=depth), _log_saturation(objective, epsilon, rho, depth)
    below = log_z < (-np.log1p(1 / m) if m else -np.inf)
    log_gap = np.log(-np.expm1(np.where(below, log_z, -1.0)))
    at_start = _product(lam, epsilon, objective.growth_exponent(depth=depth) - 1, log_gap)
    decay = np.where(below, at_start, _product(lam, rho, m, _log_fold(objective, depth)))
    return validate.where("rho", decay, np.isfinite(decay), _DECAY_FITS)[()]


def final_size(objective, lam, rho, *, depth, epsilon, weight_decay):
    """Where a feature that starts at epsilon ends: its stable size, or 0.

    Parameters
    ----------
    objective : Objective
    lam, rho, epsilon, weight_decay : array_like
        Broadcast.
    depth : int

    Returns
    -------
    ndarray or float64
        0 also in the borderline case of exactly `greatest_decay`.
    """
    limit = greatest_decay(objective, lam, rho, depth=depth, epsilon=epsilon)
    _, high = fixed_points(objective, lam, rho, depth=depth, weight_decay=weight_decay)
    decay = np.asarray(weight_decay)
    learned = (decay < limit) | (decay == 0)  # where the limit is below float64, too
    return np.where(learned, high, 0.0)[()]


def trajectory(objective, t, lam, rho, *, depth, epsilon, weight_decay):
    """w(t) of one or several features with weight decay, by integration.

    Parameters
    ----------
    objective : Objective
    t : array (n,)
        Increasing, starting at 0, in the paper's clock.
    lam, rho, epsilon, weight_decay : array_like
        Broadcast.
    depth : int

    Returns
    -------
    ndarray (n, ...)
        To a relative 1e-8, of the solution at times within a relative 1e-10 of t. (Near its
        take-off, and for decays near `greatest_decay`, w is ill-conditioned.)

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; also where t times the fastest rate
        does not fit in float64.
    RuntimeError
        Where following a feature takes more than 10 000 steps, as a few paths do whose terms
        balance to more digits than float64 has: t times a rate far above 1e15.
    """
    validate.objective(objective)
    t = validate.times("t", t)
    lam, rho, epsilon, decay = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
        weight_decay=validate.non_negative("weight_decay", weight_decay),
    )
    (log_size,) = follow(objective, t, lam, rho, depth, epsilon, decay)
    return _size_of(log_size, "epsilon", epsilon)
