"""Pixel PCA in one pass against NumPy's covariance and eigh, and the split counted by hand."""

from fractions import Fraction

import numpy as np
import psutil
import pytest
import scipy.linalg
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jepabook._support import memory
from jepabook.spectrum import backend as backends
from jepabook.vision import subspaces
from jepabook.vision.subspaces import fit, project


def pictures(n, size, seed, steepness=1.0):
    """Random pictures whose spectrum falls as a power; flat for steepness 0."""
    rng, d = np.random.default_rng(seed), 3 * size**2
    spread = np.arange(1, d + 1.0) ** -steepness
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    rows = (rng.standard_normal((n, d)) * spread) @ basis.T
    level = rng.uniform(90, 160, d)
    pixels = level + 30 * rows / np.sqrt((rows**2).mean())
    return pixels.clip(0, 255).astype(np.uint8).reshape(n, size, size, 3)


def flat(pixels):
    """Rows (n, d) in [0, 1]."""
    return np.asarray(pixels).reshape(len(pixels), -1) / 255


def reference(pixels, bottom):
    """Rising eigenvalues, vectors, and which of them are the bottom: summed from the smallest."""
    values, vectors = np.linalg.eigh(np.cov(flat(pixels), rowvar=False))
    return values, vectors, np.cumsum(values) / values.sum() <= bottom


def projector(directions):
    return directions @ directions.T


def pairs(*variances):
    """Pictures of one pixel with channels uncorrelated: +-a about 128 for each a of a channel."""
    steps = [(channel, a) for channel, each in enumerate(variances) for a in each]
    rows = np.full((2 * len(steps), 3), 128)
    for number, (channel, a) in enumerate(steps):
        rows[2 * number : 2 * number + 2, channel] += a, -a
    return rows.astype(np.uint8).reshape(-1, 1, 1, 3)


def same(a, b, tolerance=1e-10):
    assert len(a.variances) == len(b.variances) and (a.size, a.share) == (b.size, b.share)
    np.testing.assert_allclose(a.mean, b.mean, rtol=0, atol=tolerance)
    np.testing.assert_allclose(a.variances, b.variances, rtol=0, atol=tolerance * a.total)
    np.testing.assert_allclose(a.total, b.total, rtol=tolerance)
    assert np.abs(projector(a.directions) - projector(b.directions)).max() < 1e3 * tolerance


# fit


@settings(max_examples=60)
@given(
    st.integers(1, 5),
    st.integers(2, 90),
    st.floats(0.01, 0.99),
    st.floats(0, 2),
    st.integers(0, 10**6),
)
def test_the_top_is_all_but_numpys_smallest_components_within_the_share(
    size, n, bottom, steepness, seed
):
    pixels = pictures(n, size, seed, steepness)
    assume(np.ptp(pixels, axis=0).any())
    values, _, low = reference(pixels, bottom)
    found = fit(pixels, bottom, "cpu")
    k = np.count_nonzero(~low)
    assert found.size == size and found.share == bottom
    assert found.mean.shape == (3 * size**2,) and found.directions.shape == (3 * size**2, k)
    np.testing.assert_allclose(found.mean, flat(pixels).mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.total, values.sum(), rtol=1e-12)
    np.testing.assert_allclose(found.variances, values[::-1][:k], atol=1e-12 * values.sum())
    assert np.abs(found.directions.T @ found.directions - np.eye(k)).max() < 1e-12
    residual = np.cov(flat(pixels), rowvar=False).reshape(len(low), -1) @ found.directions
    assert np.abs(residual - found.directions * found.variances).max() < 1e-12 * values.sum()
    largest = np.abs(found.directions).argmax(0)
    assert (found.directions[largest, np.arange(k)] > 0).all()


@pytest.mark.parametrize(
    "channels, k",
    [
        (([10, 10, 10], [10], []), 1),  # the smaller one's share is 25 %: still the bottom
        (([10, 10, 10], [11], []), 2),  # 29 %, straddles: the top
        (([20], [10, 10], [10, 10]), 2),  # 25 % within, 50 % not
        (([10], [10], [10]), 3),  # the first from below reaches 33 %
        (([30], [2], [1]), 1),
        (([], [], [7]), 1),  # nothing but the component that reaches 100 %
    ],
)
def test_the_component_that_straddles_the_share_belongs_to_the_top(channels, k):
    found = fit(pairs(*channels), 0.25, "cpu")
    powers = sorted((2 * sum(a * a for a in each) for each in channels), reverse=True)
    count = 2 * sum(len(each) for each in channels)
    assert len(found.variances) == k
    if k < 3:
        np.testing.assert_allclose(found.variances, np.array(powers[:k]) / 255**2 / (count - 1))


