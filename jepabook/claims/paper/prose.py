"""Sentences of the paper that have no number and say something that can be checked."""

from functools import cache

import numpy as np

from jepabook.claims.ledger import Erratum, claim, decided_by
from jepabook.theory import critical_time, dynamics, matrix_flow, unbalanced
from jepabook.theory.objectives import BOTH, JEPA, MAE, loss
from jepabook.worlds.generative import masked_covariances

MASKS = "10-random-masks#mask-table"


def _random(width, seed):
    """A positive definite matrix."""
    factor = np.random.default_rng([77, seed]).standard_normal((width, width))
    return factor @ factor.T / width + 0.2 * np.eye(width)


@decided_by("E")
def minimum_check(statement):
    """Statements (xx, yx) -> the product V W of MAE's least loss, over random others."""
    rng = np.random.default_rng(0)
    for seed in range(4):
        xx, yx = _random(3, seed), rng.standard_normal((3, 3))
        best = statement(xx, yx)
        least = loss(MAE, best, np.eye(3), xx, yx, 9 * np.eye(3))
        for scale in (1e-3, 0.1, 1.0):
            for _ in range(20):
                other = best + scale * rng.standard_normal((3, 3))
                if loss(MAE, other, np.eye(3), xx, yx, 9 * np.eye(3)) <= least:
                    return False
    return True


@claim(
    "text:MAE-minimum",
    where="Section 2",
    says=r"MAE's loss is least where $V\bar W=\Sigma^{yx}(\Sigma^{xx})^{-1}$.",
    chapter="01-two-ways-to-predict#linear-losses",
    ground="checked",
    check=minimum_check,
    mutants=[lambda xx, yx: np.linalg.solve(xx, yx), lambda xx, yx: 1.01 * mae_minimum(xx, yx)],
)
def mae_minimum(xx, yx):
    return yx @ np.linalg.inv(xx)


@decided_by("E")
def spread_check(statement):
    """Statements (s) -> the share of a large Gaussian matrix's singular values below s, at gain 1.

    The largest distance from what is measured falls with the width, as that of a law does.
    """
    apart = []
    for width in (150, 600):
        matrix = np.random.default_rng(width).standard_normal((width, width)) / width**0.5
        scales = np.sort(np.linalg.svd(matrix, compute_uv=False))
        inner = scales[scales < 2]
        share = (np.arange(len(inner)) + 0.5) / width
        apart.append(np.abs(share - [statement(s) for s in inner]).max() * width)
    return max(apart) < 2


@claim(
    "text:large-gaussian",
    where="Section 3",
    says="The equal singular values that Assumption 3.1.2 asks of every layer are "
    "approximately those of large Gaussian matrices.",
    chapter="13-what-if-the-assumptions-fail#scale",
    check=spread_check,
    mutants=[lambda s: s / 2, lambda s: quarter_circle(s / 2), lambda s: 1 - quarter_circle(2 - s)],
    erratum=Erratum(
        lambda s: quarter_circle(s),
        says="As the width grows the singular values of a Gaussian layer of gain $g$ fill "
        "$[0,2g]$ by the quarter circle law; they do not come together.",
        consequence="The assumption is no limit of Gaussian starts; chapter 13 measures what they "
        "do (JEPA's preference for ρ survives, the trajectories of (7) do not).",
        changes_result=True,
    ),
)
def equal_scales(s):
    return float(s >= 1)


def quarter_circle(s):
    """The share below s by the quarter circle law, of density sqrt(4 - s^2) / pi on [0, 2]."""
    return (s / 2 * np.sqrt(4 - s**2) + 2 * np.arcsin(s / 2)) / np.pi


