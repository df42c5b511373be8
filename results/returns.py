"""Do the features that fall back return, and when: JEPA from random starts, for a long time.

``python -m results.returns`` writes results/returns.npz, which chapter 14 reads: d = 4 unequal
features, one and two layers, 40 seeds. Starts: orthogonal layers, which are balanced, and Gaussian
ones, which are not. Gradients: of the population, or of minibatches of 100 to 10 000 pairs. Seven
minutes on one thread; resumable.

The rules, written down before the run. A feature is *held* while its size is above half of rho^L;
it *fell back* if its size went below half of where it began. A run's *pause* is the prediction
`rests.delay` at the mean lam, for the smallest modulus h of a complex eigenvalue of V along the run
(read off), or for the straight lines that the complex eigenvalues of V(0) would go to the mean rho
on (foretold). Only runs with a pause of more than four times the median time at which a run's first
feature is held are judged.

1. Features return if all d are held at the end in 90 % or more of the runs that end with
   det V > 0, and all but the one of smallest rho in 90 % or more of those that end with
   det V < 0. How many runs change that sign, as balanced gradient flow never does, is counted.
2. The formula carries if in 80 % of the judged runs that hold their d or d - 1 features at the end
   the last of them is held for good at 1/2 to 2 times the pause that is read off.
3. It foretells if the rank correlation of that time with the pause that is foretold is 0.7 or more.
4. Features return in the order of rho if of all pairs of features of one run that both fell back
   and returned the larger rho was earlier in 75 % or more.

Written after the runs with minibatches of 100, where hardly anything returns at L = 2, and before
those with larger ones:

5. The noise of the minibatches keeps features away if, at L = 2 and from orthogonal layers, the
   share of runs that begin with det V > 0 and hold all d features at the end rises from minibatches
   of 100 to 1000, to 10 000 and to the population.

For a setting ``s``: ``s_sizes`` (moments, seeds, features), ``s_modulus`` (moments, seeds), the
smallest modulus of a complex eigenvalue of V (NaN: all real), ``s_start`` (seeds, features), the
eigenvalues of V(0), real and imaginary parts last, ``s_sign`` (2, seeds), the sign of det V at the
start and at the end, and ``s_weights`` (L + 1, seeds, d, d), the last ones.
"""

import time
from pathlib import Path

import numpy as np
import torch

from jepabook import JEPA, FeatureSpectrum, linear_net, minibatch, recorded

WIDTH, GAIN, SEEDS, FIRST_SEED = 4, 0.5, 40, 1400
LAM, RHO = np.linspace(1.0, 1.2, WIDTH), np.linspace(0.9, 0.6, WIDTH)
LEARNING_RATE, RECORDS = 0.2, 120
STEPS = {1: 20_000, 2: 200_000}
#: Start, pairs of a minibatch (None: the population), depth.
SETTINGS = {
    f"{start}_{batch or 'population'}_{depth}": (start, batch, depth)
    for start, batch, depth in (
        ("orthogonal", None, 1),
        ("orthogonal", 100, 1),
        ("gaussian", 100, 1),
        ("orthogonal", None, 2),
        ("orthogonal", 10_000, 2),
        ("orthogonal", 1000, 2),
        ("orthogonal", 100, 2),
        ("gaussian", 100, 2),
    )
}
CHECKPOINTS = Path(__file__).resolve().parents[1] / "_build" / "checkpoints" / "returns"


def source(batch):
    """The gradients' source; streams of one seed for both kinds of start."""
    xx, yx = FeatureSpectrum(LAM, RHO).covariances()
    if batch is None:
        return minibatch.Population(xx, yx)
    moments = (np.stack([matrix] * SEEDS) for matrix in (xx, yx, xx))
    return minibatch.GaussianViews(*moments, batch, FIRST_SEED, dtype=torch.float64)


def moments(depth):
    """Steps at which a run is looked at, from 0."""
    return np.unique(np.append(0, np.geomspace(10, STEPS[depth], RECORDS).astype(int)))


def smallest_complex(values):
    """The smallest modulus of complex eigenvalues (..., d), NaN where all are real."""
    modulus = np.where(abs(values.imag) > 1e-6 * abs(values), abs(values), np.inf).min(-1)
    return np.where(np.isfinite(modulus), modulus, np.nan)


def follow(start, batch, depth, stretches=None, checkpoints=None):
    """Arrays of one setting, all seeds at once; `stretches` between moments end it early."""
    drawn = {"depth": depth, "width": WIDTH, "gain": GAIN, "seed": FIRST_SEED}
    weights = linear_net.initial_weights(start, SEEDS, **drawn, dtype=torch.float64)
    settings = linear_net.settings(JEPA, weights, LEARNING_RATE)
    stream, at = source(batch), moments(depth)
    first = np.linalg.eigvals(weights[-1].numpy())
    sizes, modulus = [], [smallest_complex(first)]
    for number, steps in enumerate(np.diff(at)[:stretches]):
        checkpoint = checkpoints and checkpoints / f"{number}.npz"
        ends = 0, int(steps)
        history = linear_net.train(
            weights, settings, stream, ends[1], ends, checkpoint=checkpoint, progress=False
        )
        weights = history.weights
        sizes += [*([history.sizes[0]] if not sizes else []), history.sizes[1]]
        modulus.append(smallest_complex(np.linalg.eigvals(weights[-1].numpy())))
    order = np.lexsort((first.imag, first.real))
    first = np.take_along_axis(first, order, -1)
    return {
        "sizes": np.array(sizes, dtype=np.float32),
        "modulus": np.array(modulus, dtype=np.float32),
        "start": np.stack([first.real, first.imag], -1),
        "sign": np.sign([np.prod(first, -1).real, np.linalg.det(weights[-1].numpy())]),
        "weights": weights.numpy().astype(np.float32),
    }


def main():
    started = time.time()
    arrays = {"lam": LAM, "rho": RHO}
    arrays |= {f"times_{depth}": LEARNING_RATE * moments(depth) for depth in STEPS}
    for name, (start, batch, depth) in SETTINGS.items():
        found = follow(start, batch, depth, checkpoints=CHECKPOINTS / name)
        arrays |= {f"{name}_{key}": array for key, array in found.items()}
    facts = {"gain": GAIN, "learning_rate": LEARNING_RATE}
    facts |= recorded.provenance(FIRST_SEED, started, "cpu")
    recorded.save(recorded.RESULTS / "returns.npz", arrays, facts, ("*modulus",))


if __name__ == "__main__":
    recorded.script(__doc__, main)
