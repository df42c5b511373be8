"""Where balanced layers can rest, how disturbances grow there, and what an end tells (ours).

Weights are arrays (L + 1, d, d) as in `matrix_flow`. A rest is given by its row space S, which is
left-invariant under B = Sigma_yx Sigma_xx^-1; everything else about it but turns of the code
follows, see chapter 14.
"""

from itertools import pairwise

import numpy as np
from scipy.special import gamma, gammaln
from scipy.stats import ortho_group

from jepabook._support import validate
from jepabook.theory import _layers
from jepabook.theory.dynamics import time_to_reach
from jepabook.theory.matrix_flow import _fitting, encoder
from jepabook.theory.objectives import JEPA

_SETTLED = 1e-13  # largest change of G in the last step, relative to its largest entry
_INVARIANT = 1e-8  # how far rows may leave their span under B, relative to B
_CONDITION = 1e8  # of B on these rows
_ORTHOGONAL = 1e-6  # how far the decoder's frames may be off


def final_encoder(objective, sigma_xx, sigma_yx, *, depth):
    """The encoder, up to a rotation of its output, where balanced layers of full rank rest.

    A root S of G = S'S, the positive definite solution of B'GB = G^(1+1/L) (JEPA) or
    B'B = G^(1+1/L) (MAE) with B = Sigma_yx Sigma_xx^-1. For JEPA the iteration
    G <- (B'GB)^(L/(L+1)) from I contracts Thompson's metric by L / (L + 1) a step; its first step
    is MAE's G.

    Parameters
    ----------
    objective : Objective
    sigma_xx, sigma_yx : arrays (d, d)
        sigma_xx positive definite, sigma_yx invertible.
    depth : int

    Returns
    -------
    ndarray (d, d)
        |S u| is the final size along a unit vector u.
    """
    validate.objective(objective)
    depth = validate.depth(depth)
    sigma_xx, sigma_yx = validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    validate.positive_definite("sigma_xx", sigma_xx)
    regression = np.linalg.solve(sigma_xx, sigma_yx.T).T
    root = gram = np.eye(len(sigma_xx))
    for _ in range(100 * depth):
        # from S B = P diag(s) Q' the next root is diag(s)^(L/(L+1)) Q'
        _, scales, rows = np.linalg.svd(root @ regression)
        root = scales[:, None] ** (depth / (depth + 1)) * rows
        before, gram = gram, root.T @ root
        settled = np.abs(gram - before).max() <= _SETTLED * np.abs(gram).max()
        if settled or not objective.targets_encoder:
            return root
    raise RuntimeError(f"the iteration did not settle: {np.abs(gram - before).max():.1e}")


def final_gram(objective, sigma_xx, sigma_yx, *, depth):
    """W'W of the encoder at rest: S'S of `final_encoder`."""
    root = final_encoder(objective, sigma_xx, sigma_yx, depth=depth)
    return root.T @ root


