"""Training on the flickering world: consecutive frames against shuffled pairs, and slow noise.

``python -m results.flicker`` writes results/flicker.npz, which chapter 11 reads: SGD in float32 on
a screen of 4 x 4 pixels, JEPA and MAE on the very same frames. Ten minutes on one core; resumable.

Arrays ``half__PART`` (seeds, groups, features) hold the iteration at which a feature first reached
half of its final size in theory (NaN: never, or it did not double), ``doubling__PART`` when it
first reached twice its size at the start. A group is one objective with one learning rate, as in
``facts["groups"]``; features are the directions of `autocorrelation.basis`. Parts: ``aligned`` and
``gaussian`` starts in the paper's setting, the two images only, and ``slow_K`` with the K-th
memory of the noise in region 2, the images and the rest of that region; ``hasty`` is one of the
latter with minibatches a quarter as large. Each on the ``stream`` and ``shuffled``.
"""

import time
from pathlib import Path

import numpy as np
import torch

from jepabook import (
    JEPA,
    MAE,
    autocorrelation,
    dynamics,
    generative,
    learning_order,
    linear_net,
    minibatch,
    recorded,
    stream,
    unaligned_starts,
)

DEPTH, GAIN, SIDE, SEED = 3, 0.3, 4, 110
NOISE_GAMMA = np.array([0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98])
HASTY_GAMMA = 0.9
PAIR = ((JEPA, 0.1), (MAE, 0.005))
GROUPS = {
    "aligned": ((JEPA, 0.1), (MAE, 0.04), (MAE, 0.02), (MAE, 0.01), (MAE, 0.005)),
    "gaussian": PAIR,
    "slow": PAIR,
    "hasty": PAIR,
}
SEEDS = {"aligned": 128, "gaussian": 128, "slow": 32, "hasty": 32}
BATCH = {"aligned": 100, "gaussian": 100, "slow": 400, "hasty": 100}
STEPS = {"aligned": 4000, "gaussian": 15_000, "slow": 4000, "hasty": 4000}
CHECKPOINTS = Path("_build/checkpoints/flicker")


def world(noise_gamma=None):
    """The paper's world, or one with noise of amplitude 1 everywhere and slow noise in region 2."""
    if noise_gamma is None:
        return generative.two_images(SIDE)
    return generative.two_images(SIDE, noise=(1.0, 1.0), noise_gamma=(0.0, noise_gamma))


def source(kind, world, batch, seeds, seed):
    """Consecutive frames, or independent pairs of the same law."""
    if kind == "stream":
        return stream.ConsecutiveFrames(world, batch, seeds, seed)
    views = (np.stack([matrix] * seeds) for matrix in world.covariances())
    return minibatch.GaussianViews(*views, batch, seed)


def starts(part, groups, seeds):
    """Weights (L + 1, groups * seeds, d, d); a seed's start is the same in every group."""
    width = SIDE**2
    if part == "gaussian":
        weights = linear_net.initial_weights(
            "gaussian", seeds, depth=DEPTH, width=width, gain=GAIN, seed=SEED
        )
        return weights.repeat(1, len(groups), 1, 1)
    scales = np.full((DEPTH + 1, width), GAIN)
    aligned = {
        objective: [
            unaligned_starts.aligned_layers(objective, scales, SEED + k) for k in range(seeds)
        ]
        for objective in (JEPA, MAE)
    }
    many = np.stack([layers for objective, _ in groups for layers in aligned[objective]], axis=1)
    return torch.as_tensor(many, dtype=torch.float32)


def train(part, kind, noise_gamma=None, name=None, steps=None):
    """Half-times and doubling times of the features kept, each (seeds, groups, features).

    `steps` ends the training early.
    """
    groups, seeds, here = GROUPS[part], SEEDS[part], world(noise_gamma)
    record_at = np.unique(np.linspace(0, STEPS[part], 401).astype(int))
    steps = steps or STEPS[part]
    weights = starts(part, groups, seeds)
    rates = np.repeat([rate for _, rate in groups], seeds)
    objectives = [objective for objective, _ in groups for _ in range(seeds)]
    basis, law = autocorrelation.basis(here), autocorrelation.components(here)
    history = linear_net.train(
        weights,
        linear_net.settings(objectives, weights, rates),
        source(kind, here, BATCH[part], seeds, SEED),
        steps,
        record_at[record_at <= steps],
        torch.as_tensor(basis, dtype=torch.float32),
        checkpoint=CHECKPOINTS / f"{name}.npz" if name else None,
    )
    rho = np.repeat(law.lam / law.sigma_squared, law.count)
    keep = np.flatnonzero(rho > 0)
    sizes = history.sizes.reshape(-1, len(groups), seeds, SIDE**2).swapaxes(1, 2)[..., keep]
    sizes = sizes.astype(float)
    goal = [
        0.5 * dynamics.fixed_point(objective, rho[keep], depth=DEPTH) for objective, _ in groups
    ]
    goal = np.broadcast_to(goal, sizes.shape[1:])
    return {
        "half": learning_order.first_crossing(history.times, sizes, goal),
        "doubling": learning_order.doubling_times(history.times, sizes),
    }


def parts():
    """Every part: its name, and what `train` needs to run it."""
    for kind in ("stream", "shuffled"):
        for part in ("aligned", "gaussian"):
            yield f"{part}_{kind}", (part, kind)
        yield f"hasty_{kind}", ("hasty", kind, HASTY_GAMMA)
        for k, value in enumerate(NOISE_GAMMA):
            yield f"slow_{k}_{kind}", ("slow", kind, value)


def main():
    started, arrays = time.time(), {"noise_gamma": NOISE_GAMMA}
    for name, arguments in parts():
        for what, times in train(*arguments, name=name).items():
            arrays[f"{what}__{name}"] = times.astype(np.float32)
    groups = {part: [[str(o), rate] for o, rate in chosen] for part, chosen in GROUPS.items()}
    facts = {"groups": groups, "batch": BATCH, "steps": STEPS, "depth": DEPTH, "gain": GAIN}
    facts |= {"side": SIDE, "hasty_gamma": HASTY_GAMMA} | recorded.provenance(SEED, started, "cpu")
    recorded.save(recorded.RESULTS / "flicker.npz", arrays, facts, ("half__*", "doubling__*"))


if __name__ == "__main__":
    recorded.script(__doc__, main)
