"""lambda_i and rho_i of data: from pairs of views to features, intervals, and how well they fit.

One pass over the pairs collects moments of consecutive groups of rows (`moments`). Their total
gives the covariances; the groups, resampled, the intervals, which are those of a block bootstrap
and so allow for correlation between rows that is short against a group.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy import stats

from jepabook._support import validate
from jepabook._support.canonical import pointed
from jepabook._support.processes import Share
from jepabook.spectrum import reading
from jepabook.spectrum.backend import backend
from jepabook.spectrum.basis import along, common_basis, symmetric
from jepabook.spectrum.sources import source

SMALLEST = 1e-290  # sum of squares whose terms keep their digits
VARIES = 1e-12  # of the largest: a resampled variance below it is none


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Features of paired views, sorted by falling lam; see `estimate`.

    Attributes
    ----------
    count : int
        Pairs.
    lam, rho, sigma_squared : ndarrays (d,)
        u' Sigma_yx u, its ratio to u' Sigma_xx u, and the latter, for each direction u. lam may
        be negative or indistinguishable from 0.
    directions : ndarray (d, d)
        Columns u_i, orthonormal, largest entry positive. Of features that are equal in both lam
        and sigma_squared only the space that they span has a meaning.
    sigma_xx, sigma_yx : ndarrays (d, d)
        Covariances of the views about their means.
    lam_replicates, rho_replicates : ndarrays (replicates, d)
        Bootstrap replicates along the same directions, their spread widened as Student's
        distribution demands for so many groups. rho is NaN where what was resampled does not vary.
    confidence : float
        Of the intervals.
    explained : float
        Share of the variance of y that the best linear predictor from x explains, corrected for
        the number of features as the adjusted R^2 is.
    misalignment : float
        The part of that which is lost if u_i' y is predicted from u_i' x alone: 0 if and only if
        the best predictor keeps to features. Corrected likewise, so it may fall below 0; but
        directions that miss the population's for want of data cost of the order of d/count. NaN
        where x explains nothing.
    """

    count: int
    lam: np.ndarray
    rho: np.ndarray
    sigma_squared: np.ndarray
    directions: np.ndarray
    sigma_xx: np.ndarray
    sigma_yx: np.ndarray
    lam_replicates: np.ndarray
    rho_replicates: np.ndarray
    confidence: float
    explained: float
    misalignment: float

    def __len__(self):
        return len(self.lam)

    @property
    def correlation(self):
        """Root mean square correlation of different features in x.

        Without any in the population, n pairs still show up to about n^(-1/2). If `misalignment`
        and this are 0 in the population, the directions diagonalise both covariances.
        """
        mixed = self.directions.T @ self.sigma_xx @ self.directions
        deviation = np.sqrt(np.diag(mixed))
        mixed = mixed / deviation / deviation[:, None]
        np.fill_diagonal(mixed, 0.0)
        return float(np.sqrt((mixed**2).sum() / max(1, len(mixed) * (len(mixed) - 1))))

    def crosstalk(self):
        """How much a learned feature pulls on one that is not, relative to that one's own pull.

        With C and A the covariances Sigma_yx and Sigma_xx in the basis, entry (i, j) is
        |C_ij - rho_i A_ij| / lam_j: the ratio of entries (i, j) and (j, j) of MAE's residual
        Sigma_yx - V W Sigma_xx when feature i is at rest and feature j small. In JEPA's residual
        the ratio is w_i / epsilon times this (chapter 6).

        Returns
        -------
        ndarray (d, d)
            0 on the diagonal; inf in the columns of features with lam_j <= 0.
        """
        u = self.directions
        c, a = u.T @ self.sigma_yx @ u, u.T @ self.sigma_xx @ u
        relative = np.full_like(c, np.inf)
        grows = self.lam > 0
        relative[:, grows] = np.abs(c - self.rho[:, None] * a)[:, grows] / self.lam[grows]
        np.fill_diagonal(relative, 0.0)
        return relative

    def interval(self, replicates):
        """Lower and upper end, (2, ...), of the central interval of replicates (n, ...).

        NaN, no interval, where a replicate is NaN.
        """
        replicates = validate.numbers("replicates", replicates)
        if not replicates.ndim or not len(replicates):
            raise ValueError(f"replicates must be (n, ...), got shape {replicates.shape}")
        tail = (1 - self.confidence) / 2
        return np.quantile(replicates, [tail, 1 - tail], axis=0)

    def generalised(self):
        """Solve Sigma_yx v = rho Sigma_xx v with the symmetric part of Sigma_yx.

        Where the covariances cannot be diagonalised together these are the directions of JEPA's
        fixed points (chapter 13).

        Returns
        -------
        rho : ndarray (d,)
            Falling.
        directions : ndarray (d, d)
            Columns v_i of length 1, largest entry positive, not orthogonal to each other.
        """
        values, vectors = scipy.linalg.eigh(symmetric(self.sigma_yx), self.sigma_xx)
        return values[::-1], pointed(vectors / np.linalg.norm(vectors, axis=0))[:, ::-1]


