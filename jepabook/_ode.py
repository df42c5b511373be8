"""SciPy's integrators of ordinary differential equations, where giving up is an error."""

from scipy.integrate import solve_ivp


def solve(what, slope, times, start, **options):
    """`solve_ivp` of slope(t, state) from `start` (n,) at time 0 to times[-1]; its result.

    RuntimeError, with `what` was to be integrated, where it gives up.
    """
    solution = solve_ivp(slope, (0.0, times[-1]), start, **options)
    if not solution.success:
        raise RuntimeError(f"{what} was not integrated: {solution.message}")
    return solution
