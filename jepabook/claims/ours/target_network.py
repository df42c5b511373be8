"""JEPA with a target network: aligned dynamics, fast, frozen and slow targets, and the order."""

from fractions import Fraction
from itertools import pairwise
from random import Random

import numpy as np
import sympy

from jepabook.claims.checks import exact
from jepabook.claims.checks.aligned import aligned, aligned_case, features
from jepabook.claims.ledger import claim, decided_by
from jepabook.theory import critical_time, dynamics, target_network
from jepabook.theory.objectives import JEPA, MAE

CHAPTER = "15-target-network"
SHAPES = ((1, 2), (2, 3), (3, 2), (4, 2))  # (depth L, width d)


@decided_by("S")
def alignment_check(statement):
    """Statements (L, lam, sigma2, omega, omega_target, kappa, tau) -> velocities of both omegas.

    Exact: every layer of a network that shares its frames Q_a with its target network moves by
    Q_a D Q_{a-1}', and its target by the same with the second velocities: D diagonal.
    """
    for depth, width in SHAPES:
        frames, roots, slow, x, y = aligned_case(depth, width)
        random = Random(depth)
        kappa, tau = exact.random_positive(random), exact.random_positive(random)
        network, target = (aligned(JEPA, values, frames, x, y) for values in (roots, slow))
        residual = network.total @ network.xx - target.encoder @ network.yx
        moves, follows = zip(
            *(
                statement(depth, f.lam, f.xx, omega, omega_target, kappa, tau)
                for f, omega, omega_target in zip(features(network), roots, slow, strict=True)
            ),
            strict=True,
        )
        sides = [exact.identity(width), *frames, frames[-1]]
        for a in range(1, depth + 2):
            above, below = network.product(a + 1, depth + 1), network.product(1, a - 1)
            velocity = -above.T @ residual @ below.T - kappa * network.layer(a)
            behind = tau * (network.layer(a) - target.layer(a))
            pairs = [(velocity, moves), (behind, follows)]
            for found, stated in pairs[: 2 if a <= depth else 1]:  # the decoder has no target
                if not exact.equal(found, sides[a] @ exact.diagonal(stated) @ sides[a - 1].T):
                    return False
    return True


@claim(
    "new:target-alignment",
    says=r"A network and a target network that are aligned with the same $Q_a$ stay aligned, and "
    r"$\dot\omega=\lambda\,\omega_\xi^L\omega^L-\frac\lambda\rho\omega^{2L+1}-\kappa\,\omega$, "
    r"$\dot\omega_\xi=\tau(\omega-\omega_\xi)$ in units of gradient flow.",
    chapter=f"{CHAPTER}#layer-average",
    check=alignment_check,
    mutants=[
        lambda L, lam, s2, o, t, k, r: (aligned_velocity(L, lam, s2, o, o, k), r * (o - t)),
        lambda L, lam, s2, o, t, k, r: (
            t * lam * o**L - s2 * o ** (2 * L + 1) - k * o,
            r * (o - t),
        ),
        lambda L, lam, s2, o, t, k, r: (aligned_velocity(L, lam, s2, o, t, k * L), r * (o - t)),
        lambda L, lam, s2, o, t, k, r: (aligned_velocity(L, lam, s2, o, t, k) * L, r * (o - t)),
        lambda L, lam, s2, o, t, k, r: (aligned_velocity(L, lam, s2, o, t, k), r * (t - o)),
        lambda L, lam, s2, o, t, k, r: (aligned_velocity(L, lam, s2, o, t, k), r * (o**L - t**L)),
        lambda L, lam, s2, o, t, k, r: (
            aligned_velocity(L, lam, s2, o, t, k),
            r * (o - t) - k * t,
        ),
    ],
)
def aligned_velocities(L, lam, sigma2, omega, target, kappa, tau):
    return aligned_velocity(L, lam, sigma2, omega, target, kappa), tau * (omega - target)


