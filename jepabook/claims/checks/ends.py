"""Checks of where training ends: rests, their rates, the time it takes, balance by decay."""

from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise
from random import Random

import numpy as np
import sympy
from mpmath import mp, mpf
from scipy.integrate import solve_ivp
from scipy.linalg import block_diag, eigh, expm, fractional_matrix_power, solve_sylvester
from scipy.optimize import least_squares
from scipy.stats import ortho_group

from jepabook.claims.ledger import decided_by
from jepabook.theory import critical_time, dynamics, matrix_flow, rests, weight_decay
from jepabook.theory.objectives import BOTH, JEPA, MAE

#: Covariances (d = 3, L = 1) with which JEPA never comes to rest: rho = 0.2, 0.4, 1.
CIRCLING = (
    np.array([[5.0, -3, 3], [-3, 6, 0], [3, 0, 3]]),
    np.array([[4.2, -2.2, 2.2], [-2.2, 2.8, -0.4], [2.2, -0.4, 1.6]]),
)
_BLOCK = np.array([[-3.0, 1, -1], [-3, 3, 3], [-3, 2, -1]])
#: Covariances (d = 4, L = 1), rho = 0.5, 1.75, 1.785, 1.875, the third of the last coordinate.
LOCKED = tuple(
    block_diag(_BLOCK @ np.diag(values) @ _BLOCK.T, last)
    for values, last in (((1.0, 1.0, 1.0), 1.0), ((0.5, 1.75, 1.875), 1.785))
)


def covariances(rng, width, spread, symmetric=True):
    """A random pair: Sigma_xx positive definite; Sigma_yx too, or any matrix at all."""
    scales = np.exp(spread * rng.uniform(-1, 1, (2, width)))
    turns = ortho_group.rvs(width, size=2, random_state=rng)
    xx, yx = (turn * scale @ turn.T for turn, scale in zip(turns, scales, strict=True))
    return xx, yx if symmetric else rng.standard_normal((width, width))


def _frames(flat, width, rank, depth):
    """A balanced network of a given rank from free numbers."""
    sizes, frames = flat[:rank], flat[rank:].reshape(depth + 2, width, rank)
    left, _, right = np.linalg.svd(frames, full_matrices=False)
    frames = left @ right
    return np.stack([b * np.exp(sizes) @ a.T for a, b in pairwise(frames)])


RESTS = ((2, 1, 1, True), (2, 2, 2, False), (2, 2, 1, True), (3, 1, 2, True))


@cache
def _found_rests(width, depth, rank, symmetric):
    """Rests of balanced JEPA of one rank, found by a root solver from random balanced networks."""
    rng = np.random.default_rng([width, depth, rank, symmetric])
    xx, yx = covariances(rng, width, 0.5, symmetric)
    found = []
    for _ in range(100):  # rounding decides which of them end at a rest, one in ten or more
        if len(found) == 3:
            break
        start = rng.standard_normal(rank + (depth + 2) * width * rank)
        start[:rank] *= 0.3

        def slope(flat):
            """The gradient, made large near zero, where it is small without a rest."""
            weights = _frames(flat, width, rank, depth)
            grown = np.exp(-2 * depth * flat[:rank].min())
            return grown * matrix_flow.gradient(JEPA, weights, xx, yx).ravel()

        end = least_squares(slope, start, xtol=1e-14, ftol=1e-14, gtol=1e-14, max_nfev=60)
        if end.cost < 1e-20:
            found.append(_frames(end.x, width, rank, depth))
    return xx, yx, found


