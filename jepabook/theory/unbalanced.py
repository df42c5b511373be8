"""Aligned features whose layers start at different scales (ours)."""

import numpy as np
from scipy.optimize import brentq

from jepabook._support import validate
from jepabook.theory import _ode


def unbalanced_sizes(objective, lam, rho, scales, times):
    """Sizes of aligned features whose layers are not balanced: L + 1 equations per feature.

    Alignment alone decouples the features. With P the product of all scales of a feature and
    T = P / scales[-1] (JEPA) or 1 (MAE), layer a's moves by (P / scales[a]) (lam T - sigma^2 P).

    Parameters
    ----------
    objective : Objective
    lam, rho : arrays (d,)
        lam of either sign; rho of the same.
    scales : array (L + 1, d)
        Singular values at the start, as for `aligned_layers`; the decoder's may be negative.
    times : array (n,)
        Increasing from 0, in units of gradient flow.

    Returns
    -------
    ndarray (n, d)
        Right at times within a relative 1e-7 of those asked for where the half-time is below 1e8,
        of layers up to a factor of 50 apart and L <= 10 (2.3e-8 in 192 random cases, against
        collocation in logarithms); from equal scales down to 1e-3, with half-times beyond that,
        within 1e-6. Scales below 1e-12 are lost.
    """
    validate.objective(objective)
    scales = validate.shaped("scales", scales, ("L + 1", "d"))
    if len(scales) < 2:
        raise ValueError(f"scales must be (L + 1, d) with L > 0, got {scales.shape}")
    lam, rho = (
        validate.shaped(name, value, scales.shape[1:])
        for name, value in (("lam", lam), ("rho", rho))
    )
    validate.where("rho", rho, lam * rho > 0, "must not be zero, and of lam's sign")
    times, variance = validate.times("times", times), lam / rho
    validate.memory("times", f"shape {times.shape}", 24 * times.size * scales.size)

    def others(layers):
        """The product of all layers but one, for each."""
        return np.stack([np.delete(layers, a, axis=0).prod(0) for a in range(len(layers))])

    def velocity(_, flat):
        layers = flat.reshape(scales.shape)
        rest = others(layers)
        target = rest[-1] if objective.targets_encoder else 1.0
        return (rest * (lam * target - variance * layers.prod(0))).ravel()

    options = {"method": "LSODA", "t_eval": times, "rtol": 1e-10, "atol": 1e-12}
    path = _ode.solve("gradient flow of the scales", velocity, times, scales.ravel(), **options)
    return np.abs(path.y.T.reshape(len(times), *scales.shape)[:, :-1].prod(1))


def balanced_decoder(kappa, rho, *, depth):
    """MAE's final decoder scale v where all encoder scales have v^2 - omega^2 = kappa.

    The root of v (v^2 - kappa)^(L/2) = rho with v > 0 and v^2 > kappa; rho / v is the final size.

    Parameters
    ----------
    kappa : float
        Conserved imbalance, of either sign.
    rho : float
        > 0.
    depth : int

    Returns
    -------
    float
    """
    depth = validate.depth(depth)
    rho = validate.number("rho", rho, validate.positive)
    kappa = validate.number("kappa", kappa, validate.finite)
    low = np.sqrt(max(kappa, 0.0))
    high = low + 1.01 * rho ** (1 / (depth + 1))
    return brentq(lambda v: v * max(v * v - kappa, 0.0) ** (depth / 2) - rho, low, high)