def aligned_velocity(L, lam, sigma2, omega, target, kappa):
    """Of the encoder's layers."""
    return lam * target**L * omega**L - sigma2 * omega ** (2 * L + 1) - kappa * omega


@decided_by("SE")
def one_function_check(statement):
    """Statements (L, lam, rho, tau) -> the unit of omega, the speed of theta-hat, and tau-hat.

    Exact, at random rationals: u = omega / unit and v = omega_target / unit then obey
    u' = (v u)^L - u^(2L + 1) and v' = tau-hat (u - v), with no other parameter. And in the
    package's own integrations, features of one tau-hat are one function.
    """
    random = Random(9)
    for L in range(1, 6):
        lam, rho, tau, u, v = (Fraction(random.randint(5, 15), 10) for _ in range(5))
        unit, speed, rate = statement(L, lam, rho, tau)
        found = aligned_velocities(L, lam, lam / rho, unit * u, unit * v, 0, tau)
        expected = (v * u) ** L - u ** (2 * L + 1), rate * (u - v)
        if any(a != unit * speed * b for a, b in zip(found, expected, strict=True)):
            return False
    for L, lams, rhos in ((1, (0.7, 1.5), (1.2, 0.5)), (3, (1.4, 0.9), (0.8, 1.1))):
        paths = []
        for lam, rho in zip(lams, rhos, strict=True):
            unit, speed, rate = statement(L, lam, rho, 1.0)
            start, tau = (0.3 * unit) ** L, 0.2 / rate  # tau-hat is proportional to tau
            clock = L * np.array([0.0, 1.0, 5.0, 50.0]) / speed
            path = target_network.trajectory(
                clock, lam, rho, depth=L, epsilon=start, target_rate=tau
            )
            paths.append([sizes / unit**L for sizes in path])
        if not np.allclose(*paths, rtol=1e-6):
            return False
    return True


@claim(
    "new:target-one-function",
    says=r"$\hat\omega=\omega/\rho$, $\hat\omega_\xi=\omega_\xi/\rho$, "
    r"$\hat\theta=\lambda\rho^{2L-1}\theta$ turn the equations of every feature into "
    r"$\hat\omega'=\hat\omega_\xi^L\hat\omega^L-\hat\omega^{2L+1}$, "
    r"$\hat\omega_\xi'=\hat\tau(\hat\omega-\hat\omega_\xi)$ with "
    r"$\hat\tau=\tau/(\lambda\rho^{2L-1})$.",
    chapter=f"{CHAPTER}#every-rate",
    check=one_function_check,
    mutants=[
        lambda L, lam, rho, tau: (
            rho**L,
            lam * rho ** (2 * L - 1),
            tau / (lam * rho ** (2 * L - 1)),
        ),
        lambda L, lam, rho, tau: (rho, lam, tau / lam),
        lambda L, lam, rho, tau: (rho, lam * rho ** (2 * L - 1), tau),
        lambda L, lam, rho, tau: (rho, lam * rho ** (2 * L - 1), tau / lam),
    ],
)
def units(L, lam, rho, tau):
    speed = lam * rho ** (2 * L - 1)
    return rho, speed, tau / speed


