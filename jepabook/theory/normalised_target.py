"""JEPA whose targets are normalised, each to one length, as LayerNorm does to a token (ours).

The target is N(W y) = scale W y / |W y|, its gradient stopped. The gradient of half the mean square
error depends on the target through E[N(W y) x'] alone, and for Gaussian views with mean zero that
is E[D W y x'], with D = E[N(u) u'] E[u u']^-1 of the code u = W y (Bussgang). D has the code's
eigenvectors, so aligned layers stay aligned, and feature i of variance s_i = sigma_i^2 w_i^2 in the
code moves as in JEPA with its push multiplied by a gain::

    domega_i/dtheta = omega_i^(2L) (D_i lam_i - sigma_i^2 omega_i)
    D_i = scale E[u_i^2 / |u|] / s_i

The gain is about scale / |u| for all where no feature dominates, and less for one that does. It is
large as long as the code is small. Where views vary alike, sigma_i^2 = lam_i / rho_i.
"""

import numpy as np

from jepabook._support import validate
from jepabook.theory import _ode

# E[f / |u|] is the integral of E[f exp(-s |u|^2)] s^(-1/2) over s; nodes in log s, exact to 1e-15
_LOG_NODES = np.arange(-80.0, 80.0, 0.5)


def gains(variances, scale=1.0):
    """What normalising a Gaussian code multiplies its directions by, for a linear predictor.

    Parameters
    ----------
    variances : array (..., d)
        > 0, of the code along its principal directions.
    scale : float
        Length of the normalised code: 1, or sqrt(d) where each coordinate gets variance 1.

    Returns
    -------
    ndarray (..., d)
        E[N(u) u'] E[u u']^-1, along those directions.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    """
    variances = np.atleast_1d(validate.positive("variances", variances))
    scale = validate.number("scale", scale, validate.positive)
    validate.memory("variances", f"shape {variances.shape}", 24 * len(_LOG_NODES) * variances.size)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        found = scale * _gains(variances)
    allowed = np.isfinite(found) & (found > 0)
    validate.where("variances", variances, allowed, "must leave gains within float64")
    return found


def _gains(variances):
    whole = variances.sum(-1, keepdims=True)
    spread = 1 + 2 * np.exp(_LOG_NODES)[:, None] * (variances / whole)[..., None, :]
    weight = np.exp((_LOG_NODES - np.log(spread).sum(-1)) / 2)
    return 0.5 * (weight[..., None] / spread).sum(-2) / np.sqrt(np.pi * whole)


def final_size(lam, rho, *, depth, scale=1.0):
    """The sizes (D_i rho_i)^L at which aligned features rest, all learned.

    Parameters
    ----------
    lam, rho : arrays (d,)
        > 0, all features of the code, for their gains depend on each other.
    depth : int
        Number L >= 1 of layers of the encoder.
    scale : float
        As for `gains`.

    Returns
    -------
    ndarray (d,)

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    """
    lam, rho, depth, scale = _features(lam, rho, depth, scale)
    gain = np.zeros(len(lam))  # its logarithm
    for _ in range(2000):
        size = np.exp(depth * (gain + np.log(rho)))
        found = np.log(scale * _gains(lam / rho * size**2))
        if np.max(abs(found - gain)) < 1e-13:
            break
        gain = (depth * gain + found) / (depth + 1)
    return np.exp(depth * (gain + np.log(rho)))


def trajectory(t, lam, rho, *, depth, epsilon, scale=1.0):
    """Sizes w(t) of aligned features, and their gains, by integration.

    Parameters
    ----------
    t : array (n,)
        Increasing, starting at 0, in the paper's clock t = L theta.
    lam, rho : arrays (d,)
        > 0, all features of the code.
    depth : int
        Number L >= 1 of layers of the encoder.
    epsilon : float
        Size of every feature at the start, > 0.
    scale : float
        As for `gains`.

    Returns
    -------
    size, gain : ndarrays (n, d)

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    RuntimeError
        Where the integrator gives up.
    """
    t = validate.times("t", t)
    lam, rho, depth, scale = _features(lam, rho, depth, scale)
    epsilon = validate.number("epsilon", epsilon, validate.positive)

    def slope(_, x):
        omega = np.exp(x)
        gain = scale * _gains(lam / rho * omega ** (2 * depth))
        return omega ** (2 * depth - 1) * lam * (gain - omega / rho) / depth

    start = np.full(len(lam), np.log(epsilon) / depth)
    options = {"method": "LSODA", "t_eval": t, "rtol": 1e-9, "atol": 1e-11}
    omega = np.exp(_ode.solve("the features", slope, t, start, **options).y.T)
    return omega**depth, scale * _gains(lam / rho * omega ** (2 * depth))


def _features(lam, rho, depth, scale):
    lam, rho = validate.positive("lam", lam), validate.positive("rho", rho)
    lam, rho = (np.atleast_1d(a) for a in validate.broadcast(lam=lam, rho=rho))
    if lam.ndim > 1:
        raise ValueError(f"lam and rho must be sequences of numbers, got shape {lam.shape}")
    return lam, rho, validate.depth(depth), validate.number("scale", scale, validate.positive)
