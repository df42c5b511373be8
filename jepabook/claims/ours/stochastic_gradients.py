"""What stochastic gradient descent from a random start adds to Figures 1 and 5."""

import random
from fractions import Fraction
from functools import cache

import numpy as np

from jepabook import recorded
from jepabook.claims.checks.bounds import are_narrowest, judge, tell
from jepabook.claims.ledger import claim, decided_by
from jepabook.claims.paper.figures_1_5 import CHAPTER, RHO_PANELS, _recorded, figure_1, order
from jepabook.theory.feature_spectrum import FeatureSpectrum
from jepabook.theory.objectives import JEPA, MAE
from jepabook.training import learning_order


@decided_by("E")
def sizes_check(statement):
    """Statements (what) -> bounds for MAE's order along rho where lambda varies by 10 %.

    The narrowest of the 95 % interval, to 0.05.
    """
    panel = "distribution_2_narrow"
    return all(
        are_narrowest(statement(what), order(panel, MAE, what, "rho"), 0.05)
        for what in ("sizes", "doubling")
    )


@claim(
    "new:sgd-sizes",
    says=r"Sizes alone do not tell the objectives apart: with $\lambda$ from 0.9 to 1.1 and "
    r"$\rho$ falling, MAE's sizes go by $\rho$ ($\tau_{\mathrm{K}}$ from 0.90 to 0.95), while "
    r"its doubling times stand in hardly any order ($\lvert\tau_{\mathrm{K}}\rvert<0.05$; 95 % "
    r"intervals).",
    chapter=f"{CHAPTER}#figure-5",
    check=sizes_check,
    mutants=[
        lambda what: (0.9, 0.95),
        lambda what: (-0.05, 0.05),
        lambda what: (-0.95, -0.9) if what == "sizes" else sizes_by_rho(what),
    ],
)
def sizes_by_rho(what):
    return (0.9, 0.95) if what == "sizes" else (-0.05, 0.05)


ORDERS = ("half", "half of six", "common", "sizes")


@cache
def three_orders():
    """Orders along lambda on distribution 2 by what "first" means, of the sixteen recorded seeds.

    Returns
    -------
    dict of (objective, what) to list of (mean, low, high)
        "half": when a feature has half of its own last size, (11), of those that end at twice the
        first; "half of six": of those that end at six times the first; "common": when it has one
        size, the same for all, never as last, one interval for each of ``facts["levels"]``;
        "sizes": the last ones.
    """
    arrays, _ = recorded.result("sgd_orders")
    lam, found = _recorded()[0]["distribution_2__lam"], {}
    for row, objective in enumerate((JEPA, MAE)):
        half, first, last = (arrays[name][row] for name in ("half", "first", "last"))
        grown = np.where(last >= 6 * first, half, np.nan)
        taus = {
            "half": [learning_order.tau(half, lam)],
            "half of six": [learning_order.tau(grown, lam)],
            "common": [learning_order.tau(t, lam, "last") for t in arrays["reached"][:, row]],
            "sizes": [learning_order.tau(-last, lam)],
        }
        for what, values in taus.items():
            found[objective, what] = [learning_order.mean_interval(each) for each in values]
    return found


@decided_by("E")
def three_orders_check(statement):
    """Statements (objective, what) -> bounds for tau along lambda on distribution 2.

    The narrowest of the 95 % intervals, to 0.05, for each of `ORDERS`; of "common" of all sizes.
    """
    told = three_orders()
    return all(
        are_narrowest(statement(objective, what), told[objective, what], 0.05)
        for objective in (JEPA, MAE)
        for what in ORDERS
    )


@claim(
    "new:sgd-three-orders",
    says=r"Whether JEPA's order on distribution 2 is reversed depends on what *first* means. "
    r"To one common size (0.15 to 0.3, never as last) features of small $\lambda$ come first "
    r"($\tau_{\mathrm{K}}$ along $\lambda$ from $-0.65$ to $-0.55$), and they end larger "
    r"($-0.85$ to $-0.75$). To half of their *own* last size, (11), those of large $\lambda$ "
    r"come first (0.45 to 0.6; among those that grow six times 0.05 to 0.25). MAE: 0.35 to "
    r"0.6, $-0.2$ to $-0.15$, 0.15 to 0.25 (0.45 to 0.55). (95 % intervals, 16 seeds.)",
    chapter=f"{CHAPTER}#three-orders",
    check=three_orders_check,
    mutants=[
        lambda objective, what: three_orders_told(JEPA, what),
        lambda objective, what: three_orders_told(objective, "common"),
        lambda objective, what: tuple(-b for b in reversed(three_orders_told(objective, what))),
    ],
)
def three_orders_told(objective, what):
    if objective is JEPA:
        bounds = (0.45, 0.6), (0.05, 0.25), (-0.65, -0.55), (-0.85, -0.75)
    else:
        bounds = (0.15, 0.25), (0.45, 0.55), (0.35, 0.6), (-0.2, -0.15)
    return bounds[ORDERS.index(what)]


