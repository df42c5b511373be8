"""Deep linear networks in torch: gradients against autograd, flow against the ODEs, SGD's record.

Checkpoints are tested here with `train`, which writes them.
"""

import inspect
import io
import sys

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import nn

from jepabook import (
    JEPA,
    MAE,
    FeatureSpectrum,
    critical_time,
    dynamics,
    feature_spectrum,
    linear_net,
    matrix_flow,
    recorded,
)
from jepabook.theory import _layers
from jepabook.training.minibatch import GaussianViews, Population

BOTH = pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
DOUBLE = torch.float64


def covariances(width, seed, streams=None):
    """Joint covariances of (x, y) without structure: sigma_xx, sigma_yx, sigma_yy."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((streams or 1, 2 * width, 4 * width))
    full = z @ z.swapaxes(-1, -2) / (4 * width)
    blocks = full[:, :width, :width], full[:, width:, :width], full[:, width:, width:]
    return blocks if streams else tuple(block[0] for block in blocks)


def views(width, batch, seed, streams=None, draw="wishart", dtype=DOUBLE):
    return GaussianViews(*covariances(width, seed, streams), batch, seed, draw, dtype)


def start(runs=2, depth=2, width=3, gain=0.6, seed=0, decoder_depth=1, dtype=DOUBLE):
    known = {"width": width, "gain": gain, "seed": seed, "decoder_depth": decoder_depth}
    return linear_net.initial_weights("gaussian", runs, depth=depth, **known, dtype=dtype)


# the gradient


class Plain:
    """One network of nn.Linear layers, trained by autograd and torch.optim.SGD on samples."""

    def __init__(self, weights, objective, rate, decay, target_rate, decoder_depth, stop=True):
        self.layers = nn.ModuleList()
        for weight in weights:
            layer = nn.Linear(*weight.shape, bias=False, dtype=weight.dtype)
            layer.weight.data.copy_(weight)
            self.layers.append(layer)
        self.encoder = nn.Sequential(*self.layers[:-decoder_depth])
        self.decoder = nn.Sequential(*self.layers[-decoder_depth:])
        self.slow = None
        if np.isfinite(target_rate):
            self.momentum = 1 - min(1.0, rate * target_rate)
            self.slow = [layer.weight.detach().clone() for layer in self.encoder]
        self.objective, self.stop = objective, stop
        self.optimiser = torch.optim.SGD(self.layers.parameters(), lr=rate, weight_decay=decay)

    def target(self, y):
        if self.objective is MAE:
            return y
        if self.slow is not None:
            for weight in self.slow:
                y = nn.functional.linear(y, weight)
            return y
        return self.encoder(y).detach() if self.stop else self.encoder(y)

    def step(self, x, y, batch):
        """x, y: samples as rows; eq. (5) is half their sum of squares over the batch."""
        loss = (self.decoder(self.encoder(x)) - self.target(y)).square().sum() / (2 * batch)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if self.slow is not None:
            for slow, layer in zip(self.slow, self.encoder, strict=True):
                slow.mul_(self.momentum).add_(layer.weight.detach(), alpha=1 - self.momentum)

    def weights(self):
        return torch.stack([layer.weight.detach() for layer in self.layers])


def trained_by_autograd(weights, objectives, rates, decays, target_rates, source, steps, **kwargs):
    """Every run alone, on the minibatches that `source` will draw next."""
    before = source.state()
    minibatches = [source.columns() for _ in range(steps)]
    source.restore(before)
    result = []
    for r, objective in enumerate(objectives):
        net = Plain(weights[:, r], objective, rates[r], decays[r], target_rates[r], **kwargs)
        for x, y in minibatches:
            stream = r % source.streams
            net.step(x[stream].T, y[stream].T, source.batch)
        result.append(net.weights())
    return torch.stack(result, dim=1)


RUN = st.tuples(
    st.sampled_from([JEPA, MAE]),
    st.floats(0.01, 0.1),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([np.inf, 0.0, 0.7, 50.0]),
)


@given(
    st.lists(RUN, min_size=1, max_size=3),
    st.integers(1, 2),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from(GaussianViews.DRAWS),
    st.integers(0, 2**31),
)
@examples(max_examples=60)
def test_sgd_is_autograds_through_linear_layers_on_samples_with_the_target_detached(
    kinds, copies, depth, decoder_depth, width, batch, draw, seed
):
    streams, kinds = len(kinds), kinds * copies
    weights = start(len(kinds), depth, width, 0.8, seed, decoder_depth)
    objectives, rates, decays, target_rates = zip(*kinds, strict=True)
    source = views(width, batch, seed, streams, draw)
    args = objectives, rates, decays, target_rates
    right = trained_by_autograd(weights, *args, source, 3, decoder_depth=decoder_depth)
    chosen = linear_net.settings(
        objectives,
        weights,
        np.array(rates),
        np.array(decays),
        np.array(target_rates),
        decoder_depth,
    )
    found = linear_net.train(weights, chosen, source, 3).weights
    torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-11 * right.abs().max().item())


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_without_the_stop_gradient_or_with_a_wrong_target_autograd_differs(depth):
    """So the test above is able to fail: by the stop-gradient, the batch, the decay, the target."""
    weights, source = start(1, depth), views(3, 5, 0)
    chosen = linear_net.settings(JEPA, weights, 0.1, 0.3, 0.7)
    online = linear_net.settings(JEPA, weights, 0.1, 0.3)
    before = source.state()

    def error(settings, objective=JEPA, rate=0.1, decay=0.3, target_rate=np.inf, **kwargs):
        source.restore(before)
        args = [objective], [rate], [decay], [target_rate]
        kwargs = {"decoder_depth": 1} | kwargs
        right = trained_by_autograd(weights, *args, source, 3, **kwargs)
        return (linear_net.train(weights, settings, source, 3).weights - right).abs().max()

    assert error(online) < 1e-12 and error(chosen, target_rate=0.7) < 1e-12
    assert error(online, stop=False) > 1e-3
    assert error(online, MAE) > 1e-3
    assert error(online, decay=0.0) > 1e-3
    assert error(online, target_rate=0.7) > 1e-5 and error(chosen, target_rate=0.9) > 1e-5


@BOTH
@pytest.mark.parametrize("depth", [1, 3])
def test_on_the_population_a_step_is_the_numpy_gradient(objective, depth):
    weights = start(2, depth)
    xx, yx, _ = covariances(3, 1)
    chosen = linear_net.settings(objective, weights, 0.1)
    found = linear_net.train(weights, chosen, Population(xx, yx), 1).weights
    for r in range(2):
        layers = weights[:, r].numpy()
        right = layers - 0.1 * matrix_flow.gradient(objective, layers, xx, yx)
        np.testing.assert_allclose(found[:, r], right, rtol=1e-12, atol=1e-14)


# gradient flow


@BOTH
@pytest.mark.parametrize("depth", [1, 3])
def test_flow_from_random_weights_is_scipys(objective, depth):
    weights = start(2, depth, 4, gain=0.5)
    xx, yx, _ = covariances(4, 2)
    times = [0.0, 1.0, 3.0, 8.0]
    chosen = linear_net.settings(objective, weights)
    found = linear_net.flow(weights, chosen, Population(xx, yx), times, rtol=1e-11, atol=1e-13)
    for r in range(2):
        right = matrix_flow.integrate(objective, weights[:, r].numpy(), xx, yx, times)
        np.testing.assert_allclose(found.weights[:, r], right[-1], rtol=1e-8, atol=1e-9)
        sizes = [matrix_flow.feature_sizes(w) for w in right]
        np.testing.assert_allclose(found.sizes[:, r], sizes, rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(found.times, times)
    assert found.diverged_at.tolist() == [-1, -1]


WIDE = FeatureSpectrum(np.linspace(0.5, 1.5, 100), np.linspace(1.0, 0.5, 100))


@BOTH
def test_aligned_flow_of_a_network_of_width_100_and_depth_5_follows_the_scalar_equation(objective):
    depth, top = 5, dynamics.fixed_point(objective, WIDE.rho, depth=5)
    epsilon = 0.3 * top.min()
    aligned = matrix_flow.aligned_weights(
        objective, depth=depth, width=100, epsilon=epsilon, seed=1
    )
    weights = torch.as_tensor(aligned)[:, None]
    known = {"lam": WIDE.lam, "rho": WIDE.rho, "depth": depth, "epsilon": epsilon}
    times = np.linspace(0, dynamics.time_to_reach(objective, 0.9 * top, **known).min() / depth, 3)
    chosen, source = linear_net.settings(objective, weights), Population(*WIDE.covariances())
    found = linear_net.flow(weights, chosen, source, times, rtol=1e-8, atol=1e-10)
    right = dynamics.trajectory(objective, depth * times[:, None], **known)
    assert np.abs(found.sizes[:, 0] / right - 1).max() < 1e-7
    if objective is JEPA:  # the wrong clock would be seen
        wrong = dynamics.trajectory(objective, (depth + 1) * times[:, None], **known)
        assert np.abs(found.sizes[:, 0] / wrong - 1).max() > 1e-2


@BOTH
def test_the_error_of_flow_responds_to_its_tolerances(objective):
    weights, (xx, yx, _) = start(2, 3, 4), covariances(4, 3)
    chosen, source = linear_net.settings(objective, weights), Population(xx, yx)
    right = linear_net.flow(weights, chosen, source, [0, 20], rtol=1e-12, atol=1e-14).weights
    errors = [
        (
            linear_net.flow(weights, chosen, source, [0, 20], rtol=rtol, atol=rtol / 100).weights
            - right
        )
        .abs()
        .max()
        .item()
        for rtol in (1e-3, 1e-6, 1e-9)
    ]
    assert errors[0] > 30 * errors[1] > 900 * errors[2] and errors[2] < 1e-8


def test_records_in_between_do_not_change_flow_beyond_its_tolerances():
    weights, (xx, yx, _) = start(2, 2, 3), covariances(3, 3)
    chosen, source = linear_net.settings([JEPA, MAE], weights), Population(xx, yx)
    few = linear_net.flow(weights, chosen, source, [0, 9])
    many = linear_net.flow(weights, chosen, source, np.linspace(0, 9, 10))
    np.testing.assert_allclose(many.sizes[[0, -1]], few.sizes, rtol=1e-6)


def test_flow_keeps_the_balance_of_the_layers_and_decays_by_the_weight_decay():
    """d/dt (W_{a+1}' W_{a+1} - W_a W_a') = -2 kappa (the same), which no step size can fake."""
    weights, (xx, yx, _) = start(2, 3, 3), covariances(3, 4)
    chosen = linear_net.settings([JEPA, MAE], weights, weight_decay=[0.0, 0.2])
    end = linear_net.flow(weights, chosen, Population(xx, yx), [0, 4.0]).weights

    def balance(layers):
        return layers[1:].mT @ layers[1:] - layers[:-1] @ layers[:-1].mT

    shrunk = torch.tensor([1.0, np.exp(-2 * 0.2 * 4.0)], dtype=DOUBLE)[:, None, None]
    torch.testing.assert_close(balance(end), shrunk * balance(weights), rtol=0, atol=1e-7)


def test_flow_is_the_limit_of_sgd_at_small_learning_rates_with_decay_and_moving_targets():
    """The error of SGD after a fixed time is proportional to its learning rate."""
    weights, (xx, yx, _) = start(4, 2, 3), covariances(3, 5)
    objectives, decays = [JEPA, JEPA, JEPA, MAE], [0.0, 0.0, 0.1, 0.1]
    target_rates, source = np.array([np.inf, 0.5, 3.0, np.inf]), Population(xx, yx)
    chosen = linear_net.settings(objectives, weights, 1.0, decays, target_rates)
    slow = start(4, 2, 3, seed=9)[:2]
    right = linear_net.flow(weights, chosen, source, [0, 5.0], target_weights=slow)
    errors = []
    for steps in (500, 1000, 2000):
        chosen = linear_net.settings(objectives, weights, 5.0 / steps, decays, target_rates)
        found = linear_net.train(weights, chosen, source, steps, target_weights=slow)
        errors.append((found.weights - right.weights).abs().amax((0, 2, 3)).numpy())
    ratios = np.array(errors[:-1]) / errors[1:]
    np.testing.assert_allclose(ratios, 2.0, rtol=0.05)
    other = linear_net.flow(weights, chosen, source, [0, 5.0]).weights
    moved = (other - right.weights).abs().amax((0, 2, 3)).numpy()
    assert moved[1] > 1e-3 and moved[2] > 1e-3 and moved[[0, 3]].max() < 1e-7


def test_a_target_that_follows_at_once_is_the_online_target():
    weights, (xx, yx, _) = start(2, 2, 3), covariances(3, 5)
    source = Population(xx, yx)
    online = linear_net.settings(JEPA, weights, 0.05)
    for rate in (20.0, 1e3):  # the share learning_rate * target_rate is at least 1
        fast = linear_net.settings(JEPA, weights, 0.05, target_rate=rate)
        one = linear_net.train(weights, online, source, 50)
        other = linear_net.train(weights, fast, source, 50)
        torch.testing.assert_close(one.weights, other.weights, rtol=1e-12, atol=1e-14)
    right = linear_net.flow(weights, online, source, [0, 2.0]).weights
    errors = []
    for rate in (100.0, 200.0):  # the target lags by a time of 1 / rate
        fast = linear_net.settings(JEPA, weights, target_rate=rate)
        found = linear_net.flow(weights, fast, source, [0, 2.0]).weights
        errors.append((found - right).abs().max().item())
    assert errors[1] < 1e-2 and errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_flow_that_blows_up_is_reported():
    weights = torch.as_tensor(
        matrix_flow.aligned_weights(MAE, depth=2, width=2, epsilon=1.0, seed=0)
    )[:, None]
    source = Population(np.eye(2), np.eye(2))
    source.sigma_xx = -source.sigma_xx  # no covariance: the loss is unbounded
    chosen = linear_net.settings(MAE, weights)
    with pytest.raises(RuntimeError, match=r"^gradient flow was not integrated: "):
        linear_net.flow(weights, chosen, source, [0, 10.0])


def test_flow_in_single_precision_keeps_to_a_tolerance_that_it_can_reach():
    weights, (xx, yx, _) = start(2, 2, 3), covariances(3, 3)
    right = linear_net.flow(
        weights, linear_net.settings(JEPA, weights), Population(xx, yx), [0, 5]
    ).sizes
    single = weights.float()
    source = Population(xx, yx, dtype=torch.float32)
    chosen = linear_net.settings(JEPA, single)
    found = linear_net.flow(single, chosen, source, [0, 5], rtol=1e-5, atol=1e-7)
    assert found.weights.dtype == torch.float32
    np.testing.assert_allclose(found.sizes, right, rtol=1e-4)


# the record of a training


@BOTH
@DTYPES
def test_sizes_are_the_norms_of_the_encoders_columns_at_the_steps_asked_for(objective, dtype):
    weights = start(3, 2, 4, decoder_depth=2, dtype=dtype)
    chosen = linear_net.settings(objective, weights, 0.05, decoder_depth=2)

    def at(step, directions=None):
        source = views(4, 8, 1, dtype=dtype)
        history = linear_net.train(weights, chosen, source, 7, [0, step, 7], directions)
        assert history.weights.dtype == dtype and history.times.tolist() == [0, step, 7]
        return history

    for step in (1, 3):
        layers = weights
        if step:
            source = views(4, 8, 1, dtype=dtype)
            layers = linear_net.train(weights, chosen, source, step).weights
        sizes = (layers[1] @ layers[0]).norm(dim=-2)
        torch.testing.assert_close(torch.as_tensor(at(step).sizes[1]), sizes)
        turned = torch.linalg.qr(torch.randn(4, 4, dtype=dtype)).Q
        sizes = (layers[1] @ layers[0] @ turned).norm(dim=-2)
        torch.testing.assert_close(torch.as_tensor(at(step, turned).sizes[1]), sizes)
    np.testing.assert_array_equal(at(1).weights, at(3).weights)


@pytest.mark.parametrize("steps", [1, 2, 150, 1000])
def test_by_default_201_steps_are_recorded_from_the_first_to_the_last(steps):
    weights = start(1, 1, 1)
    history = linear_net.train(weights, linear_net.settings(MAE, weights), views(1, 2, 0), steps)
    assert len(history.times) == min(201, steps + 1) == len(history.sizes)
    assert history.times[0] == 0 and history.times[-1] == steps


@pytest.mark.parametrize("draw", GaussianViews.DRAWS)
@DTYPES
def test_the_same_seed_gives_the_same_bits_and_another_does_not(draw, dtype):
    def result(seed):
        weights = start(4, 2, 3, dtype=dtype)
        chosen = linear_net.settings([JEPA, JEPA, MAE, MAE], weights, 0.05, 0.1, 0.5)
        source = views(3, 4, seed, 2, draw, dtype)
        return linear_net.train(weights, chosen, source, 20).weights

    assert torch.equal(result(1), result(1))
    assert not torch.equal(result(1), result(2))


@BOTH
def test_initial_and_target_weights_are_left_as_they_are(objective):
    weights, slow, (xx, yx, _) = start(2), start(2, seed=1)[:2], covariances(3, 0)
    copies = weights.clone(), slow.clone()
    chosen = linear_net.settings(objective, weights, 0.1, 0.1, 0.5)
    linear_net.train(weights, chosen, views(3, 4, 0), 5, target_weights=slow)
    linear_net.flow(weights, chosen, Population(xx, yx), [0, 1], target_weights=slow)
    assert torch.equal(weights, copies[0]) and torch.equal(slow, copies[1])
    assert not weights.requires_grad


class Watched(GaussianViews):
    """Keeps the covariances that every network was given."""

    def residual(self, product, target):
        before = self.state()
        self.seen = self.covariances()
        self.restore(before)
        right = product @ self.seen[0].repeat(len(product) // self.streams, 1, 1)
        right -= target @ self.seen[1].repeat(len(product) // self.streams, 1, 1)
        result = super().residual(product, target)
        torch.testing.assert_close(result, right, rtol=1e-10, atol=1e-10)
        return result


def test_jepa_and_mae_of_a_seed_see_the_very_same_minibatches():
    """A run that is there twice, as r and r + S, does the same; and both see `covariances`."""
    weights = start(3, 2, 3).repeat(1, 2, 1, 1)
    source = Watched(*covariances(3, 0, 3), 4, 0, dtype=DOUBLE)
    twice = linear_net.train(weights, linear_net.settings(JEPA, weights, 0.05), source, 20).weights
    assert torch.equal(twice[:, :3], twice[:, 3:])
    both = linear_net.settings([JEPA] * 3 + [MAE] * 3, weights, 0.05)
    mixed = linear_net.train(weights, both, views(3, 4, 0, 3), 20).weights
    alone = linear_net.settings(MAE, weights, 0.05)
    mae = linear_net.train(weights, alone, views(3, 4, 0, 3), 20).weights
    assert torch.equal(mixed[:, :3], twice[:, :3]) and torch.equal(mixed[:, 3:], mae[:, 3:])


def first_bad_step(weights, settings, seed, run, steps):
    """By training again for 1, 2, ... steps: the first after which a run's network is broken."""
    for count in range(1, steps + 1):
        end = linear_net.train(weights, settings, views(3, 4, seed), count, [0]).weights
        if not torch.isfinite(_layers.partial_products(end)[-1][run]).all():
            return count
    return -1