@decided_by("E")
def every_rest_check(statement):
    """Statements (B, V, W, P, H, L) -> pairs of matrices that agree at every rest.

    Rests come from a root solver that knows only the gradient, at all ranks, Sigma_yx symmetric
    and not; and from `rests.rest` for every left-invariant subspace, whose slope is zero: of
    symmetric covariances, and of a B with a complex pair of eigenvalues. H is the only solution:
    the iteration that it is a fixed point of ends there from anywhere.
    """
    for width, depth, rank, symmetric in RESTS:
        xx, yx, found = _found_rests(width, depth, rank, symmetric)
        if not found or not all(_agree_at_rest(statement, xx, yx, one) for one in found):
            return False
        rows = eigh(yx, xx)[1].T if symmetric else np.eye(width)
        spaces = [rows[list(some)] for some in _subsets(width)] if symmetric else [rows]
        if not all(_rests_there(statement, xx, yx, some, depth) for some in spaces):
            return False
    basis, xx = covariances(np.random.default_rng(5), 3, 0.5)
    turning = block_diag([[0.6, 0.5], [-0.5, 0.6]], -0.9)
    yx = np.linalg.solve(basis, turning @ basis) @ xx  # basis B = turning basis
    return all(
        _rests_there(statement, xx, yx, basis[list(some)], depth)
        for some in ((0, 1), (2,), (0, 1, 2))
        for depth in (1, 3)
    )


def _agree_at_rest(statement, xx, yx, weights):
    regression, encoder = yx @ np.linalg.inv(xx), matrix_flow.encoder(weights)
    depth, rank = len(weights) - 1, np.linalg.matrix_rank(encoder, tol=1e-6)
    rows = np.linalg.svd(encoder)[2][:rank]
    gram = rows @ encoder.T @ encoder @ rows.T
    pairs = statement(regression, weights[-1], encoder, rows, gram, depth)
    inside, other = rows @ regression @ rows.T, np.diag(np.arange(1.0, rank + 1))
    for _ in range(100 * depth):
        other = fractional_matrix_power(inside.T @ other @ inside, depth / (depth + 1))
    return np.allclose(other, gram, atol=1e-6) and all(
        np.allclose(a, b, atol=1e-6) for a, b in pairs
    )


def _rests_there(statement, xx, yx, rows, depth):
    weights = rests.rest(xx, yx, depth=depth, rows=rows, seed=0)
    slope = matrix_flow.gradient(JEPA, weights, xx, yx)
    still = np.abs(slope).max() < 1e-9 and np.abs(rests.imbalance(weights)).max() < 1e-9
    return still and _agree_at_rest(statement, xx, yx, weights)


def _subsets(width):
    return [s for n in range(1, width + 1) for s in combinations(range(width), n)]


def flow_eigenvalues(objective, weights, xx, yx):
    """Eigenvalues of the linearised flow in all weights, by central differences."""
    columns = []
    for unit in np.eye(weights.size):
        step = 1e-5 * unit.reshape(weights.shape)
        ahead, behind = (
            matrix_flow.gradient(objective, weights + sign * step, xx, yx) for sign in (1, -1)
        )
        columns.append((behind - ahead).ravel() / 2e-5)
    return np.linalg.eigvals(np.stack(columns, axis=1))


@decided_by("E")
def rest_rates_check(statement):
    """Statements (lam, rho, kept, L) -> rates (d, d); with L d^2 zeros all of the flow's.

    Also with two rho that differ in nothing but their sign.
    """
    lam = np.array([1.0, 1.3, -0.7])
    for rho in np.array([[1.1, 0.6, -0.8], [0.8, 0.6, -0.8]]):
        for depth in (1, 2):
            if not all(_rates_agree(statement, lam, rho, some, depth) for some in _subsets(3)):
                return False
    return True


def _rates_agree(statement, lam, rho, some, depth):
    kept = np.isin(np.arange(3), some)
    xx, yx = np.diag(lam / rho), np.diag(lam)
    weights = rests.rest(xx, yx, depth=depth, rows=np.eye(3)[kept], seed=0)
    true = flow_eigenvalues(JEPA, weights, xx, yx)
    said = statement(lam, rho, kept, depth)
    listed = np.append(said.ravel(), np.zeros(9 * depth))
    if abs(true.imag).max() > 1e-4 or abs(np.sort(true.real) - np.sort(listed)).max() > 1e-4:
        return False
    return np.allclose(rests.commuting_rates(lam, rho, np.flatnonzero(kept), depth=depth), said)


