"""The first random numbers and bases of all that is recorded: for `test_portable`.

``python first_numbers.py FILE.npz`` writes them; what the libraries compute with is up to the
environment.
"""

import sys

import numpy as np
import torch

from jepabook import (
    JEPA,
    autocorrelation,
    generative,
    linear_net,
    minibatch,
    noncommuting,
    random_masks,
    spectrum,
    unaligned_starts,
)
from jepabook.claims import examples
from jepabook.vision import batches, crops, model, subspaces
from results import assumptions, decay, flicker, random_starts, returns, sgd, watch

FLAT = examples.patterns()  # patterns whose entries are all equally large


def cube():
    """Pairs of views with the covariances diag(1 ... 8) and half of it in flat directions."""
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 8)).reshape(8, -1).T
    x = signs * np.sqrt(np.arange(1, 9)) @ FLAT.dictionary
    return x, x @ (FLAT.dictionary.T * (0.5 + np.arange(8) / 40)) @ FLAT.dictionary


def pictures():
    """Grey images of a few flat patterns, each much stronger than the next."""
    rng, pattern = np.random.default_rng(0), np.kron(FLAT.dictionary, FLAT.dictionary)[1:4]
    levels = rng.standard_normal((60, 3)) * [200.0, 120.0, 60.0]
    grey = np.clip(128 + levels @ pattern, 0, 255).astype(np.uint8)
    return np.repeat(grey.reshape(-1, 8, 8, 1), 3, axis=3)


def sources():
    """Sources of minibatches as the recorded runs have them, and others."""
    xx, yx = np.array([[2.0, 1.0, 0], [1, 2, 0], [0, 0, 2]]), np.diag([1.0, 1.0, 0.5])
    singular = yx @ np.linalg.solve(xx, yx) + np.diag([0, 0, 0.4])
    yield "stream", flicker.source("stream", flicker.world(0.9), 20, 2, 1)
    for kind, world in (("paper", flicker.world()), ("slow", flicker.world(0.9))):
        yield kind, flicker.source("shuffled", world, 20, 2, 1)
    for name, (lam, rho) in sgd.PANELS.items():
        yield (
            name,
            minibatch.GaussianViews(np.diag(lam / rho), np.diag(lam), np.diag(lam / rho), 9, 1),
        )
    yield "no noise", assumptions.views(4, seeds=2)
    yield "returns", returns.source(100)
    for draw in minibatch.GaussianViews.DRAWS:
        views = minibatch.GaussianViews(xx, yx, singular, 2, 1, draw, torch.float64)
        yield f"singular {draw}", views
    yield "pairs", minibatch.Pairs(*cube(), 5, 1)


def first_numbers():
    """Arrays by name."""
    found = {name: source.covariances() for name, source in sources()}
    for kind in ("gaussian", "uniform", "orthogonal"):
        found[kind] = linear_net.initial_weights(kind, 2, depth=2, width=5, gain=0.5, seed=3)
    found["aligned"] = unaligned_starts.aligned_layers(JEPA, np.full((3, 6), 0.5), 1)
    found["rotation"] = unaligned_starts.rotation(6, 1.0, 1)
    found["dictionary"] = generative.orthogonal_dictionary(4, 6, 1)
    found["flicker basis"] = autocorrelation.basis(flicker.world(0.9))
    xx, yx, _ = FLAT.covariances()
    found["masks"] = random_masks.features(FLAT.data_covariance(), 0.25).directions
    found |= noncommuting.candidate_bases(xx, yx + np.eye(8), 0.4)
    data = spectrum.estimate(*cube(), groups=4, replicates=8, device="cpu", progress=False)
    found |= {"data": data.directions, "replicates": data.lam_replicates}
    found["generalised"] = data.generalised()[1]
    found["pixels"] = subspaces.fit(pictures(), bottom=0.02, device="cpu").directions
    found["masked"] = FLAT.sample(3, 1)
    found["frames"] = generative.two_images(4).sample(5, 1)
    generator = torch.Generator().manual_seed(1)
    found["boxes"] = batches.random_boxes(20, 0.3, generator)
    found["patches"] = model.random_masks(5, 16, 0.75, generator)
    photograph = np.random.default_rng(1).integers(256, size=(80, 90, 3), dtype=np.uint8)
    found["crops"] = crops.cut([photograph], 16, 20, np.random.default_rng(2))[2]
    found["decay"] = decay.start(2)[:, :, :3]
    found["random starts"] = random_starts.starts(0, 0)[:, :2]
    found["drawn features"] = random_starts.features(0, 0)
    found["watched"] = watch.networks(1)["weights"][:, ::100]
    return {
        name: np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])
        if isinstance(parts, tuple)
        else np.asarray(parts, dtype=float)
        for name, parts in found.items()
    }


if __name__ == "__main__":
    np.savez(sys.argv[1], **first_numbers())
