"""Data of one's own, by chapter 12: what the numbers of `spectrum` mean; a test on photographs."""

import numpy as np

from jepabook import JEPA, MAE, dynamics
from jepabook.claims.ledger import HOLDS, claim

BOTH = (JEPA, MAE)
CHAPTER = "12-your-data"


def _views(rng, regression, count=40):
    """Centred pairs of correlated features, y = B x + residual."""
    d = len(regression)
    x = rng.standard_normal((count, d)) @ (np.eye(d) + 0.5 * rng.standard_normal((d, d)))
    y = x @ regression.T + rng.standard_normal((count, d))
    return x - x.mean(0), y - y.mean(0)


def _squares(y, x):
    """Squares of y that the least-squares fit from x explains."""
    return (x @ np.linalg.lstsq(x, y)[0]).var(0).sum() * len(x)


def loss_check(statement):
    """Statements (C, A) -> misalignment, C and A sums of y x' and x x', in the basis of features.

    Against fits of data, on all features and on each by itself; and 0 where the fit is diagonal.
    """
    rng = np.random.default_rng(12)
    for d in (2, 3, 6):
        x, y = _views(rng, rng.standard_normal((d, d)))
        own = sum(_squares(y[:, [i]], x[:, [i]]) for i in range(d))
        value = statement(y.T @ x, x.T @ x)
        if not (abs(value - (1 - own / _squares(y, x))) < 1e-12 and 0 < value <= 1):
            return False
        diagonal = np.diag(rng.uniform(0.2, 1, d)) @ (x.T @ x)
        if abs(statement(diagonal, x.T @ x)) > 1e-12:
            return False
    return True


@claim(
    "new:featurewise-loss",
    where="this book",
    says=r"The share of what the best linear predictor explains that is lost if features predict "
    r"only themselves, $1-\sum_i\frac{\lambda_i^2}{\sigma_i^2}\big/\mathrm{tr}\,\Sigma^{yx}"
    r"(\Sigma^{xx})^{-1}\Sigma^{xy}$, lies in $[0,1]$ and is 0 if and only if that predictor is "
    r"diagonal. (Proved in chapter 12.)",
    methods="E",
    verdict=HOLDS,
    chapter=f"{CHAPTER}#estimate",
    check=loss_check,
    mutants=[
        lambda c, a: 1 - (np.diag(c) ** 2).sum() / (c**2).sum(),
        lambda c, a: 1 - (np.diag(c) / np.diag(a)).sum() / np.trace(c @ np.linalg.inv(a)),
        lambda c, a: 1 - np.diag(c).sum() / np.trace(c @ np.linalg.solve(a, c.T)) ** 0.5,
        lambda c, a: abs(c - c.T).max() / abs(c).max(),
    ],
)
def featurewise_loss(c, a):
    own = np.diag(c) ** 2 / np.diag(a)
    return 1 - own.sum() / np.trace(c @ np.linalg.solve(a, c.T))


def jitter_check(statement):
    """Statements (objective, L, lam, sigma^2, c, d) -> variance s^2 at which growth stops.

    The velocity at c^L of the feature (1, ..., 1)/sqrt(d), whose variance and covariance are read
    off matrices to which s^2 is added, changes its sign there.
    """
    rng = np.random.default_rng(13)
    for objective in BOTH:
        for L, d in ((1, 2), (2, 7), (5, 64)):
            c = rng.uniform(0.2, 0.5)
            lam, sigma2 = rng.uniform(0.8, 1.2), rng.uniform(1.3, 1.6)
            direction = np.full(d, d**-0.5)
            xx, yx = (level * np.outer(direction, direction) for level in (sigma2, lam))
            for factor, sign in ((1 - 1e-6, 1), (1 + 1e-6, -1)):
                jittered = xx + factor * statement(objective, L, lam, sigma2, c, d)
                variance = direction @ jittered @ direction
                rho = direction @ yx @ direction / variance
                if sign * dynamics.velocity(objective, c**L, lam, rho, L) <= 0:
                    return False
    return True


