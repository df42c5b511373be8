"""How often `jepabook.watch` tells right: deep linear JEPAs whose features are known.

``python -m results.watch`` writes results/watch.npz, which chapter 5 reads: stochastic gradient
descent of 672 networks of two layers, from aligned and from Gaussian layers, left alone, spoiled
halfway by a knob, or from then on only made larger. What happened between two moments is read off
the exact sizes of the features (`truth`), and compared with what the rule makes of embeddings of
400 and of 4000 pairs, and of the log between the moments. Rule and truth were written before the
run. Four minutes on one thread.
The loop is its own: the package's engine has no gradient through the target and no rate of the
decoder alone, and draws covariances, where the log needs the samples.

``table`` counts (what is read, truth, told): embeddings of 400 pairs, of 4000, the log with the
target's variance. ``starts`` has the same by start (aligned, Gaussian) for 4000 pairs. ``rank`` and
``happened``: the effective rank's factor and the truth of each run; ``log``: the first steps of a
few.
"""

import time

import numpy as np

from jepabook import recorded, watch
from jepabook.watch import rule

WIDTH, CLEAN, SEED, RUNS = 8, 4, 79, 48  # of each knob and start
KNOBS = (
    "from the start",
    "later on",
    "weight decay",
    "no stop-gradient",
    "slow predictor",
    "late noise",
    "only larger",
)
STARTS = ("aligned", "Gaussian")
RATE, BATCH, HALF, ROWS = 0.05, 100, 1500, (400, 4000)
OTHER = "none of these"
TRUTHS = (*rule.CASES[:-1], OTHER)


def networks(seed):
    """All runs: features, weights (3, R, d, d), knobs and the two moments, by one generator."""
    rng = np.random.default_rng(seed)
    count = RUNS * len(KNOBS) * len(STARTS)
    knob = np.repeat(np.arange(len(KNOBS)), RUNS * len(STARTS))
    gaussian = np.tile(np.repeat([False, True], RUNS), len(KNOBS))
    lam = rng.uniform(0.4, 1.4, (count, WIDTH))
    rho = np.concatenate(
        [rng.uniform(0.8, 0.95, (count, CLEAN)), rng.uniform(0.3, 0.6, (count, WIDTH - CLEAN))], 1
    )
    gain = rng.uniform(0.3, 0.5, (count, 1, 1))
    weights = rng.standard_normal((3, count, WIDTH, WIDTH)) * 3**-0.5 / WIDTH**0.5
    weights[:, ~gaussian] = (gain * np.eye(WIDTH))[~gaussian]
    late = knob == 5  # predictable features nearly learned, noisy and loud ones hardly begun
    lam[late, CLEAN:] = rng.uniform(1.5, 3.0, (late.sum(), WIDTH - CLEAN))
    diagonal = np.repeat([0.7, 0.15], [CLEAN, WIDTH - CLEAN])
    weights[:, late] = np.diag(diagonal) + 0.1 * gaussian[late][:, None, None] * weights[:, late]
    ends = np.exp(rng.uniform(np.log(100), np.log(HALF), count)).astype(int)
    begins = np.select(
        [knob == 0, (knob == 1) | late], [0, rng.integers(100, HALF, count)], default=HALF
    )
    edge = 4 * lam * rho**3 * 27 / 1024  # the critical decays of two layers: m = 3
    decay = np.exp(rng.uniform(np.log(0.3 * edge.min(1)), np.log(2 * edge.max(1))))
    decay *= np.isin(knob, (2, 4))
    larger = np.exp(rng.uniform(np.log(1.1), np.log(3.0), count) / ends)  # a step
    return {
        "lam": lam,
        "rho": rho,
        "weights": weights,
        "knob": knob,
        "gaussian": gaussian,
        "moments": np.stack([begins, begins + ends], 1),
        "decay": decay,
        "stopped": np.where(knob == 3, 0.0, 1.0),
        "predictor": np.where(knob == 4, 0.2, 1.0),
        "learning": np.where(knob == 6, 0.0, 1.0),
        "larger": np.where(knob == 6, larger, 1.0),
        "rng": rng,
    }


def pairs(rng, lam, rho, rows):
    """Views x, y (R, rows, d), alike in law."""
    scale = np.sqrt(lam / rho)[:, None]
    x, more = (rng.standard_normal((len(lam), rows, WIDTH)) for _ in range(2))
    y = rho[:, None] * x + np.sqrt(1 - rho[:, None] ** 2) * more
    return x * scale, y * scale


def step(weights, x, y, knobs):
    """One step of SGD in place; the minibatch's loss and the target's variance, (R,) each."""
    first, second, decoder = weights
    encoder = second @ first
    ahead, target = x @ encoder.mT, y @ encoder.mT
    error = ahead @ decoder.mT - target
    count = x.shape[1]
    loss = 0.5 * (error**2).sum((1, 2)) / count
    variance = ((target - target.mean(1, keepdims=True)) ** 2).sum((1, 2)) / count
    through = 1 - knobs["stopped"][:, None, None]
    by_encoder = decoder.mT @ error.mT @ x - through * error.mT @ y
    steps = (second.mT @ by_encoder, by_encoder @ first.mT, error.mT @ ahead)
    for layer, change, rate in zip(weights, steps, (1.0, 1.0, knobs["predictor"]), strict=True):
        rate = RATE * (rate * knobs["learning"])[:, None, None]
        layer -= rate * (change / count + knobs["decay"][:, None, None] * layer)
    second *= knobs["larger"][:, None, None]
    return loss, variance


