"""Spectra of data against exact arithmetic, least squares, simulation and brute force."""

import subprocess
import sys
import threading
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jepabook import JEPA, MAE, FeatureSpectrum, critical_time, dynamics, spectrum
from jepabook._support import memory as _memory
from jepabook._support.processes import ElsewhereError, HereError, Share
from jepabook.spectrum import backend as backends
from jepabook.spectrum import basis, estimates, intervals, moments, prediction, reading, sources
from jepabook.spectrum.moments import Groups
from results import coverage as recording

CPU = backends.backend("cpu")
EPS = np.finfo(float).eps


def estimate(*args, **kwargs):
    return spectrum.estimate(*args, **({"device": "cpu", "replicates": 50} | kwargs))


def estimate_of_twins(x, y):
    """Of rows each of which is there twice: one in either half."""
    return estimate(*(np.repeat(view, 2, axis=0) for view in (x, y)), groups=4 * len(x))


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def diagonal_pairs(n, lam, rho, seed=0, noise=0.3, basis=None):
    """Gaussian pairs whose features are the columns of `basis`."""
    rng, lam, rho = np.random.default_rng(seed), np.asarray(lam), np.asarray(rho)
    x = rng.standard_normal((n, len(lam))) * np.sqrt(lam / rho)
    y = rho * x + noise * rng.standard_normal(x.shape)
    return (x, y) if basis is None else (x @ basis.T, y @ basis.T)


def pairs_with(sigma_xx, sigma_yx, n=60, seed=0):
    """Pairs whose sample covariances are these, up to rounding."""
    d = len(sigma_xx)
    z = np.random.default_rng(seed).standard_normal((n, 2 * d))
    z = np.linalg.qr(z - z.mean(0))[0] * np.sqrt(n - 1)
    x = z[:, :d] @ np.linalg.cholesky(sigma_xx).T
    return x, x @ np.linalg.solve(sigma_xx, sigma_yx.T) + 0.4 * z[:, d:]


# moments


def exact_moments(x, y):
    """Counts, means and sums of products about the means, in rational arithmetic."""
    x, y = ([[Fraction(float(v)) for v in row] for row in view] for view in (x, y))
    n, d = len(x), len(x[0])
    means = [[sum(row[i] for row in view) / n for i in range(d)] for view in (x, y)]
    x, y = (
        [[row[i] - mean[i] for i in range(d)] for row in view]
        for view, mean in zip((x, y), means, strict=True)
    )

    def products(left, right):
        rows = list(zip(left, right, strict=True))
        return [[float(sum(a[i] * b[j] for a, b in rows)) for j in range(d)] for i in range(d)]

    yy = [float(sum(row[i] ** 2 for row in y)) for i in range(d)]
    return (
        *(np.array(m, dtype=float) for m in means),
        *map(np.array, (products(x, x),)),
        *(np.array(p) for p in (products(y, x), yy)),
    )


def in_blocks(x, y, sizes, rows, most):
    groups, start = Groups(rows, most, CPU), 0
    for size in sizes:
        assert groups.add(x[start : start + size], y[start : start + size])
        start += size
    groups.close()
    return groups.groups


def merged(groups, order):
    """Two of the groups, at the places that `order` says, become one until one is left."""
    groups = list(groups)
    for place in order:
        if len(groups) == 1:
            break
        first = groups.pop(place % len(groups))
        groups[place % len(groups)].merge(first, CPU)
    while len(groups) > 1:
        groups[0].merge(groups.pop(), CPU)
    return groups[0]


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=7),
    st.integers(1, 4),
    st.sampled_from([(None, 4), (1, 4), (3, 4), (5, 16), (100, 4)]),
    st.sampled_from([0.0, 1.0, 1e8, -1e5]),
    st.sampled_from([0.0, 1.0, 1e6]),
    st.lists(st.integers(0, 50), max_size=20),
    st.integers(0, 2**31),
)
def test_moments_are_exact_in_any_blocks_and_order_of_merging_also_about_large_and_drifting_means(
    sizes, d, rows_most, mean, drift, order, seed
):
    rng, n = np.random.default_rng(seed), sum(sizes)
    x, y = rng.standard_normal((2, n, d)) + mean + drift * np.linspace(0, 1, n)[:, None]
    total = merged(in_blocks(x, y, sizes, *rows_most), order)
    mean_x, mean_y, xx, yx, yy = exact_moments(x, y)
    assert total.count == n
    largest = max(np.abs(x).max(), np.abs(y).max())
    np.testing.assert_allclose(total.mean_x, mean_x, rtol=0, atol=4 * EPS * largest)
    np.testing.assert_allclose(total.mean_y, mean_y, rtol=0, atol=4 * EPS * largest)
    # rounding of the means, one of which each group keeps, is felt relative to the spread
    size_x, size_y = np.sqrt(np.diag(xx)), np.sqrt(yy)
    unit = 8 * n * EPS * (1 + largest / min(size_x.min(), size_y.min()))
    assert (np.abs(total.xx - xx) <= unit * np.outer(size_x, size_x)).all()
    assert (np.abs(total.yx - yx) <= unit * np.outer(size_y, size_x)).all()
    assert (np.abs(total.yy - yy) <= unit * yy).all()


@given(st.integers(1, 30), st.integers(0, 60), st.floats(0, 1e6), st.integers(0, 2**31))
def test_squares_about_the_mean_of_the_first_b_of_n_rows_are_at_most_n_over_b_times_larger(
    b, more, jump, seed
):
    x = np.random.default_rng(seed).standard_normal(b + more)
    x[b:] += jump
    about_the_first = ((x - x[:b].mean()) ** 2).sum()
    about_the_mean = ((x - x.mean()) ** 2).sum()
    assert about_the_first <= (b + more) / b * about_the_mean * (1 + 1e-12)


