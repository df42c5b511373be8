"""Deep linear networks in torch, many at once: their weights, settings and residuals.

`linear_net` trains them. The weights of R networks are one tensor of shape (L + M, R, d, d): the
encoder's L layers, then the decoder's M (M = 1 in the paper), the layer that acts first standing
first. The target of a JEPA network is its own encoder, gradient stopped, or, where `target_rate`
is finite, that of a second network whose layers follow the first one's as an exponential moving
average (EMA).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from jepabook._support import tensors, validate
from jepabook.theory import _layers
from jepabook.training import minibatch


@dataclass(frozen=True, eq=False)
class Settings:
    """What R runs share with each other or differ in; see `settings`.

    Attributes
    ----------
    objectives : tuple of R Objective
    learning_rate, weight_decay, target_rate : tensors (R, 1, 1)
    decoder_depth : int
    """

    objectives: tuple
    learning_rate: torch.Tensor
    weight_decay: torch.Tensor
    target_rate: torch.Tensor
    decoder_depth: int


def initial_weights(
    kind, count, *, depth, width, gain, seed, decoder_depth=1, dtype=torch.float32, device="cpu"
):
    """Random initial weights of `count` networks, every layer independent of the others.

    Parameters
    ----------
    kind : {"gaussian", "uniform", "orthogonal"}
        Entries N(0, gain^2/d); uniform with the same variance (gain 1/sqrt(3) is the default of
        torch.nn.Linear); or gain times a matrix drawn from the orthogonal group.
    count, depth, width : int
        Networks, L, and d.
    gain : float
        Root mean square factor by which a layer stretches a vector, > 0.
    seed : int
        Not the source's: the same seed is the same stream of random numbers.
    decoder_depth : int
    dtype : torch.float32 or torch.float64
    device : torch device
        The weights are the same on every device.

    Returns
    -------
    tensor (depth + decoder_depth, count, width, width)
    """
    validate.option("kind", kind, ("gaussian", "uniform", "orthogonal"))
    layers = validate.depth(depth) + validate.layers("decoder_depth", decoder_depth)
    width, count = validate.integer("width", width), validate.integer("count", count)
    shape = (layers, count, width, width)
    validate.memory("depth, count and width", shape, 24 * math.prod(shape))
    gain = validate.number("gain", gain, validate.positive)
    tensors.dtype(dtype)
    device = tensors.device(device)
    generator = torch.Generator().manual_seed(validate.seed(seed))
    if kind == "uniform":
        unit = torch.rand(shape, generator=generator, dtype=dtype).mul_(2).sub_(1)
        weights = unit * (gain * (3 / width) ** 0.5)
    else:
        weights = torch.randn(shape, generator=generator, dtype=dtype)
        if kind == "gaussian":
            weights *= gain / width**0.5
        else:
            q, r = torch.linalg.qr(weights)
            weights = gain * q * r.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    if not torch.isfinite(weights).all():
        raise ValueError(f"gain must leave weights finite in {dtype}, got {gain}")
    return weights.to(device)


def settings(
    objectives,
    like,
    learning_rate=1.0,
    weight_decay=0.0,
    target_rate=np.inf,
    decoder_depth=1,
):
    """Check what the runs are to do, and lay it out as `like`, their weights (L + M, R, d, d).

    Parameters
    ----------
    objectives : Objective or sequence of R
    like : tensor (L + M, R, d, d)
    learning_rate : float or (R,), > 0
    weight_decay : float or (R,)
        kappa >= 0: the loss has kappa/2 times the sum of all squared weights added.
    target_rate : float or (R,)
        tau >= 0 of JEPA's target network, in units of gradient flow: its layers obey
        dW_target/dt = tau (W - W_target), and SGD moves them by the share min(1, learning_rate
        * tau) a step, one minus the momentum. inf: the target is the encoder itself.
    decoder_depth : int
        Layers of the decoder, M.

    Returns
    -------
    Settings
    """
    tensors.floating("like", like, ("layers", "R", "d", "d"))
    runs, decoder_depth = like.shape[1], validate.integer("decoder_depth", decoder_depth)
    if decoder_depth >= len(like):
        raise ValueError(f"decoder_depth must be below {len(like)} layers, got {decoder_depth}")
    many = validate.objectives(objectives, runs)
    if len(many) != runs:
        raise ValueError(f"objectives must be one or {runs}, got {len(many)}")

    def for_each(name, value):
        if value.shape not in ((), (runs,)):
            raise ValueError(f"{name} must be one number or {runs}, got shape {value.shape}")
        # a rate of inf is a target that is the encoder itself
        value = tensors.of_type(name, value, like.dtype, like.device)
        return value.expand(runs).clone()[:, None, None]

    rate = validate.array("target_rate", target_rate)
    validate.where("target_rate", rate, rate >= 0, "must be non-negative")
    return Settings(
        objectives=many,
        learning_rate=for_each("learning_rate", validate.positive("learning_rate", learning_rate)),
        weight_decay=for_each("weight_decay", validate.non_negative("weight_decay", weight_decay)),
        target_rate=for_each("target_rate", rate),
        decoder_depth=decoder_depth,
    )


class Networks:
    """R networks and their target networks: the residual that flow and SGD share.

    Parameters
    ----------
    weights : tensor (L + M, R, d, d)
    settings : Settings
    source : minibatch.Population or minibatch.Minibatches
        Of S streams, S a divisor of R; of the weights' width, type and device.
    directions : tensor (d, d) or None
        Columns along which sizes are taken; None for the coordinate axes.
    target_weights : tensor (L, R, d, d) or None
        Where the target networks start; None: at the encoder.

    Raises
    ------
    ValueError
        For arguments that do not fit each other, or weights that are not finite.
    """

    def __init__(self, weights, settings, source, directions, target_weights):
        validate.instance("settings", settings, Settings)
        if not isinstance(source, (minibatch.Population, minibatch.Minibatches)):
            told = validate.one_line(source)
            raise ValueError(f"source must be a Population or Minibatches, got {told}")
        tensors.dense("weights", weights)
        self.settings, self.source = settings, source
        self.depth = len(weights) - settings.decoder_depth
        runs, width = len(settings.objectives), source.width
        _check("weights", weights, (len(weights), runs, width, width), settings.learning_rate)
        if self.depth < 1:
            raise ValueError(f"weights must have more layers than the decoder, got {len(weights)}")
        if runs % source.streams:
            raise ValueError(f"weights must be a multiple of {source.streams} runs, got {runs}")
        if source.dtype != weights.dtype or source.device != weights.device:
            raise ValueError(
                f"source must be {_kind(weights)} as the weights are, got {_kind(source)}"
            )
        if target_weights is not None:
            _check("target_weights", target_weights, weights[: self.depth].shape, weights)
        if directions is not None:
            _check("directions", directions, (width, width), weights)
        self.directions = directions
        jepa = [objective.targets_encoder for objective in settings.objectives]
        self.jepa = torch.tensor(jepa, device=weights.device)[:, None, None]
        self.mixed, self.all_jepa = any(jepa) and not all(jepa), all(jepa)
        self.eye = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
        self.online = torch.isinf(settings.target_rate)
        self.has_target = bool((self.jepa & ~self.online).any())
        self.start = weights[: self.depth] if target_weights is None else target_weights

    def products_and_residual(self, layers, target_layers):
        """The layers' partial products, and the residual of eq. (5), tensors (R, d, d)."""
        shape = (len(self.settings.objectives), *self.eye.shape)
        for name, given in (("layers", layers), ("target_layers", target_layers)):
            if name == "layers" or self.has_target:
                if isinstance(given, torch.Tensor):
                    tensors.dense(name, given, ("layers", "R", "d", "d"), gradient=True)
                if not isinstance(given, (torch.Tensor, tuple, list)) or len(given) < self.depth:
                    raise ValueError(f"{name} must be layers, got {validate.one_line(given)}")
                for layer in given:
                    tensors.floating(name, layer, shape, gradient=True)
        products = _layers.partial_products(layers, torch.bmm)
        target = products[self.depth - 1]
        if self.has_target:
            slow = _layers.partial_products(target_layers, torch.bmm)[-1]
            target = torch.where(self.online, target, slow)
        if self.mixed:
            target = torch.where(self.jepa, target, self.eye)
        elif not self.all_jepa:
            target = self.eye.expand_as(target)
        return products, self.source.residual(products[-1], target)

    def sizes(self, weights):
        """|W u_i|, shape (R, d)."""
        tensors.floating("weights", weights, ("L + M", "R", *self.eye.shape), gradient=True)
        encoder = _layers.partial_products(weights[: self.depth])[-1]
        return (encoder if self.directions is None else encoder @ self.directions).norm(dim=-2)


def _check(name, tensor, shape, like):
    """Raise ValueError unless `tensor` is finite, has the shape, and the kind of `like`."""
    tensors.dense(name, tensor)
    if tensor.shape != shape or _kind(tensor) != _kind(like):
        wanted, found = f"{tuple(shape)} {_kind(like)}", f"{tuple(tensor.shape)} {_kind(tensor)}"
        raise ValueError(f"{name} must be {wanted}, got {found}")
    tensors.finite(name, tensor)


def _kind(tensor):
    return f"{tensor.dtype} on {tensor.device}"