@decided_by("E")
def reachable_check(statement):
    """Statements (balanced) -> whether one objective, L > 1, can end at the other's size.

    From an aligned start, MAE at JEPA's and JEPA at MAE's, by integration.
    """
    rho, depth, first = 0.5, 2, 0.1
    # v^2 - omega^2 at which v omega^L = rho has omega^L = rho^L; and omega^2 - v^2 at which
    # v = rho has omega^L = MAE's size
    apart = {MAE: 3.75, JEPA: rho ** (2 / (depth + 1)) - rho**2}
    for objective, other in ((MAE, JEPA), (JEPA, MAE)):
        size = dynamics.fixed_point(other, rho, depth=depth)
        larger = np.sqrt(apart[objective] + first**2)
        uneven = (first, larger) if objective is MAE else (larger, first)
        for balanced, starts in {True: [(0.1, 0.1), (0.4, 0.4)], False: [uneven]}.items():
            ends = []
            for encoder, decoder in starts:
                scales = np.array([[encoder], [encoder], [decoder]])
                path = unbalanced.unbalanced_sizes(objective, [1.0], [rho], scales, [0.0, 200.0])
                ends.append(path[-1, 0])
            reached = min(abs(end / size - 1) for end in ends) < 1e-4
            if reached != statement(balanced):
                return False
    return True


@claim(
    "text:not-reachable",
    where="Section 3, after Corollary 3.3",
    says="MAE cannot reach JEPA's solution if $L>1$, nor JEPA MAE's.",
    chapter="13-what-if-the-assumptions-fail#imbalance",
    check=reachable_check,
    mutants=[lambda balanced: True],
    erratum=Erratum(
        lambda balanced: not balanced,
        says=r"Only from balanced starts. MAE's loss fixes the product $v\,\omega^L=\rho$ "
        r"alone: with $L=2$, $\rho=\frac12$ its global minimiser $\omega=\frac12$, $v=2$ "
        r"has JEPA's size $\rho^L$, and training ends there from "
        r"$v^2-\omega^2=\frac{15}4$; JEPA ends at MAE's size from "
        r"$\omega^2-v^2=\rho^{2/(L+1)}-\rho^2$ (`new:imbalance`).",
        consequence="The two sizes of (9) belong to balance, which gradient flow keeps, not to the "
        "objectives.",
        changes_result=True,
    ),
)
def never_reachable(balanced):
    return False


@decided_by("E")
def one_left_check(statement):
    """Statements (rho, L) -> sizes over the largest, from a balanced start; one is left at last."""
    rho = np.array([0.9, 1.3, 1.1])
    for depth in (1, 4, 100):
        sizes = dynamics.fixed_point(JEPA, rho, depth=depth)
        if not np.allclose(sizes / sizes.max(), statement(rho, depth), rtol=1e-9):
            return False
    return (statement(rho, 100) > 1e-4).sum() == 1


@claim(
    "text:one-left",
    where="Section 3, after Corollary 3.3",
    says="At large depth one feature outweighs all others in JEPA's final encoder, that of "
    r"the largest $\rho$: sizes go like $(\rho_i/\rho_{\max})^L$.",
    chapter="02-what-is-learned#fixed-points",
    ground="checked",
    check=one_left_check,
    mutants=[
        lambda rho, L: (rho / rho.max()) ** (L / (L + 1)),
        lambda rho, L: (rho.min() / rho) ** L,
    ],
)
def shares(rho, L):
    return (rho / rho.max()) ** L


@cache
def _exponents(objective, depth):
    """The powers of epsilon in the first terms of the critical time, by ratios of the package's."""
    terms = (
        critical_time.expansion_terms(
            objective, 1.1, 0.8, depth=depth, epsilon=epsilon, terms=depth
        )
        for epsilon in (1e-6, 2e-6)
    )
    first, then = (np.asarray(t, dtype=float)[: max(1, depth - 1)] for t in terms)
    return np.log2(then / first)


@decided_by("E")
def powers_check(statement):
    """Statements (L) -> the least step between powers of epsilon that a series must allow for."""
    for objective in BOTH:
        for depth in (2, 3, 5):
            steps = _exponents(objective, depth) / statement(depth)
            if np.abs(steps - steps.round()).max() > 1e-6:
                return False
    return statement(3) > 0.3 and statement(5) > 0.19


@claim(
    "text:Laurent",
    where="Section 3, after (11); Appendix B.2, B.3",
    says=r"The critical times have Laurent expansions in $\epsilon$.",
    chapter="09-when-is-a-feature-learned#expansion",
    ground="checked",
    check=powers_check,
    mutants=[lambda L: 1 / (L + 1)],
    erratum=Erratum(
        lambda L: 1 / L,
        says=r"They are series in powers of $\epsilon^{1/L}$, and JEPA's has $\log\epsilon$ "
        "besides (`new:expansion`); a Laurent series has whole powers and no logarithm.",
        consequence="None for the formulas: the word is wrong, the terms are right.",
    ),
)
def whole_powers(L):
    return 1.0


