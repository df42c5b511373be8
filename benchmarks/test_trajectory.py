"""A million values of w(t) against SciPy's integrators, in the same run.

1000 features with lam and rho in opposite order (0.5 ... 1.5), L = 5, epsilon = 1e-2 of the fixed
point; 1000 times for each feature, evenly spaced up to its own critical time at p = 0.99, so that
no integrator wastes steps on a feature that has finished.
"""

import time

import mpmath
import numpy as np
import pytest
from mpmath import mpf
from scipy.integrate import solve_ivp

from jepabook import JEPA, MAE, critical_time, dynamics
from tests import references

FEATURES, TIMES, DEPTH, SUBSET, RTOL = 1000, 1000, 5, 100, 1e-10
LEAST_RATIO = 100


def problem(objective):
    lam = np.linspace(0.5, 1.5, FEATURES)
    rho = lam[::-1].copy()
    epsilon = 1e-2 * dynamics.fixed_point(objective, rho, depth=DEPTH)
    last = critical_time.exact(objective, lam, rho, depth=DEPTH, epsilon=epsilon, fraction=0.99)
    return lam, rho, epsilon, last[:, None] * np.linspace(0, 1, TIMES)


def one_by_one(objective, method, features, plain_floats=False):
    """w for some features, one `solve_ivp` call each: what most people would write.

    plain_floats: the right-hand side in Python floats instead of arrays of length 1, which only
    somebody who has profiled it would write.
    """
    lam, rho, epsilon, t = problem(objective)
    q = objective.growth_exponent(depth=DEPTH)
    w = np.empty((len(features), TIMES))
    for k, i in enumerate(features):
        a, b = float(lam[i]), float(lam[i] / rho[i])
        if plain_floats:

            def velocity(_, w, a=a, b=b):
                size = float(w[0])
                return (a * size**q - b * size**3,)
        else:

            def velocity(_, w, a=a, b=b):
                return a * w**q - b * w**3

        solution = solve_ivp(
            velocity,
            (0, t[i, -1]),
            [epsilon[i]],
            method=method,
            t_eval=t[i],
            rtol=RTOL,
            atol=RTOL * epsilon[i],
        )
        w[k] = solution.y[0]
    return w


def all_at_once(objective):
    """w for all features in one DOP853 call, each in the unit of its own last time."""
    lam, rho, epsilon, t = problem(objective)
    q, unit = objective.growth_exponent(depth=DEPTH), t[:, -1]
    a, b = lam * unit, lam / rho * unit
    solution = solve_ivp(
        lambda _, w: a * w**q - b * w**3,
        (0, 1),
        epsilon,
        method="DOP853",
        t_eval=np.linspace(0, 1, TIMES),
        rtol=RTOL,
        atol=RTOL * epsilon.min(),
    )
    return solution.y


def exact(objective, i, j, guess):
    """w(t[i, j]) at 50 digits: Newton's method on the reference's t(w)."""
    lam, rho, epsilon, t = problem(objective)
    name, args = objective.name, (float(lam[i]), float(rho[i]), DEPTH)
    with references.digits(100):
        w = mpf(float(guess))
        for _ in range(20):
            late = references.time(name, w, *args, float(epsilon[i])) - mpf(float(t[i, j]))
            step = late * references.velocity(name, w, *args)
            w -= step
            if abs(step) < mpf(10) ** -55 * w:
                return w
    raise ArithmeticError("Newton's method did not converge")


def timed(function, *args, **kwargs):
    start = time.perf_counter()
    result = function(*args, **kwargs)
    return result, time.perf_counter() - start


@pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
def test_trajectory_is_100_times_faster_than_one_integration_per_feature_and_more_accurate(
    objective, benchmark, show
):
    lam, rho, epsilon, t = problem(objective)
    args = objective, t, lam[:, None], rho[:, None]
    known = {"depth": DEPTH, "epsilon": epsilon[:, None]}
    ours = benchmark.pedantic(
        dynamics.trajectory, args=args, kwargs=known, rounds=15, iterations=1, warmup_rounds=2
    )
    seconds = benchmark.stats.stats.median

    features = np.arange(0, FEATURES, FEATURES // SUBSET)
    scale = FEATURES / SUBSET
    rivals = {}
    for method in ("LSODA", "DOP853"):
        w, took = timed(one_by_one, objective, method, features)
        rivals[f"{method}, one call a feature"] = took * scale, w
        w, took = timed(one_by_one, objective, method, features, plain_floats=True)
        rivals[f"{method}, one call a feature, in Python floats"] = took * scale, w
    w, took = timed(all_at_once, objective)
    rivals["DOP853, one call for all features"] = took, w[features]

    points = [(k, j) for k in range(3, SUBSET, 12) for j in (1, 300, 600, 900, 980, 999)]
    right = {(k, j): exact(objective, features[k], j, ours[features[k], j]) for k, j in points}

    def worst(w):
        with mpmath.workdps(50):
            return max(float(abs(mpf(float(w[k, j])) / right[k, j] - 1)) for k, j in points)

    our_error = worst(ours[features])
    lines = [
        f"{objective}: {FEATURES} features x {TIMES} times",
        f"{'':46} {'seconds':>9} {'ratio':>7} {'worst error':>12}",
        f"{'jepabook.theory.dynamics.trajectory':46} {seconds:9.4f} {1:7.0f} {our_error:12.1e}",
    ]
    errors = {}
    for name, (took, w) in rivals.items():
        errors[name] = worst(w)
        benchmark.extra_info[name] = took / seconds
        lines.append(f"{name:46} {took:9.3f} {took / seconds:7.0f} {errors[name]:12.1e}")
    show(*lines, f"(one call a feature: {SUBSET} features timed, scaled to {FEATURES})")
    for method in ("LSODA", "DOP853"):
        assert rivals[f"{method}, one call a feature"][0] >= LEAST_RATIO * seconds
    assert all(our_error < error for error in errors.values())
