"""One vision transformer and one predictor: all that JEPA and MAE on images share.

What the two recipes (I-JEPA, `src/models/vision_transformer.py`; MAE, `models_mae.py`) agree on:
fixed two-dimensional sine and cosine positions, masked patches dropped before the encoder,
pre-norm blocks, a LayerNorm at the end (epsilon 1e-6), a narrower predictor that sees the encoded
patches and one learned token for each masked one. Where they differ, one choice for both: no class
token (I-JEPA's), Xavier-uniform weights and zero biases (MAE's; I-JEPA has normal ones, cut off,
of deviation 0.02 and shrunk with depth), the encoder's width and depth free of the predictor's.

Letters in the shapes: n images, N patches of an image, k of them kept.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from jepabook._support import tensors, validate

CHANNELS = 3
MOST = 2**15  # of each of a model's sizes
EPSILON = 1e-6


@dataclass(frozen=True)
class Config:
    """The sizes of a model, the same for both objectives.

    Attributes
    ----------
    image_size, patch_size : int
        Pixels along an edge; patches tile the image.
    width, depth, heads : int
        Of the encoder; the width is a multiple of the heads and, for the positions, of 4.
    predictor_width, predictor_depth, predictor_heads : int
        Of the predictor, which MAE calls the decoder.
    mlp_ratio : int
        Width of the hidden layer of a block's perceptron, in widths of the block.
    share : float
        Share of the patches that is masked, in (0, 1), rounded to whole patches.

    Raises
    ------
    ValueError
        For sizes that do not fit.
    """

    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    predictor_width: int
    predictor_depth: int
    predictor_heads: int
    mlp_ratio: int = 4
    share: float = 0.75

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            if name != "share":
                value = validate.integer(name, getattr(self, name), most=MOST)
                object.__setattr__(self, name, value)
        _multiple("image_size", self.image_size, "patch_size", self.patch_size)
        for part in ("", "predictor_"):
            width, heads = (getattr(self, part + name) for name in ("width", "heads"))
            _multiple(f"{part}width", width, f"{part}heads", heads)
            _multiple(f"{part}width", width, "4", 4)
        share = validate.number("share", self.share, validate.open_unit)
        object.__setattr__(self, "share", share)
        kept_patches(self.patches, share)

    @property
    def patches(self):
        """N, the patches of an image."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def pixels(self):
        """The numbers in a patch."""
        return CHANNELS * self.patch_size**2


def _checked(config):
    """A Config of a model that fits in memory with its gradients, or ValueError."""
    validate.instance("config", config, Config)
    each = (4 + 2 * config.mlp_ratio) * 8
    need = config.depth * each * config.width**2
    need += config.predictor_depth * each * config.predictor_width**2
    validate.memory("config", f"width {config.width} and depth {config.depth}", need)
    return config


def _multiple(name, value, of, unit):
    if value % unit:
        unit_shown = of if of == str(unit) else f"{of} = {unit}"
        raise ValueError(f"{name} must be a multiple of {unit_shown}, got {value}")


def kept_patches(patches, share):
    """How many of `patches` stay when `share` of them is masked; ValueError if none or all do."""
    patches = validate.integer("patches", patches)
    kept = patches - round(patches * validate.number("share", share))
    if not 0 < kept < patches:
        raise ValueError(
            f"share must keep and mask at least one of the {patches} patches, got {share}"
        )
    return kept


#: The sizes of encoder and decoder, or predictor, by name.
#:
#: :meta hide-value:
PRESETS = {
    # trains for some hundred steps in half a minute on two cores
    "toy": Config(32, 4, 128, 4, 4, 64, 2, 2),
    # the patches of the sizes below, in an hour on two cores
    "tiny": Config(64, 8, 128, 4, 4, 64, 2, 2),
    # some hours on two cores
    "small": Config(64, 8, 192, 6, 3, 96, 3, 3),
    # a GPU; the predictor is half as wide as the encoder, as I-JEPA's of ViT-B
    "vit-s/8": Config(64, 8, 384, 12, 6, 192, 6, 6),
    "vit-b/8": Config(64, 8, 768, 12, 12, 384, 6, 12),
}


