"""JEPA with a target network: one feature, its encoder and an averaged or frozen teacher (ours).

The target network's layers follow the encoder's as an exponential moving average,
``dW_target/dtheta = tau (W - W_target)`` in units theta of gradient flow. Aligned layers stay
aligned, and with the layers' singular values omega, omega_target and sizes w = omega^L::

    dw/dt = lam w_target w^(2 - 1/L) - (lam / rho) w^3 - kappa w
    w_target = omega_target^L
    domega_target/dt = (tau / L) (omega - omega_target)

in the paper's clock t = L theta. tau = inf is JEPA, tau = 0 a frozen teacher. Target rates are per
unit of gradient flow throughout, as in `linear_net`; times are in the paper's clock.
"""

import numpy as np
from scipy.interpolate import krogh_interpolate
from scipy.special import log_expit

from jepabook._support import validate
from jepabook.theory import _ode, clock
from jepabook.theory import critical_time as closed_form
from jepabook.theory._double_double import log_product
from jepabook.theory._path import follow
from jepabook.theory.dynamics import SIZE_FITS, _log_saturation, _log_start, _size_of, time_to_reach
from jepabook.theory.objectives import JEPA

# Beyond these the rate no longer shows in float64, or in the unit of time alone.
_LOG_FASTEST, _LOG_SLOWEST = 50.0, -46.0
_TINY = 1e-290  # a product below it has lost digits


def trajectory(t, lam, rho, *, depth, epsilon, target_rate, weight_decay=0.0, teacher=None):
    """Sizes w(t), w_target(t) of features under a target network of rate tau, by integration.

    Parameters
    ----------
    t : array (n,)
        Increasing, starting at 0, in the paper's clock.
    lam, rho, epsilon, target_rate, weight_decay : array_like
        Features (> 0), sizes at the start (> 0), tau >= 0 and kappa >= 0; broadcast.
    depth : int
        Number L >= 1 of layers of the encoder.
    teacher : array_like, optional
        Sizes of the features in the target network at the start, > 0; default: epsilon.

    Returns
    -------
    w, w_target : ndarrays (n, ...)
        To a relative 1e-8, of the solution at times within a relative 1e-10 of t. (Near its
        take-off, and where decay is near `weight_decay.greatest_decay`, w is ill-conditioned.)

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; also where t times the fastest rate
        does not fit in float64.
    RuntimeError
        Where following a feature takes more than 10 000 steps, as a few paths do whose terms
        balance to more digits than float64 has: t times a rate far above 1e15.
    """
    depth = validate.depth(depth)
    t = validate.times("t", t)
    lam, rho, epsilon, rate, decay, teacher = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
        target_rate=validate.non_negative("target_rate", target_rate),
        weight_decay=validate.non_negative("weight_decay", weight_decay),
        teacher=validate.positive("teacher", epsilon if teacher is None else teacher),
    )
    size, target = follow(JEPA, t, lam, rho, depth, epsilon, decay, rate, teacher)
    return _size_of(size, "epsilon", epsilon), _size_of(target, "teacher", teacher)


def critical_time(lam, rho, *, depth, epsilon, target_rate, fraction=0.5, goal=None):
    """When a feature of a network with target rate tau reaches `fraction` of its final size.

    One function serves all features: with u = omega / rho, v = omega_target / rho and the time
    T = lam rho^(2L - 1) theta::

        du/dT = (v u)^L - u^(2L + 1)
        dv/dT = tau / (lam rho^(2L - 1)) (u - v)

    Parameters
    ----------
    lam, rho, epsilon, target_rate, fraction : array_like
        As for `trajectory`; target_rate > 0 and finite; epsilon below the goal; broadcast.
    depth : int
    goal : array_like, optional
        The size to reach, below rho^L; default: fraction * rho^L.

    Returns
    -------
    ndarray or float64
        In the paper's clock, to a relative 1e-9, of a goal within a relative 1e-12 of the one
        that is meant. (At the plateau that a slow target makes, 1/tau passes between two sizes
        that float64 hardly tells apart.) Never below `critical_time.exact` of JEPA.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; also where the time overflows float64.
    RuntimeError
        Where following a feature takes more than 10 000 steps; none is known.
    """
    depth = validate.depth(depth)
    lam, rho, epsilon, rate, fraction, wanted = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
        target_rate=validate.positive("target_rate", target_rate),
        fraction=validate.open_unit("fraction", fraction),
        goal=validate.positive("goal", 1.0 if goal is None else goal),
    )
    goal = None if goal is None else wanted
    jepa, late, log_time = _times(lam, rho, depth, epsilon, np.log(rate), fraction, goal)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        # the product cannot fall below JEPA's time; the logarithm does without it
        time = np.where(np.isfinite(late) & (jepa > _TINY), jepa * (1 + late), np.exp(log_time))
    allowed = "must be large enough for the time to fit in float64"
    validate.where("target_rate", rate, np.isfinite(time), allowed)
    return time[()]


