"""Does weight decay bring the aligned end to a hundred features: JEPA by gradient descent.

``python -m results.decay`` writes results/decay.npz, which chapter 14 reads: d = 100 features that
commute, lam from 1 to 1.3 against rho from 1 to 0.5; one, two and three layers; three seeds of
PyTorch's start (uniform, gain 1/sqrt(3)); the gradient of the population, 20 000 steps of 0.1, so
that theta = 2000 for all; decays kappa with kappa theta = 0, 0.1, 0.3, 1, 3, 10 at the end. Ten
minutes on one thread; resumable.

A step takes the imbalance D to (1 - step kappa)^2 D + step^2 (G_{a+1}' G_{a+1} - G_a G_a'), G the
gradients: the first part is the law, the second what a finite step adds. A feature is *kept* if its
size at the end is above w_-, below which an aligned one would die, and above half of w_+, at which
it would end. It is *off* by |M e_i - w_+^2 e_i| / w_+^2, M the encoder's Gram matrix: wrong in its
size, or mixed with others. It is *aligned* if it is off by less than 0.02.

The rules, written down before the run, after trials with other seeds (99, two decays a depth; 1800,
the first 26 units of time in steps of 0.2) that chose the start and the steps:

1. The imbalance dies by the law if in every network, at all moments at which the law leaves 1 % or
   more, D is off the law by less than 10 % of what the law leaves (Frobenius norm of all D).
2. Decay ends aligned if with kappa theta = 10 in every network 95 % or more of the kept features
   are aligned.
3. It keeps the largest rho if in these networks all kept features but one at most are among the
   first n, n their number.
4. kappa theta must be above 1 and need not be above 3 if at each depth the median feature that is
   kept, of all seeds, is aligned at 3 and at 10 and is not at 0.1, 0.3 and 1.
5. What is off is in proportion to what is left of the imbalance if at each depth that median over
   e^(-2 kappa theta) differs by a factor of 2 at most between kappa theta = 0.1, 0.3 and 1.

Arrays of depth L: ``left_L`` and ``law_off_L`` (moments, decays, seeds), the norm of D over that at
the start and its distance from the law over what the law leaves; ``sizes_L`` and ``off_L``
(moments, decays, seeds, features), the latter NaN where there is no w_+.
"""

import time
from pathlib import Path

import numpy as np
import torch

from jepabook import (
    JEPA,
    FeatureSpectrum,
    linear_net,
    matrix_flow,
    minibatch,
    recorded,
    rests,
    weight_decay,
)

WIDTH, SEEDS, FIRST_SEED = 100, 3, 1900
LAM, RHO = np.linspace(1.0, 1.3, WIDTH), np.linspace(1.0, 0.5, WIDTH)
DEPTHS, LEARNING_RATE, STEPS = (1, 2, 3), 0.1, 20_000
DECAYS = np.array([0, 0.1, 0.3, 1, 3, 10]) / (LEARNING_RATE * STEPS)
#: Steps at which the networks are looked at.
MOMENTS = np.append(0, np.geomspace(50, STEPS, 8).astype(int))
CHECKPOINTS = Path(__file__).resolve().parents[1] / "_build" / "checkpoints" / "decay"


def start(depth):
    """Initial weights (L + 1, decays * seeds, d, d), the same for all decays."""
    known = {"depth": depth, "width": WIDTH, "gain": 3**-0.5, "seed": FIRST_SEED}
    weights = linear_net.initial_weights("uniform", SEEDS, **known, dtype=torch.float64)
    return weights.repeat(1, len(DECAYS), 1, 1)


def norms(imbalance):
    """Frobenius norms over layers, (decays, seeds), of (L, decays * seeds, d, d)."""
    return np.sqrt((imbalance**2).sum((0, 2, 3))).reshape(len(DECAYS), SEEDS)


def off(weights, depth):
    """How far each feature is from the aligned one, (decays, seeds, d)."""
    encoder = matrix_flow.encoder(weights)
    gram = (encoder.mT @ encoder).reshape(len(DECAYS), SEEDS, WIDTH, WIDTH)
    known = {"depth": depth, "weight_decay": DECAYS[:, None, None]}
    due = weight_decay.fixed_points(JEPA, LAM, RHO, **known)[1] ** 2
    return np.linalg.norm(gram - due[..., None, :] * np.eye(WIDTH), axis=-2) / due


def follow(depth, stretches=None, checkpoints=None):
    """Arrays of one depth; `stretches` between moments end it early."""
    weights = start(depth)
    source = minibatch.Population(*FeatureSpectrum(LAM, RHO).covariances())
    decays = np.repeat(DECAYS, SEEDS)
    chosen = linear_net.settings(JEPA, weights, LEARNING_RATE, decays)
    first, left = rests.imbalance(weights.numpy()), (1 - LEARNING_RATE * decays)[:, None, None] ** 2
    found = {"left": [], "law_off": [], "sizes": [], "off": []}
    for number, done in enumerate(MOMENTS[: None if stretches is None else stretches + 1]):
        if number:
            checkpoint = checkpoints and checkpoints / f"{depth}_{number}.npz"
            ends = 0, int(done - MOMENTS[number - 1])
            history = linear_net.train(
                weights, chosen, source, ends[1], ends, checkpoint=checkpoint, progress=False
            )
            weights = history.weights
        now, law = rests.imbalance(weights.numpy()), left**done * first
        found["left"].append(norms(now) / norms(first))
        found["law_off"].append(norms(now - law) / norms(law))
        sizes = matrix_flow.feature_sizes(weights.numpy())
        found["sizes"].append(sizes.reshape(len(DECAYS), SEEDS, WIDTH))
        found["off"].append(off(weights.numpy(), depth))
    return {f"{key}_{depth}": np.array(values, dtype=np.float32) for key, values in found.items()}


def main():
    started = time.time()
    arrays = {"lam": LAM, "rho": RHO, "decays": DECAYS, "times": LEARNING_RATE * MOMENTS}
    for depth in DEPTHS:
        arrays |= follow(depth, checkpoints=CHECKPOINTS)
    facts = {"start": "uniform", "gain": "3**-0.5", "learning_rate": LEARNING_RATE}
    facts |= recorded.provenance(FIRST_SEED, started, "cpu")
    recorded.save(recorded.RESULTS / "decay.npz", arrays, facts, ("off_*",))


if __name__ == "__main__":
    recorded.script(__doc__, main)
