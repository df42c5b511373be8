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
    sizes = np.asarray(sizes)
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
    fraction = float(_validate.open_unit("fraction", fraction))
    sizes = np.asarray(sizes, dtype=float)
    return _first_crossing(times, sizes, fraction * sizes[-1])


def doubling_times(times, sizes):
    """When each feature first reached twice its initial size, (..., d); NaN as in `half_times`.

    Unlike half of the final size, this goal does not depend on where training ends.
    """
    sizes = np.asarray(sizes, dtype=float)
    return _first_crossing(times, sizes, 2 * sizes[0])


def _first_crossing(times, sizes, goal):
    times = np.asarray(times, dtype=float)
    if len(times) != len(sizes):
        raise ValueError(f"times must have one entry a record, got {len(times)}, {len(sizes)}")
    after = np.argmax(sizes >= goal, axis=0)
    before = np.maximum(after - 1, 0)

    def at(index):
        return np.take_along_axis(sizes, index[None], axis=0)[0]

    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(after > before, (goal - at(before)) / (at(after) - at(before)), 0.0)
    crossing = times[before] + share * (times[after] - times[before])
    return np.where(learned(sizes) & np.isfinite(goal), crossing, np.nan)


def tau(moments, along):
    """Kendall's tau-b: 1 if features with larger `along` come first, -1 if they come last.

    Parameters
    ----------
    moments : array (..., d)
        When each feature was learned; NaN for one that was not, which is left out.
    along : array (d,)
        What to order by.

    Returns
    -------
    ndarray (...)
        NaN where fewer than two features are left, or all tie.
    """
    moments, along = np.asarray(moments, dtype=float), np.asarray(along, dtype=float)
    if moments.shape[-1:] != along.shape:
        raise ValueError(f"along must have shape {moments.shape[-1:]}, got {along.shape}")
    rows = moments.reshape(-1, along.size)
    keep = np.isfinite(rows)
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
    level : float in (0, 1)

    Returns
    -------
    mean, low, high : ndarrays (...)
    """
    level = float(_validate.open_unit("level", level))
    values = np.asarray(values, dtype=float)
    mean = values.mean(0)
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values, axis=0)
    return mean, mean - half, mean + half