def test_rows_far_from_the_first_block_lose_no_more_digits_than_the_docstring_says():
    rng, n, b = np.random.default_rng(0), 3000, 30
    x = rng.standard_normal((n, 1))
    x[:b] += 1e7
    group = in_blocks(x, x, [b] * (n // b), n, 4)[0]
    reference = ((x.astype(np.longdouble) - x.astype(np.longdouble).mean()) ** 2).sum()
    assert abs(float(group.xx[0, 0] / reference - 1)) < 10 * EPS * n / b


@pytest.mark.parametrize("mean", [0.0, 1e8])
def test_covariances_are_those_of_numpy(mean):
    x, y = diagonal_pairs(5000, [2.0, 1.0, 0.5], [0.9, 0.3, 0.6], basis=rotation(3, 1))
    found, right = estimate(x + mean, y - mean), np.cov(x + mean, y - mean, rowvar=False)
    tolerance = 1e-13 if not mean else 1e-9  # rounding of the input itself: 1.5e-8
    np.testing.assert_allclose(found.sigma_xx, right[:3, :3], rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.sigma_yx, right[3:, :3], rtol=0, atol=tolerance)


@pytest.mark.parametrize(("most", "d"), [(4, 1), (16, 1), (16, 40), (6, 3)])
def test_unknown_lengths_give_more_than_half_of_the_groups_all_but_the_last_of_one_size(most, d):
    one = np.zeros((1, d))
    for n in range(max(3, d), 700, 13):
        groups = Groups(None, most, CPU)
        for _ in range(n):
            groups.add(one, one)
        groups.close()
        counts = [group.count for group in groups.groups]
        assert sum(counts) == n and len(set(counts[:-1])) <= 1 and counts[-1] <= counts[0]
        assert min(n, most // 2 + 1) <= len(counts) <= most


def test_memory_does_not_grow_with_the_number_of_rows():
    def stream(batches):
        rng = np.random.default_rng(0)
        for _ in range(batches):
            yield rng.standard_normal((2, 500, 30))

    peaks = []
    estimate(stream(10))
    for batches in (300, 1200):
        tracemalloc.start()
        found = estimate(stream(batches))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.count == 500 * batches
    assert peaks[1] < 1.1 * peaks[0]


# sources


def same(found, right, rtol=1e-10):
    assert found.count == right.count
    for name in ("lam", "rho", "sigma_squared", "explained"):
        np.testing.assert_allclose(getattr(found, name), getattr(right, name), rtol=rtol)
    np.testing.assert_allclose(found.directions, right.directions, rtol=0, atol=1e3 * rtol)


RNG = np.random.default_rng(5)
X = RNG.integers(0, 250, (700, 6)) // [1, 2, 3, 4, 5, 6]
Y = X // [2, 3, 4, 5, 6, 7] + RNG.integers(0, 20, X.shape)
WHOLE = estimate(X.astype(float), Y.astype(float))


def spread_out(array):
    wide = np.zeros((2 * len(array), 3 * array.shape[1]))
    wide[::2, ::3] = array
    return wide[::2, ::3]


@pytest.mark.parametrize(
    "change",
    [np.dtype(kind).type for kind in ("f4", "f8", "g", "u1", "u2", "i4", "i8", "u8")]
    + [
        lambda a: a.astype(">f8"),
        lambda a: a.astype(">i2"),
        lambda a: a.astype("f8", order="F"),
        lambda a: a.astype("f8")[::-1][::-1],
        spread_out,
        lambda a: a.reshape(-1, 3, 2),
        lambda a: np.asfortranarray(a.reshape(-1, 3, 2)),
        lambda a: a.reshape(-1, 1, 2, 3)[:, 0],
        lambda a: a.tolist(),
        lambda a: torch.tensor(a),
        lambda a: torch.tensor(a, dtype=torch.float32, requires_grad=True),
        lambda a: torch.tensor(a.T.copy()).T,
    ],
)
def test_arrays_of_all_types_and_layouts_give_the_same(change):
    same(estimate(change(X), change(Y)), WHOLE, 1e-13)


def test_half_precision_is_read_as_it_is():
    for kind in (torch.bfloat16, torch.float16):
        x, y = (torch.tensor(a, dtype=kind) for a in (X, Y))
        same(estimate(x, y), estimate(x.double(), y.double()), 1e-13)
    flags = X > X.mean(0)
    same(estimate(flags, Y), estimate(flags.astype(float), Y), 1e-13)


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_give_the_same_and_are_not_read_at_once(tmp_path, order):
    paths = tmp_path / "x.npy", str(tmp_path / "y.npy")
    for path, array in zip(paths, (X, Y), strict=True):
        np.save(path, np.asarray(array.reshape(-1, 2, 3), dtype="f4", order=order))
    same(estimate(*paths), WHOLE, 1e-13)
    same(estimate(np.load(paths[0], mmap_mode="r"), Y), WHOLE, 1e-13)
    assert isinstance(sources.Pairs(*paths).x.base, np.memmap)


def batches(sizes, change=np.asarray):
    start = 0
    while start < len(X):
        for size in sizes:
            if start < len(X):
                yield change(X[start : start + size]), change(Y[start : start + size])
            start += size


@pytest.mark.parametrize("sizes", [[1], [7, 3, 50], [700], [65, 1], [600, 100]])
@pytest.mark.parametrize("rows", [None, 64])
def test_batches_of_any_sizes_are_read_once_and_give_the_same(monkeypatch, sizes, rows):
    if rows:
        monkeypatch.setattr(sources, "block_rows", lambda width: rows)
    same(estimate(batches(sizes)), WHOLE)
    kinds = [np.float32, torch.tensor, lambda a: a.reshape(-1, 2, 3), np.ndarray.tolist]
    for change in kinds:
        same(estimate(batches(sizes, change)), WHOLE)


def test_blocks_from_batches_are_short_and_number_their_rows():
    blocks = list(sources.Batches(batches([5, 5000, 1])).blocks())
    rows = [row for row, *_ in blocks]
    assert rows == np.cumsum([0] + [len(x) for _, x, *_ in blocks])[:-1].tolist()
    big = np.zeros((50_000, 64))
    assert max(len(x) for _, x, *_ in sources.Batches([(big, big)]).blocks()) <= 1024


def test_batches_in_memory_that_is_used_again_give_the_same():
    held = np.empty((2, 10, 6))

    def stream():
        for start in range(0, len(X), 10):
            held[0], held[1] = X[start : start + 10], Y[start : start + 10]
            yield held[0], held[1]

    same(estimate(stream()), WHOLE)


def test_a_data_loader_gives_the_same():
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y, dtype=torch.float32))
    same(estimate(torch.utils.data.DataLoader(data, 33)), WHOLE)
    shuffled = estimate(torch.utils.data.DataLoader(data, 33, shuffle=True))  # other halves
    np.testing.assert_allclose(shuffled.sigma_yx, WHOLE.sigma_yx, rtol=1e-10)


def test_inputs_are_not_changed_and_may_be_read_only():
    x, y = X.astype(float), Y.astype(float)
    before = x.copy(), y.copy()
    x.flags.writeable = y.flags.writeable = False
    estimate(x, y)
    np.testing.assert_array_equal((x, y), before)


@pytest.mark.parametrize("change", [np.asarray, np.float32, np.uint16, lambda a: a.astype(">f4")])
def test_torch_s_arithmetic_gives_what_numpy_s_does(monkeypatch, change):
    """As on a GPU, but in torch's memory on the CPU."""
    monkeypatch.setattr(estimates, "backend", lambda device: backends._Torch(torch, "cpu"))
    x, y = change(X), change(Y)
    x.flags.writeable = False
    same(estimate(x, y), WHOLE)
    same(estimate(batches([7, 90])), WHOLE)
    intervals = (f.interval(f.rho_replicates) for f in (estimate(x, y), WHOLE))
    np.testing.assert_allclose(*intervals, rtol=1e-10)


# several processes, here threads


def by_threads(processes, *args, **kwargs):
    """What each of the processes returns or raises, and the shapes of their sums."""
    gate, parts, shapes = threading.Barrier(processes, timeout=60), {}, []

    def total(rank, array):
        parts[rank] = np.array(array)
        if gate.wait() == 0:
            shapes.append(np.shape(array))
        result = sum(parts[r] for r in range(processes))
        gate.wait()
        return result

    results = [None] * processes

    def work(rank):
        share = Share(rank, processes, lambda array: total(rank, array))
        try:
            views = [arg(rank) if callable(arg) else arg for arg in args]
            options = {name: v(rank) if callable(v) else v for name, v in kwargs.items()}
            results[rank] = estimate(*views, share=share, **options)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, shapes


@pytest.mark.parametrize("processes", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("rows", [700, 21])
def test_any_number_of_processes_gives_the_same_and_meets_in_one_large_sum(processes, rows):
    x, y = X[:rows], Y[:rows]
    results, shapes = by_threads(processes, x, y)
    right = estimate(x, y)
    for found in results:
        same(found, right, 1e-12)
        np.testing.assert_allclose(found.rho_replicates, right.rho_replicates, rtol=1e-9)
        np.testing.assert_array_equal(found.directions, results[0].directions)
    d = x.shape[1]
    large = [shape for shape in shapes if len(shape) != 2]
    assert large[0] == (2 * (2 * d * d + d) + processes * 64 * (5 + 2 * d),)
    assert large[1:] == [(2, d, d), (processes, 64, 2 * d)]


def test_processes_that_read_iterables_of_their_own_together_give_the_same():
    parts = np.array_split(X, 3), np.array_split(Y, 3)
    results, _ = by_threads(3, lambda rank: iter([(parts[0][rank], parts[1][rank])]))
    for found in results:  # from other halves
        same(found, results[0])
        np.testing.assert_allclose(found.sigma_yx, WHOLE.sigma_yx, rtol=1e-10)
        np.testing.assert_allclose(found.explained, WHOLE.explained, rtol=1e-10)


def test_a_bad_row_in_one_share_stops_all_processes_and_one_of_them_names_it():
    x = X.astype(float)
    x[650, 2] = np.nan
    results, shapes = by_threads(4, x, Y)
    kinds = [type(result) for result in results]
    assert kinds == [ElsewhereError] * 3 + [HereError]
    assert str(results[3]).startswith("x must be finite and below 1e+150, got nan in row 650, ")
    assert shapes == [(4, 1)]


def test_a_process_that_sees_other_data_stops_all():
    """No file, too few rows, other rows, other features: in one of three."""
    for views, told in (
        (lambda rank: "nowhere.npy" if rank == 1 else X, "nowhere.npy must be a file, but there "),
        (lambda rank: X[:5] if rank == 1 else X, "x and y must have the same number of rows"),
    ):
        results, _ = by_threads(3, views, Y)
        assert [type(result) for result in results] == [ElsewhereError, HereError, ElsewhereError]
        assert str(results[1]).startswith(told)
    cut = [X[:600], X[:600], X]
    results, _ = by_threads(3, lambda rank: cut[rank], lambda rank: Y[: len(cut[rank])])
    told = {str(result) for result in results}
    assert len(told) == 1 and told.pop().startswith("all processes must see the same x and y, got ")
    one = [iter([(X, Y)]), iter([(X, Y)]), iter([(X[:, 1:], Y[:, 1:])])]
    results, _ = by_threads(3, lambda rank: one[rank])
    assert len({str(result) for result in results}) == 1
    assert str(results[0]).startswith("all processes must see the same x and y, got ")
    results, _ = by_threads(2, X, Y, groups=lambda rank: 4 + 2 * rank)
    told = {str(result) for result in results}
    assert len(told) == 1 and "rows, 4 groups and " in told.pop()
    results, _ = by_threads(3, lambda rank: iter([(X, Y)] if rank else []))
    assert [type(result) for result in results] == [HereError, ElsewhereError, ElsewhereError]
    assert str(results[0]) == "x must yield at least one batch, got none"


def test_more_processes_than_groups_are_refused():
    results, _ = by_threads(6, X, Y, groups=4)
    told = {str(error) for error in results}
    assert told == {"groups must be at least 6, the number of processes, got 4"}


# sizes


def test_what_would_not_fit_in_memory_is_refused_before_it_is_asked_for(monkeypatch):
    """Of arrays before the first block, of batches at the first; with what is needed and free."""
    x = np.random.default_rng(0).standard_normal((300, 60))
    need = 8 * 60**2 * (2 * 64 + reading.MATRICES)  # the matrices alone
    rows = []
    add = moments.Sums.add
    monkeypatch.setattr(
        moments.Sums, "add", lambda self, x, y: rows.append(len(x)) or add(self, x, y)
    )
    for views in ((x, x + 1), (iter([(x, x)]),)):
        monkeypatch.setattr(_memory, "free", lambda: need)
        with pytest.raises(
            ValueError, match=r"^x must have so few features that .* GB of memory suf"
        ):
            estimate(*views, replicates=10)
    assert not rows
    monkeypatch.setattr(_memory, "free", lambda: 2 * need)
    estimate(x, x + np.random.default_rng(1).standard_normal(x.shape), groups=4, replicates=10)
    assert rows


@pytest.mark.parametrize("rows", [100, 20_002])
def test_wide_views_end_in_one_line_on_any_machine(tmp_path, rows):
    shape = rows, 20_000
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.int8, shape)  # a hole on the disk
    told = "must have at least 20002 rows" if rows == 100 else "must have so few features that"
    with pytest.raises(ValueError, match=rf"x.npy {told}"):
        estimate(tmp_path / "x.npy", tmp_path / "x.npy", groups=512)


def test_sums_that_grow_beyond_float64_are_refused():
    x = np.random.default_rng(0).standard_normal((400, 3))
    far = np.where(np.arange(400)[:, None] < 200, 0.0, 9e149) + x
    big = np.where(np.arange(400)[:, None] < 200, 0.0, 9e149) * np.ones((1, 3)) * x
    for view in (far, big):
        with pytest.raises(ValueError, match=r"^x "):
            estimate(np.concatenate([view] * 50), np.concatenate([view] * 50))


# features


def random_covariances(d, seed, commuting):
    rng = np.random.default_rng(seed)
    basis = rotation(d, seed)
    if commuting:
        return basis * rng.uniform(0.5, 2, d) @ basis.T, basis * rng.uniform(-1, 1, d) @ basis.T
    a = rng.standard_normal((d, 3 * d))
    return a @ a.T / (3 * d), rng.standard_normal((d, d)) / 2


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(0, 2**31))
def test_commuting_covariances_are_diagonalised_to_rounding(d, seed):
    sigma_xx, sigma_yx = random_covariances(d, seed, commuting=True)
    found = estimate_of_twins(*pairs_with(sigma_xx, sigma_yx))
    once = 119 / 118  # of 60 rows
    np.testing.assert_allclose(once * found.sigma_xx, sigma_xx, atol=1e-12)
    np.testing.assert_allclose(once * found.sigma_yx, sigma_yx, atol=1e-12)
    u = found.directions
    np.testing.assert_allclose(u.T @ u, np.eye(d), atol=1e-12)
    np.testing.assert_allclose(u.T @ sigma_xx @ u, np.diag(found.sigma_squared), atol=1e-9)
    np.testing.assert_allclose(u.T @ sigma_yx @ u, np.diag(found.lam), atol=1e-9)
    np.testing.assert_allclose(found.rho, found.lam / found.sigma_squared, rtol=1e-13)
    assert (np.diff(found.lam) <= 0).all()
    assert (u[np.abs(u).argmax(0), np.arange(d)] > 0).all()
    assert found.correlation < 1e-8


