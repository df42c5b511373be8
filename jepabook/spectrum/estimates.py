"""lambda_i and rho_i of data: from pairs of views to features, intervals, and how well they fit.

One pass over the pairs collects moments of groups of rows (`moments`). Every other group makes one
half: the directions come from one half, values and intervals (`intervals`) along them from the
other, so that no value was chosen for being large. Groups are of consecutive rows, so intervals
allow for correlation between rows that is short against a group; or of clusters.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from jepabook._support import validate
from jepabook._support.canonical import pointed
from jepabook._support.processes import Share
from jepabook.spectrum import intervals, reading
from jepabook.spectrum.backend import backend
from jepabook.spectrum.basis import along, common_basis, symmetric
from jepabook.spectrum.moments import SMALLEST
from jepabook.spectrum.sources import source

UNITS = 8  # rows or clusters at least, half of them for directions
FAR = 0.1  # part of the first feature's lam from which on squared means are told of
CHANCE = 10  # times what squared means are by chance
FEW_ROWS = 300  # below, Student's t of 2.5 degrees of freedom often goes unnoticed
TOLD = 2  # standard errors of the share that chance explains


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Features of paired views; see `estimate`.

    Attributes
    ----------
    count, held_out : int
        Pairs; those of them that `directions` were not chosen by, which gave the values.
    lam, rho, sigma_squared : ndarrays (d,)
        u' Sigma_yx u, its ratio to u' Sigma_xx u, and the latter, for each direction u, on the
        rows held out. lam may be negative or indistinguishable from 0; rho is NaN where those rows
        of x do not vary.
    directions : ndarray (d, d)
        Columns u_i, orthonormal, largest entry positive, sorted by the lam that the rows have that
        they were chosen by. Of features that are equal in both lam and sigma_squared only the
        space that they span has a meaning.
    sigma_xx, sigma_yx : ndarrays (d, d)
        Covariances of the views, of all rows; about 0 where means were not taken off.
    mean_x, mean_y : ndarrays (d,)
        Of all rows.
    centred : bool
        Whether means were taken off.
    groups : intervals.Groups
        Sums along the directions over groups of the rows held out.
    lam_replicates, rho_replicates : ndarrays (replicates, d)
        Values as they might be in truth along these directions; NaN where too few groups decide
        for an interval.
    confidence : float
        Of the intervals.
    explained : float
        Share of the variance of y that the best linear predictor from x explains, corrected for
        the number of features as the adjusted R^2 is. All rows.
    misalignment : float
        The part of that which is lost if u_i' y is predicted from u_i' x alone: 0 if and only if
        the best predictor keeps to features. Corrected likewise, so it may fall below 0; but
        directions that miss the population's for want of data cost of the order of d/count. NaN
        where x explains no more than chance would. All rows.
    cut : reading.Cut or None
        Which rows were held out.
    cautions : tuple of str
        What there is in the data that makes intervals, or the question itself, doubtful.
    swapped : Spectrum or None
        The same with the halves exchanged: directions from the rows held out, values from the
        others.
    """

    count: int
    held_out: int
    lam: np.ndarray
    rho: np.ndarray
    sigma_squared: np.ndarray
    directions: np.ndarray
    sigma_xx: np.ndarray
    sigma_yx: np.ndarray
    mean_x: np.ndarray
    mean_y: np.ndarray
    centred: bool
    groups: intervals.Groups
    lam_replicates: np.ndarray
    rho_replicates: np.ndarray
    confidence: float
    explained: float
    misalignment: float
    cut: object = None
    cautions: tuple = ()
    swapped: object = None

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

    @property
    def overlap(self):
        """How well each direction is known, (d,): its largest squared cosine with one of `swapped`.

        1 if the other half has the same; small for what is not told apart from other features.
        """
        if self.swapped is None:
            raise ValueError("overlap must be asked of a spectrum with swapped, got None")
        return ((self.directions.T @ self.swapped.directions) ** 2).max(1)

    def crosstalk(self):
        """How much a learned feature pulls on one that is not, relative to that one's own pull.

        With C and A the covariances Sigma_yx and Sigma_xx in the basis, of all rows, entry (i, j)
        is |C_ij - C_ii / A_ii A_ij| / C_jj: the ratio of entries (i, j), (j, j) of MAE's residual
        Sigma_yx - V W Sigma_xx when feature i is at rest and feature j small. In JEPA's residual
        the ratio is w_i / epsilon times this (chapter 6).

        Returns
        -------
        ndarray (d, d)
            0 on the diagonal; inf in the columns of features with C_jj <= 0.
        """
        u = self.directions
        c, a = u.T @ self.sigma_yx @ u, u.T @ self.sigma_xx @ u
        relative, lam = np.full_like(c, np.inf), np.diag(c)
        grows, rho = lam > 0, lam / np.diag(a)
        relative[:, grows] = np.abs(c - rho[:, None] * a)[:, grows] / lam[grows]
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
    clusters=None,
    centred=True,
    groups=None,
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
        batches (x, y), such as a torch ``DataLoader``, or of (x, y, clusters).
    clusters : array (n,) of integers, or the path of a ``.npy`` file, optional
        What is independent, where rows are not: rows with the same number, such as augmentations
        of one image, count as one piece of evidence and stay in one half.
    centred : bool
        Whether means are taken off. A network that gets them sees the features of False.
    groups : int, optional
        Groups of rows that intervals come from, half of them from either half of the rows; at
        least 4, even. Consecutive rows make a group, which must be long against the time over
        which rows hang together. Default: 64, fewer (16 at least) where more would take much
        memory.
    replicates : int
    confidence : float
    seed : int
        Of the replicates.
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
    if groups is not None:
        groups = validate.integer("groups", groups, 4, most=10**6)
        if groups % 2:
            raise ValueError(f"groups must be even, got {groups}")
    replicates = validate.integer("replicates", replicates, most=10**7)
    progress, centred = validate.switch("progress", progress), validate.flag("centred", centred)
    confidence = validate.number("confidence", confidence, validate.open_unit)
    seed, share = validate.seed(seed), Share() if share is None else share
    validate.instance("share", share, Share)
    machine = backend(device)
    if groups is not None and share.processes > groups:
        raise ValueError(
            f"groups must be at least {share.processes}, the number of processes, got {groups}"
        )
    with share.agreed():
        pairs = source(x, y, clusters)
        if pairs.count is not None:
            _check_rows(pairs.count, pairs.width, pairs.names)
        local = reading.read(pairs, groups, replicates, share, machine, progress)
    halves, follows = reading.halves(local, pairs, share, machine, centred)
    total = reading.both(halves, centred)
    factor = _factor(total, pairs.names)
    _check_halves(halves, pairs)
    freedom = total.count - centred
    bases = _bases(halves, share, machine)
    held = reading.projected(local, halves, bases[::-1], share, machine, centred)
    cuts = reading.cuts(local, pairs, share)
    cautions = _cautions(total, held, follows, pairs, centred)
    found = None
    for half in (0, 1):  # values from this one; the second is what is asked for
        groups = intervals.Groups(*held[half], halves[half].moments.count - centred)
        directions = bases[1 - half]
        values = [along(directions, part) / freedom for part in (total.yx, total.xx)]
        found = Spectrum(
            total.count,
            halves[half].moments.count,
            *groups.values,
            directions,
            total.xx / freedom,
            total.yx / freedom,
            total.mean_x,
            total.mean_y,
            centred,
            groups,
            *groups.replicates(replicates, confidence, seed),
            confidence,
            *_fit(total, freedom, factor, *values),
            cuts[half],
            cautions,
            found,
        )
    return found


