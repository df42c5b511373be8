"""Later work in the setting of this book: orders, teachers, predictors, penalties, slow noise."""

from fractions import Fraction
from functools import cache
from random import Random

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import minimize
from scipy.optimize import root as solve
from scipy.stats import ortho_group

from jepabook.claims.checks.ends import covariances, flow, flow_eigenvalues
from jepabook.claims.ledger import claim, decided_by
from jepabook.theory import critical_time, joint_embedding, matrix_flow, predictor_rate
from jepabook.theory.objectives import JEPA, MAE
from jepabook.worlds import slow_noise

CHAPTER = "17-later-work"


def _spectra(count, width, seed):
    """Random features (lam, rho); orders by lam, rho, lam rho and sigma^2 all differ."""
    rng = np.random.default_rng(seed)
    while count:
        lam, rho = rng.uniform(0.5, 2, width), rng.uniform(0.15, 0.95, width)
        known = (lam, rho, lam * rho, lam / rho)
        apart = min(np.diff(np.sort(values / values.max())).min() for values in known)
        if apart > 0.06 and len({tuple(np.argsort(values)) for values in known}) == 4:
            count -= 1
            yield lam, rho


def _kept(rows, variance, turn):
    """The features in the row space of W (k, d), for data turned by `turn`, as a set."""
    _, _, basis = np.linalg.svd(rows @ turn * np.sqrt(variance), full_matrices=False)
    share = (basis**2).sum(0)
    return frozenset(np.flatnonzero(share > 0.5)) if np.all(abs(share - 0.5) > 0.4) else None


def _least(loss, point):
    """Where a minimiser arrives that begins again, with new curvatures, where it gives up."""
    for _ in range(20):
        found = minimize(loss, point, jac=True, method="BFGS", options={"gtol": 1e-9})
        point = found.x
        if found.success:
            break
    return point


def _reconstruct(rank, xx, yx, rng):
    """The encoder (k, d) of the best rank-k linear map from x to y, by descent from anywhere."""
    width = len(xx)

    def loss(flat):
        decoder, encoder = flat[: rank * width], flat[rank * width :]
        decoder, encoder = decoder.reshape(width, rank), encoder.reshape(rank, width)
        product = decoder @ encoder
        slope = product @ xx - yx
        value = np.vdot(product, product @ xx) / 2 - np.vdot(product, yx)
        return value, np.append(slope @ encoder.T, decoder.T @ slope)

    start = rng.standard_normal(2 * rank * width)
    return _least(loss, start)[rank * width :].reshape(rank, width)


def _embed(rank, xx, yx, rng):
    """W (k, d) of least distance of the views' codes, with codes of identity covariance."""
    apart = xx - yx

    def loss(flat):
        free = flat.reshape(rank, -1)
        code, distance = free @ xx @ free.T, free @ apart @ free.T
        held = np.linalg.solve(code, distance)
        slope = np.linalg.solve(code, free @ apart - held.T @ free @ xx)
        return np.trace(held), 2 * slope.ravel()

    start = rng.standard_normal(rank * len(xx))
    return _least(loss, start).reshape(rank, -1)


@decided_by("E")
def kept_check(statement):
    """Statements (lam, rho) -> numbers by which an autoencoder, rank-k reconstruction of the other
    view, and joint embedding under a constraint choose the k features that they keep.

    Every objective is minimised numerically, from random starts, in a turned basis.
    """
    rng = np.random.default_rng(3)
    for lam, rho in _spectra(3, 4, 5):
        variance, turn = lam / rho, ortho_group.rvs(4, random_state=rng)
        xx, yx = (turn @ np.diag(values) @ turn.T for values in (variance, lam))
        for rank in (1, 2, 3):
            found = (
                _reconstruct(rank, xx, xx, rng),
                _reconstruct(rank, xx, yx, rng),
                _embed(rank, xx, yx, rng),
            )
            for encoder, score in zip(found, statement(lam, rho), strict=True):
                top = frozenset(np.argsort(-score)[:rank])
                if _kept(encoder, variance, turn) != top:
                    return False
    return True


@claim(
    "new:kept-features-of-rank",
    says=r"With room for $k$ features an autoencoder keeps those of the largest $\sigma^2$, the "
    r"best rank-$k$ reconstruction of the other view those of the largest $\lambda\rho$, and joint "
    r"embedding with codes of identity covariance those of the largest $\rho$. (Derived in chapter "
    r"17; the last two are in our terms what Van Assel et al. have in closed form.)",
    chapter=f"{CHAPTER}#one-table",
    ground="checked",
    check=kept_check,
    mutants=[
        lambda lam, rho: (lam / rho, lam, rho),
        lambda lam, rho: (lam / rho, rho, rho),
        lambda lam, rho: (lam / rho, lam * rho, lam * rho),
        lambda lam, rho: (lam / rho, lam * rho, lam),
        lambda lam, rho: (lam, lam * rho, rho),
        lambda lam, rho: (lam * rho, lam * rho, rho),
    ],
)
def kept_by(lam, rho):
    return lam / rho, lam * rho, rho


@decided_by("SE")
def needed_check(statement):
    """Statements (signal's lam and added variance, noise's variance and added variance) -> the
    least difference of the noise's views, in units of its variance, from which reconstruction, and
    joint embedding, drop it.

    Views of a feature are its value and a draw of their own: of the added variance, for the noise
    of that many times its variance as well. Exact, by lam rho and by rho at both sides of the
    thresholds, and that these cross where the noise's variance is the signal's lam; and the optima
    of both objectives with room for one feature, found numerically, a tenth off each.
    """
    random, rng = Random(8), np.random.default_rng(8)
    turn = ortho_group.rvs(2, random_state=rng)
    for _ in range(4):
        signal, added, noise, more = (Fraction(random.randint(5, 20), 10) for _ in range(4))
        added, more = signal * (added + 1) / 3, noise * more / 8
        noise, more = 5 * noise, 5 * more
        found = statement(signal, added, noise, more)
        for which, least in enumerate(found):
            if not least > 0:
                return False
            for side in (Fraction(9, 10), Fraction(11, 10)):
                lam = np.array([signal, noise])
                variance = np.array([signal + added, noise * (1 + side * least) + more])
                rho = lam / variance
                score = (lam * rho, rho)[which]
                if (score[1] > score[0]) != (side < 1):
                    return False
                xx, yx = (turn @ np.diag(v.astype(float)) @ turn.T for v in (variance, lam))
                kept = (_reconstruct, _embed)[which](1, xx, yx, rng)
                if _kept(kept, variance.astype(float), turn) != {int(side < 1)}:
                    return False
        tied = statement(signal, added, signal, more)
        if tied[0] != tied[1]:
            return False
        if (found[0] > found[1]) != (noise > signal):
            return False
    return True


