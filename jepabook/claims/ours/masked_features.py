"""What random masks teach, by chapter 10: the corrected theorem and its consequences. All ours."""

from fractions import Fraction
from functools import cache
from random import Random

import numpy as np
from scipy.integrate import cumulative_trapezoid, trapezoid
from scipy.linalg import hadamard
from scipy.optimize import minimize_scalar
from scipy.stats import kstest

from jepabook.claims import examples
from jepabook.claims.checks.bounds import tell
from jepabook.claims.checks.matrix_flow import encoder_velocity, invasion_check
from jepabook.claims.ledger import claim, decided_by
from jepabook.theory import critical_time, dynamics, matrix_flow
from jepabook.theory.objectives import BOTH, JEPA, MAE
from jepabook.worlds import random_masks
from jepabook.worlds.generative import (
    RandomMasks,
    gaussian_dictionary,
    masked_covariances,
    sparse_power,
)

CHAPTER = "10-random-masks"
SHARES = (0.2, 0.5, 0.7)


def _rng(*key):
    return np.random.default_rng([110, *key])


def _pattern(width, seed):
    """A random covariance."""
    factor = _rng(seed).standard_normal((width, width + 2))
    return factor @ factor.T / width


def _correlation(width, seed):
    covariance = _pattern(width, seed)
    deviation = np.sqrt(np.diag(covariance))
    return covariance / np.outer(deviation, deviation)


def _flat(*levels):
    """Covariances of groups of pixels that are correlated within a group, at these variances."""
    covariance = np.zeros((3 * len(levels), 3 * len(levels)))
    for i, level in enumerate(levels):
        covariance[3 * i : 3 * i + 3, 3 * i : 3 * i + 3] = level * _correlation(3, i)
    return covariance


@decided_by("E")
def features_check(statement):
    """Statements (mu, level, f, deviation) -> (lam, sigma^2, distance).

    For covariances of constant diagonal (correlation matrices, flat patterns in any noise of that
    kind) lam and sigma^2 are the eigenvalues in the basis of C; for any other, `distance` is that
    of Sigma_yx from the form with the mean variance, in operator norm, and of Sigma_xx.
    """
    flat = RandomMasks(hadamard(8) / 8**0.5, np.arange(8.0), 0.3, 0.5).data_covariance()
    for covariance in (2.5 * _correlation(5, 1), _correlation(8, 2), flat, _pattern(6, 3)):
        variance = np.diag(covariance)
        mu, basis = np.linalg.eigh(covariance)
        deviation = np.abs(variance - variance.mean()).max()
        for visible in SHARES:
            xx, yx, _ = masked_covariances(covariance, visible)
            lam, sigma2, distance = statement(mu, variance.mean(), visible, deviation)
            for matrix, values in ((yx, lam), (xx, sigma2)):
                off = np.linalg.norm(matrix - basis * values @ basis.T, 2)
                if not np.isclose(off, distance, rtol=1e-9, atol=1e-12):
                    return False
    return True


@claim(
    "new:masked-features",
    says=r"For any data: if all pixels have one variance $\bar\mu$, $\Sigma^{xx}$ and "
    r"$\Sigma^{yx}$ are diagonal in the eigenbasis of "
    r"$\Sigma^{\zeta\zeta}=E[\zeta\zeta^\top]$, with $\lambda_i=f(1-f)(\mu_i-\bar\mu)$, "
    r"$\sigma_i^2=f^2\mu_i+f(1-f)\bar\mu$. In general both are off by "
    r"$f(1-f)\max_i\lvert\Sigma^{\zeta\zeta}_{ii}-\bar\mu\rvert$ in operator norm. (Proved in "
    r"chapter 10.)",
    chapter=f"{CHAPTER}#masked-features",
    ground="proved",
    check=features_check,
    mutants=[
        lambda mu, level, f, dev: masked_theorem(mu, level, f, dev / 2),
        lambda mu, level, f, dev: masked_theorem(mu, level, 1 - f, dev),
        lambda mu, level, f, dev: (
            f * (1 - f) * (mu - level),
            f * mu,
            f * (1 - f) * dev,
        ),
    ],
)
def masked_theorem(mu, level, f, deviation):
    spread = f * (1 - f)
    return spread * (mu - level), f**2 * mu + spread * level, spread * deviation