@decided_by("E")
def pointer_check(statement):
    """Statements (lam, rho, L, epsilon) -> MAE's critical time to leading order."""
    for lam, rho in ((1.0, 0.5), (1.7, 1.2)):
        for depth in (2, 4):
            errors = []
            for epsilon in (1e-8, 1e-12):
                time = critical_time.exact(MAE, lam, rho, depth=depth, epsilon=epsilon)
                errors.append(abs(statement(lam, rho, depth, epsilon) / time - 1))
            if not errors[1] < errors[0] < 0.1:
                return False
    return True


def twelve(lam, rho, L, epsilon):
    """The sum of (12), as printed."""
    n = np.arange(1, 2 * L)
    return (L / (n * rho ** (2 * L - n - 1.0) * epsilon ** (n / L))).sum() / lam


@claim(
    "text:MAE-dynamics-pointer",
    where="Section 3.1, before Theorem 3.5",
    says="From MAE's dynamics, said to be summed up in (12), follows its critical time.",
    chapter="09-when-is-a-feature-learned#mae-critical-time",
    ground="checked",
    check=pointer_check,
    mutants=[
        lambda lam, rho, L, epsilon: twelve(lam, rho, L, epsilon) * lam,
        lambda lam, rho, L, epsilon: thirteen(lam, rho, L + 1, epsilon),
    ],
    erratum=Erratum(
        lambda *known: thirteen(*known),
        says="The reference must be to Theorem B.10, (112), the solution of (8): (12) is "
        "JEPA's critical time.",
        consequence="None.",
    ),
)
def pointed_at(lam, rho, L, epsilon):
    return twelve(lam, rho, L, epsilon)


def thirteen(lam, rho, L, epsilon):
    """The leading term of (13)."""
    return L / (lam * (L - 1) * epsilon ** ((L - 1) / L))


@decided_by("E")
def diagonal_check(statement):
    """Statements () -> which of (xx, yx) are diagonal; then the aligned form is kept at the start.

    The other is a full matrix. Kept: U' dW/dt is diagonal, for W = U omega.
    """
    full = {name: _random(3, seed) for seed, name in enumerate(("xx", "yx"))}
    moments = {k: np.diag(np.diag(m)) if k in statement() else m for k, m in full.items()}
    for objective in BOTH:
        weights = matrix_flow.aligned_weights(objective, depth=2, width=3, epsilon=0.2, seed=0)
        steps = -matrix_flow.gradient(objective, weights, moments["xx"], moments["yx"])
        moved = weights[1] @ steps[0] + steps[1] @ weights[0]
        in_frame = matrix_flow.encoder(weights).T @ moved
        if np.abs(in_frame - np.diag(np.diag(in_frame))).max() > 1e-12:
            return False
    return True


@claim(
    "text:diagonal-pair",
    where="Appendix B.1, before (63)",
    says=r"$\bar\omega$ stays diagonal because $\Sigma^{xx}$ and (printed once more) "
    r"$\Sigma^{xx}$ are.",
    chapter="07-from-matrices-to-one-equation#one-equation",
    ground="checked",
    check=diagonal_check,
    mutants=[lambda: (), lambda: ("yx",)],
    erratum=Erratum(
        lambda: ("xx", "yx"),
        says=r"The pair is $\Sigma^{yx}$ and $\Sigma^{xx}$.",
        consequence="None: both are diagonal by Assumption 3.1.",
    ),
)
def diagonal_twice():
    return ("xx", "xx")


def _masked(seed, visible, equal):
    """(lam, rho) of data with random covariance seen through random masks."""
    width = 5
    covariance = _random(width, seed)
    if equal:
        scale = np.diag(covariance) ** -0.5
        covariance = scale[:, None] * covariance * scale
    xx, yx, _ = masked_covariances(covariance, visible)
    values, vectors = np.linalg.eigh(yx)
    return values, values / np.diag(vectors.T @ xx @ vectors)