@claim(
    "new:augmentation-needed",
    says=r"How far a noise feature's views must differ, in units of its variance $\nu$, before it "
    r"is dropped: for reconstruction $\frac\nu{\lambda\rho}-1-\frac{\nu'}\nu$, for joint "
    r"embedding $\frac{1-\rho}\rho-\frac{\nu'}\nu$, with the signal's $\lambda$ and $\rho$ and a "
    r"further variance $\nu'$ between the noise's views: where its $\lambda\rho$ or its $\rho$ "
    r"falls below the signal's. The second is less exactly if $\nu>\lambda$. (Propositions 4.3, "
    r"4.4 and Corollary 4.5 of Van Assel et al., for one signal, in our terms.)",
    chapter=f"{CHAPTER}#one-table",
    ground="checked",
    check=needed_check,
    mutants=[
        lambda lam, theta, gamma, more: needed(lam, theta, gamma, more)[::-1],
        lambda lam, theta, gamma, more: (needed(lam, theta, gamma, more)[1],) * 2,
        lambda lam, theta, gamma, more: needed(lam, theta, gamma, 0 * more),
        lambda lam, theta, gamma, more: needed(lam, 2 * theta, gamma, more),
    ],
)
def needed(lam, theta, gamma, more):
    eta_squared, rho = lam**2 / (lam + theta), lam / (lam + theta)
    return gamma / eta_squared - more / gamma - 1, (1 - rho) / rho - more / gamma


def _half_times(sizes, times):
    """When each column of sizes (n, d) first passes half of its last value."""
    return times[np.argmax(sizes >= sizes[-1] / 2, axis=0)]


@decided_by("E")
def barlow_check(statement):
    """Statements (lam, L) -> the final size of a feature, and what it is learned in the order of.

    Gradient descent on the layers from random orthogonal ones of small scale, in a turned basis.
    """
    for lam, _ in _spectra(2, 4, 8):
        for depth, epsilon, end in ((1, 1e-4, 1500), (2, 3e-4, 1.2e6)):
            final, score = statement(lam, depth)
            start = ortho_group.rvs(4, size=depth, random_state=7).reshape(depth, 4, 4)
            turn = ortho_group.rvs(4, random_state=9)
            crossed = turn @ np.diag(lam) @ turn.T
            rate = 0.05 if depth == 1 else 20.0
            if depth == 1:
                steps = np.unique(np.linspace(0, end, 600).astype(int))
                path = joint_embedding.descend(
                    epsilon * start, crossed, crossed, steps, "moments", 1.0, rate
                )
                sizes = np.linalg.norm(path @ turn, axis=-2)
            else:  # aligned, one equation a feature, for the wait is long
                scale = epsilon ** (1 / depth)
                times = np.append(0, np.geomspace(1, end, 3000))
                path = solve_ivp(
                    lambda _, o, d=depth, v=lam: o ** (2 * d - 1) * v * (1 - v * o ** (2 * d)),
                    (0, end),
                    np.full(4, scale),
                    "LSODA",
                    times,
                    rtol=1e-9,
                    atol=1e-12,
                )
                steps, sizes = times, path.y.T**depth
            halves = _half_times(sizes, steps)
            if not np.allclose(sizes[-1], final, rtol=1e-3):
                return False
            if not np.all(np.argsort(halves) == np.argsort(-score)):
                return False
    return True


@claim(
    "new:barlow-twins-order",
    says=r"Barlow Twins' loss of the cross-covariance, $\frac14\lVert\bar W\Sigma^{yx}\bar W^\top-I"
    r"\rVert^2$, without its normalisation, learns features in the order of $\lambda$, at any "
    r"depth, and ends at $\lambda^{-1/2}$.",
    chapter=f"{CHAPTER}#one-table",
    ground="checked",
    check=barlow_check,
    mutants=[
        lambda lam, L: (lam**-0.5, 1 / lam),
        lambda lam, L: (lam ** (-L / 2), lam) if L > 1 else (1 / lam, lam),
        lambda lam, L: (0 * lam + 1, lam),
    ],
)
def barlow_end(lam, L):
    return lam**-0.5, lam


@decided_by("SE")
def whitened_check(statement):
    """Statements (lam, rho, c) -> what an objective orders features by if both views are whitened.

    All that choose or learn by a number of `first_learned` but the autoencoder order by it, at
    the ratios of the package; and the numerical optima of two objectives on whitened data agree.
    """
    rng = np.random.default_rng(4)
    for lam, rho in _spectra(2, 4, 12):
        score = statement(lam, rho)
        order = tuple(np.argsort(-score))
        gain = 0.5 * rho.min()
        white = joint_embedding.first_learned(rho, rho, gain)  # sigma^2 = 1: lambda is rho
        if np.ptp(white.pop("autoencoder")) > 1e-12:
            return False
        if any(tuple(np.argsort(-values)) != order for values in white.values()):
            return False
        turn = ortho_group.rvs(4, random_state=rng)
        root = turn @ np.diag((lam / rho) ** -0.5) @ turn.T  # the inverse root of the covariance
        xx, yx = (turn @ np.diag(values) @ turn.T for values in (lam / rho, lam))
        xx, yx = root @ xx @ root, root @ yx @ root
        for rank in (1, 3):
            for encoder in (_reconstruct(rank, xx, yx, rng), _embed(rank, xx, yx, rng)):
                if _kept(encoder, np.ones(4), turn) != frozenset(order[:rank]):
                    return False
        for objective in (MAE, JEPA):
            times = critical_time.exact(objective, rho, rho, depth=3, epsilon=(0.5 * gain) ** 3)
            if tuple(np.argsort(times)) != order:
                return False
    return True


