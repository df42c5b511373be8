"""What is left of the theory when its assumptions fail, against independent computations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import kendalltau

from jepabook import (
    JEPA,
    MAE,
    critical_time,
    deeper_decoder,
    dynamics,
    learning_order,
    matrix_flow,
    noncommuting,
    rests,
    unaligned_starts,
    unbalanced,
)
from jepabook.claims import examples

OBJECTIVES = st.sampled_from([JEPA, MAE])
DEPTHS = st.integers(1, 5)
SEEDS = st.integers(0, 2**32 - 1)


def covariances(seed, width=4, spread=0.5):
    """Two random symmetric positive definite matrices that do not commute."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(2):
        turn = unaligned_starts.rotation(width, 1.5, rng)
        found.append(turn * np.exp(rng.uniform(-spread, spread, width)) @ turn.T)
    return found


def test_the_task_inverts_in_full():
    spectrum, epsilon = examples.task(), examples.GAIN**examples.DEPTH
    known = {"lam": spectrum.lam, "rho": spectrum.rho, "depth": examples.DEPTH, "epsilon": epsilon}
    assert list(critical_time.order(JEPA, **known)) == list(range(8))
    assert list(critical_time.order(MAE, **known)) == list(range(8))[::-1]


@given(OBJECTIVES, DEPTHS, SEEDS)
def test_aligned_layers_have_the_scales_and_obey_the_assumption(objective, depth, seed):
    scales = np.full((depth + 1, 3), 0.7)
    weights = unaligned_starts.aligned_layers(objective, scales, seed)
    assert np.allclose(weights @ weights.mT, 0.49 * np.eye(3))
    expected = weights[-1] if objective is JEPA else matrix_flow.product(weights)
    scale = 0.7 if objective is JEPA else 0.7 ** (depth + 1)
    assert np.allclose(expected, scale * np.eye(3))


@given(st.integers(2, 9), st.floats(0, np.pi), SEEDS)
def test_a_rotation_turns_by_no_more_than_its_angle(width, angle, seed):
    turn = unaligned_starts.rotation(width, angle, seed)
    assert np.allclose(turn @ turn.T, np.eye(width)) and np.linalg.det(turn) > 0
    largest = np.abs(np.angle(np.linalg.eigvals(turn))).max()
    assert largest == pytest.approx(angle, abs=1e-7)


def test_loosened_layers_go_from_the_given_to_gaussian_ones():
    weights = unaligned_starts.aligned_layers(JEPA, np.full((3, 60), 0.5), 0)
    assert np.array_equal(unaligned_starts.loosened(weights, 0.5, 0.0, 1), weights)
    noise = unaligned_starts.loosened(weights, 0.5, 1.0, 1)
    assert np.array_equal(noise, unaligned_starts.loosened(0 * weights, 0.5, 1.0, 1))
    assert noise.std() == pytest.approx(0.5 / 60**0.5, rel=0.05)


@given(OBJECTIVES, DEPTHS, st.floats(0.3, 2), st.floats(0.3, 2), st.floats(0.05, 0.49))
def test_one_decoder_layer_is_the_scalar_theory(objective, depth, lam, rho, part):
    end = deeper_decoder.fixed_point(objective, rho, depth=depth, decoder_depth=1)
    assert end == pytest.approx(dynamics.fixed_point(objective, rho, depth=depth))
    assert deeper_decoder.slowdown(objective, depth=depth, decoder_depth=1) == objective.slowdown(
        depth=depth
    )
    epsilon = part * float(end)
    due = critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
    found = depth * deeper_decoder.critical_time(
        objective, lam, rho, depth=depth, decoder_depth=1, gain=epsilon ** (1 / depth)
    )
    assert found == pytest.approx(due, rel=1e-9, abs=1e-12)


