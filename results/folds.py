"""Figure 7 by folds of photographs: JEPA and MAE trained on some, compared on crops of others.

``make photographs`` fetches the photographs, 37 of Debian's backgrounds; with the six of
scikit-image and scikit-learn they make six groups. ``python -m results.folds`` trains and measures
and writes results/folds.npz, which chapter 12 reads. Some six hours on two cores; resumable: a
training that is done is not done again, and a fold that is in the file needs no checkpoint, so that
the hours can be had one fold at a time.

*Set-up.* In fold k group k is for testing, all others are for training: fresh crops at every step,
log-uniform in scale. The sixth group is the spare one: each objective's learning rate is the one of
three whose model, after a tenth of the steps on the first five groups, tells best by a linear probe
which photograph of the spare group a crop is from (crops of the left three quarters to fit, of the
right quarter to test). Both objectives have the same warm-up, and JEPA's target a memory of 0.3 %
of the training. A fold has its own initial weights. The split of the pixels' variance is fitted to
crops of the fold's training photographs, and 5000 crops of its test photographs are compared.

*Rule*, written before the runs. For each subspace, bottom and top, and each fold: the similarity of
the full images' representation with the subspace's, less that of the untrained network; JEPA's less
MAE's; its mean over the training from 5 % to 100 % of the steps (trapezoids, linear axis). The
t-interval (95 %, four degrees of freedom) of the five numbers is compared with the margin of 0.01.
The paper's sign is + for the bottom and - for the top. All of the interval beyond the margin on the
paper's side: *reproduced*; all of it beyond the margin on the other side: *opposite*; else
*inconclusive*. Primary is mean CCA, the figure's label, of the evaluated encoder's mean over the
patches. The same numbers for projection-weighted CCA, SVCCA at 99 %, CKA and the online encoder are
told beside it and decide nothing. Before all five folds are done there is no verdict.

Arrays have the axes fold (``done``, in this order), objective (JEPA, MAE), model kept (after
``steps`` steps), then

- ``mean``, ``weighted``, ``svcca``, ``cka``: encoder (evaluated, online), subspace (bottom, top);
- ``rank``: encoder, view (full, top, bottom): effective ranks.

``loss`` (fold, objective, logged step) is at the steps ``logged``; ``hours`` (fold, objective) is
the time of the steps; ``top`` (fold) counts the components of the top. ``tuned`` (objective, rate
in ``rates``) is the spare group's accuracy; ``beginning`` (objective, logged step) is the loss of a
short training on the six shipped photographs, for which nothing is fetched.
"""

import hashlib
import itertools
import time
from pathlib import Path

import numpy as np
import torch

from jepabook import recorded
from jepabook.vision import (
    batches,
    crops,
    images,
    measure,
    model,
    runs,
    similarity,
    subspaces,
)
from jepabook.vision import train as training
from jepabook.worlds import photographs
from tools import photographs as fetched

OBJECTIVES, FOLDS, SPARE = ("jepa", "mae"), 5, 5
CONFIG = model.Config(48, 8, 128, 4, 4, 64, 2, 2)
STEPS, BATCH, KEEP, WARMUP, MEMORY, LARGEST = 11_000, 128, 24, 0.1, 0.003, 768
RATES, TUNING, TUNED_CROPS = (3e-4, 1e-3, 3e-3), 1100, (3000, 1500)
FITTED, COUNT, BEGINNING = 6000, 5000, 400
COMPARED = ("bottom", "top")
MEASURES = {
    "mean": similarity.mean_cca,
    "weighted": similarity.projection_weighted_cca,
    "svcca": similarity.svcca,
    "cka": similarity.linear_cka,
}
FILE = recorded.RESULTS / "folds.npz"
CHECKPOINTS = Path("_build/checkpoints/folds")


