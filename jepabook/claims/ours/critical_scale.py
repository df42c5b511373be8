"""Who goes first: the boundary between two features, and what deep encoders order by."""

from itertools import pairwise
from random import Random

import numpy as np
from mpmath import mp, mpf

from jepabook.claims.checks.aligned import aligned, aligned_case, features
from jepabook.claims.checks.exact import SHAPES, coefficient, gradient_flow, random_positive
from jepabook.claims.checks.scalar import DIGITS, ScalarFeature
from jepabook.claims.examples import figure_2_families
from jepabook.claims.ledger import claim, decided_by
from jepabook.claims.paper.figures_2_4 import half_times, order
from jepabook.theory.feature_spectrum import FeatureSpectrum
from jepabook.theory.objectives import BOTH, JEPA

CHAPTER = "03-who-goes-first"


def _time(objective, depth, lam, rho, epsilon, p):
    return ScalarFeature(objective, depth, lam, rho, epsilon, p ** (mpf(1) / depth)).t


def _integrated_time(objective, depth, lam, rho, epsilon, p):
    """The critical time as the integral of dw / velocity, (7) or (8), over log w."""
    goal = p * rho ** (mpf(depth) / objective.saturation_power(depth=depth))

    def slowness(x):
        w = mp.exp(x)
        return w / (lam * w ** (objective.base_exponent - mpf(1) / depth) - lam / rho * w**3)

    steps = mp.linspace(mp.log(epsilon), mp.log(goal), 2 + int(mp.log(goal / epsilon)))
    return mp.quad(slowness, steps)


@decided_by("N")
def boundary_check(statement):
    """Statements (g, g') -> the ratio lambda' / lambda at which two features tie.

    g and g' are critical times at lambda = 1, in closed form. The features' own times are
    integrals: at the ratio they agree to 45 digits. A ratio larger by a millionth lets the second
    feature go first, a smaller one the first; so JEPA and MAE order one pair of features
    differently at ratios between the two objectives' own, however near to an end, and alike
    beyond.
    """
    random = Random(6)
    for depth in (1, 2, 5):
        with mp.workdps(DIGITS):
            lam, p = mpf(random.uniform(0.3, 3)), mpf(random.uniform(0.2, 0.9))
            rho, other = mpf(random.uniform(0.8, 1.5)), mpf(random.uniform(0.4, 0.7))
            epsilon = p * min(other**depth, 1) * mpf(10) ** random.uniform(-6, -1)
            known = (rho, epsilon, p), (other, epsilon, p)
            first = [_integrated_time(objective, depth, lam, *known[0]) for objective in BOTH]
            ties = [
                statement(*(_time(objective, depth, mpf(1), *feature) for feature in known))
                for objective in BOTH
            ]
            for objective, tie, time in zip(BOTH, ties, first, strict=True):
                second = _integrated_time(objective, depth, lam * tie, *known[1])
                if abs(second / time - 1) > mpf(10) ** (5 - DIGITS):
                    return False
        with mp.workdps(20):
            (low, high), near = sorted(ties), mpf(10) ** -6
            between = low * (1 + near), mp.sqrt(low * high), high * (1 - near)
            for ratio in (low * (1 - near), *between, high * (1 + near)):
                second_first = [
                    _integrated_time(objective, depth, lam * ratio, *known[1]) < time
                    for objective, time in zip(BOTH, first, strict=True)
                ]
                if second_first != [ratio > tie for tie in ties]:
                    return False
    return True


@claim(
    "new:inversion-boundary",
    says=r"Two features tie exactly at "
    r"$\lambda'/\lambda=\Lambda(\rho,\rho')=t_1(\rho')/t_1(\rho)$, $t_1$ the critical time at "
    r"$\lambda=1$; above that the second goes first. JEPA and MAE differ between their ratios.",
    chapter=f"{CHAPTER}#boundary",
    ground="proved",
    check=boundary_check,
    mutants=[
        lambda g, other: g / other,
        lambda g, other: (other / g) ** 2,
        lambda g, other: (1 + other / g) / 2,
        lambda g, other: other / g * (1 + mpf(10) ** -40),
    ],
)
def tie(g, other):
    return other / g


def _falls_like_one_over_depth(errors):
    """Whether errors at doubling depths halve each time, within 20 %."""
    return all(1.6 < a / b < 2.4 for a, b in pairwise(errors))


@decided_by("N")
def deep_check(statement):
    """Statements (objective, L, lam, sigma2, c) -> the critical time at epsilon = c^L for large L.

    The relative error is of order 1 / L, whatever the fraction of the final size.
    """
    with mp.workdps(DIGITS):
        for objective in BOTH:
            for *known, p in (("1.3", "0.8", "0.5", "0.5"), ("0.7", "1.1", "0.3", "0.9")):
                lam, rho, c = map(mpf, known)
                errors = [
                    statement(objective, depth, lam, lam / rho, c)
                    / _time(objective, depth, lam, rho, c**depth, mpf(p))
                    - 1
                    for depth in (100, 200, 400)
                ]
                if not _falls_like_one_over_depth(errors):
                    return False
    return True