@pytest.mark.parametrize(
    ("sigma_squared", "lam"),
    [
        ([1.0, 1.0, 1.0, 1.0], [0.9, 0.5, 0.2, -0.1]),
        ([2.0, 1.5, 0.7, 0.4], [0.3, 0.3, 0.3, 0.3]),
        ([2.0, 2.0, 0.5, 0.5], [0.4, 0.1, 0.4, 0.1]),
        ([1.0, 2.0, 3.0, 4.0], [0.4, 0.3, 0.2, 0.1]),
        ([4.0, 3.0, 2.0, 1.0], [0.4, 0.3, 0.2, 0.1]),
        ([2.0, 1.0, 1.0, 0.5], [0.5, 0.3, 0.3, 0.1]),
    ],
)
def test_directions_diagonalise_both_covariances_also_where_eigenvalues_are_equal(
    sigma_squared, lam
):
    basis = rotation(4, 3)
    sigma_xx, sigma_yx = (basis * values @ basis.T for values in (sigma_squared, lam))
    found = estimate_of_twins(*pairs_with(sigma_xx, sigma_yx))
    for matrix in (sigma_xx, sigma_yx):
        mixed = found.directions.T @ matrix @ found.directions
        np.testing.assert_allclose(mixed, np.diag(np.diag(mixed)), atol=1e-9)
    right = sorted(zip(lam, sigma_squared, strict=True), reverse=True)
    np.testing.assert_allclose(found.lam, [lam for lam, _ in right], atol=1e-9)
    if len(set(lam)) == 4:
        np.testing.assert_allclose(found.sigma_squared, [s for _, s in right], atol=1e-9)


