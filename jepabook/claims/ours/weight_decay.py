"""Weight decay: the critical decay, the jump, which start survives, and a target network."""

from random import Random

import numpy as np
from mpmath import mp, mpf

from jepabook.claims.checks.scalar import DIGITS
from jepabook.claims.ledger import claim, decided_by
from jepabook.theory import target_network, weight_decay
from jepabook.theory.objectives import BOTH, JEPA, MAE

CHAPTER = "16-weight-decay"


def _random_features():
    """(k, L, lam, rho) with L = 1 ... 6 for both objectives; MAE at L = 1 is apart."""
    random = Random(99)
    for objective in BOTH:
        for L in range(1, 7):
            if objective is JEPA or L > 1:
                yield objective.base_exponent, L, *(mpf(random.uniform(0.5, 1.5)) for _ in range(2))


@decided_by("N")
def critical_check(statement):
    """Statements (k, L, lam, rho) -> kappa_c, the largest value of lam w^(q-1) - (lam/rho) w^2.

    To 40 digits the largest value on w > 0, found from the zero of the derivative.
    """
    with mp.workdps(DIGITS):
        for k, L, lam, rho in _random_features():
            q = k - mpf(1) / L

            def rate(w, q=q, lam=lam, rho=rho):
                return lam * w ** (q - 1) - lam / rho * w**2

            def slope(x, q=q, rho=rho):
                w = mp.exp(x)
                return (q - 1) * w ** (q - 3) - 2 / rho

            best = mp.exp(mp.findroot(slope, mp.log(rho) / (3 - q) - 1))
            value = statement(k, L, lam, rho)
            if abs(value / rate(best) - 1) > mpf(10) ** -40:
                return False
            if any(rate(best * (1 + shift)) >= value for shift in (mpf("1e-9"), -mpf("1e-9"))):
                return False
        one = [statement(2, 1, mpf(2), mpf(rho)) for rho in ("0.5", "1.5")]
        return one == [2, 2]  # MAE at L = 1: the supremum, approached as w -> 0


@claim(
    "new:critical-decay",
    says=r"With weight decay $\kappa$ a feature has a stable size other than 0 only for "
    r"$\kappa<\kappa_c=\lambda\rho^m\frac{m^m}{(m+1)^{m+1}}$, $m=2L-1$ (JEPA), $\frac{L-1}{L+1}$ "
    r"(MAE).",
    chapter=f"{CHAPTER}#critical-decay",
    ground="proved",
    check=critical_check,
    mutants=[
        lambda k, L, lam, rho: critical_decay(5 - k, L, lam, rho),
        lambda k, L, lam, rho: critical_decay(k, L, lam, rho) * L**0.5 if L > 1 else lam * rho,
        lambda k, L, lam, rho: critical_decay(k, L, lam, rho**2),
    ],
)
def critical_decay(k, L, lam, rho):
    m = ((k - 1) * L - 1) / ((3 - k) * L + mpf(1))
    return lam * rho**m * m**m / (m + 1) ** (m + 1)


@decided_by("E")
def jump_check(statement):
    """Statements (k, L) -> the stable size at kappa_c as a share of the size without decay.

    There the two sizes meet; below kappa_c the stable one shrinks as kappa grows. The shares of
    all depths fill, from their value at L = 1, the intervals of the claim.
    """
    for objective, first, limit in ((JEPA, 0.5, np.exp(-0.5)), (MAE, 0.0, 0.5)):
        shares = np.array([statement(objective.base_exponent, L) for L in (*range(1, 99), 10**6)])
        rises = np.all(np.diff(shares) > 0) and shares[0] == first
        if not (rises and limit - 1e-4 < shares[-1] < limit):
            return False
    rng = np.random.default_rng(3)
    for objective in BOTH:
        for depth in range(1, 7):
            lam, rho = rng.uniform(0.5, 1.5, 2)
            top = weight_decay.critical_decay(objective, lam, rho, depth=depth)
            full = rho ** (depth / objective.saturation_power(depth=depth))
            low, high = weight_decay.fixed_points(
                objective,
                lam,
                rho,
                depth=depth,
                weight_decay=top * (1 - np.array([1e-4, 1e-8, 1e-12])),
            )
            share = float(statement(objective.base_exponent, depth))
            gaps = np.abs(np.array([low, high]) / full - share)
            if not (np.all(gaps[:, -1] < 1e-5) and np.all(np.diff(gaps) <= 0)):
                return False
            decays = top * np.linspace(0, 0.999, 30)
            _, high = weight_decay.fixed_points(
                objective, lam, rho, depth=depth, weight_decay=decays
            )
            if not np.all(np.diff(high) < 0):
                return False
    return True


@claim(
    "new:decay-jump",
    says=r"As $\kappa$ grows to $\kappa_c$ a feature shrinks to $\big(\frac "
    r"m{m+1}\big)^{1/s}w_\infty$, then vanishes at once: for JEPA from "
    r"$\big(1-\frac1{2L}\big)^L\in[\frac12,e^{-1/2})$ of its size, for MAE from "
    r"$\big(\frac{L-1}{2L}\big)^{L/(L+1)}\in[0,\frac12)$.",
    chapter=f"{CHAPTER}#critical-decay",
    ground="checked",
    check=jump_check,
    mutants=[
        lambda k, L: 0.5,
        lambda k, L: jump(5 - k, L),
        lambda k, L: jump(k, L) ** (1 / L) if L > 1 else 0.3,
        lambda k, L: np.exp(-0.5),
    ],
)
def jump(k, L):
    return (1 - 1 / (2 * L)) ** L if k == 3 else ((L - 1) / (2 * L)) ** (L / (L + 1))