def _times(lam, rho, depth, epsilon, log_rate, fraction, goal):
    """JEPA's time, by which share of it a target network's is later, and the log of that time."""
    if goal is None:
        stop = np.log(fraction) / depth
        step = log_product((fraction, 1), (rho, depth), (epsilon, -1)) / depth
    else:
        stop, step = (
            _log_saturation(JEPA, goal, rho, depth),
            log_product((goal, 1), (epsilon, -1)) / depth,
        )
        validate.where("goal", goal, stop < 0, "must lie below rho^depth")
    validate.where("epsilon", epsilon, step > 0, "must lie below the goal")
    if goal is None:
        jepa = closed_form.exact(JEPA, lam, rho, depth=depth, epsilon=epsilon, fraction=fraction)
    else:
        jepa = time_to_reach(JEPA, goal, lam, rho, depth=depth, epsilon=epsilon)
    m, start = JEPA.slowdown(depth=depth), _log_saturation(JEPA, epsilon, rho, depth)
    log_speed = np.log(lam) + m * np.log(rho)
    # lam rho^m theta of JEPA; its largest term is taken out, for it may leave float64
    unit = np.log(clock._difference(m, start, stop, step, m * start)) - m * start
    known = np.broadcast_arrays(start, stop, log_rate - log_speed, unit)
    late, longer = (found.reshape(lam.shape) for found in _late(depth, *(a.ravel() for a in known)))
    log_time = unit + np.log1p(late) + longer + np.log(depth) - log_speed
    return jepa, np.where(longer > 0, np.inf, late), log_time


def _late(depth, start, stop, log_rate, log_unit):
    """By which share of e^log_unit a target of rate r makes theta-hat later; see `critical_time`.

    Along y = logit u, in which JEPA obeys dy/dT = u^(2L - 1), with n the logarithm of how many
    times longer than JEPA's the way from y to y + dy takes and p the speed of log v against that
    of log u::

        dn/dy = ((1 - u) + u e^n) (L + 1 - L p) - 1
        p = r u^(-2L) e^(y + n) ((u / v) - 1)
        (v / u)^L = 1 - (1 - u) (1 - e^(-n))

    from n = 0; n stays positive, small behind a fast target, of the order of log 1/r behind a slow
    one, and the delay is the integral of u^(1 - 2L) (e^n - 1) dy: nothing cancels.

    Parameters
    ----------
    depth : int
    start, stop, log_rate, log_unit : arrays (K,)
        log u at both ends, and log r.

    Returns
    -------
    late, longer : ndarrays (K,)
        `longer` > 0 for rates so small that they set the unit of time alone: by that much the
        logarithm of the time exceeds that of the time for the rate that was followed.
    """
    m = 2 * depth - 1
    rate = np.maximum(log_rate, m * start + _LOG_SLOWEST - 2 * np.log(depth))
    most = _LOG_FASTEST + np.log(depth)

    def terms(which, y, n):
        x, rest = log_expit(y), np.exp(log_expit(-y))
        pull = np.exp(np.minimum(rate[which, None] - m * x, most) + n) / rest
        # at rest behind its target the encoder is as much at rest with e^n as with e^600
        gone, grown = np.exp(-n), np.exp(np.minimum(x + n, 600.0))
        left = np.exp(x) + rest * gone
        # log1p where the lead is small, log where the encoder has left its target far behind
        share = rest * -np.expm1(-n)
        lead = -np.where(share < 0.5, np.log1p(-np.minimum(share, 0.5)), np.log(left)) / depth
        return x, rest + grown, grown, pull, lead, rest * gone / left / depth

    def slope(which, y, state):
        n = state[..., 0]
        _, spread, grown, pull, lead, by_n = terms(which, y, n)
        p = pull * np.expm1(lead)
        turn, steeper = depth + 1 - depth * p, p + pull * np.exp(lead) * by_n
        jacobian = grown * turn - spread * depth * steeper
        return (spread * turn - 1)[..., None], jacobian[..., None, None]

    def density(which, y, state):
        n = state[..., 0]
        return np.exp(n - m * log_expit(y) - log_unit[which, None]) * -np.expm1(-n)

    begin, end = (x - np.log(-np.expm1(x)) for x in (start, stop))
    length, step = np.maximum(end - begin, 0), np.full(len(start), 0.1 / (depth + 1))
    rest = np.zeros((len(start), 1))
    n, late, _ = _ode.collocate("the target network", slope, rest, begin, length, step, density)
    with np.errstate(over="ignore", under="ignore"):
        _, _, _, pull, lead, _ = terms(np.arange(len(start)), end[:, None], n)
        follows = (pull * np.expm1(lead))[:, 0] > 0.5
    return late, np.where(follows, rate - log_rate, 0.0)