@pytest.mark.parametrize("d", [1, 7, 40])
@pytest.mark.parametrize("order", ["C", "F"])
def test_diagonals_from_half_a_product_are_those_of_two(d, order):
    rng = np.random.default_rng(d)
    directions = np.asarray(rotation(d, 0), order=order)
    matrix = rng.standard_normal((d, d))
    before = matrix.copy()
    for m, known in ((matrix, False), (matrix + matrix.T, False), (matrix + matrix.T, True)):
        expected = np.diag(directions.T @ m @ directions)
        np.testing.assert_allclose(CPU.along(directions, m, known), expected, atol=1e-12)
    np.testing.assert_array_equal(matrix, before)


def test_bases_turned_in_single_precision_are_orthonormal_and_differ_by_its_rounding(monkeypatch):
    x, y = diagonal_pairs(400, np.linspace(2, 0.5, 24), np.linspace(0.9, 0.4, 24))
    xx, yx = np.cov(x.T), y.T @ x / len(x)
    double, angle = basis.common_basis(xx, yx, CPU)
    monkeypatch.setattr(basis, "LARGE", 2)
    single, other = basis.common_basis(xx, yx, CPU)
    assert angle == other and single.dtype == np.float64
    np.testing.assert_allclose(single.T @ single, np.eye(24), atol=1e-12)
    np.testing.assert_allclose(single, double, atol=1e-4)
    assert not np.array_equal(single, double)


def test_noise_mixes_features_no_more_than_about_their_number_over_that_of_pairs():
    d, n = 30, 3000
    lam, rho = np.geomspace(2, 0.05, d), np.random.default_rng(1).uniform(0.1, 1, d)
    found = estimate(*diagonal_pairs(n, lam, rho, basis=rotation(d, 2)))
    assert abs(found.misalignment) < 2 * d / n
    assert found.correlation < 1.4 * n**-0.5


def adjusted(y, predictors):
    """Variance of the columns of y that least squares explains, adjusted."""
    n = len(y)
    design = np.column_stack([np.ones(n), predictors])
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    variance = y.var(0, ddof=1).sum()
    return variance - (rest**2).sum() / (n - design.shape[1]), variance


