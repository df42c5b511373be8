"""What complementary random masks make of a data covariance: features, and the visible share.

The theory of chapter 10 for eqs. (122), (123) with any data. With C = E[z z'], D = Diag C and f
the share of visible pixels, Sigma_yx = f (1 - f) (C - D) and Sigma_xx = f (f (C - D) + D): a
feature is known by its *excess*, the eigenvalue of C - D, and its *level*, that of D.
"""

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from jepabook._support import validate
from jepabook._support.canonical import pointed
from jepabook._support.units import in_units, norm, unit_vectors
from jepabook.theory import _layers, dynamics
from jepabook.worlds.generative import FeatureDirections, RandomMasks, masked_covariances


def moments(excess, level, visible):
    """Covariance and regression coefficient of a feature of masked data (ours).

    Parameters
    ----------
    excess : array_like
        Variance of the data along the feature minus `level`; of either sign.
    level : array_like
        Mean variance of the pixels that the feature lives on, > 0.
    visible : array_like
        f in (0, 1).

    Returns
    -------
    lam, rho : ndarrays
        f (1 - f) excess and (1 - f) excess / (level + f excess).
    """
    excess, level = validate.finite("excess", excess), validate.positive("level", level)
    f = validate.open_unit("visible", visible)
    validate.broadcast(excess=excess, level=level, visible=f)
    validate.where("excess", excess + 0 * level, excess >= -level, "must be >= -level")
    # in units, powers of 2, in which sums do not overflow
    unit = -np.frexp(np.maximum(np.abs(excess), level))[1]
    scaled, scaled_level = np.ldexp(excess, unit), np.ldexp(level, unit)
    return f * (1 - f) * excess, (1 - f) * scaled / (scaled_level + f * scaled)


# up to which share of the largest entry two variances, or a covariance and 0, agree
_AGREE = 1e-9


def features(covariance, visible):
    """The features of masked data: joint eigenvectors of its two covariances (ours).

    They exist if and only if any two correlated pixels have the same variance.

    Parameters
    ----------
    covariance : array (d, d)
        E[z z'], symmetric.
    visible : float
        Share of the pixels that are seen, f.

    Returns
    -------
    generative.FeatureDirections
        d of them, as orthonormal rows, largest entry positive, the largest lam first. Of those
        that share lam and sigma^2 only the space that they span has a meaning.

    Raises
    ------
    ValueError
        If correlated pixels differ in variance, or the matrix is not symmetric.
    """
    covariance = validate.shaped("covariance", covariance, ("d", "d"))
    covariance, unit = in_units(covariance)
    sigma_xx, sigma_yx, _ = masked_covariances(covariance, visible)
    zero, variance = _AGREE * np.abs(covariance).max(), np.diag(covariance)
    if np.abs(covariance - covariance.T).max() > zero:
        raise ValueError("covariance must be symmetric, got one that is not")
    apart = np.abs(variance - variance[:, None])
    bad = np.argwhere((apart > zero) & (np.abs(covariance) > zero))
    if len(bad):
        i, j = (int(index) for index in bad[0])
        variance = np.ldexp(variance, unit.item())
        raise ValueError(
            "covariance must give correlated pixels one variance, "
            f"got {variance[i]:.6g} and {variance[j]:.6g} at pixels {i} and {j}"
        )
    # of commuting matrices a generic combination has no other eigenvectors than the joint ones
    vectors = pointed(np.linalg.eigh(covariance + np.pi * np.diag(variance))[1])
    lam, sigma_squared = (
        np.einsum("ik,ij,jk->k", vectors, matrix, vectors) for matrix in (sigma_yx, sigma_xx)
    )
    order = np.argsort(-lam, kind="stable")
    lam, sigma_squared = lam[order], sigma_squared[order]
    with np.errstate(invalid="ignore"):  # pixels that are always zero
        rho = lam / sigma_squared
    lam, sigma_squared = np.ldexp((lam, sigma_squared), unit.item())
    return FeatureDirections(vectors.T[order], lam, rho, sigma_squared)


def latest_start(objective, *, depth):
    """The largest start, over the final size, from which half-times surely fall with the excess.

    Ours: the root a of 2 F(a) = R(a), F(a) being the integral of 1 / (u^q - u^3) from a to 1/2 and
    R(a) = a / (a^q - a^3). No larger one will do for every visible share.

    Parameters
    ----------
    objective : Objective
    depth : int

    Returns
    -------
    float
        Between 0.237 and 0.315: the first is the limit for JEPA as depth grows, the second MAE at
        depth 1.
    """
    validate.objective(objective)
    depth = validate.depth(depth)

    def surplus(a):
        time = dynamics.time_to_reach(objective, 0.5, 1.0, 1.0, depth=depth, epsilon=a)
        return 2 * time * dynamics.velocity(objective, a, 1.0, 1.0, depth=depth) - a

    return brentq(surplus, 0.1, 0.49)


