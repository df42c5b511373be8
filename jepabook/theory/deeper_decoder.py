"""Aligned features under a decoder of M layers, where the paper has one (ours)."""

import numpy as np

from jepabook._support import validate
from jepabook.theory import clock
from jepabook.theory.dynamics import SIZE_FITS


def slowdown(objective, *, depth, decoder_depth):
    """The exponent m of `Objective.slowdown` for a decoder of M aligned layers.

    (2L + M - 2) / M for JEPA and (L + M - 2) / (L + M) for MAE.
    """
    power = _power(objective, depth, decoder_depth)
    return ((objective.base_exponent - 1) * depth + decoder_depth - 2) / power


def fixed_point(objective, rho, *, depth, decoder_depth):
    """Final size with a decoder of M aligned layers: rho^(L/M) (JEPA), rho^(L/(L+M)) (MAE)."""
    rho = validate.positive("rho", rho)
    with np.errstate(over="ignore", under="ignore"):
        size = rho ** (depth / _power(objective, depth, decoder_depth))
    return validate.where("rho", size, np.isfinite(size), SIZE_FITS)


def critical_time(objective, lam, rho, *, depth, decoder_depth, gain, fraction=0.5):
    """When a feature reaches a fraction of its final size, with a decoder of M aligned layers.

    Parameters
    ----------
    objective : Objective
    lam, rho, gain : array_like
        gain is the scale of every layer at the start, below the final one; broadcast.
    depth, decoder_depth : int
    fraction : float

    Returns
    -------
    ndarray
        In units of gradient flow: L times this is `critical_time.exact` where M = 1.
    """
    m, power = (
        slowdown(objective, depth=depth, decoder_depth=decoder_depth),
        _power(objective, depth, decoder_depth),
    )
    lam, rho, gain, fraction = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        gain=validate.positive("gain", gain),
        fraction=validate.open_unit("fraction", fraction),
    )
    start = power * np.log(gain) - np.log(rho)
    validate.where("gain", gain, start < 0, "must be below the end")
    stop = power / depth * np.log(fraction)
    # lam and rho^m may leave float64 where their quotient does not
    log_scale = -m * np.log(rho) - np.log(power) - np.log(lam)
    time = clock._difference(m, start, stop, stop - start, log_scale)
    allowed = "must be large enough for the time to fit in float64"
    return validate.where("gain", time, np.isfinite(time), allowed)


def _power(objective, depth, decoder_depth):
    """The power of a layer's final scale that is rho: M for JEPA, L + M for MAE."""
    validate.objective(objective)
    depth = validate.depth(depth)
    return (3 - objective.base_exponent) * depth + validate.layers("decoder_depth", decoder_depth)