@given(OBJECTIVES, DEPTHS, st.integers(1, 6), st.floats(0.3, 2), st.floats(0.1, 0.7))
def test_a_deeper_decoder_keeps_to_its_equation(objective, depth, decoder_depth, rho, part):
    count = depth + decoder_depth
    growth = (objective.base_exponent - 1) * depth + decoder_depth - 1
    end = rho ** (1 / (2 * count - 1 - growth))

    def slowness(log_omega):
        omega = np.exp(log_omega)
        return omega / (1.3 * omega**growth - 1.3 / rho * omega ** (2 * count - 1))

    gain, goal = part * 0.5 ** (1 / depth) * end, 0.5 ** (1 / depth) * end
    due = quad(slowness, np.log(gain), np.log(goal), epsrel=1e-11)[0]
    found = deeper_decoder.critical_time(
        objective, 1.3, rho, depth=depth, decoder_depth=decoder_depth, gain=gain
    )
    assert found == pytest.approx(due, rel=1e-7)


@given(OBJECTIVES, st.integers(1, 3), SEEDS)
def test_unbalanced_aligned_layers_keep_to_their_reduced_equations(objective, depth, seed):
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.3, 0.9, (depth + 1, 3))
    lam, rho = rng.uniform(0.5, 1.5, 3), rng.uniform(0.5, 1.2, 3)
    weights = unaligned_starts.aligned_layers(objective, scales, rng)
    times = np.array([0.0, 1.0, 3.0])
    path = matrix_flow.integrate(objective, weights, np.diag(lam / rho), np.diag(lam), times)
    found = unbalanced.unbalanced_sizes(objective, lam, rho, scales, times)
    assert np.allclose(found, [matrix_flow.feature_sizes(w) for w in path], atol=1e-7)


@pytest.mark.parametrize("objective", [JEPA, MAE])
@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize("apart", [1.0, 10.0])
def test_unbalanced_sizes_are_right_at_times_that_are_right_to_1e_7(objective, depth, apart):
    """Scales squared differ by constants, which leaves one integral: how long until a size."""
    lam, rho, least = 1.3, 0.8, 0.02 if depth < 3 else 0.2 / apart**0.5
    scales = least * apart ** np.linspace(0, 1, depth + 1)

    def at(x):
        """All scales, and the rate of x, when the least one is e^x."""
        now = np.sqrt(scales**2 - least**2 + np.exp(2 * x))
        target = now[:-1].prod() if objective is JEPA else 1.0
        return now, now.prod() * np.exp(-2 * x) * (lam * target - lam / rho * now.prod())

    start, stop = np.log(least), 2.0
    end = brentq(lambda x: at(x)[1], start + 1e-3, stop)
    goals = [start + share * (end - start) for share in (0.5, 0.9, 0.99)]
    due = [
        quad(lambda x: 1 / at(x)[1], start, x, epsabs=0, epsrel=1e-12, limit=500)[0] for x in goals
    ]
    sizes = [at(x)[0][:-1].prod() for x in goals]
    for sign in (-1, 1):
        times = np.append(0.0, np.multiply(due, 1 + sign * 1e-7))
        found = unbalanced.unbalanced_sizes(objective, [lam], [rho], scales[:, None], times)
        assert (sign * (found[1:, 0] - sizes) > 0).all()


@given(st.floats(-1, 1), st.floats(0.3, 2), DEPTHS)
def test_the_unbalanced_decoder_of_mae_solves_its_equation(kappa, rho, depth):
    v = unbalanced.balanced_decoder(kappa, rho, depth=depth)
    assert v * v > kappa and v * (v * v - kappa) ** (depth / 2) == pytest.approx(rho)


def test_mae_ends_where_its_imbalance_says():
    scales = np.array([[0.5], [0.5], [0.9]])
    end = unbalanced.unbalanced_sizes(MAE, [1.2], [0.8], scales, np.array([0.0, 300.0]))[-1, 0]
    v = unbalanced.balanced_decoder(0.81 - 0.25, 0.8, depth=2)
    assert end == pytest.approx(0.8 / v, rel=1e-6)


@given(SEEDS)
def test_the_joint_basis_makes_both_covariances_diagonal(seed):
    xx, yx = covariances(seed)
    basis = noncommuting.joint_basis(xx, yx)
    inverse = np.linalg.inv(basis)
    lam, rho = noncommuting.features_along(basis, xx, yx)
    assert np.allclose(np.linalg.norm(basis, axis=0), 1)
    assert np.allclose(inverse @ yx @ inverse.T, np.diag(lam))
    assert np.allclose(inverse @ xx @ inverse.T, np.diag(lam / rho))
    assert np.allclose(yx @ np.linalg.solve(xx, basis), rho * basis)


