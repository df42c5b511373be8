"""Knobs of a JEPA, and the rule that tells what a training does."""

import numpy as np
import sympy

from jepabook import recorded
from jepabook.claims.checks.bounds import are_narrowest
from jepabook.claims.ledger import claim, decided_by
from jepabook.theory import _layers, _ode, dynamics, normalised_target, predictor_rate, weight_decay
from jepabook.theory.objectives import JEPA

CHAPTER = "05-your-training-curve"


@decided_by("SE")
def stable_check(statement):
    """Statements (L, u) -> the predictor's rate at which the upper rest under decay turns stable.

    u is the layer scale there over rho. Exactly: the trace of the linear part changes its sign
    there and its determinant is positive. And by integration: 20 % below, a feature that starts a
    hundredth off leaves for zero, 20 % above it returns.
    """
    w, v, lam, rho, rate, kappa = sympy.symbols("w v lam rho alpha kappa", positive=True)
    for L in range(1, 6):
        layer = w ** (2 * L - 1) * (lam * v - lam / rho * v**2) - kappa * w
        predictor = rate * (w ** (2 * L) * (lam - lam / rho * v) - kappa * v)
        linear = sympy.Matrix([layer, predictor]).jacobian([w, v])
        u = sympy.symbols("u", positive=True)
        rest = {v: rho * u, w: rho * u, kappa: lam * (rho * u) ** (2 * L - 1) * (1 - u)}
        if any(sympy.simplify(f.subs(rest)) != 0 for f in (layer, predictor)):
            return False
        linear = linear.subs(rest)
        trace, minor = (sympy.simplify(m) for m in (linear.trace(), linear.det()))
        if sympy.simplify(trace.subs(rate, statement(L, u))) != 0:
            return False
        # 1 - 1/(2L) < u < 1 is the upper rest
        numbers = {lam: 1, rho: 1, rate: 1}
        for k in range(1, 10):
            place = {u: 1 - sympy.Rational(k, 20 * L)}
            if not minor.subs(numbers).subs(place) > 0:
                return False
            fast = {lam: 1, rho: 1, rate: statement(L, 1 - sympy.Rational(k, 20 * L)) + 1}
            if not trace.subs(fast).subs(place) < 0:
                return False
        if statement(L, 1 - sympy.Rational(1, 2 * L)) != 1 - sympy.Rational(1, L):
            return False
    return all(_leaves(statement, L, share) for L in (2, 3, 5) for share in (0.5, 0.9))


def _leaves(statement, L, share):
    """Whether a feature under that share of the critical decay dies below the rate, not above."""
    lam, rho = 1.0, 0.9
    kappa = share * weight_decay.critical_decay(JEPA, lam, rho, depth=L)
    size = weight_decay.fixed_points(JEPA, lam, rho, depth=L, weight_decay=kappa)[1]
    least, t = float(statement(L, size ** (1 / L) / rho)), np.array([0.0, 400 * L / kappa])
    known = {"depth": L, "epsilon": 1.01 * size, "weight_decay": kappa}
    ends = [
        predictor_rate.trajectory(t, lam, rho, predictor_rate=near * least, **known)[0][-1]
        for near in (0.8, 1.2)
    ]
    return ends[0] < 1e-6 * size and np.isclose(ends[1], size, rtol=1e-4)


@claim(
    "new:predictor-decay",
    says=r"With weight decay $\kappa$ that the learning rate multiplies, the predictor's rate "
    r"$\alpha$ moves no rest of an aligned feature of JEPA, but the upper one is stable only for "
    r"$\alpha>(2L-2)(1-\omega_+/\rho)$, a number that rises to $1-\frac1L$ as $\kappa$ rises to "
    r"$\kappa_c$. Below it, at half of $\kappa_c$ or more, the feature dies.",
    chapter=f"{CHAPTER}#predictor",
    check=stable_check,
    mutants=[lambda L, u: (L - 1) * (1 - u), lambda L, u: (2 * L - 2) * (1 - u**L)],
)
def least_predictor_rate(L, u):
    return (2 * L - 2) * (1 - u)


