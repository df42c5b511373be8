"""Ways to break Assumption 3.1 by a controlled amount, and what theory is left when it is broken.

Everything here is ours. Weights are arrays (L + M, d, d): the encoder's L layers, then the
decoder's M (M = 1 in the paper), the layer that acts first standing first.
"""

import numpy as np
from scipy.linalg import eigh, expm
from scipy.optimize import brentq
from scipy.stats import ortho_group

from jepabook import _ode, _validate, clock, features, learning_order
from jepabook._canonical import pointed
from jepabook.dynamics import SIZE_FITS

#: Layers of the encoder in `task`.
DEPTH = 4
#: Scale of a layer at the start in `task`; epsilon is GAIN^DEPTH.
GAIN = 0.4
#: The bases of `candidate_bases`.
CANDIDATES = ("yx", "xx", "priority", "joint")


def task(width=8):
    """The features on which chapter 8 breaks assumptions: lam from 1 to 1.2, rho from 1 to 0.6.

    At `DEPTH` and at the initial scale `GAIN` of a layer the scalar theory has JEPA learn them in
    the order of rho and MAE in that of lam, the reverse.
    """
    width = _validate.integer("width", width, each=128)
    return features.distribution(2, width, lam=(1.0, 1.2), rho=(0.6, 1.0))


def aligned_layers(objective, scales, seed, decoder_depth=1):
    """Layers W_a = Q_a diag(scales[a - 1]) Q_{a-1}' with random orthogonal Q_a and Q_0 = I.

    At the decoder's end stands Q_L for JEPA and I for MAE, as the direct proof of chapter 2 needs.

    Parameters
    ----------
    objective : Objective
    scales : array (L + M, d)
        Singular values, one for every layer and feature, > 0. All equal: Assumption 3.1.
    seed : int or NumPy Generator
    decoder_depth : int
        M >= 1.

    Returns
    -------
    ndarray (L + M, d, d)
    """
    _validate.objective(objective)
    scales = _validate.positive("scales", scales)
    decoder_depth = _validate.layers("decoder_depth", decoder_depth)
    depth = len(np.atleast_1d(scales)) - decoder_depth
    if scales.ndim != 2 or scales.shape[1] < 2 or depth < 1:
        raise ValueError(
            f"scales must be (L + M, d) with d > 1, L > 0, M = {decoder_depth}, got {scales.shape}"
        )
    width = _validate.width(len(scales), scales.shape[1])
    q = ortho_group.rvs(width, size=len(scales), random_state=_validate.generator(seed))
    q = np.concatenate([np.eye(width)[None], q.reshape(-1, width, width)])
    q[-1] = q[depth] if objective.targets_encoder else q[0]
    return q[1:] * scales[:, None, :] @ q[:-1].mT


def rotation(width, angle, seed):
    """A random rotation of R^width whose largest angle is `angle` (radians, 0 to pi)."""
    width = _validate.width(1, width)
    angle = _validate.number("angle", angle)
    generator = _validate.generator(seed).standard_normal((width, width))
    generator = generator - generator.T
    return expm(angle * generator / np.linalg.norm(generator, 2))


def loosened(weights, gain, share, seed):
    """Layers on the way from `weights` (share 0) to independent Gaussian ones (share 1).

    sqrt(1 - share^2) W_a + share N_a with entries of N_a ~ N(0, gain^2 / d).
    """
    weights = _validate.finite("weights", weights)
    if weights.ndim < 3 or weights.shape[-1] != weights.shape[-2]:
        raise ValueError(f"weights must have shape (n, ..., d, d), got {weights.shape}")
    gain = _validate.number("gain", gain, _validate.non_negative)
    share = _validate.number("share", share)
    _validate.where("share", share, 0 <= share <= 1, "must lie in [0, 1]")
    noise = _validate.generator(seed).standard_normal(weights.shape)
    noise *= gain / weights.shape[-1] ** 0.5
    return np.sqrt(1 - share**2) * weights + share * noise


def slowdown(objective, depth, decoder_depth):
    """The exponent m of `Objective.slowdown` for a decoder of M aligned layers.

    (2L + M - 2) / M for JEPA and (L + M - 2) / (L + M) for MAE.
    """
    power = _power(objective, depth, decoder_depth)
    return ((objective.base_exponent - 1) * depth + decoder_depth - 2) / power


