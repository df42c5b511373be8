"""Trainings of vision models that take a second, and their deaths: for tests."""

import json
import os
import sys
from contextlib import contextmanager

import numpy as np
import torch

from jepabook.vision.images import ImageSet
from jepabook.vision.model import Config
from jepabook.vision.train import Plan
from tests.commands import contents

MICRO = Config(16, 4, 16, 2, 2, 8, 2, 2)


def pictures(count=40, seed=0):
    """Noise, of the size that MICRO takes."""
    shape = count, MICRO.image_size, MICRO.image_size, 3
    pixels = np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)
    return ImageSet("noise", pixels, {}, {})


def plan(objective="jepa", **changes):
    """Six steps of a model of size MICRO."""
    short = {"steps": 6, "batch": 16, "part": 5, "keep": 3, "rate": 1e-3}
    return Plan(objective, MICRO, **short | changes)


def left(folder):
    """What a training leaves, but for its speed, and when and how it was started."""
    found = contents(folder)
    found["run.json"] = json.loads(found["run.json"])["identity"]
    lines = [json.loads(line) for line in found["log.jsonl"].splitlines()]
    found["log.jsonl"] = [{**line, "images_per_second": None} for line in lines]
    return found


def weights(network):
    """All numbers of a model in a row, but for the keys' biases.

    They do not change attention: their gradients are rounding errors, by whose size Adam divides.
    """
    parts = [
        part.unflatten(0, (3, -1))[[0, 2]] if name.endswith("qkv.bias") else part
        for name, part in network.state_dict().items()
    ]
    return torch.cat([part.flatten() for part in parts])


def distance(found, right, start):
    """Of two trained models, in lengths of the way from the start."""
    found, right, start = map(weights, (found, right, start))
    return float((found - right).norm() / (right - start).norm())


class Killed(BaseException):
    """Nothing catches it."""


class Death:
    """Comes to this process before any operation on the files of a folder."""

    NAMES = ("chmod", "listdir", "mkdir", "remove", "rename", "rmdir", "scandir")
    EVENTS = frozenset(["open", *map("os.{}".format, NAMES)])

    def __init__(self):
        self.folder, self.spared = None, 0
        sys.addaudithook(self._hook)  # for good

    @contextmanager
    def after(self, folder, count):
        """Die, with `Killed`, at the first operation after `count` of them."""
        self.folder, self.spared = str(folder), count
        try:
            yield
        finally:
            self.folder = None

    def _hook(self, event, arguments):
        if self.folder is None or event not in self.EVENTS:
            return
        path, *how = arguments
        if not str(path).startswith(self.folder):
            return
        self.spared -= 1
        if self.spared < 0:
            folder, self.folder = self.folder, None
            if event == "open" and (set(how[0] or "") & set("wa+") or how[1] & os.O_CREAT):
                with open(path, "a", encoding="utf-8") as file:
                    file.write('{"step": 1')  # it dies in the middle of writing
            self.folder = folder
            raise Killed