@BOTH
@DTYPES
def test_divergence_is_reported_with_its_step_and_does_not_touch_the_other_runs(objective, dtype):
    weights = start(3, 2, 3, dtype=dtype)
    wild, tame = np.array([0.02, 40.0, 0.01]), np.array([0.02, 0.03, 0.01])

    def result(rates, steps=60):
        chosen = linear_net.settings(objective, weights, rates, 0.1, [0.5, 0.5, np.inf])
        return linear_net.train(
            weights, chosen, views(3, 4, 6, dtype=dtype), steps, range(steps + 1)
        )

    history, quiet = result(wild), result(tame)
    at = history.diverged_at[1]
    assert history.diverged_at.tolist() == [-1, at, -1] and 0 < at < 60
    assert quiet.diverged_at.tolist() == [-1, -1, -1]
    assert torch.equal(history.weights[:, [0, 2]], quiet.weights[:, [0, 2]])
    np.testing.assert_array_equal(history.sizes[:, [0, 2]], quiet.sizes[:, [0, 2]])
    assert np.isfinite(history.sizes[:at, 1]).all()
    assert not np.isfinite(history.sizes[at + 1 :, 1]).any()
    # the step does not depend on where training ends, also when it ends there
    for steps in range(max(1, at - 3), at + 3):
        short = result(wild, steps)
        broken = not torch.isfinite(short.weights[:, 1]).all()
        assert short.diverged_at[1] == (at if steps >= at else -1)
        assert broken == (steps > at) or steps == at


