"""How well a finite stream of a `FlickeringWorld` tells lambda, rho and the common eigenvectors.

Seen along one direction the stream is a stationary Gaussian process of covariance
C(k) = sum_m power_m gamma_m^|k|, white noise having gamma = 0. Over T pairs of consecutive frames::

    lam_hat = mean of p(t) p(t + 1)
    sigma_squared_hat = mean of p(t)^2

have exactly the means C(1), C(0), and by Isserlis' theorem covariances that are geometric sums.
Everything here is ours.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from jepabook._support import validate
from jepabook._support.canonical import complement
from jepabook._support.units import in_units, unit_vectors
from jepabook.theory import critical_time, dynamics
from jepabook.worlds.generative import FlickeringWorld, Frames

_TERMS = 20  # of a series whose terms fall faster than 1 / n!
ELEMENT_FITS = "must be so dim that the square of its power fits in float64"
RATIO_FITS = "must be large enough for the moments of the ratio to fit in float64"


@dataclass(frozen=True, eq=False)
class Components:
    """The directions of a world by their law: its images, then what is left of each region.

    Attributes
    ----------
    power, gamma : ndarrays (2 M, 2)
        C(k) of a direction is the sum of power * gamma^|k| over the last axis, signal and noise.
    count : ndarray of int (2 M,)
        Directions of this law: 1 for an image, its pixels less 1 for the rest of a region.
    """

    power: np.ndarray
    gamma: np.ndarray
    count: np.ndarray

    @property
    def lam(self):
        """C(1) of every group, (2 M,)."""
        return (self.power * self.gamma).sum(-1)

    @property
    def sigma_squared(self):
        """C(0) of every group, (2 M,)."""
        return self.power.sum(-1)


def components(world):
    """The `Components` of a `generative.FlickeringWorld`."""
    images = len(validate.instance("world", world, FlickeringWorld).images)
    signal = np.concatenate([(world.images**2).sum(1), np.zeros(images)])
    power = np.stack([signal, np.tile(world.noise**2, 2)], axis=1)
    gamma = np.stack([np.tile(world.gamma, 2), np.tile(world.noise_gamma, 2)], axis=1)
    pixels = np.bincount(world.region, minlength=images)
    return Components(power, gamma, np.concatenate([np.ones(images, dtype=int), pixels - 1]))


def basis(world):
    """Orthonormal columns (d, d) along which a world is diagonal, in the order of `components`.

    The images, then what is left of the first region, of the second, and so on. Any basis of
    what is left would do; the one chosen is the same on every machine.
    """
    images = validate.instance("world", world, FlickeringWorld).images
    width = images.shape[1]
    validate.memory("world", f"one of {width} pixels", 32 * width**2)
    images = unit_vectors(images, axis=1)
    rest = []
    for a, image in enumerate(images):
        inside = world.region == a
        rest.append(np.eye(len(image))[:, inside] @ complement(image[inside]))
    return np.column_stack([images.T, *rest])


def moments(world, counts, seed):
    """E[x x'] and E[y x'] as the first `counts` pairs of one stream give them.

    Parameters
    ----------
    world : generative.FlickeringWorld
    counts : increasing integers (n,)
    seed : int

    Returns
    -------
    sigma_xx, sigma_yx : ndarrays (n, d, d)
    """
    counts = validate.integers("counts", counts)
    validate.where("counts", counts, np.append(True, np.diff(counts) > 0), "must increase")
    stream = Frames(world, seed)
    width = len(world.region)
    validate.memory("counts", f"{len(counts)} of {width} pixels", 16 * (len(counts) + 3) * width**2)
    last, seen, total = stream.next(1), 0, np.zeros((2, width, width))
    found = np.empty((2, len(counts), width, width))
    for row, count in enumerate(counts):
        while seen < count:
            part = min(count - seen, 8192)
            frames = np.concatenate([last, stream.next(part)])
            with np.errstate(over="ignore", invalid="ignore"):
                total += frames[:-1].T @ frames[:-1], frames[1:].T @ frames[:-1]
            last, seen = frames[-1:], seen + part
        found[:, row] = total / count
    if not np.isfinite(found).all():
        raise ValueError(
            "world must be so dim that sums of its squares fit in float64, got light of "
            f"{np.abs(last).max():.3g}"
        )
    return found[0], found[1]


def estimate_covariance(power, gamma, count):
    """The exact covariance of (lam_hat, sigma_squared_hat) over `count` consecutive pairs.

    Parameters
    ----------
    power, gamma : arrays (..., m)
        power >= 0, gamma in (-1, 1).
    count : array_like
        T >= 1; broadcasts against the leading axes of power. Whole, unless all gamma have one sign.

    Returns
    -------
    ndarray (..., 2, 2)
    """
    power, gamma, count = _process(power, gamma, count)
    g, gap = _products(gamma, gamma)
    _whole_where_negative(count, g)
    return _consecutive(power, gamma, g, _tail(gap, count), count)


def shuffled_covariance(power, gamma, count):
    """As `estimate_covariance`, for `count` independent pairs (p(t), p(t + 1))."""
    power, gamma, count = _process(power, gamma, count)
    g, _ = _products(gamma, gamma)
    return _matrix(power, 1 + g, 2 * gamma[..., :, None], 2 + 0 * g, count)


def long_run_covariance(power, gamma):
    """The limit of T times `estimate_covariance` as T grows, (..., 2, 2)."""
    power, gamma, one = _process(power, gamma, 1)
    g, gap = _products(gamma, gamma)
    return _consecutive(power, gamma, g, 1 / gap, one)


def ratio_moments(covariance, lam, sigma_squared):
    """Bias and standard deviation of rho_hat = lam_hat / sigma_squared_hat, to leading order.

    Parameters
    ----------
    covariance : array (..., 2, 2)
        Of (lam_hat, sigma_squared_hat).
    lam, sigma_squared : arrays (...)

    Returns
    -------
    bias, deviation : ndarrays (...)
        What they leave out is smaller by a factor of the order of covariance / sigma^4.
    """
    covariance = validate.finite("covariance", covariance)
    if covariance.shape[-2:] != (2, 2):
        raise ValueError(f"covariance must have shape (..., 2, 2), got {covariance.shape}")
    lam, sigma_squared, _ = validate.broadcast(
        lam=validate.finite("lam", lam),
        sigma_squared=validate.positive("sigma_squared", sigma_squared),
        covariance=covariance[..., 0, 0],
    )
    with np.errstate(over="ignore", invalid="ignore"):
        rho = lam / sigma_squared
        # sigma^4 may leave float64 where the quotients do not
        (a, b), (_, d) = np.moveaxis(covariance, (-2, -1), (0, 1)) / sigma_squared / sigma_squared
        terms = a, -2 * rho * b, rho * (rho * d)
        variance, size = sum(terms), sum(map(np.abs, terms))
        # what rounding takes from a variance that is zero
        variance = np.where(np.abs(variance) < 1e-14 * size, np.maximum(variance, 0.0), variance)
        found = rho * d - b, np.sqrt(np.abs(variance))
    semidefinite = np.broadcast_to(~(variance < 0), rho.shape)
    validate.where("covariance", a + 0 * rho, semidefinite, "must be positive semidefinite")
    for moment in found:
        validate.where("sigma_squared", sigma_squared, np.isfinite(moment), RATIO_FITS)
    return found


def off_diagonal(world, count):
    """The mean squared off-diagonal element of U' Sigma_xy_hat U, to leading order (Figure 6).

    U holds the eigenvectors of Sigma_xx_hat. To first order in the errors E of Sigma_xx_hat and F
    of Sigma_xy_hat the element is F_ij - (lam_i - lam_j) / (sigma_i^2 - sigma_j^2) E_ij, and its
    variance a geometric sum. Among directions of one law it is F_ij less its regression on E_ij.
    Valid once the errors are small against the gaps of sigma^2.

    Parameters
    ----------
    world : generative.FlickeringWorld
    count : array_like of int
        Frames, T.

    Returns
    -------
    ndarray, the shape of count
    """
    groups, count = components(world), _count(count)
    power, unit = in_units(groups.power)
    groups = dataclasses.replace(groups, power=power)
    total = 0.0
    for i in range(len(groups.count)):
        for j in range(len(groups.count)):
            pairs = groups.count[i] * (groups.count[j] - (i == j))
            if pairs:
                total = total + pairs * _element(groups, i, j, count)
    width = len(world.region)
    with np.errstate(over="ignore"):
        found = np.ldexp(total / (width * (width - 1)), 2 * unit.item())
    return validate.where("world", found, np.isfinite(found), ELEMENT_FITS)


def _element(groups, i, j, count):
    """The variance of one off-diagonal element, of directions from groups i and j."""
    slope = groups.lam[i] - groups.lam[j]
    apart = groups.sigma_squared[i] - groups.sigma_squared[j]
    if slope and not apart:
        raise ValueError("world must have different sigma^2 where lambda differs, got a tie")
    g, gap = _products(groups.gamma[i], groups.gamma[j])
    _whole_where_negative(count, g)
    tail = _tail(gap, count[..., None, None])
    power = groups.power[i][:, None] * groups.power[j]
    both = (power * (1 + 2 * g * tail)).sum((-2, -1))
    across = (power * _lagged(groups.gamma[i], groups.gamma[j], tail)).sum((-2, -1))
    # directions of one law are turned until E is diagonal: what is left is F without its
    # regression on E
    ratio = slope / apart if apart else across / np.where(both > 0, both, 1.0)
    return ((1 + ratio**2) * both - 2 * ratio * across) / count


def learning_time_deviation(objective, power, gamma, *, depth, epsilon, frames, shuffled=False):
    """Standard deviation of a half-time on a stream, for a slow learner, to leading order.

    The scalar equations with covariances that fluctuate: to first order the critical time moves by
    minus the integral of ``(d_lam - b d_sigma^2) / (lam - b sigma^2)``, b = w^(3 - q). Over times
    long against the stream's memory the fluctuations are white, with `long_run_covariance`.

    Parameters
    ----------
    objective : Objective
    power, gamma : arrays (m,)
        Of the feature's process.
    depth : int
    epsilon : float
        Start, below half of the final size.
    frames : float
        Frames that pass in one unit of the paper's clock: batch / (depth * learning rate).
    shuffled : bool
        Independent pairs in place of consecutive ones.

    Returns
    -------
    float
        In the paper's clock, to a relative 1e-11 of the leading order.
    """
    power, gamma, _ = _process(power, gamma, 1)
    if power.ndim != 1:
        raise ValueError(f"power must be that of one feature, (m,), got shape {power.shape}")
    epsilon = validate.number("epsilon", epsilon, validate.positive)
    frames = validate.number("frames", frames, validate.positive)
    shuffled = validate.flag("shuffled", shuffled)
    unit = power.max() or 1.0
    power = power / unit  # whose squares fit in float64
    relative_lam, sigma_squared = (power * gamma).sum(), power.sum()
    positive = relative_lam > 0
    validate.where("gamma", gamma, positive, "must make power * gamma add up to a positive lam")
    lam, rho = relative_lam * unit, relative_lam / sigma_squared
    time = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
    if not time > 0:
        raise ValueError(f"epsilon must lie below half of the final size, got {epsilon!r}")
    if shuffled:
        (a, b), (_, d) = shuffled_covariance(power, gamma, 1)
    else:
        (a, b), (_, d) = long_run_covariance(power, gamma)
    # along y = log(w / w_inf): smooth on the scale of 1, so that pieces of 1/2 are exact
    s, m = objective.saturation_power(depth=depth) / depth, objective.slowdown(depth=depth)
    start, stop = dynamics._log_saturation(objective, epsilon, rho, depth) / s, np.log(0.5)
    edges = np.linspace(start, stop, int(2 * (stop - start)) + 2)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges)[:, None] / 2
    y = edges[:-1, None] + half * (1 + nodes)
    z, gap = np.exp(s * y), -np.expm1(s * y)
    spread = a - 2 * rho * z * b + (rho * z) ** 2 * d
    integrand = spread / relative_lam**2 / gap**3 * half * weights
    log_variance = logsumexp(-s * m * y, b=integrand) - m * np.log(rho) - np.log(lam)
    return float(dynamics._size_of((log_variance - np.log(frames)) / 2, "frames", frames))


def _process(power, gamma, count):
    power, gamma = validate.broadcast(
        power=validate.non_negative("power", power), gamma=validate.finite("gamma", gamma)
    )
    validate.where("gamma", gamma, np.abs(gamma) < 1, "must lie in (-1, 1)")
    if power.ndim == 0 or power.shape[-1] == 0:
        raise ValueError(f"power must have an axis of components, got shape {power.shape}")
    count = _count(count)
    validate.broadcast(power=power[..., 0], count=count)
    return power, gamma, count[..., None, None]


def _count(count):
    count = validate.finite("count", count)
    return validate.where("count", count, count >= 1, "must be at least 1")


def _whole_where_negative(count, g):
    """ValueError for a T that is not whole where a sum over lags has powers of a negative g."""
    whole = (count == np.floor(count)) | (g >= 0).all()
    validate.where("count", count, whole, "must be whole where gamma differ in sign")


def _products(gamma, other):
    """g = gamma gamma' for every pair of components, and 1 - g, which keeps its digits."""
    one, two = gamma[..., :, None], other[..., None, :]
    return one * two, np.where(
        one * two > 0, (1 - np.abs(one)) + np.abs(one) * (1 - np.abs(two)), 1 - one * two
    )


