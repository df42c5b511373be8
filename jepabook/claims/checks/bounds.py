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


def judge(interval, bounds):
    """What an interval (mean, low, high) says of bounds that were told before.

    Returns
    -------
    bool or None
        True if it lies within them, False if all of it lies without, None, undecided, if it holds
        values of both kinds or is not a number.
    """
    _, low, high = interval
    if not (np.isfinite(low) and np.isfinite(high)):
        return None
    if bounds[0] <= low and high <= bounds[1]:
        return True
    return False if high < bounds[0] or bounds[1] < low else None
