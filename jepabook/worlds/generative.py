"""The paper's two generative models of views (Section 4.1, Appendix C): random masks, and flicker.

Each class has side by side what it draws, `sample`; the exact second moments of that,
`covariances`; and what the paper's formulas say of its features, `theory`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from jepabook._support import validate
from jepabook._support.units import norm

PIXELS_FIT = "must be so small that the variance of every pixel fits in float64"
MOST_PIXELS = 4096  # along a side of a screen


@dataclass(frozen=True, eq=False)
class FeatureDirections:
    """What the paper's formulas say of the features of a generative model.

    Attributes
    ----------
    directions : ndarray (k, d)
        One feature a row, not normalised.
    lam, rho, sigma_squared : ndarrays (k,)
        Covariance, regression coefficient, variance in x. Not a `FeatureSpectrum`: lam may be
        negative.
    """

    directions: np.ndarray
    lam: np.ndarray
    rho: np.ndarray
    sigma_squared: np.ndarray


def gaussian_dictionary(count, width, seed):
    """Rows B_k with entries N(0, 1/width): the B of Appendix C.1. Shape (count, width)."""
    return _normal(count, width, seed) / np.sqrt(width)


def orthogonal_dictionary(count, width, seed):
    """`count` <= `width` orthonormal rows, uniform among all such (Haar). Shape (count, width)."""
    matrix = _normal(count, width, seed)
    if len(matrix) > matrix.shape[1]:
        raise ValueError(f"count must be at most width = {width}, got {count}")
    q, r = np.linalg.qr(matrix.T)
    return (q * np.sign(np.diag(r))).T


def sparse_power(count, gamma):
    """E[s_k^2] of gamma-sparse coefficients: 1 for the first round(gamma count), 0 for the rest."""
    count = validate.integer("count", count, each=24)
    gamma = validate.number("gamma", gamma, validate.half_open_unit)
    return (np.arange(count) < round(gamma * count)).astype(float)


@dataclass(frozen=True, eq=False)
class RandomMasks:
    """Two complementary random masks of z = sum_k s_k B_k + eta, eqs. (122), (123).

    Coefficients and noise are independent and normal here. Only their second moments matter to
    linear networks, and the paper assumes no more.

    Parameters
    ----------
    dictionary : array (k, d)
        B, one feature a row.
    power : array (k,)
        E[s_k^2] >= 0.
    noise : float
        E[eta_i^2] >= 0, the same for every pixel.
    visible : float
        f in (0, 1): the share of pixels in x; y has the others.
    """

    dictionary: np.ndarray
    power: np.ndarray
    noise: float
    visible: float

    def __post_init__(self):
        dictionary = validate.shaped("dictionary", self.dictionary, ("k", "d"))
        power = _one_each("power", validate.non_negative("power", self.power), len(dictionary))
        object.__setattr__(self, "dictionary", dictionary)
        object.__setattr__(self, "power", power)
        for name, check in (("noise", validate.non_negative), ("visible", validate.open_unit)):
            value = validate.number(name, getattr(self, name), check)
            object.__setattr__(self, name, value)
        with np.errstate(over="ignore", under="ignore"):
            scaled = dictionary * np.sqrt(power)[:, None]
            variance = (scaled**2).sum(0) + self.noise
        validate.where("power", variance, np.isfinite(variance), PIXELS_FIT)

    def sample(self, count, seed):
        """Draw pairs of views.

        Returns
        -------
        x, y : ndarrays (count, d)
        """
        rng, width = validate.generator(seed), self.dictionary.shape[1]
        count = validate.integer("count", count, each=48 * (width + len(self.power)))
        s = rng.standard_normal((count, len(self.power))) * np.sqrt(self.power)
        z = s @ self.dictionary + rng.standard_normal((count, width)) * np.sqrt(self.noise)
        mask = rng.random((count, width)) < self.visible
        return np.where(mask, z, 0.0), np.where(mask, 0.0, z)

    def data_covariance(self):
        """E[z z'], (d, d): the first form of eq. (131)."""
        scaled = self.dictionary * np.sqrt(self.power)[:, None]
        return scaled.T @ scaled + self.noise * np.eye(self.dictionary.shape[1])

    def covariances(self):
        """E[x x'], E[y x'] and E[y y'], each (d, d): eqs. (128)-(130), exact for any dictionary."""
        return masked_covariances(self.data_covariance(), self.visible)

    def theory(self):
        """Theorem C.1, eqs. (124)-(126), for the features B_k.

        Returns
        -------
        FeatureDirections
            k of them; E[s^2] is the mean over all d coefficients, those beyond k being 0.
        """
        f, mean_power = self.visible, (self.power / self.dictionary.shape[1]).sum()
        lam = f * (1 - f) * (self.power - mean_power)
        sigma_squared = f**2 * self.power + f * self.noise + (f - f**2) * mean_power
        validate.where("power", sigma_squared, np.isfinite(sigma_squared), PIXELS_FIT)
        with np.errstate(invalid="ignore"):  # no power and no noise: x = 0, rho is undefined
            return FeatureDirections(self.dictionary, lam, lam / sigma_squared, sigma_squared)


def masked_covariances(covariance, visible):
    """Covariances of the two views that complementary random masks make, eqs. (128)-(130).

    Parameters
    ----------
    covariance : array (d, d)
        E[z z'] of the data.
    visible : float
        f, the share of pixels in x.

    Returns
    -------
    sigma_xx, sigma_yx, sigma_yy : ndarrays (d, d)
    """
    f = validate.number("visible", visible, validate.open_unit)
    covariance = validate.shaped("covariance", covariance, ("d", "d"))
    diagonal = np.diag(np.diag(covariance))
    spread = f * (1 - f)
    return (
        f**2 * covariance + spread * diagonal,
        spread * (covariance - diagonal),
        (1 - f) ** 2 * covariance + spread * diagonal,
    )


@dataclass(frozen=True, eq=False)
class FlickeringWorld:
    """Images that flicker, with noise: z_i(t) = sum_a u_a(t) v_ai + xi_i(t), eqs. (15), (134).

    The views are consecutive frames, x = z(t) and y = z(t + 1). Every u_a is the stationary
    autoregression of eq. (137), of variance 1.

    Parameters
    ----------
    images : array (M, d)
        v_a, not zero, with disjoint supports.
    gamma : array (M,)
        Autocorrelation of u_a from one frame to the next, in (-1, 1).
    noise : array (M,)
        Standard deviation sigma_a >= 0 of the noise in the region of image a.
    region : array of int (d,)
        The image a(i) to whose region pixel i belongs; covers the support of each image.
    noise_gamma : array (M,)
        Autocorrelation of the noise in each region; 0 in the paper.
    """

    images: np.ndarray
    gamma: np.ndarray
    noise: np.ndarray
    region: np.ndarray
    noise_gamma: np.ndarray = 0.0

    def __post_init__(self):
        images = validate.shaped("images", self.images, ("M", "d"))
        count, width = images.shape
        validate.where("images", norm(images, 1), (images != 0).any(1), "must not be zero")
        region = validate.integers("region", self.region, least=0, most=count - 1)
        if region.shape != (width,):
            raise ValueError(f"region must be {width} integers, got shape {region.shape}")
        inside = (images == 0) | (region == np.arange(count)[:, None])
        validate.where("images", images, inside, "must be 0 outside of their regions")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "region", region)
        for name in ("gamma", "noise_gamma", "noise"):
            check = validate.non_negative if name == "noise" else _correlation
            values = check(name, getattr(self, name))
            object.__setattr__(self, name, _one_each(name, values, count))
        with np.errstate(over="ignore", under="ignore"):
            power = (images**2).sum(1) + self.noise**2
        validate.where("images", power, np.isfinite(power), PIXELS_FIT)

    def frames(self, count, seed, chunk=8192):
        """One stream of frames, a part at a time.

        Parameters
        ----------
        count : int
            Frames in all.
        seed : int
        chunk : int
            Frames a part.

        Yields
        ------
        ndarray (at most `chunk`, d)
        """
        count, chunk = validate.integer("count", count), validate.integer("chunk", chunk)
        return self._frames(count, Frames(self, seed), chunk)

    def _frames(self, count, stream, chunk):
        for start in range(0, count, chunk):
            yield stream.next(min(chunk, count - start))

    def sample(self, count, seed):
        """`count` pairs of consecutive frames of one stream: x and y, each (count, d)."""
        count = validate.integer("count", count, each=24 * len(self.region))
        frames = np.concatenate(list(self.frames(count + 1, seed)))
        return frames[:-1], frames[1:]

    def covariances(self):
        """E[x x'], E[y x'] and E[y y'], each (d, d): eqs. (138), (139) with the noise's memory."""
        noise = np.diag(self.noise[self.region] ** 2)
        slow = self.noise_gamma[self.region]
        sigma_xx = self.images.T @ self.images + noise
        return sigma_xx, (self.images.T * self.gamma) @ self.images + slow * noise, sigma_xx

    def theory(self):
        """lambda_a and rho_a of the images, eqs. (16), (140), (141).

        With slow noise lambda_a is gamma_a |v_a|^2 + gamma'_a sigma_a^2 (ours).
        """
        length, noise = norm(self.images, 1), self.noise
        lam = self.gamma * length**2 + self.noise_gamma * noise**2
        # the squares may leave float64 where the weights of light and noise do not
        with np.errstate(over="ignore", divide="ignore"):
            light, rest = 1 / (1 + (noise / length) ** 2), 1 / (1 + (length / noise) ** 2)
        rho = self.gamma * light + self.noise_gamma * rest
        return FeatureDirections(self.images, lam, rho, length**2 + noise**2)