def preset(name):
    """The Config called `name`, a key of `PRESETS`; ValueError for other names."""
    return PRESETS[validate.option("preset", name, PRESETS)]


def random_masks(count, patches, share, generator, device="cpu"):
    """Masks drawn for each image on its own, as MAE draws them: every subset equally likely.

    Parameters
    ----------
    count, patches : int
        n and N.
    share : float
        Share of the patches that is masked, rounded to whole patches.
    generator : torch.Generator
        On any device: the numbers are drawn there.
    device : torch device
        Where the answer is to be.

    Returns
    -------
    keep : int64 tensor (n, k)
    masked : int64 tensor (n, N - k)
        Indices of patches, row by row through the image; each image's fill 0, ..., N - 1.
    """
    kept = kept_patches(patches, share)
    count = validate.integer("count", count, each=32 * patches)
    validate.instance("generator", generator, torch.Generator)
    device = tensors.device(device)
    noise = torch.rand(count, patches, generator=generator, device=generator.device)
    # stable: equal numbers, which float32 does draw, fall the same way everywhere
    order = noise.argsort(dim=1, stable=True).to(device)
    return order[:, :kept], order[:, kept:]


def patchify(images, size):
    """The patches of images (n, 3, s, s), row by row, each channel by channel: (n, N, 3 size^2)."""
    tensors.dense("images", images, ("n", "channels", "side", "side"), gradient=True)
    n, channels, height, width = images.shape
    size = validate.integer("size", size)
    _multiple("images' side", height, "size", size)
    grid = images.reshape(n, channels, height // size, size, width // size, size)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(n, -1, channels * size * size)


def pick(tokens, indices):
    """Of each image's tokens (n, N, d) those at its indices (n, k): (n, k, d)."""
    tensors.dense("tokens", tokens, ("n", "N", "d"), gradient=True)
    tensors.integral("indices", indices, (len(tokens), "k"))
    return tokens.gather(1, indices[..., None].expand(-1, -1, tokens.shape[-1]))


def positions(side, width):
    """Fixed positions of a square grid: (side * side, width) float32, rows first.

    A quarter of the width each for sin and cos of the column, sin and cos of the row, at `width`/4
    frequencies from 1 down towards 1/10000: the layout of both recipes' `get_2d_sincos_pos_embed`.
    """
    side, width = (
        validate.integer(name, value, most=MOST)
        for name, value in (("side", side), ("width", width))
    )
    _multiple("width", width, "4", 4)
    validate.memory("side", side, 32 * side**2 * width)
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    phase = torch.arange(side, dtype=torch.float64)[:, None] * frequency
    wave = torch.cat([phase.sin(), phase.cos()], dim=1)
    grid = torch.cat([wave.repeat(side, 1), wave.repeat_interleave(side, 0)], dim=1)
    return grid.float()


class Block(nn.Module):
    """A pre-norm transformer block, tokens (n, t, width) to the same; see `forward`."""

    def __init__(self, width, heads, mlp_ratio):
        super().__init__()
        width, heads, mlp_ratio = (
            validate.integer(name, value, most=MOST)
            for name, value in (("width", width), ("heads", heads), ("mlp_ratio", mlp_ratio))
        )
        _multiple("width", width, "heads", heads)
        validate.memory("width", width, 4 * (4 + 2 * mlp_ratio) * width**2)
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width)
        )

    def forward(self, tokens, last=None):
        """All tokens, or only the `last` of them, (n, last, width), which still attend to all."""
        tensors.floating("tokens", tokens, ("n", "t", self.out.in_features), gradient=True)
        if last is not None:
            last = validate.integer("last", last, most=tokens.shape[1])
        qkv = self.qkv(self.norm1(tokens)).unflatten(2, (3, self.heads, -1))
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
        if last is not None:
            query, tokens = query[:, :, -last:], tokens[:, -last:]
        mixed = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        return tokens + self.mlp(self.norm2(tokens))


