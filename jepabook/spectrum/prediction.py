"""What the theory predicts for estimated features: each objective's times, orders and conflicts."""

from dataclasses import dataclass

import numpy as np

from jepabook._support import validate
from jepabook.spectrum import intervals
from jepabook.spectrum.estimates import Spectrum
from jepabook.theory import critical_time
from jepabook.theory.objectives import BOTH, JEPA

LARGE = 1e150  # as good as infinity, but for its product with 0
VERDICTS = ("surely not", "likely not", "cannot be told", "likely", "sure")
WEAK = 0.1  # pull
NEAR = 1.25  # change of epsilon that must not change the answer
MOST_COMPARED = 64  # features whose pairs are looked at


@dataclass(frozen=True, eq=False)
class Disagreement:
    """A pair of features that JEPA and MAE learn in different order.

    Attributes
    ----------
    jepa_first, mae_first : int
        Indices in the spectrum.
    certainty : float
        Share of the replicates in which they are learned in these orders.
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
        Critical times in the paper's clock of the values found; inf where a feature is never
        learned: lam <= 0, or the start lies above `fraction` of the final size.
    learned : dict of Objective to ndarray (d,) of str
        Whether it can be told that a feature is learned, on the rows held out. "sure": all that are
        called so are learned, with the spectrum's confidence (Holm). "likely": of these and the
        sure ones together, all but the share that the confidence leaves (Benjamini and Hochberg).
        "likely not", "surely not": likewise, that it is not learned. Else "cannot be told".
    growth : dict of Objective to ndarray (d,)
        How many times its size at the start is the one at which a feature counts as learned; 0
        where lam <= 0. Near 1 (`near`: less than 1.25 or its inverse away) a small change of
        epsilon moves the feature from last to first, or to never.
    pull : dict of Objective to ndarray (d,)
        The largest crosstalk (`Spectrum.crosstalk`, for JEPA times w_i / epsilon) on each feature
        from those that grow before it; inf for features never learned. Where it is far below 1,
        the feature's time can be trusted if in addition no feature of smaller rho (JEPA), of
        smaller lam rho (MAE), was learned long before: onto such a one crosstalk grows
        exponentially, from however small a pull (chapter 6, ``new:crosstalk-grows``).
    disagreements : tuple of Disagreement
        Among the 64 features that come first in either order, the first learned by JEPA and the
        second by MAE, surely or likely; the most certain first.
    """

    depth: int
    epsilon: float
    fraction: float
    times: dict
    learned: dict
    growth: dict
    pull: dict
    disagreements: tuple

    def order(self, objective):
        """Indices of the features that the objective learns, surely or likely, in that order."""
        validate.objective(objective)
        times = np.where(told(self.learned[objective]), self.times[objective], np.inf)
        return np.argsort(times, kind="stable")[: np.isfinite(times).sum()]

    def near(self, objective):
        """Indices of the features that start near the size at which they count as learned."""
        validate.objective(objective)
        growth = self.growth[objective]
        return np.flatnonzero((growth > 1 / NEAR) & (growth < NEAR))

    def undisturbed(self, objective):
        """Indices of the features in its order whose time neither pull nor start makes doubtful.

        Their pull is below 0.1, up to which the times of chapter 6 came true, and their start is
        not `near`.
        """
        order = self.order(objective)
        kept = (self.pull[objective][order] < WEAK) & ~np.isin(order, self.near(objective))
        return order[kept]

    def ranks(self, objective):
        """Place in the objective's order, 1 for the first, 0 for those not in it; ints (d,)."""
        order, ranks = self.order(objective), np.zeros(len(self.times[objective]), int)
        ranks[order] = np.arange(1, len(order) + 1)
        return ranks


