"""Which features JEPA keeps from random starts: the prediction by rho, tried on three grids.

``python -m results.random_starts`` writes results/random_starts.npz, which chapter 6 and the report
of `jepabook.spectrum` rest on. Five minutes on one core; resumable.

The rule, written before the run. A feature is *kept* at a moment if its size is above half of its
final one, rho^L. *By rho*: those that are kept are, for their number, the features of largest rho.
A trial *came true* if it is by rho. *Full*: by rho, and as many as theory has in the end for
balanced starts, d if det V(0) > 0 and d - 1 if det V(0) < 0. *Matched*: as many as V(0) has
eigenvalues of positive real part, a guess. Of each pair of features of which one alone is kept it
is told besides whether that is the one of larger rho, and, as a rival, the one of larger lambda.
All of it is counted apart for either sign of det V(0).

Trials are gradient flow from L + 1 square Gaussian layers of one gain: 0.4, PyTorch's 3^(-1/2) and
He's 2^(1/2), on exact covariances. In each trial of a grid the features are drawn anew, lambda log-
uniform from 0.5 to 2, rho uniform from 0.6 to 1, but for the grid "chapter 13", whose features are
that chapter's. Moments are 2.5 and 25 times the latest half-time that aligned starts of gain 0.4
have in the range of these draws.

Arrays, for grid g and gain k (``g0_k0_lam``, ...): ``lam``, ``rho`` (trials, d), ``positive``
(trials,) for det V(0) > 0, ``right`` (trials,), eigenvalues of V(0) to the right, ``sizes``
(moments, trials, d), sizes over final ones; ``gains``, ``grids`` (grids, 2) with d and L,
``moments`` (grids, moments) in units of gradient flow.
"""

import time
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import solve_ivp

from jepabook import JEPA, FeatureSpectrum, critical_time, linear_net, matrix_flow, recorded
from jepabook.claims import examples

CHECKPOINTS = Path(__file__).resolve().parents[1] / "_build" / "checkpoints" / "random_starts"
SEED, TRIALS = 0, (128, 64, 16)  # of each grid
GRIDS = {"four features, two layers": (4, 2), "six features, three layers": (6, 3)}
GRIDS |= {"chapter 13": (len(examples.task()), examples.DEPTH)}
GAINS, SPREAD, LEAST = (0.4, 3**-0.5, 2**0.5), 2.0, 0.6
LOOKED_AT = (2.5, 25.0)
EXACT = {"rtol": 1e-6, "atol": 1e-8}


def features(grid, gain):
    """lam and rho, (trials, d) each."""
    name, (d, _) = list(GRIDS.items())[grid]
    if name == "chapter 13":
        task = examples.task()
        return np.tile(task.lam, (TRIALS[grid], 1)), np.tile(task.rho, (TRIALS[grid], 1))
    rng = np.random.default_rng([SEED, grid, gain])
    lam, rho = rng.random((2, TRIALS[grid], d))
    return SPREAD ** (2 * lam - 1), LEAST + (1 - LEAST) * rho


def starts(grid, gain):
    """Layers (L + 1, trials, d, d)."""
    d, depth = list(GRIDS.values())[grid]
    known = {"depth": depth, "width": d, "gain": GAINS[gain], "dtype": torch.float64}
    seed = 100 * SEED + 10 * grid + gain
    return linear_net.initial_weights("gaussian", TRIALS[grid], seed=seed, **known).numpy()


def moments(depth):
    """When sizes are looked at, in units of gradient flow."""
    rho, start = np.linspace(LEAST, 1, 41), GAINS[0] ** depth
    due = critical_time.exact(JEPA, 1 / SPREAD, rho, depth=depth, epsilon=start)
    return np.array(LOOKED_AT) * due.max() / depth


def flowed(weights, lam, rho, times):
    """Sizes (moments, d) of one trial, by an implicit method: after fast modes come plateaus."""
    xx, yx = FeatureSpectrum(lam, rho).covariances()

    def velocity(_, flat):
        return -matrix_flow.gradient(JEPA, flat.reshape(weights.shape), xx, yx).ravel()

    path = solve_ivp(velocity, (0, times[-1]), weights.ravel(), "LSODA", times, **EXACT)
    return [matrix_flow.feature_sizes(w.reshape(weights.shape)) for w in path.y.T]


def part(grid, gain, trials=None):
    """Features, decoders' eigenvalues and sizes of the first trials of one grid at one gain."""
    depth = list(GRIDS.values())[grid][1]
    lam, rho = (part[:trials] for part in features(grid, gain))
    weights = starts(grid, gain)[:, :trials]
    each = zip(weights.swapaxes(0, 1), lam, rho, strict=True)
    sizes = np.stack([flowed(*trial, moments(depth)) for trial in each], axis=1)
    return {
        "lam": lam,
        "rho": rho,
        "positive": np.linalg.slogdet(weights[-1])[0] > 0,
        "right": (np.linalg.eigvals(weights[-1]).real > 0).sum(1),
        "sizes": sizes / rho**depth,
    }


def kept(found):
    """Which features are kept, (moments, trials, d)."""
    return found["sizes"] > 0.5


def by_rho(held, rho):
    """Whether those that are kept (..., d) are the features of largest rho, (...,)."""
    falling = np.take_along_axis(held, np.broadcast_to(np.argsort(-rho), held.shape), -1)
    return (falling == (np.arange(rho.shape[-1]) < held.sum(-1, keepdims=True))).all(-1)


def full(held, rho, positive):
    """Whether they are besides as many as in the end, (...,)."""
    return by_rho(held, rho) & (held.sum(-1) == rho.shape[-1] - ~positive)


def pairs(held, by):
    """Of pairs of which one alone is kept: how many, and in how many the one of larger `by`."""
    first = held[..., :, None] & ~held[..., None, :]
    return int(first.sum()), int((first & (by[..., :, None] > by[..., None, :])).sum())


def main():
    started, arrays = time.time(), {}
    for grid, name in enumerate(GRIDS):
        for gain, value in enumerate(GAINS):
            path = CHECKPOINTS / f"{grid}-{gain}.npz"
            if not path.exists():
                recorded.save(path, part(grid, gain), {})
            found, _ = recorded.load(path)
            arrays |= {f"g{grid}_k{gain}_{key}": value for key, value in found.items()}
            print(f"{name}, gain {value:.2f}", flush=True)
    arrays |= {
        "gains": np.array(GAINS),
        "grids": np.array(list(GRIDS.values())),
        "moments": np.array([moments(depth) for _, depth in GRIDS.values()]),
    }
    facts = recorded.provenance(SEED, started) | {"grids": list(GRIDS), "trials": list(TRIALS)}
    recorded.save(recorded.RESULTS / "random_starts.npz", arrays, facts)


if __name__ == "__main__":
    recorded.script(__doc__, main)
