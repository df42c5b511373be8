"""In what order features were learned: from recorded sizes to Kendall's tau with an interval.

Sizes are arrays (n, ..., d): moments, then any runs, then features.
"""

import numpy as np
from scipy import stats

from jepabook import _validate


def learned(sizes, factor=2.0):
    """Which features ended at `factor` times their initial size or more, booleans (..., d).

    The default is what it takes for half of the final size to lie above the initial size: any
    other feature is "half learned" before training starts.
    """
    factor, sizes = _validate.number("factor", factor, _validate.positive), _sizes(sizes)
    return sizes[-1] >= factor * sizes[0]


def half_times(times, sizes, fraction=0.5):
    """When each feature first reached `fraction` of its last recorded size, (..., d).

    Linear between moments; NaN for a feature that is not `learned` or not finite.

    Parameters
    ----------
    times : array (n,)
    sizes : array (n, ..., d)
    fraction : float in (0, 1)
    """
    fraction = _validate.number("fraction", fraction, _validate.open_unit)
    return first_crossing(times, sizes, fraction * _sizes(sizes)[-1])


def doubling_times(times, sizes):
    """When each feature first reached twice its initial size, (..., d).

    Unlike `half_times` this does not refer to the end: a feature that falls back later counts.
    NaN for a feature that never doubles, and in a run that diverged.
    """
    return _crossing(times, sizes, 2 * _sizes(sizes)[0])


def first_crossing(times, sizes, goal):
    """When each feature first rose to `goal` (..., d), say half of a predicted size; (..., d).

    NaN as in `half_times`, and where the goal is never reached or already met at the start.
    """
    return np.where(learned(sizes), _crossing(times, sizes, goal), np.nan)


def _crossing(times, sizes, goal):
    """`first_crossing`, of features that fell back, too."""
    times, sizes = _validate.finite("times", times), _sizes(sizes)
    goal = _validate.numbers("goal", goal)
    if times.shape != sizes.shape[:1]:
        raise ValueError(f"times must have shape {sizes.shape[:1]}, got {times.shape}")
    _validate.where("times", times, np.append(True, np.diff(times) > 0), "must increase")
    if goal.shape not in ((), sizes.shape[1:]):
        raise ValueError(f"goal must have shape {sizes.shape[1:]}, got {goal.shape}")
    reached = sizes >= goal
    after = np.argmax(reached, axis=0)
    before = np.maximum(after - 1, 0)

    def at(index):
        return np.take_along_axis(sizes, index[None], axis=0)[0]

    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(after > before, (goal - at(before)) / (at(after) - at(before)), 0.0)
    crossing = times[before] + share * (times[after] - times[before])
    return np.where(np.isfinite(sizes[-1]) & (after > 0), crossing, np.nan)


def _sizes(sizes):
    """Recorded sizes as floats; NaN is allowed, it is how a run that diverged is recorded."""
    sizes = _validate.numbers("sizes", sizes)
    if sizes.ndim == 0 or len(sizes) == 0:
        raise ValueError(f"sizes must be numbers (n, ..., d), got shape {sizes.shape}")
    return sizes


def tau(moments, along, never="left out"):
    """Kendall's tau-b: 1 if features with larger `along` come first, -1 if they come last.

    Parameters
    ----------
    moments : array (..., d)
        When each feature was learned; NaN for one that was not.
    along : array (d,)
        What to order by.
    never : {"left out", "last"}
        What becomes of features that were not learned; "last" ties them behind the others.

    Returns
    -------
    ndarray (...)
        NaN where fewer than two features are left, or all tie.
    """
    moments, along = _validate.numbers("moments", moments), _validate.finite("along", along)
    if along.ndim != 1 or moments.shape[-1:] != along.shape:
        raise ValueError(f"along must have shape {moments.shape[-1:]}, got {along.shape}")
    never = _validate.option("never", never, ("left out", "last"))
    if not along.size:
        return np.full(moments.shape[:-1], np.nan)
    rows = moments.reshape(-1, along.size)
    keep = np.isfinite(rows) | (never == "last")
    rows = np.where(np.isfinite(rows), rows, np.inf)
    values = [
        stats.kendalltau(-row[k], along[k]).statistic if k.sum() > 1 else np.nan
        for row, k in zip(rows, keep, strict=True)
    ]
    return np.array(values).reshape(moments.shape[:-1])


def mean_interval(values, level=0.95):
    """The mean over seeds and Student's interval for it.

    Parameters
    ----------
    values : array (seeds, ...)
        Of at least two seeds; a NaN among them gives NaN.
    level : float in (0, 1)

    Returns
    -------
    mean, low, high : ndarrays (...)
    """
    level = _validate.number("level", level, _validate.open_unit)
    values = _validate.numbers("values", values)
    if values.ndim == 0 or len(values) < 2:
        raise ValueError(f"values must be of at least two seeds, got shape {values.shape}")
    mean = values.mean(0)
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values, axis=0)
    return mean, mean - half, mean + half