@decided_by("E")
def commuting_check(statement):
    """Statements (C) -> whether the covariances of the views commute."""
    apart = np.diag([1.0, 2.0, 5.0])
    correlated = 0.3 * (1 - np.eye(3))
    pixels = apart, apart + correlated, apart - correlated
    for covariance in (*pixels, _correlation(4, 1), _flat(1, 3), _pattern(4, 2)):
        for visible in SHARES:
            xx, yx, _ = masked_covariances(covariance, visible)
            commutes = np.abs(xx @ yx - yx @ xx).max() < 1e-12
            if statement(covariance) != commutes:
                return False
            try:
                found = random_masks.features(covariance, visible)
            except ValueError:
                if commutes:
                    return False
                continue
            basis, values = found.directions, (found.lam, found.sigma_squared)
            for matrix, value in zip((yx, xx), values, strict=True):
                if not np.allclose(basis @ matrix @ basis.T, np.diag(value), atol=1e-12):
                    return False
    return True


@claim(
    "new:equal-variance",
    says=r"$\Sigma^{xx}$ and $\Sigma^{yx}$ of random masks commute if and only if any two "
    "correlated pixels have the same variance. (Proved in chapter 10.)",
    chapter=f"{CHAPTER}#masked-features",
    ground="proved",
    check=commuting_check,
    mutants=[lambda C: bool(np.ptp(np.diag(C)) < 1e-12)],
)
def variances_agree(C):
    apart = np.diag(C) - np.diag(C)[:, None] > 1e-12
    return not np.any(apart & (np.abs(C) > 1e-12))


GAMMAS = (0.1, 0.3, 0.6)


@cache
def _spectra(width, seed):
    """gamma: eigenvalues of Sigma_yx / (f (1 - f)) for a Gaussian dictionary of equal powers."""
    found = {}
    for gamma in GAMMAS:
        world = RandomMasks(
            gaussian_dictionary(width, width, _rng(seed)), sparse_power(width, gamma), 0.0, 0.5
        )
        values = np.linalg.eigvalsh(world.covariances()[1]) / 0.25
        found[gamma] = values[-round(gamma * width) :], values[: -round(gamma * width)]
    return found


@decided_by("E")
def spread_check(statement):
    """Statements (gamma) -> (low, high, mean, deviation, others, density), the limit's law.

    The law must have the stated moments and all its weight between low and high. The active
    eigenvalues' distribution function comes to it: its greatest distance, in three dictionaries
    of 900 pixels, is below 0.04 and half of what it is at 100, or less (medians); the ends come
    within 0.1, the share of negative ones and the value of all others within 0.02.
    """
    for gamma in GAMMAS:
        low, high, mean, deviation, others, density = statement(gamma)
        if not low < high:
            return False
        # x = middle - half cos(angle): the density's square roots at the ends do no harm
        angle = np.linspace(0, np.pi, 4001)
        x = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
        weight = density(x) * (high - low) / 2 * np.sin(angle)
        cdf = cumulative_trapezoid(weight, angle, initial=0)
        moments = [trapezoid(weight * power, angle) for power in (1, x, (x - mean) ** 2)]
        if not np.allclose(moments, [1, mean, deviation**2], atol=1e-5):
            return False
        apart = {}
        for width in (100, 900):
            spectra = [_spectra(width, seed)[gamma] for seed in (1, 2, 3)]
            apart[width] = np.median(
                [kstest(active, np.interp, args=(x, cdf)).statistic for active, _ in spectra]
            )
        active, rest = (np.array(part) for part in zip(*spectra, strict=True))
        negative = np.mean(active < 0)
        if not (
            apart[900] < 0.04
            and apart[900] < apart[100] / 2
            and np.allclose(
                [np.median(end(active, 1)) for end in (np.min, np.max)], [low, high], atol=0.1
            )
            and abs(negative - np.interp(0.0, x, cdf)) < 0.02
            and (negative > 0) == (gamma > 1 / 4)
            and np.allclose(np.median(rest, axis=1), others, atol=0.02)
        ):
            return False
    return True