def grouped(pictures):
    """Photographs (dict by name) in six groups, lists of dicts: by the checksum of their names."""
    names = sorted(pictures, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return [{name: pictures[name] for name in names[k :: FOLDS + 1]} for k in range(FOLDS + 1)]


def together(groups, left_out):
    """The photographs of all groups but one, an images.Photographs."""
    kept = [group.values() for k, group in enumerate(groups) if k != left_out]
    return images.Photographs(f"all groups but {left_out}", list(itertools.chain(*kept)))


def plan(name, seed, rate, steps=STEPS):
    """A training."""
    momentum = 1 - 1 / (MEMORY * steps) if name == "jepa" else None
    shared = {"crop": 1, "keep": KEEP, "spacing": "even", "warmup": WARMUP}
    return training.Plan(name, CONFIG, steps, BATCH, seed, rate, momentum=momentum, **shared)


def compared(network, shown):
    """All that is measured of one model: dict of name to array with the axis encoder first."""
    encoders = [False, True] if hasattr(network, "target") else [False]
    arrays = {name: [] for name in (*MEASURES, "rank")}
    for online in encoders:
        found = measure.representations(network, shown, online=online)
        found = {view: found[view, "mean"] for view in subspaces.WHICH}
        for name, of in MEASURES.items():
            arrays[name].append([of(found["full"], found[view]).value for view in COMPARED])
        arrays["rank"].append([measure.effective_rank(found[view]) for view in subspaces.WHICH])
    return {name: np.array(rows * (3 - len(rows))) for name, rows in arrays.items()}


def accuracy(network, group, source):
    """How well a linear probe tells the photographs of a group apart, by crops of other regions."""
    pictures, seen = list(group.values()), []
    for part, count in zip(crops.SPLITS, TUNED_CROPS, strict=True):
        rng = np.random.default_rng([SPARE, count])
        pixels, which, _ = crops.cut(pictures, CONFIG.image_size, count, rng, part, 180)
        shown = batches.prepared(torch.from_numpy(pixels), source.mean, source.deviation)
        codes = [network.encode(some, online=True) for some in shown.split(250)]
        seen += [torch.cat(codes), which]
    return measure.probe(*seen)[0]


def tuned(groups, threads):
    """The spare group's accuracy (objective, rate)."""
    pictures, found = together(groups, SPARE), np.empty((len(OBJECTIVES), len(RATES)))
    for row, name in enumerate(OBJECTIVES):
        for column, rate in enumerate(RATES):
            run, asked = CHECKPOINTS / f"rate-{name}-{rate}", plan(name, SPARE, rate, TUNING)
            training.train(asked, pictures, run, workers=threads)
            network = training.trained(run, TUNING)
            found[row, column] = accuracy(network, groups[SPARE], asked.batches(pictures))
        print(name, found[row].round(3).tolist(), flush=True)
    return found


def fold(k, groups, rates, threads):
    """Train and measure both objectives in a fold: dict of name to array."""
    pictures = together(groups, k)
    source = plan(OBJECTIVES[0], k, rates[0]).batches(pictures)
    rng = np.random.default_rng([k, 1])
    split = subspaces.fit(
        crops.fresh(source.photographs, CONFIG.image_size, FITTED, rng)[0], device="cpu"
    )
    tests = [crops.octaves(picture, CONFIG.image_size) for picture in groups[k].values()]
    pixels = crops.fresh(tests, CONFIG.image_size, COUNT, np.random.default_rng([k, 2]))[0]
    shown = images.ImageSet(f"group {k}", pixels, {}, {})
    shown = measure.stimuli(shown, split, (source.mean, source.deviation))
    rows, logs = [], []
    for name, rate in zip(OBJECTIVES, rates, strict=True):
        run, asked = CHECKPOINTS / f"{k}-{name}", plan(name, k, rate)
        training.train(asked, pictures, run, workers=threads)
        logs.append(runs.log_of(run))
        rows.append([compared(training.trained(run, step), shown) for step in asked.kept])
        print(k, name, rows[-1][-1]["mean"].round(3).tolist(), flush=True)
    arrays = {key: np.array([[at[key] for at in row] for row in rows]) for key in rows[0][0]}
    arrays["loss"] = np.array([[line["loss"] for line in log] for log in logs])
    arrays["hours"] = np.array([runs.hours(log, BATCH) for log in logs])
    return arrays | {"top": len(split.variances)}


def beginning(rates, threads):
    """Losses (objective, logged step) of short trainings on the photographs that are shipped."""
    pictures, found = images.Photographs("shipped", list(photographs.colour().values())), []
    for name, rate in zip(OBJECTIVES, rates, strict=True):
        run = CHECKPOINTS / f"shipped-{name}"
        training.train(plan(name, 0, rate, BEGINNING), pictures, run, workers=threads)
        found.append([line["loss"] for line in runs.log_of(run)])
    return np.array(found)


def main():
    """Tune, train, measure, record after each fold."""
    started, threads = time.time(), torch.get_num_threads()
    arrays, facts = recorded.load(FILE) if FILE.exists() else ({}, {"calls": []})
    groups = grouped(fetched.load(LARGEST) | photographs.colour())
    if not arrays:
        arrays = {"tuned": tuned(groups, threads), "rates": RATES, "done": np.empty(0, int)}
        best = [RATES[place] for place in np.argmax(arrays["tuned"], 1)]
        kept, logs = plan(OBJECTIVES[0], 0, best[0]).kept, plan(OBJECTIVES[0], 0, best[0]).logs
        arrays |= {"beginning": beginning(best, threads), "steps": kept}
        arrays["logged"] = [step for step in range(1, STEPS + 1) if logs(step)]
        facts = record(arrays, facts, groups, "tuning", started)
    rates = [RATES[place] for place in np.argmax(arrays["tuned"], 1)]
    for k in sorted(set(range(FOLDS)) - set(arrays["done"].tolist())):
        started = time.time()
        for key, values in fold(k, groups, rates, threads).items():
            before = [arrays[key]] if len(arrays["done"]) else []
            arrays[key] = np.concatenate([*before, np.asarray(values)[None]])
        arrays["done"] = np.append(arrays["done"], k)
        facts = record(arrays, facts, groups, f"fold {k}", started)


def record(arrays, facts, groups, part, started):
    """Write the file with one more part; its facts, which tell of each part when and where."""
    told = recorded.provenance(0, started)
    new = {"groups": [list(group) for group in groups], "batch": BATCH, "count": COUNT} | told
    new["calls"] = [*facts["calls"], {"part": part} | told]
    recorded.save(FILE, arrays, new)
    return new


if __name__ == "__main__":
    recorded.script(__doc__, main)
