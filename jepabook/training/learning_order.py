"""In what order features were learned: from recorded sizes to Kendall's tau with an interval.

Sizes are arrays (n, ..., d): moments, then any runs, then features.
"""

import numpy as np
from scipy import stats

from jepabook._support import validate
from jepabook._support.units import in_units


def learned(sizes):
    """Which features ended at twice their initial size or more, booleans (..., d).

    That is what it takes for half of the final size to lie above the initial size: any
    other feature is "half learned" before training starts.
    """
    sizes = _sizes(sizes)
    with np.errstate(over="ignore", under="ignore"):  # what no size reaches
        return sizes[-1] >= 2 * sizes[0]


def half_times(times, sizes, fraction=0.5):
    """When each feature first reached `fraction` of its last recorded size, (..., d).

    Linear between moments; NaN for a feature that is not `learned` or not finite.

    Parameters
    ----------
    times : array (n,)
    sizes : array (n, ..., d)
    fraction : float in (0, 1)
    """
    fraction = validate.number("fraction", fraction, validate.open_unit)
    return first_crossing(times, sizes, fraction * _sizes(sizes)[-1])


def doubling_times(times, sizes):
    """When each feature first reached twice its initial size, (..., d).

    Unlike `half_times` this does not refer to the end: a feature that falls back later counts.
    NaN for a feature that never doubles, and in a run that diverged.
    """
    return _crossing(times, sizes, 2 * _sizes(sizes)[0])


def times_to_size(times, sizes, size):
    """When each feature first had one common size, (..., d).

    Unlike `half_times` the goal is the same for all and does not refer to the end: a feature that
    falls back later counts. The first moment for one that starts there; NaN for one that never
    gets there, and in a run that diverged.

    Parameters
    ----------
    times : array (n,)
    sizes : array (n, ..., d)
    size : float
    """
    size = validate.number("size", size, validate.positive)
    crossing = _crossing(times, sizes, size)
    first, last = _sizes(sizes)[0], _sizes(sizes)[-1]
    return np.where(np.isfinite(last) & (first >= size), np.asarray(times)[0], crossing)


def first_crossing(times, sizes, goal):
    """When each feature first rose to `goal` (..., d), say half of a predicted size; (..., d).

    NaN as in `half_times`, and where the goal is never reached or already met at the start.
    """
    return np.where(learned(sizes), _crossing(times, sizes, goal), np.nan)


def _crossing(times, sizes, goal):
    """`first_crossing`, of features that fell back, too."""
    times, sizes = validate.finite("times", times), _sizes(sizes)
    goal = validate.numbers("goal", goal)
    if times.shape != sizes.shape[:1]:
        raise ValueError(f"times must have shape {sizes.shape[:1]}, got {times.shape}")
    validate.where("times", times, np.append(True, np.diff(times) > 0), "must increase")
    if goal.shape not in ((), sizes.shape[1:]):
        raise ValueError(f"goal must have shape {sizes.shape[1:]}, got {goal.shape}")
    reached = sizes >= goal
    after = np.argmax(reached, axis=0)
    before = np.maximum(after - 1, 0)

    def at(index):
        return np.take_along_axis(sizes, index[None], axis=0)[0]

    # halves, for the difference of two numbers may leave float64
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = at(before) / 2, at(after) / 2
        share = np.where(after > before, (goal / 2 - low) / (high - low), 0.0)
    crossing = (1 - share) * times[before] + share * times[after]
    return np.where(np.isfinite(sizes[-1]) & (after > 0), crossing, np.nan)


def _sizes(sizes):
    """Recorded sizes as floats; NaN is allowed, it is how a run that diverged is recorded."""
    sizes = validate.numbers("sizes", sizes)
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
    moments, along = validate.numbers("moments", moments), validate.finite("along", along)
    if along.ndim != 1 or moments.shape[-1:] != along.shape:
        raise ValueError(f"along must have shape {moments.shape[-1:]}, got {along.shape}")
    never = validate.option("never", never, ("left out", "last"))
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


def agreement(half, due):
    """Kendall's tau between when features were learned and when the theory has them learned.

    Features that are never learned (NaN) count as last, all at one time; those without a due time
    (NaN: they start beyond it) are left out.

    Parameters
    ----------
    half : array (..., d)
    due : array (..., d)
        Broadcasts against `half`.

    Returns
    -------
    ndarray (...)
        1 where the order is the predicted one, 0 where nothing is learned, NaN where fewer than
        two features have a due time.
    """
    half, due = validate.broadcast(
        half=validate.numbers("half", half), due=validate.numbers("due", due)
    )
    if not half.ndim:
        raise ValueError("half must have an axis of features, got one number")
    rows = half.reshape(-1, half.shape[-1]), due.reshape(-1, half.shape[-1])
    values = []
    for when, then in zip(*rows, strict=True):
        known = np.isfinite(then)
        when, then = when[known], then[known]
        last = np.where(np.isnan(when), np.finfo(float).max, when)
        tied = np.isnan(when).all() and known.sum() > 1
        values.append(0.0 if tied else tau(last, -then))
    return np.array(values, dtype=float).reshape(half.shape[:-1])


def size_at(levels, values, threshold):
    """The size of a change at which `values` first fall below `threshold`; NaN if never.

    Linear between levels.

    Parameters
    ----------
    levels : array (n,)
        Increasing.
    values : array (n,)
    threshold : float

    Returns
    -------
    float
    """
    levels, values = validate.finite("levels", levels), validate.numbers("values", values)
    if levels.ndim != 1 or levels.shape != values.shape:
        raise ValueError(
            f"levels and values must both have shape (n,), got {levels.shape} and {values.shape}"
        )
    validate.where("levels", levels, np.diff(levels, prepend=-np.inf) > 0, "must increase")
    threshold = validate.number("threshold", threshold)
    below = values < threshold
    if not below.any():
        return np.nan
    i = int(np.argmax(below))
    if i == 0:
        return float(levels[0])
    share = (values[i - 1] - threshold) / (values[i - 1] - values[i])
    return float(levels[i - 1] + share * (levels[i] - levels[i - 1]))


def mean_interval(values):
    """The mean over seeds and Student's 95 % interval for it.

    Parameters
    ----------
    values : array (seeds, ...)
        Of at least two seeds; a NaN among them gives NaN.

    Returns
    -------
    mean, low, high : ndarrays (...)
    """
    values = validate.numbers("values", values)
    if values.ndim == 0 or len(values) < 2:
        raise ValueError(f"values must be of at least two seeds, got shape {values.shape}")
    scaled, unit = in_units(values, axis=0)
    mean = scaled.mean(0)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(scaled, axis=0)
    with np.errstate(over="ignore", under="ignore"):
        found = tuple(np.ldexp(end, unit[0]) for end in (mean, mean - half, mean + half))
    for end in found:
        fits = ~np.isinf(end) | np.isinf(values).any(0)
        validate.where("values", end, fits, "must be such that their interval fits in float64")
    return found