def rest(sigma_xx, sigma_yx, *, depth, rows, seed):
    """Weights at which balanced JEPA rests, with an encoder whose row space is that of `rows`.

    Parameters
    ----------
    sigma_xx, sigma_yx : arrays (d, d)
        sigma_xx positive definite; sigma_yx of either sign, symmetric or not.
    depth : int
        Number L >= 1 of layers of the encoder.
    rows : array (r, d)
        r linearly independent rows, r >= 1, that B maps (from the right) into their own span, and
        there invertibly.
    seed : int or NumPy Generator
        Draws the places of the code; nothing observable depends on it.

    Returns
    -------
    ndarray (L + 1, d, d)

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed: B's condition on the rows is below 1e8.
    """
    depth = validate.depth(depth)
    sigma_xx, sigma_yx = validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    width = validate.width(depth, len(sigma_xx))
    rows = validate.shaped("rows", rows, ("r", width))
    generator = validate.generator(seed)
    if not 1 <= len(rows) <= width or np.linalg.matrix_rank(rows) < len(rows):
        raise ValueError(f"rows must be linearly independent, got shape {rows.shape}")
    validate.positive_definite("sigma_xx", sigma_xx)
    with np.errstate(over="ignore"):
        regression = np.linalg.solve(sigma_xx, sigma_yx.T).T
    fits = np.isfinite(regression)
    validate.where("sigma_yx", sigma_yx, fits, "must be small enough for B to fit in float64")
    rows = np.linalg.qr(rows.T)[0].T
    inside = rows @ regression @ rows.T
    left = np.abs(rows @ regression - inside @ rows).max()
    if not left <= _INVARIANT * np.abs(regression).max():
        raise ValueError(f"rows must span a left-invariant subspace, got rows that leave by {left}")
    if not np.linalg.cond(inside) < _CONDITION:
        raise ValueError(f"rows must be such that B is invertible on them, got {inside.tolist()}")
    _, scales, turn = np.linalg.svd(final_encoder(JEPA, np.eye(len(rows)), inside, depth=depth))
    scales = scales ** (1 / depth)
    inside = turn @ inside @ turn.T
    frames = ortho_group.rvs(width, size=depth, random_state=generator).reshape(-1, width, width)
    places = [(turn @ rows).T, *frames[:, :, : len(rows)]]
    turned = scales[:, None] ** depth * inside / scales ** (depth + 1)
    off = np.abs(turned @ turned.T - np.eye(len(turned))).max()
    if not off < _ORTHOGONAL:
        raise ValueError(f"depth must be small enough for the sizes to be resolved, got {depth}")
    places.append(places[-1] @ turned)
    return np.stack([after * scales @ before.T for before, after in pairwise(places)])


def residual_rates(weights, sigma_xx, sigma_yx):
    """All rates, but zeros, at which small disturbances of weights with zero residual grow.

    Parameters
    ----------
    weights : array (L + 1, d, d)
        With V W Sigma_xx = W Sigma_yx, as at every rest of balanced JEPA; balanced or not.
    sigma_xx, sigma_yx : arrays (d, d)

    Returns
    -------
    ndarray (d^2,), complex
        Eigenvalues of the flow of the residual E, to first order: the flow's own eigenvalues are
        these and L d^2 zeros, for the frames of the layers and their imbalance.
    """
    weights, sigma_xx, sigma_yx = _fitting(weights, sigma_xx, sigma_yx)
    if weights.ndim != 3:
        raise ValueError(f"weights must have shape (L + 1, d, d), got {weights.shape}")
    width, products = weights.shape[-1], _layers.partial_products(weights)
    residual = products[-1] @ sigma_xx - products[-2] @ sigma_yx
    size = np.abs(products[-2] @ sigma_yx).max()
    if np.abs(residual).max() > 1e-6 * size:
        raise ValueError(f"weights must have no residual, got one of {np.abs(residual).max():.3g}")
    rates = np.zeros((width**2, width**2))
    for column, change in zip(rates.T, np.eye(width**2), strict=True):
        steps = _layers.layer_gradients(weights, products, change.reshape(width, width))
        # how the residual answers to these steps
        code = product = np.zeros((width, width))
        for layer, step, below in zip(weights, steps, [np.eye(width), *products], strict=False):
            code, product = product, layer @ product + step @ below
        column[:] = (code @ sigma_yx - product @ sigma_xx).ravel()
    return np.linalg.eigvals(rates)