@given(
    st.lists(st.lists(st.integers(1, 100), max_size=3), min_size=3, max_size=3).filter(any),
    st.integers(1, 15),
)
def test_the_split_is_that_of_exact_fractions_also_on_the_edge(channels, sixteenths):
    powers = sorted(2 * sum(a * a for a in each) for each in channels)
    shares = [Fraction(sum(powers[: i + 1]), sum(powers)) for i in range(3)]
    top = sum(share > Fraction(sixteenths, 16) for share in shares)
    assert len(fit(pairs(*channels), sixteenths / 16, "cpu").variances) == top


@pytest.mark.parametrize("size", [1, 11])
def test_a_share_too_small_for_any_component_leaves_all_of_them_to_the_top(size):
    assert len(fit(pictures(400, size, 0), 1e-300, "cpu").variances) == 3 * size**2


@given(st.integers(2, 5), st.floats(0.05, 0.9), st.integers(0, 10**6))
def test_the_top_explains_what_is_asked_and_no_component_of_it_is_too_many(size, bottom, seed):
    found = fit(pictures(60, size, seed), bottom, "cpu")
    sums = np.cumsum(found.variances) / found.total
    assert sums[-1] >= 1 - bottom - 1e-12
    assert len(sums) == 1 or sums[-2] < 1 - bottom


@pytest.mark.parametrize("block", [1, 7, 60, 1000])
def test_the_size_of_blocks_does_not_matter(block):
    pixels = pictures(150, 4, 1)
    pixels[40:] //= 2  # far from the first block's mean
    same(fit(pixels, device="cpu", block=block), fit(pixels, device="cpu"), 1e-12)


def test_a_memory_mapped_file_gives_what_its_array_gives(tmp_path):
    pixels = pictures(50, 4, 2)
    np.save(tmp_path / "pixels.npy", pixels)
    there = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    found = fit(there, device="cpu", block=16)
    same(found, fit(pixels, device="cpu"), 1e-12)
    shown = project(found, there, "bottom", block=16)
    assert torch.equal(shown, project(found, pixels, "bottom", block=16))


@pytest.fixture
def solvers(monkeypatch):
    """Which solvers ran."""
    ran = []

    def watch(module, name):
        solver = getattr(module, name)

        def noted(*args, **kwargs):
            ran.append(name)
            return solver(*args, **kwargs)

        monkeypatch.setattr(module, name, noted)

    watch(subspaces, "eigsh")
    watch(scipy.linalg, "eigh")
    return ran


@pytest.mark.parametrize("bottom, lanczos", [(0.25, 1), (0.04, 2)])
def test_lanczos_method_and_the_full_decomposition_agree(solvers, monkeypatch, bottom, lanczos):
    pixels = pictures(500, 14, 3, 0.85)
    short = fit(pixels, bottom, "cpu")
    assert solvers == ["eigsh"] * lanczos
    again = fit(pixels, bottom, "cpu")
    assert np.array_equal(short.directions, again.directions)
    solvers.clear()
    monkeypatch.setattr(subspaces, "MOST", 0)
    full = fit(pixels, bottom, "cpu")
    assert solvers == ["eigh"]
    same(short, full, 1e-12)
    assert np.abs(short.directions - full.directions).max() < 1e-9
    assert len(short.variances) == np.count_nonzero(~reference(pixels, bottom)[2])


def test_a_flat_spectrum_goes_to_the_full_decomposition_at_once(solvers):
    pixels = np.random.default_rng(4).integers(0, 256, (400, 12, 12, 3), dtype=np.uint8)
    found = fit(pixels, device="cpu")
    assert solvers == ["eigh"]
    assert len(found.variances) == np.count_nonzero(~reference(pixels, 0.25)[2]) > 100