@claim(
    "new:deep-limit",
    says=r"At fixed $c=\epsilon^{1/L}<\min(1,\rho)$, as $L\to\infty$: $t^*_{jepa}=\frac{c^{1-2L}}"
    r"{2(\lambda-c\sigma^2)}(1+O(\frac1L))$ and $t^*_{mae}=\frac{c^{1-L}}\lambda(1+O(\frac1L))$.",
    chapter=f"{CHAPTER}#deep-limit",
    ground="proved",
    check=deep_check,
    mutants=[lambda o, L, lam, sigma2, c: deep_time(o, L, lam, sigma2 * c, c)],
)
def deep_time(objective, L, lam, sigma2, c):
    if objective is JEPA:
        return c ** (1 - 2 * L) / (2 * (lam - c * sigma2))
    return c ** (1 - L) / lam


@decided_by("S")
def initial_velocity_check(statement):
    """Statements (objective, L, lam, sigma2, c) -> dw/dt of an aligned network at w = c^L, exactly.

    Every feature is read off the gradient by the network's layers: with t = L theta and
    w = |W e_i|, dw/dt = e_i' W' (dW/dtheta) e_i / (L w).
    """
    for objective in BOTH:
        for depth, width in SHAPES:
            frames, _, _, x, y = aligned_case(depth, width)
            c = random_positive(Random(depth))
            network = aligned(objective, [c] * width, frames, x, y)
            flow = network.moving(gradient_flow(objective, network))
            moving = coefficient(flow.encoder, 1)
            for i, feature in enumerate(features(network)):
                before, by = network.encoder[:, i], moving[:, i]
                found = (before @ by) / (depth * c**depth)
                if found != statement(objective, depth, feature.lam, feature.xx, c):
                    return False
    return True


@claim(
    "new:initial-velocity",
    says=r"With $\epsilon=c^L$, at $t=0$: $\dot w=c^{3L-1}(\lambda-c\,\sigma^2)$ for JEPA and "
    r"$\dot w=c^{2L-1}(\lambda-c^{L+1}\sigma^2)$ for MAE.",
    chapter=f"{CHAPTER}#deep-limit",
    check=initial_velocity_check,
    mutants=[
        lambda o, L, lam, sigma2, c: initial_velocity(o, L, lam, sigma2 * c, c),
        lambda o, L, lam, sigma2, c: initial_velocity(o, L, lam, -sigma2, c),
        lambda o, L, lam, sigma2, c: c * initial_velocity(o, L, lam, sigma2, c),
    ],
)
def initial_velocity(objective, L, lam, sigma2, c):
    if objective is JEPA:
        return c ** (3 * L - 1) * (lam - c * sigma2)
    return c ** (2 * L - 1) * (lam - c ** (L + 1) * sigma2)


def _critical_gain(depth, ratio, rho, other, limit):
    """The c below `limit` at which JEPA features tie at lambda' / lambda = ratio, epsilon = c^L."""

    def excess(c):
        times = (_time(JEPA, depth, mpf(1), r, c**depth, mpf("0.5")) for r in (other, rho))
        return next(times) / next(times) - ratio

    return mp.findroot(excess, (limit * (1 - mpf(1) / depth), limit))


@decided_by("N")
def critical_scale_check(statement):
    """Statements (L, c*) -> the critical scale, c* where lambda - c sigma^2 ties.

    The relative error is of order 1 / L.
    """
    with mp.workdps(DIGITS):
        for ratio, rho, other in (("1.2", "1", "0.7"), ("1.5", "0.9", "0.5")):
            ratio, rho, other = mpf(ratio), mpf(rho), mpf(other)
            limit = (ratio - 1) / (ratio / other - 1 / rho)
            errors = [
                statement(depth, limit) / _critical_gain(depth, ratio, rho, other, limit) ** depth
                - 1
                for depth in (40, 80, 160)
            ]
            if not _falls_like_one_over_depth(errors):
                return False
    return True


@claim(
    "new:critical-scale",
    says=r"JEPA's critical scale for two features is $\epsilon_c=e^{-1/2}c_*^L(1+O(\frac1L))$ with "
    r"$c_*=(\lambda'-\lambda)/(\sigma'^2-\sigma^2)$.",
    chapter=f"{CHAPTER}#critical-scale",
    check=critical_scale_check,
    mutants=[
        lambda L, c: c**L,
        lambda L, c: mp.exp(mpf(1) / 2) * c**L,
        lambda L, c: mp.exp(-mpf(1) / 2) * c ** (L - 1),
    ],
)
def critical_scale(L, c):
    return mp.exp(-mpf(1) / 2) * c**L


@decided_by("E")
def inversion_range_check(statement):
    """Statements (lam_max / lam_min) -> whether JEPA's order at L = 5 is by rho alone."""
    _, rho = figure_2_families()["rho varies, lambda = 1"]
    for ratio in (1.05, 1.1, 1.2, 1.24, 1.27, 1.5, 2.0, 3.0):
        spectrum = FeatureSpectrum(np.geomspace(1, ratio, rho.size), rho[::-1])
        if (order(half_times(JEPA, spectrum, 5), spectrum.rho) == 1) != statement(ratio):
            return False
    return True


@claim(
    "new:figure-2-range",
    says=r"In our Figure 2 (c), with $\rho$ from 1 to 0.5 and $\epsilon=10^{-3}$, JEPA's order is "
    r"inverted in full only while $\lambda_{\max}/\lambda_{\min}$ stays below about 1.25.",
    chapter="02-what-is-learned#learning-order",
    ground="checked",
    check=inversion_range_check,
    mutants=[lambda ratio: True, lambda ratio: ratio < 1.22],
)
def figure_2_range(ratio):
    return ratio < 1.25