@claim(
    "new:whitened-orders",
    says=r"If both views are whitened, all of these but the autoencoder, which has no order left, "
    r"order features by the $\rho$ of before: reconstruction of rank $k$, MAE in time, Barlow "
    r"Twins, deep JEPA and joint embedding agree.",
    chapter=f"{CHAPTER}#whitened",
    ground="checked",
    check=whitened_check,
    mutants=[
        lambda lam, rho: lam,
        lambda lam, rho: lam * rho,
        lambda lam, rho: lam / rho,
        lambda lam, rho: -rho,
    ],
)
def whitened_score(lam, rho):
    return rho


@decided_by("SE")
def moments_check(statement):
    """Statements (lam, rho, beta) -> the rate of a small feature, its variance in the code at the
    end.

    Exact, the gradient of aligned layers; by descent from random orthogonal layers of small scale,
    in a turned basis, the variances at the end; and half-times from aligned starts of 10^-12 in
    the order of the rates, where these are positive.
    """
    random = Random(3)
    for depth in (1, 2, 3):
        lam, variance, beta, omega = (Fraction(random.randint(5, 15), 10) for _ in range(4))
        rate, _ = statement(lam, lam / variance, beta)
        size = omega**depth
        code = float(variance * size**2)
        slope = joint_embedding.gradient(
            [[float(size)]], [[float(variance)]], [[float(lam)]], "moments", float(beta)
        )[0, 0]
        if not np.isclose(slope, -float(size * (rate - beta * variance * Fraction(code)))):
            return False
    for beta, depth in ((1.0, 1), (3.0, 1), (1.0, 2)):
        for lam, rho in _spectra(2, 4, 20):
            rate, end = statement(lam, rho, beta)
            if min(abs(rate)) < 0.1:
                continue
            turn = ortho_group.rvs(4, random_state=2)
            xx, yx = (turn @ np.diag(values) @ turn.T for values in (lam / rho, lam))
            layers = 0.2 * ortho_group.rvs(4, size=depth, random_state=5).reshape(depth, 4, 4)
            rate_of = 0.1 / (lam / rho).max() / (1 + beta)
            last = joint_embedding.descend(
                layers, xx, yx, [0, 6000 * depth**2], "moments", beta, rate_of
            )[-1]
            gram = turn.T @ last.T @ last @ turn
            if abs(gram * np.sqrt(np.outer(lam / rho, lam / rho)) - np.diag(end)).max() > 0.02:
                return False
            live = rate > 0.05
            if np.any((end > 0) != (rate > 0)):
                return False
            halves = [
                _half_time(depth, r, beta * (v / c) ** 2, 1e-12)
                for r, v, c in zip(rate[live], (lam / rho)[live], 1 + 0 * rate[live], strict=True)
            ]
            if np.any(np.argsort(halves) != np.argsort(-rate[live])):
                return False
    return True


def _half_time(depth, rate, brake, epsilon):
    """Of w' = w^(3-2/L) (rate - brake w^2) from epsilon to half of its end, by quadrature."""
    w = np.geomspace(epsilon, np.sqrt(rate / brake) / 2, 20001)
    return np.trapezoid(w ** (2 / depth - 2) / (rate - brake * w**2), np.log(w))


@claim(
    "new:moments-penalty",
    says=r"Under the penalty $\frac\beta4\lVert C-I\rVert^2$ on the code's second moments a small "
    r"feature moves at the rate $2\lambda-(2-\beta)\sigma^2$, deep JEPA's with $c=1-\frac\beta2$: "
    r"those of $\rho>1-\frac\beta2$ are learned, as $\epsilon\to0$ in the order of that rate. In "
    r"the code each ends with the variance $\max(0,1-\frac2\beta(1-\rho))$.",
    chapter=f"{CHAPTER}#penalties",
    check=moments_check,
    mutants=[
        lambda lam, rho, b: (2 * lam - 2 * lam / rho, moments_end(lam, rho, b)[1]),
        lambda lam, rho, b: (2 * lam - (1 - b) * lam / rho, moments_end(lam, rho, b)[1]),
        lambda lam, rho, b: (2 * lam - (2 + b) * lam / rho, moments_end(lam, rho, b)[1]),
        lambda lam, rho, b: (moments_end(lam, rho, b)[0], np.maximum(0, 1 - (1 - rho) / b)),
        lambda lam, rho, b: (moments_end(lam, rho, b)[0], rho),
    ],
)
def moments_end(lam, rho, beta):
    rate = 2 * lam - (2 - beta) * lam / rho
    return rate, np.maximum(0, 1 - 2 / beta * (1 - rho))


@decided_by("SE")
def gain_check(statement):
    """Statements (lam, rho, c, beta) -> the gain c' of lam - c' sigma^2 at the start of JEPA with
    the moments penalty on the code of x.

    Exact: c^(2L) (lam - c' sigma^2) is what moves a scale to first order in the code's variance
    c^(2L) sigma^2; and by the gradients of the package, for full matrices.
    """
    random = Random(5)
    for depth in (1, 2, 3):
        lam, variance, c, beta = (Fraction(random.randint(2, 9), 10) for _ in range(4))
        gain = statement(lam, lam / variance, c, beta)
        penalty = beta * variance * c ** (2 * depth - 1)  # of 1 - (the code's variance), left out
        moved = lam * c ** (2 * depth) - variance * c ** (2 * depth + 1) + penalty
        if moved != c ** (2 * depth) * (lam - gain * variance):
            return False
        lams, variances = np.array([1.0, 1.4, 0.7]), np.array([1.2, 2.5, 0.9])
        c, beta = 0.3, 0.07
        gain = statement(lams, lams / variances, c, beta)
        weights = matrix_flow.aligned_weights(JEPA, depth=depth, width=3, epsilon=c**depth, seed=1)
        xx, yx = np.diag(variances), np.diag(lams)
        encoder = matrix_flow.encoder(weights)
        by_first = matrix_flow.gradient(JEPA, weights, xx, yx)[0]
        pulled = joint_embedding.gradient(encoder, xx, yx, "moments", beta)
        free = joint_embedding.gradient(encoder, xx, yx, "moments", 0.0)
        above = encoder @ np.linalg.inv(weights[0])
        by_first = by_first + above.T @ (pulled - free)
        rates = -np.diag(weights[0].T @ by_first) / c  # of the scale along each feature
        left_out = beta * variances**2 * c ** (4 * depth - 1)
        if not np.allclose(rates + left_out, c ** (2 * depth) * (lams - gain * variances)):
            return False
    return True