def estimate(
    x,
    y=None,
    *,
    groups=16,
    replicates=1000,
    confidence=0.95,
    seed=0,
    device="auto",
    share=None,
    progress=None,
):
    """Estimate the features of paired views in one pass and O(groups d^2) memory.

    Parameters
    ----------
    x, y : arrays (n, ...), or paths of ``.npy`` files
        Row i of each is one pair; axes after the first are flattened. Or only x: an iterable of
        batches (x, y), such as a torch ``DataLoader``.
    groups : int
        Consecutive groups of rows that the bootstrap resamples; at least 4, even.
    replicates : int
    confidence : float
    seed : int
        Of the bootstrap.
    device : {"auto", "cpu", "cuda"}
        auto: a GPU if torch sees one.
    share : share.Share, optional
        The place of this process among several: of arrays and files it reads its part, of an
        iterable all that it is given. Every process returns the same.
    progress : bool, optional
        Show a progress bar; default: where standard error is a terminal.

    Returns
    -------
    Spectrum

    Raises
    ------
    ValueError
        In one line: views that do not fit each other, numbers that are not finite (with the row),
        constant or dependent features, too few pairs, files that cannot be read.
    """
    groups = validate.integer("groups", groups, 4, most=10**6)
    replicates = validate.integer("replicates", replicates, most=10**7)
    progress = validate.switch("progress", progress)
    if groups % 2:
        raise ValueError(f"groups must be even, got {groups}")
    confidence = validate.number("confidence", confidence, validate.open_unit)
    seed, share = validate.seed(seed), Share() if share is None else share
    validate.instance("share", share, Share)
    machine = backend(device)
    if share.processes > groups:
        raise ValueError(
            f"groups must be at least {share.processes}, the number of processes, got {groups}"
        )
    with share.agreed():
        pairs = source(x, y)
        if pairs.count is not None:
            _check_rows(pairs.count, pairs.width, pairs.names)
        local = reading.read(pairs, groups, replicates, share, machine, progress)
    total = reading.total(local, groups, pairs, share, machine)
    factor = _factor(total, pairs.names)
    freedom = total.count - 1
    sigma_xx, sigma_yx = total.xx / freedom, total.yx / freedom
    # every process takes the first one's, for machines may differ where eigenvalues nearly agree
    first = np.zeros_like(sigma_xx)
    with share.agreed():
        if share.rank == 0:
            first = common_basis(sigma_xx, sigma_yx, machine)
    directions = share.total(first)
    lam, sigma_squared = along(directions, sigma_yx), along(directions, sigma_xx)
    parts = reading.projected(local, directions, groups, share, machine)
    rho = lam / sigma_squared
    replicas = _bootstrap(parts, replicates, seed)
    wider = _small_number(len(parts[0]), confidence)
    lam_replicates, rho_replicates = (
        found + wider * (replica - found)
        for found, replica in zip((lam, rho), replicas, strict=True)
    )
    explained, misalignment = _fit(total, factor, lam, sigma_squared)
    return Spectrum(
        total.count,
        lam,
        rho,
        sigma_squared,
        directions,
        sigma_xx,
        sigma_yx,
        lam_replicates,
        rho_replicates,
        confidence,
        explained,
        misalignment,
    )