@pytest.mark.parametrize("commuting", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_explained_and_misalignment_are_what_least_squares_gives(commuting, seed):
    sigmas = random_covariances(5, seed, commuting)
    x, y = pairs_with(*sigmas, n=80, seed=seed)
    found = estimate(x + 3, y - 7)
    by_all, variance = adjusted(y, x)
    along_x, along_y = x @ found.directions, y @ found.directions
    alone = sum(adjusted(along_y[:, [i]], along_x[:, [i]])[0] for i in range(5))
    assert found.explained == pytest.approx(by_all / variance, rel=1e-10)
    assert found.misalignment == pytest.approx(1 - alone / by_all, abs=1e-10)
    assert commuting or found.misalignment > 0.1


def test_nothing_depends_on_a_rotation_of_both_views_or_on_their_means():
    x, y = pairs_with(*random_covariances(5, 4, commuting=False))
    turn, one = rotation(5, 9), estimate(x, y)
    for found in (estimate(x @ turn, y @ turn), estimate(x + 5, y - 3)):
        for name in ("lam", "rho", "sigma_squared", "explained", "misalignment", "correlation"):
            np.testing.assert_allclose(getattr(found, name), getattr(one, name), rtol=1e-8)
    np.testing.assert_allclose(one.directions, found.directions, atol=1e-8)


@pytest.mark.parametrize("a", [1.0, 1e-30, 1e20, 1e70])
@pytest.mark.parametrize("b", [1.0, 1e-30, 1e70])
def test_scales_of_the_views_scale_lam_and_rho_and_nothing_else(a, b):
    x, y = pairs_with(*random_covariances(3, 1, commuting=False))
    one, found = estimate(x, y), estimate(a * x, b * y)
    np.testing.assert_allclose(found.lam, a * b * one.lam, rtol=1e-9)
    np.testing.assert_allclose(found.rho, b / a * one.rho, rtol=1e-9)
    np.testing.assert_allclose(found.rho_replicates, b / a * one.rho_replicates, rtol=1e-8)
    for name in ("explained", "misalignment", "correlation"):
        assert getattr(found, name) == pytest.approx(getattr(one, name), rel=1e-8)


def test_the_generalised_problem_is_solved_with_falling_values_and_directions_of_length_one():
    sigma_xx, sigma_yx = random_covariances(6, 2, commuting=False)
    rho, v = estimate(*pairs_with(sigma_xx, sigma_yx)).generalised()
    symmetric = (sigma_yx + sigma_yx.T) / 2
    np.testing.assert_allclose(symmetric @ v, sigma_xx @ v * rho, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(v, axis=0), 1)
    right = np.sort(scipy.linalg.eigvals(np.linalg.solve(sigma_xx, symmetric)).real)[::-1]
    np.testing.assert_allclose(rho, right, atol=1e-9)


def test_crosstalk_is_mae_s_residual_between_a_feature_at_rest_and_a_small_one():
    found = estimate(*pairs_with(*random_covariances(4, 8, commuting=False)))
    c, a = (found.directions.T @ m @ found.directions for m in (found.sigma_yx, found.sigma_xx))
    crosstalk = found.crosstalk()
    assert (np.diag(crosstalk) == 0).all() and (np.diag(c) < 0).any()
    for i, j in permutations(range(4), 2):
        if c[j, j] <= 0:
            assert crosstalk[i, j] == np.inf
            continue
        learned = np.zeros(4)
        learned[i] = c[i, i] / a[i, i]
        residual = c - np.diag(learned) @ a
        assert abs(residual[i, i]) < 1e-12
        assert crosstalk[i, j] == pytest.approx(abs(residual[i, j]) / residual[j, j], rel=1e-9)


# intervals


LAM, RHO = np.array([1.5, 0.6, 0.2]), np.array([0.5, 0.9, 0.3])


def coverage(draw, repeats, **kwargs):
    """Shares of intervals, 95 %, that hold the true lam and rho along the directions found."""
    shares = []
    for repeat in range(repeats):
        found = estimate(*draw(repeat), replicates=200, **kwargs)
        shares += [
            recording.held(one, np.diag(LAM / RHO), np.diag(LAM))[:2]
            for one in (found, found.swapped)
        ]
    return np.mean(shares, axis=0)


@pytest.mark.parametrize(("d", "n", "repeats"), [(4, 16, 200), (16, 64, 40), (64, 256, 8)])
def test_intervals_hold_the_truth_along_directions_found_as_often_as_they_say(d, n, repeats):
    """Of lam, rho and differences of lam, in the hardest cells of the grid that is recorded."""
    assert (np.abs(recording.cell(d, n, repeats) - 0.95) < 0.025).all()


def test_values_on_the_rows_that_chose_the_directions_would_not_hold_it():
    """What the halves are for: with directions from all rows, 64 features, 2000 pairs."""
    truth = FeatureSpectrum(np.linspace(1, 0.6, 64), np.linspace(0.5, 0.9, 64))
    x, y = truth.sample(2000, 0, noise=0.3)
    found = estimate(x, y)
    all_rows, _ = basis.common_basis(found.sigma_xx, found.sigma_yx, CPU)
    px, py = ((view - view.mean(0)) @ all_rows for view in (x, y))
    groups = intervals.Groups(np.ones((2000, 1)), px**2, px * py, 1999)
    again = replace(found, directions=all_rows, groups=groups)
    lam, rho = groups.replicates(300, 0.95, 0)
    again = replace(again, lam_replicates=lam, rho_replicates=rho)
    xx, yx = truth.covariances()
    assert recording.held(again, xx, yx)[0] < 0.7 < 0.9 < recording.held(found, xx, yx)[0]


def test_of_independent_views_nothing_is_told_but_for_the_share_that_the_confidence_leaves():
    assert recording.nothing(16, 200, 50) <= 0.1
    found = estimate(*np.random.default_rng(0).standard_normal((2, 2000, 64)))
    for one in (found, found.swapped):
        predicted = spectrum.predict(one, depth=2, epsilon=0.001)
        assert all(len(predicted.order(o)) == 0 for o in (JEPA, MAE))
        assert predicted.disagreements == () and found.cautions == ()
        assert set(predicted.learned[JEPA]) <= {"cannot be told", "likely not", "surely not"}
    assert (found.overlap < 0.5).all()


def test_values_and_directions_come_from_different_rows():
    """A change of the rows held out changes no direction, one of the others no sum of values."""
    x, y = X.astype(float), Y.astype(float)
    blocks = np.arange(700) // moments.rows_of_a_group(6, 64, 700) % 2
    one, other = y.copy(), y.copy()
    one[blocks == 1] += x[blocks == 1] ** 2
    other[blocks == 0] += x[blocks == 0] ** 2
    np.testing.assert_array_equal(estimate(x, one).directions, WHOLE.directions)
    other, change = estimate(x, other), estimate(x, one)
    assert (change.lam != WHOLE.lam).all() and (other.directions != WHOLE.directions).any()
    np.testing.assert_array_equal(other.swapped.directions, WHOLE.swapped.directions)
    assert WHOLE.held_out + WHOLE.swapped.held_out == 700
    np.testing.assert_allclose(
        WHOLE.overlap, ((WHOLE.directions.T @ WHOLE.swapped.directions) ** 2).max(1)
    )


@pytest.mark.parametrize("level", [0.01, 0.05, 0.3])
def test_step_up_and_step_down_are_those_of_their_definitions(level):
    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 9):
        for values in rng.uniform(0, 0.2, (40, count)) * rng.uniform(0, 1, (40, 1)):
            ordered = np.sort(values)
            steps = [k for k in range(count) if ordered[k] > level / (count - k)]
            first = ordered[steps[0]] if steps else np.inf
            np.testing.assert_array_equal(intervals.holm(values, level), values < first)
            ks = [k for k in range(count) if ordered[k] <= level * (k + 1) / count]
            last = ordered[ks[-1]] if ks else -1.0
            np.testing.assert_array_equal(intervals.discovered(values, level), values <= last)


