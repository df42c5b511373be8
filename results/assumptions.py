"""Chapter 13's grid: one assumption of the theory violated at a time, by more and more.

``python -m results.assumptions`` writes ``results/assumptions.npz`` in about eight minutes on two
cores. Finished parts are kept under ``_build/checkpoints/assumptions`` and are not computed again
unless this file changes.

For a part ``p`` and an objective ``o`` (jepa, mae), with levels first, then seeds, then features:
``p_levels``; ``p_o_half``, when each feature first reached half of the final size that the scalar
theory predicts, in units of gradient flow (NaN: never, or given up again); ``p_o_final``, its last
size over the predicted one; ``p_o_due``, the predicted half-times (NaN: starts beyond half).
"""

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.stats import ortho_group
from tqdm import tqdm

from jepabook import (
    JEPA,
    MAE,
    FeatureSpectrum,
    critical_time,
    dynamics,
    learning_order,
    linear_net,
    matrix_flow,
    minibatch,
    noncommuting,
    recorded,
    relu_net,
    rests,
    unaligned_starts,
    unbalanced,
)
from jepabook._support.command import workers
from jepabook.claims import examples
from jepabook.theory import _layers

SEED, SEEDS = 0, 16
OBJECTIVES = {"jepa": JEPA, "mae": MAE}
DEPTH, GAIN = examples.DEPTH, examples.GAIN
SPECTRUM = examples.task()
WIDTH = len(SPECTRUM)
XX, YX = SPECTRUM.covariances()
YY = np.diag(SPECTRUM.lam * SPECTRUM.rho)  # y is the part that x predicts, and no noise
PARTS = Path(__file__).resolve().parents[1] / "_build" / "checkpoints" / "assumptions"
SCALES = (0.28, 0.34, 0.4, 0.5, 3**-0.5, 0.7, 1.0, 2**0.5)
SHALLOW_SCALES = (0.04, 0.08, 0.12, 0.2, 0.3, 0.4, 3**-0.5, 1.0, 2**0.5)
WIDTHS = (4, 8, 16, 32, 64)
KINDS = ("aligned", "orthogonal", "gaussian")
ANGLES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6, 2.4, 3.1)
SHARES = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 0.75, 1.0)
EIGENBASES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
IMBALANCES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.7, 1.0, 1.5, 1.9, 2.1, 2.5)
BATCHES = (4, 16, 64, 256, 1024, 4096)
NOISES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
NEGATIVE = (0, 1, 2, 4)
STARTS = ("positive", "matched", "random")
BENDS = (0.0, 0.03, 0.1, 0.3, 0.6, 1.0)
UNDEFINED = ("*half", "*final", "*due")  # arrays in which NaN means something
RATE, BATCH = 0.05, 64  # of SGD, where they do not vary


def generator(*key):
    """A random generator of its own for every part, level and seed."""
    return np.random.default_rng([SEED, *key])


def prediction(objective, spectrum, depth, gain):
    """Half-times in units of gradient flow (NaN where the start lies beyond), and final sizes."""
    final = dynamics.fixed_point(objective, spectrum.rho, depth=depth)
    below = gain**depth < final / 2
    scale = np.where(below, gain**depth, final / 4)
    due = (
        critical_time.exact(objective, spectrum.lam, spectrum.rho, depth=depth, epsilon=scale)
        / depth
    )
    return np.where(below, due, np.nan), final


def clock(due, horizon):
    """Moments dense where features are due, sparse after, up to `horizon` times the last."""
    first, last = np.nanmin(due), np.nanmax(due)
    dense = np.linspace(0.3 * first, 1.5 * last, 110)
    return np.concatenate([[0.0], dense, np.geomspace(1.6, horizon, 12) * last])


def reduced(times, sizes, final, due, levels):
    """What is kept of sizes (n, levels * seeds, d)."""
    shape = (levels, -1, sizes.shape[-1])
    goal = np.broadcast_to(final / 2, sizes.shape[1:])
    half = learning_order.first_crossing(times, sizes, goal)
    return {
        "half": half.reshape(shape).astype(np.float32),
        "final": (sizes[-1] / final).reshape(shape).astype(np.float32),
        "due": due,
    }


