"""Distribution 2 of Figure 1 once more, as in `results.sgd`: when each feature is of one size.

    python -m results.sgd_orders

The same sixteen seeds, weights and minibatches as the panel "distribution_2" there, whose file
keeps no size of a single seed over time. Resumable: the training has a checkpoint.
"""

import time

import numpy as np

from jepabook import FeatureSpectrum, learning_order, recorded, same_minibatches
from results import sgd

PANEL, SEEDS, RATE = "distribution_2", 16, 0.03
#: From more than twice the initial size, 0.06, to where half of JEPA's features never come.
LEVELS = (0.15, 0.2, 0.25, 0.3)


def train(steps=5000, checkpoint=None):
    """The panel of `results.sgd`, all sizes."""
    return same_minibatches.train_both(
        FeatureSpectrum(*sgd.PANELS[PANEL]),
        SEEDS,
        [sgd.GAIN],
        [RATE],
        steps=steps,
        record_at=sgd.RECORDS[sgd.RECORDS <= steps],
        seed=sgd.SEED,
        checkpoint=checkpoint,
    )


def reached(runs):
    """When each feature first has each of `LEVELS`, (levels, 2, seeds, d); NaN for never."""
    sizes = runs.sizes[:, :, 0, 0]
    return np.stack([learning_order.times_to_size(runs.steps, sizes, size) for size in LEVELS])


def main():
    started = time.time()
    runs = train(checkpoint=sgd.CHECKPOINTS / "orders.npz")
    sizes = runs.sizes[:, :, 0, 0]
    arrays = {
        "reached": reached(runs),
        "half": learning_order.half_times(runs.steps, sizes),
        "first": sizes[0],
        "last": sizes[-1],
    }
    facts = recorded.provenance(sgd.SEED, started) | {
        "wall_seconds": round(runs.seconds, 1),  # over all calls, not this one
        "levels": LEVELS,
        "panel": PANEL,
    }
    small = {name: values.astype(np.float32) for name, values in arrays.items()}
    recorded.save(recorded.RESULTS / "sgd_orders.npz", small, facts, ("reached", "half"))


if __name__ == "__main__":
    recorded.script(__doc__, main)
