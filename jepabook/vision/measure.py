"""What a model makes of whole images and of their projections on the two subspaces: Figure 7."""

from dataclasses import dataclass

import numpy as np
import torch

from jepabook import _validate
from jepabook.vision import batches, subspaces

POOLS = ("mean", "patch")


@dataclass(frozen=True, eq=False)
class Stimuli:
    """Images as a model takes them: whole, and projected.

    Attributes
    ----------
    views : dict of "full", "top", "bottom" to float32 tensor (n, 3, size, size)
    labels : dict of str to int64 array (n,)
    """

    views: dict
    labels: dict


def stimuli(pictures, split, colours):
    """Images and their projections.

    Parameters
    ----------
    pictures : images.ImageSet
    split : subspaces.Subspaces
    colours : (mean, deviation)
        As `batches.colours` gives them: those of the images that the model was trained on.

    Returns
    -------
    Stimuli
    """
    views = {
        which: batches.prepared(subspaces.project(split, pictures.pixels, which), *colours)
        for which in subspaces.WHICH
    }
    return Stimuli(views, pictures.labels)


def representations(network, shown, online=False, seed=0, device="cpu", block=256):
    """What a model makes of each view of the images.

    Parameters
    ----------
    network : objectives.Objective
        On `device`.
    shown : Stimuli
    online : bool
        The encoder that was trained, also for JEPA.
    seed : int
        Of the patch that stands for each image, the same one in all views.
    device : torch device
    block : int
        Images encoded at a time.

    Returns
    -------
    dict of (view, pool) to float32 tensor (n, width)
        Pool "mean": the mean over all patches; "patch": one patch of each image at random.
    """
    block = _validate.integer("block", block)
    seed = _validate.integer("seed", seed, least=0)
    found = {}
    for view, pictures in shown.views.items():
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(network.config.patches, (len(pictures),), generator=generator)
        parts = {pool: [] for pool in POOLS}
        for start in range(0, len(pictures), block):
            pieces = pictures[start : start + block].to(device)
            tokens = network.encode(pieces, pool="none", online=online)
            parts["mean"].append(tokens.mean(1))
            rows = torch.arange(len(pieces), device=device)
            parts["patch"].append(tokens[rows, chosen[start : start + block].to(device)])
        found |= {(view, pool): torch.cat(tensors) for pool, tensors in parts.items()}
    return found


def effective_rank(x):
    """In how many directions a representation varies: (tr C)^2 / tr C^2 of its covariance C.

    Parameters
    ----------
    x : tensor (n, width)

    Returns
    -------
    float
        Between 1 and the rank; NaN for a constant representation.
    """
    x = x.to(torch.float64)
    squares = torch.linalg.svdvals(x - x.mean(0)).square()
    return float(squares.sum() ** 2 / squares.square().sum())


def probe(train, train_labels, test, test_labels):
    """Accuracy of a linear classifier (ridge, its strength by leave-one-out) of a representation.

    Parameters
    ----------
    train, test : tensors (n, width), (m, width)
    train_labels, test_labels : int arrays (n,), (m,)

    Returns
    -------
    accuracy : float
    chance : float
        Of always answering with the commonest label in `train_labels`.
    """
    from sklearn.linear_model import RidgeClassifierCV

    train, test = (np.asarray(part.cpu(), float) for part in (train, test))
    mean, deviation = train.mean(0), train.std(0)
    scale = np.where(deviation > 0, deviation, 1)
    classifier = RidgeClassifierCV(np.geomspace(1e-1, 1e5, 13))
    classifier.fit((train - mean) / scale, train_labels)
    commonest = np.bincount(train_labels).argmax()
    accuracy = classifier.score((test - mean) / scale, test_labels)
    return float(accuracy), float(np.mean(test_labels == commonest))
