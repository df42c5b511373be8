"""The jackknife: how sure a value is, from what it is without each group of rows."""

import numpy as np


def error(without):
    """Standard error of a value, from values (G, ...) without each of G groups."""
    without = np.asarray(without)
    count = len(without)
    return np.sqrt((count - 1) / count * ((without - without.mean(0)) ** 2).sum(0))
