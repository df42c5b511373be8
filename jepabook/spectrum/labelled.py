"""Where labels stand: how much of each feature they tell, and when either objective has it.

The share of feature i is the part of its variance, over the rows held out, that lies between
classes: for two classes, and features without correlation in x, these shares are what a linear
classifier reads off the features, and their mean of rho is the rho of its direction (chapter 6,
``new:labels``). It is estimated from products of *different* groups of rows, which chance alone
does not make positive, and compared with what random signs of the groups would give.
"""

import os
from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats

from jepabook._support import jackknife, validate
from jepabook._support.processes import Share
from jepabook._support.regular import shown
from jepabook.spectrum import intervals, sources
from jepabook.spectrum.estimates import Spectrum
from jepabook.spectrum.prediction import VERDICTS, Prediction

MOST_NUMBERS = 2**27  # of sums over groups, in memory
CLEAR = 2  # standard errors of what all features together tell
LEAST_GROUPS = 4  # of rows held out, or of a class


@dataclass(frozen=True, eq=False)
class Labels:
    """What of each feature labels tell; see `label_shares`.

    Attributes
    ----------
    classes : ndarray or None
        The classes, rising; None where the labels are numbers.
    share : ndarray (d,)
        Part of the variance of feature i, between 0 and 1, that the labels explain linearly: for
        classes, that lies between them. May fall below 0 by chance.
    error : ndarray (d,)
        Its standard error, from groups.
    told : ndarray (d,) of str
        "sure", "likely" or "cannot be told": whether the labels explain more than nothing of it,
        with the words of `Prediction.learned`.
    weight : ndarray (d,)
        `share` over the sum of all: the part of what the labels tell linearly that feature i has.
        NaN where that sum is not clear of chance.
    lam, rho : float
        Means of the features' with these weights; for rho, that of the direction that separates
        two classes, if features are uncorrelated.
    lam_error, rho_error : float
        Standard errors, from groups.
    cautions : tuple of str
    """

    classes: np.ndarray | None
    share: np.ndarray
    error: np.ndarray
    told: np.ndarray
    weight: np.ndarray
    lam: float
    rho: float
    lam_error: float
    rho_error: float
    cautions: tuple = ()

    def __len__(self):
        return len(self.share)

    def curve(self, prediction, objective):
        """Part of what the labels tell that the first k features in an objective's order have.

        Returns
        -------
        ndarray (k + 1,)
            From 0, before any is learned; its last entry is the part that is learned at all. By
            chance it may fall a little from one to the next, or exceed 1.
        """
        validate.instance("prediction", prediction, Prediction)
        order = prediction.order(objective)
        if order.max(initial=-1) >= len(self):
            raise ValueError(f"prediction must be of {len(self)} features, got more")
        return np.append(0.0, np.cumsum(self.weight[order]))

    def place(self, prediction, objective, part=0.5):
        """How many features an objective has learned when it has a part of what the labels tell.

        Returns
        -------
        int
            0 where it never has it.
        """
        part = validate.number("part", part, validate.half_open_unit)
        reached = np.flatnonzero(self.curve(prediction, objective) >= part)
        return int(reached[0]) if len(reached) else 0


def label_shares(spectrum, x, labels, clusters=None, share=None):
    """Say where labels stand among the features of an estimate; reads x once more.

    Parameters
    ----------
    spectrum : Spectrum
        Of `x` and any y.
    x : array (n, ...), or path
        The first views, as `estimate` had them: the rows that it held out are looked at. No
        iterable of batches, which need not come in the same order again.
    labels : array (n,) of integers or words, or (n,) or (n, k) of numbers, or path
        Classes, or what else is to be told; those of row i.
    clusters : array (n,) of integers or path, optional
        As `estimate` had them.
    share : processes.Share, optional
        As for `estimate`.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        In one line: other rows than the estimate's, labels that do not vary or are not finite, too
        few groups.
    """
    found = validate.instance("spectrum", spectrum, Spectrum)
    share = Share() if share is None else share
    validate.instance("share", share, Share)
    if found.cut is None:
        raise ValueError(
            "spectrum must be of arrays, files or one process's batches, got one of batches that "
            "several processes read"
        )
    with share.agreed():
        if not (isinstance(x, (str, os.PathLike, list, tuple)) or hasattr(type(x), "shape")):
            raise ValueError(
                "x must be an array or a file where labels are asked for, which are read after it "
                f"row by row, got {type(x).__name__}: put its batches into one array or file"
            )
        pairs = sources.Pairs(x, x, clusters if found.cut.numbered else None)
        rows = _rows(found, pairs, clusters)
        classes, target = _target(labels, pairs.count)
        sums = _sums(found, pairs, rows, target, share)
    return _located(found, classes, *(share.total(part) for part in sums))