@claim(
    "new:penalty-as-gain",
    says=r"The same penalty beside JEPA's predictor and stopped gradient acts, at the start, as a "
    r"change of the gain: the order is that of $\lambda-(c-\frac\beta c)\,\sigma^2$, to first "
    r"order in the code's variance. At $\beta=c^2$ it is MAE's, above it variance is rewarded.",
    chapter=f"{CHAPTER}#penalties",
    check=gain_check,
    mutants=[
        lambda lam, rho, c, b: c - b,
        lambda lam, rho, c, b: c + b / c,
        lambda lam, rho, c, b: c - b / c**2,
        lambda lam, rho, c, b: c - b * c,
        lambda lam, rho, c, b: c,
    ],
)
def gain_with_penalty(lam, rho, c, beta):
    return c - beta / c


@decided_by("E")
def slices_check(statement):
    """Statements (rho, beta) -> variances in the code at the end, under the penalty of slices.

    By descent from random orthogonal layers, in a turned basis; and the penalty is the mean over
    directions that the module says, within four standard errors of 40 000 random ones.
    """
    rng = np.random.default_rng(6)
    root = rng.standard_normal((3, 3))
    code = root @ root.T
    unit = rng.standard_normal((40_000, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    values = (np.einsum("ni,ij,nj->n", unit, code, unit) - 1) ** 2
    gap = code - np.eye(3)
    exact = (2 * np.sum(gap**2) + np.trace(gap) ** 2) / 15
    if abs(values.mean() - exact) > 4 * values.std() / 200:
        return False
    cases = ((1.0, np.array([0.9, 0.5, 0.7, 0.35])), (3.0, np.array([0.95, 0.2, 0.6, 0.4])))
    for beta, rho in cases:
        lam = np.array([1.0, 1.3, 0.8, 1.6])
        turn = ortho_group.rvs(4, random_state=3)
        xx, yx = (turn @ np.diag(values) @ turn.T for values in (lam / rho, lam))
        layers = 0.1 * ortho_group.rvs(4, size=1, random_state=5).reshape(1, 4, 4)
        last = joint_embedding.descend(layers, xx, yx, [0, 20000], "slices", beta, 0.01)[-1]
        gram = turn.T @ last.T @ last @ turn * np.sqrt(np.outer(lam / rho, lam / rho))
        if abs(gram - np.diag(statement(rho, beta))).max() > 1e-3:
            return False
    return True


@claim(
    "new:slices-penalty",
    says=r"If the penalty is what random slices of the code see of its second moments, where all "
    r"$d$ features are kept each ends with the variance $1-\frac2\beta(1-\rho_i)+\frac2\beta"
    r"\frac{\sum_j(1-\rho_j)}{d+2}$: in the order of $\rho$, and above 1 for the cleanest.",
    chapter=f"{CHAPTER}#penalties",
    ground="proved",
    check=slices_check,
    mutants=[
        lambda rho, b: 1 - 2 / b * (1 - rho),
        lambda rho, b: 1 - 2 / b * (1 - rho) + 2 / b * np.sum(1 - rho) / len(rho),
        lambda rho, b: 1 - 2 / b * (1 - rho) + 1 / b * np.sum(1 - rho) / (len(rho) + 2),
    ],
)
def slices_end(rho, beta):
    return 1 - 2 / beta * (1 - rho) + 2 / beta * np.sum(1 - rho) / (len(rho) + 2)


@cache
def _descents(penalty):
    """Variances by feature in the code at the end of five descents; features by falling rho."""
    rho = np.array([0.9, 0.7, 0.5, 0.35])
    lam = np.array([0.8, 1.0, 1.3, 1.6])
    layers = np.stack([0.1 * ortho_group.rvs(4, random_state=seed) for seed in range(5)])[None]
    xx, yx = np.diag(lam / rho), np.diag(lam)
    last = joint_embedding.descend(layers, xx, yx, [0, 20000], penalty, 0.8, 0.005)[-1]
    code = last @ xx @ last.mT
    return (last**2).sum(-2) * lam / rho, np.diagonal(code, axis1=-2, axis2=-1)


@decided_by("E")
def variance_check(statement):
    """Statements (penalty) -> features kept, each with 1 % of the code's variance or more.

    At the end of five descents from random layers, four features and coordinates, strength 0.8.
    No coordinate is left without variance, and what is kept is kept in the order of rho.
    """
    for penalty in ("variance", "variance and covariance"):
        shares, coordinates = _descents(penalty)
        kept = shares > 0.01 * shares.sum(-1, keepdims=True)
        if np.any(kept.sum(-1) != statement(penalty)) or np.any(coordinates < 0.5):
            return False
        if not np.all(np.diff(np.where(kept, shares, 0.0), axis=-1) <= 0):
            return False
    return True


@claim(
    "new:variance-alone",
    says=r"A hinge that keeps the standard deviation of every coordinate near 1 is not enough: "
    r"from random layers (five of each; four features, strength 0.8) all coordinates end with "
    r"the feature of the largest $\rho$. With a penalty on their covariances all four are kept, "
    r"the larger $\rho$ the more variance. (Measured.)",
    chapter=f"{CHAPTER}#penalties",
    check=variance_check,
    mutants=[
        lambda penalty: 1,
        lambda penalty: 4,
        lambda penalty: 2 if penalty == "variance" else 4,
        lambda penalty: 1 if penalty == "variance" else 3,
    ],
)
def features_kept(penalty):
    return 1 if penalty == "variance" else 4


@decided_by("SE")
def hinge_check(statement):
    """Statements (lam, rho, beta) -> velocity at size 0 of one layer, variance at the end.

    One feature a coordinate: the gradient of the package at a size of 10^-9, and by descent.
    """
    for lam, rho in _spectra(2, 4, 30):
        for beta in (0.3, 1.0):
            speed, end = statement(lam, rho, beta)
            xx, yx, tiny = np.diag(lam / rho), np.diag(lam), 1e-9 * np.eye(4)
            slope = joint_embedding.gradient(tiny, xx, yx, "variance", beta)
            if not np.allclose(-np.diag(slope), speed, rtol=1e-6):
                return False
            last = joint_embedding.descend(
                [1e-6 * np.eye(4)], xx, yx, [0, 10000], "variance", beta, 2e-3
            )[-1]
            if abs(lam / rho * np.diag(last) ** 2 - end).max() > 0.01:
                return False
            if not np.allclose(joint_embedding.code_variance(rho, beta, "variance"), end):
                return False
    return True


@claim(
    "new:hinge-order",
    says=r"Under the hinge on standard deviations, with one feature a coordinate and one layer, a "
    r"small feature moves at the speed $\beta\sigma$: the order in time is that of the "
    r"*variance*, noise included. At the end its variance in the code is "
    r"$\min(1,\frac\beta{2(1-\rho)})^2$, in the order of $\rho$.",
    chapter=f"{CHAPTER}#penalties",
    ground="checked",
    check=hinge_check,
    mutants=[
        lambda lam, rho, b: (b * lam / rho, hinge_end(lam, rho, b)[1]),
        lambda lam, rho, b: (b * lam**0.5, hinge_end(lam, rho, b)[1]),
        lambda lam, rho, b: (hinge_end(lam, rho, b)[0], np.minimum(1, b / (1 - rho)) ** 2),
        lambda lam, rho, b: (hinge_end(lam, rho, b)[0], np.minimum(1, b / 2 / (1 - rho))),
        lambda lam, rho, b: (hinge_end(lam, rho, b)[0], 0 * rho + 1),
    ],
)
def hinge_end(lam, rho, beta):
    return beta * np.sqrt(lam / rho), np.minimum(1, beta / 2 / (1 - rho)) ** 2


@decided_by("E")
def student_check(statement):
    """Statements (B, teacher, L) -> the student's Gram matrix W'W at the end.

    Students of random matrices as teachers, covariances that do not commute, balanced random
    layers; integrated to rest.
    """
    rng = np.random.default_rng(11)
    for depth, width in ((1, 2), (1, 3), (2, 3)):
        xx, yx = covariances(rng, width, 0.3, symmetric=False)
        teacher = rng.standard_normal((width, width)) + 2 * np.eye(width)
        yx = yx + 2 * np.eye(width)
        layers = 0.8 * ortho_group.rvs(width, size=depth + 1, random_state=rng)
        target = teacher @ yx
        sign = np.linalg.det(target) * np.linalg.det(matrix_flow.product(layers))
        layers[-1, 0] *= np.sign(sign)  # no feature is shut out by the determinant
        end = flow(MAE, layers, xx, target, [0.0, 3e3], rtol=1e-9)[-1]
        code = matrix_flow.encoder(end)
        said = statement(yx @ np.linalg.inv(xx), teacher, depth)
        if abs(code.T @ code - said).max() > 1e-4 * abs(said).max():
            return False
    return True


def _power(matrix, exponent):
    """A power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * values**exponent @ vectors.T


@claim(
    "new:student-gram",
    says=r"Behind a frozen teacher, any invertible matrix $\bar W_\xi$, a balanced student that "
    r"learns all there is ends with $\bar W^\top\bar W="
    r"(B^\top\bar W_\xi^\top\bar W_\xi B)^{L/(L+1)}$, $B=\Sigma^{yx}(\Sigma^{xx})^{-1}$, whatever "
    r"the covariances: a teacher twice as large makes the student $2^{L/(L+1)}$ times as large. "
    r"(Derived in chapter 17.)",
    chapter=f"{CHAPTER}#frozen",
    ground="proved",
    check=student_check,
    mutants=[
        lambda B, teacher, L: _power(B.T @ teacher.T @ teacher @ B, L),
        lambda B, teacher, L: _power(B.T @ teacher.T @ teacher @ B, 1.0),
        lambda B, teacher, L: _power(B.T @ B, L / (L + 1)),
        lambda B, teacher, L: _power(teacher.T @ teacher, L / (L + 1)),
        lambda B, teacher, L: _power(teacher.T @ B.T @ B @ teacher, L / (L + 1)),
    ],
)
def student_gram(B, teacher, L):
    return _power(B.T @ teacher.T @ teacher @ B, L / (L + 1))


@cache
def _decayed(width, seed, kappa):
    """Covariances; Gram matrix, speed, fastest growth at the end of JEPA with decay, one layer."""
    rng = np.random.default_rng([width, seed])
    xx, yx = covariances(rng, width, 0.4)
    turn = rng.standard_normal((width, width))
    yx = yx + 0.3 * (turn - turn.T)
    weights = rng.standard_normal((2, width, width)) * 0.5 + np.eye(width)
    end = flow(JEPA, weights, xx, yx, [0.0, 100 / kappa], kappa, rtol=1e-9)[-1]
    slope = matrix_flow.gradient(JEPA, end, xx, yx) + kappa * end
    growth = flow_eigenvalues(JEPA, end, xx, yx).real.max() - kappa
    return xx, yx, end[0].T @ end[0], abs(slope).max(), growth


@decided_by("SE")
def equilibria_check(statement):
    """Statements (Sigma_xx, Sigma_yx, S, kappa) -> two sides that agree at the ends of training
    with decay, S = W'W; and they are, for one feature, the equation of critical decay.

    Sixteen trainings from random layers, with covariances that do not commute, across views not
    symmetric either: all come to rest, some without a feature, and no disturbance of the end grows.
    Exact for one feature.
    """
    full = []
    for width in (2, 3):
        for seed in range(4):
            for kappa in (0.02, 0.06):
                xx, yx, gram, speed, growth = _decayed(width, seed, kappa)
                if speed > 1e-7 or growth > 1e-6:
                    return False
                full.append(bool(np.linalg.eigvalsh(gram)[0] > 1e-4))
                left, right = statement(xx, yx, gram, kappa, _range_of(gram))
                if abs(left - right).max() > 1e-5 * (abs(right).max() + kappa**2):
                    return False
    if all(full) or sum(full) < 8:
        raise AssertionError("ends with all features and with fewer must be among them")
    lam, variance = Fraction(9, 10), Fraction(3, 2)
    omega = Fraction(2, 5)
    kappa = lam * omega - variance * omega**2  # where chapter 16's equation rests, L = 1
    single = (np.array([[value]]) for value in (variance, lam, omega**2))
    left, right = statement(*single, kappa, np.array([[1]]))
    return bool(left[0, 0] == right[0, 0])


def _range_of(gram):
    """The projector on the rows that a Gram matrix holds."""
    values, vectors = np.linalg.eigh(gram)
    kept = vectors[:, values > 1e-4]
    return kept @ kept.T


@claim(
    "new:decay-equilibria",
    says=r"With one layer and weight decay, the ends of JEPA's training obey, for $G=\bar "
    r"W^\top\bar W$ and the projector $\Pi$ on its range, "
    r"$\Sigma^{xx}G^2\Sigma^{xx}+\kappa(\Sigma^{xx}G+G\Sigma^{xx})+\kappa^2\Pi=\Sigma^{xy}G\,"
    r"\Sigma^{yx}$, whatever the covariances; 16 trainings of 16 came to such a rest, where no "
    r"disturbance grows. For one feature it is $\kappa=\lambda\omega-\sigma^2\omega^2$: "
    r"chapter 16's, with the critical decay $\lambda\rho/4$.",
    chapter=f"{CHAPTER}#stop-gradient",
    ground=("proved", "measured"),
    check=equilibria_check,
    mutants=[
        lambda xx, yx, S, k, P: (xx @ S @ S @ xx, yx.T @ S @ yx),
        lambda xx, yx, S, k, P: equilibrium(xx, yx, S, 2 * k, P),
        lambda xx, yx, S, k, P: (equilibrium(xx, yx, S, k, P)[0], yx.T @ S @ S @ yx),
        lambda xx, yx, S, k, P: equilibrium(xx, yx, S, k, np.eye(len(xx), dtype=int)),
        lambda xx, yx, S, k, P: equilibrium(xx, yx, S, k, 0 * P),
    ],
)
def equilibrium(xx, yx, S, kappa, held):
    left = xx @ S @ S @ xx + kappa * (xx @ S + S @ xx) + kappa**2 * held
    return left, yx.T @ S @ yx


def _whole_rests(xx, yx, kappa):
    """Gram matrices of full rank that solve the equation of the ends, from random starts."""
    width, rng = len(xx), np.random.default_rng(7)
    upper, found = np.triu_indices(width), []

    def symmetric(flat):
        gram = np.zeros((width, width))
        gram[upper] = flat
        return gram + gram.T - np.diag(np.diag(gram))

    def miss(flat):
        left, right = equilibrium(xx, yx, symmetric(flat), kappa, np.eye(width))
        return (left - right)[upper]

    for _ in range(30 * 2**width * width):
        factor = np.exp(rng.uniform(-4, 0.5)) * rng.standard_normal((width, width))
        solved = solve(miss, (factor @ factor.T)[upper], tol=1e-12)
        gram = symmetric(solved.x)
        known = any(np.allclose(gram, other, atol=1e-6) for other in found)
        if abs(solved.fun).max() < 1e-11 and np.linalg.eigvalsh(gram)[0] > 1e-8 and not known:
            found.append(gram)
    return found


def _growing(xx, yx, gram, kappa):
    """How many disturbances of the rest with W'W = gram grow."""
    size, basis = np.linalg.eigh(gram)
    encoder = basis * np.sqrt(size) @ basis.T
    code = encoder @ xx @ encoder.T + kappa * np.eye(len(xx))
    decoder = np.linalg.solve(code, encoder @ yx.T @ encoder.T).T
    weights = np.stack([encoder, decoder])
    if abs(matrix_flow.gradient(JEPA, weights, xx, yx) + kappa * weights).max() > 1e-8:
        raise AssertionError("the weights of a solution must rest")
    return int(np.sum(flow_eigenvalues(JEPA, weights, xx, yx).real - kappa > 1e-5))


@decided_by("E")
def saddles_check(statement):
    """Statements (d) -> how many rests with all d features decay leaves, and how many are stable.

    All solutions that random starts find for random pairs of covariances that do not commute, two
    strengths of decay, and the linear part of the flow at each: the one with the largest
    determinant, and that alone, has no disturbance that grows.
    """
    for width, seeds in ((1, 2), (2, 3), (3, 1)):
        for seed in range(seeds):
            rng = np.random.default_rng([width, seed])
            xx, yx = covariances(rng, width, 0.4)
            for kappa in (0.02, 0.06):
                rests = _whole_rests(xx, yx, kappa)
                stable = [not _growing(xx, yx, gram, kappa) for gram in rests]
                if (len(rests), sum(stable)) != statement(width):
                    return False
                largest = np.argmax([np.linalg.det(gram) for gram in rests])
                if not stable[largest]:
                    return False
    return True


@claim(
    "new:decay-saddles",
    says=r"With one layer and little weight decay the equation of the ends has $2^d$ solutions "
    r"that hold all $d$ features, found for twelve random settings of $d\le3$ whose covariances "
    r"do not commute. One is stable, the largest; every other is a saddle. (For commuting ones by "
    r"the two rests of each feature; else measured.)",
    chapter=f"{CHAPTER}#stop-gradient",
    ground="measured",
    check=saddles_check,
    mutants=[
        lambda d: (2**d, 2**d),
        lambda d: (2 ** (d * (d + 1) // 2), 1),
        lambda d: (2**d, 1 if d == 1 else 2**d),
        lambda d: (1, 1),
    ],
)
def rests_under_decay(d):
    return 2**d, 1


@decided_by("SE")
def fast_check(statement):
    """Statements (L, rho, c, alpha) -> the encoder's and the predictor's scale at the end.

    Exact: from scales of which (predictor^2 / alpha - encoder^2) is conserved, at the velocities
    of the layers; and by integration of all layers, the predictor's gradient times alpha.
    """
    for depth in (1, 2, 3):
        lam, rho = np.array([1.0, 1.3, 0.8]), np.array([0.8, 0.76, 1.1])
        xx, yx = np.diag(lam / rho), np.diag(lam)
        # with the last pair the second feature dies, of the others two shrink and one grows
        for rate, gain in ((0.5, 0.35), (4.0, 0.35), (25.0, 0.35), (0.25, 0.9)):
            weights = matrix_flow.aligned_weights(
                JEPA, depth=depth, width=3, epsilon=gain**depth, seed=2
            )
            pace = np.ones(depth + 1)
            pace[-1] = rate

            def velocity(_, flat, shape=weights.shape, pace=pace, xx=xx, yx=yx):
                slope = matrix_flow.gradient(JEPA, flat.reshape(shape), xx, yx)
                return -(slope * pace[:, None, None]).ravel()

            until, precise = 3e4 if gain < 0.5 else 3e6, {"rtol": 1e-9, "atol": 1e-11}
            path = solve_ivp(
                velocity, (0, until), weights.ravel(), "LSODA", [0.0, until], **precise
            )
            end = path.y[:, -1].reshape(weights.shape)
            encoder, predictor = statement(depth, rho, gain, rate)
            # what dies goes as a power of time only
            exact = {"rtol": 1e-4, "atol": 1e-8} if gain < 0.5 else {"rtol": 1e-3, "atol": 1e-3}
            if not np.allclose(matrix_flow.feature_sizes(end), encoder**depth, **exact):
                return False
            found = np.sort(np.linalg.eigvals(end[-1]).real)
            if not np.allclose(found, np.sort(predictor), **exact):
                return False
            kept = encoder > 0
            stated = predictor_rate.final_size(
                rho[kept], depth=depth, epsilon=gain**depth, predictor_rate=rate
            )
            if not np.allclose(stated, encoder[kept] ** depth):
                return False
    return True


@claim(
    "new:fast-predictor",
    says=r"If the predictor learns $\alpha$ times as fast, an aligned feature whose layers all "
    r"start at $c$, with $\rho^2>(1-\alpha)c^2$, ends with the encoder's layers at "
    r"$\sqrt{c^2+(\rho^2-c^2)/\alpha}$ and the predictor at $\rho$; if $\rho^2<(1-\alpha)c^2$ "
    r"the encoder ends at 0 and the predictor at $\sqrt{(1-\alpha)c^2}$. So "
    r"from small starts it ends at the size $(\rho/\sqrt\alpha)^L$, and for $\alpha\to\infty$ "
    "where it began.",
    chapter=f"{CHAPTER}#fast",
    check=fast_check,
    mutants=[
        lambda L, rho, c, a: (rho / a**0.5, rho),
        lambda L, rho, c, a: (np.sqrt(c**2 + (rho**2 - c**2) / a**2), rho),
        lambda L, rho, c, a: (np.sqrt(c**2 + (rho**2 - c**2) / a), rho / a**0.5),
        lambda L, rho, c, a: (rho, rho),
    ],
)
def fast_end(L, rho, c, alpha):
    encoder = np.sqrt(np.maximum(c**2 + (rho**2 - c**2) / alpha, 0))
    return encoder, np.sqrt(alpha * encoder**2 + (1 - alpha) * c**2)  # rho, or where it dies


@cache
def _optimal_paths():
    """Encoders (n, k, d) at three times behind the optimal predictor, and features' rho."""
    rho, lam = np.array([0.9, 0.5, 0.7, 0.35]), np.array([1.0, 1.3, 0.8, 1.6])
    xx, yx = np.diag(lam / rho), np.diag(lam)
    paths = []
    for seed, depth in ((3, 1), (4, 1), (5, 2)):
        rng = np.random.default_rng(seed)
        layers = [0.8 * ortho_group.rvs(4, random_state=rng)[:2]]
        layers += [0.8 * ortho_group.rvs(2, random_state=rng) for _ in range(depth - 1)]
        ways = predictor_rate.optimal_flow(layers, xx, yx, [0.0, 20.0, 400.0])
        encoders = ways[0]
        for layer in ways[1:]:
            encoders = layer @ encoders
        paths.append(encoders)
    return paths, rho


@decided_by("E")
def optimal_check(statement):
    """Statements (W at the start) -> W W' at every time; what is kept are the largest rho.

    Two places for four features, random balanced layers, by integration with the predictor
    solved for at every moment; what is kept at the end, and that it was not so at the start.
    """
    paths, rho = _optimal_paths()
    top = np.argsort(-rho)[:2]
    for encoders in paths:
        stated = statement(encoders[0])
        for encoder in encoders:
            if abs(encoder @ encoder.T - stated).max() > 1e-6:
                return False
        shares = (encoders**2).sum(-2) / (encoders**2).sum((-2, -1))[:, None]
        if not (shares[-1, top].sum() > 0.999 and shares[0, top].sum() < 0.9):
            return False
    return True


@claim(
    "new:optimal-predictor",
    says=r"Behind a predictor that is optimal at every moment, balanced layers keep "
    r"$\bar W\bar W^\top$ for ever: nothing collapses, and aligned features do not grow. The code "
    r"turns instead: with room for two of four features, three random starts ended with those of "
    r"the largest $\rho$. (The first proved in chapter 17, the second measured.)",
    chapter=f"{CHAPTER}#fast",
    ground=("proved", "measured"),
    check=optimal_check,
    mutants=[lambda W: 0 * W @ W.T, lambda W: W @ W.T * 1.01, lambda W: np.eye(len(W))],
)
def conserved(W):
    return W @ W.T


@decided_by("SE")
def multiplier_check(statement):
    """Statements (v, L, rho, c) -> what the encoder's velocity is multiplied by, and final scales
    of the encoder's layers, of JEPA and of JEPA without the multiplier.

    By the package's gradient, with V' in the encoder's gradient or not; and by integration.
    """
    for depth in (1, 2):
        lam, rho, gain = np.array([1.0, 1.3]), np.array([0.9, 0.6]), 0.2
        xx, yx = np.diag(lam / rho), np.diag(lam)
        start = matrix_flow.aligned_weights(JEPA, depth=depth, width=2, epsilon=gain**depth, seed=4)

        def slope(weights, plain, xx=xx, yx=yx):
            found = matrix_flow.gradient(JEPA, weights, xx, yx)
            if not plain:  # as if the encoder's gradient came through the identity
                swapped = np.concatenate([weights[:-1], np.eye(2)[None]])
                encoder = matrix_flow.encoder(weights)
                target = (encoder - weights[-1] @ encoder @ xx @ np.linalg.inv(yx)) @ yx
                # the gradient of 1/2 |I W x - T|^2 whose residual is JEPA's own
                shift = encoder @ xx + target
                found[:-1] = matrix_flow.gradient(MAE, swapped, xx, shift)[:-1]
            return found

        factor, *ends = statement(0.45, depth, rho, gain)
        other = np.concatenate([start[:-1], start[-1:] / gain * 0.45])  # of eigenvalue 0.45
        with_v, without = (slope(other, plain)[:-1] for plain in (True, False))
        if not np.allclose(with_v, factor * without):
            return False
        for plain, end in zip((True, False), ends, strict=True):

            def velocity(_, flat, plain=plain, shape=start.shape, slope=slope):
                return -slope(flat.reshape(shape), plain).ravel()

            path = solve_ivp(velocity, (0, 4e3), start.ravel(), "LSODA", [0, 4e3], rtol=1e-8)
            sizes = matrix_flow.feature_sizes(path.y[:, -1].reshape(start.shape))
            if not np.allclose(sizes, end**depth, rtol=1e-3):
                return False
    return True


@claim(
    "new:predictor-multiplier",
    says=r"In JEPA the predictor's eigenvalue $v$ multiplies the velocity of a feature's encoder "
    r"layers, $v\,\omega^{2L-1}(\lambda-v\sigma^2)$. Without that factor (an isotropic loss) the "
    r"layers end at $\sqrt{c^2+2(\rho-c)}$ in the place of $\rho$: the brake $\lambda-c\sigma^2$ "
    r"stays, and the preference for $\rho$ in the sizes is halved in its exponent.",
    chapter=f"{CHAPTER}#fast",
    check=multiplier_check,
    mutants=[
        lambda v, L, rho, c: (v**2, rho, isotropic(v, L, rho, c)[2]),
        lambda v, L, rho, c: (1.0, rho, isotropic(v, L, rho, c)[2]),
        lambda v, L, rho, c: (v, rho, rho),
        lambda v, L, rho, c: (v, rho**0.5, isotropic(v, L, rho, c)[2]),
    ],
)
def isotropic(v, L, rho, c):
    return v, rho, np.sqrt(c**2 + 2 * (rho - c))


@decided_by("SE")
def trajectory_check(statement):
    """Statements (P, gamma, white, T) -> what is left of rho with negatives from a trajectory of T
    frames.

    Exact sums over all pairs of frames, at random rationals; and sampled trajectories within
    five standard errors, over 20 groups of them.
    """
    random = Random(4)
    for length in (2, 3, 7):
        power, white = (Fraction(random.randint(1, 20), 10) for _ in range(2))
        gamma = Fraction(random.randint(1, 9), 10)
        pairs = [(t, s) for t in range(length) for s in range(length) if t != s]
        negative = sum(power * (1 - gamma ** abs(t - s)) + white for t, s in pairs) / len(pairs)
        exact = 1 - (power * (1 - gamma) + white) / negative
        if not np.isclose(statement(power, gamma, white, length), float(exact), rtol=1e-9):
            return False
        package = slow_noise.remaining_correlation(float(power), float(gamma), float(white), length)
        if not np.isclose(package, float(exact), rtol=1e-9):
            return False
    known = np.array([1.0, 3.0]), np.array([0.8, 0.99]), np.array([0.3, 0.2])
    found = []
    for seed in range(20):
        frames = slow_noise.trajectories(*known, 15, 200, seed)
        positives, negatives = slow_noise.distances(frames, True)
        found.append(1 - np.diag(positives) / np.diag(negatives))
    error = np.std(found, axis=0) / 20**0.5
    stated = np.array([statement(p, g, w, 15) for p, g, w in zip(*known, strict=True)])
    return bool(np.all(abs(np.mean(found, axis=0) - stated.astype(float)) < 5 * error + 2e-3))


@claim(
    "new:within-trajectory",
    says=r"With negatives from other trajectories, joint embedding orders by $\rho$; with "
    r"negatives from the same one, of $T$ frames, by "
    r"$1-\frac{\varsigma^2(1-\gamma)+\nu}{\varsigma^2(1-\bar\gamma_T)+\nu}$, $\varsigma^2$ the "
    r"variance of the process, $\nu$ that of white noise on it, $\bar\gamma_T$ the mean of "
    r"$\gamma^{\lvert t-s\rvert}$ over its pairs. Noise that stands still in a trajectory "
    r"($\gamma=1$) gets 0, however strong.",
    chapter=f"{CHAPTER}#still-noise",
    check=trajectory_check,
    mutants=[
        lambda P, g, w, T: 1 - (P * (1 - g) + w) / (P + w),
        lambda P, g, w, T: within(P, g, w, T + 1),
        lambda P, g, w, T: within(P, g, 2 * w, T),
        lambda P, g, w, T: g * (1 - g ** (T - 1)),
    ],
)
def within(P, gamma, white, T):
    shared = sum(2 * (T - k) * gamma**k for k in range(1, T)) / (T * (T - 1))
    return 1 - (P * (1 - gamma) + white) / (P * (1 - shared) + white)