def test_evidence_is_what_a_regression_says_of_rows_that_are_groups():
    """Far from the threshold to digits that matter, and at it even."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 1))
    y = 0.5 * x + rng.standard_normal((400, 1))
    groups = intervals.Groups(np.ones((400, 1)), x * x, x * y, 400)
    rho = groups.values[1][0]
    at_most, at_least = groups.evidence(rho)
    assert at_most == at_least == 0.5
    below, above = groups.evidence(rho - 0.1)
    assert below + above == pytest.approx(1)
    error = np.sqrt(((y - rho * x) ** 2).sum() / 399 / (x**2).sum())
    assert stats.t.isf(below, groups.degrees) * error == pytest.approx(0.1, rel=0.15)
    ends = np.quantile(groups.replicates(10_000, 0.9, 0)[1], [0.05, 0.95])
    for end, side in zip(ends, (0, 1), strict=True):
        assert groups.evidence(end)[side] == pytest.approx(0.05, abs=0.01)


def test_clusters_make_intervals_hold_that_rows_alone_do_not():
    """Shuffled augmentations, of 100 images 20 each."""
    assert abs(recording.clusters(100, 20, 25) - 0.95).max() < 0.04
    assert recording.clusters(100, 20, 6, named=False).max() < 0.8


def test_clusters_give_the_same_from_arrays_files_batches_and_processes(tmp_path):
    labels = np.random.default_rng(0).permutation(700) // 10
    right = estimate(X, Y, clusters=labels)
    np.save(tmp_path / "labels.npy", labels)
    stream = [(X[i : i + 90], Y[i : i + 90], labels[i : i + 90]) for i in range(0, 700, 90)]
    order = np.random.default_rng(1).permutation(700)
    same(estimate(X, Y, clusters=tmp_path / "labels.npy"), right)
    same(estimate(X, Y, clusters=torch.tensor(5 * labels - 99)), right)  # names mean nothing
    same(estimate(stream), right)
    same(estimate(X[order], Y[order], clusters=labels[order]), right)
    for processes in (2, 3):
        for found in by_threads(processes, X, Y, clusters=labels)[0]:
            same(found, right)
        parts = [iter(stream[rank::processes]) for rank in range(processes)]
        for found in by_threads(processes, lambda rank, parts=parts: parts[rank])[0]:
            same(found, right)  # though clusters are torn between processes
    counts = right.groups.counts.sum() + right.swapped.groups.counts.sum()
    assert counts == 700 and (right.groups.counts % 10 == 0).all()


def test_without_means_taken_off_covariances_are_about_0():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((900, 3)) + np.array([3.0, 0.0, -1.0])
    y = x / 2 + rng.standard_normal((900, 3))
    found = estimate(x, y, centred=False)
    np.testing.assert_allclose(found.sigma_xx, x.T @ x / 900, rtol=1e-12)
    np.testing.assert_allclose(found.sigma_yx, y.T @ x / 900, rtol=1e-12)
    np.testing.assert_allclose(found.mean_x, x.mean(0), rtol=1e-12)
    for one in (found, found.swapped):
        low, high = one.interval(one.rho_replicates)
        assert (low < 0.53).all() and (high > 0.47).all()
    assert found.directions[0, 0] > 0.9 and found.lam[0] > 4.5
    for other in by_threads(3, x, y, centred=False)[0]:
        same(other, found)


def rows_that_follow(memory, n=4000):
    rng = np.random.default_rng(3)
    rows = scipy.signal.lfilter([1], [1, -np.exp(-1 / memory)], rng.standard_normal((n, 8)), axis=0)
    return rows[:, :4], rows[:, :4] + rows[:, 4:]


def drawn(kind, *parameters, shape=(2000, 8)):
    rng = np.random.default_rng(4)
    x, noise = (getattr(rng, kind)(*parameters, size=shape) for _ in range(2))
    return x, x + noise


@pytest.mark.parametrize(
    ("views", "told"),
    [
        (drawn("standard_t", 2.5), "tails"),
        (drawn("standard_t", 2.1, shape=(4000, 2)), "tails"),
        (drawn("standard_cauchy"), "tails"),
        (drawn("standard_normal"), ""),
        (drawn("standard_normal", shape=(299, 2)), "too few to notice heavy tails"),
        (drawn("standard_normal", shape=(300, 2)), ""),
        (drawn("laplace"), ""),
        (drawn("standard_exponential"), "means"),
        (drawn("uniform", -1, 1), ""),
        (drawn("uniform", 0, 1), "means"),
        (rows_that_follow(150), "hang together"),
        (rows_that_follow(5), ""),
        ([view + 0.02 for view in drawn("standard_normal")], ""),
    ],
)
def test_cautions_are_given_for_what_makes_the_answer_doubtful_and_for_nothing_else(views, told):
    told_of = estimate(*views).cautions
    assert len(told_of) == bool(told) and all(told in caution for caution in told_of), told_of


@pytest.mark.parametrize("scale", [1e-130, 1e70])
def test_cautions_do_not_depend_on_a_common_scale(scale):
    for kind, *parameters in (("standard_normal",), ("uniform", 0, 1), ("standard_t", 2.1)):
        views = drawn(kind, *parameters)
        told = [
            [
                caution.split()[:3]
                for caution in estimate(factor * views[0], factor * views[1]).cautions
            ]
            for factor in (1.0, scale)
        ]
        assert told[0] == told[1] and bool(told[0]) == (kind != "standard_normal")


def test_rows_named_as_belonging_together_and_means_kept_raise_no_caution():
    assert estimate(*rows_that_follow(150), clusters=np.arange(4000) // 200).cautions == ()
    assert estimate(*drawn("uniform", 0, 1), centred=False).cautions == ()


def test_a_start_near_the_size_that_counts_as_learned_is_told():
    """A small change of epsilon moves the last feature of JEPA to the first place."""
    found = some_spectrum([1, 0.9, 0.8, 0.02], [0.95, 0.9, 0.85, 0.3])
    before, after = (
        spectrum.predict(found, depth=2, epsilon=epsilon) for epsilon in (0.04, 0.0449)
    )
    assert before.order(JEPA)[-1] == after.order(JEPA)[0] == 3
    for predicted in (before, after):
        assert predicted.near(JEPA).tolist() == [3] and predicted.near(MAE).tolist() == []
        assert predicted.undisturbed(JEPA).tolist() == [0, 1, 2]
    size = 0.5 * 0.3**2
    assert before.growth[JEPA][3] == pytest.approx(size / 0.04)


def correlated_pairs(seed, n=4800, memory=0.9):
    """Each coordinate of x and of the noise remembers 0.9 of the row before."""
    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal((n, 6)) * np.sqrt(1 - memory**2)
    shocks[0] /= np.sqrt(1 - memory**2)
    rows = scipy.signal.lfilter([1], [1, -memory], shocks, axis=0)
    x = rows[:, :3] * np.sqrt(LAM / RHO)
    return x, RHO * x + 0.3 * rows[:, 3:]


def test_intervals_allow_for_correlation_between_rows_that_is_short_against_a_group():
    found = coverage(correlated_pairs, 50)
    assert found.min() > 0.9, found

    def shuffled(seed):
        order = np.random.default_rng(seed).permutation(4800)
        return tuple(view[order] for view in correlated_pairs(seed))

    assert coverage(shuffled, 20).mean() < 0.75


def test_intervals_widen_with_confidence_and_repeat_with_the_seed():
    narrow, wide = (estimate(X, Y, confidence=c, replicates=500) for c in (0.5, 0.99))
    widths = [np.ptp(f.interval(f.lam_replicates), axis=0) for f in (narrow, wide)]
    assert (widths[1] > 2 * widths[0]).all()
    again = estimate(X, Y, confidence=0.5, replicates=500)
    np.testing.assert_array_equal(again.lam_replicates, narrow.lam_replicates)
    other = estimate(X, Y, confidence=0.5, replicates=500, seed=1)
    assert (other.lam_replicates != narrow.lam_replicates).any()
    np.testing.assert_array_equal(other.lam, narrow.lam)


def test_a_feature_that_varies_in_one_row_only_has_no_interval_but_warns_of_nothing():
    x, y = np.zeros((400, 1)), np.arange(400.0)[:, None]
    x[377] = 20
    found = estimate(x, y)
    for one in (found, found.swapped):
        assert np.isnan(one.interval(one.rho_replicates)).all()
        predicted = spectrum.predict(one, depth=2, epsilon=1e-3)
        assert predicted.order(JEPA).tolist() == []
        assert predicted.learned[JEPA].tolist() == ["cannot be told"]


@pytest.mark.parametrize("n", [8, 9, 15, 17, 31, 33, 65, 129])
@pytest.mark.parametrize("stream", [False, True])
def test_few_pairs_are_enough_if_they_exceed_the_features_by_two(n, stream):
    d = min(n - 2, 6)
    x, y = X[:n, :d], Y[:n, :d]
    found = estimate([(x, y)]) if stream else estimate(x, y)
    right = np.cov(x, y, rowvar=False)
    np.testing.assert_allclose(found.sigma_xx, right[:d, :d], rtol=1e-12)
    np.testing.assert_allclose(found.sigma_yx, right[d:, :d], rtol=1e-11)
    assert found.lam_replicates.shape == (50, d) and found.held_out in (n // 2, n // 2 - 1)
    spectrum.predict(found, depth=3, epsilon=1e-3)


# predictions


def some_spectrum(lam, rho, spread=0.0, seed=0, replicates=40):
    """Diagonal, sorted as given; told apart from nothing if there is no spread."""
    lam, rho = np.asarray(lam, float), np.asarray(rho, float)
    rng, d = np.random.default_rng(seed), len(lam)
    lams, rhos = (v * (1 + spread * rng.standard_normal((replicates, d))) for v in (lam, rho))
    variance, sums = lam / rho, np.ones((30, 1))
    groups = intervals.Groups(sums, sums * variance, sums * lam, 30)
    nothing = np.zeros(d)
    return spectrum.Spectrum(
        60, 30, lam, rho, variance, np.eye(d), np.diag(variance), np.diag(lam), nothing, nothing,
        True, groups, lams, rhos, 0.95, 0.5, 0.0,
    )  # fmt: skip


FEATURES = st.lists(
    st.tuples(st.sampled_from([-0.3, 0.01, 0.5, 0.8, 1.0, 2.0]), st.floats(0.05, 2)),
    min_size=1,
    max_size=7,
)


@settings(max_examples=40)
@given(FEATURES, st.integers(1, 6), st.sampled_from([1e-6, 1e-3, 0.1, 3.0]), st.floats(0.1, 0.9))
def test_times_orders_and_conflicts_are_those_of_brute_force(features, depth, epsilon, fraction):
    lam, rho = np.array(features).T
    rho = np.copysign(rho, lam)
    found = some_spectrum(lam, rho, spread=0.4)
    predicted = spectrum.predict(found, depth=depth, epsilon=epsilon, fraction=fraction)

    def times(objective, lam, rho):
        result = []
        for one, r in zip(lam, rho, strict=True):
            size = dynamics.fixed_point(objective, r, depth=depth) if r > 0 else 0
            if one > 0 and epsilon < fraction * size:
                result.append(
                    critical_time.exact(
                        objective, one, r, depth=depth, epsilon=epsilon, fraction=fraction
                    )
                )
            else:
                result.append(np.inf)
        return np.array(result)

    right = {o: times(o, lam, rho) for o in (JEPA, MAE)}
    for objective in (JEPA, MAE):
        np.testing.assert_array_equal(predicted.times[objective], right[objective])
        learned = sorted((t, i) for i, t in enumerate(right[objective].tolist()) if np.isfinite(t))
        assert predicted.order(objective).tolist() == [i for _, i in learned]
        ranks = [0] * len(lam)
        for place, (_, i) in enumerate(learned, start=1):
            ranks[i] = place
        assert predicted.ranks(objective).tolist() == ranks
    again = [
        tuple(times(o, *one) for o in (JEPA, MAE))
        for one in zip(found.lam_replicates, found.rho_replicates, strict=True)
    ]
    conflicts = {}
    for i, j in permutations(range(len(lam)), 2):
        if right[JEPA][i] < right[JEPA][j] and right[MAE][j] < right[MAE][i]:
            same = [a[i] < a[j] and b[j] < b[i] for a, b in again]
            conflicts[i, j] = np.mean(same)
    told = {(pair.jepa_first, pair.mae_first): pair.certainty for pair in predicted.disagreements}
    assert told == pytest.approx(conflicts)
    certainties = [pair.certainty for pair in predicted.disagreements]
    assert certainties == sorted(certainties, reverse=True)


def test_features_reach_the_fraction_of_their_final_size_at_their_time():
    found = some_spectrum(LAM, RHO)
    predicted = spectrum.predict(found, depth=3, epsilon=1e-3, fraction=0.4)
    for objective in (JEPA, MAE):
        at = dynamics.trajectory(
            objective, predicted.times[objective], LAM, RHO, depth=3, epsilon=1e-3
        )
        np.testing.assert_allclose(
            at, 0.4 * dynamics.fixed_point(objective, RHO, depth=3), rtol=1e-10
        )


def test_features_without_covariance_or_too_small_at_their_end_are_never_learned():
    found = some_spectrum([1.0, 1.0, 1.0, -0.5], [0.9, 0.2, 0.1, -0.5])
    predicted = spectrum.predict(found, depth=3, epsilon=0.02)
    # final sizes 0.73, 0.008, 0.001 with JEPA, 0.92, 0.30, 0.18 with MAE
    assert predicted.order(JEPA).tolist() == [0] and predicted.order(MAE).tolist() == [2, 1, 0]
    assert predicted.ranks(JEPA).tolist() == [1, 0, 0, 0]
    assert np.isinf(predicted.times[JEPA][1:]).all() and np.isinf(predicted.times[MAE][3])
    found = {(pair.jepa_first, pair.mae_first) for pair in predicted.disagreements}
    assert found == {(0, 1), (0, 2)}


def test_a_feature_that_jepa_learns_first_and_mae_last_is_among_the_pairs_that_are_compared():
    count = 2 * prediction.MOST_COMPARED
    lam, rho = np.linspace(2, 1, count), np.full(count, 0.5)
    lam[-1], rho[-1] = 0.99, 2.0
    found = some_spectrum(lam, rho)
    predicted = spectrum.predict(found, depth=4, epsilon=0.02)
    assert predicted.order(JEPA)[0] == count - 1
    predicted_pairs = {(p.jepa_first, p.mae_first) for p in predicted.disagreements}
    assert predicted.order(MAE)[-1] == count - 1 and (count - 1, 0) in predicted_pairs
    assert len({i for pair in predicted_pairs for i in pair}) <= prediction.MOST_COMPARED


def test_replicates_without_a_value_count_as_never_learned():
    lam, rho = [1.0, 0.6], [0.3, 0.9]
    found = some_spectrum(lam, rho)
    (pair,) = spectrum.predict(found, depth=4, epsilon=1e-3).disagreements
    assert (pair.jepa_first, pair.mae_first, pair.certainty) == (1, 0, 1.0)
    half = found.rho_replicates.copy()
    half[::2, 1] = np.nan
    (pair,) = spectrum.predict(
        replace(found, rho_replicates=half), depth=4, epsilon=1e-3
    ).disagreements
    assert (pair.jepa_first, pair.mae_first, pair.certainty) == (1, 0, 0.5)


def test_pull_is_the_largest_crosstalk_from_features_that_grow_before():
    found = estimate(*pairs_with(*random_covariances(5, 11, commuting=False)))
    predicted = spectrum.predict(found, depth=2, epsilon=1e-3)
    crosstalk = found.crosstalk()
    for objective in (JEPA, MAE):
        times, pull = predicted.times[objective], predicted.pull[objective]
        for j in range(5):
            if np.isinf(times[j]):
                assert pull[j] == np.inf
                continue
            earlier = [0.0]
            for i in set(range(5)) - {j}:
                size = (
                    dynamics.fixed_point(objective, found.rho[i], depth=2)
                    if found.rho[i] > 0
                    else 0
                )
                small = np.isinf(times[i]) and size > 1e-3
                if times[i] < times[j] or small:
                    scale = size / 1e-3 if objective is JEPA else 1.0
                    earlier.append(scale * crosstalk[i, j])
            assert pull[j] == pytest.approx(max(earlier), rel=1e-12)
        order = predicted.order(objective)
        weak = [j for j in order if pull[j] < 0.1 and j not in predicted.near(objective)]
        assert predicted.undisturbed(objective).tolist() == weak


@pytest.mark.parametrize("scale", [1e-60, 1e60])
def test_predictions_of_extreme_scales_warn_of_nothing(scale):
    x, y = diagonal_pairs(100, LAM, RHO)
    predicted = spectrum.predict(estimate(x, scale * y), depth=10, epsilon=1e-3)
    learned = [np.isfinite(predicted.times[o]).all() for o in (JEPA, MAE)]
    assert learned == [scale > 1] * 2


# bad input


def broken(value, row=13, column=2):
    x = X.astype(float)
    x[row, column] = value
    return x


CONSTANT = X * [1.0, 0.0, 1.0, 0.0, 1.0, 1.0] + 0.1
LARGE = broken(np.resize([-9e149, 9e149], 700), slice(None))
BATCHES = "x must yield batches that are pairs (x, y) or triples (x, y, clusters)"
DEPENDENT = np.column_stack([X[:, :5], X[:, :5] @ [1.0, -2.0, 0.5, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("x", "y", "start"),
    [
        (X, Y[:-1], "x and y must have the same number of rows, one pair each, got 700 and 699"),
        (X, Y[:, :4], "x and y must have as many features as each other, got 6 and 4"),
        (broken(np.nan), Y, "x must be finite and below 1e+150, got nan in row 13, feature 2: "),
        (X, broken(np.inf), "y must be finite and below 1e+150, got inf in row 13, feature 2: "),
        (broken(-np.inf, 699), Y, "x must be finite and below 1e+150, got -inf in row 699, "),
        (broken(1e200), Y, "x must be finite and below 1e+150, got 1e+200 in row 13, feature 2"),
        (X, -broken(1e200), "y must be finite and below 1e+150, got -1e+200 in row 13, feature 2"),
        (LARGE, Y, "x and y must be so small that sums of squares fit in float64: scale them down"),
        (CONSTANT, Y, "x must vary in every feature, got constant feature 1 and 1 more: "),
        (X, CONSTANT[:, [0, 2, 4, 5, 0, 1]], "y must vary in every feature, got constant feature"),
        (1e-170 * X, Y, "x must vary in every feature, got constant feature 0 and 5 more, 0 or so"),
        (X, CONSTANT + 1e8, "y must vary in every feature, got constant feature 1 and 1 more"),
        (DEPENDENT, Y, "x must have linearly independent features, got feature 5 that those"),
        (DEPENDENT * 1e-9, Y, "x must have linearly independent features, got feature 5 that"),
        (X[:, [0, 1, 0, 3, 4, 5]], Y, "x must have linearly independent features, got feature 2"),
        (X[:7], Y[:7], "x must have at least 8 rows for 6 features, got 7: collect more pairs"),
        (X[:1], Y[:1], "x must have at least 8 rows for 6 features, got 1"),
        (X[:0], Y[:0], "x must have rows and features, got shape (0, 6)"),
        (X[:, :0], Y[:, :0], "x must have rows and features, got shape (700, 0)"),
        (np.float64(3), Y, "x must have rows and features, got shape ()"),
        (X.astype(object), Y, "x must be real numbers, got an array of object"),
        (X, Y * 1j, "y must be real numbers, got an array of complex128"),
        (X.astype(str), Y, "x must be real numbers, got an array of <U"),
        ([[1.0, 2.0], [3.0]], Y, "x must be real numbers, got ["),
        (torch.tensor(X) * 1j, Y, "x must be real numbers, got "),
        (X, None, "y must be given where x is not an iterable of batches, got ndarray(700, 6)"),
        (3, None, "y must be given where x is not an iterable of batches, got int()"),
        ("x.npy", None, "y must be given where x is not an iterable of batches, got str()"),
        ([], None, "x must yield at least one batch, got none"),
        ([X], None, f"{BATCHES}, got ndarray as batch 0"),
        ([(X, Y), 3], None, f"{BATCHES}, got int as batch 1"),
        ([(X, Y), (X, Y[1:])], None, "x and y of batch 1 must have the same number of rows, got"),
        ([(X, Y[:, 1:])], None, "x of batch 0 and y of batch 0 must have as many features as"),
        ([(X, Y), (X[:, 1:], Y[:, 1:])], None, "batch 1 must have 6 features, got 5"),
        ([(X, Y), (X[:0], Y[:0])], None, "x of batch 1 must have rows and features, got shape"),
        ([(X, Y, X)], None, "clusters of batch 0 must be one integer for each of 700 rows, got"),
        ([(X, Y), (X, Y, X[:, 0])], None, "batch 1 must name clusters if and only if batch 0"),
        ([{"x": X, "y": Y}], None, "x of batch 0 must be real numbers, got "),
        ([(X, Y)] * 3 + [(X, broken(np.nan))], None, "y must be finite and below 1e+150, got nan "
         "in row 2113, feature 2: "),
    ],
)  # fmt: skip
def test_bad_views_are_refused_in_one_line_that_says_what_and_where(x, y, start):
    with pytest.raises(ValueError) as caught:
        estimate(x, y)
    message = str(caught.value)
    assert message.startswith(start) and "\n" not in message


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"clusters": [1, 2]}, "clusters must be one integer for each of 700 rows, got shape (2,)"),
        ({"clusters": np.ones(700)}, "clusters must be real numbers, got an array of float64"),
        ({"clusters": np.ones(700, int)}, "clusters must fall into 8 groups at least, got 1: "),
        ({"centred": 1}, "centred must be True or False, got 1"),
        ({"groups": 3}, "groups must be an integer >= 4, got 3"),
        ({"groups": 7}, "groups must be even, got 7"),
        ({"groups": 8.0}, "groups must be an integer >= 4, got 8.0"),
        ({"replicates": 0}, "replicates must be an integer >= 1, got 0"),
        ({"confidence": 1}, "confidence must lie in (0, 1), got 1.0"),
        ({"confidence": [0.5]}, "confidence must be one number, got shape (1,)"),
        ({"seed": -1}, "seed must be an integer >= 0, got -1"),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda, got 'gpu'"),
    ],
)
def test_bad_settings_are_refused_in_one_line(change, start):
    with pytest.raises(ValueError) as caught:
        estimate(X, Y, **change)
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(
        ValueError, match=r"^device must be 'cpu' or 'auto' where torch sees no GPU"
    ):
        estimate(X, Y, device="cuda")


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"depth": 0}, "depth must be an integer >= 1, got 0"),
        ({"epsilon": 0.0}, "epsilon must be positive and finite, got 0.0"),
        ({"epsilon": np.nan}, "epsilon must not be NaN, got nan"),
        ({"epsilon": [0.1, 0.2]}, "epsilon must be one number, got shape (2,)"),
        ({"fraction": 1.0}, "fraction must lie in (0, 1), got 1.0"),
    ],
)
def test_bad_arguments_of_a_prediction_are_refused_in_one_line(change, start):
    with pytest.raises(ValueError) as caught:
        spectrum.predict(WHOLE, **({"depth": 2, "epsilon": 0.1} | change))
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)


def test_errors_of_an_iterable_pass_through_as_they_are():
    def stream():
        yield X, Y
        raise OSError("the network is gone")

    with pytest.raises(OSError, match=r"^the network is gone$"):
        estimate(stream())


# what must be installed


def test_estimates_and_predictions_need_neither_torch_nor_matplotlib():
    program = (
        "import sys\n"
        "import importlib.abc\n"
        "class Blocker(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'matplotlib', 'pandas', 'sympy', 'flint'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "import numpy as np\n"
        "from jepabook import spectrum\n"
        "x = np.random.default_rng(0).standard_normal((500, 3)) * [3, 2, 1]\n"
        "found = spectrum.estimate(x, x / 2, device='cpu')\n"
        "predicted = spectrum.predict(found, depth=2, epsilon=1e-3)\n"
        "print(np.round(found.rho, 9).tolist(), spectrum.table(found, predicted).count('\\n'))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.strip() == "[0.5, 0.5, 0.5] 4", told.stdout + told.stderr


def test_views_so_small_that_their_squares_lose_digits_are_refused():
    x = np.random.default_rng(0).standard_normal((40, 2)) * 1e-160
    with pytest.raises(ValueError, match=r"^x must have sums of squares of at least 1e-290"):
        spectrum.estimate(x, x, groups=4, replicates=4, device="cpu", progress=False)
