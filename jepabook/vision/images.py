"""Sets of small colour pictures from two sources: photographs and converted folders."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepabook._support import validate
from jepabook._support.regular import shown
from jepabook.vision import crops, sources, stored
from jepabook.vision.convert import convert
from jepabook.vision.decoding import Skipped, decoded, quiet, shrunk
from jepabook.vision.survey import survey
from jepabook.worlds import photographs as shipped

__all__ = [
    "ImageSet",
    "Photographs",
    "convert",
    "open_images",
    "opened",
    "photographs",
    "read",
    "resident",
    "take",
]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures and what is known of them.

    Attributes
    ----------
    name : str
    pixels : uint8 array or memmap (n, size, size, 3)
        Red, green and blue.
    labels : dict of str to int64 array (n,)
        May be empty.
    skipped : dict of str to int
        How many images could not be used, by reason.
    """

    name: str
    pixels: np.ndarray
    labels: dict
    skipped: dict

    def __len__(self):
        return len(self.pixels)

    @property
    def size(self):
        """Pixels along a side."""
        return self.pixels.shape[1]


@dataclass(frozen=True, eq=False)
class Photographs:
    """Photographs that crops are cut out of at every step of a training.

    Attributes
    ----------
    name : str
    pixels : list of uint8 array (height, width, 3)
        Red, green and blue.
    """

    name: str
    pixels: list

    def __len__(self):
        return len(self.pixels)


def photographs(size, count, seed, split="train", largest=None):
    """Crops at many scales from the six photographs of scikit-image and scikit-learn.

    The right quarter of every photograph is for testing, the rest for training, so that the two
    splits share no pixel.

    Parameters
    ----------
    size : int
        Pixels along a side, at most 300 for training and 113 for testing.
    count : int
        Crops; the photographs take turns.
    seed : int
        The first n of a longer set are the set of n.
    split : {"train", "test"}
    largest : int or None
        Pixels of the photograph along a crop's side at most; None: what the region allows, which
        is less for testing.

    Returns
    -------
    ImageSet
        With the labels "photograph" (0 to 5) and "scale" (half-octaves of the crop's side over
        `size`, rounded down).

    Raises
    ------
    ValueError
        In one line, if an argument is not of these kinds.
    """
    rng, size = _generator(seed, split), validate.integer("size", size)
    count = validate.integer("count", count)  # before what takes longer
    images = list(shipped.colour().values())
    pixels, photograph, scale = crops.cut(images, size, count, rng, split, largest)
    return ImageSet(f"photos ({split})", pixels, {"photograph": photograph, "scale": scale}, {})


def opened(folder, split=None, verify=False):
    """A folder that `convert` made; its pixels stay on the disk, memory-mapped.

    Parameters
    ----------
    folder : path
    split : {"train", "test"} or None
        None for all images, those for testing last.
    verify : bool
        Whether to compare the checksums, which reads everything.

    Returns
    -------
    ImageSet
        With the label "class", if the source had labels.

    Raises
    ------
    ValueError
        In one line, with the file, if the folder is unfinished, damaged or holds no such images.
    """
    folder, verify = validate.path("folder", folder), validate.flag("verify", verify)
    if split is not None:
        crops.one_of_splits(split)
    pixels, labels, facts = stored.read(folder, verify)
    part = {None: slice(None), "train": slice(facts["train"]), "test": slice(facts["train"], None)}
    pixels, labels = pixels[part[split]], labels[part[split]]
    if not len(pixels):
        raise ValueError(f"{folder} must hold images for {split}, got none")
    skipped = {reason: entry["count"] for reason, entry in facts["skipped"].items()}
    name = facts["name"] if split is None else f"{facts['name']} ({split})"
    return ImageSet(name, pixels, {"class": labels} if facts["labelled"] else {}, skipped)


def open_images(words, size, count, seed, verify=False):
    """The images for training that a command's words name.

    Parameters
    ----------
    words : str or path
        "photos", or a folder that `convert` made.
    size : int
        Pixels along a side; a folder must have been converted to it.
    count : int or None
        Images. From a folder so many are chosen at random, None takes all and copies none.
    seed : int
    verify : bool
        Whether to compare a folder's checksums, which reads everything.

    Returns
    -------
    ImageSet

    Raises
    ------
    ValueError
        In one line, if there are no such images.
    """
    rng, size = _generator(seed, "train"), validate.integer("size", size)
    words, verify = validate.path("images", words), validate.flag("verify", verify)
    if str(words) == "photos":
        if verify:
            raise ValueError("verify must be False for 'photos', which nobody stored, got True")
        return photographs(size, count, seed)
    if not Path(words).exists():
        raise ValueError(f"images must be 'photos' or a folder, got {str(words)!r}")
    images = opened(words, "train", verify)
    if images.size != size:
        raise ValueError(f"{words} must hold images of {size} pixels a side, got {images.size}")
    if count is None:
        return images
    count = validate.integer("count", count)
    if count > len(images):
        raise ValueError(
            f"count must be at most {len(images)}, all of {words}'s train images, got {count}"
        )
    rows = np.sort(rng.choice(len(images), count, replace=False))
    labels = {name: values[rows] for name, values in images.labels.items()}
    return ImageSet(images.name, images.pixels[rows], labels, images.skipped)


