"""The training curve: the loss of eq. (5) while features are learned, and why JEPA's rises (ours).

Of a target T y, what any linear predictor of x must leave is its noise: with B = S_yx S_xx^-1 and
N = S_yy - B S_xy::

    loss = 1/2 |(V W - T B) S_xx^(1/2)|^2 + 1/2 tr(T N T')
                    the gap                   the floor

MAE's floor is a constant. JEPA's is made of its own encoder, T = W, and grows as that does. For one
feature of size w = omega^L, with a target of size w_T (JEPA: w itself, MAE: 1)::

    loss = 1/2 sigma_x^2 (omega w - rho w_T)^2 + 1/2 (sigma_y^2 - lam rho) w_T^2

Where `variance_y` is not given, both views vary alike: sigma_y^2 = sigma_x^2 = lam / rho.
"""

from dataclasses import dataclass

import numpy as np

from jepabook._support import validate
from jepabook.theory import target_network
from jepabook.theory import weight_decay as _decay
from jepabook.theory.objectives import JEPA

_LOSS_FITS = "must be small enough for the loss to fit in float64"


@dataclass(frozen=True, eq=False)
class Curve:
    """The losses of features at n times; sum over features for what a log shows.

    Attributes
    ----------
    size, target : ndarrays (n, ..., d)
        w, and w_T: w itself for JEPA, 1 for MAE, the target network's where there is one.
    loss, floor : ndarrays (n, ..., d)
        The feature's part of the loss, and of that what no predictor can take off.
    variance : ndarray (n, ..., d)
        sigma_y^2 w_T^2, the feature's part of the variance of the target.
    """

    size: np.ndarray
    target: np.ndarray
    loss: np.ndarray
    floor: np.ndarray
    variance: np.ndarray

    def unexplained(self):
        """Twice the loss over the target's variance, features (last axis) together: (n, ...).

        NaN where the target is 0 in float64.
        """
        loss, variance = self.loss.sum(-1), self.variance.sum(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(variance > 0, 2 * loss / variance, np.nan)


def split(objective, encoder, decoder, sigma_xx, sigma_yx, sigma_yy):
    """The two parts of the loss of eq. (5) at any weights: the gap, and the floor.

    Parameters
    ----------
    objective : Objective
    encoder, decoder : arrays (d, d)
        The products W and V.
    sigma_xx, sigma_yx, sigma_yy : arrays (d, d)
        E[x x'], E[y x'], E[y y']; sigma_xx positive definite.

    Returns
    -------
    gap, floor : floats
        What a better linear predictor of x could still take off, and what none can. They add up
        to `objectives.loss`.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    """
    validate.objective(objective)
    encoder, decoder, sigma_xx, sigma_yx, sigma_yy = validate.squares(
        encoder=encoder, decoder=decoder, sigma_xx=sigma_xx, sigma_yx=sigma_yx, sigma_yy=sigma_yy
    )
    validate.positive_definite("sigma_xx", sigma_xx)
    regression = np.linalg.solve(sigma_xx, sigma_yx.T).T
    noise = sigma_yy - regression @ sigma_yx.T
    target = objective.target(encoder)
    with np.errstate(over="ignore", invalid="ignore"):
        residual = decoder @ encoder - target @ regression
        parts = np.vdot(residual, residual @ sigma_xx), np.vdot(target, target @ noise)
    gap, floor = (0.5 * float(part) for part in parts)
    if not np.isfinite(gap + floor):
        largest = max(np.abs(encoder).max(), np.abs(decoder).max())
        raise ValueError(f"encoder and decoder {_LOSS_FITS}, got a largest entry of {largest:.3g}")
    return gap, floor


def feature_loss(objective, w, lam, rho, *, depth, variance_y=None, target=None):
    """What one feature of an aligned network adds to the loss: the gap and the floor.

    Parameters
    ----------
    objective : Objective
    w : array_like
        Its size in the encoder, >= 0.
    lam, rho : array_like
        > 0.
    depth : int
        Number L >= 1 of layers of the encoder.
    variance_y : array_like, optional
        sigma_y^2 = E[y_i^2] >= lam rho (Cauchy and Schwarz); default: lam / rho, that of x.
    target : array_like, optional
        Its size in JEPA's target, >= 0; default: w.

    Returns
    -------
    gap, floor : ndarrays or float64
        Their sum is the loss.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.
    """
    validate.objective(objective)
    depth = validate.depth(depth)
    w = validate.non_negative("w", w)
    if target is not None and not objective.targets_encoder:
        raise ValueError(f"target must be None for {objective}, got {validate.one_line(target)}")
    goal = w if objective.targets_encoder else 1.0
    goal = goal if target is None else validate.non_negative("target", target)
    lam, rho, variance_y = _feature(lam, rho, variance_y)
    w, goal, lam, rho, variance_y = validate.broadcast(
        w=w, target=goal, lam=lam, rho=rho, variance_y=variance_y
    )
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        gap = 0.5 * lam / rho * (w ** (1 + 1 / depth) - rho * goal) ** 2
        floor = 0.5 * (variance_y - lam * rho) * goal**2
    validate.where("w", w, np.isfinite(gap) & np.isfinite(floor), _LOSS_FITS)
    return gap[()], floor[()]


def _feature(lam, rho, variance_y):
    """lam, rho and sigma_y^2 of features, arrays of one shape; ValueError unless they can be."""
    lam, rho = validate.positive("lam", lam), validate.positive("rho", rho)
    given = (
        {} if variance_y is None else {"variance_y": validate.positive("variance_y", variance_y)}
    )
    lam, rho, *given = validate.broadcast(lam=lam, rho=rho, **given)
    if not given:
        validate.where("rho", rho, rho <= 1, "must be at most 1 where variance_y is not given")
    with np.errstate(over="ignore", under="ignore"):
        variance = given[0] if given else lam / rho
        least = lam * rho
    name = "variance_y" if given else "rho"
    validate.where(name, variance, np.isfinite(variance), "must leave a variance within float64")
    allowed = variance >= least * (1 - 1e-12)  # a product of three roundings
    validate.where(name, variance, allowed, "must be at least lam rho")
    return lam, rho, np.maximum(variance, least)


def turning_correlation(*, depth):
    """The correlation of two views up to which JEPA's loss never falls: 2 sqrt(L(L+1)) / (2L+1).

    Parameters
    ----------
    depth : int
        Number L >= 1 of layers of the encoder.

    Returns
    -------
    float
        sqrt(1 - (2L+1)^-2): 0.943 for one layer, 0.996 for five. The correlation of a feature is
        lam / (sigma_x sigma_y); rho, where both views vary alike.
    """
    depth = validate.depth(depth)
    return 2 * (depth * (depth + 1)) ** 0.5 / (2 * depth + 1)


def turning_sizes(lam, rho, *, depth, variance_y=None):
    """The two sizes between which the loss of an aligned feature of JEPA falls as it grows.

    Below the first and above the second, up to its end rho^L, the loss rises.

    Parameters
    ----------
    lam, rho, variance_y : array_like
        As for `feature_loss`.
    depth : int

    Returns
    -------
    low, high : ndarrays or float64
        NaN where the loss rises all the way: correlations up to `turning_correlation`.
    """
    depth = validate.depth(depth)
    lam, rho, variance_y = _feature(lam, rho, variance_y)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        correlation = np.minimum(rho * (lam / (rho * variance_y)) ** 0.5, 1.0)
        room = correlation**2 - 1 + 1 / (2 * depth + 1) ** 2
        root = (2 * depth + 1) * np.sqrt(np.where(room > 0, room, np.nan))
        high = ((2 * depth + 1) * correlation + root) / (2 * (depth + 1))
        low = depth / ((depth + 1) * high)
        # in units of sigma_y / sigma_x = rho / correlation
        low, high = ((scale * rho / correlation) ** depth for scale in (low, high))
    return low[()], high[()]


def curve(
    objective,
    t,
    lam,
    rho,
    *,
    depth,
    epsilon,
    variance_y=None,
    weight_decay=0.0,
    target_rate=None,
    teacher=None,
):
    """The losses of aligned features along their training, by integration.

    Parameters
    ----------
    objective : Objective
    t : array (n,)
        Increasing, starting at 0, in the paper's clock.
    lam, rho, epsilon, variance_y, weight_decay : array_like
        As for `feature_loss` and `weight_decay.trajectory`; broadcast.
    depth : int
    target_rate, teacher : array_like, optional
        JEPA's target network, as for `target_network.trajectory`; default: none.

    Returns
    -------
    Curve
        Weight decay's own part is not in the loss.
    """
    validate.objective(objective)
    features = np.atleast_1d(*_feature(lam, rho, variance_y))
    known = {"depth": depth, "epsilon": epsilon, "weight_decay": weight_decay}
    if target_rate is None:
        if teacher is not None:
            told = validate.one_line(teacher)
            raise ValueError(f"teacher must be None without a target_rate, got {told}")
        size = _decay.trajectory(objective, t, *features[:2], **known)
        target = size if objective.targets_encoder else np.ones_like(size)
    else:
        if objective is not JEPA:
            told = validate.one_line(target_rate)
            raise ValueError(f"target_rate must be None for {objective}, got {told}")
        size, target = target_network.trajectory(
            t, *features[:2], **known, target_rate=target_rate, teacher=teacher
        )
    lam, rho, variance_y = features
    given = {"target": target} if objective.targets_encoder else {}
    gap, floor = feature_loss(
        objective, size, lam, rho, depth=depth, variance_y=variance_y, **given
    )
    return Curve(size, target, gap + floor, floor, variance_y * target**2)
