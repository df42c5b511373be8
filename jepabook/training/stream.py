"""Minibatches that are consecutive frames of a `FlickeringWorld`, for `linear_net.train`."""

import numpy as np
import torch

from jepabook import recorded
from jepabook._support import tensors, validate
from jepabook.training import minibatch
from jepabook.worlds import generative


class ConsecutiveFrames(minibatch.Minibatches):
    """S streams of one world; every minibatch is the next `batch` pairs x = z(t), y = z(t + 1).

    Nothing is shuffled or left out: the last frame of a minibatch is the first of the next one.

    Parameters
    ----------
    world : generative.FlickeringWorld
    batch : int
        Pairs a minibatch, n. The cost of a minibatch has a term in n^2.
    streams : int
        S, independent of each other; network r sees stream r mod S.
    seed : int
    dtype : torch.float32 or torch.float64
    device : torch device
    """

    def __init__(self, world, batch, streams, seed, dtype=torch.float32, device="cpu"):
        validate.instance("world", world, generative.FlickeringWorld)
        tensors.dtype(dtype)
        batch, streams = validate.integer("batch", batch), validate.integer("streams", streams)
        memories = len(np.unique(world.gamma)) + len(np.unique(world.noise_gamma))
        need = 32 * batch * (batch * memories + streams * len(world.region))
        validate.memory("batch * streams", batch * streams, need)
        seed, device = validate.seed(seed), tensors.device(device)
        self._images = tensors.of_type("images", world.images.copy(), dtype, device)
        super().__init__(streams, len(world.region), batch, seed, dtype, self._images.device)
        amplitude = world.noise[world.region]
        self._amplitude = tensors.of_type("noise", amplitude, dtype, device)
        self._light = _Autoregression(world.gamma, self)
        self._noise = _Autoregression(world.noise_gamma[world.region], self)
        self._last = self._frames(1)
        parts = (world.images, world.gamma, amplitude, world.noise_gamma[world.region])
        self._identity = f"stream {batch} {streams} {seed} {dtype} {recorded.digest(*parts)}"

    def _normal(self, *shape):
        """Standard normal numbers from the streams' generator."""
        like = {"dtype": self.dtype, "device": self.device, "generator": self._generator}
        return torch.randn(shape, **like)

    def _frames(self, count):
        return self._light.next(count) @ self._images + self._noise.next(count) * self._amplitude

    def frames(self):
        """The next minibatch: its n + 1 frames, (S, n + 1, d)."""
        frames = torch.cat([self._last, self._frames(self.batch)], dim=1)
        self._last = frames[:, -1:]
        return frames

    def columns(self):
        """x and y of the next minibatch as columns, each (S, d, n)."""
        frames = self.frames()
        return frames[:, :-1].mT, frames[:, 1:].mT

    def _memory(self):
        return [self._last, self._light.last, self._noise.last]

    def state(self):
        """The generator's state and the last frames, a tensor of uint8."""
        memory = [part.cpu().contiguous().flatten().view(torch.uint8) for part in self._memory()]
        return torch.cat([*memory, self._generator.get_state()])

    def restore(self, state):
        """Continue the streams from a `state`."""
        memory, parts = self._memory(), []
        sizes = [part.numel() * part.element_size() for part in memory]
        state, start = tensors.dense("state", state, ("bytes",)).cpu().clone(), sum(sizes)
        tensors.set_state(self._generator, state[start:].clone())
        for part, value in zip(memory, state[:start].split(sizes), strict=True):
            parts.append(value.clone().view(self.dtype).reshape(part.shape).to(self.device))
        self._last, self._light.last, self._noise.last = parts


class _Autoregression:
    """S x k stationary autoregressions of variance 1, advanced many steps at a time, eq. (137)."""

    def __init__(self, gamma, source):
        self._source = source
        self._gamma = torch.tensor(gamma, dtype=torch.float64, device=source.device)
        self.last = source._normal(source.streams, 1, len(gamma))
        self._filters = {}

    def next(self, count):
        """The next values, (S, count, k)."""
        fresh = self._source._normal(self._source.streams, count, len(self._gamma))
        for columns, past, mix in self._filter(count):
            fresh[..., columns] = past * self.last[..., columns] + mix @ fresh[..., columns]
        self.last = fresh[:, -1:].clone()
        return fresh

    def _filter(self, count):
        """For each gamma other than 0: its columns, the weights of the last value, of new ones."""
        if count not in self._filters:
            found, steps = [], torch.arange(count, device=self._gamma.device)
            for gamma in self._gamma.unique():
                if gamma:
                    ages = steps[:, None] - steps
                    mix = (gamma ** ages.clamp(min=0) * (1 - gamma**2).sqrt()).tril()
                    past = (gamma ** (steps + 1))[:, None]
                    columns = torch.nonzero(self._gamma == gamma).flatten()
                    like = {"dtype": self._source.dtype}
                    found.append((columns, past.to(**like), mix.to(**like)))
            self._filters[count] = found
        return self._filters[count]