@decided_by("E")
def unstopped_check(statement):
    """Statements (loss) -> d|W_a|^2 / dtheta of each encoder layer, gradient through both sides.

    Against differences of the loss of random matrices that do not commute; and along whole
    trainings the encoder goes to zero, while with the gradient stopped it does not.
    """
    rng = np.random.default_rng(12)
    for depth in (1, 2, 4):
        layers = rng.standard_normal((depth + 1, 3, 3))
        root, turn = rng.standard_normal((2, 3, 3))
        xx = root @ root.T + np.eye(3)
        yx, yy = turn @ xx, turn @ xx @ turn.T + np.eye(3)
        for a in range(depth):
            grown = [
                np.concatenate([layers[:a], (1 + shift) * layers[a : a + 1], layers[a + 1 :]])
                for shift in (1e-5, -1e-5)
            ]
            radial = (_both(grown[0], xx, yx, yy) - _both(grown[1], xx, yx, yy)) / 2e-5
            # d|W_a|^2/dtheta = -2 <W_a, gradient>
            if not np.isclose(statement(_both(layers, xx, yx, yy)), -2 * radial, rtol=1e-6):
                return False
    return _dies(stopped=False) and not _dies(stopped=True)


def _both(layers, xx, yx, yy):
    products = _layers.partial_products(layers)
    product, target = products[-1], products[-2]
    square = product @ xx @ product.T - 2 * product @ yx.T @ target.T
    return np.trace(square + target @ yy @ target.T) / 2


def _dies(stopped):
    """Whether an aligned feature, L = 2, ends below a hundredth of its size at the start."""
    lam, rho, depth = 1.0, 0.9, 2
    xx = lam / rho

    def slope(_, state):
        w, v = state
        whole = w ** (2 * depth - 1) * (xx * v**2 - 2 * lam * v + xx)
        half = w ** (2 * depth - 1) * (xx * v**2 - lam * v)
        return -(half if stopped else whole), w ** (2 * depth) * (lam - xx * v)

    end = _ode.solve("the feature", slope, [1e5], [0.5, 0.5], rtol=1e-8, atol=1e-12).y[0, -1]
    return bool((end / 0.5) ** depth < 0.01)


@claim(
    "new:no-stop-gradient",
    says=r"Without the stop-gradient every layer of the encoder shrinks for as long as there is a "
    r"loss: $\frac{d}{d\theta}\lVert W_a\rVert^2=-4\,$loss, for any data and depth. Where the "
    r"views do not determine each other ($N$ positive definite) the loss is 0 for $\bar W=0$ only: "
    r"the encoder collapses.",
    chapter=f"{CHAPTER}#collapse",
    ground="proved",
    check=unstopped_check,
    mutants=[lambda loss: -2 * loss, lambda loss: -4 * loss**2],
)
def shrinking(loss):
    return -4 * loss


def _normalised(u):
    return u / np.linalg.norm(u, axis=-1, keepdims=True)


@decided_by("E")
def normalised_check(statement):
    """Statements (variances of the code) -> the gains D along its principal directions.

    By sampling: E[N(W y) x'] of random matrices that do not commute is D W Sigma_yx, within five
    standard errors of 400 000 pairs. And by SGD of two layers, from aligned ones, on pairs whose
    targets are normalised: the sizes at three moments are those of the equation, to 5 %.
    """
    rng = np.random.default_rng(21)
    for width, spread in ((1, 1.0), (2, 1.0), (4, 0.7)):
        mix, more, encoder = np.exp(spread) * rng.standard_normal((3, width, width))
        x = rng.standard_normal((400_000, width))
        y = x @ mix.T + rng.standard_normal((400_000, width)) @ more.T
        code = encoder @ (mix @ mix.T + more @ more.T) @ encoder.T
        size, basis = np.linalg.eigh(code)
        stated = basis * statement(size) @ basis.T @ encoder @ mix
        each = _normalised(y @ encoder.T)[:, :, None] * x[:, None, :]
        error = each.std(0) / len(x) ** 0.5
        if np.any(abs(each.mean(0) - stated) > 5 * error):
            return False
    return _follows(statement, rng)