def flow_part(build, levels, depth=DEPTH, gain=GAIN, seeds=SEEDS, horizon=4.0):
    """Gradient flow from the weights build(objective, level, seed), all runs in one batch."""
    found = {"levels": np.arange(len(levels)) if isinstance(levels[0], str) else np.array(levels)}
    for name, objective in OBJECTIVES.items():
        due, final = prediction(objective, SPECTRUM, depth, gain)
        times = clock(np.where(np.isnan(due), 20.0, due), horizon)
        runs = [build(objective, level, seed) for level in levels for seed in range(seeds)]
        if gain < 1:
            weights = torch.tensor(np.stack(runs, axis=1))
            sizes = linear_net.flow(
                weights,
                linear_net.settings(objective, weights),
                minibatch.Population(XX, YX),
                times,
                rtol=1e-6,
                atol=1e-8,
            ).sizes
        else:
            sizes = np.stack([stiff_sizes(objective, run, times) for run in runs], axis=1)
        kept = reduced(times, sizes, final, due, len(levels))
        found |= {f"{name}_{key}": value for key, value in kept.items()}
    return found


def stiff_sizes(objective, weights, times):
    """Sizes (n, d) by an implicit method: layers of large gain start with very fast modes."""

    def velocity(_, flat):
        return -matrix_flow.gradient(objective, flat.reshape(weights.shape), XX, YX).ravel()

    path = solve_ivp(
        velocity, (0, times[-1]), weights.ravel(), "LSODA", times, rtol=1e-6, atol=1e-8
    )
    path = path.y.T.reshape(len(times), *weights.shape)
    return np.array([matrix_flow.feature_sizes(weights) for weights in path])


def aligned(objective, seed, depth=DEPTH, gain=GAIN):
    """Weights that obey Assumption 3.1."""
    return unaligned_starts.aligned_layers(objective, np.full((depth + 1, WIDTH), gain), seed)


def turned(objective, angle, seed):
    """The decoder turned by a random rotation."""
    weights = aligned(objective, seed)
    weights[-1] = weights[-1] @ unaligned_starts.rotation(WIDTH, angle, generator(1, seed))
    return weights


def loosened(objective, share, seed):
    """Layers on the way to independent Gaussian ones."""
    return unaligned_starts.loosened(aligned(objective, seed), GAIN, share, generator(2, seed))


def random_start(objective, kind, seed, depth, gain):
    """Layers of one of `KINDS`."""
    if kind == "aligned":
        return aligned(objective, seed, depth, gain)
    weights = linear_net.initial_weights(
        kind, 1, depth=depth, width=WIDTH, gain=gain, seed=seed, dtype=torch.float64
    )
    return weights[:, 0].numpy()


def scale_part(scales, depth):
    """Initial scale and kind of start: (scales, kinds * seeds, d) each."""
    parts = []
    for gain in tqdm(scales, desc="scales", disable=None):
        build = partial(random_start, depth=depth, gain=gain)
        part = flow_part(build, KINDS, depth, gain, seeds=8, horizon=2.5)
        del part["levels"]
        parts.append(part)
    stacked = {key: np.stack([part[key] for part in parts]) for key in parts[0]}
    return {"levels": np.array(scales), **stacked}


def width_part(widths, seeds=8):
    """Random starts at one gain and many widths: the shares that are learned, and agreements.

    Arrays (widths, kinds, seeds); the features lie the closer together the more there are.
    """
    found = {"levels": np.array(widths)}
    for name, objective in OBJECTIVES.items():
        shares, taus = [], []
        for width in tqdm(widths, desc=name, disable=None):
            spectrum = examples.task(width)
            due, final = prediction(objective, spectrum, DEPTH, GAIN)
            runs = [
                linear_net.initial_weights(
                    kind,
                    seeds,
                    depth=DEPTH,
                    width=width,
                    gain=GAIN,
                    seed=width,
                    dtype=torch.float64,
                )
                for kind in KINDS[1:]
            ]
            weights, times = torch.cat(runs, dim=1), clock(due, 2.5)
            source = minibatch.Population(*spectrum.covariances())
            chosen = linear_net.settings(objective, weights)
            history = linear_net.flow(weights, chosen, source, times, rtol=1e-5, atol=1e-7)
            half = reduced(times, history.sizes, final, due, len(KINDS) - 1)["half"]
            shares.append(np.isfinite(half).mean(-1))
            taus.append(learning_order.agreement(half, due))
        found |= {f"{name}_learned": np.stack(shares), f"{name}_agreement": np.stack(taus)}
    return found


