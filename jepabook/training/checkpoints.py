"""Checkpoints of a training in `linear_net`: written whole, and refused by another training."""

import numpy as np
import torch

from jepabook import recorded
from jepabook._support import tensors as _tensors
from jepabook._support import validate
from jepabook.training.networks import Networks

NUMBER, FORMAT = "format", 1


def identity(networks, weights, steps, record_at):
    """What makes a training the one that a checkpoint belongs to."""
    chosen = validate.instance("networks", networks, Networks).settings
    _tensors.floating("weights", weights)
    steps = validate.integer("steps", steps)
    record_at = validate.integers("record_at", record_at, least=0)
    axes = networks.eye if networks.directions is None else networks.directions
    tensors = (weights, networks.start, axes, chosen.learning_rate, chosen.weight_decay)
    return {
        "objectives": " ".join(objective.name for objective in chosen.objectives),
        "steps": steps,
        "records": recorded.digest(record_at),
        "start and rates": recorded.digest(
            *(tensor.cpu().numpy() for tensor in (*tensors, chosen.target_rate))
        ),
        "source": networks.source.identity(),
    }


def save(path, state, identity):
    """Write a checkpoint, whole or not at all."""
    _refuse_others(state, identity)
    arrays = {name: tensor.cpu().numpy() for name, tensor in state.items()}
    # in runs that diverged, and sizes that are not recorded yet
    recorded.save(path, arrays, {NUMBER: FORMAT} | identity, ("weights", "target", "sizes"))


def resume(path, state, identity, record_at):
    """`state` itself if there is no checkpoint yet, else the checkpoint's.

    Raises
    ------
    ValueError
        With the file, if it is damaged, of another version, or of another training.
    """
    _refuse_others(state, identity)
    record_at = validate.integers("record_at", record_at, least=0)
    try:
        arrays, found = recorded.load(path)
    except FileNotFoundError:
        return state
    if found.pop(NUMBER, None) != FORMAT:
        raise ValueError(
            f"checkpoint {path} must be of format {FORMAT}, got another one: remove it, and begin "
            "anew"
        )
    names = [*identity, *(found.keys() - identity.keys())]
    differing = [name for name in names if found.get(name) != identity.get(name)]
    if differing:
        what = ", ".join(differing)
        raise ValueError(f"checkpoint {path} is of another training, which differs in: {what}")
    like = {name: tensor.cpu().numpy() for name, tensor in state.items()}
    problem = _problem(arrays, like, identity["steps"], record_at)
    if problem:
        raise ValueError(f"checkpoint {path} is damaged: {problem}")
    return {name: torch.as_tensor(arrays[name]).to(tensor.device) for name, tensor in state.items()}


def _problem(arrays, like, steps, record_at):
    """What keeps arrays from being a training's state; "" if nothing does."""
    for name in sorted({*arrays, *like}):
        if name not in arrays or name not in like:
            return f"it {'lacks' if name in like else 'holds'} {name!r}"
        found, right = arrays[name], like[name]
        if (found.shape, found.dtype) != (right.shape, right.dtype):
            return (
                f"its {name!r} is {found.dtype} of shape {found.shape}, not {right.dtype} of shape "
                f"{right.shape}"
            )
    step, diverged_at = int(arrays["step"]), arrays["diverged_at"]
    if not 0 <= step <= steps:
        return f"its step is {step}"
    if (diverged_at < -1).any() or (diverged_at > step).any() or not arrays["seconds"] >= 0:
        return "its 'diverged_at' or 'seconds' cannot be"
    sound = diverged_at < 0
    for name in ("weights", "target"):
        if arrays[name].size and not np.isfinite(arrays[name][:, sound]).all():
            return f"its {name!r} must be finite in runs that did not diverge"
    told = arrays["sizes"][np.asarray(record_at) < step]
    if np.isnan(told[:, sound]).any():  # squares of large weights may have overflowed
        return "its 'sizes' must be numbers in runs that did not diverge"
    return ""


def _refuse_others(state, identity):
    """Raise ValueError unless these are tensors by name, and the facts that `identity` gives."""
    validate.instance("identity", identity, dict)
    for name, tensor in validate.instance("state", state, dict).items():
        _tensors.dense(f"state[{name!r}]", tensor)