def _check_rows(count, d, names):
    """Raise ValueError where there are too few pairs; as early as their number is known."""
    if count < d + 2:
        raise ValueError(
            f"{names[0]} must have at least {d + 2} rows for {d} features, got {count}: collect "
            "more pairs, or reduce the features to fewer"
        )


def _factor(total, names):
    """Cholesky's factor of total.xx; ValueError unless the covariances can be estimated."""
    d = len(total.yy)
    _check_rows(total.count, d, names)
    views = zip(names, (total.mean_x, total.mean_y), (np.diag(total.xx), total.yy), strict=True)
    for name, mean, squares in views:
        constant = np.flatnonzero(squares <= total.count * (1e-12 * mean) ** 2)
        if len(constant):
            more = f" and {len(constant) - 1} more" if len(constant) > 1 else ""
            raise ValueError(
                f"{name} must vary in every feature, got constant feature {constant[0]}{more}: "
                "drop them from both views"
            )
        faint = np.flatnonzero(squares < SMALLEST)
        if len(faint):
            raise ValueError(
                f"{name} must have sums of squares of at least {SMALLEST}, for less has lost its "
                f"digits, got {squares[faint[0]]:.3g} of feature {faint[0]}: scale the views up"
            )
    factor, stopped = scipy.linalg.lapack.dpotrf(total.xx, lower=1)
    pivots = np.diag(factor) ** 2 > 8 * d * np.finfo(float).eps * np.diag(total.xx)
    if stopped or not pivots.all():
        which = stopped - 1 if stopped else pivots.argmin()
        raise ValueError(
            f"{names[0]} must have linearly independent features, got feature {which} that those "
            "before it determine: project both views on the leading principal components of x"
        )
    return factor


def _bootstrap(parts, replicates, seed):
    """Replicates (replicates, d) of lam and rho: G - 1 of G groups drawn with replacement.

    One draw fewer than there are groups makes the spread of a mean unbiased (Rao and Wu 1988).
    """
    counts, mean_x, mean_y, xx, yx = parts
    drawn = max(1, len(counts) - 1)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(drawn, np.full(len(counts), 1 / len(counts)), replicates)
    total = weights @ counts

    def pooled(within, left, right):
        """Products about the resampled means."""
        sums = [weights @ (counts * part) for part in (left, right, left * right)]
        return weights @ within + sums[2] - sums[0] * sums[1] / total

    # about the mean of all, so that a large mean costs no digits
    mean_x, mean_y = (mean - (counts * mean).sum(0) / counts.sum() for mean in (mean_x, mean_y))
    xx, yx = pooled(xx, mean_x, mean_x), pooled(yx, mean_y, mean_x)
    varies = xx > VARIES * xx.max(0)
    rho = np.divide(yx, xx, out=np.full_like(yx, np.nan), where=varies)
    return yx / np.maximum(total - 1, 1), rho


def _small_number(groups, confidence):
    """How much wider Student's interval is than the normal one, for this many groups."""
    tail = (1 + confidence) / 2
    return stats.t.ppf(tail, groups - 1) / stats.norm.ppf(tail)


def _fit(total, factor, lam, sigma_squared):
    """The explained share of the variance of y, and the misalignment."""
    n, d = total.count, len(lam)
    whitened = scipy.linalg.solve_triangular(factor, total.yx.T, lower=True)
    squares = total.yy.sum()
    by_all = (whitened**2).sum()
    by_itself = (n - 1) * (lam * (lam / sigma_squared)).sum()
    variance = squares / (n - 1)
    by_all = variance - (squares - by_all) / (n - 1 - d)
    by_itself = variance - (squares - by_itself) / (n - 2)
    misalignment = 1 - by_itself / by_all if by_all > 0 else np.nan
    return float(by_all / variance), float(misalignment)
