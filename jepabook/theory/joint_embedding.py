"""Joint embedding without a predictor: the views' codes are pulled together, a penalty holds them.

The loss is ``1/2 E |W x - W y|^2 + strength * P(C)`` with the code's second moments
``C = W Sigma_xx W'`` and both views of covariance Sigma_xx. No gradient is stopped. P is one of

- ``moments``: 1/4 |C - I|^2;
- ``slices``: 1/4 |C - I|^2 + 1/8 (tr C - d)^2, which is d (d + 2) / 8 times the mean of
  (a'Ca - 1)^2 over all unit vectors a: what random slices of the code see of its second moments;
- ``variance``: the sum of max(0, 1 - sqrt(C_kk)) over the coordinates of the code;
- ``variance and covariance``: that and 1/4 of the sum of C_kl^2 over k != l.

With Sigma_yx in the place of Sigma_xx, views without noise, ``moments`` alone is left: Barlow
Twins' loss without its normalisation, of the cross-covariance (ours, as everything here).
"""

import numpy as np

from jepabook._support import validate
from jepabook.theory import _layers

PENALTIES = ("moments", "slices", "variance", "variance and covariance")


def _slope(penalty, code):
    """dP/dC of matrices (..., k, k), symmetric."""
    eye = np.eye(code.shape[-1])
    gap, variance = code - eye, np.diagonal(code, axis1=-2, axis2=-1)
    if penalty in ("moments", "slices"):
        spread = np.trace(gap, axis1=-2, axis2=-1)[..., None, None] / 4
        return gap / 2 + spread * eye * (penalty == "slices")
    deviation = np.sqrt(np.maximum(variance, np.finfo(float).tiny))
    slope = np.where(deviation < 1, -0.5 / deviation, 0.0)[..., None] * eye
    return slope if penalty == "variance" else slope + code * (1 - eye) / 2


def gradient(encoder, sigma_xx, sigma_yx, penalty, strength):
    """The gradient of the loss by the encoder W, shape (k, d).

    Parameters
    ----------
    encoder : array (k, d)
    sigma_xx, sigma_yx : arrays (d, d)
        E[x x'] = E[y y'], and E[y x'].
    penalty : str
        One of `PENALTIES`.
    strength : float
        >= 0.

    Returns
    -------
    ndarray (k, d)
    """
    sigma_xx, sigma_yx = validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    encoder = validate.shaped("encoder", encoder, ("k", len(sigma_xx)))
    validate.option("penalty", penalty, PENALTIES)
    strength = validate.number("strength", strength, validate.non_negative)
    return _gradient(encoder, sigma_xx, sigma_yx, penalty, strength)


def _gradient(encoder, sigma_xx, sigma_yx, penalty, strength):
    seen = encoder @ sigma_xx
    pull = 2 * seen - encoder @ (sigma_yx + sigma_yx.T)
    return pull + 2 * strength * _slope(penalty, seen @ encoder.mT) @ seen


def descend(layers, sigma_xx, sigma_yx, record_at, penalty, strength, rate):
    """Gradient descent on the encoder's layers, of one network or of many at once.

    Parameters
    ----------
    layers : array (L, ..., d, d)
        At step 0, the layer that acts first standing first.
    sigma_xx, sigma_yx : arrays (d, d)
    record_at : sequence of n ints
        Steps, increasing from 0.
    penalty : str
    strength : float
    rate : float
        The learning rate: time of gradient flow per step.

    Returns
    -------
    ndarray (n, ..., d, d)
        The encoders at those steps.
    """
    layers = validate.finite("layers", layers)
    if layers.ndim < 3 or layers.shape[-1] != layers.shape[-2] or not layers.size:
        raise ValueError(f"layers must have shape (L, ..., d, d), got {layers.shape}")
    sigma_xx, sigma_yx = validate.squares(layers.shape[-1], sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    validate.option("penalty", penalty, PENALTIES)
    strength = validate.number("strength", strength, validate.non_negative)
    rate = validate.number("rate", rate, validate.positive)
    steps = validate.times("record_at", record_at)
    validate.where("record_at", steps, steps % 1 == 0, "must be integers")
    validate.where("record_at", steps, steps <= validate.MOST_STEPS, "must be at most 10^8")
    found, layers = [], layers.copy()
    wanted = set(steps.astype(int).tolist())
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(int(steps[-1]) + 1):
            products = _layers.partial_products(layers)
            if step in wanted:
                found.append(products[-1].copy())
            slope = _gradient(products[-1], sigma_xx, sigma_yx, penalty, strength)
            layers -= rate * np.stack(_layers.layer_gradients(layers, products, slope))
    allowed = "must be so small that the encoder stays finite"
    validate.where("rate", rate, np.all(np.isfinite(found[-1])), allowed)
    return np.stack(found)


def growth(lam, rho, strength):
    """The rate 2 lam - (2 - strength) sigma^2 at which a small feature starts under ``moments``.

    A negative one shrinks. Layers of scale omega move by omega^(2L - 1) times this.

    Parameters
    ----------
    lam, rho, strength : array_like
        lam, rho > 0, strength >= 0; broadcast.

    Returns
    -------
    ndarray or float64
    """
    lam, rho, strength = validate.broadcast(
        lam=validate.positive("lam", lam),
        rho=validate.positive("rho", rho),
        strength=validate.non_negative("strength", strength),
    )
    return (2 * lam - (2 - strength) * lam / rho)[()]


def code_variance(rho, strength, penalty):
    """The variance sigma^2 w^2 of an aligned feature in the code at the end, from a small start.

    ``moments``: max(0, 1 - 2 (1 - rho) / strength). ``variance``: min(1, strength / (2 (1 -
    rho)))^2. It does not depend on lam, nor on the depth.

    Parameters
    ----------
    rho : array_like
        In (0, 1).
    strength : array_like
        > 0.
    penalty : {"moments", "variance"}

    Returns
    -------
    ndarray or float64
    """
    rho, strength = validate.broadcast(
        rho=validate.open_unit("rho", rho), strength=validate.positive("strength", strength)
    )
    if validate.option("penalty", penalty, ("moments", "variance")) == "moments":
        return np.maximum(0.0, 1 - 2 * (1 - rho) / strength)[()]
    return (np.minimum(1.0, strength / (2 * (1 - rho))) ** 2)[()]


def first_learned(lam, rho, gain):
    """One number for every feature and objective: the larger, the sooner it is learned or kept.

    Parameters
    ----------
    lam, rho : arrays (d,)
        > 0.
    gain : float
        c = epsilon^(1/L), of deep JEPA.

    Returns
    -------
    dict of str to ndarray (d,)
        ``autoencoder``: sigma^2; ``rank-k reconstruction``: lam rho; ``MAE in time`` and ``Barlow
        Twins``: lam; ``deep JEPA``: lam - c sigma^2; ``joint embedding``: rho.
    """
    lam, rho = validate.broadcast(
        lam=validate.shaped("lam", lam, ("d",), validate.positive),
        rho=validate.shaped("rho", rho, ("d",), validate.positive),
    )
    gain = validate.number("gain", gain, validate.positive)
    return {
        "autoencoder": lam / rho,
        "Barlow Twins": lam.copy(),
        "MAE in time": lam.copy(),
        "rank-k reconstruction": lam * rho,
        "deep JEPA": lam - gain * lam / rho,
        "joint embedding": rho.copy(),
    }
