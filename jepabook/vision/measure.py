"""What a model makes of whole images and of their projections on the two subspaces: Figure 7."""

from dataclasses import dataclass

import numpy as np
import torch

from jepabook._support import tensors as _tensors
from jepabook._support import validate
from jepabook.vision import batches, images, subspaces

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
    validate.instance("pictures", pictures, images.ImageSet)
    validate.instance("split", split, subspaces.Subspaces)
    if not isinstance(colours, (list, tuple)) or len(colours) != 2:
        told = validate.one_line(colours)
        raise ValueError(f"colours must be a mean and a deviation, got {told}")
    mean, deviation = (_tensors.finite("colours", part, (3,)) for part in colours)
    views = {
        which: batches.prepared(subspaces.project(split, pictures.pixels, which), mean, deviation)
        for which in subspaces.WHICH
    }
    return Stimuli(views, pictures.labels)


def representations(network, shown, online=False, seed=0, device="cpu", block=256):
    """What a model makes of each view of the images.

    Parameters
    ----------
    network : objectives.ImageObjective
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
    if not (hasattr(network, "encode") and hasattr(network, "config")):
        raise ValueError(f"network must be a model with encode, got {validate.one_line(network)}")
    validate.instance("shown", shown, Stimuli)
    block, seed = validate.integer("block", block), validate.seed(seed)
    online, device = validate.flag("online", online), _tensors.device(device)
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
    x = _tensors.finite("x", x, ("n", "width")).to(torch.float64)
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

    train = _tensors.finite("train", train, ("n", "width"))
    test = _tensors.finite("test", test, ("m", train.shape[1]))
    train_labels = validate.integers("train_labels", train_labels, least=0)
    test_labels = validate.integers("test_labels", test_labels, least=0)
    for name, part, labels in (
        ("train_labels", train, train_labels),
        ("test_labels", test, test_labels),
    ):
        if len(labels) != len(part):
            raise ValueError(f"{name} must be {len(part)}, one an image, got {len(labels)}")
    if len(np.unique(train_labels)) < 2:
        raise ValueError(f"train_labels must be two or more, got {train_labels[0]} alone")
    train, test = (np.asarray(part.cpu(), float) for part in (train, test))
    mean, deviation = train.mean(0), train.std(0)
    scale = np.where(deviation > 0, deviation, 1)
    classifier = RidgeClassifierCV(np.geomspace(1e-1, 1e5, 13))
    classifier.fit((train - mean) / scale, train_labels)
    labels, counts = np.unique(train_labels, return_counts=True)
    commonest = labels[counts.argmax()]
    accuracy = classifier.score((test - mean) / scale, test_labels)
    return float(accuracy), float(np.mean(test_labels == commonest))