def inversion_boundary(rho, rho_other, *, depth, epsilon, target_rate, fraction=0.5):
    """The ratio lam_other / lam at which two features tie, for lam = 1 and rate tau.

    tau times the critical time depends on tau / lam alone and increases with it, so a tie means
    that this number is the same for both features: one root in one variable.

    Parameters
    ----------
    rho, rho_other, epsilon, target_rate, fraction : floats
        As for `critical_time`.
    depth : int

    Returns
    -------
    float
        Above it the other feature is first, to a relative 1e-8. NaN if it lies outside
        (e^-14, e^14).
    """
    depth, positive = validate.depth(depth), validate.positive
    rho, rho_other = (
        validate.number(name, value, positive)
        for name, value in (("rho", rho), ("rho_other", rho_other))
    )
    epsilon = validate.number("epsilon", epsilon, positive)
    log_rate = np.log(validate.number("target_rate", target_rate, positive))
    fraction = validate.number("fraction", fraction, validate.open_unit)

    def excess(log_ratios):
        """By how much the logarithm of tau times the other's time exceeds the first one's."""
        log_rates = log_rate - np.append(0.0, log_ratios)  # the first is at ratio 1
        which = np.append(rho, np.full(len(log_ratios), rho_other))
        lam, size, share = (np.full(which.shape, x) for x in (1.0, epsilon, fraction))
        count = log_rates + _times(lam, which, depth, size, log_rates, share, None)[-1]
        return count[1:] - count[0]

    # all ratios at once, for one of them takes as long
    coarse = np.arange(-14.0, 15.0)
    above = excess(coarse) > 0
    if above.all() or not above.any():
        return np.nan
    # a little beyond both ends, which rounding may put on the other side of the tie
    fine = coarse[above].max() + np.linspace(-0.1, 1.1, 65)
    found = excess(fine)
    last = np.flatnonzero(found > 0).max()
    near = slice(last - 3, last + 5)
    return float(np.exp(krogh_interpolate(found[near], fine[near], 0.0)))


def fast_delay(rho, *, depth, epsilon, target_rate, fraction=0.5):
    """How much later than JEPA's the critical time is to first order in 1/tau.

    ``(L^2 / tau) (logit fraction^(1/L) - logit (gain / rho))``, gain = epsilon^(1/L): it does not
    depend on lam, and is longer for larger rho.

    Parameters
    ----------
    rho, epsilon, target_rate, fraction : array_like
        epsilon < rho^L; broadcast.
    depth : int

    Returns
    -------
    ndarray or float64
        In the paper's clock.
    """
    depth = validate.depth(depth)
    rho, epsilon, rate, fraction = validate.broadcast(
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
        target_rate=validate.positive("target_rate", target_rate),
        fraction=validate.open_unit("fraction", fraction),
    )
    start = _log_start(JEPA, epsilon, rho, depth)
    away = start - np.log(-np.expm1(start))
    goal = np.log(fraction) / depth
    with np.errstate(over="ignore", under="ignore"):
        delay = (goal - np.log(-np.expm1(goal)) - away) / rate * depth**2
    allowed = "must be large enough for the delay to fit in float64"
    validate.where("target_rate", rate, np.isfinite(delay), allowed)
    return delay[()]


