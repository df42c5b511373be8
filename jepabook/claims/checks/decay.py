"""What the recorded runs of ``results/decay`` say about decay and balance (ours)."""

from functools import cache

import numpy as np

from jepabook import recorded
from jepabook.claims.ledger import decided_by
from jepabook.theory import weight_decay
from jepabook.theory.objectives import JEPA

DEPTHS = (1, 2, 3)
ALIGNED = 0.02  # of w_+^2


@cache
def runs(depth):
    """One depth of the record, the words of its script: a dict of arrays.

    ``spent`` (moments, decays), kappa theta, and ``total`` (decays,), at the end; ``law``
    (moments, decays), what the law leaves; ``left``, ``law_off`` (moments, decays, seeds);
    ``kept``, ``off`` (decays, seeds, features).
    """
    arrays, facts = recorded.result("decay")
    decays, times = arrays["decays"], arrays["times"]
    known = {"depth": depth, "weight_decay": decays[:, None, None]}
    low, high = weight_decay.fixed_points(JEPA, arrays["lam"], arrays["rho"], **known)
    # where there is no w_+ nothing is kept
    bar = np.where(np.isnan(high), np.inf, np.fmax(low, high / 2))
    step = facts["learning_rate"]
    return {
        "spent": times[:, None] * decays,
        "total": decays * times[-1],
        "law": (1 - step * decays) ** (2 * np.rint(times / step)[:, None]),
        "left": arrays[f"left_{depth}"],
        "law_off": arrays[f"law_off_{depth}"],
        "kept": arrays[f"sizes_{depth}"][-1] > bar,
        "off": arrays[f"off_{depth}"][-1],
    }


def off_the_law(depth):
    """The largest distance from the law while it leaves 1 % or more, over what it leaves."""
    found = runs(depth)
    return float(found["law_off"][found["law"] >= 0.01].max())


def aligned_share(depth):
    """At the largest decay: the share of the kept features that are aligned, (seeds,)."""
    found = runs(depth)
    kept, aligned = found["kept"][-1], found["off"][-1] < ALIGNED
    return (kept & aligned).sum(-1) / kept.sum(-1)


def out_of_order(depth):
    """At the largest decay: kept features that are not among the first n, n of them, (seeds,)."""
    kept = runs(depth)["kept"][-1]
    first = np.arange(kept.shape[-1]) < kept.sum(-1, keepdims=True)
    return (kept & ~first).sum(-1)


def median_off(depth):
    """How far the median kept feature of all seeds is off, (decays,)."""
    found = runs(depth)
    return np.array(
        [np.median(off[kept]) for off, kept in zip(found["off"], found["kept"], strict=True)]
    )


@decided_by("E")
def hundred_check(statement):
    """Statements (depth) -> whether rules 1, 2 and 3 are met."""
    return all(
        (
            off_the_law(depth) < 0.1,
            bool(aligned_share(depth).min() >= 0.95),
            bool(out_of_order(depth).max() <= 1),
        )
        == statement(depth)
        for depth in DEPTHS
    )


@decided_by("E")
def time_check(statement):
    """Statements (kappa theta) -> whether the median is aligned; what it is in proportion to.

    Rules 4 and 5, at each depth.
    """
    for depth in DEPTHS:
        total, median = runs(depth)["total"].round(9), median_off(depth)
        told, left = zip(*(statement(value) for value in total), strict=True)
        if not np.array_equal(median < ALIGNED, told):
            return False
        few = (total > 0) & (total < 2)
        constant = median[few] / np.array(left)[few]
        if few.sum() != 3 or not constant.max() <= 2 * constant.min():
            return False
    return True