def scales_of_layers(kind, level, seed):
    """Singular values (L + 1, d) with the product of a feature's layers kept."""
    shift = np.zeros(DEPTH + 1)
    if kind == "decoder":
        shift[-1] = level
        shift[:-1] = -level / DEPTH
    elif kind == "encoder":
        shift[0], shift[-2] = level, -level
    else:
        shift = level * generator(3, seed).standard_normal(DEPTH + 1)
        shift -= shift.mean()
    return GAIN * np.exp(np.repeat(shift[:, None], WIDTH, axis=1))


def balance_part(kind, levels, seeds):
    """Aligned layers of different scales: the reduced equations, since alignment decouples."""
    found = {"levels": np.array(levels)}
    for name, objective in OBJECTIVES.items():
        due, final = prediction(objective, SPECTRUM, DEPTH, GAIN)
        times = np.concatenate([clock(due, 8.0), [2000 * due.max()]])
        sizes = [
            unbalanced.unbalanced_sizes(
                objective, SPECTRUM.lam, SPECTRUM.rho, scales_of_layers(kind, level, seed), times
            )
            for level in levels
            for seed in range(seeds)
        ]
        kept = reduced(times, np.stack(sizes, axis=1), final, due, len(levels))
        found |= {f"{name}_{key}": value for key, value in kept.items()}
    return found


def sgd_part(levels, source_of, rate_of, seeds, horizon=1.8):
    """SGD from aligned layers; source_of(level) has one stream a seed."""
    found = {"levels": np.array(levels)}
    for name, objective in OBJECTIVES.items():
        due, final = prediction(objective, SPECTRUM, DEPTH, GAIN)
        start = np.stack([aligned(objective, seed) for seed in range(seeds)], axis=1)
        weights = torch.tensor(start)
        parts, diverged = [], []
        for level in tqdm(levels, desc=name, disable=None):
            rate = rate_of(level)
            steps = int(horizon * due.max() / rate)
            chosen = linear_net.settings(objective, weights, rate)
            record_at = np.unique(np.linspace(0, steps, 401).astype(int))
            with np.errstate(over="ignore", invalid="ignore"):
                history = linear_net.train(
                    weights, chosen, source_of(level), steps, record_at, progress=False
                )
                parts.append(reduced(record_at * rate, history.sizes, final, due, 1))
            diverged.append(history.diverged_at)
        found |= {
            f"{name}_{key}": np.concatenate([part[key] for part in parts])
            for key in ("half", "final")
        }
        found |= {f"{name}_due": due, f"{name}_diverged": np.array(diverged)}
    return found


def views(batch, noise=0.0, draw="wishart", dtype=torch.float64, seeds=SEEDS):
    """Minibatches with one stream a seed; `noise` is the variance in y that x cannot predict."""
    moments = (np.repeat(m[None], seeds, 0) for m in (XX, YX, YY + noise * np.eye(WIDTH)))
    return minibatch.GaussianViews(*moments, batch, SEED, draw, dtype)