def slow_trajectory(t, rho, *, depth, epsilon, target_rate):
    """Sizes w, w_target in the limit tau -> 0, t ~ 1/tau, in closed form; lam has dropped out.

    w = rho^L y^(L^2), w_target = (rho y^(L + 1))^L with 1 - y = (1 - y_0) exp(-tau t / (L^2 + L)),
    y_0 = (gain / rho)^(1/(L + 1)).

    Parameters
    ----------
    t, rho, epsilon, target_rate : array_like
        t >= 0 in the paper's clock; broadcast.
    depth : int

    Returns
    -------
    w, w_target : ndarrays or float64
    """
    depth = validate.depth(depth)
    t, rho, rate = (
        validate.non_negative("t", t),
        validate.positive("rho", rho),
        validate.positive("target_rate", target_rate),
    )
    start = _log_slow_start(rho, depth, epsilon)
    t, rho, rate, start = validate.broadcast(t=t, rho=rho, target_rate=rate, epsilon=start)
    with np.errstate(over="ignore", under="ignore"):
        passed = rate / (depth * (depth + 1)) * t
        left = -np.expm1(start) * np.exp(-passed)
        # y as a sum of positive terms where it is small
        log_y = np.where(
            left < 0.5,
            np.log1p(-np.minimum(left, 0.5)),
            np.log(np.exp(start - passed) - np.expm1(-passed)),
        )
    log_size = depth * np.log(rho)
    size, target = (_size_of(log_size + depth * n * log_y, "rho", rho) for n in (depth, depth + 1))
    return size, target


def slow_critical_time(rho, *, depth, epsilon, target_rate, fraction=0.5):
    """When `slow_trajectory` reaches `fraction` of rho^L: later for larger rho.

    Parameters
    ----------
    rho, epsilon, target_rate, fraction : array_like
        Broadcast.
    depth : int

    Returns
    -------
    ndarray or float64
        In the paper's clock; negative where the feature is beyond it from the start.
    """
    depth = validate.depth(depth)
    rho, rate = validate.positive("rho", rho), validate.positive("target_rate", target_rate)
    fraction = validate.open_unit("fraction", fraction)
    y, start = np.log(fraction) / depth**2, _log_slow_start(rho, depth, epsilon)
    # log of (1 - y_0) / (1 - y), also where both are nearly 1
    away = [np.where(x < -1, np.log1p(-np.exp(x)), np.log(-np.expm1(x))) for x in (start, y)]
    with np.errstate(over="ignore", under="ignore"):
        time = (away[0] - away[1]) / rate * (depth * (depth + 1))
    allowed = "must be large enough for the time to fit in float64"
    validate.where("target_rate", np.broadcast_to(rate, time.shape), np.isfinite(time), allowed)
    return time[()]


def _log_slow_start(rho, depth, epsilon):
    """log y_0, y_0 = (gain / rho)^(1/(L + 1)); ValueError unless below 0."""
    epsilon = validate.positive("epsilon", epsilon)
    epsilon, rho = validate.broadcast(epsilon=epsilon, rho=rho)
    return _log_start(JEPA, epsilon, rho, depth) / (depth + 1)


def behind_teacher(lam, rho, teacher):
    """The (lam, rho) at which MAE's equation (8) is that of a student of a frozen teacher.

    ``dw/dt = lam w_T w^(2 - 1/L) - (lam / rho) w^3`` with the teacher's sizes w_T.

    Parameters
    ----------
    lam, rho, teacher : array_like
        > 0; broadcast.

    Returns
    -------
    lam_student, rho_student : ndarrays or float64
    """
    lam, rho, teacher = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        teacher=validate.positive("teacher", teacher),
    )
    with np.errstate(over="ignore", under="ignore"):
        student = lam * teacher, rho * teacher
    for product in student:
        validate.where("teacher", teacher, np.isfinite(product), SIZE_FITS)
    return tuple(values[()] for values in student)


def generation_size(rho, *, depth, generation):
    """Final sizes after repeated distillation: each generation is the next one's frozen teacher.

    Generation 0 is the identity, generation 1 is MAE, generation infinity has JEPA's sizes:
    ``rho^(L (1 - (L / (L + 1))^generation))``.

    Parameters
    ----------
    rho : array_like
        > 0.
    depth : int
    generation : array_like
        >= 0, broadcasts against rho; infinity is allowed.

    Returns
    -------
    ndarray or float64
    """
    depth, rho = validate.depth(depth), validate.positive("rho", rho)
    generation = validate.array("generation", generation)
    validate.where("generation", generation, generation >= 0, "must be non-negative")
    rho, generation = validate.broadcast(rho=rho, generation=generation)
    share = -np.expm1(generation * -np.log1p(1 / depth))
    with np.errstate(over="ignore", under="ignore"):
        size = rho ** (depth * share)
    return validate.where("rho", size, np.isfinite(size), SIZE_FITS)[()]
