"""Deep linear networks in torch, many runs at once: gradient flow and SGD for eq. (5).

The weights of R networks are one tensor of shape (L + M, R, d, d): the encoder's L layers, then
the decoder's M (M = 1 in the paper), the layer that acts first standing first. JEPA and MAE, all
learning rates, target rates and weight decays share one update. The target of a JEPA network is
its own encoder, gradient stopped, or, where `target_rate` is finite, that of a second network
whose layers follow the first one's as an exponential moving average (EMA).
"""

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torchdiffeq import odeint
from tqdm import tqdm

from jepabook import _validate, checkpoints, matrix_flow, minibatch


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


@dataclass(frozen=True, eq=False)
class History:
    """The record of R runs at n moments.

    Attributes
    ----------
    times : ndarray (n,)
        Steps of SGD, or times of gradient flow.
    sizes : ndarray (n, R, d)
        |W u_i| for every direction u_i: the sizes of the features, eq. (63).
    diverged_at : ndarray (R,)
        The first step at which a run's network or its gradient was not finite, or -1.
    weights : tensor (L + M, R, d, d)
        The weights at the end.
    seconds : float
        Wall time, over all calls that a checkpoint has joined.
    """

    times: np.ndarray
    sizes: np.ndarray
    diverged_at: np.ndarray
    weights: torch.Tensor
    seconds: float


def initial_weights(
    kind, count, depth, width, gain, seed, decoder_depth=1, dtype=torch.float32, device="cpu"
):
    """Random initial weights of `count` networks, every layer independent of the others.

    Parameters
    ----------
    kind : {"gaussian", "uniform", "orthogonal"}
        Entries N(0, gain^2/d); uniform with the same variance (gain 3^-1/2 is the default of
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
    if kind not in ("gaussian", "uniform", "orthogonal"):
        raise ValueError(f"kind must be gaussian, uniform or orthogonal, got {kind!r}")
    layers = _validate.depth(depth) + _validate.integer("decoder_depth", decoder_depth)
    width = _validate.integer("width", width)
    shape = (layers, _validate.integer("count", count), width, width)
    gain = _validate.number("gain", _validate.positive("gain", gain))
    minibatch.check_dtype(dtype)
    generator = torch.Generator().manual_seed(_validate.integer("seed", seed, least=0))
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
        M.

    Returns
    -------
    Settings
    """
    if like.ndim != 4 or like.shape[-1] != like.shape[-2]:
        raise ValueError(f"like must have shape (layers, R, d, d), got {tuple(like.shape)}")
    runs, decoder_depth = like.shape[1], _validate.integer("decoder_depth", decoder_depth)
    if decoder_depth >= len(like):
        raise ValueError(f"decoder_depth must be below {len(like)} layers, got {decoder_depth}")
    many = tuple(objectives) if np.iterable(objectives) else (objectives,) * runs
    for objective in many:
        _validate.objective(objective)
    if len(many) != runs:
        raise ValueError(f"objectives must be one or {runs}, got {len(many)}")

    def for_each(name, value):
        if value.shape not in ((), (runs,)):
            raise ValueError(f"{name} must be one number or {runs}, got shape {value.shape}")
        value = np.broadcast_to(value, runs).copy()
        return torch.as_tensor(value, dtype=like.dtype, device=like.device)[:, None, None]

    rate = _validate.array("target_rate", target_rate)
    _validate.where("target_rate", rate, rate >= 0, "must be non-negative")
    return Settings(
        objectives=many,
        learning_rate=for_each("learning_rate", _validate.positive("learning_rate", learning_rate)),
        weight_decay=for_each("weight_decay", _validate.non_negative("weight_decay", weight_decay)),
        target_rate=for_each("target_rate", rate),
        decoder_depth=decoder_depth,
    )


class Networks:
    """R networks and their target networks: the residual that flow and SGD share."""

    def __init__(self, weights, settings, source, directions, target_weights):
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
        products = matrix_flow.partial_products(layers, torch.bmm)
        target = products[self.depth - 1]
        if self.has_target:
            slow = matrix_flow.partial_products(target_layers, torch.bmm)[-1]
            target = torch.where(self.online, target, slow)
        if self.mixed:
            target = torch.where(self.jepa, target, self.eye)
        elif not self.all_jepa:
            target = self.eye.expand_as(target)
        return products, self.source.residual(products[-1], target)

    def sizes(self, weights):
        """|W u_i|, shape (R, d)."""
        encoder = matrix_flow.partial_products(weights[: self.depth])[-1]
        return (encoder if self.directions is None else encoder @ self.directions).norm(dim=-2)