def predict(spectrum, *, depth, epsilon, fraction=0.5):
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
    known = checked_start(depth=depth, epsilon=epsilon, fraction=fraction)
    start = tuple(known.values())
    times = {o: _times(o, spectrum.lam, spectrum.rho, *start) for o in BOTH}
    learned = {o: _verdicts(spectrum, _least_rho(o, *start)) for o in BOTH}
    growth = {o: _growth(o, spectrum.rho, *start) for o in BOTH}
    counted = np.array([told(learned[o]) for o in BOTH])
    places = np.where(counted, [times[o] for o in BOTH], np.inf)
    places = np.argsort(np.argsort(places, kind="stable"), kind="stable")
    first = np.where(counted, places, len(spectrum)).min(0)
    compared = np.argsort(first, kind="stable")[: min(MOST_COMPARED, counted.any(0).sum())]
    replicas = spectrum.lam_replicates[:, compared], spectrum.rho_replicates[:, compared]
    opposed = _opposed(*(times[o][compared] for o in BOTH))
    opposed &= counted[0, compared][:, None] & counted[1, compared]
    again = _opposed(*(_times(o, *replicas, *start) for o in BOTH)).mean(0)
    found = [
        Disagreement(int(compared[i]), int(compared[j]), float(again[i, j]))
        for i, j in np.argwhere(opposed)
    ]
    found.sort(key=lambda pair: -pair.certainty)
    crosstalk = spectrum.crosstalk()
    pull = {o: _pull(o, spectrum.rho, crosstalk, times[o], *start[:2]) for o in BOTH}
    return Prediction(*start, times, learned, growth, pull, tuple(found))


def told(verdicts):
    """Which of the verdicts (d,) say that a feature is learned."""
    return np.isin(verdicts, VERDICTS[-2:])


def _least_rho(objective, depth, epsilon, fraction):
    """The rho beyond which a feature is learned."""
    log_rho = objective.saturation_power(depth=depth) / depth * (np.log(epsilon) - np.log(fraction))
    return float(np.exp(min(log_rho, np.log(LARGE))))


def _verdicts(spectrum, least):
    """Words of `VERDICTS`, (d,): whether rho is above `least`."""
    at_most, at_least = spectrum.groups.evidence(least)
    level, verdicts = (1 - spectrum.confidence) / 2, np.full(len(spectrum), 2)
    for values, sign in ((at_most, 1), (at_least, -1)):
        verdicts[intervals.discovered(values, level)] = 2 + sign
        verdicts[intervals.holm(values, level)] = 2 + 2 * sign
    return np.array(VERDICTS)[verdicts]


def _growth(objective, rho, depth, epsilon, fraction):
    """`fraction` of the final size over epsilon, 0 where there is none."""
    grows = rho > 0
    log_size = depth / objective.saturation_power(depth=depth) * np.log(np.where(grows, rho, 1.0))
    log_growth = log_size + np.log(fraction) - np.log(epsilon)
    return np.exp(np.minimum(log_growth, np.log(LARGE))) * grows


def checked_start(*, depth, epsilon, fraction):
    """The three arguments of `predict`, or ValueError."""
    return {
        "depth": validate.depth(depth),
        "epsilon": validate.number("epsilon", epsilon, validate.positive),
        "fraction": validate.number("fraction", fraction, validate.open_unit),
    }


def _times(objective, lam, rho, depth, epsilon, fraction):
    """Critical times where a feature is learned, inf elsewhere."""
    grows, times = (lam > 0) & (rho > 0), np.full(np.shape(lam), np.inf)  # NaN is not
    final = depth / objective.saturation_power(depth=depth) * np.log(np.where(grows, rho, 1.0))
    learned = grows & (np.log(epsilon) < np.log(fraction) + final)
    times[learned] = critical_time.exact(
        objective, lam[learned], rho[learned], depth=depth, epsilon=epsilon, fraction=fraction
    )
    return times


def _pull(objective, rho, crosstalk, times, depth, epsilon):
    """The largest crosstalk on each feature from one learned before it, (d,)."""
    grows = rho > 0
    relative = np.where(grows & np.isfinite(times), crosstalk, 0.0)
    power, most = depth / objective.saturation_power(depth=depth), np.log(LARGE)
    log_size = power * np.log(np.where(grows, rho, 1.0))
    with np.errstate(under="ignore"):
        size = np.exp(np.minimum(log_size, most)) * grows
    # what grows, but too little to count as learned, is at its final size soon
    reached = np.where(np.isinf(times) & (size > epsilon), 0.0, times)
    if objective is JEPA:
        with np.errstate(invalid="ignore"):  # no size times no bound: of features never learned
            relative = relative * (size / epsilon)[:, None]
    pull = np.where((reached[:, None] < times) & (size > 0)[:, None], relative, 0.0).max(0)
    return np.where(np.isfinite(times), pull, np.inf)


def _opposed(jepa, mae):
    """Whether JEPA learns i before j and MAE j before i, booleans (..., k, k)."""
    return (jepa[..., :, None] < jepa[..., None, :]) & (mae[..., :, None] > mae[..., None, :])
