"""Critical times, eq. (11): when a feature reaches the fraction p of its final size."""

import numpy as np
from scipy.optimize import brentq

from jepabook._support import validate
from jepabook.theory import clock
from jepabook.theory._double_double import log_product
from jepabook.theory.dynamics import _check_time, _elapsed_time, _log_start, fixed_point
from jepabook.theory.objectives import JEPA


def exact(objective, lam, rho, *, depth, epsilon, fraction=0.5):
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
        already beyond the fraction. Relative error as that of `dynamics.time_to_reach`.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    """
    depth, lam, rho, epsilon, fraction, start = _arguments(
        objective, lam, rho, depth, epsilon, fraction
    )
    power = objective.saturation_power(depth=depth)
    stop = power / depth * np.log(fraction)
    step = log_product((fraction, power), (rho, depth), (epsilon, -power)) / depth
    time = _elapsed_time(objective, depth, lam, rho, start, stop, step)
    _check_time(time, epsilon, "fraction", fraction, step)
    return time[()]


def expansion(objective, lam, rho, *, depth, epsilon, fraction=0.5, terms=None):
    """The first `terms` terms of the expansion of the critical time as epsilon -> 0.

    The sum of `expansion_terms`; parameters as there. With ``terms=2*depth - 1`` and JEPA it is
    the sum in eq. (12), with ``terms=1`` and MAE the leading term of eq. (13).
    """
    return expansion_terms(
        objective, lam, rho, depth=depth, epsilon=epsilon, fraction=fraction, terms=terms
    ).sum(axis=0)[()]


def expansion_terms(objective, lam, rho, *, depth, epsilon, fraction=0.5, terms=None):
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
        How many terms, 1 to 20000. Default: up to and including the constant.

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
    m, power = objective.slowdown(depth=depth), objective.saturation_power(depth=depth)
    diverging, resonant = int(np.ceil(m)), m == np.ceil(m)
    finite = diverging + resonant + 1
    if terms is None:
        terms = finite
    else:
        terms = validate.integer("terms", terms, most=validate.MOST_TERMS)
    validate.memory("terms", terms, 24 * (terms + 4) * np.size(epsilon))
    s = power / depth
    log_scale = -m * np.log(rho)
    log_x = s * np.log(epsilon) - np.log(rho)

    def scaled(factor, log_power):
        """factor e^log_power / (s lam), whichever of them leaves float64."""
        far = np.abs(log_power) + np.abs(np.log(lam)) > 600
        log_lam = np.where(far, np.log(s * lam), 0.0)
        size = np.where(factor != 0, np.log(np.abs(np.where(factor == 0, 1.0, factor))), -np.inf)
        logs = np.sign(factor) * np.exp(size + log_power - log_lam)
        return np.where(far, logs, factor * np.exp(log_power) / (s * lam))

    def power_term(n):
        return scaled(1 / (m - n), log_scale + (n - m) * log_x)

    def constant():
        regular = clock._antiderivative(m, s * np.log(fraction))
        return scaled(regular + np.log(rho) if resonant else regular, log_scale)

    series = [lambda n=n: power_term(n) for n in range(diverging)]
    if resonant:
        series.append(lambda: scaled(-s * np.log(epsilon), log_scale))
    series.append(constant)
    first = diverging + resonant
    series += [lambda n=n: power_term(n) for n in range(first, first + terms - finite)]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = np.stack(np.broadcast_arrays(*(term() for term in series[:terms])))
    validate.where(
        "epsilon",
        epsilon,
        np.isfinite(result).all(axis=0),
        "must be large enough for the time to fit in float64",
    )
    return result


def _arguments(objective, lam, rho, depth, epsilon, fraction):
    validate.objective(objective)
    depth = validate.depth(depth)
    lam, rho, epsilon, fraction = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
        fraction=validate.open_unit("fraction", fraction),
    )
    start = _log_start(objective, epsilon, rho, depth)
    return depth, lam, rho, epsilon, fraction, start


def order(objective, lam, rho, *, depth, epsilon, fraction=0.5):
    """The indices of the features from the first learned to the last.

    Parameters as for `exact`; features along the last axis.

    Returns
    -------
    ndarray of int
        Ties keep the order of the input.
    """
    times = exact(objective, lam, rho, depth=depth, epsilon=epsilon, fraction=fraction)
    return np.argsort(np.atleast_1d(times), axis=-1, kind="stable")


def inversion_boundary(objective, rho, rho_other, *, depth, epsilon, fraction=0.5):
    """The ratio lam_other / lam at which two features are learned at the same time (ours).

    Since the critical time is proportional to 1 / lam, the boundary is explicit: the ratio of the
    two critical times at equal lam. A pair is learned in different order by JEPA and by MAE if
    and only if its lam_other / lam lies between the two objectives' boundaries.

    Parameters
    ----------
    objective : Objective
    rho, rho_other, epsilon, fraction : array_like
        As for `exact`; the start must lie below `fraction` of both fixed points.
    depth : int

    Returns
    -------
    ndarray or float64
        Above it the other feature is learned first, below it the one of `rho`.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    """
    validate.objective(objective)
    validate.positive("rho_other", rho_other)  # under its own name, which `exact` does not know
    # in units in which the times for tiny epsilon fit in float64 more often; exact, a power of 2
    fold = (1 - objective.growth_exponent(depth=depth)) * np.log2(
        validate.positive("epsilon", epsilon)
    )
    lam = np.exp2(np.clip(np.floor(fold), 0, 1000))
    times = [
        exact(objective, lam, r, depth=depth, epsilon=epsilon, fraction=fraction)
        for r in (rho, rho_other)
    ]
    validate.broadcast(rho=times[0], rho_other=times[1])
    for name, time in zip(("rho", "rho_other"), times, strict=True):
        validate.where(
            "epsilon",
            np.broadcast_to(epsilon, np.shape(time)),
            np.asarray(time) > 0,
            f"must lie below fraction * fixed_point({objective}, {name}, depth={depth})",
        )
    return times[1] / times[0]


def inversion_scales(lam_ratio, rho, rho_other, *, depth, fraction=0.5):
    """The initial scales at which JEPA learns a feature of larger lam and smaller rho last (ours).

    The difference of the two critical times changes with epsilon by the difference of the inverse
    velocities at the start, so its largest value is at epsilon = c^depth, where the velocities
    agree: lam - c sigma^2 is the same for both. The scales in question are therefore an interval
    around that scale, or none.

    Parameters
    ----------
    lam_ratio : float
        lam_other / lam > 1.
    rho, rho_other : float
        rho_other < rho.
    depth : int
    fraction : float

    Returns
    -------
    (float, float)
        The two ends of the interval of epsilon, or (nan, nan) if it is empty or lies below 1e-290.
        The lower end is 0 if it alone lies below 1e-290.

    Raises
    ------
    ValueError
        If lam_ratio <= 1 or rho_other >= rho: then there is no conflict to resolve.
    """
    depth, lam_ratio = validate.depth(depth), validate.number("lam_ratio", lam_ratio)
    rho = validate.number("rho", rho, validate.positive)
    rho_other = validate.number("rho_other", rho_other, validate.positive)
    if not lam_ratio > 1:
        raise ValueError(f"lam_ratio must exceed 1, got {lam_ratio!r}")
    if not rho_other < rho:
        raise ValueError(f"rho_other must be below rho = {rho!r}, got {rho_other!r}")
    fraction = validate.number("fraction", fraction, validate.open_unit)
    highest = np.log(fraction * fixed_point(JEPA, rho_other, depth=depth))

    def excess(log_epsilon):
        boundary = inversion_boundary(
            JEPA, rho, rho_other, depth=depth, epsilon=np.exp(log_epsilon), fraction=fraction
        )
        return boundary - lam_ratio

    lowest, edge = np.log(1e-290), highest - 1e-9
    peak = depth * np.log((lam_ratio - 1) / (lam_ratio / rho_other - 1 / rho))
    if peak >= edge or excess(max(peak, lowest)) <= 0:
        return np.nan, np.nan
    low = 0.0 if excess(lowest) > 0 else np.exp(brentq(excess, lowest, peak))
    return low, np.exp(brentq(excess, max(peak, lowest), edge))


def deep_priority(lam, rho, gain):
    """lam (1 - gain / rho) = lam - gain sigma^2: what deep JEPA orders features by (ours).

    With a fixed initial scale per layer, gain = epsilon^(1/L) < rho, the critical time of JEPA
    becomes gain^(1 - 2L) / (2 deep_priority) as L grows; that of MAE goes by lam alone. At any
    depth the velocity at the start is gain^(3L - 1) deep_priority.

    Parameters
    ----------
    lam, rho, gain : array_like
        > 0; broadcast.

    Returns
    -------
    ndarray or float64
        Positive where the feature grows; not positive where it starts at or above its final size.
    """
    lam, rho, gain = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        gain=validate.positive("gain", gain),
    )
    with np.errstate(over="ignore", under="ignore"):
        ratio = gain / rho
        # the ratio may leave float64 where its product with lam does not
        beyond = -np.exp(np.log(lam) + np.log(gain) - np.log(rho))
        priority = np.where(np.isfinite(ratio), lam * ((rho - gain) / rho), beyond)
    allowed = "must be small enough for the priority to fit in float64"
    validate.where("gain", gain, np.isfinite(priority), allowed)
    return priority[()]
