"""A predictor with a learning rate of its own, under weight decay: what it keeps and loses (ours).

The predictor moves alpha times as fast as a layer of the encoder. For an aligned feature with
layers omega and predictor v, in units of gradient flow::

    domega/dtheta = omega^(2L - 1) (lam v - sigma^2 v^2) - kappa omega
    dv/dtheta     = alpha [omega^(2L) (lam - sigma^2 v) - kappa v]

Weight decay is multiplied by the learning rate, as SGD and AdamW do it. Without decay
v^2/alpha - omega^2 is conserved, and `fast_predictor.final_size` says where that ends. Times are in
the paper's clock, t = L theta.
"""

import numpy as np

from jepabook._support import validate
from jepabook.theory import _ode
from jepabook.theory import weight_decay as _decay
from jepabook.theory.objectives import JEPA


def least_rate(lam, rho, *, depth, weight_decay):
    """The predictor's rate below which a feature held against decay is unstable.

    That is (2L - 2) (1 - omega / rho) with the layer scale omega of the stable size w_+ of JEPA
    under decay, which does not depend on the rate; at most 1 - 1/L.

    Parameters
    ----------
    lam, rho, weight_decay : array_like
        > 0; kappa >= 0; broadcast.
    depth : int

    Returns
    -------
    ndarray or float64
        NaN where decay leaves no size but zero.
    """
    depth = validate.depth(depth)
    _, size = _decay.fixed_points(JEPA, lam, rho, depth=depth, weight_decay=weight_decay)
    return (2 * depth - 2) * (1 - size ** (1 / depth) / np.asarray(rho, float))


def trajectory(t, lam, rho, *, depth, epsilon, predictor_rate, weight_decay=0.0):
    """Sizes w(t) and the predictor v(t), by integration.

    Parameters
    ----------
    t : array (n,)
        Increasing, starting at 0, in the paper's clock.
    lam, rho, epsilon, predictor_rate, weight_decay : array_like
        > 0; kappa >= 0; broadcast. The predictor starts at epsilon^(1/L), as the layers do.
    depth : int

    Returns
    -------
    w, v : ndarrays (n, ...)

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    RuntimeError
        Where the integrator gives up.
    """
    depth, t = validate.depth(depth), validate.times("t", t)
    known = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
        predictor_rate=validate.positive("predictor_rate", predictor_rate),
        weight_decay=validate.non_negative("weight_decay", weight_decay),
    )
    found = np.empty((2, len(t), *known[0].shape))
    for place in np.ndindex(known[0].shape):
        found[(slice(None), slice(None), *place)] = _one(t, depth, *(a[place] for a in known))
    return found[0], found[1]


def _one(t, depth, lam, rho, epsilon, alpha, decay):
    """w and v of one feature, (2, n); followed by their logarithms."""

    def slope(_, state):
        x, y = state
        layer = np.exp((2 * depth - 2) * x + y) * lam * (1 - np.exp(y) / rho) - decay
        predictor = alpha * (lam * np.exp(2 * depth * x) * (np.exp(-y) - 1 / rho) - decay)
        return layer / depth, predictor / depth

    start = [np.log(epsilon) / depth] * 2
    options = {"method": "LSODA", "t_eval": t, "rtol": 1e-9, "atol": 1e-11}
    x, y = _ode.solve("the feature", slope, t, start, **options).y
    return np.exp(depth * x), np.exp(y)
