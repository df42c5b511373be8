"""Integration of ordinary differential equations: SciPy's, where giving up is an error, and ours.

Ours, `collocate`, follows many small stiff systems at once, each with steps of its own, by the
collocation method Radau IIA with eight stages (order 15; Hairer and Wanner, volume II, IV.5). Its
solution is a polynomial on every step, so its error is read off the polynomial's last coefficients.
"""

import numpy as np
from numpy.polynomial import legendre
from scipy.integrate import solve_ivp
from scipy.special import roots_jacobi

_STAGES = 8
_TOLERANCE = 1e-9  # of the last coefficients; at the ends of the steps far less is left
_GROWTH = 3.0  # of a step, at most; so far its polynomial can be continued
_MOST_STEPS = 10_000
_AT_ONCE = 4096  # systems, for the sake of memory


def solve(what, slope, times, start, **options):
    """`solve_ivp` of slope(t, state) from `start` (n,) at time 0 to times[-1]; its result.

    RuntimeError, with `what` was to be integrated, where it gives up.
    """
    solution = solve_ivp(slope, (0.0, times[-1]), start, **options)
    if not solution.success:
        raise RuntimeError(f"{what} was not integrated: {solution.message}")
    return solution


def _tables():
    """Nodes on (0, 1], integrals of the stages up to each, and two inverse Vandermonde matrices.

    These give Legendre coefficients from the values at the nodes, and from those and the start.
    """
    nodes = np.append(np.sort(roots_jacobi(_STAGES - 1, 1.0, 0.0)[0]), 1.0)
    basis = legendre.legvander(nodes, _STAGES - 1)
    integrals = [legendre.legint(row, lbnd=-1) for row in np.eye(_STAGES)]
    integrals = np.stack([legendre.legval(nodes, row) for row in integrals], axis=1)
    weights = np.linalg.solve(basis.T, integrals.T).T / 2
    with_start = legendre.legvander(np.append(-1.0, nodes), _STAGES)
    return (nodes + 1) / 2, weights, np.linalg.inv(basis), np.linalg.inv(with_start)


_NODES, _WEIGHTS, _COEFFICIENTS, _WITH_START = _tables()