def test_a_divergence_in_the_last_step_of_all_is_reported():
    """The gradient of the last weights is never asked for."""
    weights = torch.full((2, 1, 1, 1), 1e30, dtype=torch.float32)
    chosen = linear_net.settings(MAE, weights)
    source = Population([[1.0]], [[1.0]], dtype=torch.float32)
    assert linear_net.train(weights, chosen, source, 1).diverged_at.tolist() == [0]
    weights = torch.full((2, 1, 1, 1), 1e13, dtype=torch.float32)
    history = linear_net.train(weights, chosen, source, 1)
    assert not torch.isfinite(history.weights).all()
    assert history.diverged_at.tolist() == [1]


def test_memory_does_not_grow_with_the_number_of_steps():
    weights = start(16, 2, 32)
    chosen = linear_net.settings(JEPA, weights, 0.01, 0.1, 0.5)
    process = psutil.Process()

    def grown(steps):
        source = views(32, 64, 0)
        before = process.memory_info().rss
        linear_net.train(weights, chosen, source, steps, [0, steps])
        return process.memory_info().rss - before

    grown(20)
    one_array = weights[0].nbytes
    assert grown(400) < 0.2 * 400 * one_array


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("terminal", "progress", "shown"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
@pytest.mark.parametrize("how", ["train", "flow"])
def test_a_progress_bar_is_shown_where_there_is_a_terminal_or_when_asked_for(
    monkeypatch, how, terminal, progress, shown
):
    weights, (xx, yx, _) = start(1), covariances(3, 0)
    chosen, source = linear_net.settings(MAE, weights, 0.01), Population(xx, yx)
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    run = {"train": linear_net.train, "flow": linear_net.flow}[how]
    run(weights, chosen, source, 2 if how == "train" else [0, 0.1, 0.2], progress=progress)
    assert ("2/2" in screen.getvalue()) == shown == bool(screen.getvalue())


# checkpoints


class Interrupted(Exception):
    pass


class Fragile(GaussianViews):
    """Fails after some minibatches, as a machine would."""

    def fail_after(self, calls):
        self.left = calls
        return self

    def residual(self, product, target):
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        return super().residual(product, target)


STEPS, EVERY = 23, 5


def training(path, calls=STEPS, **changes):
    """4 runs, two of them JEPA's with slow targets, one of which diverges."""
    given = {
        "objectives": [JEPA, JEPA, MAE, MAE],
        "seed": 3,
        "batch": 4,
        "rate": 40.0,
        "decay": 0.1,
        "target_rate": 0.5,
        "steps": STEPS,
        "record_at": [0, 4, 5, 6, 20, 23],
        "directions": None,
        "draw": "wishart",
        "dtype": torch.float32,
        "target_weights": None,
        "every": EVERY,
    } | changes
    weights = start(4, 2, 3, seed=given["seed"], dtype=given["dtype"])
    source = Fragile(
        *covariances(3, 0, 2), given["batch"], 5, given["draw"], dtype=given["dtype"]
    ).fail_after(calls)
    chosen = linear_net.settings(
        given["objectives"],
        weights,
        [0.05, given["rate"], 0.05, 0.02],
        given["decay"],
        given["target_rate"],
    )
    return linear_net.train(
        weights,
        chosen,
        source,
        given["steps"],
        given["record_at"],
        given["directions"],
        given["target_weights"],
        path,
        given["every"],
    )


def assert_same(one, other):
    assert torch.equal(one.weights.nan_to_num(7), other.weights.nan_to_num(7))
    np.testing.assert_array_equal(one.sizes, other.sizes)
    np.testing.assert_array_equal(one.times, other.times)
    np.testing.assert_array_equal(one.diverged_at, other.diverged_at)


@pytest.mark.parametrize("draw", ["wishart", "samples"])
@DTYPES
def test_interrupted_and_resumed_is_bit_by_bit_what_it_would_have_been(tmp_path, draw, dtype):
    right = training(None, draw=draw, dtype=dtype)
    assert right.diverged_at[1] > 0 and (right.diverged_at[[0, 2, 3]] == -1).all()
    assert right.diverged_at[1] < STEPS
    for calls in (1, 5, 6, 10, 14, 22):
        path = tmp_path / f"{calls}.npz"
        with pytest.raises(Interrupted):
            training(path, calls, draw=draw, dtype=dtype)
        assert path.exists() == (calls >= EVERY)
        assert_same(training(path, draw=draw, dtype=dtype), right)
        assert_same(training(path, 0, draw=draw, dtype=dtype), right)  # nothing is left to do
    assert {file.suffix for file in tmp_path.iterdir()} == {".npz"}
    assert len(list(tmp_path.iterdir())) == 6


def test_interrupted_many_times_and_with_another_rhythm_it_is_still_the_same(tmp_path):
    right, path = training(None), tmp_path / "c.npz"
    for every, calls in ((2, 3), (3, 4), (1, 2), (5, 9)):
        with pytest.raises(Interrupted):
            training(path, calls, every=every)
    assert_same(training(path), right)


CHANGES = {
    "objectives": ({"objectives": [JEPA, MAE, MAE, MAE]}, "objectives"),
    "steps": ({"steps": 24}, "steps"),
    "records": ({"record_at": [0, 23]}, "records"),
    "weights": ({"seed": 4}, "start and rates"),
    "learning rate": ({"rate": 41.0}, "start and rates"),
    "decay": ({"decay": 0.2}, "start and rates"),
    "target rate": ({"target_rate": 0.6}, "start and rates"),
    "directions": ({"directions": torch.eye(3).flip(0)}, "start and rates"),
    "targets": ({"target_weights": torch.ones(2, 4, 3, 3)}, "start and rates"),
    "batch": ({"batch": 5}, "source"),
    "draw": ({"draw": "samples"}, "source"),
    "type": ({"dtype": torch.float64}, "start and rates, source"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_of_another_training_is_refused_with_what_differs_and_kept(tmp_path, name):
    path = tmp_path / "c.npz"
    with pytest.raises(Interrupted):
        training(path, 7)
    before, (changes, what) = path.read_bytes(), CHANGES[name]
    with pytest.raises(ValueError) as caught:
        training(path, **changes)
    right = f"checkpoint {path} is of another training, which differs in: {what}"
    assert str(caught.value) == right
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(Interrupted):
        training(path, 7)
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:-1], b"text", whole[:99] + whole[120:]):
        path.write_bytes(content)
        with pytest.raises(ValueError) as caught:
            training(path)
        assert str(caught.value).startswith(f"{path} is damaged or not a file of this book")
        assert "\n" not in str(caught.value)


DAMAGED = {
    "no format": ({}, {"format": None}, "must be of format 1, got another one: remove it, and b"),
    "another format": ({}, {"format": 2}, "must be of format 1, got another one: remove it, and b"),
    "less told": ({}, {"steps": None}, "is of another training, which differs in: steps"),
    "more told": ({}, {"more": 1}, "is of another training, which differs in: more"),
    "an array less": ({"target": None}, {}, "is damaged: it lacks 'target'"),
    "an array more": ({"extra": np.ones(3)}, {}, "is damaged: it holds 'extra'"),
    "a shape": ({"weights": np.ones(3, "f4")}, {}, "is damaged: its 'weights' is float32 of shape"),
    "a type": ({"diverged_at": np.full(4, -1.0)}, {}, "is damaged: its 'diverged_at' is float64"),
    "a step too far": ({"step": np.array(99)}, {}, "is damaged: its step is 99"),
    "a step before all": ({"step": np.array(-1)}, {}, "is damaged: its step is -1"),
    "later": ({"diverged_at": np.array([9, -1, -1, -1])}, {}, "is damaged: its 'diverged_at' or '"),
    "time": ({"seconds": np.array(-1.0)}, {}, "is damaged: its 'diverged_at' or 'seconds' cannot"),
    "a weight": ({"weights": np.nan}, {}, "is damaged: its 'weights' must be finite in runs that"),
    "a target": ({"target": np.inf}, {}, "is damaged: its 'target' must be finite in runs that"),
    "a size": ({"sizes": np.nan}, {}, "is damaged: its 'sizes' must be numbers in runs that did "),
    "a generator": ({"source": 255}, {}, "is damaged: its 'source' is no generator's state"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_checkpoint_that_is_not_as_it_was_written_is_refused_in_one_line(tmp_path, name):
    path, (arrays, facts, message) = tmp_path / "c.npz", DAMAGED[name]
    with pytest.raises(Interrupted):
        training(path, 7)
    found, told = recorded.load(path)
    for key, value in arrays.items():
        if value is None or np.ndim(value) or np.ndim(found[key]) == 0:
            found[key] = value
        else:
            found[key] = np.full_like(found[key], value)
    told |= facts
    recorded.save(
        path,
        {key: value for key, value in found.items() if value is not None},
        {key: value for key, value in told.items() if value is not None},
        ["*"],
    )
    before = path.read_bytes()
    with pytest.raises(ValueError) as caught:
        training(path)
    assert str(caught.value).startswith(f"checkpoint {path} {message}")
    assert "\n" not in str(caught.value) and path.read_bytes() == before


def test_a_checkpoint_tells_which_runs_have_diverged_when_it_is_written(tmp_path):
    """What is not finite in it is of those, also where the step after would have told."""
    path = tmp_path / "c.npz"
    right = training(None)
    for calls in range(EVERY, STEPS):
        if path.exists():
            path.unlink()
        with pytest.raises(Interrupted):
            training(path, calls, every=1)
        arrays, _ = recorded.load(path)
        broken = ~np.isfinite(arrays["weights"]).all((0, 2, 3))
        assert (arrays["diverged_at"][broken] == right.diverged_at[broken]).all()
        assert_same(training(path), right)


def test_a_checkpoint_must_be_an_npz_file_and_is_refused_before_the_first_step(tmp_path):
    for name in ("c", "c.pt"):
        with pytest.raises(ValueError, match=r"^path must end in \.npz, got "):
            training(tmp_path / name, 0)


# initial weights


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
@pytest.mark.parametrize("gain", [3**-0.5, 1.5])
@DTYPES
def test_random_layers_have_independent_entries_of_the_variance_asked_for(kind, gain, dtype):
    width = 40
    weights = linear_net.initial_weights(
        kind, 20, depth=2, width=width, gain=gain, seed=0, decoder_depth=2, dtype=dtype
    )
    assert weights.shape == (4, 20, width, width) and weights.dtype == dtype
    unit = weights.double().flatten() * width**0.5 / gain
    count = len(unit)
    fourth = 3.0 if kind == "gaussian" else 9 / 5
    assert abs(unit.mean()) < 4 / count**0.5
    assert abs(unit.square().mean() - 1) < 4 * ((fourth - 1) / count) ** 0.5
    eighth = 105 if kind == "gaussian" else 9
    assert abs(unit.pow(4).mean() - fourth) < 4 * ((eighth - fourth**2) / count) ** 0.5
    assert abs((unit[1:] * unit[:-1]).mean()) < 4 / count**0.5
    if kind == "uniform":
        assert unit.abs().max() <= 3**0.5 * (1 + 1e-6)
    layers = weights.flatten(1)
    assert (
        torch.corrcoef(layers.double()).fill_diagonal_(0).abs().max() < 5 / layers.shape[1] ** 0.5
    )


def test_the_uniform_law_with_gain_one_over_root_three_is_that_of_linear_layers():
    torch.manual_seed(0)
    layer = nn.Linear(300, 300).weight.abs().max().item()
    ours = (
        linear_net.initial_weights("uniform", 1, depth=1, width=300, gain=3**-0.5, seed=0)
        .abs()
        .max()
        .item()
    )
    assert ours == pytest.approx(layer, rel=1e-3) == pytest.approx(300**-0.5, rel=1e-3)


@given(st.integers(1, 5), st.floats(0.1, 3), st.integers(0, 2**63))
def test_orthogonal_layers_are_the_gain_times_orthogonal_matrices(width, gain, seed):
    weights = linear_net.initial_weights(
        "orthogonal", 2, depth=1, width=width, gain=gain, seed=seed, dtype=DOUBLE
    )
    eye = (gain**2 * torch.eye(width, dtype=DOUBLE)).expand_as(weights)
    torch.testing.assert_close(weights.mT @ weights, eye, rtol=1e-10, atol=1e-10)


def test_orthogonal_layers_are_uniform_in_the_orthogonal_group():
    """Haar: E tr Q = 0, E (tr Q)^2 = 1, E (tr Q)^4 = 3, and det = 1 half of the time."""
    q = linear_net.initial_weights(
        "orthogonal", 20_000, depth=1, width=4, gain=1.0, seed=1, dtype=DOUBLE
    )[0]
    trace = q.diagonal(dim1=-2, dim2=-1).sum(-1)
    for power, right in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
        moment = trace**power
        assert abs(moment.mean() - right) < 4 * moment.std() / len(q) ** 0.5
    assert abs((torch.linalg.det(q) > 0).double().mean() - 0.5) < 4 * 0.5 / len(q) ** 0.5
    pointed = q * q[:, :1].sign()  # other signs, as those that a bare QR leaves may be: not Haar
    trace = pointed.diagonal(dim1=-2, dim2=-1).sum(-1)
    assert abs(trace.mean()) > 8 * trace.std() / len(q) ** 0.5


@pytest.mark.parametrize("kind", ["gaussian", "uniform", "orthogonal"])
def test_seeds_reproduce_and_differ_and_leave_the_global_generator_alone(kind):
    before = torch.get_rng_state()
    one, same, other = (
        linear_net.initial_weights(kind, 2, depth=1, width=3, gain=1.0, seed=s) for s in (7, 7, 8)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert not torch.equal(one[:, 0], one[:, 1]) and not torch.equal(one[0], one[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_device_is_an_argument_of_everything_that_makes_tensors():
    for function in (linear_net.initial_weights, Population, GaussianViews):
        assert inspect.signature(function).parameters["device"].default == "cpu"
    assert linear_net.initial_weights(
        "gaussian", 1, depth=1, width=2, gain=1.0, seed=0, device="meta"
    ).is_meta


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_training_on_the_gpu_is_the_training_on_the_cpu_for_the_population():
    spectrum = feature_spectrum.distribution(1, 8)
    results = []
    for device in ("cpu", "cuda"):
        weights = linear_net.initial_weights(
            "gaussian",
            4,
            depth=3,
            width=8,
            gain=0.6,
            seed=0,
            decoder_depth=1,
            dtype=DOUBLE,
            device=device,
        )
        chosen = linear_net.settings([JEPA, MAE] * 2, weights, 0.05, 0.1, 0.5)
        source = Population(*spectrum.covariances(), device=device)
        results.append(linear_net.train(weights, chosen, source, 200).sizes)
        drawn = GaussianViews(*spectrum.covariances(), np.eye(8) * 9, 50, 0, device=device)
        single = weights.float()
        linear_net.train(single, linear_net.settings(JEPA, single, 0.01), drawn, 5)
    np.testing.assert_allclose(*results, rtol=1e-9)


# bad input


def message_of(function, *args, **kwargs):
    with pytest.raises(ValueError) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 250
    return message


@pytest.mark.parametrize(
    ("argument", "value", "start"),
    [
        ("kind", "normal", "kind must be one of gaussian, uniform, orthogonal, got 'normal'"),
        ("kind", None, "kind must be one of gaussian, uniform, orthogonal, got None"),
        ("count", 0, "count must be an integer >= 1, got 0"),
        ("depth", 2.0, "depth must be an integer >= 1, got 2.0"),
        ("width", "3", "width must be an integer >= 1, got '3'"),
        ("gain", 0, "gain must be positive and finite, got 0.0"),
        ("gain", [1.0, 2.0], "gain must be one number, got shape (2,)"),
        ("gain", None, "gain must be real numbers, got None"),
        ("seed", -1, "seed must be an integer >= 0, got -1"),
        ("seed", 1.0, "seed must be an integer >= 0, got 1.0"),
        ("decoder_depth", 0, "decoder_depth must be an integer >= 1, got 0"),
        ("dtype", torch.float16, "dtype must be torch.float32 or torch.float64, got torch.float16"),
        ("dtype", torch.int64, "dtype must be torch.float32 or torch.float64, got torch.int64"),
    ],
)
def test_initial_weights_refuses_bad_arguments(argument, value, start):
    right = {"kind": "gaussian", "count": 1, "depth": 1, "width": 2, "gain": 1.0, "seed": 0}
    assert message_of(linear_net.initial_weights, **(right | {argument: value})).startswith(start)


@pytest.mark.parametrize(
    ("argument", "value", "start"),
    [
        ("objectives", "JEPA", "objectives must be jepabook.JEPA or jepabook.MAE, got 'JEPA'"),
        ("objectives", None, "objectives must be jepabook.JEPA or jepabook.MAE, got None"),
        ("objectives", [JEPA], "objectives must be one or 2, got 1"),
        ("like", torch.ones(3, 2, 2), "like must have shape (layers, R, d, d), got (3, 2, 2)"),
        (
            "like",
            torch.ones(3, 2, 2, 3),
            "like must have shape (layers, R, d, d), got (3, 2, 2, 3)",
        ),
        ("learning_rate", 0.0, "learning_rate must be positive and finite, got 0.0"),
        ("learning_rate", [0.1, np.nan], "learning_rate must not be NaN, got nan at index (1,)"),
        ("learning_rate", [0.1] * 3, "learning_rate must be one number or 2, got shape (3,)"),
        ("weight_decay", -0.1, "weight_decay must be non-negative and finite, got -0.1"),
        ("weight_decay", [[0.1, 0.1]], "weight_decay must be one number or 2, got shape (1, 2)"),
        ("target_rate", -1, "target_rate must be non-negative, got -1.0"),
        ("target_rate", None, "target_rate must be real numbers, got None"),
        ("target_rate", np.nan, "target_rate must not be NaN, got nan"),
        ("decoder_depth", 3, "decoder_depth must be below 3 layers, got 3"),
        ("decoder_depth", 0, "decoder_depth must be an integer >= 1, got 0"),
    ],
)
def test_settings_refuses_bad_arguments(argument, value, start):
    right = {"objectives": JEPA, "like": torch.ones(3, 2, 2, 2)}
    assert message_of(linear_net.settings, **(right | {argument: value})).startswith(start)


GOOD = torch.ones(3, 2, 2, 2, dtype=DOUBLE)
WIDE_POPULATION = Population(np.eye(3), np.eye(3))
FOR_BOTH = [
    ("weights", np.ones((3, 2, 2, 2)), "weights must be a tensor, got ndarray"),
    (
        "weights",
        GOOD.float(),
        "weights must be (3, 2, 2, 2) torch.float64 on cpu, got (3, 2, 2, 2)",
    ),
    ("weights", GOOD[:, :1], "weights must be (3, 2, 2, 2) torch.float64 on cpu, got (3, 1, 2, 2)"),
    ("weights", GOOD[:1], "weights must have more layers than the decoder, got 1"),
    ("weights", GOOD[0], "weights must be (2, 2, 2, 2) torch.float64 on cpu, got (2, 2, 2)"),
    ("weights", GOOD * torch.nan, "weights must be finite, got nan"),
    ("source", WIDE_POPULATION, "weights must be (3, 2, 3, 3) torch.float64 on cpu, got (3, 2, 2"),
    (
        "source",
        Population(np.stack([np.eye(2)] * 4), np.stack([np.eye(2)] * 4)),
        "weights must be a multiple of 4 runs, got 2",
    ),
    (
        "source",
        Population(np.eye(2), np.eye(2), dtype=torch.float32),
        "source must be torch.float64 on cpu as the weights are, got torch.float32 on cpu",
    ),
    ("target_weights", GOOD, "target_weights must be (2, 2, 2, 2) torch.float64 on cpu, got (3, 2"),
    (
        "target_weights",
        GOOD[:2].float(),
        "target_weights must be (2, 2, 2, 2) torch.float64 on cpu",
    ),
    ("target_weights", np.ones((2, 2, 2, 2)), "target_weights must be a tensor, got ndarray"),
    (
        "directions",
        torch.ones(2, dtype=DOUBLE),
        "directions must be (2, 2) torch.float64 on cpu, go",
    ),
    (
        "directions",
        torch.eye(2),
        "directions must be (2, 2) torch.float64 on cpu, got (2, 2) torch.f",
    ),
    ("directions", np.eye(2), "directions must be a tensor, got ndarray"),
]


@pytest.mark.parametrize(
    ("argument", "value", "start"),
    [
        *FOR_BOTH,
        ("steps", 0, "steps must be an integer >= 1, got 0"),
        ("steps", 1.0, "steps must be an integer >= 1, got 1.0"),
        ("record_at", [], "record_at must be a sequence of steps, got shape (0,)"),
        ("record_at", [[0, 1]], "record_at must be a sequence of steps, got shape (1, 2)"),
        ("record_at", [0, 4], "record_at must be increasing integers within 0 and 3, got 4.0 at"),
        ("record_at", [-1, 2], "record_at must be increasing integers within 0 and 3, got -1.0 at"),
        ("record_at", [2, 1], "record_at must be increasing integers within 0 and 3, got 1.0 at"),
        ("record_at", [1, 1], "record_at must be increasing integers within 0 and 3, got 1.0 at"),
        ("record_at", [0.5], "record_at must be increasing integers within 0 and 3, got 0.5 at"),
        ("record_at", np.array([2, 1], "u8"), "record_at must be increasing integers within 0 and"),
        ("record_at", [True], "record_at must be real numbers, got [True]"),
        ("checkpoint_every", 0, "checkpoint_every must be an integer >= 1, got 0"),
    ],
)
def test_train_refuses_bad_arguments(argument, value, start):
    right = {
        "weights": GOOD,
        "settings": linear_net.settings(JEPA, GOOD),
        "source": Population(np.eye(2), np.eye(2)),
        "steps": 3,
    }
    assert message_of(linear_net.train, **(right | {argument: value})).startswith(start)


@pytest.mark.parametrize(
    ("argument", "value", "start"),
    [
        *FOR_BOTH,
        ("source", views(2, 3, 0), "source must be minibatch.Population, got GaussianViews"),
        ("times", [0.0], "times must be a sequence of at least two, got shape (1,)"),
        ("times", 3.0, "times must be a sequence of at least two, got shape ()"),
        ("times", [1.0, 2.0], "times must increase from 0, got 1.0 at index (0,)"),
        ("times", [0.0, 2.0, 1.0], "times must increase from 0, got 1.0 at index (2,)"),
        ("times", [0.0, np.inf], "times must be finite, got inf at index (1,)"),
        ("rtol", 0, "rtol must be positive and finite, got 0.0"),
        ("rtol", 1e-16, "rtol must be at least 8.9e-16 for torch.float64, got 1e-16"),
        ("rtol", [1e-8], "rtol must be one number, got shape (1,)"),
        ("atol", -1, "atol must be positive and finite, got -1.0"),
        ("atol", np.nan, "atol must not be NaN, got nan"),
    ],
)
def test_flow_refuses_bad_arguments(argument, value, start):
    right = {
        "weights": GOOD,
        "settings": linear_net.settings(JEPA, GOOD),
        "source": Population(np.eye(2), np.eye(2)),
        "times": [0.0, 1.0],
    }
    assert message_of(linear_net.flow, **(right | {argument: value})).startswith(start)


def test_flow_in_single_precision_refuses_a_tolerance_below_its_rounding():
    weights = GOOD.float()
    args = (
        linear_net.settings(JEPA, weights),
        Population(np.eye(2), np.eye(2), torch.float32),
        [0, 1],
    )
    message = message_of(linear_net.flow, weights, *args)
    assert message == "rtol must be at least 4.8e-07 for torch.float32, got 1e-08"


@pytest.mark.parametrize("rtol", [1e-6, 1e-10])
@BOTH
def test_flow_from_aligned_weights_keeps_to_its_tolerance(objective, rtol):
    spectrum, depth, epsilon = FeatureSpectrum([0.5, 1.0, 1.5], [1.2, 0.8, 0.6]), 2, 0.1
    weights = matrix_flow.aligned_weights(objective, depth=depth, width=3, epsilon=epsilon, seed=0)
    known = {"lam": spectrum.lam, "rho": spectrum.rho, "depth": depth, "epsilon": epsilon}
    half = critical_time.exact(objective, **known)
    times = np.append(0.0, np.sort(np.concatenate([half / 2, half, 2 * half])))
    weights = torch.as_tensor(weights)[:, None]
    found = linear_net.flow(
        weights,
        linear_net.settings(objective, weights),
        Population(*spectrum.covariances()),
        times / depth,
        rtol=rtol,
        atol=rtol / 100,
    ).sizes[:, 0]
    right = dynamics.trajectory(objective, times[:, None], **known)
    np.testing.assert_allclose(found, right, rtol=rtol)
