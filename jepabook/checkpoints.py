"""Checkpoints of a training in `linear_net`: written whole, and refused by another training."""

import torch

from jepabook import recorded


def identity(networks, weights, steps, record_at):
    """What makes a training the one that a checkpoint belongs to."""
    chosen = networks.settings
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
    recorded.save(path, {name: tensor.cpu().numpy() for name, tensor in state.items()}, identity)


def resume(path, state, identity):
    """`state` itself if there is no checkpoint yet, else the checkpoint's."""
    try:
        arrays, found = recorded.load(path)
    except FileNotFoundError:
        return state
    differing = [name for name, value in identity.items() if found.get(name) != value]
    if differing or arrays.keys() != state.keys():
        what = ", ".join(differing) or "arrays"
        raise ValueError(f"checkpoint {path} is of another training, which differs in: {what}")
    return {
        name: torch.as_tensor(arrays[name]).to(tensor.device, tensor.dtype)
        for name, tensor in state.items()
    }
