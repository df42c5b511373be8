"""The rule by which a case is told, written down before the run that judges it.

Of a target network's output y, at two checkpoints, on pairs that were not trained on::

    V  variance of y, all directions together
    G  what the best linear predictor from the other view's embedding explains of it
    U  = V - G, what it does not: no loss of a linear predictor is below U / 2

For aligned features of size w and correlation r of the views, G = sum r^2 sigma_y^2 w^2 and
U = sum (1 - r^2) sigma_y^2 w^2, whatever the predictor has learned. So G and U rise together while
any feature grows (unless r is 0 or 1), and G / U rises exactly if the growth is, on average, of
features that are more predictable than those that were there: that is what tells learning from
learning noise. G can stay while a feature is lost, if another one grows; so there is a fourth
number, `lost`. The functions of the data that G was made of have a variance in y at the first
checkpoint and at the second one, matrices A and B. With f the largest factor by which a function's
variance changed, or 1, what fell below a quarter of f is lost::

    lost = tr (f A / 4 - B)_+ / tr (f A / 4)

It is 0 if all shrink alike, and the share of what is gone if the rest stays.

An encoding can also become larger and nothing else: the target at the second checkpoint is then the
first one's times a number, turned. V, G and U grow alike, and so they would if every feature that
is there were learned on at one pace: which of the two it was, these numbers do not hold. So the
fifth number is `unlike`. If directions of variances a have grown by factors m,

    unlike = (standard deviation of m) / (mean of m), both with weights a^2

which is 0 exactly if all grew alike. (It is sqrt(1 / R^2 - 1) with the RV coefficient R of both
targets over the same rows, and so counts what is new as well as what grew.) The factors' mean being
V's, 1 - 1 / V's factor is the share of the second target that growth has made.

A quantity has *changed* if its interval lies beyond 5 %, it *stayed* if its interval lies within
10 %, else nothing is known of it. In this order:

1. full collapse: V is surely below a hundredth of what it was.
2. partial collapse: `lost` is surely above 0.1, and G has not risen.
3. cannot be told, if `lost` is not surely below 0.1.
4. learning noise: U has risen and G / U has fallen.
5. growing, all alike: V has risen, `unlike` is surely below a fifth of the share that growth has
   made, and G / U has not changed.
6. learning while the loss rises: G has risen and so has U.
7. learning: G has risen.
8. shrinking: G and U have fallen.
9. stalled: G and U stayed.
10. cannot be told.

A log holds the loss and at best V. There is neither G nor `lost` nor `unlike` in it, so: full
collapse as above; if V and loss / V both rose, it cannot be told; V up, loss / V down: learning, or
learning while the loss rises; V up, loss / V as it was: cannot be told, for what is new may be as
predictable as what was there, or the scale alone has grown; V down: cannot be told, for features
may be lost, shrink together, or be noisy ones that leave; V as it was, loss / V down: learning (a
predictor that catches up); both as they were: stalled. Without V nothing can be told.

This is the third rule. The first had no case 8 and called a fifth of tr (A - B)_+ / tr A a partial
collapse; in a run of its own most of what it called so had lost no feature by that run's measure.
The second had no case 5, and called a larger scale learning. Each was judged on seeds of its own.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from jepabook._support import jackknife

CANNOT = "cannot be told"
LEARNING, RISING = "learning", "learning while the loss rises"
FULL, PARTIAL = "full collapse", "partial collapse"
NOISE, SHRINKING, STALLED = "learning noise", "shrinking", "stalled"
GROWING = "growing, all alike"
#: What can be told.
CASES = (LEARNING, RISING, NOISE, STALLED, GROWING, SHRINKING, PARTIAL, FULL, CANNOT)

CHANGED, STAYED = np.log(1.05), np.log(1.10)
GONE, LOST, KEPT, UNLIKE = np.log(0.01), 0.1, 0.25, 0.2
#: Changes that are shares, not factors.
SHARES = ("lost", "unlike")


@dataclass(frozen=True)
class Change:
    """An estimate with its interval.

    Attributes
    ----------
    value, low, high : float
        For `lost` and `unlike` the number, for all else the factor by which it changed.
    """

    value: float
    low: float
    high: float

    @property
    def course(self):
        """Of a factor: "up", "down", "still", or "unknown"."""
        low, high = np.log(self.low), np.log(self.high)
        if low > CHANGED:
            return "up"
        if high < -CHANGED:
            return "down"
        return "still" if low > -STAYED and high < STAYED else "unknown"


@dataclass(frozen=True, eq=False)
class Reading:
    """Which case a training is, and by what.

    Attributes
    ----------
    case : str
        One of `CASES`.
    why : str
    changes : dict of str to Change
        From the first moment to the last.
    levels : dict of str to list of float
        The quantities at each moment.
    """

    case: str
    why: str
    changes: dict
    levels: dict


def factor(logarithm):
    """exp, within float64."""
    return float(np.exp(np.clip(logarithm, -690.0, 690.0)))


def interval(value, replicates, confidence, shrink):
    """Estimate and jackknife interval from the values with each group left out: a `Change`.

    Parameters
    ----------
    value : float
    replicates : array (groups,)
    confidence : float
    shrink : callable
        From the scale of the interval to that of a `Change`: `factor` for logarithms.
    """
    reach = stats.t.ppf((1 + confidence) / 2, len(replicates) - 1) * jackknife.error(replicates)
    return Change(*(float(shrink(value + side * reach)) for side in (0, -1, 1)))


def of_embeddings(changes):
    """The case and the reason, from the changes of V, G, U, G / U, `lost` and `unlike`."""
    course = {name: change.course for name, change in changes.items() if name not in SHARES}
    lost, larger = changes["lost"], changes["variance"].low
    alike = changes["unlike"].high < UNLIKE * abs(1 - 1 / larger)
    if np.log(changes["variance"].high) < GONE:
        return FULL, "the target's variance is below a hundredth of what it was"
    if lost.low > LOST and course["explained"] != "up":
        return PARTIAL, "functions of the data that the target held are gone from it"
    if not lost.high < LOST:
        grows = " while others grow" if lost.low > LOST else ""
        return CANNOT, f"features may be lost{grows}"
    if course["unexplained"] == "up" and course["odds"] == "down":
        return NOISE, "what one view does not tell of the other grows faster than what it tells"
    if course["variance"] == "up" and alike and course["odds"] not in ("up", "down"):
        return GROWING, "all directions grow alike: learned on, or only a larger scale"
    if course["explained"] == "up":
        if course["unexplained"] == "up":
            return RISING, "what one view tells of the other grows, and the loss's floor with it"
        return LEARNING, "what one view tells of the other grows"
    if course["explained"] == course["unexplained"] == "down":
        return SHRINKING, "all that the target holds shrinks: decay, or on the way to zero"
    if course["explained"] == course["unexplained"] == "still":
        return STALLED, "nothing changes by a tenth"
    return CANNOT, "the intervals are too wide, or the changes fit no case"


def of_log(changes):
    """The case and the reason, from the changes of the loss, V and loss / V."""
    if "variance" not in changes:
        course = changes["loss"].course
        told = {"up": "rises", "down": "falls", "still": "stays"}.get(course, "is noisy")
        return CANNOT, f"the loss {told}, which learning and collapse both can make of it"
    variance, share = (changes[name].course for name in ("variance", "share"))
    if np.log(changes["variance"].high) < GONE:
        return FULL, "the target's variance is below a hundredth of what it was"
    if variance == "up" and share == "down":
        rises = changes["loss"].course == "up"
        return RISING if rises else LEARNING, "the target grows, and its unexplained share falls"
    if variance == "up" and share == "still":
        return CANNOT, "what is new is like what was there, or only larger: look at embeddings"
    if variance == "up" and share == "up":
        return CANNOT, "noise is learned, or the predictor lags: look at embeddings"
    if variance == "down":
        return CANNOT, "features are lost, or all shrink, or noisy ones leave: look at embeddings"
    if variance == "still" and share == "down":
        return LEARNING, "the predictor catches up with a target at rest"
    if variance == share == "still":
        return STALLED, "nothing changes by a tenth"
    return CANNOT, "the intervals are too wide, or the changes fit no case"