@claim(
    "new:gaussian-dictionary",
    says=r"With $B_{ki}\sim\mathcal N(0,\frac1d)$, $\alpha d$ equal powers $P_k=1$ and "
    r"$d\to\infty$, the active features' $\lambda/(f(1-f))$ are not $1-\alpha$ but "
    r"$\vartheta-\alpha$ with $\vartheta$ of Marchenko and Pastur's law: from $1-2\sqrt\alpha$ "
    r"to $1+2\sqrt\alpha$, mean $1-\alpha$, standard deviation $\sqrt\alpha$; for "
    r"$\alpha>\frac14$ some are negative. (Proved in chapter 10.)",
    chapter=f"{CHAPTER}#gaussian-dictionary",
    ground="proved",
    check=spread_check,
    mutants=[
        lambda g: _law(g, low=1 - 4 * g**0.5, high=1 + 4 * g**0.5),
        lambda g: _law(g, mean=1.0),
        lambda g: _law(g, deviation=g),
        lambda g: _law(g, others=0.0),
        lambda g: _law(g, density=_semicircle(1 - g, g**0.5)),  # the moments of the true law
        lambda g: (
            1 - g - 2 * g**0.5,
            1 - g + 2 * g**0.5,
            *gaussian_law(g)[2:5],
            _semicircle(1 - g, g**0.5),
        ),
        lambda g: _law(g, density=gaussian_law(g / 2)[-1]),
    ],
)
def gaussian_law(gamma):
    root = gamma**0.5
    low, high = 1 - 2 * root, 1 + 2 * root

    def density(x):
        inside = np.maximum((high - x) * (x - low), 0)
        return inside**0.5 / (2 * np.pi * gamma * (x + gamma))

    return low, high, 1 - gamma, root, -gamma, density


def _law(gamma, **changed):
    names = ("low", "high", "mean", "deviation", "others", "density")
    return tuple((dict(zip(names, gaussian_law(gamma), strict=True)) | changed).values())


def _semicircle(mean, deviation):
    return lambda x: (
        np.maximum(4 * deviation**2 - (x - mean) ** 2, 0) ** 0.5 / (2 * np.pi * deviation**2)
    )


@decided_by("E")
def fluctuation_check(statement):
    """Statements (powers, orthogonal) -> variance of E[z_i^2] over dictionaries (no noise).

    By simulation of a dictionary's rows: N(0, 1/d), or uniform on the sphere. Exactly, at random
    rational powers, from the fourth moments of the normal law; those on the sphere are the normal
    ones over E|g|^4 = d (d + 2). And what follows for (133): the variance over the squared mean
    falls like 1 / d for equal powers, and does not fall where powers fall like k^-2.
    """
    random = Random(110)
    for width in (2, 5, 9):
        power = np.array([Fraction(random.randint(0, 20), 4) for _ in range(width)])
        for orthogonal in (False, True):
            scale = Fraction(1, width * (width + 2) if orthogonal else width**2)
            square = 3 * (power**2).sum() + power.sum() ** 2 - (power**2).sum()
            exact = scale * square - (power.sum() / width) ** 2
            if statement(power, orthogonal) != exact:
                return False
    for width, gamma, decay in ((24, 0.25, 0.0), (24, 1.0, 2.0), (40, 0.5, 0.5)):
        power = sparse_power(width, gamma) * np.arange(1, width + 1) ** -decay
        rows = _rng(width).standard_normal((60000, width))
        for orthogonal in (False, True):
            size = (rows**2).sum(1, keepdims=True) if orthogonal else width
            found = (rows**2 / size @ power).var()
            if not np.isclose(found, statement(power, orthogonal), rtol=0.06, atol=1e-9):
                return False
    for orthogonal in (False, True):
        for decay, falls in ((0.0, True), (2.0, False)):
            shares = []
            for width in (100, 1000, 10000):
                power = sparse_power(width, 0.5) * np.arange(1, width + 1) ** -decay
                shares.append(statement(power, orthogonal) / (power.sum() / width) ** 2)
            ratio = shares[-1] / shares[-2]
            if not (0.09 < ratio < 0.11 if falls else 0.98 < ratio < 1.02):
                return False
    return True