@decided_by("E")
def convergence_check(statement):
    """Statements (L, rho) -> the final size, of encoder and target alike.

    From random starts of both, at three rates; and from a common start both sizes grow, the
    target's behind, and the critical time falls as tau grows, towards JEPA's, which it exceeds. A
    slow target that starts near its end lets the feature come before JEPA.
    """
    rng = np.random.default_rng(9)
    for depth in (1, 2, 3):
        rho, lam = rng.uniform(0.7, 1.2, 2), rng.uniform(0.8, 1.5, 2)
        start, teacher = rng.uniform(0.2, 2.0, (2, 2))
        for rate in (0.03, 0.3, 10.0):
            t = np.array([0.0, 1e3 / min(rate, 1.0)])
            ends = target_network.trajectory(
                t, lam, rho, depth=depth, epsilon=start, target_rate=rate, teacher=teacher
            )
            if not np.allclose([sizes[-1] for sizes in ends], statement(depth, rho), rtol=1e-6):
                return False
        epsilon = 0.2 * 0.7**depth
        w, slow = target_network.trajectory(
            np.linspace(0, 100, 30), lam, rho, depth=depth, epsilon=epsilon, target_rate=0.1
        )
        times = target_network.critical_time(
            lam[0], rho[0], depth=depth, epsilon=epsilon, target_rate=np.geomspace(1e-3, 100, 4)
        )
        limit = critical_time.exact(JEPA, lam[0], rho[0], depth=depth, epsilon=epsilon)
        grows = np.all(np.diff(w, axis=0) > -1e-9) and np.all(np.diff(slow, axis=0) > -1e-9)
        if not (grows and np.all(slow <= w * (1 + 1e-9)) and np.all(np.diff(times) < 0)):
            return False
        if not 1 < times[-1] / limit < 1.01:
            return False
        ahead = target_network.trajectory(
            [0.0, limit],
            lam[0],
            rho[0],
            depth=depth,
            epsilon=epsilon,
            target_rate=0.01,
            teacher=0.9 * rho[0] ** depth,
        )[0]
        if not ahead[-1] > 0.5 * rho[0] ** depth:
            return False
    return True


@claim(
    "new:target-convergence",
    says=r"Without decay, for every $\tau>0$, all positive starts end at $w=w_\xi=\rho^L$. From "
    r"$w_\xi=w=\epsilon<\rho^L$ both grow, $w_\xi\le w$, and $t^*$ falls as $\tau$ grows, to "
    r"JEPA's; from a target that starts ahead it can lie below. (Proved in chapter 15.)",
    chapter=f"{CHAPTER}#every-rate",
    ground="proved",
    check=convergence_check,
    mutants=[
        lambda L, rho: rho ** (L / (L + 1)),
        lambda L, rho: rho ** (L * L / (L + 1)),
        lambda L, rho: rho,
        lambda L, rho: 0 * rho,
    ],
)
def final_size(L, rho):
    return rho**L


@decided_by("E")
def fast_check(statement):
    """Statements (L, lam, rho, c, tau, p) -> the delay of t* behind JEPA's to first order in 1/tau.

    The error falls by four as tau doubles.
    """
    for L, lam, rho, c, p in (
        (1, 1.3, 0.8, 0.2, 0.5),
        (2, 0.7, 1.1, 0.35, 0.3),
        (3, 1.1, 0.9, 0.4, 0.7),
    ):
        known = {"lam": lam, "rho": rho, "depth": L, "epsilon": c**L, "fraction": p}
        start = critical_time.exact(JEPA, **known)
        rates = lam * rho ** (2 * L - 1) * np.array([40.0, 80.0, 160.0])
        late = target_network.critical_time(**known, target_rate=rates) - start
        errors = np.array([statement(L, lam, rho, c, tau, p) for tau in rates]) / late - 1
        if not all(1.6 < a / b < 2.4 for a, b in pairwise(errors)):
            return False
    return True


@claim(
    "new:fast-target",
    says=r"As $\tau\to\infty$: "
    r"$t^*=t^*_{jepa}+\frac{L^2}\tau\big(\mathrm{logit}\,p^{1/L}-\mathrm{logit}\frac "
    r"c\rho\big)+O(\tau^{-2})$ with $c=\epsilon^{1/L}$. (Proved in chapter 15.)",
    chapter=f"{CHAPTER}#fast-target",
    ground="proved",
    check=fast_check,
    mutants=[
        lambda L, lam, rho, c, tau, p: fast_delay(L, lam, rho, c, tau, p) / L if L > 1 else 0.0,
        lambda L, lam, rho, c, tau, p: fast_delay(L, lam, rho, c, lam * tau, p),
        lambda L, lam, rho, c, tau, p: fast_delay(L, lam, 1.0, c, tau, p),
        lambda L, lam, rho, c, tau, p: fast_delay(L, lam, rho, c, tau, p**L if L > 1 else 0.9),
    ],
)
def fast_delay(L, lam, rho, c, tau, p):
    odds = p ** (1 / L) / (1 - p ** (1 / L)) * (rho / c - 1)
    return L**2 / tau * np.log(odds)