@decided_by("E")
def top_rests_check(statement):
    """Statements (lam, rho, kept) -> whether nothing grows at the rest, over all sets of five.

    For three depths, with features drawn at random of which two are negative. And training from
    balanced starts close to a rest leaves it where something grows, for all sets of four.
    """
    rng = np.random.default_rng(8)
    for depth in (1, 2, 3):
        rho = rng.permutation(np.linspace(0.6, 1.3, 5)) * [1, 1, 1, -1, -1]
        lam = np.sign(rho) * rng.uniform(0.6, 1.6, 5)
        xx, yx = np.diag(lam / rho), np.diag(lam)
        for some in _subsets(5):
            kept = np.isin(np.arange(5), some)
            weights = rests.rest(xx, yx, depth=depth, rows=np.eye(5)[kept], seed=0)
            rates = rests.residual_rates(weights, xx, yx)
            if (rates.real.max() < 1e-9) != statement(lam, rho, kept):
                return False
    lam, rho = np.array([1.0, 1.3, -0.7, -1.2]), np.array([1.1, 0.6, -0.8, -0.5])
    return all(
        statement(lam, rho, np.isin(np.arange(4), some)) or _is_left(lam, rho, some)
        for some in _subsets(4)
    )


def _is_left(lam, rho, some):
    """Whether training leaves a rest (L = 1) for good from near by, features turned a little."""
    xx, yx = np.diag(lam / rho), np.diag(lam)
    weights = rests.rest(xx, yx, depth=1, rows=np.eye(4)[list(some)], seed=0)
    start = weights.copy()
    start[0] = start[0] @ matrix_turn(4, 0.01, 0)  # balanced as before
    ends = flow(JEPA, start, xx, yx, [0.0, 500.0, 600.0])[1:]
    first, last = (matrix_flow.feature_sizes(end) for end in (weights, ends[-1]))
    return all(abs(matrix_flow.feature_sizes(end) - first).max() > 0.2 for end in ends) and (
        abs(last - first)[list(some)].max() > 0.2  # what was held has gone
    )


def _growing(weights, xx, yx):
    rates = rests.residual_rates(weights, xx, yx)
    return int((rates.real > 1e-9 * np.abs(rates).max()).sum())


@decided_by("E")
def growing_directions_check(statement):
    """Statements (rho, kept) -> a number; of growing directions, at one place; else its parity."""
    rng = np.random.default_rng(3)
    cases = [(*covariances(rng, 3 + n % 2, 0.8), 1 + n % 2) for n in range(12)]
    cases.append((*LOCKED, 1))
    for xx, yx, depth in cases:
        rho, vectors = eigh(yx, xx)
        for some in _subsets(len(rho)):
            kept = np.isin(np.arange(len(rho)), some)
            weights = rests.rest(xx, yx, depth=depth, rows=vectors.T[kept], seed=0)
            said, true = statement(rho, kept), _growing(weights, xx, yx)
            if (said != true) if kept.sum() == 1 else (said - true) % 2:
                return False
    return True


@decided_by("E")
def locked_check(statement):
    """Statements () -> the rho kept where nothing grows; the flow from nearby stays there.

    The starts are balanced, with the fourth place open and det V < 0; with det V > 0 the feature
    that was locked out comes.
    """
    xx, yx = LOCKED
    rho, vectors = eigh(yx, xx)
    kept = np.isin(rho.round(6), statement())
    if kept.sum() != 3:
        return False
    weights = rests.rest(xx, yx, depth=1, rows=vectors.T[kept], seed=0)
    if _growing(weights, xx, yx):
        return False
    layer, decoder = weights
    missing_row, missing_place = (np.linalg.svd(m)[i] for m, i in ((layer, 2), (layer.T, 2)))
    for seed, sign in ((0, -1), (1, -1), (2, -1), (0, 1)):
        turn = matrix_turn(4, 0.03, seed)
        start = np.stack([layer, decoder])
        start[0] += 0.05 * np.outer(missing_place[-1], missing_row[-1])
        start[1] += sign * 0.05 * np.outer(missing_place[-1], missing_place[-1])
        start[0] = start[0] @ turn
        if np.abs(rests.imbalance(start)).max() > 1e-9 or np.linalg.det(start[1]) * sign <= 0:
            return False
        values = np.linalg.eigvals(flow(JEPA, start, xx, yx, [0.0, 2000.0])[-1][-1])
        held = np.sort(values.real)[-len(rho if sign > 0 else rho[kept]) :]
        if abs(held - np.sort(rho if sign > 0 else rho[kept])).max() > 1e-3:
            return False
    return True


