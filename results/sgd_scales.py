"""Distribution 2 of Figure 1 at larger scales: He's gain and 1, at rates that do not diverge.

    python -m results.sgd_scales

Five seeds of the paper's 5000 steps; the rule that judges them, `at_scale` of
`jepabook.claims.ours.stochastic_gradients`, was written before. Resumable: the training has a
checkpoint.
"""

import time

import numpy as np

from jepabook import FeatureSpectrum, learning_order, recorded, same_minibatches
from results import sgd

SEEDS, GAINS, RATES = 5, (1.0, 2**0.5), (3e-4, 1e-3)
SPECTRUM = FeatureSpectrum(*sgd.PANELS["distribution_2"])


def train(steps=5000, checkpoint=None):
    """Both objectives at all gains and learning rates."""
    return same_minibatches.train_both(
        SPECTRUM,
        SEEDS,
        GAINS,
        RATES,
        steps=steps,
        record_at=sgd.RECORDS[sgd.RECORDS <= steps],
        seed=sgd.SEED,
        checkpoint=checkpoint,
    )


def profiles(runs):
    """Sizes at those steps of `sgd.PROFILES` that were run, mean over seeds."""
    at = sgd.PROFILES[sgd.PROFILES <= runs.steps[-1]]
    return runs.sizes[np.searchsorted(runs.steps, at)].mean(-2)


def main():
    started = time.time()
    runs = train(checkpoint=sgd.CHECKPOINTS / "scales.npz")
    arrays = {
        "profile_steps": sgd.PROFILES,
        "profile_mean": profiles(runs).astype(np.float32),
        "order_by_lam": sgd.orders(runs.sizes, SPECTRUM)["order_by_lam"].astype(np.float32),
        "doubling": learning_order.doubling_times(runs.steps, runs.sizes).astype(np.float32),
        "diverged_at": runs.diverged_at,
        "lam": SPECTRUM.lam,
        "rho": SPECTRUM.rho,
    }
    facts = recorded.provenance(sgd.SEED, started) | {
        "wall_seconds": round(runs.seconds, 1),  # over all calls, not this one
        "gains": GAINS,
        "rates": RATES,
    }
    undefined = ("profile_mean", "order_by_lam", "doubling")  # where a run diverged
    recorded.save(recorded.RESULTS / "sgd_scales.npz", arrays, facts, undefined)


if __name__ == "__main__":
    recorded.script(__doc__, main)
