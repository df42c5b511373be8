"""Training of deep linear networks in torch, many runs at once: SGD and gradient flow for eq. (5).

JEPA and MAE, all learning rates, target rates and weight decays share one update. The networks,
their initial weights and their settings are those of `networks`, whose names stand here as well:
``linear_net.initial_weights``, ``linear_net.settings``.
"""

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torchdiffeq import odeint
from tqdm import tqdm

from jepabook._support import validate
from jepabook.theory import _layers
from jepabook.training import checkpoints, minibatch
from jepabook.training.networks import Networks, Settings, initial_weights, settings

__all__ = ["History", "Networks", "Settings", "flow", "initial_weights", "settings", "train"]


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
    target_weights : tensor (L, R, d, d) or None
        The target networks' at the end; None where no run has one.
    seconds : float
        Wall time, over all calls that a checkpoint has joined.
    """

    times: np.ndarray
    sizes: np.ndarray
    diverged_at: np.ndarray
    weights: torch.Tensor
    target_weights: torch.Tensor | None
    seconds: float


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
    source : minibatch.Population or minibatch.Minibatches
        Its stream of minibatches goes on from where it is: the same training needs a new source.
    steps : int
        1 to 10^8.
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
    steps = validate.integer("steps", steps, most=validate.MOST_STEPS)
    progress = validate.switch("progress", progress)
    checkpoint = None if checkpoint is None else validate.path("checkpoint", checkpoint)
    checkpoint_every = validate.integer("checkpoint_every", checkpoint_every)
    record_at = _record_at(record_at, steps)
    networks = Networks(weights, settings, source, directions, target_weights)
    runs, width = weights.shape[1], weights.shape[-1]
    validate.memory("record_at", len(record_at), 16 * len(record_at) * runs * width)
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
        state = checkpoints.resume(checkpoint, state, identity, record_at)
        try:
            source.restore(state["source"])
        except ValueError:
            raise ValueError(
                f"checkpoint {checkpoint} is damaged: its 'source' is no generator's state"
            ) from None
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
            gradients = _layers.layer_gradients(layers, products, residual.mul_(rate), torch.bmm)
            if decays:
                live.mul_(decay)
            for layer, gradient in zip(layers, gradients, strict=True):
                layer.sub_(gradient)
            if networks.has_target:
                target.lerp_(live[: networks.depth], share.expand_as(target))
            bar.update()
            last = step + 1 == steps
            if checkpoint is not None and (last or (step + 1) % checkpoint_every == 0):
                # before they are saved, for a run that is not told from others must be finite
                gone = ~torch.isfinite(live).all(0).all(-1).all(-1)
                diverged_at.masked_fill_(gone & (diverged_at < 0), step + 1)
                state["step"].fill_(step + 1)
                state["seconds"].fill_(time.perf_counter() - begun)
                checkpoints.save(checkpoint, state | {"source": source.state()}, identity)
        diverged_at.masked_fill_(
            _broken(_layers.partial_products(layers)[-1]) & (diverged_at < 0), steps
        )
    seconds = time.perf_counter() - begun
    slow = target if networks.has_target else None
    return History(record_at, sizes.cpu().numpy(), diverged_at.cpu().numpy(), live, slow, seconds)


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
        From an aligned start of epsilon 0.1 the sizes are those of `dynamics.trajectory` to a
        relative rtol, atol being rtol / 100 (measured, L = 1 and 2, up to 2 half-times).
        Where nothing can be promised is told with `matrix_flow.integrate`.

    Raises
    ------
    ValueError
        For arguments that do not fit.
    RuntimeError
        If the integrator gives up: the flow blows up, or is too stiff, as at huge target rates.
    """
    times = validate.times("times", times)
    progress = validate.switch("progress", progress)
    if not isinstance(source, minibatch.Population):
        raise ValueError(f"source must be minibatch.Population, got {type(source).__name__}")
    begun = time.perf_counter()
    networks = Networks(weights, settings, source, directions, target_weights)
    rtol, atol = validate.tolerances(rtol, atol)
    least = 4 * torch.finfo(weights.dtype).eps
    if rtol < least:
        raise ValueError(f"rtol must be at least {least:.1e} for {weights.dtype}, got {rtol}")
    layers = len(weights)
    rate = torch.where(networks.online, 0.0, settings.target_rate)

    def velocity(_, state):
        live, target = state[:layers], state[layers:]
        products, residual = networks.products_and_residual(live, target)
        gradients = _layers.layer_gradients(live, products, residual, torch.bmm)
        slope = [-g - settings.weight_decay * w for g, w in zip(gradients, live, strict=True)]
        return torch.stack([*slope, *(rate * (w - t) for w, t in zip(live, target, strict=False))])

    def worst(state):
        """Root mean square error of the worst run; also of the time, a scalar."""
        return state.abs() if state.ndim == 0 else state.square().mean((0, 2, 3)).max().sqrt()

    state = torch.cat([weights, networks.start]) if networks.has_target else weights.clone()
    sizes = [networks.sizes(state[:layers])]
    clock = torch.as_tensor(times, dtype=torch.float64, device=weights.device)
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
    live, slow = state[:layers], state[layers:] if networks.has_target else None
    return History(times, torch.stack(sizes).cpu().numpy(), never, live, slow, seconds)


def _broken(matrices):
    """Which of R matrices (R, d, d) are not finite, booleans (R,)."""
    return ~torch.isfinite(matrices.sum((-2, -1)))


def _record_at(record_at, steps):
    """The steps at which sizes are recorded, an increasing integer array."""
    if record_at is None:
        return np.unique(np.linspace(0, steps, 201).astype(int))
    record_at = np.atleast_1d(validate.finite("record_at", record_at))
    if record_at.ndim != 1 or record_at.size == 0:
        raise ValueError(f"record_at must be a sequence of steps, got shape {record_at.shape}")
    allowed = (record_at % 1 == 0) & (record_at >= 0) & (record_at <= steps)
    allowed[1:] &= np.diff(record_at) > 0
    what = f"must be increasing integers within 0 and {steps}"
    return validate.where("record_at", record_at, allowed, what).astype(int)


def _quiet(progress):
    """tqdm's `disable`: None hides the bar unless standard error is a terminal."""
    return None if progress is None else not progress
