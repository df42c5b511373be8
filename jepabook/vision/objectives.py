"""JEPA and MAE on images: one model, and for each objective what it predicts and how it is scored.

Sources: I-JEPA's `src/train.py` and MAE's `models_mae.py`. Unlike I-JEPA's blocks of patches, the
masks are MAE's random ones for both, as in the paper's Appendix D.
"""

import copy
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn
from torch.nn import functional

from jepabook._support import tensors, validate
from jepabook.vision.model import (
    CHANNELS,
    Config,
    Encoder,
    Predictor,
    initialise,
    patchify,
    pick,
    random_masks,
)

MOST_WORKERS = 1024


class ImageObjective(nn.Module):
    """What MAE and JEPA share: encoder, predictor, masks and the way from images to a loss.

    Of the same seed, both start at the same weights but for the predictor's last layer, `head`.

    Parameters
    ----------
    config : Config
    out_width : int
        Numbers to predict for each masked patch.
    seed : int
        Of the initial weights, which are the same on every device.
    """

    def __init__(self, config, out_width, seed):
        super().__init__()
        seed = validate.seed(seed)
        self.config = config
        # the layers' own initial weights would come from torch's global generator
        with torch.random.fork_rng(devices=[]):
            self.encoder = Encoder(config)
            self.predictor = Predictor(config, out_width)
        initialise(self, torch.Generator().manual_seed(seed))

    def forward(self, images, keep, masked, others=None):
        """The loss at given masks: the pure function of tensors that may be compiled.

        Parameters
        ----------
        images : float tensor (n, 3, image_size, image_size)
            What the encoder sees, where it is kept.
        keep : int64 tensor (n, k)
        masked : int64 tensor (n, m)
        others : float tensor (n, 3, image_size, image_size), optional
            What the targets are made of; None: the images.

        Returns
        -------
        scalar tensor
        """
        self._refuse_others(images)
        for name, places in (("keep", keep), ("masked", masked)):
            tensors.integral(name, places, (len(images), "k"))
        if others is not None:
            tensors.floating("others", others, tuple(images.shape))
        predicted = self.predictor(self.encoder(images, keep), keep, masked)
        with torch.no_grad():
            target = self.target_at(images if others is None else others, masked)
        return self.distance(predicted, target)

    def loss(self, images, generator):
        """The loss of images (n, 3, image_size, image_size) at masks drawn by `generator`."""
        self._refuse_others(images)
        patches, share = self.config.patches, self.config.share
        return self(images, *random_masks(len(images), patches, share, generator, images.device))

    def _refuse_others(self, images):
        side = self.config.image_size
        tensors.floating("images", images, ("n", CHANNELS, side, side))

    @torch.no_grad()
    def encode(self, images, pool="mean", online=False):
        """What the model makes of whole images, for evaluation.

        Parameters
        ----------
        images : float tensor (n, 3, image_size, image_size)
        pool : {"mean", "none"}
            The mean over the patches, or all patches.
        online : bool
            The encoder that is trained, also where the objective evaluates another (JEPA's
            target encoder).

        Returns
        -------
        tensor (n, width), or (n, N, width)
        """
        validate.option("pool", pool, ("mean", "none"))
        online = validate.flag("online", online)
        self._refuse_others(images)
        tokens = (self.encoder if online else self.evaluated)(images)
        return tokens.mean(1) if pool == "mean" else tokens

    @property
    def evaluated(self):
        """The encoder that stands for the model after training."""
        return self.encoder

    def after_step(self, progress):
        """For the trainer to call after each step; `progress` is the share of steps before it."""
        progress = validate.number("progress", progress)
        validate.where("progress", progress, 0 <= progress <= 1, "must lie in [0, 1]")


class ImageMAE(ImageObjective):
    """Predict the masked patches' pixels; mean squared error.

    Parameters
    ----------
    config : Config
    seed : int
    normalise : bool
        Give each patch of the target mean 0 and variance 1 first, as the recipe does.
    """

    def __init__(self, config, seed=0, normalise=True):
        super().__init__(config, validate.instance("config", config, Config).pixels, seed)
        self.normalise = validate.flag("normalise", normalise)

    def target_at(self, images, masked):
        """The masked patches' pixels, (n, m, 3 * patch_size * patch_size)."""
        self._refuse_others(images)
        tensors.integral("masked", masked, (len(images), "m"))
        target = pick(patchify(images, self.config.patch_size), masked)
        if self.normalise:
            # (target - mean) / (variance + 1e-6)^(1/2) with the unbiased variance, in one pass
            ratio = 1 - 1 / self.config.pixels
            normal = functional.layer_norm(target, target.shape[-1:], eps=1e-6 * ratio)
            target = normal * ratio**0.5
        return target

    def distance(self, predicted, target):
        """Mean squared error, a scalar tensor."""
        _alike(predicted, target)
        return functional.mse_loss(predicted, target)


