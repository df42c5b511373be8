"""A training's log: the loss, and the variance of the target where it was written down."""

import numpy as np
from scipy import stats

from jepabook._support import validate
from jepabook.watch import rule

BLOCKS = 5  # of each stretch that is compared


def log(loss, variance=None, since=0.1, confidence=0.95):
    """Which case a training is, from its log.

    Parameters
    ----------
    loss : array (n,)
        Squared errors, positive, in time order; 100 or more.
    variance : array (n,), optional
        Of the target over the batch, all coordinates together, after subtracting the mean.
    since : float
        The share of the log at which the stretch begins, a tenth long, with which its last tenth is
        compared: in [0, 0.8]. Right after the start the predictor is still catching up.
    confidence : float
        Of each interval by itself, in (0, 1).

    Returns
    -------
    Reading
        Levels at the two stretches and changes of "loss", "variance" and "share", loss / variance:
        see `watch.rule`.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.

    Notes
    -----
    Intervals are from the means of five blocks of each stretch, which must be longer than the log's
    correlations.
    """
    columns = {"loss": validate.positive("loss", loss)}
    if columns["loss"].ndim != 1 or len(columns["loss"]) < 100:
        shape = columns["loss"].shape
        raise ValueError(
            f"loss must be a sequence of at least 100 numbers, got shape {shape}: log more often, "
            "or save embeddings at two moments"
        )
    rows = len(columns["loss"])
    if variance is not None:
        columns["variance"] = validate.shaped("variance", variance, (rows,), validate.positive)
    since = validate.number("since", since)
    if not 0 <= since <= 0.8:
        raise ValueError(f"since must lie in [0, 0.8], got {since}")
    confidence = validate.number("confidence", confidence, validate.open_unit)
    tenth = rows // 10
    begin = int(since * rows)
    stretches = slice(begin, begin + tenth), slice(rows - tenth, rows)
    blocks = {
        name: np.array([[b.mean() for b in np.array_split(values[s], BLOCKS)] for s in stretches])
        for name, values in columns.items()
    }
    if variance is not None:
        blocks["share"] = blocks["loss"] / blocks["variance"]
    changes = {name: _factor(values, confidence) for name, values in blocks.items()}
    levels = {name: values.mean(1).tolist() for name, values in blocks.items()}
    return rule.Reading(*rule.of_log(changes), changes, levels)


def _factor(blocks, confidence):
    """The factor from the first stretch's blocks to the last one's, (2, BLOCKS)."""
    logs = np.log(blocks)
    value = logs[1].mean() - logs[0].mean()
    spread = np.sqrt(np.sum(logs.var(axis=1, ddof=1)) / BLOCKS)
    reach = stats.t.ppf((1 + confidence) / 2, 2 * BLOCKS - 2) * spread
    return rule.Change(*(rule.factor(value + side * reach) for side in (0, -1, 1)))
