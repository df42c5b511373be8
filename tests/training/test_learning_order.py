"""When features are learned and in what order: against curves and counts that are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jepabook import learning_order

RATES = np.array([0.5, 1.0, 2.0])
START, END = 0.01, 1.0


def logistic(times, rates=RATES):
    """w from START to END (1 + tiny), with its half time log((END - START)/START)/rate."""
    growth = (END / START - 1) * np.exp(-rates * times[:, None])
    return END / (1 + growth)


def time_of(size, rates=RATES):
    return np.log((END / START - 1) / (END / size - 1)) / rates


TIMES = np.linspace(0, 80, 20_001)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_half_times_are_those_of_the_logistic_curve(fraction):
    found = learning_order.half_times(TIMES, logistic(TIMES), fraction)
    np.testing.assert_allclose(found, time_of(fraction * END), atol=1e-4)


def test_doubling_times_are_those_of_the_logistic_curve_and_do_not_depend_on_the_end():
    found = learning_order.doubling_times(TIMES, logistic(TIMES))
    np.testing.assert_allclose(found, time_of(2 * START), atol=1e-4)
    early = TIMES[TIMES < 5]
    np.testing.assert_array_equal(learning_order.doubling_times(early, logistic(early)), found)


def test_times_to_one_size_do_not_depend_on_the_end_and_begin_with_what_starts_there():
    found = learning_order.times_to_size(TIMES, logistic(TIMES), 0.3)
    np.testing.assert_allclose(found, time_of(0.3), atol=1e-4)
    early = TIMES[TIMES < 15]
    np.testing.assert_array_equal(learning_order.times_to_size(early, logistic(early), 0.3), found)
    # starts at the size, falls back from it, never gets there, diverges, diverges from the size
    sizes = np.array([[2, 0, 0, 0, 2], [0, 2, 0.5, np.nan, 2], [0, 0, 0.5, np.nan, np.nan]])
    found = learning_order.times_to_size([1.0, 2.0, 3.0], sizes, 1.0)
    np.testing.assert_array_equal(found, [1.0, 1.5, np.nan, np.nan, np.nan])
    with pytest.raises(ValueError, match="size"):
        learning_order.times_to_size([1.0, 2.0, 3.0], sizes, -1.0)


@given(st.integers(2, 30), st.floats(0.05, 0.95), st.floats(2.5, 1e3), st.integers(0, 2**31))
def test_times_are_exact_for_straight_lines_however_they_are_recorded(
    count, fraction, growth, seed
):
    """w = 1 + (growth - 1) t on [0, 1]; interpolation between records is linear, so exact."""
    inner = np.random.default_rng(seed).uniform(0, 1, count)
    times = np.unique(np.concatenate([[0.0], inner, [1.0]]))
    sizes = (1 + (growth - 1) * times)[:, None]
    doubled = learning_order.doubling_times(times, sizes)
    np.testing.assert_allclose(doubled, 1 / (growth - 1), rtol=1e-9)
    found = learning_order.half_times(times, sizes, fraction)
    right = (fraction * growth - 1) / (growth - 1)
    np.testing.assert_allclose(found, right if right > 0 else np.nan, rtol=1e-9, atol=1e-12)


def test_runs_keep_their_axes():
    sizes = np.stack([logistic(TIMES), 2 * logistic(TIMES)], axis=1)[:, None]
    assert sizes.shape[1:] == (1, 2, 3)
    found = learning_order.half_times(TIMES, sizes)
    np.testing.assert_allclose(found, np.broadcast_to(time_of(0.5), (1, 2, 3)), atol=1e-4)


def test_a_curve_that_falls_again_is_timed_where_it_first_rose():
    sizes = np.array([[1.0], [5.0], [1.0], [4.0]])
    assert learning_order.half_times([0, 1, 2, 3], sizes) == [0.25]
    assert learning_order.doubling_times([0, 1, 2, 3], sizes) == [0.25]


def test_not_a_number_for_what_was_not_learned_diverged_or_was_there_from_the_start():
    times, nan, inf = [0.0, 1.0, 2.0], np.nan, np.inf
    columns = {
        "learned": [1.0, 2.0, 4.0],
        "grew by less than two": [1.0, 1.5, 1.9],
        "shrank": [1.0, 0.5, 0.1],
        "rose and fell": [1.0, 9.0, 1.0],
        "diverged to nan": [1.0, 3.0, nan],
        "diverged to inf": [1.0, 3.0, inf],
        "never a number": [nan, nan, nan],
    }
    sizes = np.transpose(list(columns.values()))
    half = np.isfinite(learning_order.half_times(times, sizes))
    doubled = np.isfinite(learning_order.doubling_times(times, sizes))
    assert [name for name, is_in in zip(columns, half, strict=True) if is_in] == ["learned"]
    told = [name for name, is_in in zip(columns, doubled, strict=True) if is_in]
    assert told == ["learned", "rose and fell"]
    assert learning_order.learned(sizes).tolist() == [True, False, False, False, False, True, False]
    assert np.isnan(learning_order.half_times(times, [[1.0], [3.0], [4.0]], 0.2))[0]


def test_a_goal_of_ones_own_is_reached_or_not():
    found = learning_order.first_crossing([0, 1, 2], [[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]], [3, 5])
    np.testing.assert_array_equal(found, [1.5, np.nan])


def test_tau_is_one_if_large_values_come_first_and_minus_one_if_they_come_last():
    along = np.array([0.2, 0.5, 0.9, 1.4])
    times = np.array([4.0, 3.0, 2.0, 1.0])
    assert learning_order.tau(times, along) == pytest.approx(1)
    assert learning_order.tau(times[::-1], along) == pytest.approx(-1)
    assert learning_order.tau([4.0, 3.0, 1.0, 2.0], along) == pytest.approx(4 / 6)


def tau_b_by_counting(times, along):
    """Kendall's tau-b from its definition: pairs, with ties in either."""
    up = np.sign(np.subtract.outer(-times, -times)) * np.sign(np.subtract.outer(along, along))
    one = np.sum(np.subtract.outer(times, times) != 0)
    other = np.sum(np.subtract.outer(along, along) != 0)
    return up.sum() / np.sqrt(float(one) * float(other)) if one and other else np.nan