def sign_part():
    """Some lambda negative: which features end above half of |rho|'s final size, and the signs.

    Also, of each random decoder, how many of its eigenvalues have a positive real part.
    """
    signs = np.ones((len(NEGATIVE), SEEDS, WIDTH))
    for level, count in enumerate(NEGATIVE):
        for seed in range(SEEDS):
            signs[level, seed, generator(4, seed).permutation(WIDTH)[:count]] = -1
    flat = signs.reshape(-1, WIDTH)
    random = [GAIN * ortho_group.rvs(WIDTH, random_state=generator(5, s)) for s in range(SEEDS)]
    right = (np.linalg.eigvals(np.stack(random)).real > 0).sum(1)
    found = {"levels": np.array(NEGATIVE), "signs": signs, "right": right}
    for name, objective in OBJECTIVES.items():
        due, final = prediction(objective, SPECTRUM, DEPTH, GAIN)
        for start in STARTS:
            runs = []
            for run, sign in enumerate(flat):
                seed = run % SEEDS
                weights = aligned(objective, seed)
                if start == "matched":
                    frame = np.linalg.qr(np.linalg.multi_dot(weights[-2::-1]))[0]
                    code = frame * sign @ frame.T if objective is JEPA else np.diag(sign)
                    weights[-1] = code @ weights[-1]
                elif start == "random":
                    weights[-1] = random[seed]
                runs.append(weights)
            weights = torch.tensor(np.stack(runs, axis=1))
            times = np.concatenate([[0.0], np.geomspace(1, 6, 3) * due.max()])
            history = linear_net.flow(
                weights,
                linear_net.settings(objective, weights),
                minibatch.Population(np.repeat(XX[None], len(flat), 0), flat[:, None] * YX),
                times,
                rtol=1e-6,
                atol=1e-8,
            )
            found[f"{name}_{start}_kept"] = (history.sizes[-1] > final / 2).reshape(signs.shape)
    return found


def commuting_part(levels, spectra, depth, gain, seeds, horizon):
    """Sigma_xx turned by an angle: half-times and sizes along the candidate directions.

    Arrays (levels, seeds, candidates, d); the due times and final sizes are those of the scalar
    theory with each candidate's own lam and rho.
    """
    found = {"levels": np.array(levels)}
    for name, objective in OBJECTIVES.items():
        xx, yx, bases = [], [], []
        for angle in levels:
            for seed in range(seeds):
                turn = unaligned_starts.rotation(WIDTH, angle, generator(6, seed))
                spectrum = spectra(seed)
                xx.append(turn @ np.diag(spectrum.sigma_squared) @ turn.T)
                yx.append(np.diag(spectrum.lam))
                share = gain if objective is JEPA else gain ** (depth + 1)
                bases.append(noncommuting.candidate_bases(xx[-1], yx[-1], share))
        pairs = np.array(
            [
                [noncommuting.features_along(basis, x, y) for basis in some.values()]
                for some, x, y in zip(bases, xx, yx, strict=True)
            ]
        )  # (runs, candidates, 2, d)
        lam, rho = pairs[:, :, 0], pairs[:, :, 1]
        final = dynamics.fixed_point(objective, rho, depth=depth)
        scale = np.minimum(gain**depth, 0.45 * final)
        due = critical_time.exact(objective, lam, rho, depth=depth, epsilon=scale) / depth
        times = clock(due[:, -1], horizon)
        seen = np.stack([np.concatenate(list(b.values()), axis=1) for b in bases])
        start = [aligned(objective, seed, depth, gain) for _ in levels for seed in range(seeds)]
        weights = torch.tensor(np.stack(start, axis=1))
        source = minibatch.Population(np.stack(xx), np.stack(yx))
        sizes = sizes_along(objective, weights, source, times, seen).reshape(-1, *final.shape)
        shape = (len(levels), seeds, *final.shape[1:])
        grams = [
            rests.final_gram(objective, x, y, depth=depth) for x, y in zip(xx, yx, strict=True)
        ]
        exact = np.sqrt(np.einsum("rij,rik,rkj->rj", seen, np.stack(grams), seen))
        found |= {
            f"{name}_half": learning_order.half_times(times, sizes).reshape(shape),
            f"{name}_due": due.reshape(shape),
            f"{name}_final": (exact.reshape(final.shape) / final).reshape(shape),
            f"{name}_settled": np.abs(sizes[-1] / exact.reshape(final.shape) - 1).max((1, 2)),
        }
    return found


def sizes_along(objective, weights, source, times, directions):
    """Gradient flow, with sizes along directions (R, d, m) of each run's own: (n, R, m)."""
    chosen = linear_net.settings(objective, weights)
    sizes = []
    for span in tqdm(np.diff(times, prepend=0.0), desc=objective.name, disable=None):
        if span:
            history = linear_net.flow(
                weights, chosen, source, [0.0, span], rtol=1e-6, atol=1e-8, progress=False
            )
            weights = history.weights
        encoder = _layers.partial_products(weights[:-1])[-1].numpy()
        sizes.append(np.linalg.norm(encoder @ directions, axis=-2))
    return np.stack(sizes)