@claim(
    "new:pixel-fluctuation",
    says=r"Over dictionaries $E[\zeta_i^2]$ has variance $\frac2{d^2}\sum_kP_k^2$ (Gaussian), "
    r"$\frac2{d(d+2)}\big(\sum_kP_k^2-\frac1d(\sum_kP_k)^2\big)$ (Haar), $P_k=E[\chi_k^2]$. So "
    r"(133) needs $\sum P_k^2/(\sum P_k)^2\to0$; powers that fall like $k^{-2}$ violate it. "
    r"(Proved in chapter 10.)",
    chapter=f"{CHAPTER}#mask-data",
    ground="proved",
    check=fluctuation_check,
    mutants=[
        lambda p, orthogonal: pixel_fluctuation(p, not orthogonal),
        lambda p, orthogonal: pixel_fluctuation(p, False),
        lambda p, orthogonal: pixel_fluctuation(p, orthogonal) / 2,
        lambda p, orthogonal: 2 * p.sum() ** 2 / len(p) ** 2 / max((p > 0).sum(), 1),
    ],
)
def pixel_fluctuation(p, orthogonal):
    d = len(p)
    if orthogonal:
        return 2 * ((p**2).sum() - p.sum() ** 2 / d) / (d * (d + 2))
    return 2 * (p**2).sum() / d**2


def _velocity(objective, w, excess, level, f, depth):
    """dw/dt of eqs. (7), (8) with the moments of masked data, of either sign."""
    lam, sigma2 = f * (1 - f) * excess, f * (level + f * excess)
    return lam * w ** objective.growth_exponent(depth=depth) - sigma2 * w**3


@decided_by("E")
def no_crossing_check(statement):
    """Statements (w, q, f) -> whether the velocity at size w increases with the excess.

    And from one common start at which it does, closed-form trajectories must never cross: the
    larger excess is the larger feature at every time, for both objectives.
    """
    for objective in BOTH:
        for depth in (1, 2, 5):
            q = objective.growth_exponent(depth=depth)
            for f in (0.1, 0.4, 0.75):
                for w in (0.01, 0.2, 0.5, 0.9, 1.3, 3.0, 12.0):
                    slow, fast = (
                        _velocity(objective, w, excess, 0.7, f, depth) for excess in (-0.3, 0.9)
                    )
                    if bool(statement(w, q, f)) != bool(fast > slow):
                        return False
                excess = np.array([0.4, 0.5, 1.0, 2.5])
                lam, rho = random_masks.moments(excess, 0.7, f)
                start = 0.3 * dynamics.fixed_point(objective, rho.min(), depth=depth)
                if not statement(start, q, f):
                    return False
                late = dynamics.time_to_reach(
                    objective, 0.5 * start / 0.3, lam[0], rho[0], depth=depth, epsilon=start
                )
                times = late * np.array([0.01, 0.1, 0.5, 1.0, 3.0])[:, None]
                sizes = dynamics.trajectory(objective, times, lam, rho, depth=depth, epsilon=start)
                if not np.all(np.diff(sizes, axis=1) > 0):
                    return False
    return True


@claim(
    "new:share-keeps-order",
    says=r"If all pixels have one variance: from a common start with $\epsilon^{3-q}<"
    r"\frac{1-f}f$ the feature of larger variance $\mu_i$ is the larger one at every time, for "
    r"JEPA and MAE, any depth and any $f$. (Proved in chapter 10.)",
    chapter=f"{CHAPTER}#mask-order",
    ground="proved",
    check=no_crossing_check,
    mutants=[lambda w, q, f: True, lambda w, q, f: w ** (3 - q) < f / (1 - f)],
)
def excess_decides(w, q, f):
    return w ** (3 - q) < (1 - f) / f


@decided_by("E")
def half_time_check(statement):
    """Statements (objective, depth) -> the share of its final size below which features must start.

    Below it half-times fall with the excess at every visible share; just above it they do not
    where little is visible.
    """
    for objective in BOTH:
        for depth in (1, 2, 4, 20):
            latest = statement(objective, depth)
            if not latest > 0.237:
                return False
            for f in (1e-6, 0.1, 0.5, 0.9):
                lam, rho = random_masks.moments(np.geomspace(0.02, 20, 200), 0.7, f)
                final = dynamics.fixed_point(objective, rho, depth=depth)
                for weakest in (0, 60, 150):
                    start = 0.999 * latest * final[weakest]
                    half = critical_time.exact(
                        objective, lam[weakest:], rho[weakest:], depth=depth, epsilon=start
                    )
                    if not np.all(np.diff(half) < 0):
                        return False
            lam, rho = random_masks.moments(np.array([1.0, 1.0001]), 1.0, 1e-6)
            start = 1.003 * latest * dynamics.fixed_point(objective, rho[0], depth=depth)
            if np.diff(critical_time.exact(objective, lam, rho, depth=depth, epsilon=start)) < 0:
                return False
    return statement(JEPA, 1000) > 0.237