def _starts(objective, L, rho):
    """Layer scales below and above the size of fastest growth, and beyond the final size."""
    m, power = objective.slowdown(depth=L), objective.saturation_power(depth=L)
    fastest, final = (rho * m / (m + 1)) ** (1 / power), rho ** (1 / power)
    above = (fastest + 0.05 * (final - fastest), final, 1.5 * final)
    return (0.5 * fastest, 0.97 * fastest, *above) if fastest else (0.2 * final, *above)


@decided_by("E")
def start_check(statement):
    """Statements (objective, L, lam, sigma2, c) -> the largest decay at which c^L is learned.

    By integration at decays 1 % below and above: one ends at the stable size, the other near 0.
    Starts lie below the size of fastest growth (just below it, too), above it, and above the
    final size.
    """
    for objective in BOTH:
        for L, lam, rho in ((1, 1.2, 0.8), (2, 0.8, 1.1), (4, 1.1, 0.7)):
            for c in _starts(objective, L, rho):
                kappa = statement(objective, L, lam, lam / rho, c)
                if not kappa > 0:
                    return False
                t, decays = np.array([0.0, 3000 / kappa]), kappa * np.array([1.01, 0.99])
                dies, lives = weight_decay.trajectory(
                    objective, t, lam, rho, depth=L, epsilon=c**L, weight_decay=decays
                )[-1]
                _, stable = weight_decay.fixed_points(
                    objective, lam, rho, depth=L, weight_decay=decays[1]
                )
                if not (dies < 1e-2 * min(c, rho) ** L and abs(lives / stable - 1) < 1e-3):
                    return False
    return True


@claim(
    "new:decay-start",
    says=r"Below the size of fastest growth a start $\epsilon=c^L$ is learned if and only if "
    r"$\kappa<c^{2L-1}(\lambda-c\,\sigma^2)$ (JEPA), $\kappa<c^{L-1}(\lambda-c^{L+1}\sigma^2)$ "
    r"(MAE), at any depth; from there on, if $\kappa\le\kappa_c$ (MAE at $L=1$: from any start, if "
    r"$\kappa<\lambda$). (Proved in chapter 16.)",
    chapter=f"{CHAPTER}#small-start",
    ground="proved",
    check=start_check,
    mutants=[
        lambda o, L, lam, s2, c: largest_decay(o, L, lam, s2 * c, c),
        lambda o, L, lam, s2, c: largest_decay(o, L, lam, s2 / 2, c),
        lambda o, L, lam, s2, c: weight_decay.critical_decay(o, lam, lam / s2, depth=L),
        lambda o, L, lam, s2, c: _early_growth(o, L, lam, s2, c),
        lambda o, L, lam, s2, c: largest_decay(o, L, lam, s2, c) * c,
        lambda o, L, lam, s2, c: largest_decay(o, L, lam, s2, min(c, lam / s2 / 2)),
        lambda o, L, lam, s2, c: (
            lam / 2 if o is MAE and L == 1 else largest_decay(o, L, lam, s2, c)
        ),
    ],
)
def largest_decay(objective, L, lam, sigma2, c):
    m, rho = objective.slowdown(depth=L), lam / sigma2
    if c ** objective.saturation_power(depth=L) < rho * m / (m + 1):
        return _early_growth(objective, L, lam, sigma2, c)
    return float(critical_decay(objective.base_exponent, L, lam, rho))


def _early_growth(objective, L, lam, sigma2, c):
    if objective is JEPA:
        return c ** (2 * L - 1) * (lam - c * sigma2)
    return c ** (L - 1) * (lam - c ** (L + 1) * sigma2)


@decided_by("E")
def target_check(statement):
    """Statements (kappa_jepa, tau) -> the largest decay at which a start is learned under rate tau.

    By integration half a percent below and above, target started at the encoder, for depths,
    features, starts and rates drawn at random. What lives ends at JEPA's stable size.
    """
    rng = np.random.default_rng(9)
    for L in (1, 2, 4):
        for start in (0.5, 1.2):  # of rho; the last one beyond the final size
            lam, rho = rng.uniform(0.6, 1.6, 2)
            tau, c = 10 ** rng.uniform(-2, 1), start * rho
            limit = weight_decay.greatest_decay(JEPA, lam, rho, depth=L, epsilon=c**L)
            kappa = statement(limit, tau)
            if not kappa > 0:
                return False
            decays, slowest = kappa * np.array([1.005, 0.995]), min(limit, tau)
            t = np.array([0.0, 2e4 / slowest])
            path, _ = target_network.trajectory(
                t, lam, rho, depth=L, epsilon=c**L, target_rate=tau, weight_decay=decays
            )
            dies, lives = path[-1]
            _, stable = weight_decay.fixed_points(JEPA, lam, rho, depth=L, weight_decay=decays[1])
            if not (dies < 1e-2 * c**L and abs(lives / stable - 1) < 1e-3):
                return False
    return True


@claim(
    "new:decay-target",
    says=r"With a target network of any rate $\tau>0$, started at the encoder, weight decay keeps "
    r"and kills exactly the features that it keeps and kills in JEPA, and the sizes at the end "
    r"are JEPA's. (Proved in chapter 16.)",
    chapter=f"{CHAPTER}#decay-and-target",
    ground="proved",
    check=target_check,
    mutants=[
        lambda limit, tau: limit * tau / (1 + tau),
        lambda limit, tau: limit / (1 + tau),
        lambda limit, tau: limit * 0.99,
        lambda limit, tau: limit * 1.01,
    ],
)
def limit_with_target(limit, tau):
    return limit
