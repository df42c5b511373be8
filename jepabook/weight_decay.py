"""Weight decay: which features it lets live, from which start, and at what size (ours).

With kappa/2 times the sum of all squared weights added to the loss, each feature obeys::

    dw/dt = lam w^q - (lam / rho) w^3 - kappa w

in the paper's clock. In the saturation z = w^s / rho, s = 3 - q, m = (q - 1) / s, this is
``dz/dt = s z (lam rho^m z^m (1 - z) - kappa)``, so all turns on the one function z^m (1 - z).
"""

import numpy as np
from scipy.optimize.elementwise import find_root

from jepabook import _ode, _validate
from jepabook.dynamics import fixed_point


def critical_decay(objective, lam, rho, depth):
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
    _validate.objective(objective)
    lam, rho = _validate.broadcast(
        lam=_validate.positive("lam", lam), rho=_validate.positive("rho", rho)
    )
    m = objective.slowdown(depth)
    return (lam * rho**m * m**m / (m + 1) ** (m + 1))[()]


def fixed_points(objective, lam, rho, depth, weight_decay):
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
        then every start grows.
    """
    _validate.objective(objective)
    lam, rho, decay = _validate.broadcast(
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        weight_decay=_validate.non_negative("weight_decay", weight_decay),
    )
    m, top = objective.slowdown(depth), fixed_point(objective, rho, depth)
    power = depth / objective.saturation_power(depth)  # w = top z^power
    share = decay / (lam * rho**m)
    fold = m / (m + 1)
    alive = decay < critical_decay(objective, lam, rho, depth)
    share_alive = np.where(alive & (share > 0), share, 0.5 * m**m / (m + 1) ** (m + 1))
    log_share = np.log(share_alive)
    # z^m (1 - z) = share on either side of its maximum, solved for log (1 - z) and for log z
    gap, low = log_share, np.zeros_like(share)
    if m:
        gap = _root(lambda x, y: m * np.log1p(-np.exp(x)) + x - y, gap, gap, -np.log1p(m))
        small = _root(
            lambda x, y: m * x + np.log1p(-np.exp(x)) - y, log_share, log_share / m, np.log(fold)
        )
        low = np.exp(power * small)
    high = np.exp(power * np.log1p(-np.exp(gap)))
    none = share == 0
    low, high = np.where(none, 0.0, low), np.where(none, 1.0, high)
    dead = ~(alive | none)
    return tuple(np.where(dead, np.nan, top * size)[()] for size in (low, high))


def _root(function, value, low, high):
    """x with function(x, value) = 0, function increasing between the brackets low and high."""
    # rounding may put the root on a bracket's end, where the function has either sign
    return find_root(function, (low - 1e-9, np.broadcast_to(high, low.shape)), args=(value,)).x


def greatest_decay(objective, lam, rho, depth, epsilon):
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
    _validate.objective(objective)
    lam, rho, epsilon = _validate.broadcast(
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        epsilon=_validate.positive("epsilon", epsilon),
    )
    m, s = objective.slowdown(depth), 3 - objective.growth_exponent(depth)
    z = epsilon**s / rho
    at_start = lam * rho**m * z**m * (1 - z)
    best = critical_decay(objective, lam, rho, depth)
    return np.where(z < m / (m + 1), at_start, best)[()]


def final_size(objective, lam, rho, depth, epsilon, weight_decay):
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
    limit = greatest_decay(objective, lam, rho, depth, epsilon)
    _, high = fixed_points(objective, lam, rho, depth, weight_decay)
    learned = np.asarray(weight_decay) < limit
    return np.where(learned, high, 0.0)[()]


def trajectory(objective, t, lam, rho, depth, epsilon, weight_decay):
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
        To a relative error of about 1e-10.
    """
    _validate.objective(objective)
    t = _validate.times("t", t)
    lam, rho, epsilon, decay = _validate.broadcast(
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        epsilon=_validate.positive("epsilon", epsilon),
        weight_decay=_validate.non_negative("weight_decay", weight_decay),
    )
    growth = objective.growth_exponent(depth) - 1
    rates = [values.ravel() for values in (lam, lam / rho, decay)]

    def slope(_, x):
        return rates[0] * np.exp(growth * x) - rates[1] * np.exp(2 * x) - rates[2]

    start, options = np.log(epsilon).ravel(), {"method": "LSODA", "rtol": 1e-11, "atol": 1e-12}
    solution = _ode.solve("weight decay", slope, t, start, t_eval=t, **options)
    return np.exp(solution.y.T.reshape(len(t), *epsilon.shape))
