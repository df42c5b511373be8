"""Embeddings of pairs of views at several checkpoints: what one view tells of the other."""

import numpy as np

from jepabook._support import validate
from jepabook.watch import rule

GROUPS = 20
SMALL = 0.01  # share of what is explained below which a direction is not followed


def embeddings(checkpoints, clusters=None, groups=GROUPS, confidence=0.95):
    """Which case a training is, from the embeddings of the same pairs at several checkpoints.

    Parameters
    ----------
    checkpoints : sequence of arrays (2, n, p)
        In time order, two or more: the embeddings of the first views and of the second ones, the
        targets. The rows are the same n pairs in all of them, best not trained on; p may differ.
    clusters : array (n,) of int, optional
        Rows that belong together, such as crops of one image. Without it neighbouring rows may
        depend on each other, for groups are runs of rows, but rows far apart must not.
    groups : int
        Of rows, for the intervals: an even number from 4 on.
    confidence : float
        Of each interval by itself, in (0, 1).

    Returns
    -------
    Reading
        Levels and changes of "variance", "explained", "unexplained" and "odds" (their ratio), the
        level of "rank", the target's effective rank, and the changes "lost" and "unlike": see
        `watch.rule`.
        Explained is by least squares from the other groups, so it can come out below zero.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.

    Notes
    -----
    Intervals are of the jackknife over groups. They hold the predictor's fit as it is, and so leave
    out that it, too, would change with the rows.
    """
    views = _checked(checkpoints)
    groups = validate.integer("groups", groups, least=4, most=1000)
    if groups % 2:
        raise ValueError(f"groups must be even, got {groups}")
    confidence = validate.number("confidence", confidence, validate.open_unit)
    rows, width = views[0].shape[1], max(view.shape[2] for view in views)
    member = _groups(rows, clusters, groups)
    least = np.bincount(member, minlength=groups)
    if rows < 4 * width or least.min() < 2:
        raise ValueError(
            f"checkpoints must have 4 rows a column and 2 a group at least, got {rows} rows, "
            f"{width} columns and {least.min()} rows in the smallest group"
        )
    views = [view - view.mean(axis=1, keepdims=True) for view in views]
    sums = [_sums(view, member, groups) for view in views]
    levels = {name: [s[name].sum() / rows for s in sums] for name in ("variance", "explained")}
    levels["unexplained"] = [s["unexplained"].sum() / rows for s in sums]
    levels["rank"] = [float(np.trace(c) ** 2 / np.sum(c**2)) for c in (_yy(s) for s in sums)]
    changes = {
        name: _factor(sums[0], sums[-1], name, confidence)
        for name in ("variance", "explained", "unexplained", "odds")
    }
    cross = _cross(views[0], views[-1], member, groups)
    changes["lost"] = _lost(views[0], views[-1], sums[0], member, groups, confidence)
    changes["unlike"] = _unlike(sums[0]["yy"], sums[-1]["yy"], cross, confidence)
    levels = {name: [float(value) for value in values] for name, values in levels.items()}
    return rule.Reading(*rule.of_embeddings(changes), changes, levels)


def _checked(checkpoints):
    if not isinstance(checkpoints, (list, tuple, np.ndarray)):
        told = validate.one_line(checkpoints)
        raise ValueError(f"checkpoints must be a sequence of arrays (2, n, p), got {told}")
    if isinstance(checkpoints, np.ndarray):
        checkpoints = list(np.atleast_1d(checkpoints))
    if len(checkpoints) < 2:
        raise ValueError(f"checkpoints must be two or more, got {len(checkpoints)}")
    views = [
        validate.shaped(f"checkpoints[{k}]", view, (2, "n", "p"))
        for k, view in enumerate(checkpoints)
    ]
    counts = [view.shape[1] for view in views]
    if len(set(counts)) > 1:
        raise ValueError(f"checkpoints must have the same pairs as rows, got {counts} rows")
    return views


def _groups(rows, clusters, groups):
    """The group of every row: runs of rows, or of clusters."""
    if clusters is None:
        return np.arange(rows) * groups // rows
    labels = validate.shaped("clusters", clusters, (rows,))
    _, which = np.unique(labels, return_inverse=True)
    return which * groups // (which.max() + 1)