@claim(
    "new:common-jitter",
    where="this book",
    says=r"Independent jitter of variance $s^2$ common to all $d$ pixels of a view leaves every "
    r"$\lambda$ and adds $d\,s^2$ to the variance of brightness, which from a gain $c$ then grows "
    r"only for $s^2<\frac1d\big(\frac\lambda c-\sigma^2\big)$ (JEPA), "
    r"$s^2<\frac1d\big(\frac\lambda{c^{L+1}}-\sigma^2\big)$ (MAE).",
    methods="E",
    verdict=HOLDS,
    chapter=f"{CHAPTER}#jitter",
    check=jitter_check,
    mutants=[
        lambda o, L, lam, s2, c, d: jitter_limit(o, L, lam, s2, c, 1),
        lambda o, L, lam, s2, c, d: jitter_limit(JEPA, L, lam, s2, c, d),
        lambda o, L, lam, s2, c, d: jitter_limit(MAE, L, lam, s2, c, d),
        lambda o, L, lam, s2, c, d: jitter_limit(o, L, lam, s2, c, d) + s2 / d,
    ],
)
def jitter_limit(objective, L, lam, sigma_squared, c, d):
    power = 1 if objective is JEPA else L + 1
    return (lam / c**power - sigma_squared) / d


def equal_check(statement):
    """Statements (rng) -> (lam, rho) of two features that are to have one order.

    At random times the sizes of a pair stand in the order of lam, under both objectives.
    """
    rng = np.random.default_rng(14)
    for L in (1, 2, 5):
        for _ in range(40):
            lam, rho = statement(rng)
            first, second = np.argsort(lam)
            for objective in BOTH:
                epsilon = 0.05 * dynamics.fixed_point(objective, rho, L).min()
                span = dynamics.time_to_reach(objective, 2 * epsilon, lam, rho, L, epsilon).max()
                w = dynamics.trajectory(
                    objective, span * np.geomspace(0.1, 50, 30)[:, None], lam, rho, L, epsilon
                )
                if np.any(w[:, first] > w[:, second] * (1 + 1e-9)):
                    return False
    return True


@claim(
    "new:whitened",
    where="this book",
    says=r"Features of equal $\sigma^2$ (as after whitening $x$) are at all times ordered in size "
    r"by $\lambda$, under both objectives, at any depth. (Proved in chapter 12.)",
    methods="E",
    verdict=HOLDS,
    chapter=f"{CHAPTER}#jitter",
    check=equal_check,
    mutants=[
        lambda rng: (rng.uniform(0.5, 1.5, 2), rng.uniform(0.5, 1.5, 2)),
        lambda rng: (np.array([1.0, 1.1]), np.array([1.0, 0.5])),
        lambda rng: (lam := rng.uniform(0.5, 1.5, 2), 1 / lam),
    ],
)
def equal_variances(rng):
    lam = rng.uniform(0.5, 1.5, 2)
    return lam, lam / rng.uniform(0.8, 2)


def crosstalk_check(statement):
    """Statements (objective, C, A, i, j, w_i, epsilon) -> residual (i, j) over residual (j, j).

    From the matrices T C - V W A, with feature i at rest and all others at a tiny epsilon.
    """
    rng = np.random.default_rng(15)
    for objective in BOTH:
        for L, d in ((1, 2), (2, 3), (3, 4)):
            factor = rng.standard_normal((d, 2 * d))
            a = factor @ factor.T / d
            c = np.diag(rng.uniform(0.3, 0.9, d)) @ a + 0.05 * rng.standard_normal((d, d))
            epsilon, i, j = 1e-9**L, 0, d - 1
            layer = np.full(d, epsilon ** (1 / L))
            power = 1 if objective is JEPA else L + 1
            layer[i] = (c[i, i] / a[i, i]) ** (1 / power)
            encoder, decoder = np.diag(layer**L), np.diag(layer)
            target = encoder if objective is JEPA else np.eye(d)
            residual = target @ c - decoder @ encoder @ a
            ratio = statement(objective, c, a, i, j, layer[i] ** L, epsilon)
            if abs(ratio / (residual[i, j] / residual[j, j]) - 1) > 1e-6:
                return False
    return True


