"""JEPA and MAE from one start on one stream of minibatches."""

import numpy as np
import pytest
import torch

from jepabook import (
    JEPA,
    MAE,
    FeatureSpectrum,
    feature_spectrum,
    linear_net,
    minibatch,
    objectives,
    same_minibatches,
)

SPECTRUM = feature_spectrum.distribution(2, 6, rho=(0.5, 1.0))


def short(**changes):
    asked = {"seeds": 3, "gains": [0.6], "learning_rates": [0.05], "depth": 2, "batch": 50}
    return same_minibatches.train_both(SPECTRUM, **asked | {"steps": 20} | changes)


def test_axes_are_moments_objectives_gains_rates_seeds_features():
    runs = short(gains=[0.5, 0.8], learning_rates=[0.01, 0.02, 0.03], record_at=[0, 10, 20])
    assert runs.sizes.shape == (3, 2, 2, 3, 3, 6)
    assert runs.diverged_at.shape == (2, 2, 3, 3)
    assert runs.steps.tolist() == [0, 10, 20]


def test_objectives_and_rates_start_alike_and_gains_scale_the_start():
    first = short(gains=[0.5, 1.0], learning_rates=[0.01, 0.02]).sizes[0]
    assert np.array_equal(first[0], first[1])
    assert np.array_equal(first[:, :, 0], first[:, :, 1])
    np.testing.assert_allclose(first[:, 1], 2**2 * first[:, 0], rtol=1e-6)  # depth 2


def test_seeds_differ_and_the_seed_decides_all():
    runs, again, other = short(), short(), short(seed=1)
    assert np.array_equal(runs.sizes, again.sizes)
    assert not np.any(runs.sizes[-1] == other.sizes[-1])
    assert not np.any(runs.sizes[-1, ..., 0, :] == runs.sizes[-1, ..., 1, :])


@pytest.mark.parametrize("index, objective", [(0, JEPA), (1, MAE)])
def test_each_run_is_the_plain_training_of_its_objective(index, objective):
    """A run of the comparison equals one set up by hand with the same draws."""
    start, stream = (int(s) for s in np.random.SeedSequence(0).generate_state(2))
    weights = 0.6 * linear_net.initial_weights(
        "gaussian", 3, depth=2, width=6, gain=1.0, seed=start
    )
    xx, yx = (np.stack([matrix] * 3) for matrix in SPECTRUM.covariances())
    views = minibatch.GaussianViews(xx, yx, xx, 50, stream)
    settings = linear_net.settings(objective, weights, 0.05)
    history = linear_net.train(weights, settings, views, 20)
    found = short().sizes[-1, index, 0, 0]
    np.testing.assert_allclose(found, history.sizes[-1], rtol=1e-5)


def test_a_run_that_diverges_is_named_and_leaves_the_others_alone():
    runs, alone = short(learning_rates=[0.05, 1e4]), short()
    assert (runs.diverged_at[:, :, 1] >= 0).all() and (runs.diverged_at[:, :, 0] == -1).all()
    np.testing.assert_allclose(runs.sizes[:, :, :, :1], alone.sizes, rtol=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seeds": 0}, "seeds must be an integer >= 1, got 0"),
        ({"gains": [0.5, -1]}, r"gains must be positive and finite, got -1.0 at index \(1,\)"),
        ({"learning_rates": 0}, "learning_rates must be positive and finite, got 0"),
    ],
)
def test_bad_input_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        short(**changes)


def test_a_correlation_above_one_is_refused():
    with pytest.raises(ValueError, match=r"rho must be at most 1, got 1.2 at index \(1,\)"):
        same_minibatches.train_both(FeatureSpectrum([1, 1], [1, 1.2]), 1, [0.5], [0.1])


def test_a_decoder_that_is_a_number_leaves_nothing_out():
    weights = linear_net.initial_weights(
        "gaussian", 3, depth=2, width=6, gain=1.0, seed=0, dtype=torch.float64
    )
    weights[-1] = 0.3 * torch.eye(6, dtype=torch.float64)
    gain, spread, mean_rho = same_minibatches.decoder_gain(weights, *SPECTRUM.covariances())
    np.testing.assert_allclose(gain, 0.3, rtol=1e-12)
    np.testing.assert_allclose(spread, 0, atol=1e-6)
    sizes = torch.linalg.norm(weights[1] @ weights[0], dim=-2).numpy()
    share = sizes**2 * SPECTRUM.sigma_squared
    np.testing.assert_allclose(mean_rho, share @ SPECTRUM.rho / share.sum(-1), rtol=1e-12)


def test_decoder_gain_is_the_regression_of_the_decoded_on_the_encoding():
    """Against least squares on samples, to their accuracy."""
    weights = linear_net.initial_weights(
        "gaussian", 1, depth=2, width=6, gain=1.0, seed=5, dtype=torch.float64
    )
    weights[-1] += 0.5 * torch.eye(6)
    x, y = SPECTRUM.sample(200_000, seed=1)
    encoder = (weights[1, 0] @ weights[0, 0]).numpy()
    code, target = x @ encoder.T, y @ encoder.T
    decoded = code @ weights[2, 0].numpy().T
    v = np.vdot(code, decoded) / np.vdot(code, code)
    left_out = np.linalg.norm(decoded - v * code) / np.linalg.norm(decoded)
    best = np.vdot(code, target) / np.vdot(code, code)
    found = same_minibatches.decoder_gain(weights, *SPECTRUM.covariances())
    np.testing.assert_allclose(np.ravel(found), [v, left_out, best], rtol=0.01)