@decided_by("E")
def selection_check(statement):
    """Statements (objective) -> bounds for the numbers of 100 features that double and keep it.

    And for JEPA's order along rho among those that double. The narrowest of the 95 % intervals in
    all panels, to 5 features and to 0.05.
    """
    arrays, _ = _recorded()
    for row, objective in enumerate((JEPA, MAE)):
        *counts, among = statement(objective)
        for what, bounds in zip(("doubling", "half"), counts, strict=True):
            found = [
                learning_order.mean_interval(np.isfinite(arrays[f"{panel}__{what}"][row]).sum(-1))
                for panel in RHO_PANELS
            ]
            if not are_narrowest(bounds, found, 5):
                return False
        if objective is JEPA:
            found = [order(panel, JEPA, "doubled", "rho") for panel in RHO_PANELS]
            if not are_narrowest(among, found, 0.05):
                return False
    return True


@claim(
    "new:sgd-selects",
    says=r"At $c=3^{-1/2}$ and learning rate 0.03, with $\rho$ from 0.5 to 1, much of JEPA's "
    r"order is a selection: of 100 features 55 to 65 ever double and 25 to 45 end at twice "
    r"their initial size (MAE: all, and 85 to 100). *Among* those that double, the times go by "
    r"$\rho$ weakly ($\tau_{\mathrm{K}}$ from 0.15 to 0.45).",
    chapter=f"{CHAPTER}#order",
    check=selection_check,
    mutants=[
        lambda objective: doubled_features(JEPA),
        lambda objective: doubled_features(MAE),
        lambda objective: (*doubled_features(objective)[:2], (-0.45, -0.15)),
    ],
)
def doubled_features(objective):
    if objective is JEPA:
        return (55, 65), (25, 45), (0.15, 0.45)
    return (100, 100), (85, 100), None


@cache
def take_off():
    """At JEPA's fastest growth: decoder gain, its spread, fitted gain, R^2 by rho and by lambda.

    lambda and rho are paired at random, so that one does not stand for the other.
    """
    from jepabook.training import same_minibatches

    rho = np.random.default_rng(0).permutation(np.linspace(0.5, 1.0, 100))
    spectrum = FeatureSpectrum(np.linspace(0.5, 1.5, 100), rho)
    path = same_minibatches.follow_decoder(spectrum, runs=4, stretches=14, seed=1)
    at = path.fastest(), np.arange(4)
    growth, _, fitted = path.fit(spectrum)
    squares = [
        [np.corrcoef(rates, along)[0, 1] ** 2 for rates in growth] for along in (rho, spectrum.lam)
    ]
    return np.array([path.gain[at], path.spread[at], fitted, *squares])


@decided_by("E")
def common_gain_check(statement):
    """Statements (gain v) -> what the ratio b/a of penalty to reward lies below, by up to 25 %."""
    gain, spread, fitted, by_rho, by_lam = take_off()
    ratio = fitted / statement(gain)
    return bool(
        (spread < 0.4).all()
        and np.all((ratio > 0.75) & (ratio < 1))
        and np.all((by_rho > 0.5) & (by_lam < 0.2))
    )


@claim(
    "new:common-gain",
    says=r"JEPA from a Gaussian start, $\lambda$ and $\rho$ paired at random: when its features "
    r"grow fastest, the decoder acts on the encoding nearly like one number $v$ (which leaves out "
    r"40 % of its action at most); growth goes by $\rho$ and not by $\lambda$, and is best fitted "
    r"by $\lambda_i-c\,\sigma_i^2$ with $c$ up to a quarter below $v$. (Measured, four runs.)",
    chapter=f"{CHAPTER}#why",
    check=common_gain_check,
    mutants=[
        lambda gain: np.full_like(gain, 3**-0.5 / 2),
        lambda gain: gain**2,
        lambda gain: np.full_like(gain, 0.78),
        lambda gain: gain / 2,
    ],
)
def penalty(gain):
    return gain


