"""What the theory predicts for estimated features: each objective's times, orders and conflicts."""

from dataclasses import dataclass

import numpy as np

from jepabook import _validate, critical_time, dynamics
from jepabook.objectives import JEPA, MAE

OBJECTIVES = (JEPA, MAE)
MOST_COMPARED = 64  # features, whose pairs are looked at


@dataclass(frozen=True, eq=False)
class Disagreement:
    """A pair of features that JEPA and MAE learn in different order.

    Attributes
    ----------
    jepa_first, mae_first : int
        Indices in the spectrum.
    certainty : float
        Share of the bootstrap replicates in which they are learned in these orders.
    """

    jepa_first: int
    mae_first: int
    certainty: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """When each objective learns each feature; see `predict`.

    Attributes
    ----------
    depth : int
    epsilon, fraction : float
    times : dict of Objective to ndarray (d,)
        Critical times in the paper's clock; inf where a feature is never learned: lam <= 0, or the
        start lies above `fraction` of the final size.
    disagreements : tuple of Disagreement
        Among the first 64 features that either objective learns; the most certain first.
    """

    depth: int
    epsilon: float
    fraction: float
    times: dict
    disagreements: tuple

    def order(self, objective):
        """Indices of the features that the objective learns, the first one first."""
        times = self.times[objective]
        return np.argsort(times, kind="stable")[: np.isfinite(times).sum()]

    def ranks(self, objective):
        """Place in the objective's order, 1 for the first, 0 for never; ints (d,)."""
        order, ranks = self.order(objective), np.zeros(len(self.times[objective]), int)
        ranks[order] = np.arange(1, len(order) + 1)
        return ranks


def predict(spectrum, depth, epsilon, fraction=0.5):
    """Apply Theorems 3.4 and 3.5, exactly, to the features of data.

    The theory is exact if the covariances are diagonal in the spectrum's directions (its
    `misalignment` is 0) and the network starts as Assumption 3.1 says.

    Parameters
    ----------
    spectrum : Spectrum
    depth : int
        L.
    epsilon : float
        Size of every feature at the start, > 0.
    fraction : float
        Of its final size at which a feature counts as learned.

    Returns
    -------
    Prediction
    """
    start = checked_start(depth, epsilon, fraction)
    times = {o: _times(o, spectrum.lam, spectrum.rho, *start) for o in OBJECTIVES}
    soonest = np.minimum(times[JEPA], times[MAE])
    compared = np.argsort(soonest, kind="stable")[: min(MOST_COMPARED, np.isfinite(soonest).sum())]
    replicas = spectrum.lam_replicates[:, compared], spectrum.rho_replicates[:, compared]
    opposed = _opposed(*(times[o][compared] for o in OBJECTIVES))
    again = _opposed(*(_times(o, *replicas, *start) for o in OBJECTIVES)).mean(0)
    found = [
        Disagreement(int(compared[i]), int(compared[j]), float(again[i, j]))
        for i, j in np.argwhere(opposed)
    ]
    found.sort(key=lambda pair: -pair.certainty)
    return Prediction(*start, times, tuple(found))


def checked_start(depth, epsilon, fraction):
    """The three arguments of `predict`, or ValueError."""
    return (
        _validate.depth(depth),
        _validate.number("epsilon", _validate.positive("epsilon", epsilon)),
        _validate.number("fraction", _validate.open_unit("fraction", fraction)),
    )


def _times(objective, lam, rho, depth, epsilon, fraction):
    """Critical times where a feature is learned, inf elsewhere."""
    with np.errstate(invalid="ignore"):
        grows = (lam > 0) & (rho > 0)
        final = dynamics.fixed_point(objective, np.where(grows, rho, 1.0), depth)
    learned = grows & (epsilon < fraction * final)
    times = np.full(np.shape(lam), np.inf)
    times[learned] = critical_time.exact(
        objective, lam[learned], rho[learned], depth, epsilon, fraction
    )
    return times


def _opposed(jepa, mae):
    """Whether JEPA learns i before j and MAE j before i, booleans (..., k, k)."""
    return (jepa[..., :, None] < jepa[..., None, :]) & (mae[..., :, None] > mae[..., None, :])