def wide(seed):
    """Features whose lam spreads by a factor 2, paired with rho at random."""
    rng = generator(7, seed)
    lam = rng.permutation(np.geomspace(0.7, 1.4, WIDTH))
    return FeatureSpectrum(lam, rng.permutation(np.linspace(0.6, 1.0, WIDTH)))


def relu_part():
    """SGD with the nonlinearity u + bend |u| between the encoder's layers."""
    seeds, rate = 8, 0.1
    found = {"levels": np.array(BENDS)}
    probe = views(20000, draw="samples", seeds=1).columns()[0][0].float()
    bend = np.repeat(BENDS, seeds)
    for name, objective in OBJECTIVES.items():
        due, final = prediction(objective, SPECTRUM, DEPTH, GAIN)
        steps = int(1.8 * due.max() / rate)
        record_at = np.unique(np.linspace(0, steps, 201).astype(int))
        start = [aligned(objective, seed) for _ in BENDS for seed in range(seeds)]
        weights = torch.tensor(np.stack(start, axis=1), dtype=torch.float32)
        source = views(256, draw="samples", dtype=torch.float32, seeds=seeds)
        many = [objective] * len(bend)
        sizes = relu_net.train(weights, many, bend, source, rate, steps, record_at, probe)
        kept = reduced(record_at * rate, sizes, final, due, len(BENDS))
        found |= {f"{name}_{key}": value for key, value in kept.items()}
    return found


def parts():
    """Every part's name and how to compute it."""
    population = minibatch.Population(XX, YX)
    return {
        "angle": partial(flow_part, turned, ANGLES),
        "share": partial(flow_part, loosened, SHARES),
        "scale": partial(scale_part, SCALES, DEPTH),
        "shallow": partial(scale_part, SHALLOW_SCALES, 2),
        "width": partial(width_part, WIDTHS),
        "decoder": partial(
            balance_part, "decoder", (*(-x for x in IMBALANCES[:0:-1]), *IMBALANCES), 1
        ),
        "encoder": partial(balance_part, "encoder", IMBALANCES, 1),
        "balance": partial(balance_part, "all", IMBALANCES, SEEDS),
        "rate": partial(sgd_part, RATES, lambda _: population, lambda rate: rate, 2),
        "batch": partial(sgd_part, BATCHES, views, lambda _: RATE, SEEDS),
        "noise": partial(sgd_part, NOISES, partial(views, BATCH), lambda _: RATE, SEEDS),
        "sign": sign_part,
        "commuting": partial(
            commuting_part, EIGENBASES, lambda _: SPECTRUM, DEPTH, GAIN, SEEDS, 4.0
        ),
        "wide": partial(commuting_part, EIGENBASES, wide, 2, 0.15, SEEDS, 5.0),
        "relu": relu_part,
    }


def compute(name):
    """Compute one part, unless it is kept from before, and return (arrays, seconds)."""
    torch.set_num_threads(1)
    source = recorded.digest(np.frombuffer(Path(__file__).read_bytes(), np.uint8))
    path = PARTS / f"{name}.npz"
    if path.exists():
        arrays, facts = recorded.load(path)
        if facts.get("part") == name and facts.get("source") == source:
            return arrays, facts["seconds"]
    began = time.time()
    arrays = parts()[name]()
    seconds = round(time.time() - began, 1)
    facts = {"part": name, "source": source, "seconds": seconds}
    recorded.save(path, arrays, facts, UNDEFINED)
    return arrays, seconds


def main():
    """Compute what is missing, two parts at a time, and write the result."""
    started, arrays, seconds = time.time(), {}, {}
    with workers(2) as pool:
        done = tqdm(pool.map(compute, parts()), total=len(parts()), disable=None)
        for name, (part, took) in zip(parts(), done, strict=True):
            arrays |= {f"{name}_{key}": value for key, value in part.items()}
            seconds[name] = took
    facts = {"seeds": SEEDS, "kinds": KINDS, "starts": STARTS, "part_seconds": seconds}
    facts |= recorded.provenance(SEED, started) | {"wall_seconds": round(sum(seconds.values()), 1)}
    recorded.save(Path(__file__).with_suffix(".npz"), arrays, facts, UNDEFINED)


if __name__ == "__main__":
    recorded.script(__doc__, main)
