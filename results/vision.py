"""Figure 7 on images at hand: JEPA and MAE on the same crops, and what they make of two subspaces.

``python -m results.vision`` writes results/vision.npz, which chapter 12 reads: a vision transformer
of size "tiny", pictures of 64 x 64 pixels cut out of photographs, three seeds. An hour on two
cores. Resumable: a training or a measurement that is done is not done again.

Arrays have the axes objective (JEPA, MAE), seed, and model kept (after ``steps`` steps), then

- ``cca``, ``chance``, ``cka``, ``cka_chance``: encoder (evaluated, online), pool (mean, patch),
  subspace compared with the full images (bottom, top), on COUNT test images;
- ``rank``: encoder, pool, view (full, top, bottom): effective ranks;
- ``few``, ``few_chance``: number of images in ``counts``, subspace; evaluated encoder, mean pool;
- ``cut``, ``cut_chance``: tolerance in ``tolerances``, subspace; likewise;
- ``probe``, ``probe_chance``: label (facts["labels"]), view; evaluated encoder, mean pool. Trained
  on PROBED crops of the regions that the models were trained on.

``loss`` (objective, seed, logged step) is at the steps ``logged``; ``speed`` and ``hours``
(objective, seed) are the median number of images a second and the time of the steps. ``flops``
and ``parameters`` (preset, objective) are operations of a step for one image, by torch's count,
and trained numbers.
"""

import itertools
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from jepabook import recorded
from jepabook._support import files
from jepabook.vision import (
    batches,
    images,
    measure,
    model,
    recipes,
    runs,
    similarity,
    subspaces,
    train,
)

OBJECTIVES, SEEDS = ("jepa", "mae"), (0, 1, 2)
PRESET, TRAINED, STEPS, BATCH, RATE, KEEP = "tiny", 20_000, 1600, 128, 1e-3, 10
FITTED, COUNT, PROBED = 6000, 2500, 1200
COUNTS, TOLERANCES = (150, 300, 600, 1200, 2500), (1e-6, 1e-2, 1e-1)
LARGEST = 113  # side of a photograph's crop for measuring: what the regions for testing allow
COMPARED = ("bottom", "top")
CHECKPOINTS = Path("_build/checkpoints/vision")


def similarities(found, **options):
    """Mean CCA, and chance, of the full images' mean representation with the subspaces'."""
    pairs = [
        similarity.mean_cca(found["full", "mean"], found[view, "mean"], **options)
        for view in COMPARED
    ]
    return [pair.value for pair in pairs], [pair.chance for pair in pairs]


def of_encoder(found):
    """What is measured for each encoder: dict of name to array."""
    arrays = {name: np.empty((2, 2)) for name in ("cca", "chance", "cka", "cka_chance")}
    for i, j in itertools.product(range(2), range(2)):
        pool = measure.POOLS[i]
        pair = found["full", pool], found[COMPARED[j], pool]
        cca, cka = similarity.mean_cca(*pair), similarity.linear_cka(*pair)
        arrays["cca"][i, j], arrays["chance"][i, j] = cca.value, cca.chance
        arrays["cka"][i, j], arrays["cka_chance"][i, j] = cka.value, cka.chance
    arrays["rank"] = np.array(
        [
            [measure.effective_rank(found[view, pool]) for view in subspaces.WHICH]
            for pool in measure.POOLS
        ]
    )
    return arrays


def measured(network, shown, probed):
    """All that is measured of one model: dict of name to array."""
    found = measure.representations(network, shown)
    encoders = [of_encoder(found)]
    other = hasattr(network, "target")
    encoders.append(
        of_encoder(measure.representations(network, shown, online=True)) if other else encoders[0]
    )
    arrays = {name: np.stack([encoder[name] for encoder in encoders]) for name in encoders[0]}
    few = [similarities({key: x[:count] for key, x in found.items()}) for count in COUNTS]
    cut = [similarities(found, tolerance=tolerance) for tolerance in TOLERANCES]
    arrays["few"], arrays["few_chance"] = np.array(few).swapaxes(0, 1)
    arrays["cut"], arrays["cut_chance"] = np.array(cut).swapaxes(0, 1)
    seen = measure.representations(network, probed)
    probes = [
        [
            measure.probe(
                seen[view, "mean"], probed.labels[label], found[view, "mean"], shown.labels[label]
            )
            for view in subspaces.WHICH
        ]
        for label in shown.labels
    ]
    arrays["probe"], arrays["probe_chance"] = np.moveaxis(np.array(probes), 2, 0)
    return arrays