def matrix_turn(width, angle, seed):
    """A rotation by about `angle`."""
    turn = np.random.default_rng(seed).standard_normal((width, width))
    return expm(angle * (turn - turn.T) / np.linalg.norm(turn - turn.T, 2))


def flow(objective, weights, xx, yx, times, kappa=0.0, rtol=1e-8, method="LSODA"):
    """Gradient flow with weight decay, by an integrator for stiff equations; (n, L + 1, d, d)."""
    shape = weights.shape

    def velocity(_, flat):
        layers = flat.reshape(shape)
        return -(matrix_flow.gradient(objective, layers, xx, yx) + kappa * layers).ravel()

    path = solve_ivp(
        velocity, (0, times[-1]), weights.ravel(), method, times, rtol=rtol, atol=1e-11
    )
    return path.y.T.reshape(-1, *shape)


def residual_size(objective, weights, xx, yx):
    """The Frobenius norm of R = V W Sigma_xx - T Sigma_yx."""
    code = matrix_flow.encoder(weights)
    target = code if objective.targets_encoder else np.eye(len(xx))
    return np.linalg.norm(weights[-1] @ code @ xx - target @ yx)


@cache
def _late_residuals(objective, seed):
    xx, yx = CIRCLING
    weights = 0.4 * ortho_group.rvs(3, size=2, random_state=np.random.default_rng(seed))
    weights[-1, 0] *= np.sign(
        np.linalg.det(weights[-1] @ weights[0] if objective is MAE else weights[-1])
    )
    path = flow(objective, weights, xx, yx, np.append(0.0, np.linspace(300, 420, 61)), rtol=1e-6)[
        1:
    ]
    return np.array([residual_size(objective, layers, xx, yx) for layers in path])


@decided_by("E")
def circling_check(statement):
    """Statements (objective) -> whether training comes to rest with `CIRCLING`.

    From balanced starts of the right orientation. JEPA's complete rest has growing directions,
    the least of which has a complex pair of rates.
    """
    xx, yx = CIRCLING
    rates = rests.residual_rates(rests.rest(xx, yx, depth=1, rows=np.eye(3), seed=0), xx, yx)
    if not (rates.real.max() > 0.01 and abs(rates.imag[rates.real.argmax()]) > 0.1):
        return False
    for objective in BOTH:
        for seed in range(2):
            late = _late_residuals(objective, seed)
            settled = late.max() < 1e-3
            falls_and_rises = np.diff(late).min() < -1e-3 and np.diff(late).max() > 1e-3
            moving = late.min() > 0.02 and late.max() > 3 * late.min() and falls_and_rises
            if not (settled if statement(objective) else moving):
                return False
    return True


ENDS = ((2, 1, 3e3), (2, 2, 1e9), (3, 1, 1e4))  # width, depth, time: slow ends


@cache
def _ends(width, depth, until, seed):
    rho, lam = np.linspace(1, 0.6, width), np.linspace(1, 1.3, width)
    rng = np.random.default_rng([width, depth, seed])
    weights = 0.6 * ortho_group.rvs(width, size=depth + 1, random_state=rng)
    sign, moments = np.sign(np.linalg.det(weights[-1])), (np.diag(lam / rho), np.diag(lam))
    end = flow(JEPA, weights, *moments, [0.0, until], rtol=1e-7)[-1]
    still = np.abs(matrix_flow.gradient(JEPA, end, *moments)).max()
    return sign, still, matrix_flow.feature_sizes(end) / rho**depth