def _follows(statement, rng):
    """Whether SGD on normalised targets has the sizes that the gains give; 12 networks' mean."""
    lam, rho, gain, rate = np.array([1.0, 1.2, 0.9, 1.4]), np.array([0.9, 0.5, 0.7, 0.4]), 0.4, 0.01
    scale, weights = np.sqrt(lam / rho), np.tile(gain * np.eye(4), (3, 12, 1, 1))
    omega = np.full(4, gain)
    for now in range(1, 1501):
        x, more = rng.standard_normal((2, 12, 200, 4))
        y = (rho * x + np.sqrt(1 - rho**2) * more) * scale
        x = x * scale
        first, second, decoder = weights
        encoder = second @ first
        ahead = x @ encoder.mT
        error = ahead @ decoder.mT - _normalised(y @ encoder.mT)
        by_encoder = decoder.mT @ error.mT @ x
        steps = (second.mT @ by_encoder, by_encoder @ first.mT, error.mT @ ahead)
        weights = weights - rate * np.array(steps) / 200
        push = lam * statement(lam / rho * omega**4)
        omega = omega + rate * omega**4 * (push - lam / rho * omega)
        if now % 500 == 0:
            sizes = np.linalg.norm(weights[1] @ weights[0], axis=-2).mean(0)
            if not np.allclose(sizes, omega**2, rtol=0.05):
                return False
    return True


@claim(
    "new:normalised-target",
    says=r"A JEPA whose targets are normalised, $\bar Wy/\lVert\bar Wy\rVert$, has for Gaussian "
    r"views the gradient flow of one with the target $D\bar Wy$: $D$ has the principal directions "
    r"of the code and the gains $D_i=E\big[u_i^2/\lVert u\rVert\big]/E[u_i^2]$ along them, "
    r"$u=\bar Wy$. So a feature's push $\lambda$ becomes $D_i\lambda$. SGD of two layers on such "
    r"targets has these sizes to 5 %.",
    chapter=f"{CHAPTER}#normalised",
    ground=("proved", "measured"),
    check=normalised_check,
    mutants=[
        lambda s: s.sum() ** -0.5 + 0 * s,
        lambda s: normalised_target.gains(s)[::-1],
        lambda s: normalised_target.gains(s) * len(s) ** 0.5,
        lambda s: s**-0.5 * (2 / np.pi) ** 0.5,
    ],
)
def target_gains(s):
    return normalised_target.gains(s)


@decided_by("E")
def normalised_end_check(statement):
    """Statements (c, L) -> of 24 aligned features: what the brake is a share of at the start of
    JEPA with normalised targets (each coordinate to mean square 1), its least and largest ratio of
    sizes over the plain rule's at the end, and the features that come first of a pair.

    The features are twelve of rho 0.95 and lam 1, twelve of rho 0.6 and lam 1.2, by integration.
    """
    ratios = []
    for L, epsilon in ((3, 0.02), (5, 0.01)):
        c = epsilon ** (1 / L)
        lam, rho = np.repeat([1.0, 1.2], 12), np.repeat([0.95, 0.6], 12)
        t = np.append(0, np.geomspace(1e-1, 3e4, 1500))
        known = {"depth": L, "epsilon": epsilon, "scale": 24**0.5}
        sizes, gains = normalised_target.trajectory(t, lam, rho, **known)
        through, (low, high), first = statement(c, L)
        variance = np.mean(lam / rho)
        # push - brake over the gain: lam - (c / D) sigma^2
        if not np.allclose(c / gains[0], through * variance**0.5, rtol=0.06):
            return False
        end = normalised_target.final_size(lam, rho, depth=L, scale=24**0.5)
        if not np.allclose(sizes[-1], end, rtol=1e-4):
            return False
        ratios.append((end[0] / end[-1]) / (rho[0] / rho[-1]) ** L)
        halves = [t[np.argmax(size >= size[-1] / 2)] for size in sizes.T]
        plain = dynamics.trajectory(JEPA, t[:, None], lam, rho, depth=L, epsilon=epsilon)
        plainly = [t[np.argmax(size >= size[-1] / 2)] for size in plain.T]
        found = tuple("noisy" if h[-1] < h[0] else "clean" for h in (halves, plainly))
        if found != first:
            return False
    return bool(are_narrowest((low, high), ratios, 0.05))