@decided_by("SE")
def frozen_check(statement):
    """Statements (L, lam, rho, teacher) -> MAE's lam and rho, the final size, and a speed.

    Exact, in omega: the student's equation is MAE's with these. By integration of students from
    small starts: sizes at the end, and at every time those of MAE's closed form. By closed form
    at epsilon = 10^-40: features learned in the order of the speeds, which is neither that of
    lam, nor of rho, nor of the teacher's sizes.
    """
    random = Random(8)
    for L in range(1, 6):
        lam, rho, teacher, omega = (Fraction(random.randint(5, 15), 10) for _ in range(4))
        student, its_rho, *_ = statement(L, lam, rho, teacher)
        power = MAE.base_exponent - 1
        as_mae = student * omega ** (power * L) - student / its_rho * omega ** (2 * L + 1)
        if as_mae != teacher * lam * omega**L - lam / rho * omega ** (2 * L + 1):
            return False
    lam, rho = np.array([1.0, 1.3, 0.8, 1.6]), np.array([0.9, 1.2, 1.4, 0.7])
    teacher = np.array([1.5, 0.9, 1.7, 0.6])
    speeds = lam * teacher
    if any(_same_order(speeds, other) for other in (lam, rho, teacher)):
        raise AssertionError("the features must not be ordered by one of their numbers alone")
    for L in (1, 2, 4):
        student, its_rho, size, speed = statement(L, lam, rho, teacher)
        start = 0.05 * size.min()
        half = critical_time.exact(MAE, student, its_rho, depth=L, epsilon=start)
        times = half.max() * np.array([0.0, 0.2, 0.5, 1.0, 30.0])
        path, _ = target_network.trajectory(
            times, lam, rho, depth=L, epsilon=start, target_rate=0.0, teacher=teacher
        )
        theory = dynamics.trajectory(MAE, times[:, None], student, its_rho, depth=L, epsilon=start)
        early = critical_time.exact(MAE, student, its_rho, depth=L, epsilon=1e-40)
        if not (
            np.allclose(path, theory, rtol=1e-6)
            and np.allclose(path[-1], size, rtol=1e-6)
            and _same_order(-early, speed)
        ):
            return False
    return True


def _same_order(a, b):
    return bool(np.all(np.argsort(a) == np.argsort(b)))


@claim(
    "new:frozen-teacher",
    says=r"Behind a frozen teacher of size $w_\xi$ a feature obeys MAE's (8) with $\lambda "
    r"w_\xi$, $\rho w_\xi$ for $\lambda$, $\rho$; so it ends at $(\rho w_\xi)^{L/(L+1)}$, and as "
    r"$\epsilon\to0$ the order is that of $\lambda w_\xi$.",
    chapter=f"{CHAPTER}#frozen-teacher",
    check=frozen_check,
    mutants=[lambda L, lam, rho, w: (lam * w, rho * w, rho ** (L / (L + 1)) * w, lam * w)],
)
def behind_teacher(L, lam, rho, teacher):
    return lam * teacher, rho * teacher, (rho * teacher) ** (L / (L + 1)), lam * teacher


