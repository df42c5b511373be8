"""Which objective keeps a feature that is noisy: brightness, jittered in each view on its own.

``python -m results.brightness`` writes results/brightness.npz, which chapter 12 reads: a vision
transformer on fresh crops of 48 x 48 pixels from the photographs of scikit-image and scikit-learn,
trained as JEPA, as MAE on pixels, and as MAE on normalised patches, with five strengths of jitter
and three seeds. Below an hour on two cores. Resumable: a training that is done is not done again.

What the encoder sees and what it has to predict are brightened by independent normal numbers, with
standard deviations of 0, 1, 2, 4 and 8 times the spread of brightness among the crops. That leaves
brightness the feature of largest lambda, and lowers its rho.

*Outcome.* Clean crops; the representation is the mean over the patches of the evaluated encoder.
``cka``: linear CKA of the representation with the brightness. ``kept`` is that CKA over the one
without jitter of the same objective and seed.

*Prediction* (before any training; ``theory`` below, three depths). Masked views of the same crops,
in grey at 12 x 12 pixels, are given to `spectrum`; features have the sizes that the theory lets
them end at, JEPA's |rho|^L and MAE's |rho|^(L/(L+1)). At four times the spread JEPA keeps less than
a fifth of its CKA and MAE on pixels more than three fifths; of a target without brightness, as of
normalised patches, the theory has brightness not learned at all.

*Rule.* The difference of ``kept`` at four times the spread, MAE on pixels less JEPA, over the
seeds: its t-interval (95 %, two degrees of freedom) lies above 0.1: the theory's part holds; below
-0.1: opposite; else inconclusive. Where either falls to a half of its value (in the logarithm of
the strength, between the strengths tried) is told and judged by nothing.

Arrays have the axes objective (`NAMES`), strength, seed, model kept (after ``steps`` steps), then

- ``cka``, ``share``, ``probe``: encoder (evaluated, online): linear CKA with the brightness, the
  share of the representation's variance that brightness explains, and of the brightness's variance
  what a linear probe explains on crops that it was not fitted to.

``theory`` (depth in ``depths``, JEPA and MAE, strength in ``fine``) is the predicted CKA, ``lam``
and ``rho`` (strength in ``fine``) are of brightness. ``loss`` (objective, strength, seed, logged
step) is at the steps ``logged``, and ``hours`` (objective, strength, seed) is their time, of
several trainings at once. ``spread`` is the standard deviation of brightness.
"""

import itertools
import time
from pathlib import Path

import numpy as np
import torch

from jepabook import recorded, spectrum
from jepabook.vision import batches, crops, images, model, runs, similarity, train
from jepabook.worlds import photographs

NAMES, SEEDS, TIMES = ("jepa", "mae-pixels", "mae"), (0, 1, 2), (0, 1, 2, 4, 8)
CONFIG = model.Config(48, 8, 128, 4, 4, 64, 2, 2)
STEPS, BATCH, PART, RATE, KEEP, WARMUP, MOMENTUM = 1000, 64, 32, 1e-3, 6, 0.1, 0.97
COUNT, LINEAR, DEPTHS = 2000, 20_000, (2, 4, 6)
FINE = np.round(np.geomspace(0.25, 8, 21), 4)
CHECKPOINTS = Path("_build/checkpoints/brightness")


def clean(count, seed, size=CONFIG.image_size):
    """Crops (count, size, size, 3) of the six photographs, uint8."""
    sources = [crops.octaves(image, size) for image in photographs.colour().values()]
    return crops.fresh(sources, size, count, np.random.default_rng([seed, 1]))[0]


def brightness(pixels):
    """The mean of each picture, in [0, 1]."""
    return pixels.reshape(len(pixels), -1).mean(1) / 255


def alignment(representation, value):
    """Linear CKA of a representation (n, width) with one number (n,)."""
    return similarity.linear_cka(representation, value[:, None]).value


def views(grey, jitter, seed):
    """Masked views (n, 144) of pictures in grey (n, 144), each brightened on its own."""
    generator = torch.Generator().manual_seed(seed)
    keep, _ = model.random_masks(len(grey), CONFIG.patches, CONFIG.share, generator)
    mask = torch.zeros(len(grey), CONFIG.patches).scatter_(1, keep, 1.0).reshape(-1, 6, 6)
    mask = mask.repeat_interleave(2, 1).repeat_interleave(2, 2).reshape(len(grey), -1).numpy()
    added = jitter * np.random.default_rng([seed, 2]).standard_normal((2, len(grey), 1))
    return (grey + added[0]) * mask, (grey + added[1]) * (1 - mask)