def two_images(side=10, gamma=(0.99, 0.95), noise=(1.0, 0.5), noise_gamma=0.0):
    """The world of Figure 3: a disc that flickers in the left half of a screen, a U in the right.

    The paper gives gamma and the noise. It shows its images, but gives neither their number of
    pixels nor their norms; here |v_a| = 1.

    Parameters
    ----------
    side : int
        The screen has side x side pixels; even, 4 to 4096.
    gamma, noise, noise_gamma : array_like (2,)
        As in `FlickeringWorld`.

    Returns
    -------
    FlickeringWorld
    """
    side = validate.integer("side", side, least=4, most=MOST_PIXELS)
    if side % 2:
        raise ValueError(f"side must be even, got {side}")
    row, column = np.indices((side, side)) + 0.5
    across, down = np.abs(column - 0.75 * side), row - side / 2
    disc = down**2 + (column - side / 4) ** 2 < (0.22 * side) ** 2
    open_above = (across < 0.05 * side + 0.25) & (row < 0.65 * side)
    letter = (across < 0.2 * side) & (np.abs(down) < 0.3 * side) & ~open_above
    images = np.stack([disc.ravel(), letter.ravel()]).astype(float)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    region = (column > side / 2).astype(int).ravel()
    return FlickeringWorld(images, gamma, noise, region, noise_gamma)