def fixed_point(objective, rho, depth, decoder_depth):
    """Final size with a decoder of M aligned layers: rho^(L/M) (JEPA), rho^(L/(L+M)) (MAE)."""
    rho = _validate.positive("rho", rho)
    with np.errstate(over="ignore", under="ignore"):
        size = rho ** (depth / _power(objective, depth, decoder_depth))
    return _validate.where("rho", size, np.isfinite(size), SIZE_FITS)


def critical_time(objective, lam, rho, depth, decoder_depth, gain, fraction=0.5):
    """When a feature reaches a fraction of its final size, with a decoder of M aligned layers.

    Parameters
    ----------
    objective : Objective
    lam, rho, gain : array_like
        gain is the scale of every layer at the start, below the final one; broadcast.
    depth, decoder_depth : int
    fraction : float

    Returns
    -------
    ndarray
        In units of gradient flow: L times this is `critical_time.exact` where M = 1.
    """
    m, power = slowdown(objective, depth, decoder_depth), _power(objective, depth, decoder_depth)
    lam, rho, gain, fraction = _validate.broadcast(
        lam=_validate.positive("lam", lam),
        rho=_validate.positive("rho", rho),
        gain=_validate.positive("gain", gain),
        fraction=_validate.open_unit("fraction", fraction),
    )
    start = power * np.log(gain) - np.log(rho)
    _validate.where("gain", gain, start < 0, "must be below the end")
    stop = power / depth * np.log(fraction)
    # lam and rho^m may leave float64 where their quotient does not
    log_scale = -m * np.log(rho) - np.log(power) - np.log(lam)
    time = clock.difference(m, start, stop, stop - start, log_scale)
    allowed = "must be large enough for the time to fit in float64"
    return _validate.where("gain", time, np.isfinite(time), allowed)


def _power(objective, depth, decoder_depth):
    """The power of a layer's final scale that is rho: M for JEPA, L + M for MAE."""
    _validate.objective(objective)
    depth = _validate.depth(depth)
    return (3 - objective.base_exponent) * depth + _validate.layers("decoder_depth", decoder_depth)


def unbalanced_sizes(objective, lam, rho, scales, times, rtol=1e-10):
    """Sizes of aligned features whose layers are not balanced: L + 1 equations per feature.

    Alignment alone decouples the features. With P the product of all scales of a feature and
    T = P / scales[-1] (JEPA) or 1 (MAE), layer a's moves by (P / scales[a]) (lam T - sigma^2 P).

    Parameters
    ----------
    objective : Objective
    lam, rho : arrays (d,)
        lam of either sign; rho of the same.
    scales : array (L + 1, d)
        Singular values at the start, as for `aligned_layers`; the decoder's may be negative.
    times : array (n,)
        Increasing from 0, in units of gradient flow.
    rtol : float
        Of LSODA; its atol is a hundredth of this.

    Returns
    -------
    ndarray (n, d)
        From equal scales from 1e-3 to 0.5, L <= 10, the sizes are those of `dynamics.trajectory` at
        times within a relative 1e-6 of those asked for (measured at the default rtol; 2e-8 where
        the half-time is below 1e4). Scales below atol are lost.
    """
    _validate.objective(objective)
    scales = _validate.shaped("scales", scales, ("L + 1", "d"))
    if len(scales) < 2:
        raise ValueError(f"scales must be (L + 1, d) with L > 0, got {scales.shape}")
    lam, rho = (
        _validate.shaped(name, value, scales.shape[1:])
        for name, value in (("lam", lam), ("rho", rho))
    )
    _validate.where("rho", rho, lam * rho > 0, "must not be zero, and of lam's sign")
    times, variance = _validate.times("times", times), lam / rho
    rtol = _validate.number("rtol", rtol, _validate.open_unit)
    _validate.memory("times", f"shape {times.shape}", 24 * times.size * scales.size)

    def others(layers):
        """The product of all layers but one, for each."""
        return np.stack([np.delete(layers, a, axis=0).prod(0) for a in range(len(layers))])

    def velocity(_, flat):
        layers = flat.reshape(scales.shape)
        rest = others(layers)
        target = rest[-1] if objective.targets_encoder else 1.0
        return (rest * (lam * target - variance * layers.prod(0))).ravel()

    options = {"method": "LSODA", "t_eval": times, "rtol": rtol, "atol": rtol / 100}
    path = _ode.solve("gradient flow of the scales", velocity, times, scales.ravel(), **options)
    return np.abs(path.y.T.reshape(len(times), *scales.shape)[:, :-1].prod(1))