@decided_by("E")
def assumption_check(statement):
    """Statements (visible share) -> whether all covariances are positive, as clause 1 asks."""
    for seed in range(6):
        for visible in (0.2, 0.5, 0.8):
            lam, _ = _masked(seed, visible, equal=True)
            if (lam > 0).all() != statement(visible):
                return False
    return True


@claim(
    "text:theory-exact",
    where="Section 4.1",
    says="The theory holds exactly for the generative models of this section, random masks "
    "among them.",
    chapter=MASKS,
    check=assumption_check,
    mutants=[lambda visible: visible > 0.5, lambda visible: visible < 0.5],
    erratum=Erratum(
        lambda visible: False,
        says=r"With random masks $\operatorname{tr}\Sigma^{yx}=0$, so some covariance is not "
        "positive and Assumption 3.1.1 is never met. The equations hold for the features "
        r"of $\lambda>0$ from an aligned start.",
        consequence=r"Features of $\lambda<0$ are there, and random starts learn them.",
        changes_result=True,
    ),
)
def assumption_met(visible):
    return True


@decided_by("E")
def learned_check(statement):
    """Statements (power, mean power) -> whether both objectives enlarge a component, small start.

    lam and sigma^2 are those of (124), (125).
    """
    power, noise, visible = np.array([0.2, 0.9, 1.0, 1.9, 3.0]), 0.3, 0.4
    mean = power.mean()
    lam = visible * (1 - visible) * (power - mean)
    variance = visible**2 * power + visible * noise + visible * (1 - visible) * mean
    for objective in BOTH:
        for depth in (1, 3):
            small = np.full((depth + 1, len(power)), 0.1)
            times = np.array([0.0, 1.0])
            start, end = unbalanced.unbalanced_sizes(objective, lam, lam / variance, small, times)
            if not np.array_equal(end > start, [statement(p, mean) for p in power]):
                return False
    return True


@claim(
    "text:all-learned",
    where="Appendix C.1, after (126)",
    says="In a sparse basis all parameters are learned in the end.",
    chapter=MASKS,
    check=learned_check,
    mutants=[lambda power, mean: power > mean / 2],
    erratum=Erratum(
        lambda power, mean: power > mean,
        says="From a small aligned start those of more power than the average are: "
        r"$\lambda_i\propto E[s_i^2]-E[s^2]$, and the others shrink.",
        consequence="With equal powers all active components qualify, with unequal ones not.",
        changes_result=True,
    ),
)
def all_are_learned(power, mean):
    return True


@decided_by("E")
def mask_order_check(statement):
    """Statements (pixels of one variance) -> whether no share of visible pixels changes an order.

    Initial velocities of two features, over the shares at which both grow; unequal pixels: two
    regions whose features have (excess, level) (1.5, 1.3) and (1, 0.4).
    """
    shares, gain, depth = np.linspace(0.01, 0.999, 990), 0.3, 4
    pairs = {True: ((1.5, 1.0), (1.0, 1.0)), False: ((1.5, 1.3), (1.0, 0.4))}
    for equal, pair in pairs.items():
        for objective in BOTH:
            speeds = []
            for excess, level in pair:
                lam = shares * (1 - shares) * excess
                variance = shares * level + shares**2 * excess
                share = gain if objective is JEPA else gain ** (depth + 1)
                speeds.append(lam - share * variance)
            grow = (speeds[0] > 0) & (speeds[1] > 0)
            kept = len(set(np.sign(speeds[0] - speeds[1])[grow])) == 1
            if kept != statement(equal):
                return False
    return True


@claim(
    "text:mask-order",
    where="Appendix C.1, after (126)",
    says="The order of learning does not depend on the masking ratio.",
    chapter=MASKS,
    ground="checked",
    check=mask_order_check,
    mutants=[lambda equal: False, lambda equal: not equal],
    erratum=Erratum(
        lambda equal: equal,
        says="On pixels of one variance and from small starts (`new:share-keeps-order`); "
        "between pixels of different variance it does (`new:share-changes-order`).",
        consequence="None in the setting of Theorem C.1, where all pixels have one variance in the "
        "limit.",
    ),
)
def order_never_changes(equal):
    return True
