"""SGD of deep linear networks against a plain PyTorch training loop, in the same run.

The setting of Figure 1: d = 100, L = 5, minibatches of 1000. The rival draws samples, sends them
through nn.Linear layers and differentiates by autograd, one network at a time.
"""

import time

import numpy as np
import pytest
import torch
from torch import nn

from jepabook import JEPA, MAE, feature_spectrum, linear_net, minibatch

WIDTH, DEPTH, BATCH, RATE = 100, 5, 1000, 0.05
ROUNDS = 25
LEAST_RATIO = {1: 6, 32: 10}
SPECTRUM = feature_spectrum.distribution(2, WIDTH, lam=(0.5, 1.5), rho=(0.5, 1.0))


class PlainLoop:
    """What most people would write: a JEPA network, its samples, autograd and an optimiser."""

    def __init__(self):
        torch.manual_seed(0)
        layers = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(DEPTH)]
        self.encoder = nn.Sequential(*layers)
        self.decoder = nn.Linear(WIDTH, WIDTH, bias=False)
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        self.optimiser = torch.optim.SGD(parameters, lr=RATE)
        var, rho = SPECTRUM.sigma_squared, SPECTRUM.rho
        spreads = var**0.5, rho, (var * (1 - rho**2)) ** 0.5
        self.of_x, self.rho, self.of_noise = (torch.tensor(s, dtype=torch.float32) for s in spreads)

    def train(self, steps):
        for _ in range(steps):
            x = self.of_x * torch.randn(BATCH, WIDTH)
            y = self.rho * x + self.of_noise * torch.randn(BATCH, WIDTH)
            with torch.no_grad():
                target = self.encoder(y)
            loss = (self.decoder(self.encoder(x)) - target).square().sum(1).mean() / 2
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


class Ours:
    """JEPA alone, or JEPA and MAE from `streams` starts on the same minibatches."""

    def __init__(self, streams, both, device="cpu"):
        objectives = [JEPA, MAE] if both else [JEPA]
        self.streams, self.runs, self.device = streams, streams * len(objectives), device
        self.weights = linear_net.initial_weights(
            "gaussian", self.runs, depth=DEPTH, width=WIDTH, gain=3**-0.5, seed=0, device=device
        )
        each = [objective for objective in objectives for _ in range(streams)]
        self.settings = linear_net.settings(each, self.weights, RATE)
        xx, yx = (np.stack([matrix] * streams) for matrix in SPECTRUM.covariances())
        self.source = minibatch.GaussianViews(xx, yx, xx, BATCH, 1, device=device)

    def train(self, steps):
        return linear_net.train(self.weights, self.settings, self.source, steps, [0])

    def products(self, matrices):
        """Time one torch.bmm as those of an iteration."""
        a, b = torch.randn((2, matrices, WIDTH, WIDTH), device=self.device)
        out = torch.empty_like(a)
        return lambda steps: [torch.bmm(a, b, out=out) for _ in range(steps)]

    def limit(self):
        """Seconds an iteration if nothing but its products of matrices took any.

        Three products for each layer but the first, two for the residual; two for the covariances.
        """
        counts = {self.streams: 2, self.runs: 3 * DEPTH + 2}
        if self.runs == self.streams:
            counts = {self.runs: 3 * DEPTH + 4}
        each = best({matrices: (self.products(matrices), 50) for matrices in counts})
        return sum(count * each[matrices] for matrices, count in counts.items())


def seconds(function, steps):
    start = time.perf_counter()
    function(steps)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def best(contestants):
    """Least seconds a step of each contestant, in turn, so that all meet the same disturbances."""
    for function, steps in contestants.values():
        seconds(function, max(1, steps // 5))
    times = [
        {name: seconds(*contestant) for name, contestant in contestants.items()}
        for _ in range(ROUNDS)
    ]
    return {name: min(each[name] for each in times) for name in contestants}


def test_training_is_6_times_faster_than_autograd_on_samples_and_10_times_in_a_batch(
    benchmark, show, two_threads
):
    plain, one, many = PlainLoop(), Ours(1, both=False), Ours(16, both=True)
    contestants = {
        "plain": (plain.train, 5),
        1: (one.train, 50),
        32: (many.train, 10),
    }
    took = best(contestants)
    benchmark.pedantic(one.train, args=(100,), rounds=3, iterations=1)
    lines = [
        f"d = {WIDTH}, L = {DEPTH}, minibatches of {BATCH}, 2 threads, float32",
        f"{'':44} {'ms a run and iteration':>24} {'ratio':>7} {'of the products':>16}",
        f"{'nn.Linear and autograd on samples':44} {1e3 * took['plain']:24.3f} {1:7.1f}",
    ]
    ratios = {}
    for name, ours in ((1, one), (32, many)):
        ratios[name] = took["plain"] / (took[name] / ours.runs)
        share = ours.limit() / took[name]
        benchmark.extra_info[f"{name} runs"] = ratios[name], share
        label = f"jepabook.training.linear_net.train, runs: {name}"
        each = 1e3 * took[name] / ours.runs
        lines.append(f"{label:44} {each:24.3f} {ratios[name]:7.1f} {share:16.0%}")
    show(*lines)
    assert all(ratios[name] >= least for name, least in LEAST_RATIO.items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_256_runs_of_5000_iterations_on_a_gpu(benchmark, show):
    ours, steps = Ours(128, both=True, device="cuda"), 5000
    ours.train(50)
    took = benchmark.pedantic(seconds, args=(ours.train, steps), rounds=1, iterations=1)
    share = ours.limit() / took
    benchmark.extra_info["share of the products"] = share
    show(
        f"{torch.cuda.get_device_name()}: {ours.runs} runs of {steps} iterations in "
        f"{steps * took:.1f} s, {share:.0%} of it products of matrices"
    )
