"""Random masks: samples against exact moments, moments against the theory, and bad input."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.linalg import hadamard

from jepabook import JEPA, MAE, critical_time, dynamics, random_masks
from jepabook.claims import examples
from jepabook.worlds.generative import (
    RandomMasks,
    gaussian_dictionary,
    masked_covariances,
    orthogonal_dictionary,
    sparse_power,
)

BOTH = pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.floats(0.05, 0.95)


def random_covariance(width, seed, unit=False):
    """A covariance, or a correlation matrix."""
    factor = np.random.default_rng(seed).standard_normal((width, width + 1))
    covariance = factor @ factor.T
    deviation = np.sqrt(np.diag(covariance))
    return covariance / np.outer(deviation, deviation) if unit else covariance


def world(visible=0.3):
    """More pixels than features, a dictionary that is not orthogonal."""
    return RandomMasks(gaussian_dictionary(3, 5, 1), [2.0, 0.5, 0.0], 0.4, visible)


@settings(deadline=None, max_examples=25)
@given(width=st.integers(1, 5), visible=SHARES, seed=SEEDS)
def test_covariances_are_those_of_the_sum_over_all_masks(width, visible, seed):
    covariance = random_covariance(width, seed)
    sums = np.zeros((3, width, width))
    for bits in product((0.0, 1.0), repeat=width):
        shown = np.array(bits)
        hidden = 1 - shown
        weight = np.prod(np.where(shown, visible, 1 - visible))
        pairs = ((shown, shown), (hidden, shown), (hidden, hidden))
        sums += weight * np.array([np.outer(a, b) * covariance for a, b in pairs])
    np.testing.assert_allclose(masked_covariances(covariance, visible), sums, atol=1e-12)


@pytest.mark.parametrize("visible", [0.2, 0.7])
def test_samples_have_the_exact_covariances(visible):
    model, count = world(visible), 40_000
    x, y = model.sample(count, seed=2)
    for (a, b), exact in zip(((x, x), (y, x), (y, y)), model.covariances(), strict=True):
        mean = a.T @ b / count
        error = np.sqrt(((a**2).T @ b**2 / count - mean**2) / count)
        # 75 entries: 4.5 standard errors are left by one in 2000 runs
        assert np.all(np.abs(mean - exact) <= 4.5 * error + 1e-15)


def test_views_are_complementary_and_the_seed_decides():
    x, y = world().sample(500, seed=3)
    assert np.all(x * y == 0) and np.all((x != 0) ^ (y != 0))
    assert np.mean(x != 0) == pytest.approx(0.3, abs=0.05)
    again, _ = world().sample(500, seed=3)
    other, _ = world().sample(500, seed=4)
    np.testing.assert_array_equal(x, again)
    assert np.any(x != other)


@settings(deadline=None, max_examples=25)
@given(
    power=st.lists(st.floats(0, 5), min_size=8, max_size=8).map(np.array),
    noise=st.floats(0.01, 3),
    visible=SHARES,
)
def test_theory_is_exact_for_a_flat_orthogonal_dictionary(power, noise, visible):
    model = RandomMasks(hadamard(8) / np.sqrt(8), power, noise, visible)
    sigma_xx, sigma_yx, _ = model.covariances()
    theory, basis = model.theory(), model.dictionary
    atol = 1e-12 * (1 + power.sum() + noise)
    for matrix, values in ((sigma_xx, theory.sigma_squared), (sigma_yx, theory.lam)):
        np.testing.assert_allclose(basis @ matrix @ basis.T, np.diag(values), atol=atol)
    np.testing.assert_allclose(theory.rho, theory.lam / theory.sigma_squared)
    assert abs(theory.lam.sum()) < atol and np.all(theory.rho >= -1)


def test_theory_of_fewer_features_than_pixels_averages_over_all_pixels():
    few = RandomMasks(np.eye(2, 4), [1.0, 3.0], 0.0, 0.5).theory()
    all_of_them = RandomMasks(np.eye(4), [1.0, 3.0, 0.0, 0.0], 0.0, 0.5).theory()
    np.testing.assert_allclose(few.lam, all_of_them.lam[:2])


def test_theory_without_power_and_noise_has_no_rho():
    theory = RandomMasks(np.eye(2), 0.0, 0.0, 0.5).theory()
    assert np.all(theory.lam == 0) and np.all(np.isnan(theory.rho))


def test_dictionaries():
    np.testing.assert_allclose(
        orthogonal_dictionary(3, 5, 0) @ orthogonal_dictionary(3, 5, 0).T, np.eye(3), atol=1e-14
    )
    gaussian = gaussian_dictionary(200, 100, 0)
    assert gaussian.shape == (200, 100)
    assert gaussian.var() == pytest.approx(0.01, rel=0.05)
    # Haar: entries have no preferred sign, as those of a bare QR decomposition would
    first = [orthogonal_dictionary(2, 2, seed)[0, 0] for seed in range(400)]
    assert abs(np.mean(first)) < 4 * np.sqrt(0.5 / 400)


@given(count=st.integers(1, 50), gamma=st.floats(0.01, 1))
def test_sparse_power_activates_the_rounded_share(count, gamma):
    power = sparse_power(count, gamma)
    assert power.shape == (count,) and power.sum() == round(gamma * count)
    assert np.all(np.diff(power) <= 0)


@settings(deadline=None, max_examples=25)
@given(width=st.integers(1, 6), visible=SHARES, seed=SEEDS, level=st.floats(0.1, 10))
def test_features_diagonalise_both_covariances(width, visible, seed, level):
    covariance = level * random_covariance(width, seed, unit=True)
    found = random_masks.features(covariance, visible)
    sigma_xx, sigma_yx, _ = masked_covariances(covariance, visible)
    basis = found.directions
    np.testing.assert_allclose(basis @ basis.T, np.eye(width), atol=1e-12)
    for matrix, values in ((sigma_yx, found.lam), (sigma_xx, found.sigma_squared)):
        np.testing.assert_allclose(basis @ matrix @ basis.T, np.diag(values), atol=1e-10 * level)
    assert np.all(np.diff(found.lam) <= 0)
    excess = np.linalg.eigvalsh(covariance)[::-1] - level
    lam, rho = random_masks.moments(np.maximum(excess, -level), level, visible)
    np.testing.assert_allclose(found.lam, lam, atol=1e-10 * level)
    np.testing.assert_allclose(found.rho, rho, atol=1e-9)


def test_features_of_two_groups_of_pixels_mix_neither_groups_nor_levels():
    covariance = np.zeros((4, 4))
    covariance[:2, :2] = [[1.0, 0.5], [0.5, 1.0]]
    covariance[2:, 2:] = [[3.0, 0.5], [0.5, 3.0]]  # the same excess: Sigma_yx is degenerate
    found = random_masks.features(covariance, 0.5)
    first = np.abs(found.directions[:, :2]).sum(1) > 1e-9
    assert not np.any(first & (np.abs(found.directions[:, 2:]).sum(1) > 1e-9))
    np.testing.assert_allclose(np.abs(found.lam), 0.125)


@BOTH
@settings(deadline=None, max_examples=20)
@given(
    depth=st.integers(1, 5),
    w=st.floats(0.001, 0.5),
    excess=st.floats(0.1, 5),
    level=st.floats(0.1, 5),
)
def test_best_share_maximises_the_velocity(objective, depth, w, excess, level):
    best = float(random_masks.best_share(objective, w, excess, level, depth=depth))
    shares = np.linspace(0.001, 0.999, 999)
    features = random_masks.moments(excess, level, shares)
    velocity = dynamics.velocity(objective, w, *features, depth=depth)
    assert 0 <= best < 0.5
    assert abs(shares[velocity.argmax()] - max(best, 0.001)) < 0.0011
    assert np.all((velocity > 0) == (shares < 2 * best))


@BOTH
def test_soonest_share_lies_between_the_best_shares_at_both_ends(objective):
    share = random_masks.soonest_share(objective, 0.05, 1.0, 0.5, depth=3, epsilon=0.02)
    low, high = random_masks.best_share(objective, np.array([0.05, 0.02]), 1.0, 0.5, depth=3)
    assert low < share < high
    nearby = np.array([share - 0.01, share, share + 0.01])
    moments = random_masks.moments(1.0, 0.5, nearby)
    times = dynamics.time_to_reach(objective, 0.05, *moments, depth=3, epsilon=0.02)
    assert times[1] < min(times[0], times[2])


@BOTH
def test_soonest_share_keeps_to_shares_at_which_the_size_is_reached(objective):
    # at most shares between the two best ones this size is never reached
    low = float(random_masks.best_share(objective, 0.9, 1.0, 1.0, depth=2))
    share = random_masks.soonest_share(objective, 0.9, 1.0, 1.0, depth=2, epsilon=1e-3)
    assert low < share < 2 * low

    def time(f):
        features = random_masks.moments(1, 1, f)
        return dynamics.time_to_reach(objective, 0.9, *features, depth=2, epsilon=1e-3)

    shares = np.linspace(low, 2 * low, 400)[1:-1]
    assert time(share) <= time(shares).min() * (1 + 1e-9)


@BOTH
@pytest.mark.parametrize("depth", [1, 2, 3, 8, 30])
def test_latest_start_is_where_half_times_turn_if_little_is_visible(objective, depth):
    latest = random_masks.latest_start(objective, depth=depth)
    assert 0.237 < latest < 0.315
    excess = np.array([1.0, 1.0001])
    lam, rho = random_masks.moments(excess, 1.0, 1e-6)
    for factor in (0.99, 1.01):
        start = factor * latest * dynamics.fixed_point(objective, rho[0], depth=depth)
        half = critical_time.exact(objective, lam, rho, depth=depth, epsilon=start)
        assert (half[1] > half[0]) == (factor > 1)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0])
def test_marchenko_pastur_has_mass_and_mean_one_and_the_ratio_as_variance(ratio):
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2

    def moment(power):
        # x = low + (high - low) sin^2 takes the roots at the edges away
        def integrand(angle):
            x = low + (high - low) * np.sin(angle) ** 2
            slope = (high - low) * np.sin(2 * angle)
            return (x - 1) ** power * random_masks.marchenko_pastur(x, ratio) * slope

        return quad(integrand, 0, np.pi / 2)[0]

    assert [moment(p) for p in range(3)] == pytest.approx([1, 0, ratio], abs=1e-7)
    outside = random_masks.marchenko_pastur([-1.0, 0.0, high + 0.1], ratio)
    assert np.all(outside == 0)


@BOTH
def test_trained_sizes_go_on_from_one_record_to_the_next(objective):
    model = examples.patterns()
    both = random_masks.trained_sizes(objective, model, 2, [3, 8], seed=1)
    alone = random_masks.trained_sizes(objective, model, 2, [8], seed=1)
    assert both.shape == (2, 2, 8)
    np.testing.assert_array_equal(both[1], alone[0])


SMALL = {"dictionary": np.eye(2), "power": [1.0, 0.0], "noise": 0.1, "visible": 0.5}


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"dictionary": np.ones(3)}, "dictionary"),
        ({"dictionary": np.ones((0, 3))}, "dictionary"),
        ({"dictionary": [[np.nan, 1.0]]}, "dictionary"),
        ({"dictionary": [[np.inf, 1.0]]}, "dictionary"),
        ({"power": [1.0, -1.0]}, "power"),
        ({"power": [1.0, 1.0, 1.0]}, "power"),
        ({"power": [[1.0, 1.0]]}, "power"),
        ({"power": [1.0, np.nan]}, "power"),
        ({"noise": -0.1}, "noise"),
        ({"noise": [0.1, 0.2]}, "noise"),
        ({"noise": "much"}, "noise"),
        ({"visible": 0.0}, "visible"),
        ({"visible": 1.0}, "visible"),
        ({"visible": np.nan}, "visible"),
        ({"visible": [0.5, 0.5]}, "visible"),
    ],
)
def test_bad_world_is_refused(changes, name):
    with pytest.raises(ValueError, match=f"^{name} .*") as error:
        RandomMasks(**(SMALL | changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: RandomMasks(**SMALL).sample(0, 0), "count"),
        (lambda: RandomMasks(**SMALL).sample(2.5, 0), "count"),
        (lambda: gaussian_dictionary(0, 3, 0), "count"),
        (lambda: gaussian_dictionary(3, True, 0), "width"),
        (lambda: orthogonal_dictionary(4, 3, 0), "count"),
        (lambda: orthogonal_dictionary(2, 0, 0), "width"),
        (lambda: sparse_power(0, 0.5), "count"),
        (lambda: sparse_power(3, 0.0), "gamma"),
        (lambda: sparse_power(3, 1.5), "gamma"),
        (lambda: sparse_power(3, [0.5, 0.5]), "gamma"),
        (lambda: masked_covariances(np.ones(3), 0.5), "covariance"),
        (lambda: masked_covariances(np.ones((2, 3)), 0.5), "covariance"),
        (lambda: masked_covariances([[np.inf]], 0.5), "covariance"),
        (lambda: masked_covariances(np.eye(2), 1.0), "visible"),
        (lambda: masked_covariances(np.eye(2), [0.5]), "visible"),
        (lambda: random_masks.features([[1.0, 0.5], [0.5, 2.0]], 0.5), "covariance"),
        (lambda: random_masks.features([[1.0, 0.5], [0.0, 1.0]], 0.5), "covariance"),
        (lambda: random_masks.moments(-2.0, 1.0, 0.5), "excess"),
        (lambda: random_masks.moments(1.0, 0.0, 0.5), "level"),
        (lambda: random_masks.moments(1.0, 1.0, 0.0), "visible"),
        (lambda: random_masks.moments([1.0, 2.0], [1.0, 1.0, 1.0], 0.5), "shapes"),
        (lambda: random_masks.best_share("JEPA", 0.1, 1.0, 1.0, depth=2), "objective"),
        (lambda: random_masks.best_share(JEPA, 0.0, 1.0, 1.0, depth=2), "w"),
        (lambda: random_masks.best_share(JEPA, 0.1, -1.0, 1.0, depth=2), "excess"),
        (lambda: random_masks.soonest_share(JEPA, 0.01, 1.0, 1.0, depth=2, epsilon=0.1), "w"),
        (lambda: random_masks.soonest_share(JEPA, 0.9, 0.1, 1.0, depth=2, epsilon=0.1), "w"),
        (lambda: random_masks.latest_start("JEPA", depth=2), "objective"),
        (lambda: random_masks.latest_start(JEPA, depth=0), "depth"),
        (lambda: random_masks.marchenko_pastur(1.0, 1.5), "ratio"),
        (lambda: random_masks.marchenko_pastur(np.nan, 0.5), "x"),
        (lambda: random_masks.trained_sizes(JEPA, examples.patterns(), 0, [1], 0), "count"),
        (
            lambda: random_masks.trained_sizes(JEPA, examples.patterns(), 1, [2, 1], 0),
            "record_at",
        ),
    ],
)
def test_bad_argument_is_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} .*") as error:
        call()
    assert "\n" not in str(error.value)


def test_shares_and_moments_where_only_factors_leave_float64():
    # g = w^2 = 1e-400, g level / excess = 1e-50
    share = random_masks.best_share(MAE, 1e-200, 1e-300, 1e50, depth=1)
    assert share == pytest.approx(0.5, rel=1e-12)
    assert random_masks.best_share(MAE, 1e300, 1.0, 1.0, depth=1) == 0
    lam, rho = random_masks.moments(1.7e308, 1.7e308, 0.5)
    assert (lam, rho) == pytest.approx((4.25e307, 1 / 3), rel=1e-12)