def train(
    weights,
    settings,
    source,
    steps,
    record_at=None,
    directions=None,
    target_weights=None,
    checkpoint=None,
    checkpoint_every=1000,
    progress=None,
):
    """Stochastic gradient descent, W <- W - learning_rate * gradient, for all runs at once.

    A run that diverges is reported in the history with its step; the others are not touched by it.

    Parameters
    ----------
    weights : tensor (L + M, R, d, d)
        Initial weights; left as they are.
    settings : Settings
    source : minibatch.GaussianViews or minibatch.Population
        Its stream of minibatches goes on from where it is: the same training needs a new source.
    steps : int
    record_at : sequence of int, optional
        Increasing steps within [0, steps] at which sizes are recorded; default: 201 of them.
    directions : tensor (d, d), optional
        Columns u_i; default: the coordinate axes.
    target_weights : tensor (L, R, d, d), optional
        Where the target networks start; default: at the encoder.
    checkpoint : path, optional
        Written every `checkpoint_every` steps and at the end. If the file is there and of the same
        training, training goes on from it, with the result that it would have had uninterrupted.
    checkpoint_every : int
    progress : bool, optional
        Show a progress bar; default: where standard error is a terminal.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        For arguments that do not fit, and for a checkpoint of another training.
    """
    steps = _validate.integer("steps", steps)
    checkpoint_every = _validate.integer("checkpoint_every", checkpoint_every)
    record_at = _record_at(record_at, steps)
    networks = Networks(weights, settings, source, directions, target_weights)
    runs, width = weights.shape[1], weights.shape[-1]
    state = {
        "step": torch.zeros((), dtype=torch.int64),
        "seconds": torch.zeros((), dtype=torch.float64),
        "weights": weights.clone(),
        "target": networks.start.clone() if networks.has_target else weights.new_empty(0),
        "sizes": weights.new_full((len(record_at), runs, width), torch.nan),
        "diverged_at": torch.full((runs,), -1, device=weights.device),
        "source": source.state(),
    }
    if checkpoint is not None:
        identity = checkpoints.identity(networks, weights, steps, record_at)
        state = checkpoints.resume(checkpoint, state, identity)
        source.restore(state["source"])
    begun = time.perf_counter() - float(state["seconds"])
    live, target, sizes, diverged_at = (
        state[name] for name in ("weights", "target", "sizes", "diverged_at")
    )
    rate, layers = settings.learning_rate, live.unbind()
    share, decay = (rate * settings.target_rate).clamp(max=1.0), 1 - rate * settings.weight_decay
    decays, done = bool((settings.weight_decay > 0).any()), int(state["step"])
    rows = {int(step): row for row, step in enumerate(record_at)}
    with torch.no_grad(), tqdm(total=steps, initial=done, disable=_quiet(progress)) as bar:
        for step in range(done, steps + 1):
            if step in rows:
                sizes[rows[step]] = networks.sizes(live)
            if step == steps:
                break
            products, residual = networks.products_and_residual(layers, target)
            diverged_at.masked_fill_(_broken(residual) & (diverged_at < 0), step)
            gradients = matrix_flow.layer_gradients(
                layers, products, residual.mul_(rate), torch.bmm
            )
            if decays:
                live.mul_(decay)
            for layer, gradient in zip(layers, gradients, strict=True):
                layer.sub_(gradient)
            if networks.has_target:
                target.lerp_(live[: networks.depth], share.expand_as(target))
            bar.update()
            last = step + 1 == steps
            if checkpoint is not None and (last or (step + 1) % checkpoint_every == 0):
                state["step"].fill_(step + 1)
                state["seconds"].fill_(time.perf_counter() - begun)
                checkpoints.save(checkpoint, state | {"source": source.state()}, identity)
        diverged_at.masked_fill_(
            _broken(matrix_flow.partial_products(layers)[-1]) & (diverged_at < 0), steps
        )
    seconds = time.perf_counter() - begun
    return History(record_at, sizes.cpu().numpy(), diverged_at.cpu().numpy(), live, seconds)