@decided_by("SE")
def generations_check(statement):
    """Statements (L, n) -> the exponent of rho in the sizes of generation n of distillation.

    Exact, from one generation to the next; and for students that are run to their end, one
    behind the other, the first behind the identity and the second behind MAE's own end. After
    many generations the exponent is JEPA's.
    """
    for L in range(1, 7):
        exponent = Fraction(0)  # the identity as a teacher
        for n in range(8):
            if statement(L, n) != exponent:
                return False
            exponent = (1 + exponent) * Fraction(L, L + 1)
    lam, rho = np.array([1.0, 1.3, 0.8]), np.array([0.9, 1.2, 0.6])
    for L in (1, 3):
        teacher = np.ones(3)
        for n in range(1, 4):
            ends, _ = target_network.trajectory(
                [0.0, 3e3], lam, rho, depth=L, epsilon=0.05, target_rate=0.0, teacher=teacher
            )
            teacher = ends[-1]
            if not np.allclose(teacher, rho ** float(statement(L, n)), rtol=1e-6):
                return False
            if n == 1 and not np.allclose(
                teacher, dynamics.fixed_point(MAE, rho, depth=L), rtol=1e-6
            ):
                return False
        limit = rho ** float(statement(L, 300))
        if not np.allclose(limit, dynamics.fixed_point(JEPA, rho, depth=L), rtol=1e-12):
            return False
    return True


@claim(
    "new:generations",
    says=r"If each generation is the next one's frozen teacher, the identity being generation 0 "
    r"and so MAE generation 1, generation $n$ ends at $\rho^{L(1-(L/(L+1))^n)}$, which tends to "
    r"JEPA's $\rho^L$.",
    chapter=f"{CHAPTER}#frozen-teacher",
    check=generations_check,
    mutants=[
        lambda L, n: generation(L, n + 1),
        lambda L, n: L * (1 - Fraction(1, L + 1) ** n) if L > 1 else Fraction(n),
        lambda L, n: generation(L, n) + Fraction(n, 100),
        lambda L, n: generation(L, min(n, 8)),
    ],
)
def generation(L, n):
    return L * (1 - Fraction(L, L + 1) ** n)


@decided_by("SE")
def slow_check(statement):
    """Statements (L, rho, c, tau, p) -> t*, sharp as tau -> 0: tau t* converges, for every lam.

    Also, symbolically: omega = rho y^L, omega_target = rho y^(L+1) with y' = tau (1 - y)/(L + 1)
    keep the encoder at rest and move the target as they must.
    """
    y, rho, tau = sympy.symbols("y rho tau", positive=True)
    for L in range(1, 6):
        omega, target = rho * y**L, rho * y ** (L + 1)
        rest = sympy.expand(target**L - omega ** (L + 1) / rho)
        move = sympy.diff(target, y) * tau * (1 - y) / (L + 1) - tau * (omega - target)
        if rest != 0 or sympy.expand(move) != 0:
            return False
    for L, rho, c, p in ((1, 0.8, 0.2, 0.6), (2, 1.1, 0.3, 0.5), (3, 0.9, 0.4, 0.7)):
        for lam in (0.5, 2.0):
            rates = np.array([1e-4, 1e-5, 1e-6])
            times = target_network.critical_time(
                lam, rho, depth=L, epsilon=c**L, target_rate=rates, fraction=p
            )
            errors = np.abs(times / [statement(L, rho, c, tau, p) for tau in rates] - 1)
            if not (np.all(np.diff(errors) < 0) and errors[-1] < 1e-3):
                return False
    return True


@claim(
    "new:slow-target",
    says=r"As $\tau\to0$ at fixed $\tau\theta$: $\omega=\rho\phi^L$, "
    r"$\omega_\xi=\rho\phi^{L+1}$ with $1-\phi=(1-\phi_0)e^{-\tau\theta/(L+1)}$, "
    r"$\phi_0=(c/\rho)^{1/(L+1)}$; $\lambda$ drops out. (Proved in chapter 15.)",
    chapter=f"{CHAPTER}#slow-target",
    check=slow_check,
    mutants=[
        lambda L, rho, c, tau, p: slow_time(L, rho, c, tau, p) * (L + 1) / L,
        lambda L, rho, c, tau, p: slow_time(L, rho, c, tau, p ** (L + 1)),
        lambda L, rho, c, tau, p: slow_time(L, rho, c**0.5, tau, p),
        lambda L, rho, c, tau, p: slow_time(L, 1.0, c, tau, p),
    ],
)
def slow_time(L, rho, c, tau, p):
    y, start = p ** (1 / L**2), (c / rho) ** (1 / (L + 1))
    return L * (L + 1) / tau * np.log((1 - start) / (1 - y))