def _bases(halves, share, machine):
    """Directions from each half, the same in every process."""
    # every process takes the first one's, for machines may differ where eigenvalues nearly agree
    first = np.zeros((2, *halves[0].moments.xx.shape))
    with share.agreed():
        if share.rank == 0:
            here, other = (half.moments for half in halves)
            first[0], angle = common_basis(here.xx, here.yx, machine)
            # the best combination is a matter of the population, and eigenvectors are what it costs
            first[1], _ = common_basis(other.xx, other.yx, machine, (angle,))
    return share.total(first)


def _check_halves(halves, pairs):
    """Raise ValueError where too little is independent for two halves."""
    units = sum(len(np.unique(half.numbers[half.members])) for half in halves)
    if pairs.clustered and units < UNITS:
        raise ValueError(
            f"clusters must fall into {UNITS} groups at least, got {units}: collect pairs that are "
            "independent of each other"
        )


def _cautions(total, held, follows, pairs, centred):
    """Sentences on what makes the answer doubtful."""
    found = []
    if intervals.heavy(total.energy, 2 * pairs.width):
        found.append(
            "one row has a tenth or more of the spread of all squares: tails are so heavy that no "
            "interval can be trusted, those of lambda least; clip or transform the views"
        )
    elif total.count < FEW_ROWS:
        found.append(
            f"{total.count} rows are too few to notice heavy tails: intervals are those of tails "
            "like the normal distribution's; collect more pairs, or look at the largest values"
        )
    if follows:
        found.append(
            "each group of rows resembles the next one: rows hang together over more than a group, "
            "and intervals are too narrow; ask for fewer groups, or name what is independent "
            "(clusters)"
        )
    squares, first = total.mean_y @ total.mean_x, held[1][2].sum(0).max() / held[1][0].sum()
    fewer = pairs.clustered or follows
    independent = sum(len(part[0]) for part in held) if fewer else total.count
    spreads = np.sqrt(np.trace(total.xx)) * np.sqrt(total.yy.sum())
    by_chance = spreads / total.count / independent
    if centred and squares > max(FAR * first, CHANCE * by_chance):
        found.append(
            f"the squared mean is {squares:.2g}, the first feature's lambda {first:.2g}: a "
            "network that gets the views with their means learns another first feature; take means "
            "off there too, or ask without (centred=False, --uncentred)"
        )
    return tuple(found)


def _check_rows(count, d, names):
    """Raise ValueError where there are too few pairs; as early as their number is known."""
    least = max(d + 2, UNITS)
    if count < least:
        raise ValueError(
            f"{names[0]} must have at least {least} rows for {d} features, got {count}: collect "
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
            advice = "drop them from both views"
            if abs(mean[constant[0]]) < 1e-150:
                # zeros, or numbers that vary, but whose squares are 0 in float64
                more += ", 0 or so small that its squares are"
                advice += ", or scale the views up"
            raise ValueError(
                f"{name} must vary in every feature, got constant feature {constant[0]}{more}: "
                f"{advice}"
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


def _fit(total, freedom, factor, lam, sigma_squared):
    """The explained share of the variance of y, and the misalignment."""
    d = len(lam)
    whitened = scipy.linalg.solve_triangular(factor, total.yx.T, lower=True)
    squares = total.yy.sum()
    by_all = (whitened**2).sum()
    by_itself = freedom * (lam * (lam / sigma_squared)).sum()
    variance = squares / freedom
    by_all = variance - (squares - by_all) / (freedom - d)
    by_itself = variance - (squares - by_itself) / (freedom - 1)
    told = by_all > TOLD * np.sqrt(2 * d) / total.count * variance
    misalignment = 1 - by_itself / by_all if told else np.nan
    return float(by_all / variance), float(misalignment)