@decided_by("E")
def ends_check(statement):
    """Statements (sign of det V(0), d) -> how many of the largest rho the end has, and no other.

    At the end hardly anything moves any more: the gradient is below a millionth.
    """
    signs = set()
    for width, depth, until in ENDS:
        for seed in range(5):
            sign, still, sizes = _ends(width, depth, until, seed)
            count = statement(sign, width)
            signs.add(sign)
            if still > 1e-6 or abs(sizes - (np.arange(width) < count)).max() > 0.02:
                return False
    return len(signs) == 2


def decoder_velocity(x, xx, yx, depth):
    """dX/dt of the decoder seen from the features, X = O'VO with W = sqrt(W W') O (balanced).

    The network of X has the layers sqrt(X'X) and the decoder X, up to turns of its code.
    """
    _, scales, rows = np.linalg.svd(x)
    root = rows.T * scales @ rows
    powers = [np.linalg.matrix_power(root, n) for n in range(depth + 1)]
    layers = np.stack([root] * depth + [x])
    steps = -matrix_flow.gradient(JEPA, layers, xx, yx)
    code = sum(powers[depth - 1 - a] @ steps[a] @ powers[a] for a in range(depth))
    turn = solve_sylvester(powers[depth], powers[depth], code - code.T)
    return steps[-1] + x @ turn - turn @ x


@decided_by("E")
def collapse_check(statement):
    """Statements (k, lam, L) -> rates of the direction at X = -diag(k), in units of the shrinking.

    There all weights shrink at one rate as they go to 0; k and the rates are those of the flow of
    X at vanishing scale, linearised by central differences.
    """
    rng = np.random.default_rng(8)
    for width, depth in ((2, 1), (2, 3), (3, 1), (3, 2), (4, 2)):
        lam = rng.uniform(0.5, 2, width)
        k = lam ** (-1 / (2 * depth - 1))
        end, vanishing = -np.diag(k), 1e-9 * covariances(rng, width, 0.5)[0]
        if not np.allclose(decoder_velocity(end, vanishing, np.diag(lam), depth), -end, atol=1e-7):
            return False
        columns = []
        for unit in np.eye(width**2).reshape(-1, width, width):
            ahead, behind = (
                decoder_velocity(end + step * unit, vanishing, np.diag(lam), depth)
                for step in (1e-5, -1e-5)
            )
            columns.append((ahead - behind).ravel() / 2e-5)
        # the direction X / |X| loses the shrinking itself
        true = np.sort_complex(np.linalg.eigvals(np.stack(columns, axis=1)) + 1)
        said = np.sort(np.concatenate(statement(k, lam, depth)))
        if said.shape != true.shape or np.abs(true - said).max() > 1e-5:
            return False
    return _only_symmetric_starts_collapse()


@cache
def _only_symmetric_starts_collapse():
    """From V = -W, balanced, all goes to 0; with V turned by 0.02 it comes back (d = 3, L = 1)."""
    lam, rho = np.array([1.0, 1.3, 0.8]), np.array([1.0, 0.7, 0.8])
    xx, yx = np.diag(lam / rho), np.diag(lam)
    scales = np.diag(0.3 / lam)
    sizes = [
        matrix_flow.feature_sizes(
            flow(JEPA, np.stack([scales, -turn @ scales]), xx, yx, [0.0, 4000.0])[-1]
        )
        for turn in (np.eye(3), matrix_turn(3, 0.02, 1))
    ]
    return sizes[0].max() < 1e-2 and (sizes[1] > rho / 2).sum() == 2


@decided_by("E")
def turning_check(statement):
    """Statements (v, w) -> whether an aligned feature of lam > 0 whose decoder is v < 0 comes.

    w holds the scales of the encoder's layers. Gradient flow of two aligned features, the other of
    the right sign.
    """
    rng = np.random.default_rng(4)
    xx, yx = np.diag([1.2, 1.0]), np.diag([1.0, 0.8])
    outcomes = set()
    for depth in (1, 1, 1, 2, 2, 2, 3, 3, 3, 3):
        v, layers = -rng.uniform(0.4, 0.9), rng.uniform(0.5, 1.0, depth)
        weights = [np.diag([0.8, scale]) for scale in layers] + [np.diag([0.8, v])]
        end = flow(JEPA, np.stack(weights), xx, yx, [0.0, 2000.0])[-1]
        came = end[-1][1, 1] > 0.79
        outcomes.add(bool(came))
        if came != statement(v, layers):
            return False
    return len(outcomes) == 2


