"""What a network in `linear_net` learns from: population covariances, or minibatches of views.

A source turns the products of many networks into their residuals R = V W S_xx - T S_yx, where
S_xx and S_yx are the covariances of a minibatch (or of the population). A source of S streams
serves R = k S networks: network r sees stream r mod S, so runs that are compared, say JEPA and
MAE, can see the very same minibatches.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch

from jepabook import recorded
from jepabook._support import tensors as _tensors
from jepabook._support import validate


class Population:
    """The population's covariances: gradient descent, or gradient flow, without noise.

    Parameters
    ----------
    sigma_xx, sigma_yx : arrays (d, d) or (S, d, d)
        E[x x'] and E[y x'].
    dtype : torch.float32 or torch.float64
    device : torch device
    """

    def __init__(self, sigma_xx, sigma_yx, dtype=torch.float64, device="cpu"):
        _tensors.dtype(dtype)
        self.sigma_xx, self.sigma_yx = _streams(
            dtype, device, dtype, sigma_xx=sigma_xx, sigma_yx=sigma_yx
        )
        self.streams, self.width = self.sigma_xx.shape[:2]
        self.dtype, self.device = dtype, self.sigma_xx.device

    def residual(self, product, target):
        """V W S_xx - T S_yx for products and targets (R, d, d)."""
        _fitting(self, product, target)
        return product @ _repeat(self.sigma_xx, product) - target @ _repeat(self.sigma_yx, product)

    def state(self):
        """What `restore` needs to go on: nothing."""
        return torch.empty(0, dtype=torch.uint8)

    def restore(self, state):
        """Nothing: the population has no state."""
        _tensors.dense("state", state, (0,))

    def identity(self):
        """A name for this source."""
        return recorded.digest(self.sigma_xx.cpu().numpy(), self.sigma_yx.cpu().numpy())


class Minibatches(ABC):
    """Minibatches drawn by a generator of their own: what all sources that draw them share.

    Attributes
    ----------
    streams, width, batch : int
        S, d, and the pairs of a minibatch, n.
    dtype : torch.float32 or torch.float64
    device : torch device
    """

    def __init__(self, streams, width, batch, seed, dtype, device):
        _tensors.dtype(dtype)
        streams = validate.integer("streams", streams)
        width = validate.integer("width", width)
        self.streams, self.width = streams, width
        self.batch = validate.integer("batch", batch)
        self.dtype, self.device = dtype, _tensors.device(device)
        self._generator = torch.Generator(self.device).manual_seed(validate.seed(seed))
        self._identity = None

    @abstractmethod
    def columns(self):
        """Draw a minibatch; return x and y as columns, each (S, d, n)."""

    def covariances(self):
        """Draw a minibatch; return S_xx and S_yx, each (S, d, d)."""
        x, y = self.columns()
        return torch.bmm(x, x.mT).div_(self.batch), torch.bmm(y, x.mT).div_(self.batch)

    def residual(self, product, target):
        """Draw a minibatch; return V W S_xx - T S_yx for products and targets (R, d, d)."""
        _fitting(self, product, target)
        xx, yx = (_repeat(covariance, product) for covariance in self.covariances())
        return torch.baddbmm(torch.bmm(target, yx), product, xx, beta=-1)

    def state(self):
        """The generator's state, a tensor of uint8."""
        return self._generator.get_state()

    def restore(self, state):
        """Continue the stream from a `state`."""
        _tensors.set_state(self._generator, state)

    def identity(self):
        """A name for this source: the law of its minibatches, their size and the seed."""
        return self._identity