@claim(
    "new:mask-half-times",
    says=r"If all pixels have one variance: from a common start of at most the share $a_q$ of "
    r"each final size, half-times fall with the variance, for JEPA and MAE, any depth and any "
    r"$f$. $a_q>0.237$ is the root of "
    r"$2\int_a^{1/2}\frac{d\upsilon}{\upsilon^q-\upsilon^3}=\frac a{a^q-a^3}$, and no larger "
    r"share will do for all $f$. (Proved in chapter 10.)",
    chapter=f"{CHAPTER}#mask-order",
    ground="proved",
    check=half_time_check,
    mutants=[
        lambda objective, depth: 0.25,
        lambda objective, depth: 0.237,
        lambda objective, depth: random_masks.latest_start(MAE, depth=depth),
        lambda objective, depth: random_masks.latest_start(objective, depth=depth + 1),
    ],
)
def latest_start(objective, depth):
    return random_masks.latest_start(objective, depth=depth)


def _two_regions(first, second):
    """C of two groups of four pixels, each with one pattern in white noise; and the patterns."""
    covariance, patterns = np.zeros((8, 8)), np.zeros((2, 8))
    for i, (excess, level) in enumerate((first, second)):
        span = slice(4 * i, 4 * i + 4)
        power, patterns[i, span] = 4 / 3 * excess, 0.5
        noise = level - power / 4
        if noise < 0:
            raise ValueError(f"excess must be at most {3 * level}, got {excess}")
        covariance[span, span] = power / 4 + noise * np.eye(4)
    return covariance, patterns


def _growth(objective, covariance, patterns, f, gain, depth):
    """d|W u|^2/dt of the patterns at an aligned start of full matrices."""
    xx, yx, _ = masked_covariances(covariance, f)
    weights = matrix_flow.aligned_weights(
        objective, depth=depth, width=len(xx), epsilon=gain**depth, seed=_rng(4)
    )
    velocity = -matrix_flow.gradient(objective, weights, xx, yx)
    encoder = matrix_flow.encoder(weights)
    moving = encoder_velocity(weights, velocity)
    return [2 * (encoder @ u) @ (moving @ u) for u in patterns]


@decided_by("E")
def flip_check(statement):
    """Statements (g, first, second) -> the visible share at which the faster of two changes.

    `first` and `second` are (excess, level); g = w^(3 - q). Full matrices at an aligned start
    must have the first faster below it and the second above.
    """
    cases = (((1.5, 1.3), (1.0, 0.4), 0.3), ((1.0, 1.0), (0.9, 0.75), 0.25))
    for first, second, gain in cases:
        covariance, patterns = _two_regions(first, second)
        for objective in BOTH:
            g = gain ** (objective.saturation_power(depth=4))
            flip = statement(g, np.array(first), np.array(second))
            if not 0.02 < flip < 0.999:
                return False
            for f in (0.97 * flip, flip + 0.03 * min(flip, 1 - flip)):
                fast, slow = _growth(objective, covariance, patterns, f, gain, 4)
                if (fast > slow) != (f < flip):
                    return False
    return True


@claim(
    "new:share-changes-order",
    says=r"Features on pixels of different variance $\bar\mu_1>\bar\mu_2$, with excess "
    r"variances $\Delta_1>\Delta_2$: with $b=w^{3-q}$ the first is faster at size $w$ if and "
    r"only if $f<f_\times=\big(1-b\,\frac{\bar\mu_1-\bar\mu_2}{\Delta_1-\Delta_2}\big)/(1+b)$. "
    r"There the order does depend on the masking ratio. (Proved in chapter 10.)",
    chapter=f"{CHAPTER}#mask-order",
    ground="proved",
    check=flip_check,
    mutants=[
        lambda g, a, b: (1 - g * a[1] / a[0]) / (1 + g),
        lambda g, a, b: flip_share(g**0.5, a, b),
    ],
)
def flip_share(g, first, second):
    (e1, k1), (e2, k2) = first, second
    return (1 - g * (k1 - k2) / (e1 - e2)) / (1 + g)


