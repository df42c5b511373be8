"""How sure lambda and rho are along directions that other rows gave: from sums over groups of rows.

rho = yx / xx is a regression without intercept, a group's sum of squares xx_g over all of xx its
leverage h_g. Its error is the sum over groups of (yx_g - rho xx_g) / (xx sqrt(1 - h_g)) times
independent normal numbers (the correction CR2 of Bell and McCaffrey 2002), widened to Student's
distribution with 1 / sum h_g^2 - 1 degrees of freedom: what few groups decide is known as from few.
sigma^2 errs likewise, in its logarithm, and lambda = rho sigma^2 with both.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST = 1.5  # groups of equal leverage that must be worth as much, for an interval
STEEPEST = 30.0  # change of log sigma^2
HEAVY, ENOUGH = (0.1, 0.6), 320  # see `heavy`
FOLLOWS = 3.0  # standard errors of the correlation of one group with the next
FEWEST_FOLLOWED = 12  # groups from which that is told


@dataclass(frozen=True, eq=False)
class Groups:
    """Sums over groups of rows that directions were not chosen by.

    Attributes
    ----------
    counts : ndarray (G, 1)
    xx, yx : ndarrays (G, d)
        Sums of (u' x)^2 and of u' x u' y over the rows of each group, for each direction u.
    freedom : int
        By what their totals are divided: rows, less one if means are taken off.
    """

    counts: np.ndarray
    xx: np.ndarray
    yx: np.ndarray
    freedom: int

    @property
    def values(self):
        """lam, rho, sigma_squared (d,); rho is NaN where x does not vary."""
        xx, yx = self.xx.sum(0), self.yx.sum(0)
        rho = np.divide(yx, xx, out=np.full_like(yx, np.nan), where=xx > 0)
        return yx / self.freedom, rho, xx / self.freedom

    @property
    def leverage(self):
        """Share of each group in xx, (G, d); 0 where x does not vary."""
        xx = self.xx.sum(0)
        return np.divide(self.xx, xx, out=np.zeros_like(self.xx), where=xx > 0)

    @property
    def degrees(self):
        """Degrees of freedom, (d,); NaN where too few groups decide for an interval."""
        squares = (self.leverage**2).sum(0)
        worth = np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0)
        return np.where(worth >= FEWEST, worth - 1, np.nan)

    def errors(self):
        """What each group adds to the errors of rho and of log sigma^2: two arrays (G, d)."""
        rho, xx = self.values[1], self.xx.sum(0)
        known = np.isfinite(self.degrees)
        rho, xx = np.where(known, rho, 0.0), np.where(known, xx, 1.0)
        loose = np.sqrt(np.where(known, 1 - self.leverage, 1.0)) * xx
        share = self.counts / self.counts.sum()
        return (self.yx - rho * self.xx) / loose, (self.xx - share * xx) / loose

    def replicates(self, count, confidence, seed):
        """lam and rho as they might be, two arrays (count, d), NaN where there is no interval."""
        normal = np.random.default_rng(seed).standard_normal((count, len(self.counts)))
        _, rho, sigma_squared = self.values
        wider = student(self.degrees, confidence)
        for_rho, for_log = self.errors()
        rho = rho + wider * (normal @ for_rho)
        steps = (wider * (normal @ for_log)).clip(-STEEPEST, STEEPEST)
        return rho * (sigma_squared * np.exp(steps)), rho

    def evidence(self, least):
        """How likely data such as these are if rho is in truth at most, at least, `least`.

        Parameters
        ----------
        least : float

        Returns
        -------
        at_most, at_least : ndarrays (d,)
            One-sided p values; 1 where there is no interval.
        """
        degrees, rho = self.degrees, self.values[1]
        known = np.isfinite(degrees)
        spread = np.sqrt((self.errors()[0] ** 2).sum(0))
        off = np.where(known, rho - least, 0.0)
        sure = np.where(off > 0, np.inf, np.where(off < 0, -np.inf, 0.0))  # without a spread
        far = np.divide(off, spread, out=sure, where=spread > 0)
        return tuple(
            np.where(known, stats.t.sf(sign * far, np.where(known, degrees, 1.0)), 1.0)
            for sign in (1, -1)
        )


def student(degrees, confidence):
    """How much wider Student's interval is than the normal one; NaN for NaN."""
    tail = (1 + confidence) / 2
    return stats.t.ppf(tail, degrees) / stats.norm.ppf(tail)


def holm(values, level):
    """Which of p values (d,) are below a level, with all that are named right at once (Holm)."""
    order = np.argsort(values, kind="stable")
    below = values[order] <= level / np.arange(len(values), 0, -1)
    found = np.zeros(len(values), bool)
    found[order] = np.logical_and.accumulate(below)
    return found


def discovered(values, level):
    """Which of p values (d,) hold but for a share `level` of them (Benjamini and Hochberg)."""
    order = np.argsort(values, kind="stable")
    below = np.flatnonzero(values[order] <= level * np.arange(1, len(values) + 1) / len(values))
    found = np.zeros(len(values), bool)
    found[order[: below.max(initial=-1) + 1]] = True
    return found


def heavy(energy, features):
    """Whether one row has so much of the spread of energies that their variance has no estimate.

    Parameters
    ----------
    energy : ndarray (4,)
        Number of rows; sum, sum of squares and maximum of their energies. The share of the largest
        in the sum of squares falls to 0 as rows are added if the energies have a variance, and does
        not if they have none: with tails that fall off exponentially it is below what is asked for.
    features : int
        Of a pair that an energy is the sum over.
    """
    count, total, squares, most = energy
    if not (count > 1 and np.isfinite(energy).all()):
        return False
    mean = total / count
    spread = squares - count * mean**2
    share = np.clip(np.sqrt(ENOUGH / (count * features)), *HEAVY)
    return bool(spread > 0 and (most - mean) ** 2 > share * spread)


def following(counts, means):
    """Whether groups of rows resemble the next one: rows hang together over more than a group.

    Parameters
    ----------
    counts : ndarray (G,)
    means : ndarray (G, k)
        Of features over the rows of each group, in the order of rows.
    """
    if len(means) < FEWEST_FOLLOWED:
        return False
    off = (means - counts @ means / counts.sum()) * np.sqrt(counts)[:, None]
    squares = (off**2).sum(0)
    follow = np.divide(
        (off[1:] * off[:-1]).sum(0), squares, out=np.zeros_like(squares), where=squares > 0
    )
    return bool(follow.mean() * np.sqrt(len(means)) > FOLLOWS)