class GaussianViews(Minibatches):
    """Minibatches of jointly Gaussian views (x, y), drawn anew at every call of `residual`.

    With square roots Sigma_xx = F F' and Sigma_yy - Sigma_yx Sigma_xx^-1 Sigma_xy = N N', views
    are x = F a, y = Sigma_yx F^-T a + N b with a, b standard normal. The covariances of n views
    depend on a (d, n) and b (d, n) through a a' and b a' only. With the LQ decomposition a = A Q,
    Bartlett's theorem says: A (d, min(n, d)) is lower trapezoidal with independent entries,
    N(0, 1) below the diagonal and A_ii^2 ~ chi^2 with n - i + 1 degrees of freedom on it, and
    b Q' is standard normal and independent of A. So min(n, d) columns in place of n give
    covariances of exactly the same law.

    On CPUs a seed gives the same draws on every machine, to rounding. F and N are unique: the
    Cholesky factor, the symmetric root. Uniform and normal numbers take one path. The chi^2 are
    Marsaglia and Tsang's, by rejection, decided in float64 whatever the `dtype`: rounding moves
    the logarithm of a uniform number and its bound by less than 1e-13 for n <= 4096, so that two
    machines disagree on one draw in 5e12 at most. All recorded runs together draw 1.3e8.

    Parameters
    ----------
    sigma_xx, sigma_yx, sigma_yy : arrays, all (d, d) or all (S, d, d)
        Population covariances; sigma_xx positive definite.
    batch : int
        Views a minibatch, n.
    seed : int
    draw : {"wishart", "covariances", "samples"}
        Bartlett's columns; n samples, reduced to their covariances; or n samples, passed through
        the network one by one. One law, three costs.
    dtype : torch.float32 or torch.float64
    device : torch device

    Raises
    ------
    ValueError
        If the matrices are not the covariances of any (x, y), or an option is unknown.
    """

    DRAWS = ("wishart", "covariances", "samples")

    def __init__(
        self,
        sigma_xx,
        sigma_yx,
        sigma_yy,
        batch,
        seed,
        draw="wishart",
        dtype=torch.float32,
        device="cpu",
    ):
        validate.option("draw", draw, self.DRAWS)
        _tensors.dtype(dtype)
        batch, seed = validate.integer("batch", batch), validate.seed(seed)
        xx, yx, yy = _streams(
            torch.float64, device, dtype, sigma_xx=sigma_xx, sigma_yx=sigma_yx, sigma_yy=sigma_yy
        )
        factor, failed = torch.linalg.cholesky_ex(xx)
        if failed.any():
            least = torch.linalg.eigvalsh(xx).min()
            raise ValueError(f"sigma_xx must be positive definite, got eigenvalue {least:.3g}")
        regression = torch.linalg.solve_triangular(factor, yx.mT, upper=False).mT
        noise = _square_root(yy - regression @ regression.mT, scale=yy)
        super().__init__(*xx.shape[:2], batch, seed, dtype, factor.device)
        self.draw = draw
        self._maps = [_Map(matrix.to(dtype)) for matrix in (factor, regression, noise)]
        columns = min(self.batch, self.width) if draw == "wishart" else self.batch
        validate.memory("batch", batch, 40 * self.streams * self.width * columns)
        self._shape = (self.streams, self.width, columns)
        freedom = self.batch - torch.arange(columns, dtype=dtype, device=device)
        self._half_freedom = (freedom / 2).expand(self.streams, columns).contiguous()
        moments = recorded.digest(*(matrix.cpu().numpy() for matrix in (xx, yx, yy)))
        self._identity = f"{draw} {batch} {seed} {dtype} {moments}"

    def columns(self):
        """Draw x and y as columns, each (S, d, n), or (S, d, min(n, d)) by Bartlett's theorem."""
        like = {"dtype": self.dtype, "device": self.device, "generator": self._generator}
        a, b = torch.randn(self._shape, **like), torch.randn(self._shape, **like)
        if self.draw == "wishart":
            # what torch.distributions.Gamma draws with, but that takes no generator
            gamma = torch._standard_gamma(self._half_freedom, generator=self._generator)
            a.tril_(-1).diagonal(dim1=-2, dim2=-1).copy_((2 * gamma).sqrt_())
        to_x, to_y, to_noise = self._maps
        return to_x(a), to_y(a).add_(to_noise(b))

    def residual(self, product, target):
        """Draw a minibatch; return V W S_xx - T S_yx for products and targets (R, d, d)."""
        if self.draw != "samples":
            return super().residual(product, target)
        _fitting(self, product, target)
        x, y = (_repeat(view, product) for view in self.columns())
        return ((product @ x - target @ y) @ x.mT).div_(self.batch)