def read(words, size, most=20_000):
    """Images of any source in one size, in memory, decoded as `convert` does.

    Parameters
    ----------
    words : str or path
        "photos", a folder of images or of class folders, a folder that `convert` made, a parquet
        file or ``hub:owner/name``.
    size : int
        Pixels along a side; smaller images are left out.
    most : int
        Images; of more, as many at equal distances are taken.

    Returns
    -------
    ImageSet
        With the label "class" if the source has any.

    Raises
    ------
    ValueError
        In one line, if there is no image that can be used.
    """
    size = validate.integer("size", size, least=2, most=crops.MOST_PIXELS)
    most = validate.integer("most", most, each=3 * size**2)
    path = validate.path("images", words)
    if str(words) == "photos":
        return photographs(size, min(most, 3000), 0)
    if not (path.exists() or str(words).startswith(sources.HUB)):
        raise ValueError(
            "images must be 'photos', a folder, a .parquet file or hub:owner/name, got "
            f"{str(words)!r}"
        )
    if (path / stored.FACTS).exists():
        return _resized(opened(path), size, most)
    entries, total, labelled = _entries(words, path)
    step = 1 if total is None else max(1, -(-total // most))
    pixels, labels, skipped = [], [], {}
    with quiet():
        for number, entry in enumerate(entries):
            if number % step:
                continue
            if len(pixels) == most:
                break
            try:
                pixels.append(decoded(entry.read(), size)[0])
                labels.append(entry.label)
            except Skipped as error:
                skipped[str(error)] = skipped.get(str(error), 0) + 1
    if not pixels:
        told = "; ".join(f"{count} {reason}" for reason, count in sorted(skipped.items())) or "none"
        raise ValueError(
            f"{shown(words)} must hold an image of {size} pixels a side or more, got {told}"
        )
    named = {"class": np.array(labels, np.int64)} if labelled else {}
    return ImageSet(shown(path.name), np.stack(pixels), named, skipped)


def _entries(words, path):
    """Entries of a source, how many, and whether they have classes."""
    if path.is_dir():
        found = survey(path)
        if found.files and not found.tables and not any("/" in name for name in found.files):
            names = zip(found.files, found.stamps.tolist(), strict=True)
            entries = (sources.Entry(name, -1, path / name, tuple(at)) for name, at in names)
            return entries, len(found.files), False
    source = sources.source(words)
    return source.entries(0, None), source.total, source.labelled


def _resized(images, size, most):
    """At most so many of the images of a converted folder, shrunk to `size`."""
    from PIL import Image

    if images.size < size:
        raise ValueError(f"{images.name} must hold images of {size} pixels, got {images.size}")
    rows = np.arange(0, len(images), max(1, -(-len(images) // most)))
    pixels = images.pixels[rows]
    if images.size > size:
        pixels = np.stack([shrunk(Image.fromarray(picture), size) for picture in pixels])
    labels = {name: values[rows] for name, values in images.labels.items()}
    return ImageSet(images.name, np.asarray(pixels), labels, images.skipped)


def resident(pixels, device):
    """`pixels` on a CUDA device if they fit into half of what is free there, else as they are.

    Parameters
    ----------
    pixels : uint8 array or memmap (n, size, size, 3)
    device : torch.device or str

    Returns
    -------
    uint8 torch tensor (n, size, size, 3) on the device, or `pixels`
    """
    import torch

    from jepabook._support import tensors

    device = tensors.device(device)
    validate.pictures("pixels", pixels)
    if device.type != "cuda" or pixels.nbytes > 0.5 * torch.cuda.mem_get_info(device)[0]:
        return pixels
    there = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), 8192):  # a memory-mapped array never is in memory whole
        there[start : start + 8192] = torch.from_numpy(np.array(pixels[start : start + 8192]))
    return there


def take(pixels, rows, device):
    """Some pictures of what `resident` returned, on the device.

    Parameters
    ----------
    pixels : uint8 array, memmap or tensor (n, size, size, 3)
    rows : int64 torch tensor (m,)
        On any device.
    device : torch.device or str

    Returns
    -------
    uint8 torch tensor (m, size, size, 3)
    """
    import torch

    from jepabook._support import tensors

    tensors.integral("rows", rows, ("m",))
    device = tensors.device(device)
    if isinstance(pixels, torch.Tensor):
        tensors.dense("pixels", pixels, ("n", "size", "size", 3))
        return pixels[rows.to(pixels.device)].to(device)
    validate.pictures("pixels", pixels)
    return torch.from_numpy(pixels[rows.cpu().numpy()]).to(device)


def _generator(seed, split):
    seed = validate.seed(seed)
    return np.random.default_rng([seed, crops.SPLITS.index(crops.one_of_splits(split))])