@decided_by("E")
def slow_order_check(statement):
    """Statements (lam, rho) -> what rises along the order of half-times at a slow target.

    Sizes at any one time after the first epoch, and the times at which a common size is reached,
    come in the opposite order. Three depths, features drawn at random.
    """
    rng = np.random.default_rng(4)
    for depth, epsilon, goal in ((1, 0.01, 0.3), (2, 0.01, 0.2), (3, 0.01, 0.15)):
        lam, rho = rng.uniform(0.5, 1.5, 4), rng.permutation(np.linspace(0.6, 1.2, 4))
        known = {"depth": depth, "epsilon": epsilon, "target_rate": 1e-7}
        along = np.argsort(statement(lam, rho))
        half = target_network.critical_time(lam, rho, **known)
        common = target_network.critical_time(lam, rho, **known, goal=goal)
        sizes, _ = target_network.trajectory(np.linspace(0, half.max(), 5), lam, rho, **known)
        if not (
            np.all(np.diff(half[along]) > 0)
            and np.all(np.diff(common[along]) < 0)
            and np.all(np.diff(sizes[1:, along]) > 0)
        ):
            return False
    return True


@claim(
    "new:slow-order",
    says=r"As $\tau\to0$ features of smaller $\rho$ reach half of their final sizes first, "
    r"whatever their $\lambda$, where these halves lie above the plateaus "
    r"$(\rho\epsilon)^{L/(L+1)}$; but at every fixed $\tau\theta>0$ those of larger $\rho$ are "
    r"larger, and they reach any size above the plateaus first. (Proved in chapter 15.)",
    chapter=f"{CHAPTER}#slow-target",
    ground="proved",
    check=slow_order_check,
    mutants=[lambda lam, rho: -rho, lambda lam, rho: -lam, lambda lam, rho: lam * rho],
)
def slow_order(lam, rho):
    return rho


@decided_by("E")
def small_scale_check(statement):
    """Statements (L, lam, rho, c) -> the leading term of t* as c = epsilon^(1/L) -> 0, any tau."""
    for L, lam, rho in ((1, 1.3, 0.8), (2, 0.7, 1.1), (3, 1.1, 0.7)):
        for tau in (0.05, 1.0):
            gains = np.array([1e-2, 1e-3, 1e-4]) / (100 if L == 1 else 1)
            times = target_network.critical_time(
                lam, rho, depth=L, epsilon=gains**L, target_rate=tau
            )
            errors = np.abs(times / statement(L, lam, rho, gains) - 1)
            if not (np.all(errors[1:] < errors[:-1] / 4) and errors[-1] < 1e-2):
                return False
    return True


@claim(
    "new:target-small-scale",
    says=r"At fixed $\tau>0$ and as $\epsilon\to0$, $t^*/t^*_{jepa}\to1$: the leading term is "
    r"$\frac{L}{(2L-1)\lambda}\,\epsilon^{-(2L-1)/L}$ and the order that of $\lambda$, whatever "
    r"$\tau$. (Proved in chapter 15.)",
    chapter=f"{CHAPTER}#flip",
    ground="proved",
    check=small_scale_check,
    mutants=[
        lambda L, lam, rho, c: small_scale_time(L, lam * rho, rho, c),
        lambda L, lam, rho, c: c ** (1 - L) / lam,
        lambda L, lam, rho, c: small_scale_time(L, lam, rho, c) * rho ** (1 - 2 * L),
    ],
)
def small_scale_time(L, lam, rho, c):
    return L / ((2 * L - 1) * lam) * c ** (1 - 2 * L)