@decided_by("S")
def rising_threshold_check(statement):
    """Statements (weights p_i, sigma_i^2, rho_i, v) -> dv/ds, exactly, at random rationals.

    v = sum lam w^2 / sum sigma^2 w^2 is differentiated by the quotient rule along
    d(w^2)/ds = 2 w^2 (lam - v sigma^2).
    """
    rng = random.Random(5)
    for _ in range(20):
        squares, variances, rho = (
            [Fraction(rng.randint(1, 50), rng.randint(1, 50)) for _ in range(4)] for _ in range(3)
        )
        lam = [r * s for r, s in zip(rho, variances, strict=True)]
        above = sum(a * w for a, w in zip(lam, squares, strict=True))
        below = sum(s * w for s, w in zip(variances, squares, strict=True))
        v = above / below
        rates = [2 * w * (a - v * s) for w, a, s in zip(squares, lam, variances, strict=True)]
        d_above = sum(a * r for a, r in zip(lam, rates, strict=True))
        d_below = sum(s * r for s, r in zip(variances, rates, strict=True))
        derivative = (d_above * below - above * d_below) / below**2
        p = [s * w / below for s, w in zip(variances, squares, strict=True)]
        if derivative != statement(p, variances, rho, v):
            return False
    return True


@claim(
    "new:rising-threshold",
    says=r"In the model $\dot w_i=w_i(\lambda_i-v\,\sigma_i^2)$ with "
    r"$v=\sum\lambda_iw_i^2/\sum\sigma_i^2w_i^2$: $\dot "
    r"v=2\sum_i\varphi_i\sigma_i^2(\rho_i-v)^2\ge0$ with $\varphi_i\propto\sigma_i^2w_i^2$; "
    r"the threshold on $\rho$ rises until only those of the largest $\rho$ are left. (Proved "
    r"in chapter 4.)",
    chapter=f"{CHAPTER}#why",
    check=rising_threshold_check,
    mutants=[lambda p, s, rho, v: 0],
)
def threshold_velocity(p, variances, rho, v):
    return 2 * sum(a * s * (r - v) ** 2 for a, s, r in zip(p, variances, rho, strict=True))


@decided_by("E")
def choices_check(statement):
    """Statements (objective, what, ranges of lambda and rho, cell) -> bounds for tau along lambda.

    The cell is (index of the gain, index of the learning rate). The narrowest, to 0.05, of all
    cells of which the same bounds are told.

    Means over four seeds: of sizes, where their order is the most pronounced, and of doubling
    times, never as last. NaN where a run diverged or fewer than ten features doubled.
    """
    arrays, facts = _recorded()
    pairs, inverted = [], 0
    for row, objective in enumerate((JEPA, MAE)):
        for what in ("sizes", "doubling"):
            for (i, j, *cell), value in np.ndenumerate(arrays[f"grid__{what}"][:, :, row]):
                lam, rho = facts["grid"]["lam"][i], facts["grid"]["rho"][j]
                if not np.isnan(value):
                    bounds = statement(objective, what, lam, rho, tuple(cell))
                    pairs.append((bounds, value))
                    sizes = objective is JEPA and what == "sizes"
                    inverted += sizes and bounds[1] < 0
    return inverted == 48 and tell(pairs, 0.05)


@claim(
    "new:sgd-choices",
    says=r"Distribution 2, two ranges of $\rho$, three of $\lambda$, three gains $c$, three "
    r"learning rates: JEPA's sizes are inverted in all 48 cells in which no run diverged "
    r"($\tau_{\mathrm{K}}$ along $\lambda$ from $-0.9$ to $-0.2$). Its doubling times, never "
    r"as last, are inverted if $\rho$ runs from 0.5 or $c=1$ ($-0.7$ to $-0.45$; $-0.35$ to "
    r"$-0.15$ at gain 0.5 and rate 0.01, far from the end of training), and in hardly any "
    r"order if $\rho$ runs from 0.8 and $c\le0.58$ ($-0.25$ to 0.05). MAE's go by $\lambda$ if "
    r"it varies by a factor of 3 (0.35 to 0.45), less so by 1.5 (0.05 to 0.2), by nothing at "
    r"$\pm5\,\%$ ($-0.1$ to 0.05). MAE's sizes go by $\lambda$ where it varies by a larger "
    r"factor than $\rho$ (0.5 to 0.85 at $c\le0.58$, 0.2 to 0.6 at $c=1$), else by $\rho$ "
    r"($-0.95$ to $-0.6$), as also at $c=1$ if both ranges are the widest ($-0.5$ to $-0.35$). "
    r"He's gain is in `new:sgd-scales`.",
    chapter=f"{CHAPTER}#choices",
    check=choices_check,
    mutants=[lambda objective, what, lam, rho, cell: choices(objective, what, lam, rho, (1, 1))],
)
def choices(objective, what, lam, rho, cell):
    if what == "sizes":
        return (-0.9, -0.2) if objective is JEPA else mae_sizes(lam, rho, cell)
    if objective is MAE:
        return {3: (0.35, 0.45), 1.5: (0.05, 0.2), 1.1: (-0.1, 0.05)}[round(lam[1] / lam[0], 1)]
    if rho[0] == 0.8 and cell[0] < 2:
        return (-0.25, 0.05)
    return (-0.35, -0.15) if cell == (0, 0) else (-0.7, -0.45)


