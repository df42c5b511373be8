"""How often the intervals of `jepabook.spectrum` hold the truth, where it is known.

``python -m results.coverage`` writes results/coverage.npz, which chapter 6 reads. Half an
hour on one core; resumable.

Arrays ``grid`` (cells, 2): features d and pairs n; ``held`` (cells, 3): the share of 95 % intervals
of lambda, of rho, and of the difference of neighbouring features' lambdas that hold the truth along
the directions found, ``cases`` (cells,) the intervals of lambda among them. The data are d Gaussian
features with lambda from 1 to 0.6 and rho from 0.5 to 0.9. ``nothing`` (settings, 3): features,
pairs, and the share of trials with independent views in which any feature is told to be learned.
``clusters`` (settings, 4): images, augmentations of each, shares held of lambda and rho by the
intervals that know the images; ``photographs`` (kinds, 2): the shares held of lambda and rho for
the views of chapter 6, ``facts["kinds"]``, against 240 000 fresh pairs.
"""

import time
from pathlib import Path

import numpy as np

from jepabook import FeatureSpectrum, photographs, recorded, spectrum
from jepabook.spectrum.basis import along
from jepabook.theory.objectives import BOTH

CHECKPOINTS = Path("_build/checkpoints/coverage")
WIDTHS, RATIOS, CASES = (4, 8, 16, 32, 64, 128), (4, 16, 64, 256), 6000
NOTHING, TRIALS = ((8, 100), (64, 300), (64, 2000)), 400
IMAGES = ((30, 1000), (300, 100))
COUNT, FRESH, ROUNDS = 30_000, 240_000, 4
KINDS = ("two eyes", "neighbouring patches", "random masks", "two eyes, brightness jitter")


def held(found, xx, yx):
    """Shares of intervals of lambda, rho and neighbours' differences that hold the truth."""
    lam, sigma_squared = along(found.directions, yx), along(found.directions, xx)
    differences = found.lam_replicates[:, 1:] - found.lam_replicates[:, :-1]
    shares = []
    for truth, replicates in (
        (lam, found.lam_replicates),
        (lam / sigma_squared, found.rho_replicates),
        (np.diff(lam), differences),
    ):
        low, high = found.interval(replicates)
        shares.append(np.mean((low <= truth) & (truth <= high)))
    return shares


def cell(d, n, repeats):
    """Mean shares held with d features and n pairs, either half of the rows held out."""
    truth = FeatureSpectrum(np.linspace(1, 0.6, d), np.linspace(0.5, 0.9, d))
    xx, yx = truth.covariances()
    shares = []
    for seed in range(repeats):
        x, y = truth.sample(n, seed, noise=0.3)
        found = spectrum.estimate(x, y, device="cpu", seed=seed, progress=False)
        shares += [held(one, xx, yx) for one in (found, found.swapped)]
    return np.mean(shares, axis=0)


def nothing(d, n, trials):
    """Share of trials with independent views in which an objective is told to learn something."""
    some = 0
    for seed in range(trials):
        x, y = np.random.default_rng(seed).standard_normal((2, n, d))
        found = spectrum.estimate(x, y, device="cpu", seed=seed, progress=False)
        predicted = spectrum.predict(found, depth=2, epsilon=1e-3)
        some += any(len(predicted.order(objective)) for objective in BOTH)
    return some / trials


def augmented(images, each, d, rng):
    """Shuffled views of augmentations, the image that each is of, and the covariances."""
    lam, rho, part = np.linspace(1, 0.6, d), np.linspace(0.5, 0.9, d), 0.9
    variance = lam / rho
    image = rng.standard_normal((images, 1, d)) * np.sqrt(part * variance)
    noise = rng.standard_normal((2, images, each, d))
    x = image + noise[0] * np.sqrt((1 - part) * variance)
    y = lam / (part * variance) * image + 0.3 * noise[1]
    order = rng.permutation(images * each)
    x, y = (view.reshape(-1, d)[order] for view in (x, y))
    return x, y, order // each, np.diag(variance), np.diag(lam)


def clusters(images, each, repeats, d=8, named=True):
    """Mean shares held of lambda and rho, with or without what belongs together."""
    shares = []
    for seed in range(repeats):
        x, y, labels, xx, yx = augmented(images, each, d, np.random.default_rng(seed))
        known = labels if named else None
        found = spectrum.estimate(x, y, clusters=known, device="cpu", seed=seed, progress=False)
        shares += [held(one, xx, yx)[:2] for one in (found, found.swapped)]
    return np.mean(shares, axis=0)


def views(kind, count, seed, images):
    """Pairs of one of the kinds of chapter 6."""
    if kind == "neighbouring patches":
        return photographs.neighbours(images, 8, count, seed)
    if kind == "random masks":
        return photographs.masked(images, 8, count, visible=0.5, seed=seed)
    eyes = photographs.stereo(8, count, seed)
    return eyes if kind == "two eyes" else photographs.brightened(*eyes, spread=0.3, seed=seed)


def on_photographs(kind):
    """Mean shares held of lambda and rho on photographs."""
    images = photographs.load()
    fresh = spectrum.estimate(
        *views(kind, FRESH, 100, images), device="cpu", replicates=1, progress=False
    )
    shares = []
    for seed in range(ROUNDS):
        found = spectrum.estimate(
            *views(kind, COUNT, seed, images), device="cpu", seed=seed, progress=False
        )
        shares += [held(one, fresh.sigma_xx, fresh.sigma_yx)[:2] for one in (found, found.swapped)]
    return np.mean(shares, axis=0)


def repeats(d):
    return -(-CASES // (2 * d))


def main():
    started = time.time()
    grid = [(d, ratio * d) for d in WIDTHS for ratio in RATIOS]
    parts = {f"grid-{d}-{n}": (cell, d, n, repeats(d)) for d, n in grid}
    parts |= {f"nothing-{d}-{n}": (nothing, d, n, TRIALS) for d, n in NOTHING}
    parts |= {f"clusters-{k}-{m}": (clusters, k, m, 60) for k, m in IMAGES}
    parts |= {f"photographs-{i}": (on_photographs, kind) for i, kind in enumerate(KINDS)}
    CHECKPOINTS.mkdir(parents=True, exist_ok=True)
    done = {}
    for name, (function, *arguments) in parts.items():
        path = CHECKPOINTS / f"{name}.npy"
        if not path.exists():
            np.save(path, function(*arguments))
        done[name] = np.load(path)
        print(name, np.round(done[name], 3), flush=True)
    arrays = {
        "grid": np.array(grid),
        "held": np.array([done[f"grid-{d}-{n}"] for d, n in grid]),
        "cases": np.array([2 * repeats(d) * d for d, _ in grid]),
        "nothing": np.array([[d, n, done[f"nothing-{d}-{n}"]] for d, n in NOTHING]),
        "clusters": np.array([[k, m, *done[f"clusters-{k}-{m}"]] for k, m in IMAGES]),
        "photographs": np.array([done[f"photographs-{i}"] for i in range(len(KINDS))]),
    }
    facts = recorded.provenance(0, started, "cpu") | {"kinds": list(KINDS)}
    recorded.save(recorded.RESULTS / "coverage.npz", arrays, facts)


if __name__ == "__main__":
    recorded.script(__doc__, main)