def commuting_rates(lam, rho, kept, *, depth):
    """Those rates where covariances commute: entry (i, j) is that of x_j in the place of feature i.

    Parameters
    ----------
    lam, rho : arrays (d,)
        Of one sign for each feature.
    kept : sequence of int
        The features that the rest has, from 0; the place of one that it has not is empty.
    depth : int

    Returns
    -------
    ndarray (d, d)
        -sigma_j^2 (rho_i^(2L+1) + rho_j^(2L+1)) / (rho_i + rho_j) with both present,
        sigma_j^2 |rho_i|^(2L-1) (+-rho_j - |rho_i|) with i alone (+- the sign of rho_i),
        -sigma_j^2 rho_j^(2L) with j alone, and 0.
    """
    depth = validate.depth(depth)
    lam = validate.shaped("lam", lam, ("d",))
    rho = validate.shaped("rho", rho, lam.shape)
    validate.where("rho", rho, lam * rho > 0, "must not be zero, and of lam's sign")
    kept = np.isin(np.arange(len(lam)), validate.integers("kept", kept, least=0, most=len(lam) - 1))
    place, here, powers = rho[:, None], kept[:, None], np.arange(2 * depth + 1)
    # (x^n + y^n) / (x + y) for odd n, which is a polynomial
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        terms = (-1.0) ** powers * place[..., None] ** (2 * depth - powers) * rho[:, None] ** powers
        invades = np.abs(place) ** (2 * depth - 1) * (np.sign(place) * rho - np.abs(place))
        empty = np.where(kept, -(rho ** (2 * depth)), 0.0)
        rates = lam / rho * np.where(here, np.where(kept, -terms.sum(-1), invades), empty)
    validate.where("rho", rho, np.isfinite(rates).all(0), "must be small enough for rates to fit")
    return rates


def delay(lam, distance, *, depth):
    """How long a pair of equal features stays near nothing: the leading term for small distances.

    Parameters
    ----------
    lam : array_like
        > 0.
    distance : array_like
        > 0: how far from 0 the pair's decoder, a complex number, passes on its straight way.
    depth : int

    Returns
    -------
    ndarray or float64
        sqrt(pi) Gamma(L - 1/2) / Gamma(L) distance^(1 - 2L) / lam, in units of gradient flow.
    """
    depth = validate.depth(depth)
    lam, distance = validate.broadcast(
        lam=validate.positive("lam", lam), distance=validate.positive("distance", distance)
    )
    with np.errstate(over="ignore", under="ignore"):
        shape = np.exp(gammaln(depth - 0.5) - gammaln(depth)) * gamma(0.5)
        time = shape * np.exp((1 - 2 * depth) * np.log(distance) - np.log(lam))
    allowed = "must be large enough for the time to fit in float64"
    return validate.where("distance", time, np.isfinite(time), allowed)[()]


def imbalance(weights):
    """The matrices W_{a+1}' W_{a+1} - W_a W_a', which gradient flow conserves.

    Parameters
    ----------
    weights : array (L + 1, ..., d, d)

    Returns
    -------
    ndarray (L, ..., d, d)
        Weight decay kappa multiplies them by e^(-2 kappa) per unit of time.
    """
    weights = validate.finite("weights", weights)
    encoder(weights)  # refuses what is no network
    return weights[1:].mT @ weights[1:] - weights[:-1] @ weights[:-1].mT


def read_off(objective, times, sizes, final, *, depth):
    """(lam, rho) of an aligned feature from its sizes at two times and its final size.

    The closed form of the dynamics, solved for its parameters: exact for exact sizes.

    Parameters
    ----------
    objective : Objective
    times : array (2,)
        Increasing, in the paper's clock.
    sizes : array (2, ...)
        At these times, increasing.
    final : array_like
        The size that training ends at, above the others; broadcasts against sizes[0].
    depth : int

    Returns
    -------
    lam, rho : ndarrays
        The relative error of rho is at most 1/L (JEPA), 1 + 1/L (MAE) times that of `final`, to
        first order.
    """
    validate.objective(objective)
    depth = validate.depth(depth)
    times, sizes = validate.finite("times", times), validate.positive("sizes", sizes)
    if times.shape != (2,) or not sizes.ndim or len(sizes) != 2:
        raise ValueError(f"times and sizes must be two, got shapes {times.shape}, {sizes.shape}")
    final = validate.positive("final", final)
    first, then, final = validate.broadcast(first=sizes[0], then=sizes[1], final=final)
    validate.where("times", times, times[1] > times[0], "must increase")
    validate.where("sizes", sizes[1], sizes[1] > sizes[0], "must increase")
    validate.where("final", final, final > then, "must be above the sizes")
    rho = final ** (objective.saturation_power(depth=depth) / depth)
    # time goes like 1 / lam
    return time_to_reach(objective, then, 1.0, rho, depth=depth, epsilon=first) / (
        times[1] - times[0]
    ), rho
