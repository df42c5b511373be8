"""Critical times, eq. (11): when a feature reaches the fraction p of its final size."""

import numpy as np

from jepabook import _validate
from jepabook._double_double import log_product
from jepabook.dynamics import clock, elapsed_clock, elapsed_time, log_saturation


def exact(objective, lam, rho, depth, epsilon, fraction=0.5):
    """The time t* with w(t*) = fraction * w_inf, eq. (11), from the closed form.

    Parameters
    ----------
    objective : Objective
        `JEPA` or `MAE`.
    lam, rho, epsilon, fraction : array_like
        lam > 0, rho > 0, 0 < epsilon < fixed point, fraction in (0, 1); broadcast.
    depth : int
        Number L >= 1 of layers of the encoder.

    Returns
    -------
    ndarray or float64
        In the paper's clock (L absorbed into time, eq. (64)). Negative where the start is
        already beyond the fraction. Relative error below 1e-12.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    """
    depth, lam, rho, epsilon, fraction, start = _arguments(
        objective, lam, rho, depth, epsilon, fraction
    )
    power = objective.saturation_power(depth)
    stop = power / depth * np.log(fraction)
    step = log_product((fraction, power), (rho, depth), (epsilon, -power)) / depth
    elapsed = elapsed_clock(objective, depth, rho, start, stop, step)
    size = np.exp(depth / power * (np.log(rho) + stop))
    return elapsed_time(objective, elapsed, lam, depth, size, epsilon)[()]


def expansion(objective, lam, rho, depth, epsilon, fraction=0.5, terms=None):
    """The first `terms` terms of the expansion of the critical time as epsilon -> 0.

    The sum of `expansion_terms`; parameters as there. With ``terms=2*depth - 1`` and JEPA it is
    the sum in eq. (12), with ``terms=1`` and MAE the leading term of eq. (13).
    """
    return expansion_terms(objective, lam, rho, depth, epsilon, fraction, terms).sum(axis=0)[()]


def expansion_terms(objective, lam, rho, depth, epsilon, fraction=0.5, terms=None):
    """The terms of the critical time in order of decreasing size as epsilon -> 0 (ours).

    With s = 3 - q, m = (q - 1)/s, c = 1 / (s lam rho^m) and F(z) = z^(-m) Phi(z, 1, -m), its pole
    removed:

    - c (rho / epsilon^s)^(m - n) / (m - n) for n = 0, 1, ... < m, the diverging powers;
    - if m is an integer, -log(epsilon) / (lam rho^m);
    - the constant c (F(fraction^s) + [log rho if m is an integer]);
    - -c (epsilon^s / rho)^(n - m) / (n - m) for n > m, which vanish.

    The series converges to `exact` for every epsilon below the fixed point.

    Parameters
    ----------
    objective, lam, rho, depth, epsilon, fraction
        As for `exact`.
    terms : int, optional
        How many terms, >= 1. Default: up to and including the constant.

    Returns
    -------
    ndarray, shape (terms, ...)

    Raises
    ------
    ValueError
        As `exact`, and where `terms` is not an integer >= 1.
    """
    depth, lam, rho, epsilon, fraction, _ = _arguments(
        objective, lam, rho, depth, epsilon, fraction
    )
    m, power = objective.slowdown(depth), objective.saturation_power(depth)
    diverging, resonant = int(np.ceil(m)), m == np.ceil(m)
    finite = diverging + resonant + 1
    terms = finite if terms is None else _validate.integer("terms", terms)
    s = power / depth
    log_scale = -m * np.log(rho)
    scale = np.exp(log_scale) / (s * lam)
    log_start = s * np.log(epsilon) - np.log(rho)

    def power_term(n):
        return np.exp(log_scale + (n - m) * log_start) / ((m - n) * s * lam)

    def constant():
        return scale * (clock(m, s * np.log(fraction)) + (np.log(rho) if resonant else 0.0))

    series = [lambda n=n: power_term(n) for n in range(diverging)]
    if resonant:
        series.append(lambda: -scale * s * np.log(epsilon))
    series.append(constant)
    first = diverging + resonant
    series += [lambda n=n: power_term(n) for n in range(first, first + terms - finite)]
    with np.errstate(over="ignore"):
        result = np.stack(np.broadcast_arrays(*(term() for term in series[:terms])))
    _validate.where(
        "epsilon",
        epsilon,
        np.isfinite(result).all(axis=0),
        "must be large enough for the time to fit in float64",
    )
    return result


def _arguments(objective, lam, rho, depth, epsilon, fraction):
    depth = _validate.depth(depth)
    lam, rho, epsilon, fraction = _validate.broadcast(
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        epsilon=_validate.positive("epsilon", epsilon),
        fraction=_validate.open_unit("fraction", fraction),
    )
    start = log_saturation(objective, epsilon, rho, depth)
    _validate.where(
        "epsilon", epsilon, start < 0, f"must lie in (0, fixed_point({objective}, rho, {depth}))"
    )
    return depth, lam, rho, epsilon, fraction, start