PYTHAGOREAN = ((3, 4, 5), (-5, 12, 13), (8, -15, 17))


@decided_by("S")
def straight_check(statement):
    """Statements (v, lam, sigma2, L, modulus) -> dv/dt of two equal features, V and W complex."""
    lam, sigma2, a, b = sympy.symbols("lambda sigma2 a b", positive=True)
    for depth in (1, 2, 3):
        complex_v = sympy.Matrix([[a, -b], [b, a]])
        # scaled rotations of one modulus, each by an angle of its own: balanced
        turns = [sympy.Matrix([[p, -q], [q, p]]) / r for p, q, r in PYTHAGOREAN[:depth]]
        layers = [complex_v * turn for turn in turns] + [complex_v]
        weights = np.stack([np.array(m) for m in layers])
        slope = matrix_flow.gradient(
            JEPA, weights, np.array(sympy.eye(2) * sigma2), np.array(sympy.eye(2) * lam)
        )
        moved = sympy.Matrix(-slope[-1])
        said = statement(a + sympy.I * b, lam, sigma2, depth, sympy.sqrt(a**2 + b**2))
        real, imaginary = sympy.expand(said).as_real_imag()
        both = moved - sympy.Matrix([[real, -imaginary], [imaginary, real]])
        if not both.expand().applyfunc(sympy.simplify).is_zero_matrix:
            return False
    return True


@decided_by("N")
def delay_check(statement):
    """Statements (lam, h, L) -> the time to pass 0 at the distance h, to leading order.

    The exact time along the line, by quadrature at 30 digits, divided by it tends to 1.
    """
    with mp.workdps(30):
        for lam, rho, depth in (
            (mpf(1), mpf(1), 1),
            (mpf("1.3"), mpf("0.7"), 2),
            (mpf(2), mpf("0.9"), 3),
        ):
            errors = []
            for distance in (mpf("1e-2"), mpf("1e-3")):
                time = _time_along(lam, rho, distance, depth)
                errors.append(abs(time / statement(lam, distance, depth) - 1))
                float_time = rests.delay(float(lam), float(distance), depth=depth)
                if abs(float_time / float(statement(lam, distance, depth)) - 1) > 1e-12:
                    return False
            if not (errors[1] < errors[0] / 3 and errors[1] < 0.02):
                return False
    return True


def _time_along(lam, rho, distance, depth):
    """Along the line past 0, a third of the way to rho before and after; by quadrature."""
    foot = mp.sqrt(rho**2 - distance**2)  # from the point next to 0 to rho
    points = [-rho / 3, -10 * distance, 0, 10 * distance, rho / 3]
    speed = lam / rho
    return mp.quad(lambda x: 1 / ((distance**2 + x**2) ** depth * speed * (foot - x)), points)


@decided_by("S")
def decay_balance_check(statement):
    """Statements (kappa, imbalance) -> its derivative, exactly, for both objectives."""
    random, kappa = Random(0), Fraction(2, 7)
    for objective in BOTH:
        for depth in (1, 3):
            weights, xx, yx = (_exact(random, *n) for n in ((depth + 1, 2, 2), (2, 2), (2, 2)))
            steps = -matrix_flow.gradient(objective, weights, xx + xx.T, yx) - kappa * weights
            for a in range(depth):
                after, before = weights[a + 1], weights[a]
                gap = after.T @ after - before @ before.T
                moved = steps[a + 1].T @ after + after.T @ steps[a + 1]
                moved = moved - steps[a] @ before.T - before @ steps[a].T
                if not (moved == statement(kappa, gap)).all():
                    return False
    return True


