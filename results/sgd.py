"""Figures 1 and 5 with 16 seeds, and a grid over what the paper leaves open.

    python -m results.sgd

Resumable: every part is a training with a checkpoint under _build/checkpoints.
"""

import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from jepabook import FeatureSpectrum, comparison, learning_order, recorded

SEED, WIDTH = 2024, 100
CHECKPOINTS = Path("_build/checkpoints/sgd")
GRID_SEEDS = 4
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


def measures(runs, spectrum):
    """What is kept of a comparison: times, sizes, and the order of the sizes during training.

    Arrays (2, gains, rates, seeds, ...); the orders are Kendall's tau, 1 if features with larger
    lam (or rho) are larger, at the steps `PROFILES`, the last axis.
    """
    profiles = np.moveaxis(runs.sizes[np.searchsorted(runs.steps, PROFILES)], 0, -2)
    orders = {
        f"order_by_{along}": learning_order.tau(-profiles, values)
        for along, values in (("lam", spectrum.lam), ("rho", spectrum.rho))
        if np.ptp(values) > 0
    }
    return orders | {
        "half": learning_order.half_times(runs.steps, runs.sizes),
        "doubling": learning_order.doubling_times(runs.steps, runs.sizes),
        "first": runs.sizes[0],
        "last": runs.sizes[-1],
        "diverged_at": runs.diverged_at,
    }


def panel(name, spectrum, learning_rate=0.03):
    """Sixteen seeds of one panel; also mean and standard deviation of profiles and of curves."""
    runs = comparison.train_both(
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
        "profile": sizes[np.searchsorted(runs.steps, PROFILES)],
        "curve": sizes[::CURVES_EVERY, ..., :: WIDTH // 8],
    }
    statistics = {f"{what}_mean": values.mean(2) for what, values in shown.items()} | {
        f"{what}_std": values.std(2, ddof=1) for what, values in shown.items()
    }
    kept = {key: value[:, 0, 0] for key, value in measures(runs, spectrum).items()}
    return kept | statistics


def grid(lam_range, rho_range):
    """A few seeds of distribution 2 at every gain and learning rate: orders only."""
    lam, rho = (np.linspace(*values, WIDTH) for values in (lam_range, rho_range))
    spectrum = FeatureSpectrum(lam, rho[::-1])
    name = f"grid-{lam_range[0]}-{rho_range[0]}.npz"
    runs = comparison.train_both(
        spectrum,
        GRID_SEEDS,
        GAINS,
        RATES,
        record_at=RECORDS,
        seed=SEED,
        checkpoint=CHECKPOINTS / name,
    )
    found = measures(runs, spectrum)
    return {
        "order_by_lam": found["order_by_lam"],
        "half_by_lam": learning_order.tau(found["half"], spectrum.lam),
        "doubling_by_lam": learning_order.tau(found["doubling"], spectrum.lam),
        "doubled": np.isfinite(found["doubling"]).sum(-1),
        "diverged_at": found["diverged_at"],
    }


def main():
    started = time.time()
    arrays = {"steps": RECORDS[::CURVES_EVERY], "profile_steps": PROFILES}
    with tqdm(total=len(PANELS) + len(LAM_RANGES) * len(RHO_RANGES), desc="parts") as bar:
        for name, (lam, rho) in PANELS.items():
            found = panel(name, FeatureSpectrum(lam, rho))
            arrays |= {f"{name}__{key}": value for key, value in found.items()}
            arrays |= {f"{name}__lam": lam, f"{name}__rho": rho}
            bar.update()
        found = []
        for lam_range in LAM_RANGES:
            for rho_range in RHO_RANGES:
                found.append(grid(lam_range, rho_range))
                bar.update()
    shape = (len(LAM_RANGES), len(RHO_RANGES))
    for key in found[0]:
        stacked = np.stack([part[key] for part in found])
        arrays[f"grid__{key}"] = stacked.reshape(*shape, *stacked.shape[1:])
    facts = {
        "gain": GAIN,
        "grid": {"lam": LAM_RANGES, "rho": RHO_RANGES, "gain": GAINS, "learning_rate": RATES},
        "threads": torch.get_num_threads(),
    }
    small = {
        key: value.astype(np.float32) if value.dtype == float else value
        for key, value in arrays.items()
    }
    recorded.save("results/sgd.npz", small, facts | recorded.provenance(SEED, started))


if __name__ == "__main__":
    main()