@given(OBJECTIVES, DEPTHS, SEEDS)
def test_the_final_encoder_is_at_rest_and_within_its_bounds(objective, depth, seed):
    xx, yx = covariances(seed)
    regression = yx @ np.linalg.inv(xx)
    gram = rests.final_gram(objective, xx, yx, depth=depth)
    values, vectors = np.linalg.eigh(gram)
    target = gram if objective is JEPA else np.eye(4)
    power = vectors * values ** (1 + 1 / depth) @ vectors.T
    assert np.allclose(regression.T @ target @ regression, power, atol=1e-8 * power.max())
    basis = noncommuting.joint_basis(xx, yx)
    _, rho = noncommuting.features_along(basis, xx, yx)
    sizes = np.linalg.norm(rests.final_encoder(objective, xx, yx, depth=depth) @ basis, axis=0)
    assert np.all(sizes <= dynamics.fixed_point(objective, rho, depth=depth) * (1 + 1e-9))


@given(OBJECTIVES, DEPTHS)
def test_commuting_covariances_end_at_the_fixed_points(objective, depth):
    lam, rho = np.array([1.0, 0.8, 1.3]), np.array([1.1, 0.7, 0.9])
    encoder = rests.final_encoder(objective, np.diag(lam / rho), np.diag(lam), depth=depth)
    assert np.allclose(
        np.linalg.norm(encoder, axis=0), dynamics.fixed_point(objective, rho, depth=depth)
    )


def test_candidates_coincide_where_covariances_commute():
    spectrum = examples.task(5)
    xx, yx = spectrum.covariances()
    for name, basis in noncommuting.candidate_bases(xx, yx, 0.4).items():
        lam, rho = noncommuting.features_along(basis, xx, yx)
        assert np.allclose(np.sort(lam), spectrum.lam), name
        assert np.allclose(lam * rho, lam * np.interp(lam, spectrum.lam, spectrum.rho)), name


@given(st.permutations(range(6)))
def test_agreement_is_kendalls_tau_where_all_is_learned(order):
    half, due = np.array(order, dtype=float), np.arange(6.0)
    assert learning_order.agreement(half, due) == pytest.approx(kendalltau(half, due).statistic)


def test_agreement_counts_the_unlearned_as_last_and_leaves_out_what_is_not_due():
    due = np.array([1.0, 2.0, 3.0, 4.0])
    missing = np.array([[1.0, 2.0, np.nan, np.nan], [np.nan, np.nan, 3.0, 4.0], [np.nan] * 4])
    last = learning_order.agreement(missing, due)
    assert last[0] > 0.8 and last[1] < 0 and last[2] == 0
    some = np.array([np.nan, 2.0, 3.0, np.nan])
    assert learning_order.agreement([9.0, 5.0, 6.0, 0.0], some) == pytest.approx(1)
    assert np.isnan(learning_order.agreement(due, [1.0, np.nan, np.nan, np.nan]))


