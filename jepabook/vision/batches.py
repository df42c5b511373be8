"""What a training step sees: images, crops of them, masks. A function of the seed and the step.

Nothing here has a state that a checkpoint would have to hold, and all random numbers come from the
CPU: a training sees the same data after an interruption, on any device, in any number of processes.
"""

import numpy as np
import torch
from torch.nn import functional

from jepabook._support import tensors, validate
from jepabook.vision import crops
from jepabook.vision import images as sets
from jepabook.vision.model import CHANNELS, Config, random_masks

ORDER, STEP, CROPS, COLOURS = range(4)  # streams of random numbers of a seed
COLOURED = 5000  # fresh crops that colours are taken from
ASPECT = 4 / 3  # of a crop, at most


class Drawn:
    """What batches of all kinds share: places, masks, and the jitter of brightness.

    Parameters
    ----------
    config, batch, seed, jitter, device
        As for `Batches`.
    """

    def __init__(self, config, batch, seed, jitter=None, device="cpu"):
        self.config = validate.instance("config", config, Config)
        self.batch = validate.integer("batch", batch)
        validate.memory("batch", batch, 64 * self.batch * CHANNELS * config.image_size**2)
        self.device, self.seed = tensors.device(device), validate.seed(seed)
        if jitter is not None:
            jitter = validate.number("jitter", jitter, validate.non_negative)
        self.jitter = jitter

    def at(self, step, rank=0, processes=1):
        """The batch of a step, or one process's share of it.

        Parameters
        ----------
        step : int
            From 0.
        rank, processes : int
            The process and how many there are; their number divides the batch.

        Returns
        -------
        images : float32 tensor (n, 3, size, size)
        keep, masked : int64 tensors (n, k), (n, N - k)
        others : float32 tensor (n, 3, size, size)
            Only where there is a jitter: the same pictures with another brightness.
        """
        step = validate.integer("step", step, least=0)
        processes = validate.integer("processes", processes, most=self.batch)
        rank = validate.integer("rank", rank, least=0, most=processes - 1)
        share = slice(rank * self.batch // processes, (rank + 1) * self.batch // processes)
        seeds = np.random.SeedSequence([self.seed, STEP, step]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(seeds[0] >> 1))
        pictures = self._pictures(step, share, generator)
        patches, masked_share = self.config.patches, self.config.share
        masks = random_masks(self.batch, patches, masked_share, generator)
        masks = [mask[share].to(self.device) for mask in masks]
        if self.jitter is None:
            return pictures, *masks
        added = self.jitter * torch.randn(2, self.batch, 1, 1, 1, generator=generator)[:, share]
        images, others = pictures + added.to(self.device) / self.deviation[:, None, None]
        return images, *masks, others


class Batches(Drawn):
    """Batches of one set of images, epoch by epoch in random order.

    Parameters
    ----------
    pixels : uint8 array or memmap (n, size, size, 3)
    config : model.Config
        For the masks.
    batch : int
        Images a step, at most n; what is left of an epoch is left out.
    seed : int
    crop : float
        A crop's share of the picture at least, in (0, 1]; 1 for whole pictures.
    jitter : float or None
        Standard deviation of what is added to the brightness of each view, in [0, 1]; None: there
        is one view.
    device : torch device
        Where the answers are to be. The pixels move there if they fit.

    Attributes
    ----------
    per_epoch : int
        Steps.
    mean, deviation : float32 tensors (3,)
        Of red, green and blue in [0, 1]; pictures are given to a model less the mean, in
        deviations.
    """

    def __init__(self, pixels, config, batch, seed, crop=0.3, jitter=None, device="cpu"):
        validate.pictures("pixels", pixels)
        super().__init__(config, batch, seed, jitter, device)
        if pixels.shape[1] != config.image_size:
            raise ValueError(f"pixels must have {config.image_size} a side, got {pixels.shape[1]}")
        if self.batch > len(pixels):
            raise ValueError(f"batch must be at most {len(pixels)}, all images, got {batch}")
        self.crop = validate.number("crop", crop, validate.half_open_unit)
        self.per_epoch = len(pixels) // self.batch
        self.mean, self.deviation = (part.to(self.device) for part in colours(pixels))
        self.pixels = sets.resident(pixels, self.device)
        self._epoch, self._order = None, None

    def _pictures(self, step, share, generator):
        rows = self._rows(step)[share]
        pictures = prepared(sets.take(self.pixels, rows, self.device), self.mean, self.deviation)
        boxes = random_boxes(self.batch, self.crop, generator)[share]
        return cropped(pictures, boxes.to(self.device)) if self.crop < 1 else pictures

    def _rows(self, step):
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, ORDER, epoch])
            self._epoch, self._order = epoch, torch.from_numpy(rng.permutation(len(self.pixels)))
        return self._order[place * self.batch : (place + 1) * self.batch]


