"""JEPA whose predictor learns faster than its encoder, up to one that is always optimal (ours)."""

import numpy as np

from jepabook._support import validate
from jepabook.theory import _layers, _ode


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


def optimal_predictor(encoder, sigma_xx, sigma_yx):
    """The predictor V of W y from W x of least mean square error, shape (k, k).

    Parameters
    ----------
    encoder : array (k, d)
        W, of full row rank.
    sigma_xx, sigma_yx : arrays (d, d)
        E[x x'], positive definite, and E[y x'].

    Returns
    -------
    ndarray (k, k)
    """
    sigma_xx, sigma_yx = validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    validate.positive_definite("sigma_xx", sigma_xx)
    encoder = validate.shaped("encoder", encoder, ("k", len(sigma_xx)))
    validate.positive_definite("encoder: its code", encoder @ sigma_xx @ encoder.T)
    return _optimal(encoder, sigma_xx, sigma_yx)


def _optimal(encoder, sigma_xx, sigma_yx):
    code, crossed = encoder @ sigma_xx @ encoder.T, encoder @ sigma_yx @ encoder.T
    return np.linalg.solve(code, crossed.T).T


def flow(layers, sigma_xx, sigma_yx, times, rtol=1e-10):
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