class Encoder(nn.Module):
    """The vision transformer.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        super().__init__()
        self.patch_size = _checked(config).patch_size
        self.embed = nn.Linear(config.pixels, config.width)
        self.blocks = nn.Sequential(
            *(Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth))
        )
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)
        side = config.image_size // config.patch_size
        self.register_buffer("positions", positions(side, config.width), persistent=False)

    def forward(self, images, keep=None):
        """Tokens of the kept patches, or of all.

        Parameters
        ----------
        images : float tensor (n, 3, image_size, image_size)
        keep : int64 tensor (n, k), optional
            Indices of the patches to encode; the others are not looked at.

        Returns
        -------
        tensor (n, k, width), or (n, N, width)
        """
        side = self.patch_size * int(len(self.positions) ** 0.5)
        tensors.floating("images", images, ("n", CHANNELS, side, side), gradient=True)
        patches = patchify(images, self.patch_size)
        if keep is None:
            tokens = self.embed(patches) + self.positions
        else:
            tensors.integral("keep", keep, (len(images), "k"))
            # dropped before the embedding, so that nothing at all is computed for masked patches
            tokens = self.embed(pick(patches, keep)) + functional.embedding(keep, self.positions)
        return self.norm(self.blocks(tokens))


class Predictor(nn.Module):
    """From encoded kept patches to something at the masked ones.

    Parameters
    ----------
    config : Config
    out_width : int
        Numbers to predict for each masked patch.
    """

    def __init__(self, config, out_width):
        super().__init__()
        width = _checked(config).predictor_width
        out_width = validate.integer("out_width", out_width, each=8 * width)
        self.embed = nn.Linear(config.width, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(
            Block(width, config.predictor_heads, config.mlp_ratio)
            for _ in range(config.predictor_depth)
        )
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.head = nn.Linear(width, out_width)
        side = config.image_size // config.patch_size
        self.register_buffer("positions", positions(side, width), persistent=False)

    def forward(self, tokens, keep, masked):
        """Predictions at the masked patches.

        Parameters
        ----------
        tokens : tensor (n, k, encoder's width)
        keep : int64 tensor (n, k)
        masked : int64 tensor (n, m)

        Returns
        -------
        tensor (n, m, out_width)
        """
        shape = ("n", "k", self.embed.in_features)
        tensors.floating("tokens", tokens, shape, gradient=True)
        tensors.integral("keep", keep, tokens.shape[:2])
        tensors.integral("masked", masked, (len(tokens), "m"))
        # attention does not mind the order, so kept and masked need not be shuffled back
        known = self.embed(tokens) + functional.embedding(keep, self.positions)
        asked = functional.embedding(masked, self.positions + self.mask_token)
        tokens = torch.cat([known, asked], dim=1)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        # nobody reads what the last block would make of the kept patches
        return self.head(self.norm(self.blocks[-1](tokens, last=masked.shape[1])))


def initialise(module, generator):
    """Fill the weights of `module` in their order: Xavier-uniform matrices, biases 0, norms 1."""
    validate.instance("module", module, nn.Module)
    validate.instance("generator", generator, torch.Generator)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight, generator=generator)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            part.reset_parameters()
        elif isinstance(part, Predictor):
            # MAE's deviation
            nn.init.normal_(part.mask_token, std=0.02, generator=generator)


def decay_groups(model, weight_decay):
    """Parameter groups for an optimiser: no decay on biases, norms and the mask token.

    Parameters
    ----------
    model : nn.Module
    weight_decay : float
        Of the parameters that have two dimensions or more.

    Returns
    -------
    list of two dicts with "params" and "weight_decay"
        Only parameters that are trained. The recipes decay the mask token too, whose shape there
        is (1, 1, width).
    """
    validate.instance("model", model, nn.Module)
    weight_decay = validate.number("weight_decay", weight_decay, validate.non_negative)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
