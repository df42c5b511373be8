"""On another device the same happens as on the CPU: no tensor is left behind, no number differs.

The second device is that of `tests.elsewhere`, so this needs no GPU.
"""

import numpy as np
import pytest
import torch

from jepabook import JEPA, MAE, generative, linear_net, minibatch, relu_net, spectrum, stream
from jepabook.spectrum import backend, estimates
from jepabook.theory.feature_spectrum import FeatureSpectrum
from jepabook.training import same_minibatches
from jepabook.vision import similarity, train
from tests.elsewhere import NAME, Elsewhere
from tests.trainings import distance, pictures, plan

SPECTRUM = FeatureSpectrum([1.0, 1.2, 0.8], [1.0, 0.6, 0.5])
XX, YX = SPECTRUM.covariances()
SEES = (0.3 * np.random.default_rng(0).standard_normal((2, 50, 3))).cumsum(1)
WORLD = generative.two_images(4)
OBJECTIVES = (JEPA, MAE)


def both(work):
    """What `work` returns for the CPU, and for the second device."""
    here = work("cpu")
    with Elsewhere():
        return here, work(NAME)


def same(here, there):
    np.testing.assert_array_equal(np.asarray(here), np.asarray(there))


def test_the_second_device_refuses_what_a_gpu_refuses():
    with Elsewhere():
        there = torch.ones(2, 2, device=NAME)
        with pytest.raises(RuntimeError, match=r"add: a tensor .* was left on the CPU"):
            there + torch.ones(2, 2)
        with pytest.raises(TypeError, match="copied to the CPU"):
            np.asarray(there)
        with pytest.raises(RuntimeError, match="left on the CPU"):
            torch.ones(2, 2).add_(there)
        assert torch.equal((there + 1).cpu(), torch.full((2, 2), 2.0))


SOURCES = {
    "population": lambda device: minibatch.Population(XX, YX, device=device, dtype=torch.float32),
    "wishart": lambda device: minibatch.GaussianViews(XX, YX, XX, 8, 0, device=device),
    "samples": lambda device: minibatch.GaussianViews(
        XX, YX, XX, 8, 0, draw="samples", device=device
    ),
    "covariances": lambda device: minibatch.GaussianViews(
        XX, YX, XX, 8, 0, draw="covariances", device=device
    ),
    "pairs": lambda device: minibatch.Pairs(*SEES, 8, 0, device=device),
    "frames": lambda device: stream.ConsecutiveFrames(WORLD, 8, 1, 0, device=device),
}


@pytest.mark.parametrize("name", SOURCES)
def test_training(name, tmp_path):
    def work(device):
        width = SOURCES[name]("cpu").width
        weights = linear_net.initial_weights(
            "gaussian", 2, depth=2, width=width, gain=0.4, seed=0, device=device
        )
        rates = {"learning_rate": 0.05, "weight_decay": 0.01, "target_rate": [0.1, np.inf]}
        settings = linear_net.settings((JEPA, MAE), weights, **rates)
        options = {"checkpoint": tmp_path / f"{device}.npz", "checkpoint_every": 3}
        linear_net.train(weights, settings, SOURCES[name](device), 6, **options)
        return linear_net.train(weights, settings, SOURCES[name](device), 6, **options).sizes

    same(*both(work))


def test_gradient_flow():
    def work(device):
        options = {"dtype": torch.float64, "device": device}
        weights = linear_net.initial_weights(
            "orthogonal", 2, depth=2, width=3, gain=0.4, seed=0, **options
        )
        settings = linear_net.settings((JEPA, MAE), weights)
        source = minibatch.Population(XX, YX, device=device)
        return linear_net.flow(weights, settings, source, [0.0, 1.0, 2.0]).sizes

    same(*both(work))


def test_nonlinear_networks():
    def work(device):
        weights = linear_net.initial_weights(
            "gaussian", 2, depth=2, width=3, gain=0.4, seed=0, device=device
        )
        source = minibatch.GaussianViews(XX, YX, XX, 8, 0, draw="samples", device=device)
        probe = torch.as_tensor(SEES[0], dtype=torch.float32).T.to(device)
        return relu_net.train(weights, OBJECTIVES, 0.5, source, 0.05, 4, [0, 4], probe)

    here, there = both(work)
    for one, other in zip(here, there, strict=True):
        same(one, other)


def test_both_objectives_on_the_same_minibatches():
    def work(device):
        return same_minibatches.train_both(
            SPECTRUM,
            2,
            [0.5],
            [0.05],
            depth=2,
            batch=8,
            steps=4,
            record_at=[0, 4],
            seed=0,
            device=device,
        ).sizes

    same(*both(work))


def test_the_spectrum_of_pairs(monkeypatch):
    def work(device):
        machine = backend._Torch(torch, device)
        monkeypatch.setattr(estimates, "backend", lambda _: machine)
        found = spectrum.estimate(*SEES, seed=0)
        return np.concatenate([found.lam, found.rho])

    same(*both(work))


@pytest.mark.parametrize("objective", ["jepa", "mae"])
def test_a_training_on_images(monkeypatch, tmp_path, objective):
    def work(device):
        adam = torch.optim.AdamW
        with monkeypatch.context() as patch:  # this device has no fused step
            patch.setattr(torch.optim, "AdamW", lambda *a, **o: adam(*a, **o | {"fused": False}))
            train.train(plan(objective), pictures(), tmp_path / device, device, save_every=0)
        return train.trained(tmp_path / device, 6)

    found, right = both(work)
    # batches are cut otherwise there: to rounding
    assert distance(found, right, train.trained(tmp_path / "cpu", 0)) < 1e-4


def test_representations_and_how_they_compare():
    rows = np.random.default_rng(1).standard_normal((2, 60, 5))

    def work(device):
        views = [torch.as_tensor(part, device=device) for part in rows]
        return [
            similarity.mean_cca(*views, device=device).value,
            similarity.linear_cka(*views, device=device).value,
        ]

    same(*both(work))
