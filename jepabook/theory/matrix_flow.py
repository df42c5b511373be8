"""Gradient flow of the whole network at small width: eq. (6) for the losses of eq. (5), in NumPy.

The weights of a network are one array of shape (L + 1, d, d): the encoder's layers W_1 ... W_L,
then the decoder V = W_{L+1}.
"""

from functools import reduce

import numpy as np
from scipy.stats import ortho_group

from jepabook._support import validate
from jepabook.theory import _layers, _ode


def product(layers):
    """The right-to-left product W_n ... W_1 of an array of layers (n, ..., d, d)."""
    layers = _entries("layers", layers)
    if layers.ndim < 3 or layers.shape[-1] != layers.shape[-2]:
        raise ValueError(f"layers must have shape (n, ..., d, d), got {layers.shape}")
    return reduce(lambda right, left: left @ right, layers, np.eye(layers.shape[-1]))


def encoder(weights):
    """The encoder W_L ... W_1 of eq. (3), shape (..., d, d), of weights (L + 1, ..., d, d)."""
    return product(_weights(weights)[:-1])


def feature_sizes(weights):
    """The norms |W e_i| of the encoder's columns, eq. (63), shape (..., d)."""
    return np.linalg.norm(encoder(weights), axis=-2)


def gradient(objective, weights, sigma_xx, sigma_yx):
    """The gradient of eq. (5) by all weights, with the target's gradient stopped.

    By layer a it is (W_n ... W_{a+1})' R (W_{a-1} ... W_1)', eqs. (20), (21), (24), (25), with
    the residual R = V W Sigma_xx - T Sigma_yx and T = W (JEPA) or I (MAE).

    Parameters
    ----------
    objective : Objective
    weights : array (L + 1, ..., d, d)
    sigma_xx, sigma_yx : arrays (d, d)
        E[x x'] and E[y x'].

    All of numbers, or arrays of objects that can be added and multiplied, such as symbols.

    Returns
    -------
    ndarray (L + 1, ..., d, d)
    """
    validate.objective(objective)
    return _layers.gradient(objective, *_fitting(weights, sigma_xx, sigma_yx))


def _weights(weights):
    """Weights (L + 1, ..., d, d) of a network, L >= 1, as a float64 array; or ValueError."""
    weights = _entries("weights", weights)
    shape = weights.shape
    if weights.ndim < 3 or len(weights) < 2 or shape[-1] != shape[-2] or not weights.size:
        raise ValueError(f"weights must have shape (L + 1, ..., d, d) with L > 0, got {shape}")
    return weights


def _fitting(weights, sigma_xx, sigma_yx):
    """The three as arrays that fit each other, or ValueError."""
    weights = _weights(weights)
    shape = weights.shape[-1:] * 2
    known = (("sigma_xx", sigma_xx), ("sigma_yx", sigma_yx))
    return weights, *(validate.shaped(name, value, shape, _entries) for name, value in known)


def _entries(name, value):
    """`validate.finite`, but for arrays of objects: symbols, or exact numbers."""
    if type(value) is np.ndarray and value.dtype == object:
        return value
    return validate.finite(name, value)


def aligned_weights(objective, *, depth, width, epsilon, seed, signs=1.0):
    """Initial weights that obey Assumption 3.1.

    W_a = epsilon^(1/L) U_a with U_a drawn uniformly from the orthogonal group, and
    V = epsilon^(1/L) D (JEPA) or epsilon^(1/L) D (U_L ... U_1)' (MAE) with D = diag(signs).

    Parameters
    ----------
    objective : Objective
    depth, width : int
        L >= 1 and d >= 2.
    epsilon : float
        Initial size of every feature, > 0.
    seed : int or NumPy Generator
    signs : float or array (d,)
        Entries of D, each 1 or -1. The assumption as printed allows any; the theorem needs +1.

    Returns
    -------
    ndarray (L + 1, d, d)
    """
    validate.objective(objective)
    depth = validate.depth(depth)
    width = validate.width(depth, width)
    epsilon, signs = validate.positive("epsilon", epsilon), validate.array("signs", signs)
    validate.where("signs", signs, np.abs(signs) == 1, "must be 1 or -1")
    if epsilon.ndim or signs.shape not in ((), (width,)):
        shapes = f"epsilon {epsilon.shape}, signs {signs.shape}"
        raise ValueError(f"epsilon must be one number and signs one or {width}, got {shapes}")
    orthogonal = ortho_group.rvs(width, size=depth, random_state=validate.generator(seed))
    orthogonal = orthogonal.reshape(depth, width, width)
    decoder = np.diag(np.broadcast_to(signs, width))
    if not objective.targets_encoder:
        decoder = decoder @ product(orthogonal).T
    return epsilon ** (1 / depth) * np.concatenate([orthogonal, decoder[None]])


def integrate(objective, weights, sigma_xx, sigma_yx, times, rtol=1e-12, atol=1e-14):
    """Gradient flow, eq. (6), from `weights` at time 0, by SciPy's DOP853.

    Parameters
    ----------
    objective : Objective
    weights : array (L + 1, d, d)
    sigma_xx, sigma_yx : arrays (d, d)
    times : array (n,)
        Increasing, >= 0, in units of gradient flow: the scalar equations (7), (8) run L times
        faster (see eq. (64)), so t there is L * times here.
    rtol, atol : float
        Of DOP853.

    Returns
    -------
    ndarray (n, L + 1, d, d)
        From an aligned start of epsilon 0.1, L <= 2, the sizes are those of `dynamics.trajectory`
        to a relative 3e-12, at rtol = 1e-8 to 2e-8 (measured, up to 20 half-times). Where rounding
        grows nothing can be promised, at no tolerance: features of larger rho (JEPA) or lam rho
        (MAE) that are learned long after others, see chapter 6, and saddles. At L = 1 and
        epsilon = 1e-3 JEPA's third feature came out 600 times too large on the way; all ended at
        their fixed points. The balance of the layers, which gradient flow conserves, kept to a
        tenth of rtol.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    RuntimeError
        If the integrator gives up.
    """
    validate.objective(objective)
    weights, sigma_xx, sigma_yx = _fitting(weights, sigma_xx, sigma_yx)
    rtol, atol = validate.tolerances(rtol, atol)
    times = np.atleast_1d(validate.non_negative("times", times))
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"times must be a sequence of at least one, got shape {times.shape}")
    validate.where("times", times, np.append(True, np.diff(times) > 0), "must increase")
    validate.memory("times", f"shape {times.shape}", 16 * times.size * weights.size)
    if times[-1] == 0:
        return weights[None]

    def flow(_, flat):
        return -_layers.gradient(objective, flat.reshape(weights.shape), sigma_xx, sigma_yx).ravel()

    options = {"method": "DOP853", "t_eval": times, "rtol": rtol, "atol": atol}
    solution = _ode.solve("gradient flow", flow, times, weights.ravel(), **options)
    return solution.y.T.reshape(len(times), *weights.shape)