def _rows(found, pairs, clusters):
    """A function from a block's (start, stop) to groups, (stop - start,), once all is checked."""
    cut, named = found.cut, clusters is not None
    if (pairs.count, pairs.width) != (found.count, len(found)):
        raise ValueError(
            f"{pairs.names[0]} must be what the spectrum is of, {found.count} rows of {len(found)} "
            f"features, got {pairs.count} of {pairs.width}"
        )
    if named == (cut.rows is not None):
        what = "given, as to estimate" if cut.rows is None else "None, as they were to estimate"
        raise ValueError(f"clusters must be {what}, got {validate.one_line(clusters)}")
    if cut.groups < LEAST_GROUPS:
        raise ValueError(
            f"spectrum must have {LEAST_GROUPS} groups of rows held out, got {cut.groups}: collect "
            "more rows or clusters, or ask for more groups"
        )
    numbers = pairs.clusters
    if named and not cut.numbered:
        numbers = sources.clusters_of(clusters, pairs.count, numbered=False)
    return lambda start, stop: cut.of(start, stop, None if numbers is None else numbers[start:stop])


def _target(labels, count):
    """Classes or None, and a sparse matrix (n, k): which class a row is of, or its numbers."""
    name = shown(labels) if isinstance(labels, (str, os.PathLike)) else "labels"
    value = sources.opened(labels) if isinstance(labels, (str, os.PathLike)) else labels
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
        value = np.array(value)
    if not (isinstance(value, np.ndarray) and value.dtype.kind in "US"):
        value = validate.real(name, sources.plain(value), kinds="fiub")
    if value.shape[:1] != (count,) or value.ndim > 2:
        raise ValueError(
            f"{name} must be one for each of {count} rows, (n,) or (n, k), got shape {value.shape}"
        )
    if value.dtype.kind != "f":
        if value.ndim == 2:
            raise ValueError(f"{name} must be (n,) where they are classes, got shape {value.shape}")
        classes, which = np.unique(value, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"{name} must be of two classes or more, got one: {classes[0]}")
        shape = count, len(classes)
        return classes, sparse.csr_array((np.ones(count), which, np.arange(count + 1)), shape=shape)
    value = value.astype(np.float64).reshape(count, -1)
    if not np.isfinite(value).all():
        row = int(np.argwhere(~np.isfinite(value))[0, 0])
        raise ValueError(f"{name} must be finite, got {value[row].tolist()} in row {row}")
    constant = np.flatnonzero(np.ptp(value, axis=0) == 0)
    if len(constant):
        raise ValueError(f"{name} must vary, got a constant column {constant[0]}")
    scaled = (value - value.mean(0)) / np.abs(value - value.mean(0)).max(0)
    return None, sparse.csr_array(scaled)


def _sums(found, pairs, rows, target, share):
    """Of each group: rows, sums of x, x^2, z along directions, products z x; and those of z z'."""
    groups, d, k = found.cut.groups, len(found), target.shape[1]
    if groups * d * k > MOST_NUMBERS:
        raise ValueError(
            f"labels must be so few that {MOST_NUMBERS} sums suffice, got {k} classes or columns "
            f"for {d} features in {groups} groups: join classes"
        )
    counts, x, xx = np.zeros((groups, 1)), np.zeros((groups, d)), np.zeros((groups, d))
    z, zx, zz = np.zeros((groups, k)), np.zeros((groups, k, d)), np.zeros((k, k))
    shift = found.mean_x @ found.directions
    for row, block, _, _ in pairs.blocks(*share.of(pairs.count)):
        at = rows(row, row + len(block))
        if not (at >= 0).any():
            continue
        along = block[at >= 0].astype(np.float64) @ found.directions - shift
        here, at = target[row : row + len(block)][at >= 0], at[at >= 0]
        zz += (here.T @ here).toarray()
        for group in np.unique(at):
            inside = at == group
            part, mine = along[inside], here[inside]
            counts[group] += len(part)
            x[group] += part.sum(0)
            xx[group] += (part**2).sum(0)
            z[group] += mine.sum(0)
            zx[group] += mine.T @ part
    return counts, x, xx, z, zx, zz


