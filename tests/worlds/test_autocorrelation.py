"""Averages of autocorrelated frames against Isserlis' theorem, term by term, and simulations.

Bounds on simulated standard deviations are chi-square intervals that fail with probability 1e-4.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp
from scipy.signal import lfilter
from scipy.stats import chi2

from jepabook import JEPA, MAE, autocorrelation, critical_time, dynamics, generative

GAMMA = st.floats(-0.99, 0.99) | st.just(0.0)
PROCESS = st.lists(st.tuples(st.floats(0, 3), GAMMA), min_size=1, max_size=3)
PAPER = generative.two_images(4)


def memory(power, gamma):
    """C(k), with 0^0 = 1."""
    return lambda k: float(np.sum(np.asarray(power) * np.asarray(gamma, dtype=float) ** abs(k)))


def isserlis(c, count):
    """The covariance of (lam_hat, sigma_squared_hat), summed over all pairs of times."""
    lags = [t - s for t in range(count) for s in range(count)]
    a = sum(c(k) ** 2 + c(k + 1) * c(k - 1) for k in lags)
    b = sum(2 * c(k) * c(k - 1) for k in lags)
    d = sum(2 * c(k) ** 2 for k in lags)
    return np.array([[a, b], [b, d]]) / count**2


def chi_square_holds(found, expected, count):
    """Whether a standard deviation of `count` values fits the expected one."""
    low, high = np.sqrt(chi2.ppf([5e-5, 1 - 5e-5], count - 1) / (count - 1))
    return bool(np.all((low < found / expected) & (found / expected < high)))


def chain(power, gamma, runs, count, rng):
    """Streams (runs, count) of a process with two components, the second white."""
    noise = rng.standard_normal((runs, count))
    noise[:, 1:] *= np.sqrt(1 - gamma[0] ** 2)
    signal = lfilter([1.0], [1.0, -gamma[0]], noise, axis=1)
    white = rng.standard_normal((runs, count))
    return np.sqrt(power[0]) * signal + np.sqrt(power[1]) * white


@given(PROCESS, st.integers(1, 12))
def test_the_covariance_of_the_estimates_is_isserlis_sum(process, count):
    power, gamma = map(list, zip(*process, strict=True))
    expected = isserlis(memory(power, gamma), count)
    found = autocorrelation.estimate_covariance(power, gamma, count)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(PROCESS)
def test_long_streams_approach_the_long_run_covariance(process):
    power, gamma = map(list, zip(*process, strict=True))
    found = 1e9 * autocorrelation.estimate_covariance(power, gamma, 1e9)
    np.testing.assert_allclose(
        found, autocorrelation.long_run_covariance(power, gamma), rtol=1e-4, atol=1e-12
    )


@given(PROCESS, st.integers(1, 100))
def test_shuffled_pairs_have_the_covariance_of_one_pair(process, count):
    power, gamma = map(list, zip(*process, strict=True))
    one = isserlis(memory(power, gamma), 1)
    found = count * autocorrelation.shuffled_covariance(power, gamma, count)
    np.testing.assert_allclose(found, one, rtol=1e-9, atol=1e-12)


def test_arrays_of_processes_and_counts_broadcast():
    law = autocorrelation.components(PAPER)
    counts = np.array([[10], [1000]])
    found = autocorrelation.estimate_covariance(law.power, law.gamma, counts)
    assert found.shape == (2, 4, 2, 2)
    one = autocorrelation.estimate_covariance(law.power[1], law.gamma[1], 1000)
    np.testing.assert_allclose(found[1, 1], one)


@pytest.mark.parametrize("count", [50, 2000])
def test_simulated_estimates_scatter_as_stated(count):
    power, gamma, runs = [1.0, 0.25], [0.95, 0.0], 3000
    p = chain(power, gamma, runs, count + 1, np.random.default_rng(8))
    lam, variance = (p[:, 1:] * p[:, :-1]).mean(1), (p[:, :-1] ** 2).mean(1)
    stated = autocorrelation.estimate_covariance(power, gamma, count)
    found = np.cov(lam, variance)
    # the estimates are not normal at 50 frames: their fourth moment widens the bound
    scale = 4 if count == 50 else 1
    error = scale * 4 * np.sqrt((np.outer(*[np.diag(stated)] * 2) + stated**2) / runs)
    assert (np.abs(found - stated) < error).all()
    assert abs(lam.mean() - 0.95) < 4 * np.sqrt(stated[0, 0] / runs)
    assert abs(variance.mean() - 1.25) < 4 * np.sqrt(stated[1, 1] / runs)


def test_bias_and_deviation_of_the_ratio():
    power, gamma, runs, count = [1.0, 1.0], [0.9, 0.0], 40_000, 1000
    rng, rho = np.random.default_rng(9), []
    for _ in range(10):
        p = chain(power, gamma, runs // 10, count + 1, rng)
        rho.append((p[:, 1:] * p[:, :-1]).mean(1) / (p[:, :-1] ** 2).mean(1))
    rho = np.concatenate(rho)
    spread = autocorrelation.estimate_covariance(power, gamma, count)
    bias, deviation = autocorrelation.ratio_moments(spread, 0.9, 2.0)
    assert rho.std() == pytest.approx(deviation, rel=0.03)
    assert rho.mean() - 0.45 == pytest.approx(bias, abs=4 * deviation / runs**0.5)
    assert abs(bias) > 8 * deviation / runs**0.5


@pytest.mark.parametrize("slow", [0.0, (0.0, 0.7)])
def test_the_components_are_the_world_along_its_basis(slow):
    world = generative.two_images(6, noise_gamma=slow)
    basis, law = autocorrelation.basis(world), autocorrelation.components(world)
    xx, yx, _ = world.covariances()
    np.testing.assert_allclose(basis.T @ basis, np.eye(36), atol=1e-12)
    for matrix, values in ((xx, law.sigma_squared), (yx, law.lam)):
        due = np.diag(np.repeat(values, law.count))
        np.testing.assert_allclose(basis.T @ matrix @ basis, due, atol=1e-12)


def test_moments_are_those_of_the_first_pairs():
    counts = [3, 100, 20_000]
    xx, yx = autocorrelation.moments(PAPER, counts, 5)
    x, y = PAPER.sample(counts[-1], 5)
    for k, count in enumerate(counts):
        np.testing.assert_allclose(xx[k], x[:count].T @ x[:count] / count, atol=1e-12)
        np.testing.assert_allclose(yx[k], y[:count].T @ x[:count] / count, atol=1e-12)


@pytest.mark.parametrize("slow", [0.0, 0.8])
def test_off_diagonal_elements_of_many_streams(slow):
    world = generative.two_images(4, gamma=(0.8, 0.5), noise=(0.5, 0.9), noise_gamma=(0.0, slow))
    counts, found = [8000, 30_000], []
    for seed in range(20):
        xx, yx = autocorrelation.moments(world, counts, seed)
        vectors = np.linalg.eigh(xx)[1]
        off = vectors.mT @ yx.mT @ vectors * (1 - np.eye(16))
        found.append((off**2).sum((1, 2)) / 240)
    stated = autocorrelation.off_diagonal(world, counts)
    np.testing.assert_allclose(np.mean(found, axis=0), stated, rtol=0.08)


def test_equal_variances_with_different_lambda_have_no_common_basis_to_settle_on():
    tie = generative.two_images(4, gamma=(0.9, 0.5), noise=1.0)
    with pytest.raises(ValueError, match="sigma"):
        autocorrelation.off_diagonal(tie, 100)


@pytest.mark.parametrize("objective", [JEPA, MAE])
@pytest.mark.parametrize("shuffled", [False, True])
def test_learning_times_of_the_scalar_equation_on_a_stream(objective, shuffled):
    """Euler steps of the scalar equation, one pair of frames each, over 300 streams."""
    power, gamma, depth, epsilon, runs = [1.0, 0.5], [0.8, 0.0], 2, 0.09, 300
    lam, rho = 0.8, 0.8 / 1.5
    due = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
    frames = 20_000 / due
    rng, q = np.random.default_rng(4), objective.growth_exponent(depth=depth)
    goal = 0.5 * dynamics.fixed_point(objective, rho, depth=depth)
    w, reached = np.full(runs, epsilon), np.full(runs, np.nan)
    signal = rng.standard_normal(runs)
    now = signal + np.sqrt(0.5) * rng.standard_normal(runs)
    for step in range(40_000):
        if shuffled:
            signal = rng.standard_normal(runs)
            now = signal + np.sqrt(0.5) * rng.standard_normal(runs)
        signal = 0.8 * signal + 0.6 * rng.standard_normal(runs)
        then = signal + np.sqrt(0.5) * rng.standard_normal(runs)
        w = w + (then * now * w**q - now**2 * w**3) / frames
        reached = np.where(np.isnan(reached) & (w >= goal), (step + 1) / frames, reached)
        now = then
        if step % 1000 == 0 and not np.isnan(reached).any():
            break
    stated = autocorrelation.learning_time_deviation(
        objective, power, gamma, depth=depth, epsilon=epsilon, frames=frames, shuffled=shuffled
    )
    assert reached.mean() == pytest.approx(due, rel=0.03)
    assert chi_square_holds(reached.std(ddof=1), stated, runs)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (([1.0], [1.0], 5), "gamma"),
        (([-1.0], [0.5], 5), "power"),
        (([1.0], [0.5], 0), "count"),
        (([1.0], [np.nan], 5), "gamma"),
        ((1.0, 0.5, 5), "power"),
        (([1.0, 2.0], [0.1, 0.2, 0.3], 5), "shapes"),
    ],
)
def test_bad_processes_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"^{name}"):
        autocorrelation.estimate_covariance(*arguments)


@pytest.mark.parametrize("counts", [[3, 2], [0], [5, 5], [1.5]])
def test_bad_counts_are_refused(counts):
    with pytest.raises(ValueError, match=r"^counts must"):
        autocorrelation.moments(PAPER, counts, 0)


@pytest.mark.parametrize(
    ("changes", "name"), [({"epsilon": 0.4}, "epsilon"), ({"frames": 0.0}, "frames")]
)
def test_bad_learning_times_are_refused(changes, name):
    known = {"depth": 2, "epsilon": 0.01, "frames": 10.0}
    with pytest.raises(ValueError, match=f"^{name}"):
        autocorrelation.learning_time_deviation(
            JEPA, [1.0, 1.0], [0.9, 0.0], **{**known, **changes}
        )


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e200])
@pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
def test_learning_times_scale_with_the_unit_of_power_to_the_ends_of_float64(objective, scale):
    """Both covariances times s are times divided by s; the deviation goes as their square root."""

    def deviation(*power):
        known = {"depth": 3, "epsilon": 1e-40, "frames": 10.0}
        return autocorrelation.learning_time_deviation(objective, power, [0.9, 0.0], **known)

    right, found = deviation(1.0, 0.5), deviation(scale, 0.5 * scale)
    assert found * scale**0.5 == pytest.approx(right, rel=1e-11)


@pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
@pytest.mark.parametrize("shuffled", [False, True])
def test_learning_times_are_the_integral_of_the_docstring(objective, shuffled):
    power, gamma, depth, epsilon = np.array([3.0, 2.0]), np.array([0.99, -0.5]), 4, 1e-12
    lam, variance = (power * gamma).sum(), power.sum()
    if shuffled:
        (a, b), (_, d) = autocorrelation.shuffled_covariance(power, gamma, 1)
    else:
        (a, b), (_, d) = autocorrelation.long_run_covariance(power, gamma)
    q = objective.growth_exponent(depth=depth)

    def integrand(x):
        w, share = mp.exp(x), mp.exp((3 - q) * x)
        spread = a - 2 * share * b + share**2 * d
        return spread / (lam - share * variance) ** 2 * w / (lam * w**q - variance * w**3)

    stop = np.log(dynamics.fixed_point(objective, lam / variance, depth=depth) / 2)
    pieces = np.linspace(np.log(epsilon), stop, 30).tolist()
    expected = float(mp.sqrt(mp.quad(integrand, pieces) / 7))
    found = autocorrelation.learning_time_deviation(
        objective, power, gamma, depth=depth, epsilon=epsilon, frames=7.0, shuffled=shuffled
    )
    assert found == pytest.approx(expected, rel=1e-11)


def test_averages_whose_squares_leave_float64_are_right_or_refused():
    bias, deviation = autocorrelation.ratio_moments([[1e-300, 0.0], [0.0, 0.0]], 1e-200, 1e-150)
    assert (bias, deviation) == (0.0, pytest.approx(1.0))
    with pytest.raises(ValueError, match=r"^power must be small enough .* got 1e\+200"):
        autocorrelation.long_run_covariance([1e200], [0.5])