def collocate(what, slope, start, first, length, step, density=None, at=(), mass=None):
    """Follow K independent systems of n equations d(My)/ds, each over a stretch of its own.

    Parameters
    ----------
    what : str
        What is integrated, for the error.
    slope : callable
        slope(which, s, y), of systems `which` (k,), at s (k, m), states y (k, m, n), gives the
        derivatives (k, m, n) of My and their Jacobians (k, m, n, n) by y.
    start : array (K, n)
    first, length, step : arrays (K,)
        Where s starts, how far it goes, >= 0, and how far to try at first.
    density : callable, optional
        density(which, s, y), (k, m): what to integrate along, relative to 1.
    at : array (m,)
        Increasing; where to report the states, for s beyond the stretch those at its ends.
    mass : array (n, n), optional
        M; default: the identity. With another one y may be what needs its digits.

    Returns
    -------
    end : ndarray (K, n)
    integral : ndarray (K,)
        Of the density.
    reported : ndarray (K, m, n)

    Raises
    ------
    RuntimeError
        Where a system needs more than 10 000 steps.
    """
    here, left = np.array(first, dtype=float), np.array(length, dtype=float)
    y, integral = np.array(start, dtype=float), np.zeros(len(start))
    at, reported = np.asarray(at, dtype=float), np.repeat(y[:, None], len(at), axis=1)
    mass = np.eye(y.shape[1]) if mass is None else np.asarray(mass, dtype=float)
    step, tried = np.minimum(step, left), np.zeros(len(y), dtype=int)
    before, curve = step.copy(), np.zeros((*y.shape, _STAGES + 1))
    curve[..., 0] = y
    waiting = np.flatnonzero(left > 0)
    while waiting.size:
        which = waiting[:_AT_ONCE]
        tried[which] += 1
        if tried[which].max() > _MOST_STEPS:
            raise RuntimeError(f"{what} was not integrated in {_MOST_STEPS} steps")
        h = step[which]
        s = here[which, None] + _NODES * h[:, None]
        with np.errstate(all="ignore"):
            ahead = legendre.legvander(1 + 2 * _NODES * (h / before[which])[:, None], _STAGES)
            stages, solved = _stages(
                slope, mass, which, s, h, y[which], ahead @ curve[which].swapaxes(-1, -2)
            )
            path = np.concatenate([y[which, None], stages], axis=1)
            bends = np.einsum("ij,kjn->kni", _WITH_START, path)
            size = np.maximum(1.0, np.abs(path).max(1) / 1000)
            error = (np.abs(bends[..., -2:]).max(-1) / size).max(-1)
            if density is not None:
                share = h[:, None] * density(which, s, stages) @ _COEFFICIENTS.T
                error = np.maximum(error, np.abs(share[:, -2:]).max(1) / (1 + integral[which]))
            error = np.where(solved & np.isfinite(error), error, np.inf) / _TOLERANCE
            growth = 0.8 * np.maximum(error, 1e-30) ** (-1 / (_STAGES - 1))
        good = error <= 1
        taken, moved = which[good], h[good]
        end = here[taken] + moved
        inside = np.searchsorted(at, [here[taken], end], side="right")
        report = zip(taken, here[taken], bends[good], *inside, strict=True)
        for k, begin, bend, first_row, last_row in report:
            if last_row > first_row:
                rows = slice(first_row, last_row)
                place = 2 * (at[rows] - begin) / step[k] - 1
                reported[k, rows] = legendre.legval(place, bend.T).T
        y[taken], curve[taken], before[taken] = stages[good, -1], bends[good], moved
        if density is not None:
            integral[taken] += share[good, 0]
        here[taken] = end
        left[taken] -= moved
        # what rounding leaves is no stretch
        left[taken] *= left[taken] > 1e-15 * np.abs(end)
        for k, last_row in zip(taken, inside[1], strict=True):
            if not left[k]:
                reported[k, last_row:] = y[k]
        step[which] = np.minimum(h * np.clip(growth, 0.2, _GROWTH), left[which])
        waiting = np.concatenate([which[left[which] > 0], waiting[_AT_ONCE:]])
    return y, integral, reported


def _stages(slope, mass, which, s, h, y, guess):
    """The states (k, m, n) at a step's nodes, by Newton's method, and whether it converged."""
    count, size = len(which), _STAGES * y.shape[1]
    solved, every = np.zeros(count, dtype=bool), np.kron(np.eye(_STAGES), mass)
    for _ in range(12):
        rate, jacobian = slope(which, s, guess)
        miss = (guess - y[:, None]) @ mass.T - h[:, None, None] * (_WEIGHTS @ rate)
        matrix = np.einsum("k,ij,kjab->kiajb", h, _WEIGHTS, jacobian).reshape(count, size, size)
        lost = ~(np.isfinite(matrix).all((1, 2)) & np.isfinite(miss).all((1, 2)))
        matrix[lost], miss[lost] = 0.0, 0.0
        change = _solved(every - matrix, miss.reshape(count, size, 1))
        guess = guess - change.reshape(guess.shape)
        allowed = 1e-10 * (1 + np.abs(guess).max((1, 2)))
        solved = (np.abs(change).max((1, 2)) < allowed) & ~lost
        if np.all(solved | lost):
            break
    return guess, solved


def _solved(matrices, right):
    """Solutions of K systems (K, n, n), (K, n, 1); NaN where a matrix is singular."""
    try:
        return np.linalg.solve(matrices, right)
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.full_like(right, np.nan)
        pairs = zip(matrices[:, None], right[:, None], strict=True)
        return np.concatenate([_solved(*pair) for pair in pairs])