@given(st.data(), st.integers(2, 7))
def test_tau_is_kendalls_tau_b_with_ties_and_leaves_out_what_is_not_a_number(data, features):
    value = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan])
    times = data.draw(arrays(float, (2, 3, features), elements=value))
    along = data.draw(arrays(float, features, elements=st.sampled_from([0.0, 1.0, 2.0])))
    found = learning_order.tau(times, along)
    assert found.shape == (2, 3)
    for index in np.ndindex(2, 3):
        keep = ~np.isnan(times[index])
        right = tau_b_by_counting(times[index][keep], along[keep])
        np.testing.assert_allclose(found[index], right, atol=1e-12)


def test_tau_of_fewer_than_two_features_is_not_a_number():
    assert np.isnan(learning_order.tau([1.0, np.nan], [0.0, 1.0]))
    assert learning_order.tau([1.0, np.nan], [0.0, 1.0], never="last") == -1
    assert learning_order.tau([2, np.nan, 1, np.nan], [3, 2, 4, 1], "last") == pytest.approx(
        5 / np.sqrt(6 * 5)
    )
    assert np.isnan(learning_order.tau([np.nan, np.nan], [0.0, 1.0]))


@pytest.mark.parametrize("seeds", [2, 5, 16])
def test_the_interval_covers_the_mean_as_often_as_it_says(seeds):
    trials = 20_000
    values = np.random.default_rng(seeds).normal(3.0, 2.0, (seeds, trials))
    mean, low, high = learning_order.mean_interval(values)
    np.testing.assert_allclose(mean, values.mean(0))
    np.testing.assert_allclose(high - mean, mean - low)
    covered = np.mean((low < 3.0) & (high > 3.0))
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / trials)


def test_a_wrong_interval_would_be_noticed():
    """The normal quantile in place of Student's covers too seldom."""
    values = np.random.default_rng(5).normal(3.0, 2.0, (5, 20_000))
    half = 1.96 * values.std(0, ddof=1) / np.sqrt(5)
    assert np.mean(np.abs(values.mean(0) - 3.0) < half) < 0.95 - 4 * np.sqrt(0.05 * 0.95 / 20_000)


def test_a_run_that_is_not_a_number_gives_no_interval():
    mean, low, high = learning_order.mean_interval([[1.0, 2.0], [3.0, np.nan]])
    assert np.isnan([mean[1], low[1], high[1]]).all() and np.isfinite([mean[0], low[0]]).all()


SIZES = np.array([[1.0], [3.0]])


@pytest.mark.parametrize(
    ("name", "arguments", "start"),
    [
        ("learned", ("a",), "sizes must be real numbers, got 'a'"),
        ("learned", (3.0,), "sizes must be numbers (n, ..., d), got shape ()"),
        ("learned", (np.empty((0, 2)),), "sizes must be numbers (n, ..., d), got shape (0, 2)"),
        ("half_times", ([0, 1], SIZES, 1.0), "fraction must lie in (0, 1), got 1.0"),
        ("half_times", ([0, 1], SIZES, [0.5, 0.6]), "fraction must be one number, got shape (2,)"),
        ("half_times", ([0, 1, 2], SIZES), "times must have shape (2,), got (3,)"),
        ("half_times", (0, SIZES), "times must have shape (2,), got ()"),
        ("half_times", ([1, 0], SIZES), "times must increase, got 0.0 at index (1,)"),
        ("half_times", ([0, np.inf], SIZES), "times must be finite, got inf at index (1,)"),
        ("half_times", ([0, 1], SIZES > 0), "sizes must be real numbers, got an array of bool"),
        ("doubling_times", ([0, 0], SIZES), "times must increase, got 0.0 at index (1,)"),
        ("doubling_times", ([0, 1], "ab"), "sizes must be real numbers, got 'ab'"),
        ("first_crossing", ([0, 1], SIZES, [1, 2, 3]), "goal must have shape (1,), got (3,)"),
        ("tau", ([1, 2], [1, 2], "first"), "never must be one of left out, last, got 'first'"),
        ("first_crossing", ([0], SIZES, 2.0), "times must have shape (2,), got (1,)"),
        ("tau", ([1.0, 2.0], [1.0]), "along must have shape (2,), got (1,)"),
        ("tau", (1.0, 1.0), "along must have shape (), got ()"),
        ("tau", ([1.0, 2.0], [1.0, np.nan]), "along must not be NaN, got nan at index (1,)"),
        ("mean_interval", ([1.0],), "values must be of at least two seeds, got shape (1,)"),
        ("mean_interval", (1.0,), "values must be of at least two seeds, got shape ()"),
    ],
)
def test_bad_arguments_are_named_with_their_value_and_what_is_allowed(name, arguments, start):
    with pytest.raises(ValueError) as caught:
        getattr(learning_order, name)(*arguments)
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)
