"""The pass of jepabook.spectrum over float64 pairs against the bare products X'X and Y'X.

The same arrays in the same run. The rival holds all rows in memory, takes no means off, keeps no
groups for the bootstrap and notices no NaN.
"""

import time

import numpy as np
import pytest

from jepabook._support.processes import Share
from jepabook.spectrum import estimate, reading
from jepabook.spectrum.backend import backend
from jepabook.spectrum.sources import Pairs

GROUPS = 16
# features: pairs, rounds
SIZES = {64: (400_000, 7), 256: (100_000, 7), 1024: (100_000, 3), 4096: (16_384, 1)}
MOST_RATIO = 1.3
LARGEST_ASSERTED = 1024  # beyond it so few pairs cannot outweigh the memory of the groups


def data(d, n):
    rng = np.random.default_rng(0)
    x, y = np.empty((n, d)), np.empty((n, d))
    for start in range(0, n, 8192):
        rows = slice(start, start + 8192)
        rng.standard_normal(out=x[rows])
        rng.standard_normal(out=y[rows])
        y[rows] += x[rows] / 2
    return x, y


def ours(x, y):
    local = reading.read(Pairs(x, y), GROUPS, 1, Share(), backend("cpu"), False)
    assert GROUPS // 2 <= len(local.groups) <= GROUPS


def turned(x, y):
    estimate(x, y, groups=GROUPS, replicates=100, device="cpu", progress=False)


def bare(x, y):
    return x.T @ x, y.T @ x


def seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


@pytest.mark.parametrize("d", SIZES)
def test_the_pass_over_many_pairs_takes_at_most_1_3_times_as_long_as_its_products(
    benchmark, show, d
):
    n, rounds = SIZES[d]
    x, y = data(d, n)
    if rounds > 1:
        bare(x, y), ours(x, y)
    times = [[seconds(function, x, y) for function in (bare, ours)] for _ in range(rounds)]
    products, whole = np.min(times, axis=0)
    benchmark.pedantic(ours, args=(x[: n // 8], y[: n // 8]), rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = whole / products
    show(
        f"d = {d}, {n} pairs: X'X and Y'X {products:.3f} s, our pass {whole:.3f} s, "
        f"ratio {whole / products:.2f}"
    )
    assert d > LARGEST_ASSERTED or whole <= MOST_RATIO * products


def test_an_estimate_of_100_pairs_a_feature_takes_at_most_twice_as_long_as_its_pass(
    benchmark, show
):
    d, n = 1024, 100_000
    x, y = data(d, n)
    bare(x, y)
    times = [[seconds(function, x, y) for function in (ours, turned)] for _ in range(3)]
    reads, whole = np.min(times, axis=0)
    benchmark.pedantic(bare, args=(x[: n // 8], y[: n // 8]), rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = whole / reads
    show(
        f"d = {d}, {n} pairs: the pass {reads:.2f} s, the whole {whole:.2f} s: {whole / reads:.2f}"
    )
    assert whole <= 2 * reads