def _tail(gap, count):
    """sum over k = 1 ... T - 1 of (1 - k/T) g^(k - 1), for gap = 1 - g."""
    g, small = 1 - gap, count * gap < 1
    near, series = np.where(small, gap, 0.0), 0.0
    # where (1 - g) T is small the two terms of the closed form cancel: binomial series of g^T
    for n in range(_TERMS, 1, -1):
        series = 1.0 - (count - n) / (n + 1) * near * series
    with np.errstate(divide="ignore", under="ignore", over="ignore"):
        decayed = np.where(
            gap < 1, -np.expm1(count * np.log1p(-np.minimum(gap, 1.0))), 1 - g**count
        )
    return np.where(small, (count - 1) / 2 * series, 1 / gap - decayed / count / gap / gap)


def _lagged(gamma, other, tail):
    """sum over |k| < T of (1 - |k|/T) gamma^|k| other^|k - 1|, for every pair of components."""
    gamma, other = gamma[..., :, None], other[..., None, :]
    return gamma * tail + other * (1 + gamma * other * tail)


def _consecutive(power, gamma, g, tail, count):
    """The covariance of the two estimates, given `_tail` of g = gamma gamma'."""
    lam_lam = 1 + g + 2 * (g + gamma[..., :, None] ** 2) * tail
    return _matrix(power, lam_lam, 2 * _lagged(gamma, gamma, tail), 2 + 4 * g * tail, count)


def _matrix(power, lam_lam, lam_sigma, sigma_sigma, count):
    """Sums over pairs of components with weights power power', over T; a matrix (..., 2, 2)."""
    scaled, unit = in_units(power, axis=-1)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        product = scaled[..., :, None] * scaled[..., None, :]
        entries = (
            (product * entry / count).sum((-2, -1)) for entry in (lam_lam, lam_sigma, sigma_sigma)
        )
        a, b, d = (np.ldexp(entry, 2 * unit[..., 0]) for entry in np.broadcast_arrays(*entries))
    fits = np.isfinite([a, b, d]).all(0)
    allowed = "must be small enough for its square to fit in float64"
    validate.where("power", np.broadcast_to(power.max(-1), fits.shape), fits, allowed)
    return np.stack([np.stack([a, b], -1), np.stack([b, d], -1)], -2)
