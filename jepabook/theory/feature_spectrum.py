"""A data set as the theory sees it: one pair (lam, rho) for every feature."""

from dataclasses import dataclass

import numpy as np

from jepabook._support import validate

VARIANCE_FITS = "must be large enough for lam / rho to fit in float64"


@dataclass(frozen=True, eq=False)
class FeatureSpectrum:
    """Covariances lam_i and regression coefficients rho_i of d features, below eq. (5).

    Parameters
    ----------
    lam : array_like (d,)
        lam_i = E[y_i x_i] > 0.
    rho : array_like (d,)
        rho_i = lam_i / E[x_i^2] > 0; broadcasts against lam.

    Raises
    ------
    ValueError
        If a value is not positive and finite, or the shapes do not broadcast to one dimension.
    """

    lam: np.ndarray
    rho: np.ndarray

    def __post_init__(self):
        lam, rho = validate.broadcast(
            lam=np.atleast_1d(validate.positive("lam", self.lam)),
            rho=np.atleast_1d(validate.positive("rho", self.rho)),
        )
        if lam.ndim != 1:
            raise ValueError(f"lam and rho must be one-dimensional, got shape {lam.shape}")
        for name, values in (("lam", lam.copy()), ("rho", rho.copy())):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def __len__(self):
        return len(self.lam)

    @property
    def sigma_squared(self):
        """sigma_i^2 = E[x_i^2] = lam_i / rho_i, shape (d,); ValueError where it overflows."""
        with np.errstate(over="ignore"):
            variance = self.lam / self.rho
        validate.where("rho", self.rho, np.isfinite(variance), VARIANCE_FITS)
        return variance

    def covariances(self):
        """The diagonal matrices (Sigma_xx, Sigma_yx), each (d, d); the dynamics need no others."""
        return np.diag(self.sigma_squared), np.diag(self.lam)

    def sample(self, count, seed, noise=0.0):
        """Draw Gaussian views: x_i of variance sigma_i^2 and y_i = rho_i x_i + sqrt(noise_i) n_i.

        Parameters
        ----------
        count : int
            Number of pairs.
        seed : int or NumPy Generator
        noise : array_like
            Variance >= 0 of what x cannot predict in y, one for all features or one for each.

        Returns
        -------
        x, y : ndarrays (count, d)
        """
        count = validate.integer("count", count, each=48 * len(self))
        noise, rng = validate.non_negative("noise", noise), validate.generator(seed)
        if noise.shape not in ((), (1,), (len(self),)):
            raise ValueError(f"noise must be one or {len(self)} numbers, got shape {noise.shape}")
        x = rng.standard_normal((count, len(self))) * np.sqrt(self.sigma_squared)
        return x, self.rho * x + rng.standard_normal(x.shape) * np.sqrt(noise)


def distribution(number, count, lam=(0.5, 1.5), rho=(0.5, 1.5)):
    """The paper's two families of features (Section 2), evenly spaced.

    Parameters
    ----------
    number : {1, 2}
        1: lam and rho both increase with the index; 2: lam increases, rho decreases.
    count : int
        Number of features.
    lam, rho : pairs of floats
        Smallest and largest value. The paper gives none; these are ours.

    Returns
    -------
    FeatureSpectrum
    """
    number = validate.integer("number", number, least=1, most=2)
    count = validate.integer("count", count, each=128)
    ends = (validate.shaped(name, ends, (2,)) for name, ends in (("lam", lam), ("rho", rho)))
    lam_values, rho_values = (np.linspace(*pair, count) for pair in ends)
    return FeatureSpectrum(lam_values, rho_values if number == 1 else rho_values[::-1])