def test_a_path_of_the_decoder_has_growth_in_units_of_gradient_flow():
    path = same_minibatches.follow_decoder(SPECTRUM, 2, 3, seed=0, steps=4, depth=2)
    assert path.gain.shape == path.spread.shape == path.mean_rho.shape == (3, 2)
    assert path.growth.shape == (3, 2, 6) and path.fastest().shape == (2,)
    finer = same_minibatches.follow_decoder(SPECTRUM, 2, 3, seed=0, steps=8, depth=2, rate=0.015)
    np.testing.assert_allclose(path.growth, finer.growth, atol=0.02)
    np.testing.assert_allclose(path.gain, finer.gain, atol=0.01)


def test_growth_that_is_covariance_less_a_share_of_variance_is_fitted_exactly():
    rates = SPECTRUM.lam - 0.4 * SPECTRUM.sigma_squared
    growth = np.stack([[rates, 5 * rates], [3 * rates, 2 * rates]])  # stretches, runs, features
    ones = np.ones((2, 2))
    path = same_minibatches.DecoderPath(ones, ones, ones, growth)
    found, fitted, c = path.fit(SPECTRUM)
    np.testing.assert_allclose(c, 0.4, rtol=1e-9)
    np.testing.assert_array_equal(found, [growth[path.fastest()[r], r] for r in range(2)])
    np.testing.assert_allclose(fitted, found, rtol=1e-9, atol=1e-12)


def test_a_followed_loss_is_the_populations_and_goes_on_between_stretches():
    kinds, known = (JEPA, JEPA, MAE), {"seed": 3, "depth": 2, "batch": 8, "rate": 0.05}
    options = known | {"target_rate": [np.inf, 0.5, np.inf]}
    whole = same_minibatches.follow_loss(SPECTRUM, kinds, 2, 1, steps=6, **options)
    parts = same_minibatches.follow_loss(SPECTRUM, kinds, 2, 3, steps=2, **options)
    assert parts.steps.tolist() == [0, 2, 4, 6] and parts.loss.shape == (4, 3, 2)
    np.testing.assert_allclose(parts.loss[[0, -1]], whole.loss, rtol=1e-12)
    assert np.all(parts.gap >= 0) and np.allclose(parts.floor[:, 2], parts.floor[0, 2])
    np.testing.assert_allclose(parts.loss[0, 0], parts.loss[0, 1])  # the average starts there
    assert np.all(parts.variance[-1, 0] != parts.variance[-1, 1])
    sigmas = *SPECTRUM.covariances(), SPECTRUM.covariances()[0]
    weights = linear_net.initial_weights(
        "gaussian",
        2,
        depth=2,
        width=len(SPECTRUM),
        gain=3**-0.5,
        seed=int(np.random.SeedSequence(3).generate_state(2)[0]),
        dtype=torch.float64,
    ).numpy()
    for run in range(2):
        first, second, decoder = weights[:, run]
        loss = objectives.loss(JEPA, second @ first, decoder, *sigmas)
        assert loss == pytest.approx(parts.loss[0, 0, run])
        assert parts.unexplained[0, 0, run] == pytest.approx(
            2 * loss / np.trace(second @ first @ sigmas[2] @ (second @ first).T)
        )


# extreme numbers


EXTREME = [1e-300, 1e-160, 1e-40, 1e-20, 1e20, 1e37, 1e40, 1e160, 1e300]
OWN = {
    "train_both": {"seeds": 2, "batch": 20, "gains": 0.5, "learning_rates": 0.01, "steps": 20},
    "follow_decoder": {"runs": 2, "stretches": 2, "seed": 0, "steps": 5},
    "follow_loss": {
        "objectives": [JEPA, MAE],
        "runs": 2,
        "stretches": 2,
        "seed": 0,
        "steps": 5,
        "batch": 20,
    },
}
NUMBERS = {
    "train_both": ["lam", "rho", "gains", "learning_rates"],
    "follow_decoder": ["lam", "rho", "rate"],
    "follow_loss": ["lam", "rho", "rate", "target_rate"],
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", EXTREME)
@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name in NUMBERS for argument in NUMBERS[name]]
)
def test_extreme_numbers_give_numbers_or_one_line_that_names_an_argument(name, argument, value):
    """Never NaN but where `diverged_at` says so, never a warning, never a line about `weights`."""
    lam, rho, given = np.array([1.0, 2.0]), np.array([0.5, 0.9]), {}
    if argument == "lam":
        lam = value * lam
    elif argument == "rho":
        rho = np.minimum(value * rho, 1)
    else:
        given = {argument: value}
    asked = OWN[name] | {"depth": 2} | given
    try:
        found = getattr(same_minibatches, name)(FeatureSpectrum(lam, rho), **asked)
    except ValueError as error:
        assert "\n" not in str(error)
        first = str(error).split(" must ")[0]
        named = {"gains", "rate", "learning_rate", "target_rate", "spectrum and rate", "spectrum"}
        assert first in named | {"sigma_xx", "sigma_yx"}
        return
    if name == "train_both":
        finite = np.isfinite(found.sizes[-1]).all(-1)
        assert np.array_equal(finite, found.diverged_at < 0)
    else:
        assert all(np.isfinite(part).all() for part in vars(found).values())
    if name == "follow_loss":
        assert np.isfinite(found.unexplained).all()


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({"depth": 1000}, "spectrum and rate must keep networks in float32, got rate 0.03"),
        ({"rate": 1e40}, "learning_rate must be at most 3.4e+38 in size for torch.float32, got"),
    ],
)
def test_a_decoder_that_no_number_describes_is_refused(given, start):
    with pytest.raises(ValueError) as caught:
        asked = OWN["follow_decoder"] | {"depth": 2} | given
        same_minibatches.follow_decoder(SPECTRUM, **asked)
    assert str(caught.value).startswith(start)
