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

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import logit

from jepabook import _ode, _validate
from jepabook.dynamics import fixed_point, log_start
from jepabook.objectives import JEPA

# of log omega and of the encoder's lead, log omega - log omega_target: what the integrator follows
_RTOL, _ATOL = 1e-10, 1e-12
_FASTEST = 1e10


def trajectory(t, lam, rho, depth, epsilon, target_rate, weight_decay=0.0, teacher=None):
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
        To a relative error of about 1e-8.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    """
    depth = _validate.depth(depth)
    t = _validate.times("t", t)
    lam, rho, epsilon, rate, decay, teacher = _validate.broadcast(
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        epsilon=_validate.positive("epsilon", epsilon),
        target_rate=_validate.non_negative("target_rate", target_rate),
        weight_decay=_validate.non_negative("weight_decay", weight_decay),
        teacher=_validate.positive("teacher", epsilon if teacher is None else teacher),
    )
    lead = (np.log(epsilon) - np.log(teacher)) / depth
    start = np.stack([(np.log(epsilon) / depth).ravel(), lead.ravel()])
    lam, cost, rate, decay = (a.ravel() for a in (lam, lam / rho, rate, decay))

    def terms(state):
        x, lead = state.reshape(start.shape)
        return lam * np.exp((2 * depth - 1) * x - depth * lead), cost * np.exp(2 * depth * x), lead

    def slope(_, state):
        growth, loss, lead = terms(state)
        change = growth - loss - decay
        return np.concatenate([change, change - rate * np.expm1(lead)])

    def jacobian(_, state):
        growth, loss, lead = terms(state)
        by_size, by_lead = (2 * depth - 1) * growth - 2 * depth * loss, -depth * growth
        rows = (by_size, by_lead), (by_size, by_lead - rate * np.exp(lead))
        return np.block([[np.diag(entry) for entry in row] for row in rows])

    options = {"t_eval": t / depth, "jac": jacobian}
    state = _integrate(slope, t / depth, start.ravel(), "Radau", **options).y
    x, lead = state.T.reshape(len(t), 2, *epsilon.shape).swapaxes(0, 1)
    return np.exp(depth * x), np.exp(depth * (x - lead))


def critical_time(lam, rho, depth, epsilon, target_rate, fraction=0.5, goal=None):
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
        In the paper's clock, to a relative error of about 1e-8.
    """
    depth = _validate.depth(depth)
    lam, rho = _validate.positive("lam", lam), _validate.positive("rho", rho)
    fraction = _validate.open_unit("fraction", fraction)
    target = fraction * fixed_point(JEPA, rho, depth) if goal is None else goal
    lam, rho, epsilon, rate, target = _validate.broadcast(
        lam=lam,
        rho=rho,
        epsilon=_validate.positive("epsilon", epsilon),
        target_rate=_validate.positive("target_rate", target_rate),
        goal=_validate.positive("goal", target),
    )
    _validate.where("goal", target, target < rho**depth, "must lie below rho^depth")
    _validate.where("epsilon", epsilon, epsilon < target, "must lie below the goal")
    start, stop = (np.log(size) / depth - np.log(rho) for size in (epsilon, target))
    speed = lam * rho ** (2 * depth - 1)
    times = [_universal_time(depth, *known) for known in np.broadcast(start, stop, rate / speed)]
    return (depth / speed * np.reshape(times, speed.shape))[()]


def _universal_time(depth, start, stop, rate):
    """T at which log u reaches `stop` from u = v = e^start.

    Integrated along a clock in which log u grows at the rate 1 under JEPA, so at most 1 here,
    however long the start takes.
    """
    unit = math.exp(-2 * depth * start)

    def slope(_, state):
        x, lead, _ = state
        gap = math.expm1(-x)
        pace = math.exp(-2 * depth * x) / gap  # dT per unit of that clock
        growth = math.expm1(-depth * lead - x) / gap
        pull = min(rate * pace, _FASTEST)  # a lead below 1e-10 does not show
        return [growth, growth - pull * math.expm1(lead), pace / unit]

    def reached(_, state):
        return state[0] - stop

    reached.terminal = True
    solution = _integrate(slope, (0.0, 1e300), [start, 0.0, 0.0], "LSODA", events=reached)
    return unit * solution.y_events[0][0, 2]


