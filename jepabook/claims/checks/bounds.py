"""Bounds between which everything that was measured lies: a row tells the narrowest, to a step."""

import numpy as np


def are_narrowest(bounds, values, step):
    """Whether these are the multiples of a step that enclose the values the most closely."""
    low, high = np.min(values) / step, np.max(values) / step
    slack = 1e-6  # for values that are multiples themselves
    narrowest = np.floor(low + slack), np.ceil(high - slack)
    return np.allclose(np.array(bounds) / step, narrowest, rtol=0, atol=slack)


def tell(pairs, step):
    """Whether bounds are the narrowest of all values that are told to lie between them.

    Parameters
    ----------
    pairs : iterable of ((float, float) or None, float)
        Bounds and a value; None where a value is not told.
    step : float
    """
    groups = {}
    for bounds, value in pairs:
        groups.setdefault(bounds, []).append(value)
    groups.pop(None, None)
    return all(are_narrowest(bounds, values, step) for bounds, values in groups.items())