class FreshBatches(Drawn):
    """Batches of crops that are cut out of photographs at each step, at many scales.

    Parameters
    ----------
    photographs : sequence of uint8 arrays (height, width, 3)
    config, batch, seed, jitter, device
        As for `Batches`; no side of a photograph is smaller than the model's images.

    Attributes
    ----------
    mean, deviation : float32 tensors (3,)
        As of `Batches`, over `COLOURED` crops.
    """

    def __init__(self, photographs, config, batch, seed, jitter=None, device="cpu"):
        super().__init__(config, batch, seed, jitter, device)
        size = config.image_size
        if not isinstance(photographs, (list, tuple)) or not photographs:
            told = validate.one_line(photographs)
            raise ValueError(f"photographs must be a list of pictures, got {told}")
        for number, image in enumerate(photographs):
            crops.picture(f"photographs[{number}]", image)
        self.photographs = [crops.octaves(image, size) for image in photographs]
        rng = np.random.default_rng([self.seed, COLOURS])
        some = crops.fresh(self.photographs, size, COLOURED, rng)[0]
        self.mean, self.deviation = (part.to(self.device) for part in colours(some))

    def _pictures(self, step, share, generator):
        rng = np.random.default_rng([self.seed, CROPS, step])
        pixels = crops.fresh(self.photographs, self.config.image_size, self.batch, rng)[0]
        pixels = torch.from_numpy(pixels[share]).to(self.device)
        return prepared(pixels, self.mean, self.deviation)


def colours(pixels, most=20_000):
    """Mean and deviation of red, green and blue, in [0, 1], over `most` pictures or all.

    Parameters
    ----------
    pixels : uint8 array or memmap (n, size, size, 3)
    most : int
        Pictures looked at, evenly through the set.

    Returns
    -------
    two float32 tensors (3,)
    """
    validate.pictures("pixels", pixels)
    most = validate.integer("most", most)
    rows = np.linspace(0, len(pixels) - 1, min(most, len(pixels))).astype(int)
    sums, squares = np.zeros(3), np.zeros(3)
    for part in np.array_split(rows, -(-len(rows) // 1000)):
        flat = pixels[part].reshape(-1, 3) / 255
        sums, squares = sums + flat.mean(0) * len(part), squares + (flat**2).mean(0) * len(part)
    mean = sums / len(rows)
    deviation = np.sqrt(np.maximum(squares / len(rows) - mean**2, 1e-12))
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32)


def prepared(pixels, mean, deviation):
    """Pixels as a model takes them.

    Parameters
    ----------
    pixels : tensor (n, size, size, 3)
        uint8, or float in [0, 1].
    mean, deviation : float32 tensors (3,)

    Returns
    -------
    float32 tensor (n, 3, size, size)
    """
    tensors.dense("pixels", pixels, ("n", "size", "size", 3))
    if not (pixels.dtype == torch.uint8 or pixels.is_floating_point()):
        raise ValueError(f"pixels must be uint8 or floating-point numbers, got {pixels.dtype}")
    tensors.floating("mean", mean, (3,))
    tensors.floating("deviation", deviation, (3,))
    scale = 255 if pixels.dtype == torch.uint8 else 1
    # one pass over the numbers: x / (scale deviation) - mean / deviation
    centred = pixels.permute(0, 3, 1, 2).to(torch.float32, copy=True)
    centred.mul_(1 / (scale * deviation)[:, None, None])
    return centred.sub_((mean / deviation)[:, None, None]).contiguous()


def random_boxes(count, least, generator):
    """Crops' boxes as I-JEPA and MAE draw them: area uniform, log-aspect uniform within 4/3.

    Parameters
    ----------
    count : int
    least : float
        Area at least, in pictures.
    generator : torch.Generator

    Returns
    -------
    float32 tensor (count, 4)
        Left, top, width and height in pictures. Sides that would be longer than the picture are
        cut to it, which leaves three quarters of it or more (the recipes draw again).
    """
    count = validate.integer("count", count, each=256)
    least = validate.number("least", least, validate.half_open_unit)
    validate.instance("generator", generator, torch.Generator)
    area, aspect, left, top = torch.rand(count, 4, generator=generator).unbind(1)
    area = least + (1 - least) * area
    aspect = ASPECT ** (2 * aspect - 1)
    width, height = ((area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1))
    return torch.stack([left * (1 - width), top * (1 - height), width, height], 1)


def cropped(pictures, boxes):
    """Cut boxes out of pictures and stretch them to the whole, bilinearly.

    Parameters
    ----------
    pictures : float tensor (n, 3, size, size)
    boxes : float tensor (n, 4)
        As `random_boxes` gives them.

    Returns
    -------
    float tensor (n, 3, size, size)
    """
    tensors.floating("pictures", pictures, ("n", 3, "size", "size"))
    tensors.floating("boxes", boxes, (len(pictures), 4))
    left, top, width, height = boxes.unbind(1)
    zero = torch.zeros_like(left)
    across = torch.stack([width, zero, 2 * left + width - 1], 1)
    down = torch.stack([zero, height, 2 * top + height - 1], 1)
    grid = functional.affine_grid(
        torch.stack([across, down], 1), list(pictures.shape), align_corners=False
    )
    return functional.grid_sample(
        pictures, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