def _located(found, classes, counts, x, xx, z, zx, zz):
    count = counts.sum()
    mean_x, mean_z = x.sum(0) / count, z.sum(0) / count
    cross = zx - z[:, :, None] * mean_x - mean_z[:, None] * x[:, None]
    cross += counts[:, :, None] * mean_z[:, None] * mean_x
    squares = xx - 2 * x * mean_x + counts * mean_x**2
    cautions = ()
    if classes is not None:
        few = ((z > 0).sum(0) < LEAST_GROUPS).sum()
        if few:
            cautions = (
                f"{few} of {len(classes)} classes are in fewer than {LEAST_GROUPS} groups of the "
                "rows held out, and hardly count: shuffle rows that are sorted by class, name what "
                "is independent (clusters), or leave out rare classes",
            )
    values, vectors = np.linalg.eigh(zz / count - np.outer(mean_z, mean_z))
    kept = values > 1e-10 * values.max()
    white = vectors[:, kept] / np.sqrt(values[kept])
    cross = np.einsum("gkd,kj->dgj", cross, white)
    gram = cross @ cross.transpose(0, 2, 1)  # (d, G, G)
    apart = gram.copy()
    apart[:, np.arange(len(counts)), np.arange(len(counts))] = 0.0
    shares = _shares(apart, squares, counts[:, 0])
    share, error = _jackknifed(shares)
    varies = squares.sum(0) > 0
    p_values = np.where(varies, _by_chance(apart), 1.0)
    level, verdicts = 1 - found.confidence, np.full(len(found), 2)
    verdicts[intervals.discovered(p_values, level)] = 3
    verdicts[intervals.holm(p_values, level)] = 4
    weight, means = np.full(len(found), np.nan), np.full(4, np.nan)
    together, spread = _jackknifed(shares.sum(1))
    if (verdicts == 2).all():
        cautions += ("of no feature can it be told that the labels vary along it",)
    elif together < CLEAR * spread:
        cautions += (
            "what the labels tell of all features together is not clear of chance: how it falls on "
            "them, and when either objective has it, cannot be told",
        )
    else:
        weight = share / share.sum()
        lam, rho = _means(found, shares)
        means = np.ravel(np.transpose([_jackknifed(lam), _jackknifed(rho)]))
    told = np.array(VERDICTS)[verdicts]
    return Labels(classes, share, error, told, weight, *map(float, means), cautions)


def _shares(apart, squares, counts):
    """Shares (1 + G, d): of all groups, then without each."""
    inside = apart.sum(2).T  # of each group with the others
    whole = inside.sum(0)
    products = np.concatenate([whole[None], whole - 2 * inside])
    variance = np.concatenate([squares.sum(0)[None], squares.sum(0) - squares])
    rows = counts.sum() - np.append(0, counts)
    pairs = counts.sum() ** 2 - (counts**2).sum()
    pairs = np.append(pairs, pairs - 2 * counts * (counts.sum() - counts))
    ones = np.ones_like(variance)
    return np.divide(
        products * rows[:, None], pairs[:, None] * variance, out=0 * ones, where=variance > 0
    )


def _jackknifed(values):
    """A value, and its standard error, from values (1 + G, ...) of all groups and without each."""
    return values[0], jackknife.error(values[1:])


def _means(found, shares):
    """Means of lam and rho with shares as weights, two arrays (1 + G,)."""
    groups = found.groups
    xx = groups.xx.sum(0) - np.concatenate([0 * groups.xx[:1], groups.xx])
    yx = groups.yx.sum(0) - np.concatenate([0 * groups.yx[:1], groups.yx])
    rows = groups.freedom - np.append(0, groups.counts[:, 0])
    rho = np.divide(yx, xx, out=np.zeros_like(yx), where=xx > 0)
    total = shares.sum(1)
    return (shares * yx).sum(1) / total / rows, (shares * rho).sum(1) / total


def _by_chance(apart):
    """How likely sums as large are with random signs of the groups, p values (d,).

    A sum over g and h of s_g s_h M_gh with zeros on the diagonal has mean 0, variance 2 sum M_gh^2
    and third moment 8 tr M^3; Pearson's third distribution has the same.
    """
    deviation = np.sqrt(2 * (apart**2).sum((1, 2)))
    third = 8 * np.einsum("dgh,dgh->d", apart @ apart, apart)
    some = deviation > 0
    deviation = np.where(some, deviation, 1.0)
    skew = np.where(some, third / deviation**3, 0.0)
    return np.where(some, stats.pearson3.sf(apart.sum((1, 2)) / deviation, skew), 1.0)
