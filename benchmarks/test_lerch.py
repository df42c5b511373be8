"""100 000 values of the Lerch transcendent against `mpmath.lerchphi`, in the same run."""

import time

import mpmath
import numpy as np

from jepabook.theory.lerch import lerch_phi
from tests import references

POINTS, SAMPLE = 100_000, 100
LEAST_RATIO = 10_000


def points():
    """z uniform in (0, 1) or within 1e-1 ... 1e-15 of 1; a of MAE at depths 2 ... 40."""
    rng = np.random.default_rng(20261122)
    near_one = 1 - 10 ** -rng.uniform(1, 15, POINTS)
    z = np.where(rng.random(POINTS) < 0.5, rng.random(POINTS), near_one)
    depth = rng.integers(2, 41, POINTS)
    return z, (1 - depth) / (1 + depth)


def test_lerch_phi_is_10_000_times_faster_than_mpmath(benchmark, show):
    z, a = points()
    ours = benchmark.pedantic(lerch_phi, args=(z, a), rounds=15, iterations=1, warmup_rounds=2)
    seconds = benchmark.stats.stats.median

    start = time.perf_counter()
    rival = [mpmath.lerchphi(float(z[k]), 1, float(a[k])) for k in range(SAMPLE)]
    took = (time.perf_counter() - start) * POINTS / SAMPLE

    def worst(values):
        with references.digits():
            errors = (
                abs(values[k] - references.lerch(z[k], a[k])) / references.lerch_scale(z[k], a[k])
                for k in range(SAMPLE)
            )
            return float(max(errors))

    benchmark.extra_info["mpmath.lerchphi"] = took / seconds
    show(
        f"{POINTS} points",
        f"{'':46} {'seconds':>9} {'ratio':>7} {'worst error':>12}",
        f"{'lerch.lerch_phi':46} {seconds:9.4f} {1:7.0f} {worst(ours.tolist()):12.1e}",
        f"{'mpmath.lerchphi, 15 digits':46} {took:9.1f} {took / seconds:7.0f} {worst(rival):12.1e}",
        f"(mpmath: {SAMPLE} points timed, scaled to {POINTS})",
    )
    assert took >= LEAST_RATIO * seconds
    assert worst(ours.tolist()) < 1e-13
