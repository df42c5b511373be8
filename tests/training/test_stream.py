"""Minibatches of consecutive frames: their law, their joints, and that they go on as they were."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from jepabook import JEPA, MAE, autocorrelation, generative, linear_net
from jepabook.training.stream import ConsecutiveFrames

SLOW = generative.two_images(4, gamma=(0.9, -0.6), noise=(0.7, 0.3), noise_gamma=(0.0, 0.8))
DTYPES = [torch.float32, torch.float64]


def source(batch=5, streams=3, seed=7, world=SLOW, **options):
    return ConsecutiveFrames(world, batch, streams, seed, **options)


def test_a_minibatch_begins_with_the_last_frame_of_the_one_before():
    made = source()
    one, two = made.frames(), made.frames()
    assert one.shape == (3, 6, 16)
    assert torch.equal(one[:, -1], two[:, 0])
    assert not torch.equal(one[:, 1], two[:, 0])


@pytest.mark.parametrize("batch", [1, 4, 50])
def test_many_streams_have_the_stated_memory_across_minibatches(batch):
    streams, bound = 20_000, norm.isf(1e-3 / 2 / 3 / 9 / 16**2)
    made = source(batch, streams, 1, dtype=torch.float64)
    frames = [made.frames() for _ in range(12 // batch + 1)]
    z = torch.cat([frames[0][:, :1], *(part[:, 1:] for part in frames)], dim=1).numpy()
    basis, law = autocorrelation.basis(SLOW), autocorrelation.components(SLOW)
    p = z @ basis
    variance = np.repeat(law.sigma_squared, law.count)
    for first in (0, 3, 5):
        for lag in (0, 1, 6):
            due = np.repeat((law.power * law.gamma**lag).sum(1), law.count)
            found = p[:, first].T @ p[:, first + lag] / streams
            spread = np.sqrt((np.outer(variance, variance) + np.diag(due) ** 2) / streams)
            assert np.abs((found - np.diag(due)) / spread).max() < bound


def test_covariances_and_residual_are_those_of_the_frames():
    one, two, three = (source(dtype=torch.float64) for _ in range(3))
    frames = one.frames()
    x, y = frames[:, :-1].mT, frames[:, 1:].mT
    xx, yx = two.covariances()
    torch.testing.assert_close(xx, x @ x.mT / 5)
    torch.testing.assert_close(yx, y @ x.mT / 5)
    product, target = torch.randn(2, 6, 16, 16, dtype=torch.float64)
    found = three.residual(product, target)
    for run in range(6):  # network r sees stream r mod S
        due = product[run] @ xx[run % 3] - target[run] @ yx[run % 3]
        torch.testing.assert_close(found[run], due)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("world", [SLOW, generative.two_images(4)])
def test_a_restored_stream_goes_on_bit_for_bit(dtype, world):
    made = source(world=world, dtype=dtype)
    made.frames()
    kept = made.state()
    assert kept.dtype == torch.uint8 and kept.ndim == 1
    due = [made.frames() for _ in range(2)]
    other = source(world=world, dtype=dtype)
    other.restore(torch.as_tensor(kept.numpy().copy()))
    assert all(torch.equal(part, other.frames()) for part in due)
    made.restore(kept)
    assert torch.equal(due[0], made.frames())


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    weights = linear_net.initial_weights("gaussian", 6, depth=2, width=16, gain=0.3, seed=1)
    chosen = linear_net.settings([JEPA] * 3 + [MAE] * 3, weights, 0.05)
    path = tmp_path / "stream.npz"

    class Interrupted(ConsecutiveFrames):
        left = 12

        def residual(self, product, target):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            return super().residual(product, target)

    options = {"checkpoint": path, "checkpoint_every": 10, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        linear_net.train(weights, chosen, Interrupted(SLOW, 5, 3, 7), 30, **options)
    resumed = linear_net.train(weights, chosen, source(), 30, **options)
    whole = linear_net.train(weights, chosen, source(), 30, progress=False)
    assert torch.equal(resumed.weights, whole.weights)
    assert np.array_equal(resumed.sizes, whole.sizes)


def test_the_identity_tells_worlds_batches_and_seeds_apart():
    names = {
        source().identity(),
        source(batch=6).identity(),
        source(streams=2).identity(),
        source(seed=8).identity(),
        source(dtype=torch.float64).identity(),
        source(world=generative.two_images(4)).identity(),
    }
    assert len(names) == 6 and source().identity() in names


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"batch": 0}, "batch"),
        ({"streams": 1.5}, "streams"),
        ({"seed": -1}, "seed"),
        ({"dtype": torch.float16}, "dtype"),
        ({"world": np.eye(3)}, "world"),
    ],
)
def test_bad_input_is_refused(changes, name):
    with pytest.raises(ValueError, match=f"^{name} must"):
        source(**changes)