def best_share(objective, w, excess, level, *, depth):
    """The visible share at which a feature of size w grows fastest: 0 if it grows at none (ours).

    With g = w^(3 - q), that is w^(1/L) for JEPA and w^(1 + 1/L) for MAE, the velocity is
    w^q f ((1 - f - f g) excess - g level): a parabola in f, zero at f = 0 and at twice this share.

    Parameters
    ----------
    objective : Objective
    w, excess, level : array_like
        > 0; broadcast.
    depth : int

    Returns
    -------
    ndarray
        (excess - g level) / (2 (1 + g) excess), below 1/2.
    """
    validate.objective(objective)
    depth = validate.depth(depth)
    w, excess, level = validate.broadcast(
        w=validate.positive("w", w),
        excess=validate.positive("excess", excess),
        level=validate.positive("level", level),
    )
    log_g = objective.saturation_power(depth=depth) / depth * np.log(w)
    # g, or g level / excess, may leave float64 where the share does not
    grows = -np.expm1(np.minimum(log_g + np.log(level) - np.log(excess), 0.0))
    return np.exp(-np.logaddexp(0.0, log_g)) / 2 * grows + 0.0  # no -0.0


def soonest_share(objective, w, excess, level, *, depth, epsilon):
    """The visible share at which a feature gets from `epsilon` to the size w soonest (ours).

    It lies between the `best_share` at w, which must be positive, and that at `epsilon` < w, and
    below twice the first, from where w is not reached; to 1e-7, for the time is flat there.
    Parameters as there, each one number.
    """
    w, excess, level, epsilon = (
        validate.number(name, value, validate.positive)
        for name, value in (("w", w), ("excess", excess), ("level", level), ("epsilon", epsilon))
    )
    low, high = (
        float(best_share(objective, size, excess, level, depth=depth)) for size in (w, epsilon)
    )
    if not (epsilon < w and low > 0):
        raise ValueError(f"w must be above epsilon, with a positive best_share, got {w}")
    if low == high:  # sizes so small that they no longer matter
        return low

    def time(f):
        features = moments(excess, level, f)
        return dynamics.time_to_reach(objective, w, *features, depth=depth, epsilon=epsilon)

    bounds = (low, min(high, 2 * low))
    options = {"xatol": 1e-9}
    return float(minimize_scalar(time, bounds=bounds, method="bounded", options=options).x)


def marchenko_pastur(x, ratio):
    """Limiting density of the eigenvalues of A A' for A (k, d), entries N(0, 1/d), k/d -> ratio.

    Parameters
    ----------
    x : array_like
    ratio : float in (0, 1]

    Returns
    -------
    ndarray
        Zero outside of [(1 - sqrt(ratio))^2, (1 + sqrt(ratio))^2].
    """
    x = validate.finite("x", x)
    ratio = validate.number("ratio", ratio, validate.half_open_unit)
    root = np.sqrt(ratio)
    low, high = ((1 - ratio) / (1 + root)) ** 2, (1 + root) ** 2
    inside = (x >= low) & (x <= high) & (x > 0)
    x = np.where(inside, x, 1.0)
    with np.errstate(over="ignore"):
        density = np.sqrt(1 - low / x) * np.sqrt(high - x) / np.sqrt(x) / (2 * np.pi * ratio)
    allowed = "must be so large that the density fits in float64"
    return np.where(inside, validate.where("ratio", density, np.isfinite(density), allowed), 0.0)


def trained_sizes(objective, world, count, record_at, seed):
    """Sizes of a world's features in gradient descent from Gaussian layers.

    Two encoder layers and a decoder with entries N(0, 0.2^2 / d), learning rate 0.4.

    Parameters
    ----------
    objective : Objective
    world : RandomMasks
    count : int
        Networks, each from a start of its own.
    record_at : sequence of int
        Increasing numbers of steps of gradient descent on the exact covariances.
    seed : int

    Returns
    -------
    ndarray (n, count, k)
        |W b| for the directions b of the features.
    """
    validate.objective(objective)
    sigma_xx, sigma_yx, _ = validate.instance("world", world, RandomMasks).covariances()
    record_at = validate.integers("record_at", record_at, least=0)
    validate.where("record_at", record_at, np.diff(record_at, prepend=0) >= 0, "must increase")
    layers, width, gain, rate = 3, len(sigma_xx), 0.2, 0.4
    each = 8 * (4 * layers * width**2 + len(record_at) * len(world.power))
    count = validate.integer("count", count, each=each)
    weights = validate.generator(seed).standard_normal((layers, count, width, width))
    weights = weights * gain / width**0.5
    shown = (world.dictionary != 0).any(1)
    validate.where("world", norm(world.dictionary, 1), shown, "must have no feature of length 0")
    directions = unit_vectors(world.dictionary, axis=1)
    sizes, done = [], 0
    for step in record_at:
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(step - done):
                weights -= rate * _layers.gradient(objective, weights, sigma_xx, sigma_yx)
            encoder = _layers.partial_products(weights)[-2]
            size = norm(encoder @ directions.T, axis=-2)
        if not np.isfinite(size).all():
            raise ValueError(
                f"world must be such that {step} steps of rate {rate} leave the sizes finite, got "
                f"a largest variance of {sigma_xx.max():.3g}"
            )
        done = step
        sizes.append(size)
    return np.array(sizes)
