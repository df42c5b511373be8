"""What the recorded runs of ``results/returns`` say about features that fell back (ours)."""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from jepabook import recorded
from jepabook.claims.ledger import decided_by
from jepabook.theory import rests

SETTINGS = (
    *("orthogonal_population_1", "orthogonal_100_1", "gaussian_100_1"),
    *("orthogonal_population_2", "orthogonal_10000_2", "orthogonal_1000_2", "orthogonal_100_2"),
    "gaussian_100_2",
)


class Runs(NamedTuple):
    """One setting: S seeds, d features, looked at n times; the rules' words, see the script.

    Attributes
    ----------
    times : ndarray (n,)
    held : booleans (n, S, d)
        Size above half of rho^L.
    since : ndarray (S, d)
        Since when a feature is held to the end; NaN: not at the end, or it never was not.
    fell : booleans (S, d)
    back : ndarray (S, d)
        When one that fell back is held for the first time after that; NaN: never, or it did not.
    sign : ndarray (2, S)
        Of det V, at the start and at the end.
    read, foretold : ndarrays (S,)
        Pauses; NaN where no eigenvalue is complex.
    """

    times: np.ndarray
    held: np.ndarray
    since: np.ndarray
    fell: np.ndarray
    back: np.ndarray
    sign: np.ndarray
    read: np.ndarray
    foretold: np.ndarray


@cache
def runs(name):
    """The `Runs` of a setting."""
    arrays, _ = recorded.result("returns")
    depth = int(name[-1])
    lam, rho, times = arrays["lam"].mean(), arrays["rho"], arrays[f"times_{depth}"]
    sizes, start = arrays[f"{name}_sizes"], arrays[f"{name}_start"] @ [1, 1j]
    held = sizes > rho**depth / 2
    # the last moment at which it is not held
    before = len(times) - 1 - np.argmax(~held[::-1], axis=0)
    late = ~held.all(0) & held[-1]
    since = np.where(late, times[np.minimum(before + 1, len(times) - 1)], np.nan)
    # from v(0) straight to the mean rho
    complex_ones = abs(start.imag) > 1e-6 * abs(start)
    passes = abs(start.imag) * rho.mean() / abs(rho.mean() - start)
    passes = np.where(complex_ones, passes, np.inf).min(-1)
    pauses = [
        np.array(
            [rests.delay(lam, h, depth=depth) if np.isfinite(h) else np.nan for h in distances]
        )
        for distances in (np.nanmin(arrays[f"{name}_modulus"], axis=0), passes)
    ]
    low = sizes < sizes[0] / 2
    again = (np.maximum.accumulate(low) & held).argmax(0)
    back = np.where(again > 0, times[again], np.nan)
    return Runs(times, held, since, low.any(0), back, arrays[f"{name}_sign"], *pauses)


def judged(name, pause):
    """Pauses of the runs that rule 2 judges, and when their last feature was held for good."""
    found = runs(name)
    first = np.where(found.held[0].any(-1), 0.0, np.nanmin(_padded(found.since), axis=-1))
    due = found.read if pause == "read" else found.foretold
    full = found.held[-1].sum(-1) >= found.held.shape[-1] - (found.sign[1] < 0)
    taken = full & (due > 4 * np.median(first))
    last = np.nan_to_num(np.nanmax(_padded(found.since), axis=-1))
    return due[taken], last[taken]


def _padded(since):
    """With 0 for a feature that was held all the time, so that a run has a first and a last."""
    return np.where(np.isnan(since).all(-1, keepdims=True), 0.0, since)


def within(name):
    """Share of the judged runs within a factor 2, how many they are, least and largest quotient."""
    due, last = judged(name, "read")
    quotients = last / due
    share = ((quotients >= 0.5) & (quotients <= 2)).mean()
    return share, len(due), quotients.min(), quotients.max()


def foretells(name):
    """Rank correlation of the last time with the pause foretold, over the judged runs."""
    return spearmanr(*judged(name, "foretold")).statistic


def in_order(name):
    """Pairs of features of one run that fell back and returned for good; where larger rho led."""
    found = runs(name)
    since = np.where(found.fell, found.since, np.nan)
    i, j = np.triu_indices(since.shape[-1], 1)
    pairs = np.isfinite(since[:, i] + since[:, j])
    return int(pairs.sum()), int((since[:, i] < since[:, j])[pairs].sum())


def complete(name):
    """Of the runs that begin with det V > 0: how many, how many hold all features at the end.

    And in how many V has an eigenvalue within 10 % of each rho, whatever the sizes.
    """
    arrays, _ = recorded.result("returns")
    taken = runs(name).sign[0] > 0
    values = np.linalg.eigvals(arrays[f"{name}_weights"][-1][taken].astype(float))
    near = abs(values[:, :, None] / arrays["rho"] - 1).min(1) < 0.1
    return int(taken.sum()), int(runs(name).held[-1][taken].all(-1).sum()), int(near.all(-1).sum())


def turned_over(name):
    """Runs whose det V is negative at the start, and positive at the end; positive, negative."""
    first, last = runs(name).sign
    told = [(first < 0), (first < 0) & (last > 0), (first > 0), (first > 0) & (last < 0)]
    return tuple(int(which.sum()) for which in told)


def learned_after_turning(name):
    """Runs whose det V turns from negative to positive and that hold all features at the end."""
    found = runs(name)
    return int(found.held[-1][(found.sign[0] < 0) & (found.sign[1] > 0)].all(-1).sum())


@decided_by("E")
def returns_check(statement):
    """Statements (depth) -> whether rules 1 (the population), 2, 3 and 4 are met."""
    for depth in (1, 2):
        name = f"orthogonal_population_{depth}"
        last, sign = runs(name).held[-1], runs(name).sign[1]
        # run by run: all four features, or exactly the three of largest rho
        whole = last[sign > 0].all(-1), (last[sign < 0] == [True, True, True, False]).all(-1)
        returned = all(share.mean() >= 0.9 for share in whole)
        pairs, right = in_order(name)
        met = returned, within(name)[0] >= 0.8, foretells(name) >= 0.7, right >= 0.75 * pairs
        if tuple(map(bool, met)) != statement(depth):
            return False
    return True


@decided_by("E")
def noise_check(statement):
    """Statements (pairs a minibatch, None: all) -> runs that hold all features; that V knows."""
    return all(
        complete(f"orthogonal_{batch or 'population'}_2") == (27, *statement(batch))
        for batch in (100, 1000, 10_000, None)
    )


@decided_by("E")
def turned_check(statement):
    """Statements (setting) -> as `turned_over`, and of those over how many hold all features."""
    return all(
        (*turned_over(name), learned_after_turning(name)) == statement(name) for name in SETTINGS
    )