class Pairs(Minibatches):
    """Minibatches of given pairs of views, drawn with replacement at every call of `residual`.

    Parameters
    ----------
    x, y : arrays (n, d)
        Row i of each is one pair.
    batch : int
    seed : int
    streams : int
        Independent streams of minibatches of the same pairs.
    dtype : torch.float32 or torch.float64
    device : torch device
    """

    def __init__(self, x, y, batch, seed, streams=1, dtype=torch.float32, device="cpu"):
        _tensors.dtype(dtype)
        x, y = (validate.finite(name, view) for name, view in (("x", x), ("y", y)))
        if x.ndim != 2 or x.size == 0 or x.shape != y.shape:
            raise ValueError(f"x and y must both have shape (n, d), got {x.shape} and {y.shape}")
        batch, streams = validate.integer("batch", batch), validate.integer("streams", streams)
        validate.memory("batch * streams", batch * streams, 40 * batch * streams * x.shape[1])
        seed, device = validate.seed(seed), _tensors.device(device)
        views = (_tensors.of_type(*view, dtype, device) for view in (("x", x), ("y", y)))
        self._views = torch.stack(list(views))
        super().__init__(streams, x.shape[1], batch, seed, dtype, self._views.device)
        self._identity = f"pairs {batch} {seed} {streams} {dtype} {recorded.digest(x, y)}"

    def columns(self):
        """Draw a minibatch for each stream; return x and y as columns, each (S, d, n)."""
        rows = torch.randint(
            self._views.shape[1],
            (self.streams, self.batch),
            generator=self._generator,
            device=self.device,
        )
        x, y = self._views[:, rows].mT
        return x, y


class _Map:
    """Multiplication by matrices (S, d, d) from the left, by rows where all are diagonal."""

    def __init__(self, matrices):
        diagonal = matrices.diagonal(dim1=-2, dim2=-1)
        self._rows = diagonal[..., None] if torch.equal(matrices, diagonal.diag_embed()) else None
        self._matrices = matrices

    def __call__(self, columns):
        return self._matrices @ columns if self._rows is None else self._rows * columns


def _streams(dtype, device, trained_in, **covariances):
    """Covariances of one shape, (d, d) or (S, d, d), as tensors (S, d, d).

    Checked, too, is that they have room in the type that the networks are trained in.
    """
    tensors, shape, device = [], None, _tensors.device(device)
    for name, value in covariances.items():
        value = validate.finite(name, value)
        if value.ndim not in (2, 3) or value.shape[-1] != value.shape[-2] or value.size == 0:
            raise ValueError(f"{name} must have shape (d, d) or (S, d, d), got {value.shape}")
        if value.shape != (shape or value.shape):
            raise ValueError(f"{name} must have sigma_xx's shape {shape}, got {value.shape}")
        shape = value.shape
        if name != "sigma_yx":
            lopsided = np.abs(value - value.swapaxes(-1, -2))
            allowed = lopsided <= 1e-6 * np.abs(value).max()
            validate.where(name, value, allowed, "must be symmetric")
        _tensors.room(name, value, trained_in)
        tensor = torch.as_tensor(value, dtype=dtype, device=device)
        tensors.append(tensor.reshape(-1, *shape[-2:]))
    return tensors


def _fitting(source, product, target):
    """Raise ValueError unless products and targets are those of networks that a source serves."""
    for name, value in (("product", product), ("target", target)):
        _tensors.floating(name, value, ("R", source.width, source.width), gradient=True)
        if len(value) % source.streams or len(value) != len(product):
            raise ValueError(
                f"{name} must be of {len(product)} networks, a multiple of {source.streams}, "
                f"got {len(value)}"
            )


def _repeat(streams, product):
    """Tensors (S, ...) repeated to the number of networks in `product` (R, d, d)."""
    copies = len(product) // len(streams)
    return streams if copies == 1 else streams.repeat(copies, 1, 1)


def _square_root(matrix, scale):
    """The symmetric square root of positive semidefinite matrices (S, d, d).

    It is unique, as eigenvectors are not: any root gives the law, this one also the same draws
    whatever LAPACK computes it. `scale` (S, d, d) is what `matrix` is a small difference of:
    eigenvalues within its rounding are 0, lest their roots, 1e-8 of it, be drawn.
    """
    if torch.equal(matrix, matrix.diagonal(dim1=-2, dim2=-1).diag_embed()):
        values, vectors = matrix.diagonal(dim1=-2, dim2=-1), None
    else:
        values, vectors = torch.linalg.eigh(matrix)
    if values.min() < -1e-10 * scale.abs().max():
        raise ValueError(
            "sigma_yy must be at least sigma_yx sigma_xx^-1 sigma_xy, "
            f"got a difference with eigenvalue {values.min():.3g}"
        )
    rounding = 8 * matrix.shape[-1] * torch.finfo(matrix.dtype).eps * scale.abs().amax((-2, -1))
    roots = values.where(values > rounding[:, None], 0).sqrt()
    return roots.diag_embed() if vectors is None else (vectors * roots[:, None]) @ vectors.mT