def theory(spread, pixels):
    """Predicted CKA (depth, objective, strength), and lam and rho (strength) of brightness."""
    grey = pixels.reshape(-1, 12, 4, 12, 4, 3).mean((2, 4, 5)).reshape(len(pixels), -1) / 255
    value, grey = grey.mean(1), grey - grey.mean(0)
    cka, lam, rho = np.empty((len(DEPTHS), 2, len(FINE))), np.empty(len(FINE)), np.empty(len(FINE))
    for k, strength in enumerate(FINE):
        found = spectrum.estimate(*views(grey, strength * spread, 0))
        bright = int(np.argmax(np.abs(found.directions.sum(0))))
        lam[k], rho[k] = found.lam[bright], found.rho[bright]
        for row, depth in enumerate(DEPTHS):
            for column, power in enumerate((depth, depth / (depth + 1))):
                sizes = np.where(found.lam > 0, np.abs(found.rho), 0.0) ** power
                cka[row, column, k] = alignment((grey @ found.directions) * sizes, value)
    return cka, lam, rho


def plan(name, times, seed, spread, steps=STEPS):
    """The training of an objective at a strength with a seed."""
    return train.Plan(
        name,
        CONFIG,
        steps,
        BATCH,
        seed,
        RATE,
        crop=1,
        part=PART,
        keep=KEEP,
        warmup=WARMUP,
        momentum=MOMENTUM if name == "jepa" else None,
        jitter=times * spread,
    )


def measured(network, shown, value):
    """Of both encoders: CKA and shares, dict of name to array (2,)."""
    arrays = {name: np.full(2, np.nan) for name in ("cka", "share", "probe")}
    fitted = np.arange(len(value)) < len(value) // 2
    for k, online in enumerate((False, True) if hasattr(network, "target") else (False,)):
        found = torch.cat([network.encode(part, online=online) for part in shown.split(250)])
        found = found.double().numpy()
        found, of = found - found[fitted].mean(0), value - value[fitted].mean()
        arrays["cka"][k] = alignment(found, value)
        slope = np.cov(found.T, value)[-1, :-1]
        arrays["share"][k] = slope @ slope / (value.var(ddof=1) * found.var(0, ddof=1).sum())
        weights = np.linalg.lstsq(found[fitted], of[fitted], rcond=1e-6)[0]
        rest = of[~fitted] - found[~fitted] @ weights
        arrays["probe"][k] = 1 - np.square(rest).mean() / value[~fitted].var()
    return {name: np.where(np.isnan(both), both[0], both) for name, both in arrays.items()}


def work():
    """Every objective, strength and seed, those that decide first."""
    runs_of = itertools.product(SEEDS, (0, 4, 2, 8, 1), NAMES)
    return [(name, times, seed) for seed, times, name in runs_of]


def main():
    """Predict, train, measure, record."""
    started, threads = time.time(), torch.get_num_threads()
    shown = clean(COUNT, 0)
    value = brightness(shown)
    spread = float(value.std())
    cka, lam, rho = theory(spread, clean(LINEAR, 1))
    pictures = images.Photographs("photos", list(photographs.colour().values()))
    logs, table = {}, {}
    kept = plan(NAMES[0], 0, 0, spread).kept
    for name, times, seed in work():
        run, asked = CHECKPOINTS / f"{name}-{times}-{seed}", plan(name, times, seed, spread)
        train.train(asked, pictures, run, workers=threads)
        colours = asked.batches(pictures)
        prepared = batches.prepared(torch.from_numpy(shown), colours.mean, colours.deviation)
        logs[name, times, seed] = runs.log_of(run)
        for step in kept:
            table[name, times, seed, step] = measured(train.trained(run, step), prepared, value)
        last = table[name, times, seed, STEPS]["cka"].round(3).tolist()
        print(name, times, seed, last, round(time.time() - started), flush=True)

    def stacked(of):
        each = [[[of(name, times, seed) for seed in SEEDS] for times in TIMES] for name in NAMES]
        return np.array(each)

    arrays = {
        key: stacked(lambda *run, key=key: [table[*run, step][key] for step in kept])
        for key in ("cka", "share", "probe")
    }
    arrays["loss"] = stacked(lambda *run: [line["loss"] for line in logs[run]])
    arrays["hours"] = stacked(lambda *run: runs.hours(logs[run], BATCH))
    arrays["logged"] = [line["step"] for line in logs[NAMES[0], 0, 0]]
    arrays |= {"steps": kept, "times": TIMES, "fine": FINE, "depths": DEPTHS, "spread": spread}
    arrays |= {"theory": cka, "lam": lam, "rho": rho}
    facts = {"names": list(NAMES), "seeds": list(SEEDS), "batch": BATCH, "rate": RATE}
    facts |= {"warmup": WARMUP, "momentum": MOMENTUM, "count": COUNT, "linear": LINEAR}
    facts |= {"threads": threads} | recorded.provenance(SEEDS[0], started)
    recorded.save(recorded.RESULTS / "brightness.npz", arrays, facts)


if __name__ == "__main__":
    recorded.script(__doc__, main)
