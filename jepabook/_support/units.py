"""Numbers in units, powers of two, in which their squares and sums stay inside float64."""

import numpy as np


def in_units(array, axis=None):
    """`array` with its largest entry in [1/2, 1), and the unit's exponent.

    The largest finite one along `axis`, which the exponents keep; of all axes by default.
    """
    known = np.isfinite(array)
    _, unit = np.frexp(np.abs(array).max(axis=axis, keepdims=True, initial=0.0, where=known))
    return np.ldexp(array, -unit), unit


def norm(array, axis):
    """The Euclidean norm along an axis, which goes; inf where it overflows."""
    scaled, unit = in_units(array, axis)
    with np.errstate(over="ignore"):
        return np.ldexp(np.linalg.norm(scaled, axis=axis), unit.squeeze(axis))


def unit_vectors(array, axis):
    """`array` over its norm along an axis, which is nowhere zero."""
    scaled, _ = in_units(array, axis)
    return scaled / np.linalg.norm(scaled, axis=axis, keepdims=True)