class Frames:
    """A `FlickeringWorld` that runs: every call of `next` goes on where the last one ended.

    Parameters
    ----------
    world : FlickeringWorld
    seed : int
    """

    def __init__(self, world, seed):
        self.world = validate.instance("world", world, FlickeringWorld)
        # one generator each, so that the frames do not depend on how many are drawn at a time
        self.rngs = validate.generator(seed).spawn(2)
        self.light = self.noise = None

    def next(self, count):
        """The next `count` frames, (count, d)."""
        world, slow = self.world, self.world.noise_gamma[self.world.region]
        count = validate.integer("count", count, each=32 * len(slow))
        light, self.light = _autoregression(world.gamma, count, self.light, self.rngs[0])
        noise, self.noise = _autoregression(slow, count, self.noise, self.rngs[1])
        return light @ world.images + noise * world.noise[world.region]


def _autoregression(gamma, count, last, rng):
    """Stationary autoregressions of variance 1, coefficients gamma (n,), and their last values.

    They follow on `last` (n,), or begin: eq. (137).
    """
    eta = rng.standard_normal((count, len(gamma)))
    if not gamma.any():
        return eta, eta[-1]
    # a copy: what follows scales eta in place, and the first value is stationary as it is
    first = eta[0].copy() if last is None else gamma * last + np.sqrt(1 - gamma**2) * eta[0]
    eta *= np.sqrt(1 - gamma**2)
    eta[0] = first
    for value in np.unique(gamma):
        same = gamma == value
        if value:
            eta[:, same] = lfilter([1.0], [1.0, -value], eta[:, same], axis=0)
    return eta, eta[-1].copy()


def _normal(count, width, seed):
    width = validate.integer("width", width)
    count = validate.integer("count", count, each=32 * width)
    return validate.generator(seed).standard_normal((count, width))


def _one_each(name, values, count):
    """`values` as (count,), one for each of `count` features; one value serves all."""
    if values.ndim > 1 or values.size not in (1, count):
        raise ValueError(f"{name} must be one number or {count} of them, got shape {values.shape}")
    return np.broadcast_to(values, (count,))


def _correlation(name, value):
    value = validate.array(name, value)
    return validate.where(name, value, np.abs(value) < 1, "must lie in (-1, 1)")
