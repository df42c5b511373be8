"""Full matrices from a Gaussian start under target networks of several rates, or weight decays.

``python -m results.target_network`` writes results/target_network.npz, which two chapters read:
gradient descent in float64 on the population's covariances, every seed's start shared by all
rates and all decays. Three minutes on two threads; resumable.

With target networks, each (seeds, rates, features): ``half``, when a feature first reached half of
rho^L in units of gradient flow (NaN: never, or from the start, or it did not end at twice its
initial size), and ``final``, its last size. With weight decay ``final_JEPA`` and ``final_MAE``
(seeds, decays, features).
"""

import time
from pathlib import Path

import numpy as np
import torch

from jepabook import JEPA, MAE, learning_order, linear_net, minibatch, recorded
from jepabook.theory.feature_spectrum import FeatureSpectrum

DEPTH, WIDTH, GAIN, SEEDS, FIRST_SEED = 2, 6, 0.4, 32, 900
RHO = np.linspace(1.1, 0.6, WIDTH)
ALIKE, OPPOSED = np.ones(WIDTH), np.linspace(0.5, 1.5, WIDTH)  # lam: for the rates, the decays
RATES = np.array([np.inf, 1.0, 0.1, 0.03, 0.01, 0.003, 0.001])
DECAYS = {
    JEPA: np.array([0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04]),
    MAE: np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4]),
}
LEARNING_RATE, STEPS, RECORDS = 0.2, 60_000, 300
CHECKPOINTS = Path("_build/checkpoints/target_network")


def runs(name, objective, lam, count, steps=None, **options):
    """Times, and sizes (records, seeds, count, d) of every seed's start under `count` settings.

    `steps` ends the training early; a `name` of None leaves no checkpoint.
    """
    start = linear_net.initial_weights(
        "gaussian", SEEDS, depth=DEPTH, width=WIDTH, gain=GAIN, seed=FIRST_SEED, dtype=torch.float64
    )
    weights = start.repeat_interleave(count, dim=1)
    options = {option: np.tile(values, SEEDS) for option, values in options.items()}
    settings = linear_net.settings(objective, weights, LEARNING_RATE, **options)
    source = minibatch.Population(*FeatureSpectrum(lam, RHO).covariances())
    record_at = np.unique(np.append(0, np.geomspace(1, STEPS, RECORDS).astype(int)))
    steps = steps or STEPS
    record_at = record_at[record_at <= steps]
    checkpoint = CHECKPOINTS / f"{name}.npz" if name else None
    history = linear_net.train(
        weights, settings, source, steps, record_at, checkpoint=checkpoint, checkpoint_every=5000
    )
    return LEARNING_RATE * record_at, history.sizes.reshape(len(record_at), SEEDS, count, WIDTH)


def moments(times, sizes):
    """What is kept of runs with target networks."""
    half = np.broadcast_to(RHO**DEPTH / 2, sizes.shape[1:])
    return {
        "half": learning_order.first_crossing(times, sizes, half),
        "final": sizes[-1],
    }


def main():
    started = time.time()
    times, by_rate = runs("rates", JEPA, ALIKE, len(RATES), target_rate=RATES)
    arrays = {"rho": RHO, "rates": RATES, "lam_decays": OPPOSED, **moments(times, by_rate)}
    for objective, decays in DECAYS.items():
        arrays[f"decays_{objective}"] = decays
        _, sizes = runs(f"decay_{objective}", objective, OPPOSED, len(decays), weight_decay=decays)
        arrays[f"final_{objective}"] = sizes[-1]
    facts = {"depth": DEPTH, "gain": GAIN, "learning_rate": LEARNING_RATE, "steps": STEPS}
    facts |= recorded.provenance(FIRST_SEED, started, "cpu")
    recorded.save(recorded.RESULTS / "target_network.npz", arrays, facts, ("rates", "half"))


if __name__ == "__main__":
    recorded.script(__doc__, main)