def flow(
    weights,
    settings,
    source,
    times,
    directions=None,
    target_weights=None,
    rtol=1e-8,
    atol=1e-10,
    progress=None,
):
    """Gradient flow of the full matrices, eq. (6), with error control (Dormand and Prince, 8(7)).

    The step is chosen so that the run with the largest error keeps to the tolerances.

    Parameters
    ----------
    weights, settings, directions, target_weights, progress
        As for `train`; the learning rate is not used. float64 is advised.
    source : minibatch.Population
    times : array (n,)
        Increasing, starting at 0, in units of gradient flow: the scalar equations (7), (8) run L
        times faster.
    rtol, atol : float
        rtol must leave some room to the rounding of the weights' type.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        For arguments that do not fit.
    RuntimeError
        If the integrator gives up: the flow blows up, or is too stiff, as at huge target rates.
    """
    times = _validate.finite("times", times)
    if times.ndim != 1 or times.size < 2:
        raise ValueError(f"times must be a sequence of at least two, got shape {times.shape}")
    rising = np.append(times[0] == 0, np.diff(times) > 0)
    _validate.where("times", times, rising, "must increase from 0")
    if not isinstance(source, minibatch.Population):
        raise ValueError(f"source must be minibatch.Population, got {type(source).__name__}")
    begun = time.perf_counter()
    networks = Networks(weights, settings, source, directions, target_weights)
    rtol, atol = (
        _validate.number(name, _validate.positive(name, value))
        for name, value in (("rtol", rtol), ("atol", atol))
    )
    least = 4 * torch.finfo(weights.dtype).eps
    if rtol < least:
        raise ValueError(f"rtol must be at least {least:.1e} for {weights.dtype}, got {rtol}")
    layers = len(weights)
    rate = torch.where(networks.online, 0.0, settings.target_rate)

    def velocity(_, state):
        live, target = state[:layers], state[layers:]
        products, residual = networks.products_and_residual(live, target)
        gradients = matrix_flow.layer_gradients(live, products, residual, torch.bmm)
        slope = [-g - settings.weight_decay * w for g, w in zip(gradients, live, strict=True)]
        return torch.stack([*slope, *(rate * (w - t) for w, t in zip(live, target, strict=False))])

    def worst(state):
        """Root mean square error of the worst run; also of the time, a scalar."""
        return state.abs() if state.ndim == 0 else state.square().mean((0, 2, 3)).max().sqrt()

    state = torch.cat([weights, networks.start]) if networks.has_target else weights.clone()
    sizes = [networks.sizes(state[:layers])]
    clock = torch.as_tensor(times, dtype=torch.float64)
    with torch.no_grad(), tqdm(total=len(times) - 1, disable=_quiet(progress)) as bar:
        for span in pairwise(clock):
            span = torch.stack(span)
            options = {"norm": worst, "step_t": span[1:]}
            try:
                state = odeint(
                    velocity, state, span, rtol=rtol, atol=atol, method="dopri8", options=options
                )[-1]
            except AssertionError as error:  # how torchdiffeq reports a step that became too small
                reason = str(error).splitlines()[0]
                raise RuntimeError(f"gradient flow was not integrated: {reason}") from None
            sizes.append(networks.sizes(state[:layers]))
            bar.update()
    never = np.full(weights.shape[1], -1)
    seconds = time.perf_counter() - begun
    return History(times, torch.stack(sizes).cpu().numpy(), never, state[:layers], seconds)


def _broken(matrices):
    """Which of R matrices (R, d, d) are not finite, booleans (R,)."""
    return ~torch.isfinite(matrices.sum((-2, -1)))


def _record_at(record_at, steps):
    """The steps at which sizes are recorded, an increasing integer array."""
    if record_at is None:
        return np.unique(np.linspace(0, steps, 201).astype(int))
    record_at = np.atleast_1d(_validate.finite("record_at", record_at))
    if record_at.ndim != 1 or record_at.size == 0:
        raise ValueError(f"record_at must be a sequence of steps, got shape {record_at.shape}")
    allowed = (record_at % 1 == 0) & (record_at >= 0) & (record_at <= steps)
    allowed[1:] &= np.diff(record_at) > 0
    what = f"must be increasing integers within 0 and {steps}"
    return _validate.where("record_at", record_at, allowed, what).astype(int)


def _check(name, tensor, shape, like):
    """Raise ValueError unless `tensor` is finite, has the shape, and the kind of `like`."""
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"{name} must be a tensor, got {type(tensor).__name__}")
    if tensor.shape != shape or _kind(tensor) != _kind(like):
        wanted, found = f"{tuple(shape)} {_kind(like)}", f"{tuple(tensor.shape)} {_kind(tensor)}"
        raise ValueError(f"{name} must be {wanted}, got {found}")
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{name} must be finite, got {tensor[~torch.isfinite(tensor)][0]}")


def _kind(tensor):
    return f"{tensor.dtype} on {tensor.device}"


def _quiet(progress):
    """tqdm's `disable`: None hides the bar unless standard error is a terminal."""
    return None if progress is None else not progress