def mae_sizes(lam, rho, cell):
    if lam[1] / lam[0] < rho[1] / rho[0]:
        return (-0.95, -0.6)
    if cell[0] < 2:
        return (0.5, 0.85)
    return (-0.5, -0.35) if (lam[0], rho[0]) == (0.5, 0.5) else (0.2, 0.6)


ENOUGH = 10  # features that double: fewer stand in no order


@cache
def at_scale():
    """Figure 1's row on distribution 2, judged at larger scales, cell by cell.

    The rule, written before the runs: as for Figure 1 itself tau along lambda is taken of sizes at
    the recorded step at which its mean over seeds is the most pronounced, and of doubling times
    with never as last; a cell agrees if the 95 % interval over seeds lies within the bounds that
    the row tells (beyond a third), contradicts if all of it lies without, and else decides
    nothing. Times decide nothing where fewer than `ENOUGH` features double in the mean.

    Returns
    -------
    dict of (objective, what, gain, learning rate) to (interval, bool or None)
        The interval (mean, low, high); what is "sizes" or "doubling".
    """
    arrays, facts = recorded.result("sgd_scales")
    found = {}
    for row, objective in enumerate((JEPA, MAE)):
        bounds = figure_1("distribution_2", objective)
        for i, gain in enumerate(facts["gains"]):
            for j, rate in enumerate(facts["rates"]):
                taus = arrays["order_by_lam"][row, i, j]
                sizes = taus[:, np.abs(np.nan_to_num(taus.mean(0))).argmax()]
                times = arrays["doubling"][row, i, j]
                doubling = np.full(len(times), np.nan)
                if np.isfinite(times).sum(-1).mean() >= ENOUGH:
                    doubling = learning_order.tau(times, arrays["lam"], never="last")
                for what, values in (("sizes", sizes), ("doubling", doubling)):
                    interval = learning_order.mean_interval(values)
                    found[objective, what, gain, rate] = interval, judge(interval, bounds)
    return found


@decided_by("E")
def scales_check(statement):
    """Statements (objective, what) -> (how all cells that decide are judged, bounds for tau).

    By `at_scale`; the narrowest of the 95 % intervals of those cells, to 0.05; (None, None) where
    no cell decides. And no feature of MAE doubles at any scale or rate.
    """
    doubled = np.isfinite(recorded.result("sgd_scales")[0]["doubling"][1]).any()
    for objective in (JEPA, MAE):
        for what in ("sizes", "doubling"):
            told, bounds = statement(objective, what)
            cells = [each for key, each in at_scale().items() if key[:2] == (objective, what)]
            decided = [(interval, judged) for interval, judged in cells if judged is not None]
            if what == "sizes" and len(decided) < len(cells):
                return False
            if {judged for _, judged in decided} != ({told} - {None}):
                return False
            if decided and not are_narrowest(bounds, [each for each, _ in decided], 0.05):
                return False
    return not doubled


@claim(
    "new:sgd-scales",
    says=r"Figure 1 at larger scales ($c=1$ and He's $\sqrt2$, learning rates $3\cdot10^{-4}$ "
    r"and $10^{-3}$, distribution 2, 5000 steps, five seeds): JEPA's sizes are reversed in all "
    r"four cells ($\tau_{\mathrm{K}}$ along $\lambda$ from $-0.9$ to $-0.75$), and so are its "
    r"doubling times where ten features double ($-0.6$ to $-0.35$). MAE's do not go by "
    r"$\lambda$ in any: at their clearest its sizes go against it ($-0.55$ to $-0.25$), and no "
    r"feature of MAE doubles. (95 % intervals; the rule was written before the runs.)",
    chapter=f"{CHAPTER}#scales",
    check=scales_check,
    mutants=[
        lambda objective, what: scales_told(JEPA, what),
        lambda objective, what: (
            (True, scales_told(MAE, what)[1]) if objective is MAE else scales_told(JEPA, what)
        ),
        lambda objective, what: (scales_told(objective, what)[0], (-1, 1)),
        lambda objective, what: (None, scales_told(objective, what)[1]),
    ],
)
def scales_told(objective, what):
    if objective is JEPA:
        return True, (-0.9, -0.75) if what == "sizes" else (-0.6, -0.35)
    return (False, (-0.55, -0.25)) if what == "sizes" else (None, None)