def _integrate(slope, times, start, method, **options):
    """`_ode.solve` by Radau or LSODA, which both follow slow and fast targets alike.

    LSODA is faster up to an event, but does not notice that it may take long steps where
    everything has come to rest.
    """
    options |= {"method": method, "rtol": _RTOL, "atol": _ATOL}
    return _ode.solve("the target network", slope, times, start, **options)


def inversion_boundary(rho, rho_other, depth, epsilon, target_rate, fraction=0.5, goal=None):
    """The ratio lam_other / lam at which two features tie, for lam = 1 and rate tau.

    tau times the critical time depends on tau / lam alone and increases with it, so a tie means
    that this number is the same for both features: one root in one variable.

    Parameters
    ----------
    rho, rho_other, epsilon, target_rate, fraction : floats
        As for `critical_time`.
    depth : int
    goal : float, optional
        One size for both features to reach, in place of a fraction of each one's final size.

    Returns
    -------
    float
        Above it the other feature is first. NaN if it lies outside (e^-14, e^14).
    """

    def count(log_rate, which):
        rate = np.exp(log_rate)
        return rate * critical_time(1.0, which, depth, epsilon, rate, fraction, goal)

    log_rate = np.log(_validate.number("target_rate", target_rate, _validate.positive))
    first = np.log(count(log_rate, rho))

    def excess(log_ratio):
        return np.log(count(log_rate - log_ratio, rho_other)) - first

    side = 1 if excess(0.0) > 0 else -1
    for step in range(14):
        if side * excess(side * (step + 1)) <= 0:
            return np.exp(brentq(excess, side * step, side * (step + 1), xtol=1e-9))
    return np.nan


def fast_delay(rho, depth, epsilon, target_rate, fraction=0.5):
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
    depth = _validate.depth(depth)
    rho, epsilon, rate, fraction = _validate.broadcast(
        rho=_validate.positive("rho", rho),
        epsilon=_validate.positive("epsilon", epsilon),
        target_rate=_validate.positive("target_rate", target_rate),
        fraction=_validate.open_unit("fraction", fraction),
    )
    start = log_start(JEPA, epsilon, rho, depth)
    away = start - np.log(-np.expm1(start))
    return (depth**2 / rate * (logit(fraction ** (1 / depth)) - away))[()]


def slow_trajectory(t, rho, depth, epsilon, target_rate):
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
    depth = _validate.depth(depth)
    t, rho, rate = (
        _validate.non_negative("t", t),
        _validate.positive("rho", rho),
        _validate.positive("target_rate", target_rate),
    )
    start = _slow_start(rho, depth, epsilon)
    y = 1 - (1 - start) * np.exp(-rate * t / (depth * (depth + 1)))
    size = rho**depth
    return (size * y ** (depth**2))[()], (size * y ** (depth * (depth + 1)))[()]


def slow_critical_time(rho, depth, epsilon, target_rate, fraction=0.5):
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
    depth = _validate.depth(depth)
    rho, rate = _validate.positive("rho", rho), _validate.positive("target_rate", target_rate)
    fraction = _validate.open_unit("fraction", fraction)
    left = (1 - _slow_start(rho, depth, epsilon)) / -np.expm1(np.log(fraction) / depth**2)
    return (depth * (depth + 1) / rate * np.log(left))[()]


def _slow_start(rho, depth, epsilon):
    """y_0 = (gain / rho)^(1/(L + 1)); ValueError unless below 1."""
    epsilon = _validate.positive("epsilon", epsilon)
    epsilon, rho = _validate.broadcast(epsilon=epsilon, rho=rho)
    return np.exp(log_start(JEPA, epsilon, rho, depth) / (depth + 1))


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
    lam, rho, teacher = _validate.broadcast(
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        teacher=_validate.positive("teacher", teacher),
    )
    return (lam * teacher)[()], (rho * teacher)[()]


def generation_size(rho, depth, generation):
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
    depth, rho = _validate.depth(depth), _validate.positive("rho", rho)
    generation = _validate.array("generation", generation)
    _validate.where("generation", generation, generation >= 0, "must be non-negative")
    rho, generation = _validate.broadcast(rho=rho, generation=generation)
    return (rho ** (depth * (1 - (depth / (depth + 1)) ** generation)))[()]
