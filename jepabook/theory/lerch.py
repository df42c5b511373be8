"""The Lerch transcendent Phi(z, s, a) of eq. (95) at s = 1, for real z in [0, 1)."""

import numpy as np

from jepabook._support import validate
from jepabook.theory._tail import positive_tail


def lerch_phi(z, a):
    """Phi(z, 1, a) = sum over n >= 0 of z^n / (n + a).

    Parameters
    ----------
    z : array_like
        In [0, 1).
    a : array_like
        At most 1, above -20000 (a power is summed for every unit), not 0, -1, -2, ... (poles).
        Broadcasts against z.

    Returns
    -------
    ndarray or float64
        Relative error below 1e-13, measured against sum of |z^n / (n + a)|: for a < 0 the first
        terms are negative, Phi has a zero in z, and there only the absolute error is small.

    Raises
    ------
    ValueError
        For z outside [0, 1), a > 1, a pole, NaN, or shapes that do not broadcast.

    Notes
    -----
    The ceil(-a) negative terms are summed as they stand; the rest is z^N Phi(z, 1, a + N) with
    a + N in (0, 1], where all terms are positive. For z > 1/2 that part comes from the expansion
    of 2F1(1, b; b + 1; z) about z = 1 (DLMF 15.8.10), again with positive terms only, so that
    nothing cancels as z -> 1.
    """
    z, a = validate.array("z", z), validate.array("a", a)
    z, a = validate.broadcast(z=z, a=a)
    validate.where("z", z, (z >= 0) & (z < 1), "must lie in [0, 1)")
    validate.where("a", a, (a <= 1) & np.isfinite(a), "must be finite and at most 1")
    validate.where("a", a, (a > 0) | (a != np.round(a)), "must not be 0, -1, -2, ... (a pole)")
    validate.where("a", a, a > -validate.MOST_TERMS, f"must be above -{validate.MOST_TERMS}")
    fits = np.abs(a) > 1 / np.finfo(float).max
    validate.where("a", a, fits, "must be so far from 0 that 1 / a fits in float64")
    negative = np.maximum(np.ceil(-a), 0).astype(np.int64)
    total, power = np.zeros(z.shape), np.ones(z.shape)
    for n in range(int(negative.max(initial=0))):
        active = n < negative
        total = np.where(active, total + power / np.where(active, a + n, 1.0), total)
        power = np.where(active, power * z, power)
    return (total + power * positive_tail(z, 1 - z, a + negative))[()]