def test_size_at_is_linear_between_levels():
    levels = [0.0, 1.0, 2.0]
    assert learning_order.size_at(levels, [1.0, 0.8, 0.4], 0.6) == pytest.approx(1.5)
    assert learning_order.size_at(levels, [0.5, 0.8, 0.4], 0.6) == 0
    assert np.isnan(learning_order.size_at(levels, [1.0, 0.8, 0.7], 0.6))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: unaligned_starts.aligned_layers(JEPA, np.ones((1, 3)), 0),
            r"scales must be \(L \+ M",
        ),
        (
            lambda: unaligned_starts.aligned_layers(JEPA, -np.ones((2, 3)), 0),
            "scales must be positive",
        ),
        (
            lambda: deeper_decoder.critical_time(JEPA, 1, 1, depth=2, decoder_depth=1, gain=1.5),
            "gain must be below",
        ),
        (
            lambda: deeper_decoder.slowdown(JEPA, depth=2, decoder_depth=0),
            "decoder_depth must be an integer",
        ),
        (lambda: unbalanced.balanced_decoder(0.1, -1.0, depth=2), "rho must be positive"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def test_without_bend_the_nonlinear_network_is_the_linear_one():
    torch = pytest.importorskip("torch")
    from jepabook import linear_net, minibatch, relu_net

    spectrum = examples.task(3)
    xx, yx = spectrum.covariances()
    yy = np.diag(spectrum.lam * spectrum.rho)

    def source():
        return minibatch.GaussianViews(xx, yx, yy, 30, 5, "samples", torch.float64)

    start = linear_net.initial_weights(
        "gaussian", 2, depth=2, width=3, gain=0.7, seed=1, dtype=torch.float64
    )
    objectives, at = [JEPA, MAE], np.array([0, 20, 40])
    probe = torch.randn(3, 5000, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    probe = torch.linalg.qr(probe.T).Q.T  # white to rounding, so sizes are exact
    nonlinear = relu_net.train(start, objectives, 0.0, source(), 0.1, 40, at, probe)
    chosen = linear_net.settings(objectives, start, 0.1)
    linear = linear_net.train(start, chosen, source(), 40, at, progress=False).sizes
    assert np.allclose(nonlinear, linear, rtol=1e-9)
    bent = relu_net.train(start, objectives, 0.5, source(), 0.1, 40, at, probe)
    assert not np.allclose(bent[-1], linear[-1], rtol=1e-2)


def test_sizes_of_a_bent_code_are_its_mean_slopes():
    torch = pytest.importorskip("torch")
    from jepabook import relu_net

    layers = torch.stack([torch.eye(2), torch.diag(torch.tensor([2.0, 3.0]))])[:, None]
    x = torch.randn(2, 200_000, generator=torch.Generator().manual_seed(0))
    found = relu_net.sizes(layers, torch.ones(1, 1, 1), x)
    assert np.allclose(found, [[2.0, 3.0]], rtol=0.03)


def test_the_nonlinear_network_refuses_what_does_not_fit():
    torch = pytest.importorskip("torch")
    from jepabook import minibatch, relu_net

    source = minibatch.GaussianViews(np.eye(3), np.eye(3), np.eye(3), 10, 0)
    with pytest.raises(ValueError, match="source must draw samples"):
        relu_net.train(torch.zeros(2, 1, 3, 3), [JEPA], 0.0, source, 0.1, 1, [0], torch.ones(3, 4))


def test_parts_of_the_recorded_grid_come_out_again():
    pytest.importorskip("torch")
    from jepabook import minibatch, recorded
    from results import assumptions

    arrays, _ = recorded.result("assumptions")
    population = minibatch.Population(assumptions.XX, assumptions.YX)
    parts = {
        "encoder": (assumptions.balance_part("encoder", (0.0, 0.5), 1), 0.5),
        "rate": (assumptions.sgd_part((0.3,), lambda _: population, float, 2), 0.3),
    }
    for part, (found, level) in parts.items():
        at = np.flatnonzero(arrays[f"{part}_levels"] == level)
        for name in ("jepa_half", "mae_half", "jepa_final", "mae_final"):
            expected = arrays[f"{part}_{name}"][at]
            np.testing.assert_allclose(found[name][-1:], expected, rtol=1e-5)


def test_times_and_sizes_with_a_deeper_decoder_at_the_ends_of_float64():
    unit = deeper_decoder.critical_time(JEPA, 1.0, 1.0, depth=3, decoder_depth=2, gain=0.1)
    scaled = deeper_decoder.critical_time(
        JEPA, 1e250, 1e-75, depth=3, decoder_depth=2, gain=0.1 * 1e-75**0.5
    )
    # m = 3 for L = 3, M = 2: the unit of time is 1 / (lam rho^3)
    assert scaled == pytest.approx(unit * 1e-25, rel=1e-12)
    with pytest.raises(ValueError, match=r"^gain must be large enough for the time to fit"):
        deeper_decoder.critical_time(JEPA, 1.0, 1.0, depth=3, decoder_depth=1, gain=1e-70)
    with pytest.raises(ValueError, match=r"^rho must be small enough for the size to fit"):
        deeper_decoder.fixed_point(JEPA, 1e200, depth=3, decoder_depth=1)