def test_lanczos_method_gives_up_for_the_full_decomposition(solvers, monkeypatch):
    pixels = pictures(500, 12, 5, 0.8)
    expected = fit(pixels, 0.04, "cpu")
    # 59 are needed, and 54 at most are looked for
    assert solvers[0] == "eigsh" and solvers[-1] == "eigh"

    def never(*args, **kwargs):
        raise subspaces.ArpackNoConvergence("", np.empty(0), np.empty((0, 0)))

    def nothing(matrix, count, **kwargs):
        return np.zeros(count), np.zeros((len(matrix), count))

    for solver in (never, nothing):
        monkeypatch.setattr(subspaces, "eigsh", solver)
        same(fit(pixels, 0.04, "cpu"), expected)


@pytest.mark.parametrize("n", [2, 3, 20])
def test_fewer_images_than_lanczos_methods_vectors_are_welcome(solvers, n):
    pixels = pictures(n, 12, 6, 0.5)
    found = fit(pixels, device="cpu")
    values, _, low = reference(pixels, 0.25)
    k = np.count_nonzero(~low)
    assert solvers == ["eigsh"] and len(found.variances) == k
    np.testing.assert_allclose(found.variances, values[::-1][:k], rtol=1e-10)
    # a share within rounding: the components that vary, and any of those that do not
    every = fit(pixels, 1e-300, "cpu").variances
    assert len(every) >= n - 1
    np.testing.assert_allclose(every, values[::-1][: len(every)], atol=1e-12 * values.sum())


# project


@given(st.integers(1, 5), st.floats(0.05, 0.9), st.integers(0, 10**6), st.integers(1, 20))
def test_top_and_bottom_are_numpys_projections_and_add_up(size, bottom, seed, block):
    pixels = pictures(40, size, seed)
    found, rows = fit(pixels, bottom, "cpu"), flat(pixels)
    _, vectors, low = reference(pixels, bottom)
    mean = rows.mean(0)
    shown = {which: project(found, pixels, which, block) for which in subspaces.WHICH}
    right = {"full": slice(None), "top": ~low, "bottom": low}
    for which, part in right.items():
        assert shown[which].dtype == torch.float32 and shown[which].shape == pixels.shape
        expected = mean + (rows - mean) @ projector(vectors[:, part])
        assert np.abs(flat(shown[which] * 255) - expected).max() < 1e-5
    whole = shown["top"] + shown["bottom"] - torch.tensor(mean).reshape(1, size, size, 3)
    assert (whole - shown["full"]).abs().max() < 1e-5


def test_projections_of_the_images_have_their_shares_of_the_variance_and_are_not_clipped():
    pixels = pictures(300, 6, 7)
    found = fit(pixels, device="cpu")
    variance = {
        which: float(project(found, pixels, which).double().flatten(1).var(0).sum())
        for which in subspaces.WHICH
    }
    assert variance["full"] == pytest.approx(found.total, rel=1e-5)
    assert variance["top"] == pytest.approx(found.variances.sum(), rel=1e-5)
    assert variance["bottom"] == pytest.approx(found.total - found.variances.sum(), rel=1e-5)
    extreme = np.zeros((1, 6, 6, 3), np.uint8)
    extreme[:, ::2] = 255
    assert project(found, extreme, "bottom").min() < 0
    assert project(found, extreme, "bottom").max() > 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_float_pixels_and_tensors_are_welcome(dtype):
    pixels = pictures(20, 4, 8)
    found = fit(pixels, device="cpu")
    before = pixels.copy()
    tolerance = 2e-3 if dtype == torch.float16 else 1e-6
    for which in subspaces.WHICH:
        shown = project(found, torch.tensor(pixels), which)
        floats = (torch.tensor(pixels).double() / 255).to(dtype)
        kept = floats.clone()
        assert (project(found, floats, which) - shown).abs().max() < tolerance
        assert torch.equal(project(found, pixels, which), shown)
        assert torch.equal(floats, kept) and np.array_equal(pixels, before)
    assert project(found, pixels[:0], "top").shape == (0, 4, 4, 3)


# devices and memory