@claim(
    "new:crosstalk",
    where="this book",
    says=r"With feature $i$ at rest and feature $j$ small, entry $(i,j)$ of the residual, relative "
    r"to entry $(j,j)$, is to leading order $\frac{C_{ij}-\rho_iA_{ij}}{\lambda_j}$ in MAE and "
    r"$\frac{w_i}\epsilon$ times that in JEPA ($C$, $A$: $\Sigma^{yx}$, $\Sigma^{xx}$ in the "
    r"basis of features).",
    methods="E",
    verdict=HOLDS,
    chapter=f"{CHAPTER}#crosstalk",
    check=crosstalk_check,
    mutants=[
        lambda o, c, a, i, j, w, e: crosstalk(MAE, c, a, i, j, w, e),
        lambda o, c, a, i, j, w, e: crosstalk(JEPA, c, a, i, j, w, e),
        lambda o, c, a, i, j, w, e: crosstalk(o, c.T, a, i, j, w, e),
        lambda o, c, a, i, j, w, e: crosstalk(o, c, 0 * a + np.diag(np.diag(a)), i, j, w, e),
        lambda o, c, a, i, j, w, e: crosstalk(o, c, a, i, j, w, e) * c[j, j] / c[i, i],
    ],
)
def crosstalk(objective, c, a, i, j, w, epsilon):
    relative = (c[i, j] - c[i, i] / a[i, i] * a[i, j]) / c[j, j]
    return relative * w / epsilon if objective is JEPA else relative


def _first_learned(kind, seeds=2, rate=0.08, steps=2000):
    """Which features are learned by the end of a short training on jittered stereo views.

    Returns a dict of objective to (first feature learned in each run, whether feature 0 was).
    """
    import torch

    from jepabook import learning_order, linear_net, matrix_flow, minibatch, photographs, spectrum

    L, c = 2, 0.4
    pair = photographs.brightened(*photographs.stereo(8, 20_000, seed=0), spread=0.2, seed=1)
    found = spectrum.estimate(*pair, device="cpu")
    if kind == "aligned":
        weights = [
            matrix_flow.aligned_weights(objective, L, 64, c**L, seed)
            for objective in BOTH
            for seed in range(seeds)
        ]
        weights = torch.tensor(np.stack(weights, 1), dtype=torch.float32)
    else:
        weights = linear_net.initial_weights(kind, seeds, L, 64, c, 3).repeat(1, 2, 1, 1)
    objectives = [objective for objective in BOTH for _ in range(seeds)]
    source = minibatch.Pairs(*(v - v.mean(0) for v in pair), batch=256, seed=5, streams=seeds)
    history = linear_net.train(
        weights,
        linear_net.settings(objectives, weights, rate),
        source,
        steps,
        directions=torch.tensor(np.ascontiguousarray(found.directions), dtype=torch.float32),
        progress=False,
    )
    final = [dynamics.fixed_point(o, np.maximum(found.rho, 1e-3), L) for o in objectives]
    half = learning_order.first_crossing(history.times, history.sizes, np.array(final) / 2)
    half = half.reshape(2, seeds, -1)
    first = np.argmin(np.where(np.isfinite(half), half, np.inf), axis=-1)
    return {o: (first[i].tolist(), np.isfinite(half[i, :, 0]).tolist()) for i, o in enumerate(BOTH)}


def photographs_check(statement):
    """Statements () -> {objective: whether brightness is the first feature learned, or never}.

    From two aligned and two Gaussian starts. A feature is learned when it passes half of its final
    size from below.
    """
    expected = statement()
    for kind in ("aligned", "gaussian"):
        for objective, (first, brightness) in _first_learned(kind).items():
            if expected[objective] == "first" and first != [0, 0]:
                return False
            if expected[objective] == "never" and any(brightness):
                return False
    return True


@claim(
    "new:photographs-jitter",
    where="this book",
    says=r"Trained on patches of a stereo pair with random brightness of standard deviation 0.2 "
    r"($L=2$, gain 0.4, aligned and Gaussian starts), MAE learns brightness first; JEPA does not "
    r"learn it, as the estimated $\lambda$ and $\rho$ predict. (Measured.)",
    methods="E",
    verdict=HOLDS,
    chapter=f"{CHAPTER}#test",
    check=photographs_check,
    mutants=[
        lambda: {JEPA: "first", MAE: "never"},
        lambda: {JEPA: "first", MAE: "first"},
        lambda: {JEPA: "never", MAE: "never"},
    ],
)
def brightness():
    return {JEPA: "never", MAE: "first"}