@decided_by("E")
def share_check(statement):
    """Statements (g, excess, level) -> the visible share at which a feature grows fastest.

    The maximum of the velocity, which vanishes at twice that share; and the share at which a size
    is reached soonest must lie between those of that size and of the start.
    """
    for objective in BOTH:
        for depth, epsilon in ((1, 0.05), (3, 0.02)):
            for excess, level in ((1.0, 0.4), (0.3, 0.2)):
                power = 3 - objective.growth_exponent(depth=depth)
                early, late = (statement(w**power, excess, level) for w in (epsilon, 3 * epsilon))
                for w, best in ((epsilon, early), (3 * epsilon, late)):
                    at = [
                        _velocity(objective, w, excess, level, best + step, depth)
                        for step in (-0.01, 0, 0.01)
                    ]
                    if not (0.01 < best < 0.5 and at[1] > max(at[0], at[2])):
                        return False
                    grows, shrinks = (
                        _velocity(objective, w, excess, level, 2 * best * by, depth)
                        for by in (0.999, 1.001)
                    )
                    if not grows > 0 > shrinks:
                        return False

                def time(f, known=(objective, depth, epsilon, excess, level)):
                    objective, depth, start, *feature = known
                    lam, rho = random_masks.moments(*feature, f)
                    return dynamics.time_to_reach(
                        objective, 3 * start, lam, rho, depth=depth, epsilon=start
                    )

                soonest = minimize_scalar(time, bounds=(0.01, early + 0.01), method="bounded").x
                if not late < soonest < early:
                    return False
    return True


@claim(
    "new:best-share",
    says=r"A feature of excess variance $\Delta$ on pixels of variance $\bar\mu$ grows fastest "
    r"at the visible share $f^*=\frac{\Delta-b\,\bar\mu}{2(1+b)\Delta}<\frac12$, $b=w^{1/L}$ "
    r"(JEPA), $w^{1+1/L}$ (MAE), and grows at all only for $f<2f^*$; the share at which it "
    r"reaches a size soonest lies between the $f^*$ of that size and of the start. (Proved in "
    r"chapter 10.)",
    chapter=f"{CHAPTER}#best-share",
    ground="proved",
    check=share_check,
    mutants=[lambda g, excess, level: 0.5],
)
def fastest_share(g, excess, level):
    return (excess - g * level) / (2 * (1 + g) * excess)


@decided_by("E")
def empty_check(statement):
    """Statements (f, gamma) -> (rho of an empty direction, negative features' part of the gain).

    The gain of a linear predictor, E|y|^2 minus the least error, is the trace of
    Sigma_yx Sigma_xx^-1 Sigma_xy; features without power, no noise, an orthogonal dictionary. With
    powers of every kind lambda is negative exactly along those below the mean.
    """
    power = _rng(9).permutation(np.arange(1.0, 9.0))
    world = RandomMasks(hadamard(8) / 8**0.5, power, 0.0, 0.4)
    lam = np.diag(world.dictionary @ world.covariances()[1] @ world.dictionary.T)
    if not np.array_equal(lam < 0, power < power.mean()):
        return False
    for width, active in ((8, 2), (8, 5), (16, 4)):
        power = sparse_power(width, active / width)
        for f in SHARES:
            world = RandomMasks(hadamard(width) / width**0.5, power, 0.0, f)
            xx, yx, _ = world.covariances()
            gains = np.diag(world.dictionary @ yx @ np.linalg.solve(xx, yx) @ world.dictionary.T)
            regression = world.dictionary @ yx @ np.linalg.inv(xx) @ world.dictionary.T
            rho, part = statement(f, active / width)
            if not np.allclose(np.diag(regression)[active:], rho, rtol=1e-10):
                return False
            if not np.isclose(gains[active:].sum() / gains.sum(), part, rtol=1e-10):
                return False
    return True


