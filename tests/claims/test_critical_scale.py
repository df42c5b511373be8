"""Who goes first: `order`, `inversion_boundary`, `inversion_scales`, `deep_priority`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepabook import JEPA, MAE, critical_time, dynamics

OBJECTIVES = st.sampled_from([JEPA, MAE])
DEPTHS = st.integers(1, 12)
RHO = st.floats(0.4, 1.5)


def scale_below(rho, depth, share):
    """An initial scale below half of the final size under either objective."""
    return share * 0.5 * min(dynamics.fixed_point(o, rho, depth=depth) for o in (JEPA, MAE))


@given(OBJECTIVES, DEPTHS, st.lists(st.tuples(st.floats(0.1, 5), RHO), min_size=1, max_size=8))
def test_order_sorts_the_critical_times(objective, depth, features):
    lam, rho = np.transpose(features)
    epsilon = scale_below(rho.min(), depth, 0.5)
    times = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
    found = critical_time.order(objective, lam, rho, depth=depth, epsilon=epsilon)
    assert sorted(found) == list(range(len(lam)))
    assert np.all(np.diff(times[found]) >= 0)


@given(OBJECTIVES, DEPTHS, RHO, RHO, st.floats(1e-6, 0.99), st.floats(0.1, 10))
def test_at_the_boundary_two_features_tie_and_beside_it_they_do_not(
    objective, depth, rho, other, share, lam
):
    epsilon = scale_below(min(rho, other), depth, share)
    ratio = critical_time.inversion_boundary(objective, rho, other, depth=depth, epsilon=epsilon)
    first = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
    for shift in (1e-6, -1e-6):
        second = critical_time.exact(
            objective, lam * ratio * (1 + shift), other, depth=depth, epsilon=epsilon
        )
        assert second / first == pytest.approx(1 / (1 + shift), rel=1e-11)


@given(st.integers(2, 12), st.floats(0.5, 0.95), st.floats(1.01, 2.0))
def test_inversion_scales_are_where_the_boundary_crosses_the_ratio(depth, other, ratio):
    low, high = critical_time.inversion_scales(ratio, 1.0, other, depth=depth)
    top = 0.5 * other**depth

    def boundary(epsilon):
        return critical_time.inversion_boundary(JEPA, 1.0, other, depth=depth, epsilon=epsilon)

    if np.isnan(low):
        everywhere = boundary(top * np.geomspace(1e-12, 1 - 1e-9, 2000))
        assert np.all(everywhere < ratio * (1 + 1e-6))
    else:
        assert 0 <= low < high < top
        assert boundary(high) == pytest.approx(ratio, rel=1e-6)
        assert boundary(np.sqrt(max(low, 1e-130) * high)) > ratio
        if low:
            assert boundary(low) == pytest.approx(ratio, rel=1e-6)


@given(st.integers(2, 12), st.floats(0.3, 0.95), st.floats(1.01, 3.0))
def test_the_lead_of_the_cleaner_feature_is_largest_where_the_velocities_agree(depth, other, ratio):
    """What `inversion_scales` relies on."""
    top = 0.5 * other**depth
    peak = ((ratio - 1) / (ratio / other - 1)) ** depth
    epsilon = np.append(top * np.geomspace(1e-12, 1 - 1e-6, 1500), min(peak, top * (1 - 1e-6)))
    lead = critical_time.exact(JEPA, ratio, other, depth=depth, epsilon=epsilon)
    lead -= critical_time.exact(JEPA, 1.0, 1.0, depth=depth, epsilon=epsilon)
    below = np.sort(epsilon) <= peak
    steps = np.diff(lead[np.argsort(epsilon)])
    noise = 1e-11 * critical_time.exact(JEPA, 1.0, 1.0, depth=depth, epsilon=np.sort(epsilon)[:-1])
    assert np.all((steps > -noise)[below[1:]]) and np.all((steps < noise)[~below[:-1]])


def test_shallow_encoders_and_tiny_scales_give_no_or_a_zero_lower_end():
    assert all(np.isnan(critical_time.inversion_scales(3.0, 1.0, 0.6, depth=2)))
    assert critical_time.inversion_scales(1 + 1e-9, 1.0, 0.6, depth=40)[0] == 0


@given(st.floats(0.1, 10), RHO, st.floats(0.01, 0.99))
def test_deep_priority_is_the_scaled_velocity_at_the_start(lam, rho, share):
    gain, depth = share * rho, 7
    velocity = dynamics.velocity(JEPA, gain**depth, lam, rho, depth=depth)
    expected = gain ** (3 * depth - 1) * critical_time.deep_priority(lam, rho, gain)
    assert velocity == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (
            lambda: critical_time.inversion_boundary(JEPA, 1.0, 0.5, depth=5, epsilon=0.02),
            "epsilon",
        ),
        (lambda: critical_time.inversion_boundary(JEPA, 1.0, -0.5, depth=5, epsilon=0.001), "rho"),
        (lambda: critical_time.inversion_scales(1.0, 1.0, 0.5, depth=5), "lam_ratio"),
        (lambda: critical_time.inversion_scales(float("nan"), 1.0, 0.5, depth=5), "lam_ratio"),
        (lambda: critical_time.inversion_scales(1.5, 0.5, 0.5, depth=5), "rho_other"),
        (lambda: critical_time.deep_priority(1.0, 1.0, 0.0), "gain"),
        (lambda: critical_time.order(MAE, 1.0, 1.0, depth=0, epsilon=0.1), "depth"),
    ],
)
def test_bad_input_is_named_in_one_line(call, names):
    with pytest.raises(ValueError, match=names) as caught:
        call()
    assert "\n" not in str(caught.value)