def train(runs, steps):
    """The encoders at both moments (2, R, d, d) and the logs (steps, 2, R)."""
    weights, rng = runs["weights"].copy(), runs["rng"]
    plain = {
        "decay": np.zeros(len(runs["lam"])),
        "stopped": np.ones(len(runs["lam"])),
        "predictor": np.ones(len(runs["lam"])),
        "learning": np.ones(len(runs["lam"])),
        "larger": np.ones(len(runs["lam"])),
    }
    kept, logs = np.full((2, *weights.shape[1:]), np.nan), np.empty((steps, 2, len(runs["lam"])))
    for now in range(steps + 1):
        encoders = weights[1] @ weights[0]
        for which in (0, 1):
            here = runs["moments"][:, which] == now
            kept[which, here] = encoders[here]
        if now < steps:
            x, y = pairs(rng, runs["lam"], runs["rho"], BATCH)
            logs[now] = step(weights, x, y, plain if now < HALF else runs)
    return kept, logs


def truth(encoders, lam, rho):
    """What happened to the features of one run between its two encoders (2, d, d).

    Features count by their variance in the encoding, sigma^2 |W e_i|^2; predictable ones have
    rho^2 >= 1/2. Of those that had half of their final size rho^2, the one that kept most gives the
    scale, at most 1; lost is one whose variance fell to less than a tenth of that. All grew alike
    if a common factor leaves less than a fifth of the growth to be moved between features.
    """
    size = np.linalg.norm(encoders, axis=1)
    variance = lam / rho * size**2
    clean = rho**2 >= 0.5
    total, noise = variance.sum(1), variance[:, ~clean].sum(1)
    floor = (variance * (1 - rho**2)).sum(1)
    if total[1] < 0.01 * total[0]:
        return rule.FULL
    had = clean & (size[0] > rho**2 / 2)
    kept = variance[1, had] / variance[0, had]
    if had.any() and kept.min() < 0.1 * min(1, kept.max()):
        return rule.PARTIAL
    if total[1] > 1.05 * total[0]:
        moved = abs(variance[1] - variance[0] * total[1] / total[0]).sum() / 2
        if moved < 0.2 * (total[1] - total[0]):
            return rule.GROWING
    grown = np.array([total[1] - total[0] - (noise[1] - noise[0]), noise[1] - noise[0]])
    if grown[1] > max(grown[0], 0.05 * total[0]):
        return rule.NOISE
    if grown[0] > 0.05 * total[0]:
        return rule.RISING if floor[1] > 1.05 * floor[0] else rule.LEARNING
    if grown[0] < -0.05 * total[0]:
        return rule.SHRINKING
    if np.all(abs(variance[1] - variance[0]) < 0.05 * total[0]):
        return rule.STALLED
    return OTHER


def read(runs, encoders, logs):
    """The truths (R,), the cases (3, R) and the factor of the effective rank (R,)."""
    rng, count = np.random.default_rng(SEED + 1), len(runs["lam"])
    truths, told, rank = np.empty(count, int), np.empty((3, count), int), np.empty(count)
    for k in range(count):
        lam, rho = runs["lam"][k], runs["rho"][k]
        truths[k] = TRUTHS.index(truth(encoders[:, k], lam, rho))
        for row, rows in enumerate(ROWS):
            views = [view[0] for view in pairs(rng, lam[None], rho[None], rows)]
            checkpoints = [[view @ encoder.T for view in views] for encoder in encoders[:, k]]
            found = watch.embeddings(np.array(checkpoints))
            told[row, k] = watch.CASES.index(found.case)
        rank[k] = found.levels["rank"][1] / found.levels["rank"][0]
        begin, end = runs["moments"][k]
        found = watch.log(*logs[begin:end, :, k].T, since=0.0)
        told[2, k] = watch.CASES.index(found.case)
    return truths, told, rank


def counts(truths, told):
    """(truth, told)."""
    table = np.zeros((len(TRUTHS), len(watch.CASES)), int)
    np.add.at(table, (truths, told), 1)
    return table


def main():
    started = time.time()
    runs = networks(SEED)
    encoders, logs = train(runs, 2 * HALF)
    truths, told, rank = read(runs, encoders, logs)
    arrays = {
        "table": np.array([counts(truths, row) for row in told]),
        "starts": np.array(
            [counts(truths[kind], told[1][kind]) for kind in (~runs["gaussian"], runs["gaussian"])]
        ),
        "knobs": np.array(
            [counts(truths[k], told[1][k]) for k in (runs["knob"] == n for n in range(len(KNOBS)))]
        ),
        "rank": rank,
        "happened": truths,
        "log": logs[:20, :, ::60],
    }
    facts = {"truths": list(TRUTHS), "cases": list(watch.CASES), "knobs": list(KNOBS)}
    facts |= {"starts": list(STARTS), "rows": list(ROWS), "runs": len(truths)}
    facts |= recorded.provenance(SEED, started, "cpu")
    recorded.save(recorded.RESULTS / "watch.npz", arrays, facts)


if __name__ == "__main__":
    recorded.script(__doc__, main)