@claim(
    "new:empty-directions",
    says=r"Pixels of one variance: $\lambda<0$ along features that vary less than a pixel, and "
    r"$\rho=-1$ along those that do not vary at all. For noiseless, sparse data with the share "
    r"$\alpha$ of coefficients active, of equal powers and orthogonal $B$ they make up "
    r"$f+(1-f)\alpha$ of what a linear map from $x$ explains of $y$. (Proved in chapter 10.)",
    chapter=f"{CHAPTER}#constraints",
    ground="proved",
    check=empty_check,
    mutants=[
        lambda f, gamma: (-1, 0.0),
        lambda f, gamma: (-(1 - f), f + (1 - f) * gamma),
        lambda f, gamma: (-1, 1 - f + f * gamma),
        lambda f, gamma: (-1, 1 - gamma),
    ],
)
def empty_directions(f, gamma):
    return -1, f + (1 - f) * gamma


@claim(
    "new:signed-invasion",
    says=r"Where JEPA rests aligned, with features of both signs but without $j$, $j$ grows "
    r"to first order in the place of $i$ at the rate $\sigma_j^2\rho_i(\rho_j-\rho_i)"
    r"\lvert\rho_i\rvert^{2L-2}$: it invades if it has the sign of $\rho_i$ and a larger "
    r"$\lvert\rho\rvert$. (Proved in chapter 10.)",
    chapter=f"{CHAPTER}#constraints",
    ground="proved",
    check=invasion_check(
        np.array([0.9, 0.7, -0.8, -0.6]), np.array([0.9, 0.5, -0.7, -0.4]), (1, 2, 3)
    ),
    mutants=[
        lambda lam, rho, i, j, L: signed_invasion(lam, rho, j, i, L),
        lambda lam, rho, i, j, L: signed_invasion(lam, np.abs(rho), i, j, L),
    ],
)
def signed_invasion(lam, rho, i, j, L):
    return lam[j] / rho[j] * rho[i] * (rho[j] - rho[i]) * rho[i] ** (2 * L - 2)


@cache
def kept_shares():
    """(objective, steps): in what share of 32 random starts each feature of the example is kept."""
    world = examples.patterns()
    rho = np.abs(world.theory().rho)
    shares = {}
    for objective, steps in ((JEPA, (20000, 80000)), (MAE, (6000,))):
        sizes = random_masks.trained_sizes(objective, world, 32, steps, 1)
        kept = (sizes > dynamics.fixed_point(objective, rho, depth=2) / 2).mean(1)
        shares |= {(objective, step): row for step, row in zip(steps, kept, strict=True)}
    return shares


@decided_by("E")
def random_check(statement):
    """Statements (k, steps, rank) -> bounds of the shares of starts that learn it.

    The narrowest, to 0.05, of all shares that are told to lie between them.
    """
    return tell(
        (
            (statement(objective.base_exponent, steps, rank), share)
            for (objective, steps), shares in kept_shares().items()
            for rank, share in enumerate(shares)
        ),
        0.05,
    )


@claim(
    "new:masked-random-starts",
    says=r"From 32 Gaussian starts on masks of eight features, three with $\lambda>0$ ($L=2$, gain "
    r"0.2, $f=\frac14$): MAE learns all eight in all of them within 6000 steps. JEPA learns the "
    "two of largest and the three of least variance in 95 % or more within 20000 steps, and the "
    "three next to the average in 5 to 55 %; within 80000 two of these in 70 to 85 %, the one "
    "nearest to the average in 15 to 20 %. (Measured in chapter 10.)",
    chapter=f"{CHAPTER}#constraints",
    check=random_check,
    mutants=[
        lambda k, steps, rank: learned_share(5 - k, steps, rank),
        lambda k, steps, rank: learned_share(k, 20000, rank),
        lambda k, steps, rank: learned_share(k, 80000, rank),
        lambda k, steps, rank: learned_share(k, steps, 7 - rank),
    ],
)
def learned_share(k, steps, rank):
    if k == 2:
        return 1.0, 1.0
    if rank in (0, 1, 5, 6, 7):
        return 0.95, 1.0
    if steps == 20000:
        return 0.05, 0.55
    return (0.15, 0.2) if rank == 3 else (0.7, 0.85)
