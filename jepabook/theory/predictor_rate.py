"""A predictor with a learning rate of its own: where features end, what decay spares, and the limit
of one that is optimal at every moment (ours).

The predictor moves alpha times as fast as a layer of the encoder. For an aligned feature with
layers omega and predictor v, in units of gradient flow::

    domega/dtheta = omega^(2L - 1) (lam v - sigma^2 v^2) - kappa omega
    dv/dtheta     = alpha [omega^(2L) (lam - sigma^2 v) - kappa v]

Weight decay is multiplied by the learning rate, as SGD and AdamW do it. Without decay
v^2/alpha - omega^2 is conserved, and `final_size` says where that ends. Times are in the paper's
clock, t = L theta.
"""

import numpy as np

from jepabook._support import validate
from jepabook.theory import _layers, _ode
from jepabook.theory import weight_decay as _decay
from jepabook.theory.objectives import JEPA


def final_size(rho, *, depth, epsilon, predictor_rate):
    """Where an aligned feature ends if the predictor learns `predictor_rate` times as fast.

    All L + 1 scales start at c = epsilon^(1/L); the encoder's end at omega with
    omega^2 = c^2 + (rho^2 - c^2) / predictor_rate, the predictor's at rho.

    Parameters
    ----------
    rho : array_like
        > 0.
    depth : int
    epsilon, predictor_rate : array_like
        > 0; broadcast. Where predictor_rate < 1 and rho < c, omega^2 must come out positive.

    Returns
    -------
    ndarray or float64
        omega^L, which tends to epsilon as predictor_rate grows.
    """
    depth = validate.depth(depth)
    rho, epsilon, rate = validate.broadcast(
        rho=validate.positive("rho", rho),
        epsilon=validate.positive("epsilon", epsilon),
        predictor_rate=validate.positive("predictor_rate", predictor_rate),
    )
    gain = epsilon ** (1 / depth)
    square = gain**2 + (rho**2 - gain**2) / rate
    validate.where("predictor_rate", rate, square > 0, "must leave the encoder a positive scale")
    return (square ** (depth / 2))[()]


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


def _optimal(encoder, sigma_xx, sigma_yx):
    """The predictor of W y from W x of least mean square error, (k, k)."""
    code, crossed = encoder @ sigma_xx @ encoder.T, encoder @ sigma_yx @ encoder.T
    return np.linalg.solve(code, crossed.T).T


def optimal_flow(layers, sigma_xx, sigma_yx, times, rtol=1e-10):
    """Gradient flow of JEPA's encoder behind a predictor that is optimal at every moment.

    Parameters
    ----------
    layers : list of L arrays
        W_1 (k_1, d), ..., W_L (k_L, k_(L-1)) at time 0.
    sigma_xx, sigma_yx : arrays (d, d)
    times : array (n,)
        Increasing from 0.
    rtol : float
        Of SciPy's DOP853; its atol is a hundredth of this.

    Returns
    -------
    list of L ndarrays (n, ...)
        Each layer along the way.
    """
    if not isinstance(layers, (list, tuple)) or not layers:
        raise ValueError(f"layers must be a list of matrices, got {validate.one_line(layers)}")
    sigma_xx, sigma_yx = validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    validate.positive_definite("sigma_xx", sigma_xx)
    width, start = len(sigma_xx), []
    for layer in layers:
        start.append(validate.shaped("layers", layer, ("k", width)))
        width = len(start[-1])
    times, rtol = validate.times("times", times), validate.number("rtol", rtol, validate.open_unit)
    ends = np.cumsum([layer.size for layer in start])[:-1]

    def split(flat):
        parts = np.split(flat, ends, axis=-1)
        lead = flat.shape[:-1]
        return [p.reshape(*lead, *layer.shape) for p, layer in zip(parts, start, strict=True)]

    def velocity(_, flat):
        now = split(flat)
        products = _layers.partial_products(now)
        encoder = products[-1]
        predictor = _optimal(encoder, sigma_xx, sigma_yx)
        residual = predictor @ encoder @ sigma_xx - encoder @ sigma_yx
        slopes = _layers.layer_gradients(now, products, predictor.T @ residual)
        return -np.concatenate([slope.ravel() for slope in slopes])

    flat = np.concatenate([layer.ravel() for layer in start])
    options = {"method": "DOP853", "t_eval": times, "rtol": rtol, "atol": rtol / 100}
    return split(_ode.solve("JEPA's encoder", velocity, times, flat, **options).y.T)
