"""JEPA against MAE by SGD from a random start, on the very same minibatches: Figures 1 and 5."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from jepabook._support import tensors, validate
from jepabook.theory import _layers
from jepabook.theory.feature_spectrum import FeatureSpectrum
from jepabook.theory.objectives import BOTH, JEPA
from jepabook.training import linear_net, minibatch

#: Gain of the layers that `follow_decoder` and `follow_loss` start from: PyTorch's.
GAIN = 3**-0.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of both objectives over gains, learning rates and seeds.

    Attributes
    ----------
    steps : ndarray (n,)
        Iterations at which sizes were recorded.
    sizes : ndarray (n, 2, gains, rates, seeds, d)
        Sizes of the features, JEPA first; NaN from where a run diverged.
    diverged_at : ndarray (2, gains, rates, seeds)
        Iteration at which a run was first not finite, or -1.
    seconds : float
        Wall time, over all calls that a checkpoint has joined.
    """

    steps: np.ndarray
    sizes: np.ndarray
    diverged_at: np.ndarray
    seconds: float


def train_both(
    spectrum,
    seeds,
    gains,
    learning_rates,
    *,
    depth=5,
    batch=1000,
    steps=5000,
    record_at=None,
    seed=0,
    checkpoint=None,
    device="cpu",
):
    """Train both objectives from the same Gaussian weights on the same minibatches.

    The views are alike in law, Sigma_yy = Sigma_xx: the paper gives no Sigma_yy. So rho is the
    correlation of x_i and y_i, at most 1.

    Parameters
    ----------
    spectrum : FeatureSpectrum
        d features with rho <= 1.
    seeds : int
        Independent repetitions: initial weights, and minibatches.
    gains, learning_rates : sequences of float
        Layers have entries N(0, gain^2 / d). Every pair is run.
    depth, batch, steps, record_at, checkpoint
        As in `linear_net.train`; the defaults are the paper's setting (Appendix A.1).
    seed : int
        Of everything random.
    device : torch device

    Returns
    -------
    Comparison
    """
    validate.instance("spectrum", spectrum, FeatureSpectrum)
    validate.where("rho", spectrum.rho, spectrum.rho <= 1, "must be at most 1")
    gains, learning_rates = (
        np.atleast_1d(validate.positive(name, value))
        for name, value in (("gains", gains), ("learning_rates", learning_rates))
    )
    if gains.ndim != 1 or learning_rates.ndim != 1 or not gains.size * learning_rates.size:
        shapes = f"{gains.shape} and {learning_rates.shape}"
        raise ValueError(f"gains and learning_rates must be sequences of numbers, got {shapes}")
    seeds, depth = validate.integer("seeds", seeds), validate.depth(depth)
    lead = (len(BOTH), len(gains), len(learning_rates), seeds)
    need = 24 * math.prod(lead) * (depth + 1) * len(spectrum) ** 2
    validate.memory("gains, learning_rates and seeds", lead, need)
    sequence = np.random.SeedSequence(validate.seed(seed))
    start, stream = (int(state) for state in sequence.generate_state(2))
    unit = linear_net.initial_weights(
        "gaussian", seeds, depth=depth, width=len(spectrum), gain=1.0, seed=start, device=device
    )
    gain = np.broadcast_to(gains[:, None, None], lead).ravel()
    gain = tensors.of_type("gains", gain, unit.dtype)
    copies = len(gain) // seeds
    weights = unit.repeat(1, copies, 1, 1) * gain.to(device)[:, None, None]
    settings = linear_net.settings(
        [objective for objective in BOTH for _ in range(len(gain) // 2)],
        weights,
        np.broadcast_to(learning_rates[:, None], lead).ravel(),
    )
    sigma_xx, sigma_yx = (np.stack([matrix] * seeds) for matrix in spectrum.covariances())
    views = minibatch.GaussianViews(sigma_xx, sigma_yx, sigma_xx, batch, stream, device=device)
    history = linear_net.train(
        weights, settings, views, steps, record_at, checkpoint=checkpoint, checkpoint_every=500
    )
    sizes = history.sizes.reshape(len(history.times), *lead, len(spectrum))
    return Comparison(history.times, sizes, history.diverged_at.reshape(lead), history.seconds)


def decoder_gain(weights, sigma_xx, sigma_yx):
    """How far a network's decoder acts on all features alike (ours).

    Parameters
    ----------
    weights : tensor (L + 1, R, d, d)
    sigma_xx, sigma_yx : arrays (d, d)

    Returns
    -------
    gain, spread, mean_rho : ndarrays (R,)
        The number v for which v W x is nearest to V W x in mean square; the root mean square of
        (V - v) W x over that of V W x; and the same for the best decoder that is a number,
        tr(W Sigma_yx W') / tr(W Sigma_xx W'), the mean of rho weighted by |W e_i|^2 sigma_i^2.

    Raises
    ------
    ValueError
        Also for weights so small or large that their type has no room for these traces.
    """
    tensors.floating("weights", weights, ("L + 1", "R", "d", "d"))
    if len(weights) < 2:
        raise ValueError(f"weights must have an encoder and a decoder, got {len(weights)} layer")
    sigma_xx, sigma_yx = validate.squares(weights.shape[-1], sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    encoder, decoder = _layers.partial_products(weights[:-1])[-1], weights[-1]
    named = (("sigma_xx", sigma_xx), ("sigma_yx", sigma_yx))
    xx, yx = (
        encoder @ tensors.of_type(*sigma, encoder.dtype, encoder.device) @ encoder.mT
        for sigma in named
    )

    def trace(matrix):
        return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)

    squares, total = trace(xx), trace(decoder @ xx @ decoder.mT)
    for found in (squares, total):
        if not (torch.isfinite(found) & (found > 0)).all():
            told = f"{encoder.dtype}, got {found.min():.3g} to {found.max():.3g}"
            raise ValueError(f"weights must keep the variances of W x and V W x in {told}")
    gain = trace(decoder @ xx) / squares
    spread = (1 - gain**2 * squares / total).clamp(min=0).sqrt()
    return tuple(found.cpu().numpy() for found in (gain, spread, trace(yx) / squares))


@dataclass(frozen=True, eq=False)
class DecoderPath:
    """JEPA's decoder and the growth of its features over stretches of full-batch descent (ours).

    Attributes
    ----------
    gain, spread, mean_rho : ndarrays (n, runs)
        `decoder_gain`, the mean of the stretch's two ends.
    growth : ndarray (n, runs, d)
        Growth rates of the sizes, in units of gradient flow.
    """

    gain: np.ndarray
    spread: np.ndarray
    mean_rho: np.ndarray
    growth: np.ndarray

    def fastest(self):
        """The stretch in which each run's features grow fastest on average, (runs,)."""
        return self.growth.mean(-1).argmax(0)

    def fit(self, spectrum):
        """Fit the fastest growth by a lam_i - b sigma_i^2, least squares.

        Parameters
        ----------
        spectrum : FeatureSpectrum
            The d features that were learned.

        Returns
        -------
        growth, fitted : ndarrays (runs, d)
            Rates at each run's fastest stretch, and their fit.
        c : ndarray (runs,)
            The ratio b / a.
        """
        validate.instance("spectrum", spectrum, FeatureSpectrum)
        if len(spectrum) != self.growth.shape[-1]:
            raise ValueError(
                f"spectrum must be of {self.growth.shape[-1]} features, got {len(spectrum)}"
            )
        growth = self.growth[self.fastest(), np.arange(self.growth.shape[1])]
        design = np.stack([spectrum.lam, -spectrum.sigma_squared], axis=1)
        a, b = coefficients = np.linalg.lstsq(design, growth.T)[0]
        return growth, (design @ coefficients).T, b / a


def follow_decoder(spectrum, runs, stretches, seed, *, steps=50, depth=5, rate=0.03):
    """Follow JEPA's decoder from Gaussian weights by gradient descent on the population.

    Layers have entries N(0, 1 / (3 d)), PyTorch's variance.

    Parameters
    ----------
    spectrum : FeatureSpectrum
    runs, stretches, steps : int
        Independent starts; stretches to be told apart; steps in each.
    seed, depth : int
    rate : float
        Learning rate.

    Returns
    -------
    DecoderPath

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; spectrum and rate where a network
        leaves the range of float32.
    """
    sigma_xx, sigma_yx = validate.instance("spectrum", spectrum, FeatureSpectrum).covariances()
    runs, depth = validate.integer("runs", runs), validate.depth(depth)
    rate = validate.number("rate", rate, validate.positive)
    stretches = validate.integer("stretches", stretches, most=10**6)
    steps = validate.integer("steps", steps, most=validate.MOST_STEPS // stretches)
    source = minibatch.Population(sigma_xx, sigma_yx, dtype=torch.float32)
    weights = linear_net.initial_weights(
        "gaussian", runs, depth=depth, width=len(spectrum), gain=GAIN, seed=seed
    )
    settings = linear_net.settings(JEPA, weights, rate)
    told, growth = [], []
    for stretch in range(stretches + 1):
        try:
            told.append(decoder_gain(weights, sigma_xx, sigma_yx))
        except ValueError as error:
            raise ValueError(
                f"spectrum and rate must keep networks in float32, got rate {rate}: after "
                f"{stretch * steps} steps {error}"
            ) from None
        if stretch < stretches:
            history = linear_net.train(weights, settings, source, steps, record_at=[0, steps])
            weights, sizes = history.weights, history.sizes.astype(float)
            growth.append(np.log(sizes[1] / sizes[0]) / (steps * rate))
    ends = np.array(told)
    return DecoderPath(*np.moveaxis((ends[1:] + ends[:-1]) / 2, 1, 0), np.array(growth))


@dataclass(frozen=True, eq=False)
class LossPath:
    """The loss of networks along their training, at the population, in its two parts.

    Attributes
    ----------
    steps : ndarray (n,)
    gap, floor, variance : ndarrays (n, kinds, runs)
        What a better linear predictor could take off the loss, what none can, and the variance of
        the target, E |T y|^2; see `loss_curves.split`.
    """

    steps: np.ndarray
    gap: np.ndarray
    floor: np.ndarray
    variance: np.ndarray

    @property
    def loss(self):
        """The loss of eq. (5), (n, kinds, runs)."""
        return self.gap + self.floor

    @property
    def unexplained(self):
        """Twice the loss over the target's variance, (n, kinds, runs)."""
        return 2 * self.loss / self.variance


def follow_loss(
    spectrum,
    objectives,
    runs,
    stretches,
    seed,
    *,
    target_rate=np.inf,
    steps=50,
    depth=4,
    rate=0.03,
    batch=200,
):
    """Follow the loss by SGD from Gaussian weights, all kinds on the very same minibatches (ours).

    The views are alike in law, as in `train_both`, and layers start as in `follow_decoder`.

    Parameters
    ----------
    spectrum : FeatureSpectrum
        d features with rho <= 1.
    objectives : sequence of Objective
        One for each kind of training.
    runs, stretches, steps : int
        Independent repetitions; stretches to be told apart; steps in each.
    seed : int
        Of everything random.
    target_rate : float or sequence of float
        One for each kind, as in `linear_net.settings`.
    depth, rate, batch
        As in `linear_net.train`.

    Returns
    -------
    LossPath

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; the rate where a run diverges, the
        spectrum where a target has no variance that a number can say.
    """
    validate.instance("spectrum", spectrum, FeatureSpectrum)
    validate.where("rho", spectrum.rho, spectrum.rho <= 1, "must be at most 1")
    kinds = validate.objectives(objectives)
    if not kinds:
        raise ValueError("objectives must not be empty, got none")
    runs, depth = validate.integer("runs", runs), validate.depth(depth)
    rate = validate.number("rate", rate, validate.positive)
    stretches = validate.integer("stretches", stretches, most=10**6)
    steps = validate.integer("steps", steps, most=validate.MOST_STEPS // stretches)
    start, stream = (
        int(state) for state in np.random.SeedSequence(validate.seed(seed)).generate_state(2)
    )
    weights = linear_net.initial_weights(
        "gaussian",
        runs,
        depth=depth,
        width=len(spectrum),
        gain=GAIN,
        seed=start,
        dtype=torch.float64,
    ).repeat(1, len(kinds), 1, 1)
    target_rate = validate.array("target_rate", target_rate)
    if target_rate.shape not in ((), (len(kinds),)):
        told = f"got shape {target_rate.shape}"
        raise ValueError(f"target_rate must be one number or {len(kinds)}, {told}")
    settings = linear_net.settings(
        [objective for objective in kinds for _ in range(runs)],
        weights,
        rate,
        target_rate=np.repeat(np.broadcast_to(target_rate, len(kinds)), runs),
    )
    sigma_xx, sigma_yx = spectrum.covariances()
    many = (np.stack([matrix] * runs) for matrix in (sigma_xx, sigma_yx, sigma_xx))
    views = minibatch.GaussianViews(*many, batch, stream, dtype=torch.float64)
    online, slow, told = torch.isinf(settings.target_rate), None, []
    for stretch in range(stretches + 1):
        if stretch:
            history = linear_net.train(
                weights, settings, views, steps, record_at=[steps], target_weights=slow
            )
            weights, slow = history.weights, history.target_weights
            if (history.diverged_at >= 0).any():
                found = f"got {rate}: one was not after {stretch * steps} steps"
                raise ValueError(f"rate must be small enough for runs to stay finite, {found}")
        layers = weights[:depth] if slow is None else slow
        encoder = _layers.partial_products(weights[:depth])[-1]
        target = torch.where(online, encoder, _layers.partial_products(layers)[-1])
        with np.errstate(all="ignore"):  # what is not a number is told below
            told.append(_losses(settings.objectives, encoder, weights[depth], target, spectrum))
        variance = np.array(told[-1])[:, 2]
        if not (np.isfinite(told[-1]).all() and (variance > 0).all()):
            found = f"after {stretch * steps} steps it is {variance.min():.3g}"
            raise ValueError(f"spectrum must leave the target a variance in float64, got: {found}")
    parts = np.array(told).reshape(stretches + 1, len(kinds), runs, 3)
    return LossPath(steps * np.arange(stretches + 1), *np.moveaxis(parts, -1, 0))


def _losses(objectives, encoders, decoders, targets, spectrum):
    """Gap, floor and target's variance of networks whose views are alike in law, (R, 3)."""
    rho, variance = spectrum.rho, spectrum.sigma_squared
    rows = []
    for objective, *matrices in zip(objectives, encoders, decoders, targets, strict=True):
        encoder, decoder, slow = (matrix.numpy() for matrix in matrices)
        target = slow if objective.targets_encoder else np.eye(len(slow))
        gap = ((decoder @ encoder - target * rho) ** 2 @ variance).sum() / 2
        spread = (target**2).sum(0) * variance
        rows.append((gap, spread @ (1 - rho**2) / 2, spread.sum()))
    return rows