def balanced_decoder(kappa, rho, depth):
    """MAE's final decoder scale v where all encoder scales have v^2 - omega^2 = kappa.

    The root of v (v^2 - kappa)^(L/2) = rho with v > 0 and v^2 > kappa; rho / v is the final size.

    Parameters
    ----------
    kappa : float
        Conserved imbalance, of either sign.
    rho : float
        > 0.
    depth : int

    Returns
    -------
    float
    """
    depth = _validate.depth(depth)
    rho = _validate.number("rho", rho, _validate.positive)
    kappa = _validate.number("kappa", kappa, _validate.finite)
    low = np.sqrt(max(kappa, 0.0))
    high = low + 1.01 * rho ** (1 / (depth + 1))
    return brentq(lambda v: v * max(v * v - kappa, 0.0) ** (depth / 2) - rho, low, high)


def features_along(basis, sigma_xx, sigma_yx):
    """(lam, rho) of the candidate features along the columns of `basis`, unit vectors.

    With x = basis s they are E[y_s s] and E[y_s s] / E[s^2] of each coordinate of s alone.
    """
    basis, sigma_xx, sigma_yx = _validate.squares(basis=basis, sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    try:
        inverse = np.linalg.inv(basis)
    except np.linalg.LinAlgError:
        raise ValueError("basis must be invertible, got a singular matrix") from None
    lam, variance = (np.diag(inverse @ sigma @ inverse.T) for sigma in (sigma_yx, sigma_xx))
    return lam, lam / variance


def joint_basis(sigma_xx, sigma_yx):
    """Unit columns u_i in whose coordinates both symmetric covariances are diagonal.

    They are the right eigenvectors of Sigma_yx Sigma_xx^-1, with the generalised eigenvalues of
    (Sigma_yx, Sigma_xx) as eigenvalues, in increasing order; the largest entry is positive.
    """
    sigma_xx, sigma_yx = _covariances(sigma_xx, sigma_yx)
    _, vectors = eigh(sigma_yx, sigma_xx)
    basis = sigma_xx @ vectors
    return pointed(basis / np.linalg.norm(basis, axis=0))


def _covariances(sigma_xx, sigma_yx):
    """The two as arrays (d, d); ValueError unless symmetric, and sigma_xx positive definite."""
    found = _validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    for name, matrix in zip(("sigma_xx", "sigma_yx"), found, strict=True):
        lopsided = np.abs(matrix - matrix.T) > 1e-6 * np.abs(matrix).max()
        _validate.where(name, matrix, ~lopsided, "must be symmetric")
    _positive_definite(found[0])
    return found


def _positive_definite(sigma_xx):
    least = np.linalg.eigvalsh(sigma_xx)[0]
    if not least > 0:
        raise ValueError(f"sigma_xx must be positive definite, got eigenvalue {least:.3g}")


def candidate_bases(sigma_xx, sigma_yx, share):
    """The directions that might take over the features' role when covariances do not commute.

    Parameters
    ----------
    sigma_xx, sigma_yx : arrays (d, d)
        Symmetric, positive definite.
    share : float
        Of the variance in `critical_time.deep_priority`: the gain for JEPA.

    Returns
    -------
    dict of str to ndarray (d, d)
        For each of `CANDIDATES` unit columns with a positive largest entry: the eigenvectors of
        Sigma_yx, of Sigma_xx and of Sigma_yx - share Sigma_xx, and the `joint_basis`.
    """
    sigma_xx, sigma_yx = _covariances(sigma_xx, sigma_yx)
    share = _validate.number("share", share)
    symmetric = (sigma_yx, sigma_xx, sigma_yx - share * sigma_xx)
    bases = [pointed(np.linalg.eigh(matrix)[1]) for matrix in symmetric]
    return dict(zip(CANDIDATES, [*bases, joint_basis(sigma_xx, sigma_yx)], strict=True))


def final_encoder(objective, sigma_xx, sigma_yx, depth, tolerance=1e-13):
    """The encoder, up to a rotation of its output, where balanced layers of full rank rest.

    A root S of G = S'S, the positive definite solution of B'GB = G^(1+1/L) (JEPA) or
    B'B = G^(1+1/L) (MAE) with B = Sigma_yx Sigma_xx^-1. For JEPA the iteration
    G <- (B'GB)^(L/(L+1)) from I contracts Thompson's metric by L / (L + 1) a step; its first step
    is MAE's G.

    Parameters
    ----------
    objective : Objective
    sigma_xx, sigma_yx : arrays (d, d)
        sigma_xx positive definite, sigma_yx invertible.
    depth : int
    tolerance : float
        Largest change of G in the last step, relative to its largest entry.

    Returns
    -------
    ndarray (d, d)
        |S u| is the final size along a unit vector u.
    """
    _validate.objective(objective)
    depth = _validate.depth(depth)
    tolerance = _validate.number("tolerance", tolerance, _validate.positive)
    sigma_xx, sigma_yx = _validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    _positive_definite(sigma_xx)
    regression = np.linalg.solve(sigma_xx, sigma_yx.T).T
    root = gram = np.eye(len(sigma_xx))
    for _ in range(100 * depth):
        # from S B = P diag(s) Q' the next root is diag(s)^(L/(L+1)) Q'
        _, scales, rows = np.linalg.svd(root @ regression)
        root = scales[:, None] ** (depth / (depth + 1)) * rows
        before, gram = gram, root.T @ root
        settled = np.abs(gram - before).max() <= tolerance * np.abs(gram).max()
        if settled or not objective.targets_encoder:
            return root
    raise RuntimeError(f"the iteration did not settle: {np.abs(gram - before).max():.1e}")


def final_gram(objective, sigma_xx, sigma_yx, depth):
    """W'W of the encoder at rest: S'S of `final_encoder`."""
    root = final_encoder(objective, sigma_xx, sigma_yx, depth)
    return root.T @ root


def agreement(half, due):
    """Kendall's tau between when features were learned and when the theory has them learned.

    Features that are never learned (NaN) count as last, all at one time; those without a due time
    (NaN: they start beyond it) are left out.

    Parameters
    ----------
    half : array (..., d)
    due : array (..., d)
        Broadcasts against `half`.

    Returns
    -------
    ndarray (...)
        1 where the order is the predicted one, 0 where nothing is learned, NaN where fewer than
        two features have a due time.
    """
    half, due = _validate.broadcast(
        half=_validate.numbers("half", half), due=_validate.numbers("due", due)
    )
    if not half.ndim:
        raise ValueError("half must have an axis of features, got one number")
    rows = half.reshape(-1, half.shape[-1]), due.reshape(-1, half.shape[-1])
    values = []
    for when, then in zip(*rows, strict=True):
        known = np.isfinite(then)
        when, then = when[known], then[known]
        last = np.where(np.isnan(when), np.finfo(float).max, when)
        tied = np.isnan(when).all() and known.sum() > 1
        values.append(0.0 if tied else learning_order.tau(last, -then))
    return np.array(values, dtype=float).reshape(half.shape[:-1])


def size_at(levels, values, threshold):
    """The size of a violation at which `values` first fall below `threshold`; NaN if never.

    Linear between levels.

    Parameters
    ----------
    levels : array (n,)
        Increasing.
    values : array (n,)
    threshold : float

    Returns
    -------
    float
    """
    levels, values = _validate.finite("levels", levels), _validate.numbers("values", values)
    if levels.ndim != 1 or levels.shape != values.shape:
        raise ValueError(
            f"levels and values must both have shape (n,), got {levels.shape} and {values.shape}"
        )
    _validate.where("levels", levels, np.diff(levels, prepend=-np.inf) > 0, "must increase")
    threshold = _validate.number("threshold", threshold)
    below = values < threshold
    if not below.any():
        return np.nan
    i = int(np.argmax(below))
    if i == 0:
        return float(levels[0])
    share = (values[i - 1] - threshold) / (values[i - 1] - values[i])
    return float(levels[i - 1] + share * (levels[i] - levels[i - 1]))
