"""The positive terms of the Lerch transcendent. Nothing here checks its input."""

import numpy as np
from scipy.special import digamma

_TERMS = 56  # 2**-56 is below half a unit in the last place, for both series below


def positive_tail(z, gap, b):
    """Phi(z, 1, b) for b in (0, 2], given both z and gap = 1 - z so that either may be tiny.

    Arrays that broadcast; no checks. Relative error a few 1e-16.
    """
    z, gap, b = np.broadcast_arrays(z, gap, b)
    result = np.empty(z.shape)
    small = z <= 0.5
    result[small] = _series_at_zero(z[small], b[small])
    result[~small] = _series_at_one(gap[~small], b[~small])
    return result


def _series_at_zero(z, b):
    total = np.zeros(z.shape)
    for n in reversed(range(_TERMS)):
        total = total * z + 1 / (n + b)
    return total


def _series_at_one(gap, b):
    # z^-b (-log gap) + sum_k (b)_k / k! d_k gap^k with d_k = psi(k + 1) - psi(k + b); the
    # recurrence of d_k is run downwards, where it adds numbers of one sign.
    d = digamma(_TERMS + 1.0) - digamma(_TERMS + b)
    total = d
    for k in reversed(range(_TERMS)):
        d = d + (1 - b) / ((k + b) * (k + 1))
        total = d + gap * ((k + b) / (k + 1)) * total
    return total - np.log(gap) * np.exp(-b * np.log1p(-gap))
