"""Choices that mathematics leaves open, made once, so that every machine makes them alike."""

import numpy as np

TIE = 1e-6  # of the largest entry: what comes as near to it as this counts as equal


def pointed(directions):
    """Columns (d, k), each with the sign that makes its largest entry positive.

    Of several largest, equal up to rounding as those of flat patterns are, the first decides.
    """
    sizes = np.abs(directions)
    first = (sizes >= (1 - TIE) * sizes.max(0)).argmax(0)
    return directions * np.where(directions[first, np.arange(directions.shape[1])] < 0, -1.0, 1.0)


def complement(unit):
    """Orthonormal columns (d, d - 1) orthogonal to a unit vector (d,).

    An SVD finds such columns, too, but any rotation of them would do for it. Here they are what
    the reflection that takes the first axis to `unit`, or to its opposite, makes of the others.
    """
    sign = 1.0 if unit[0] >= 0 else -1.0
    mirror = unit + sign * np.eye(len(unit))[0]
    return np.eye(len(unit))[:, 1:] - np.outer(mirror, mirror[1:]) / (1 + np.abs(unit[0]))
