"""lambda_i and rho_i of data: from pairs of views to features, intervals, and how well they fit.

One pass over the pairs collects moments of consecutive groups of rows (`moments`). Their total
gives the covariances; the groups, resampled, the intervals, which are those of a block bootstrap
and so allow for correlation between rows that is short against a group.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy import stats

from jepabook import _validate
from jepabook.spectrum.backend import backend
from jepabook.spectrum.moments import Groups
from jepabook.spectrum.share import Share
from jepabook.spectrum.sources import Pairs, refuse, source

ANGLES = np.pi / 8 * np.array([1, 3, 5, 7])
TURNS, LEAST_GAIN = 12, 0.01
VARIES = 1e-12  # of the largest: a resampled variance below it is none


class PartError(ValueError):
    """Bad input in the share that one of several processes read."""


class ElsewhereError(ValueError):
    """Bad input in the share of another process."""


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
        Columns u_i, orthonormal, largest entry positive.
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
        the ratio is w_i / epsilon times this (chapter 12).

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
        tail = (1 - self.confidence) / 2
        return np.quantile(replicates, [tail, 1 - tail], axis=0)

    def generalised(self):
        """Solve Sigma_yx v = rho Sigma_xx v with the symmetric part of Sigma_yx.

        Where the covariances cannot be diagonalised together these are the directions of JEPA's
        fixed points (chapter 8).

        Returns
        -------
        rho : ndarray (d,)
            Falling.
        directions : ndarray (d, d)
            Columns v_i of length 1, not orthogonal to each other.
        """
        values, vectors = scipy.linalg.eigh(_symmetric(self.sigma_yx), self.sigma_xx)
        return values[::-1], (vectors / np.linalg.norm(vectors, axis=0))[:, ::-1]


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
    groups, replicates = (
        _validate.integer("groups", groups, 4),
        _validate.integer("replicates", replicates),
    )
    if groups % 2:
        raise ValueError(f"groups must be even, got {groups}")
    confidence = _validate.number("confidence", _validate.open_unit("confidence", confidence))
    seed = _validate.integer("seed", seed, least=0)
    machine, share, pairs = backend(device), share or Share(), source(x, y)
    if share.processes > groups:
        raise ValueError(
            f"groups must be at least {share.processes}, the number of processes, got {groups}"
        )
    local, failure = _read(pairs, groups, share, machine, progress)
    total = _total(local, failure, groups, pairs, share, machine)
    factor = _factor(total, pairs.names)
    freedom = total.count - 1
    sigma_xx, sigma_yx = total.xx / freedom, total.yx / freedom
    # every process takes the first one's, for machines may differ where eigenvalues nearly agree
    first = _directions(sigma_xx, sigma_yx, machine) if share.rank == 0 else np.zeros_like(sigma_xx)
    directions = share.total(first)
    lam, sigma_squared = _along(directions, sigma_yx), _along(directions, sigma_xx)
    parts = _projected(local, directions, groups, share, machine)
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


@dataclass(frozen=True, eq=False)
class _Total:
    """Moments of all pairs of all processes, as `moments.Moments`."""

    count: int
    mean_x: np.ndarray
    mean_y: np.ndarray
    xx: np.ndarray
    yx: np.ndarray
    yy: np.ndarray


def _read(pairs, groups, share, machine, progress):
    """This process' groups, and the error that stopped it or None."""
    if isinstance(pairs, Pairs):
        rows = -(-pairs.count // groups)
        start, stop = (min(pairs.count, rows * edge) for edge in share.of(groups))
        blocks, collected = pairs.blocks(start, stop), Groups(rows, groups, machine)
    else:
        start, stop = 0, None
        blocks, collected = pairs.blocks(), Groups(None, groups, machine)
    bar = _bar(stop and stop - start, share.rank == 0 and progress)
    try:
        with bar, np.errstate(over="ignore", invalid="ignore"):
            for row, x, y in blocks:
                if not collected.add(x, y):
                    refuse(pairs.names, row, x, y)
                bar.update(len(x))
        collected.close()
    except ValueError as error:
        if share.processes == 1 or pairs.width is None:
            raise
        return [], PartError(str(error))
    return collected.groups, None


def _bar(total, progress):
    from tqdm import tqdm

    disable = None if progress is None else not progress  # None: unless there is a terminal
    return tqdm(total=total, disable=disable, unit=" pairs", unit_scale=True, delay=1)


def _total(local, failure, groups, pairs, share, machine):
    """Join the groups of all processes, in one sum over processes.

    Every process writes counts and means of its groups into places of its own, zeros elsewhere,
    and adds its groups' products; what the differences of means contribute is then known to all.
    """
    d = pairs.width
    if d is None:
        raise ValueError("x must yield at least one batch, got none")
    places = np.zeros((share.processes, groups, 1 + 2 * d))
    sums = [np.zeros((d, d)), np.zeros((d, d)), np.zeros(d)]
    for place, group in zip(places[share.rank], local, strict=False):
        place[0] = group.count
        place[1 : 1 + d], place[1 + d :] = machine.numpy(group.mean_x), machine.numpy(group.mean_y)
        for mine, theirs in zip(sums, (group.xx, group.yx, group.yy), strict=True):
            mine += machine.numpy(theirs)
    joined = share.total(
        np.concatenate([[failure is not None], places.ravel(), *(part.ravel() for part in sums)])
    )
    if joined[0]:
        raise failure or ElsewhereError("x and y must be fit in every process's share")
    places, xx, yx, yy = np.split(joined[1:], np.cumsum([places.size, d * d, d * d]))
    counts, means_x, means_y = np.split(places.reshape(-1, 1 + 2 * d), [1, 1 + d], axis=1)
    count = counts.sum()
    mean_x, mean_y = (counts * means_x).sum(0) / count, (counts * means_y).sum(0) / count
    off_x, off_y = means_x - mean_x, means_y - mean_y
    return _Total(
        int(count),
        mean_x,
        mean_y,
        xx.reshape(d, d) + (counts * off_x).T @ off_x,
        yx.reshape(d, d) + (counts * off_y).T @ off_x,
        yy + (counts * off_y**2).sum(0),
    )


def _factor(total, names):
    """Cholesky's factor of total.xx; ValueError unless the covariances can be estimated."""
    d = len(total.yy)
    if total.count < d + 2:
        raise ValueError(
            f"{names[0]} must have at least {d + 2} rows for {d} features, got "
            f"{total.count}: collect more pairs, or reduce the features to fewer"
        )
    views = zip(names, (total.mean_x, total.mean_y), (np.diag(total.xx), total.yy), strict=True)
    for name, mean, squares in views:
        constant = np.flatnonzero(squares <= total.count * (1e-12 * mean) ** 2)
        if len(constant):
            more = f" and {len(constant) - 1} more" if len(constant) > 1 else ""
            raise ValueError(
                f"{name} must vary in every feature, got constant feature {constant[0]}{more}: "
                "drop them from both views"
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


def _symmetric(matrix):
    return (matrix + matrix.T) / 2


def _along(directions, matrix):
    """u' M u for every column u."""
    return ((matrix @ directions) * directions).sum(0)


def _directions(sigma_xx, sigma_yx, machine):
    """The orthonormal basis that comes nearest to diagonalising both covariances.

    The eigenvectors of a generic combination of two commuting matrices diagonalise both, also
    where one of them has equal eigenvalues. The best of four such bases is turned until it mixes
    no features that differ in either matrix, though noise mixed them in the combination. Sorted
    by falling u' Sigma_yx u.
    """
    scaled = [m / np.abs(m).max() for m in (sigma_xx, _symmetric(sigma_yx)) if m.any()]
    scaled = [machine.array(m / np.linalg.norm(m)) for m in scaled]
    best, most = None, -1.0
    for angle in ANGLES:
        parts = zip((np.cos(angle), np.sin(angle)), scaled, strict=False)
        basis = machine.eigenvectors(sum(weight * m for weight, m in parts))
        diagonal = sum(float((_along(basis, m) ** 2).sum()) for m in scaled)
        if diagonal > most:
            best, most = basis, diagonal
    best = machine.numpy(_turned(best, scaled, machine))
    best = best[:, np.argsort(-_along(best, sigma_yx), kind="stable")]
    return best * np.sign(best[np.abs(best).argmax(0), np.arange(len(best))])


def _turned(basis, matrices, machine):
    """Turn a basis until small rotations bring symmetric matrices no nearer to diagonal.

    Gauss-Newton: to first order the rotation 1 + K by an antisymmetric K takes K_ij (M_jj - M_ii)
    off entry (i, j) of each matrix M; K_ij solves this for all of them by least squares.
    """
    mixed, step = [basis.T @ m @ basis for m in matrices], 1.0
    for _ in range(TURNS):
        gaps = [m.diagonal() - m.diagonal()[:, None] for m in mixed]
        weight = sum(gap * gap for gap in gaps)
        angles = sum(m * gap for m, gap in zip(mixed, gaps, strict=True)) / (weight + (weight == 0))
        turn = machine.rotation(step * (angles - angles.T).clip(-1, 1) / 2)
        turned = [turn.T @ m @ turn for m in mixed]
        before, after = (sum(_off_diagonal(m) for m in ms) for ms in (mixed, turned))
        if after >= before:
            step /= 4
            continue
        basis, mixed, step = basis @ turn, turned, 1.0
        if before - after < LEAST_GAIN * before:
            break
    return basis


def _off_diagonal(matrix):
    """Sum of squares."""
    return float((matrix * matrix).sum() - (matrix.diagonal() ** 2).sum())


def _projected(local, directions, groups, share, machine):
    """For every group of every process: count, and mean_x, mean_y, xx, yx along the directions.

    Returns counts (G, 1) and four arrays (G, d).
    """
    d = len(directions)
    places, along = np.zeros((share.processes, groups, 1 + 4 * d)), machine.array(directions)
    for place, group in zip(places[share.rank], local, strict=False):
        place[0] = group.count
        place[1:] = np.concatenate(
            [
                machine.numpy(part)
                for part in (
                    group.mean_x @ along,
                    group.mean_y @ along,
                    _along(along, group.xx),
                    _along(along, group.yx),
                )
            ]
        )
    places = share.total(places).reshape(-1, 1 + 4 * d)
    places = places[places[:, 0] > 0]
    return np.split(places, [1, 1 + d, 1 + 2 * d, 1 + 3 * d], axis=1)


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