def test_torchs_arithmetic_gives_what_numpys_gives(monkeypatch):
    pixels = pictures(200, 5, 9)
    expected = fit(pixels, device="cpu")
    monkeypatch.setattr(subspaces, "backend", lambda device: backends._Torch(torch, "cpu"))
    found = fit(pixels, block=64)
    same(found, expected, 1e-12)
    assert isinstance(found.directions, np.ndarray) and isinstance(found.mean, np.ndarray)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_what_the_cpu_gives():
    pixels = pictures(300, 12, 10)
    found = fit(pixels, device="cuda")
    same(found, fit(pixels, device="cpu"))
    for which in subspaces.WHICH:
        shown = project(found, torch.tensor(pixels, device="cuda"), which)
        assert shown.is_cuda
        assert (shown.cpu() - project(found, pixels, which)).abs().max() < 1e-4


def test_too_little_memory_is_told_before_anything_is_read(monkeypatch):
    pixels = pictures(30, 4, 11)
    need = 8 * 48 * (10 + 3 * 48)
    monkeypatch.setattr(memory, "free", lambda: need)
    fit(pixels, device="cpu", block=10)
    monkeypatch.setattr(memory, "free", lambda: need - 1)
    monkeypatch.setattr(subspaces, "Gram", None)
    with pytest.raises(ValueError, match=r"^pixels must .* 4 a side need 0\.00 GB, got 0\.00 GB"):
        fit(pixels, device="cpu", block=10)
    monkeypatch.setattr(memory, "free", lambda: 10**9)
    large = np.broadcast_to(np.uint8(0), (5, 64, 64, 3))
    with pytest.raises(ValueError, match=r"64 a side need 3\.62 GB, got 1\.00 GB") as caught:
        fit(large, device="cpu")
    assert "\n" not in str(caught.value)


def test_free_memory_is_known_also_where_the_system_tells_only_all_of_it(monkeypatch):
    free = memory.free()
    assert 0.5 < free / psutil.virtual_memory().available < 2

    def nothing(path, **kwargs):
        raise FileNotFoundError(path)

    monkeypatch.setattr(memory.Path, "read_text", nothing)
    assert free < memory.free() == pytest.approx(psutil.virtual_memory().total, rel=0.1)


# errors

GREY = np.full((3, 4, 4, 3), 7, np.uint8)


@pytest.mark.parametrize(
    "pixels, options, name",
    [
        (GREY, {}, "pixels must differ"),
        (np.full((5000, 1, 1, 3), 255, np.uint8), {"block": 3}, "pixels must differ"),
        (GREY[:1], {}, "pixels must hold at least 2"),
        (GREY[:0], {}, "pixels must hold at least 2"),
        (GREY / 255, {}, "pixels must be a uint8 array"),
        (GREY.tolist(), {}, "pixels must be a uint8 array"),
        (torch.tensor(GREY), {}, "pixels must be a uint8 array"),
        (GREY[..., :2], {}, "pixels must have shape"),
        (GREY[:, :2], {}, "pixels must have shape"),
        (GREY[0], {}, "pixels must have shape"),
        (GREY[:, :0, :0], {}, "pixels must have shape"),
        (GREY, {"bottom": 0}, "bottom"),
        (GREY, {"bottom": 1.0}, "bottom"),
        (GREY, {"bottom": np.nan}, "bottom"),
        (GREY, {"bottom": [0.2, 0.3]}, "bottom"),
        (GREY, {"block": 0}, "block"),
        (GREY, {"device": "gpu"}, "device"),
    ],
)
def test_bad_input_to_fit_is_named_in_one_line(pixels, options, name):
    with pytest.raises(ValueError, match=rf"^{name}") as caught:
        fit(pixels, **({"device": "cpu"} | options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "pixels, which, options, name",
    [
        (pictures(3, 4, 0), "middle", {}, "which must be one of"),
        (pictures(3, 5, 0), "top", {}, "pixels must have 4 a side"),
        (pictures(3, 4, 0)[0], "top", {}, "pixels must have shape"),
        (pictures(3, 4, 0).astype(int), "top", {}, "pixels must be uint8 or"),
        (torch.tensor(pictures(3, 4, 0)).int(), "top", {}, "pixels must be uint8 or"),
        (pictures(3, 4, 0), "top", {"block": 1.5}, "block"),
        ([1, 2], "top", {}, "pixels must have shape"),
    ],
)
def test_bad_input_to_project_is_named_in_one_line(pixels, which, options, name):
    found = fit(pictures(9, 4, 0), device="cpu")
    with pytest.raises(ValueError, match=rf"^{name}") as caught:
        project(found, pixels, which, **options)
    assert "\n" not in str(caught.value)