@decided_by("S")
def decay_step_check(statement):
    """Statements (step, kappa, D, G, H) -> D after a step, exactly, for both objectives.

    D = W_{a+1}' W_{a+1} - W_a W_a', G the gradient by W_a and H that by W_{a+1}. The covariances
    are any matrices, as those of a minibatch.
    """
    random, step, kappa = Random(1), Fraction(3, 11), Fraction(2, 7)
    for objective in BOTH:
        for depth in (1, 3):
            weights, xx, yx = (_exact(random, *n) for n in ((depth + 1, 2, 2), (2, 2), (2, 2)))
            slope = matrix_flow.gradient(objective, weights, xx + xx.T, yx)
            after = (1 - step * kappa) * weights - step * slope
            gap, then = (w[1:].mT @ w[1:] - w[:-1] @ w[:-1].mT for w in (weights, after))
            for a in range(depth):
                if not (then[a] == statement(step, kappa, gap[a], slope[a], slope[a + 1])).all():
                    return False
    return True


def _exact(random, *shape):
    """Random fractions, an array."""
    values = [Fraction(random.randint(-9, 9), random.randint(1, 5)) for _ in range(np.prod(shape))]
    return np.array(values, dtype=object).reshape(shape)


@decided_by("N")
def balance_left_check(statement):
    """Statements (share, L) -> the share of imbalance left when a small feature is half learned.

    kappa is that share of the decay lam c^(2L - 1) at which growth from scale c would stop. The
    error falls with c.
    """
    with mp.workdps(25):
        for share in (mpf("0.2"), mpf("0.7")):
            for depth in (1, 2, 4):
                errors = []
                for scale in (mpf("1e-3"), mpf("1e-4")):
                    kappa = share * scale ** (2 * depth - 1)
                    left = mp.exp(-2 * kappa * _half_time(scale, kappa, depth))
                    errors.append(abs(left / statement(share, depth) - 1))
                if not (errors[1] < errors[0] / 5 and errors[1] < 2e-2):
                    return False
    return True


def _half_time(scale, kappa, depth):
    """When the scale of an aligned feature (lam = rho = 1) under decay passes 1/2, from `scale`."""
    power = 2 * depth - 1
    points = mp.linspace(mp.log(scale), mp.log(mpf("0.5")), 9)
    return mp.quad(lambda u: 1 / (mp.exp(power * u) * (1 - mp.exp(u)) - kappa), points)


@cache
def _decayed(seed):
    lam, rho, kappa = np.array([1.0, 1.15, 1.3]), np.array([1.0, 0.8, 0.6]), 0.02
    weights = np.random.default_rng(seed).standard_normal((3, 3, 3)) / 3**0.5
    end = flow(JEPA, weights, np.diag(lam / rho), np.diag(lam), [0.0, 500.0], kappa)[-1]
    code = matrix_flow.encoder(end)
    return code.T @ code, weight_decay.fixed_points(JEPA, lam, rho, depth=2, weight_decay=kappa)


@decided_by("E")
def decay_end_check(statement):
    """Statements (w_-, w_+) -> the size of what is kept; from Gaussian starts, with decay."""
    kept_any = 0
    for seed in range(4):
        gram, sizes = _decayed(seed)
        said = statement(*sizes)
        kept = np.diag(gram) > (sizes[0] ** 2)
        kept_any += kept.sum()
        if abs(gram - np.diag(np.where(kept, said**2, 0.0))).max() > 1e-3:
            return False
    return kept_any >= 4


@decided_by("E")
def healing_check(statement):
    """Statements (lam, rho, L) -> the largest stable step of full matrices near a complete rest.

    Steps 2 % below it bring the network back to a rest, exponentially: the residual falls as the
    slowest eigenvalue has it. 2 % above they do not. Started off balance as well. And the weights'
    zero rates are as many as the rests near by.
    """
    lam, rho = np.array([1.0, 1.3, 0.7]), np.array([1.1, 0.6, 0.8])
    xx, yx = np.diag(lam / rho), np.diag(lam)
    for depth in (1, 2):
        weights = rests.rest(xx, yx, depth=depth, rows=np.eye(3), seed=0)
        rates = flow_eigenvalues(JEPA, weights, xx, yx).real
        if (np.abs(rates) < 1e-6).sum() != 9 * depth or rates.max() > 1e-6:
            return False
        edge = statement(lam, rho, depth)
        noise = 1e-5 * np.random.default_rng(0).standard_normal(weights.shape)
        slowest = np.abs(1 + 0.98 * edge * rates[rates < -1e-6]).max()
        for factor in (0.98, 1.02):
            layers, left = weights + noise, []
            for _ in range(600):
                layers = layers - factor * edge * matrix_flow.gradient(JEPA, layers, xx, yx)
                left.append(residual_size(JEPA, layers, xx, yx))
                if left[-1] > 1e-2:
                    break
            back = left[-1] < 1e-8
            if back != (factor < 1):
                return False
            if back and abs((left[250] / left[150]) ** 0.01 / slowest - 1) > 1e-3:
                return False
    return True


