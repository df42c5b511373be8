"""Figures 1 and 5 with 16 seeds, and a grid over what the paper leaves open.

    python -m results.sgd

Resumable: every part is a training with a checkpoint under _build/checkpoints.
"""

import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from jepabook import FeatureSpectrum, learning_order, recorded, same_minibatches

SEED, WIDTH = 2024, 100
CHECKPOINTS = Path("_build/checkpoints/sgd")
RECORDS = np.unique(np.concatenate([np.arange(0, 500, 5), np.arange(500, 5001, 20)]))
CURVES_EVERY = 3
PROFILES = np.array([0, 25, 50, 100, 200, 400, 800, 1600, 3200, 5000])
GAIN = 3**-0.5

up = np.linspace(0.5, 1.0, WIDTH)
wide, narrow, flat = np.linspace(0.5, 1.5, WIDTH), np.linspace(0.9, 1.1, WIDTH), np.ones(WIDTH)
PANELS = {
    "distribution_1": (wide, up),
    "distribution_2": (wide, up[::-1]),
    "distribution_2_narrow": (narrow, up[::-1]),
    "rho_only": (flat, up),
    "lam_only": (wide, 0.8 * flat),
}
LAM_RANGES = ((0.95, 1.05), (0.8, 1.2), (0.5, 1.5))
RHO_RANGES = ((0.8, 1.0), (0.5, 1.0))
GAINS, RATES = (0.5, GAIN, 1.0), (0.01, 0.03, 0.1)


def orders(sizes, spectrum):
    """Kendall's tau of the sizes along lam and rho at the steps `PROFILES`, the last axis."""
    profiles = np.moveaxis(sizes[np.searchsorted(RECORDS, PROFILES)], 0, -2)
    return {
        f"order_by_{along}": learning_order.tau(-profiles, values)
        for along, values in (("lam", spectrum.lam), ("rho", spectrum.rho))
        if np.ptp(values) > 0
    }


def panel(name, spectrum, learning_rate=0.03):
    """Sixteen seeds of one panel: orders, times, last sizes, profiles and curves; and seconds."""
    runs = same_minibatches.train_both(
        spectrum,
        16,
        [GAIN],
        [learning_rate],
        record_at=RECORDS,
        seed=SEED,
        checkpoint=CHECKPOINTS / f"{name}.npz",
    )
    sizes = runs.sizes[:, :, 0, 0]
    shown = {
        "profile": sizes[np.searchsorted(RECORDS, PROFILES)],
        "curve": sizes[::CURVES_EVERY, ..., :: WIDTH // 8],
    }
    kept = {
        "half": learning_order.half_times(RECORDS, sizes),
        "doubling": learning_order.doubling_times(RECORDS, sizes),
        "last": sizes[-1],
        "lam": spectrum.lam,
        "rho": spectrum.rho,
    }
    statistics = {f"{what}_mean": values.mean(2) for what, values in shown.items()} | {
        f"{what}_std": values.std(2, ddof=1) for what, values in shown.items()
    }
    return kept | orders(sizes, spectrum) | statistics, runs.seconds


def grid(lam_range, rho_range):
    """Four seeds of distribution 2 at every gain and learning rate: means of tau along lam.

    NaN where a run diverged, and for times where fewer than ten features doubled on average.
    """
    lam, rho = (np.linspace(*values, WIDTH) for values in (lam_range, rho_range))
    spectrum = FeatureSpectrum(lam, rho[::-1])
    runs = same_minibatches.train_both(
        spectrum,
        4,
        GAINS,
        RATES,
        record_at=RECORDS,
        seed=SEED,
        checkpoint=CHECKPOINTS / f"grid-{lam_range[0]}-{rho_range[0]}.npz",
    )
    by_step = orders(runs.sizes, spectrum)["order_by_lam"].mean(-2)
    clearest = np.abs(np.nan_to_num(by_step)).argmax(-1)[..., None]
    half, doubling = (
        measure(RECORDS, runs.sizes)
        for measure in (learning_order.half_times, learning_order.doubling_times)
    )
    times = {
        "doubling": mean_where_defined(learning_order.tau(doubling, lam, never="last")),
        "doubled": mean_where_defined(learning_order.tau(doubling, lam)),
        "half": mean_where_defined(learning_order.tau(half, lam)),
    }
    sound = (runs.diverged_at < 0).all(-1)
    enough = sound & (np.isfinite(doubling).sum(-1).mean(-1) >= 10)
    found = {name: np.where(enough, values, np.nan) for name, values in times.items()}
    sizes = np.take_along_axis(by_step, clearest, -1)[..., 0]
    return found | {"sizes": np.where(sound, sizes, np.nan)}, runs.seconds


def mean_where_defined(values):
    """The mean over seeds, the last axis, of those that are not NaN."""
    defined = np.isfinite(values)
    return np.where(defined, values, 0).sum(-1) / np.maximum(defined.sum(-1), 1)


def main():
    started, seconds = time.time(), []
    arrays = {"steps": RECORDS[::CURVES_EVERY], "profile_steps": PROFILES}
    shape = (len(LAM_RANGES), len(RHO_RANGES))
    with tqdm(total=len(PANELS) + np.prod(shape), desc="parts") as bar:
        for name, (lam, rho) in PANELS.items():
            found, spent = panel(name, FeatureSpectrum(lam, rho))
            arrays |= {f"{name}__{key}": value for key, value in found.items()}
            seconds.append(spent)
            bar.update()
        parts = []
        for lam_range, rho_range in product(LAM_RANGES, RHO_RANGES):
            found, spent = grid(lam_range, rho_range)
            parts.append(found)
            seconds.append(spent)
            bar.update()
    for key in parts[0]:
        stacked = np.stack([part[key] for part in parts])
        arrays[f"grid__{key}"] = stacked.reshape(*shape, *stacked.shape[1:])
    small = {
        key: value.astype(np.float32) if value.dtype == float else value
        for key, value in arrays.items()
    }
    facts = recorded.provenance(SEED, started) | {
        "wall_seconds": round(sum(seconds), 1),  # over all calls, not this one
        "threads": torch.get_num_threads(),
        "gain": GAIN,
        "grid": {"lam": LAM_RANGES, "rho": RHO_RANGES, "gain": GAINS, "learning_rate": RATES},
    }
    recorded.save(recorded.RESULTS / "sgd.npz", small, facts, ("*__half", "*__doubling", "grid__*"))


if __name__ == "__main__":
    recorded.script(__doc__, main)