def _sums(view, member, groups):
    """Second moments by group, and of each group what is explained from the others."""
    parts = [view[:, member == g] for g in range(groups)]
    xx, yx, yy = (
        np.array([part[i].T @ part[j] for part in parts]) for i, j in ((0, 0), (1, 0), (1, 1))
    )
    left = []
    for g in range(groups):
        map_ = _least_squares(xx.sum(0) - xx[g], yx.sum(0) - yx[g])
        left.append(np.trace(yy[g] - 2 * map_ @ yx[g].T + map_ @ xx[g] @ map_.T))
    variance, left = np.trace(yy, axis1=1, axis2=2), np.array(left)
    known = {"variance": variance, "unexplained": left, "explained": variance - left}
    return known | {"xx": xx, "yx": yx, "yy": yy}


def _yy(sums):
    return sums["yy"].sum(0)


def _least_squares(xx, yx):
    """yx xx^-1, where directions in which x hardly varies count for nothing."""
    return yx @ np.linalg.pinv(xx, rcond=1e-10, hermitian=True)


def _log(values):
    """The logarithm, and of what is not positive that of next to nothing."""
    return np.log(np.maximum(values, 1e-300))


def _factor(first, last, name, confidence):
    """By which factor a sum over groups changed."""

    def change(keep):
        if name == "odds":
            return change_of("explained", keep) - change_of("unexplained", keep)
        return change_of(name, keep)

    def change_of(one, keep):
        return _log(last[one][keep].sum()) - _log(first[one][keep].sum())

    count = len(first["variance"])
    everyone = np.ones(count, bool)
    without = [change(np.arange(count) != g) for g in range(count)]
    return rule.interval(change(everyone), without, confidence, rule.factor)


def _cross(first, last, member, groups):
    """The targets at both checkpoints against each other, by group: (groups, p, p)."""
    return np.array([last[1][member == g].T @ first[1][member == g] for g in range(groups)])


def _unlike(old, new, cross, confidence):
    """How much the factors by which directions of the target grew differ, over their mean."""

    def squares(moments, keep):
        return np.sum(moments[keep].sum(0) ** 2)

    def value(keep):
        shared = squares(cross, keep)
        whole = squares(old, keep) * squares(new, keep)
        rest = whole - shared**2
        # below that it is what rounding left
        return np.sqrt(rest) / max(shared, 1e-300) if rest > 1e-12 * whole else 0.0

    everyone = np.arange(len(old))
    without = [value(everyone != g) for g in everyone]
    return rule.interval(
        value(everyone >= 0), without, confidence, lambda share: min(max(share, 0), 1e300)
    )


def _largest(new, old):
    """The largest factor by which a function's variance changed; 0 where there is none."""
    size, basis = np.linalg.eigh(old)
    held = size > SMALL * size.sum()
    half = basis[:, held] / np.sqrt(size[held])
    return float(np.linalg.eigvalsh(half.T @ new @ half)[-1]) if held.any() else 0.0


def _lost(first, last, sums, member, groups, confidence):
    """Of what was explained first, the share whose functions the last target no longer holds.

    Functions are found in half of the groups, and followed in the others; and the other way round.
    """
    cross = np.array([last[1][member == g].T @ first[0][member == g] for g in range(groups)])
    half = np.arange(groups) % 2

    def share(keep):
        gone = whole = 0.0
        for side in (0, 1):
            fit, seen = keep & (half == side), keep & (half != side)
            map_ = _least_squares(sums["xx"][fit].sum(0), sums["yx"][fit].sum(0))
            spread = map_ @ sums["xx"][fit].sum(0) @ map_.T / (member_count[fit].sum())
            size, basis = np.linalg.eigh((spread + spread.T) / 2)
            held = size > SMALL * size.sum()
            functions = (basis[:, held] / np.sqrt(size[held])).T @ map_
            before, after = (
                moment[seen].sum(0) @ functions.T / member_count[seen].sum()
                for moment in (sums["yx"], cross)
            )
            old, new = before.T @ before, after.T @ after
            scale = min(1.0, _largest(new, old)) * rule.KEPT
            short = np.linalg.eigvalsh(scale * old - new)
            gone += short[short > 0].sum()
            whole += scale * np.trace(old)
        return gone / max(whole, 1e-300)

    member_count = np.bincount(member, minlength=groups)
    everyone = np.ones(groups, bool)
    without = [share(np.arange(groups) != g) for g in range(groups)]
    return rule.interval(share(everyone), without, confidence, lambda value: min(max(value, 0), 1))