def once(path, run, step, shown, probed):
    """What is measured of a model that was kept, unless `path` holds it of the same weights."""
    weights = files.sha256(runs.file_of(run, runs.WEIGHTS, step))
    about = {"source": files.sha256(__file__), "weights": weights}
    if path.exists():
        arrays, facts = recorded.load(path)
        if facts == about:
            return arrays
    arrays = measured(train.trained(run, step), shown, probed)
    recorded.save(path, arrays, about)
    return arrays


def plan(name, seed):
    """The training of an objective with a seed."""
    return train.Plan(name, model.preset(PRESET), STEPS, BATCH, seed, RATE, keep=KEEP)


def costs():
    """Of each preset (rows) and objective: operations of a step for one image, and parameters."""
    flops, parameters = np.empty((2, len(model.PRESETS), len(OBJECTIVES)))
    for row, config in enumerate(model.PRESETS.values()):
        for column, name in enumerate(OBJECTIVES):
            network = recipes.recipe(name).model(config, 0)
            pictures = torch.zeros(1, model.CHANNELS, config.image_size, config.image_size)
            with FlopCounterMode(display=False) as counter:
                network.loss(pictures, torch.Generator()).backward()
            flops[row, column] = counter.get_total_flops()
            trained = [part.numel() for part in network.parameters() if part.requires_grad]
            parameters[row, column] = sum(trained)
    return {"flops": flops, "parameters": parameters}


def main():
    """Train, measure, record."""
    started, threads, size = time.time(), torch.get_num_threads(), model.preset(PRESET).image_size
    training = images.photographs(size, TRAINED, SEEDS[0])
    colours = batches.colours(training.pixels)
    split = subspaces.fit(training.pixels[:FITTED], device="cpu")
    shown, probed = (
        measure.stimuli(images.photographs(size, count, 0, part, LARGEST), split, colours)
        for count, part in ((COUNT, "test"), (PROBED, "train"))
    )
    table, logs, kept = {}, {}, plan(OBJECTIVES[0], SEEDS[0]).kept
    for seed, name in itertools.product(SEEDS, OBJECTIVES):
        run = CHECKPOINTS / f"{name}-{seed}"
        train.train(plan(name, seed), training, run, workers=threads, progress=True)
        logs[name, seed] = runs.log_of(run)
        for step in kept:
            path = CHECKPOINTS / f"{name}-{seed}-{step}.npz"
            table[name, seed, step] = once(path, run, step, shown, probed)
        print(name, seed, np.round(table[name, seed, STEPS]["cca"], 3).tolist(), flush=True)

    def stacked(of):
        return np.array([[of(name, seed) for seed in SEEDS] for name in OBJECTIVES])

    arrays = {
        key: stacked(lambda name, seed, key=key: [table[name, seed, k][key] for k in kept])
        for key in table[OBJECTIVES[0], SEEDS[0], 0]
    }
    arrays["loss"] = stacked(lambda *run: [line["loss"] for line in logs[run]])
    speeds = stacked(lambda *run: [line["images_per_second"] for line in logs[run]])
    arrays["speed"], arrays["steps"] = np.median(speeds, axis=2), kept
    arrays["logged"] = [line["step"] for line in logs[OBJECTIVES[0], SEEDS[0]]]
    arrays["hours"] = stacked(lambda *run: runs.hours(logs[run], BATCH))
    arrays |= {"counts": COUNTS, "tolerances": TOLERANCES} | costs()
    arrays |= {"variances": split.variances, "total": split.total}
    told = {"labels": list(shown.labels), "preset": PRESET, "trained": TRAINED, "batch": BATCH}
    told |= {"rate": RATE, "fitted": FITTED, "count": COUNT, "probed": PROBED, "threads": threads}
    told |= recorded.provenance(SEEDS[0], started)
    recorded.save(recorded.RESULTS / "vision.npz", arrays, told)


if __name__ == "__main__":
    recorded.script(__doc__, main)
