"""A deep network with the nonlinearity u + bend |u|, by autograd and minibatch SGD.

bend = 0 is the linear network, bend = 1 twice the ReLU: the mean slope under a symmetric input is
1 throughout, so linearity is violated on its own, without a change of gain. It acts between
the encoder's layers; the decoder is one linear layer.
"""

import numpy as np
import torch
from tqdm import tqdm

from jepabook._support import tensors, validate
from jepabook.training import minibatch


def encode(layers, bend, x):
    """The encoder's output (R, d, n) for layers (L, R, d, d), bend (R, 1, 1) and x (R, d, n)."""
    tensors.floating("layers", layers, ("L", "R", "d", "d"), gradient=True)
    runs, width = layers.shape[1:3]
    tensors.floating("bend", bend, (runs, 1, 1))
    tensors.floating("x", x, (runs, width, "n"), gradient=True)
    x = layers[0] @ x
    for layer in layers[1:]:
        x = layer @ (x + bend * x.abs())
    return x


def sizes(layers, bend, x):
    """|E[f(x) x_i]| / E[x_i^2] over the sample x (d, n), (R, d): |W e_i| where f is linear."""
    tensors.floating("layers", layers, ("L", "R", "d", "d"), gradient=True)
    tensors.floating("x", x, (layers.shape[-1], "n"))
    code = encode(layers, bend, x.expand(layers.shape[1], *x.shape))
    return (code @ x.mT).norm(dim=-2) / x.square().sum(-1)


def train(weights, objectives, bend, source, learning_rate, steps, record_at, probe):
    """SGD on eq. (5) with the target's gradient stopped, for R networks at once.

    Parameters
    ----------
    weights : tensor (L + 1, R, d, d)
        The encoder's layers and the decoder; left as they are.
    objectives : sequence of R Objective
    bend : array (R,)
    source : minibatch.GaussianViews
        Of draw "samples"; of S streams, S a divisor of R.
    learning_rate : float
    steps : int
    record_at : array of int
        Increasing steps within [0, steps].
    probe : tensor (d, n)
        The sample of x by which sizes are measured.

    Returns
    -------
    ndarray (len(record_at), R, d)
        Sizes; NaN once a network is not finite.
    """
    tensors.finite("weights", weights, ("L + 1", "R", "d", "d"))
    validate.instance("source", source, minibatch.GaussianViews)
    if source.draw != "samples":
        raise ValueError(f"source must draw samples, got {source.draw!r}")
    runs, width = weights.shape[1:3]
    if runs % source.streams or width != source.width:
        raise ValueError(
            f"weights must fit {source.streams} streams of width {source.width}, "
            f"got shape {tuple(weights.shape)}"
        )
    steps = validate.integer("steps", steps, most=validate.MOST_STEPS)
    record_at = validate.integers("record_at", record_at, least=0, most=steps)
    validate.where("record_at", record_at, np.diff(record_at, prepend=-1) > 0, "must increase")
    validate.memory("record_at", len(record_at), 8 * len(record_at) * runs * width)
    tensors.finite("probe", probe, (width, "n"))
    objectives = validate.objectives(objectives)
    if len(weights) < 2 or len(objectives) != runs:
        raise ValueError(f"objectives must be {runs}, one a network, got {len(objectives)}")
    rate = validate.number("learning_rate", learning_rate, validate.positive)
    bend = validate.finite("bend", bend)
    if bend.shape not in ((), (runs,)):
        raise ValueError(f"bend must be one number or {runs}, got shape {bend.shape}")
    bend = np.broadcast_to(bend, runs).copy()
    bend = tensors.of_type("bend", bend, weights.dtype, weights.device)[:, None, None]
    jepa = torch.tensor([o.targets_encoder for o in objectives], device=weights.device)
    jepa = jepa[:, None, None]
    live = weights.clone().requires_grad_()
    records, wanted = [], set(record_at.tolist())
    for step in tqdm(range(steps + 1), disable=None):
        if step in wanted:
            with torch.no_grad():
                records.append(sizes(live[:-1], bend, probe).cpu().numpy())
        if step == steps:
            break
        x, y = (view.repeat(runs // source.streams, 1, 1) for view in source.columns())
        with torch.no_grad():
            target = torch.where(jepa, encode(live[:-1], bend, y), y)
        error = live[-1] @ encode(live[:-1], bend, x) - target
        (gradient,) = torch.autograd.grad(error.square().sum() / (2 * source.batch), live)
        with torch.no_grad():
            live -= rate * gradient
    return np.stack(records)