@decided_by("N")
def next_scale_check(statement):
    """Statements (lam, sigma2, lam', sigma2', L) -> the critical scale with its next term.

    Against the tie of the two exact times, at 40 digits: the error falls like 1 / L^2.
    """
    with mp.workdps(40):
        for pair in PAIRS:
            lam, rho, other, noisy = map(mpf, pair)
            errors = []
            for depth in (80, 160):
                said = statement(lam, lam / rho, other, other / noisy, depth)
                errors.append(abs(said / _tie(*pair, depth) - 1) * depth**2)
            if not mpf("0.8") < errors[1] / errors[0] < mpf("1.2"):
                return False
    return True


PAIRS = (("1", "1", "1.2", "0.7"), ("1", "3", "3", "2"), ("2", "0.9", "2.6", "0.6"))


@cache
def _tie(lam, rho, other, noisy, depth):
    """The critical scale of two features by the tie of their exact times, at 40 digits."""
    lam, rho, other, noisy = map(mpf, (lam, rho, other, noisy))
    limit = (other - lam) / (other / noisy - lam / rho)

    def lead(gain):
        return _log_time(lam, rho, depth, gain) - _log_time(other, noisy, depth, gain)

    start = (limit * (1 - mpf(1) / (2 * depth - 1)), limit * (1 - mpf(1) / depth))
    return mp.findroot(lead, start) ** depth


def _log_time(lam, rho, depth, gain):
    """The logarithm of the half-time of JEPA from scale c per layer, by the series of its terms."""
    m, start, stop = 2 * depth - 1, gain / rho, mpf("0.5") ** (mpf(1) / depth)
    total = sum((start ** (k - m) - stop ** (k - m)) / (m - k) for k in range(m))
    total += mp.log(stop / start)
    total += mp.log((1 - start) / (1 - stop))
    return mp.log(total / lam) - m * mp.log(rho)


@decided_by("E")
def read_off_check(statement):
    """Statements (objective, times, sizes, final, L) -> (lam, rho); exact, with their errors."""
    rng = np.random.default_rng(5)
    for objective in BOTH:
        for depth in (1, 2, 5):
            lam, rho = rng.uniform(0.5, 2), rng.uniform(0.5, 1.5)
            final = dynamics.fixed_point(objective, rho, depth=depth)
            half = critical_time.exact(objective, lam, rho, depth=depth, epsilon=0.05 * final)
            times = half * np.array([0.6, 1.1])
            sizes = dynamics.trajectory(
                objective, times, lam, rho, depth=depth, epsilon=0.05 * final
            )
            if not np.allclose(
                statement(objective, times, sizes, final, depth), (lam, rho), rtol=1e-9
            ):
                return False
            # an error of the final size enters rho with the power 3 - q
            off = statement(objective, times, sizes, final * (1 + 1e-6), depth)[1] / rho - 1
            power = objective.saturation_power(depth=depth) / depth
            if abs(off / (power * 1e-6) - 1) > 1e-4:
                return False
            # one of the first size lam with q - 1, where sizes are small and far apart
            small = final * np.array([1e-7, 1e-3])
            due = statement(objective, times, small, final, depth)[0]
            found = statement(objective, times, small * [1 + 1e-6, 1.0], final, depth)[0]
            power = objective.growth_exponent(depth=depth) - 1
            if power > 0 and abs((1 - found / due) / (power * 1e-6) - 1) > 0.02:
                return False
    return True