@claim(
    "new:normalised-order",
    says=r"Where no feature dominates, a JEPA whose targets are normalised to mean square 1 starts "
    r"with the brake $c^{L+1}\bar\sigma\,\sigma^2$ against $\lambda$, $\bar\sigma^2$ the mean "
    r"variance: MAE's exponent, where plain JEPA's brake is $c\,\sigma^2$. At the end the sizes "
    r"are $(D_i\rho)^L$. Of 24 aligned features, half of them noisy ($\rho$ 0.6 against 0.95, "
    r"$\lambda$ 1.2 against 1), with $L=3$ and 5 from $\epsilon=0.02$ and 0.01, the noisy ones are "
    r"learned first, though plain JEPA learns the clean ones first, and the ratio of sizes at the "
    r"end is 0.65 to 0.85 times plain JEPA's.",
    chapter=f"{CHAPTER}#normalised",
    ground="checked",
    check=normalised_end_check,
    mutants=[
        lambda c, L: (c, *first_and_end(c, L)[1:]),
        lambda c, L: (c**L, *first_and_end(c, L)[1:]),
        lambda c, L: (first_and_end(c, L)[0], (0.9, 1.1), ("noisy", "clean")),
        lambda c, L: (*first_and_end(c, L)[:2], ("clean", "clean")),
        lambda c, L: (*first_and_end(c, L)[:2], ("noisy", "noisy")),
    ],
)
def first_and_end(c, L):
    return c ** (L + 1), (0.65, 0.85), ("noisy", "clean")


@decided_by("E")
def rule_check(statement):
    """Statements () -> least shares of right ones among what is told: 4000 pairs, 400, a log.

    From the recorded run, to 5 %; and three quarters of the trainings are told from 4000 pairs,
    less than half from the log.
    """
    arrays, facts = recorded.result("watch")
    right, told = [], []
    for table in arrays["table"]:
        same = [
            (row, facts["cases"].index(truth))
            for row, truth in enumerate(facts["truths"])
            if truth in facts["cases"]
        ]
        silent = table[:, facts["cases"].index("cannot be told")].sum()
        told.append(table.sum() - silent)
        right.append(sum(int(table[place]) for place in same) / told[-1])
    few, many, log = right
    enough = all(a >= b > a - 0.05 for a, b in zip((many, few, log), statement(), strict=True))
    shares = np.array(told) / facts["runs"]
    larger = arrays["knobs"][facts["knobs"].index("only larger")].sum()
    counted = (facts["runs"], larger) == (672, 96)
    return bool(counted and enough and shares[1] >= 0.75 and shares[2] < 0.5)


@claim(
    "new:watch-rule",
    says=r"Of what the rule of `jepabook.watch` tells of 672 deep linear trainings, 96 of them "
    r"only made larger, at least 90 % is right from 4000 pairs of embeddings and from 400, and "
    r"85 % from a log with the target's variance; from 4000 pairs it tells three quarters of them "
    r"or more, from the log less than half. (Measured.)",
    chapter=f"{CHAPTER}#tell",
    check=rule_check,
    mutants=[
        lambda: (0.95, 0.9, 0.85),
        lambda: (0.9, 0.95, 0.85),
        lambda: (0.9, 0.9, 0.9),
        lambda: (0.85, 0.85, 0.8),
    ],
)
def least_shares():
    return 0.9, 0.9, 0.85
