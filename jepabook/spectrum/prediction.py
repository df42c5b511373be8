"""What the theory predicts for estimated features: each objective's times, orders and conflicts."""

from dataclasses import dataclass

import numpy as np

from jepabook._support import validate
from jepabook.spectrum.estimates import Spectrum
from jepabook.theory import critical_time
from jepabook.theory.objectives import BOTH, JEPA

LARGE = 1e150  # as good as infinity, but for its product with 0
MOST_COMPARED = 64  # features whose pairs are looked at


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
    pull : dict of Objective to ndarray (d,)
        The largest crosstalk (`Spectrum.crosstalk`, for JEPA times w_i / epsilon) on each feature
        from those that grow before it; inf for features never learned. Where it is far below 1,
        the feature's time can be trusted if in addition no feature of smaller rho (JEPA), of
        smaller lam rho (MAE), was learned long before: onto such a one crosstalk grows
        exponentially, from however small a pull (chapter 6, ``new:crosstalk-grows``).
    disagreements : tuple of Disagreement
        Among the 64 features that come first in either order; the most certain first.
    """

    depth: int
    epsilon: float
    fraction: float
    times: dict
    pull: dict
    disagreements: tuple

    def order(self, objective):
        """Indices of the features that the objective learns, the first one first."""
        validate.objective(objective)
        times = self.times[objective]
        return np.argsort(times, kind="stable")[: np.isfinite(times).sum()]

    def ranks(self, objective):
        """Place in the objective's order, 1 for the first, 0 for never; ints (d,)."""
        order, ranks = self.order(objective), np.zeros(len(self.times[objective]), int)
        ranks[order] = np.arange(1, len(order) + 1)
        return ranks


def predict(spectrum, depth, epsilon, fraction=0.5):
    """Apply Theorems 3.4 and 3.5, exactly, to the features of data.

    The theory is exact if both covariances are diagonal in the spectrum's directions (see its
    `misalignment` and `correlation`) and the network starts as Assumption 3.1 says.

    Parameters
    ----------
    spectrum : Spectrum
    depth : int
        Layers of the encoder, L.
    epsilon : float
        Size of every feature at the start, > 0.
    fraction : float
        Of its final size at which a feature counts as learned.

    Returns
    -------
    Prediction
    """
    validate.instance("spectrum", spectrum, Spectrum)
    start = checked_start(depth, epsilon, fraction)
    times = {o: _times(o, spectrum.lam, spectrum.rho, *start) for o in BOTH}
    places = np.argsort(np.argsort([times[o] for o in BOTH], kind="stable"), kind="stable")
    learned = np.isfinite([times[o] for o in BOTH])
    first = np.where(learned, places, len(spectrum)).min(0)
    compared = np.argsort(first, kind="stable")[: min(MOST_COMPARED, learned.any(0).sum())]
    replicas = spectrum.lam_replicates[:, compared], spectrum.rho_replicates[:, compared]
    opposed = _opposed(*(times[o][compared] for o in BOTH))
    again = _opposed(*(_times(o, *replicas, *start) for o in BOTH)).mean(0)
    found = [
        Disagreement(int(compared[i]), int(compared[j]), float(again[i, j]))
        for i, j in np.argwhere(opposed)
    ]
    found.sort(key=lambda pair: -pair.certainty)
    crosstalk = spectrum.crosstalk()
    pull = {o: _pull(o, spectrum.rho, crosstalk, times[o], *start[:2]) for o in BOTH}
    return Prediction(*start, times, pull, tuple(found))


def checked_start(depth, epsilon, fraction):
    """The three arguments of `predict`, or ValueError."""
    return (
        validate.depth(depth),
        validate.number("epsilon", epsilon, validate.positive),
        validate.number("fraction", fraction, validate.open_unit),
    )


def _times(objective, lam, rho, depth, epsilon, fraction):
    """Critical times where a feature is learned, inf elsewhere."""
    grows, times = (lam > 0) & (rho > 0), np.full(np.shape(lam), np.inf)
    final = depth / objective.saturation_power(depth) * np.log(np.where(grows, rho, 1.0))
    learned = grows & (np.log(epsilon) < np.log(fraction) + final)
    times[learned] = critical_time.exact(
        objective, lam[learned], rho[learned], depth, epsilon, fraction
    )
    return times


def _pull(objective, rho, crosstalk, times, depth, epsilon):
    """The largest crosstalk on each feature from one learned before it, (d,)."""
    grows = rho > 0
    relative = np.where(grows, crosstalk, 0.0)
    power, most = depth / objective.saturation_power(depth), np.log(LARGE)
    log_size = power * np.log(np.where(grows, rho, 1.0))
    with np.errstate(under="ignore"):
        size = np.exp(np.minimum(log_size, most)) * grows
    # what grows, but too little to count as learned, is at its final size soon
    reached = np.where(np.isinf(times) & (size > epsilon), 0.0, times)
    if objective is JEPA:
        relative = relative * (size / epsilon)[:, None]
    pull = np.where(reached[:, None] < times, relative, 0.0).max(0)
    return np.where(np.isfinite(times), pull, np.inf)


def _opposed(jepa, mae):
    """Whether JEPA learns i before j and MAE j before i, booleans (..., k, k)."""
    return (jepa[..., :, None] < jepa[..., None, :]) & (mae[..., :, None] > mae[..., None, :])