class ImageJEPA(ImageObjective):
    """Predict what a slower copy of the encoder makes of the whole image; smooth L1.

    The target encoder's weights follow the encoder's as an exponential moving average and have no
    gradient. Its tokens are normalised without learned scales.

    Parameters
    ----------
    config : Config
    seed : int
    momentum : pair of float
        Of the average, at the start and at the end of training; linear between.
    """

    def __init__(self, config, seed=0, momentum=(0.996, 1.0)):
        super().__init__(config, validate.instance("config", config, Config).width, seed)
        both = validate.array("momentum", momentum)
        if both.shape != (2,):
            raise ValueError(f"momentum must be two numbers, got shape {both.shape}")
        validate.where("momentum", both, (both >= 0) & (both <= 1), "must lie in [0, 1]")
        self.momentum = tuple(float(m) for m in both)
        self.target = copy.deepcopy(self.encoder).requires_grad_(False)

    def target_at(self, images, masked):
        """The target encoder's normalised tokens at the masked patches, (n, m, width)."""
        self._refuse_others(images)
        tensors.integral("masked", masked, (len(images), "m"))
        target = pick(self.target(images), masked)
        return functional.layer_norm(target, target.shape[-1:])

    def distance(self, predicted, target):
        """Smooth L1 with its bend at 1, a scalar tensor."""
        _alike(predicted, target)
        return functional.smooth_l1_loss(predicted, target)

    @property
    def evaluated(self):
        return self.target

    @torch.no_grad()
    def after_step(self, progress):
        """Move the target encoder: target <- m target + (1 - m) encoder.

        Parameters
        ----------
        progress : float
            Share of the training that came before this step, in [0, 1]: step / steps, from 0.
        """
        super().after_step(progress)
        start, end = self.momentum
        momentum = start + (end - start) * progress
        slow, fast = list(self.target.parameters()), list(self.encoder.parameters())
        torch._foreach_lerp_(slow, fast, 1 - momentum)


def _alike(predicted, target):
    """Raise ValueError unless predictions and targets are (n, m, width) alike."""
    tensors.floating("predicted", predicted, ("n", "m", "width"), gradient=True)
    tensors.floating("target", target, tuple(predicted.shape))


def workers(count):
    """A pool of `count` Python threads for `accumulate`, each with one thread of torch."""
    count = validate.integer("count", count, most=MOST_WORKERS)
    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))


def accumulate(objective, batch, part, pool):
    """Loss and gradients of a batch, in parts that the workers share out: for CPUs.

    Threads that each take whole parts spend no time on waiting for each other at every operation,
    and small parts stay in the caches. The gradients do not depend on the number of workers, not
    even in their last bits.

    Parameters
    ----------
    objective : ImageObjective
        Its parameters' `grad` is replaced.
    batch : tuple of tensors (n, ...)
        Images, masks and what else the objective takes.
    part : int
        Images at a time, >= 1.
    pool : ThreadPoolExecutor
        Of `workers`.

    Returns
    -------
    float
        The mean loss of the batch.
    """
    part = validate.integer("part", part)
    validate.instance("objective", objective, ImageObjective)
    validate.instance("pool", pool, ThreadPoolExecutor)
    if not isinstance(batch, tuple) or len(batch) not in (3, 4):
        raise ValueError(
            f"batch must be images, keep, masked and perhaps others, got {validate.one_line(batch)}"
        )
    images, keep, masked, *others = batch
    tensors.floating("images", images)
    for name, tensor in (("keep", keep), ("masked", masked)):
        tensors.integral(name, tensor, (len(images), "k"))
    for other in others:
        tensors.floating("others", other, tuple(images.shape))
    threads = torch.get_num_threads()
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]

    def work(piece):
        loss = objective(*piece) * (len(piece[0]) / len(images))
        return loss.detach(), torch.autograd.grad(loss, trained)

    pieces = zip(*(tensor.split(part) for tensor in batch), strict=True)
    # this thread only adds up: threads of its own would wait for work where the workers compute
    torch.set_num_threads(1)
    try:
        # the pool answers in the order of the parts, so that the sums are always the same
        answers = pool.map(work, pieces)
        total, sums = next(answers)
        for loss, gradients in answers:
            total = total + loss
            torch._foreach_add_(sums, gradients)
    finally:
        torch.set_num_threads(threads)
    for parameter, gradient in zip(trained, sums, strict=True):
        parameter.grad = gradient
    return float(total)
