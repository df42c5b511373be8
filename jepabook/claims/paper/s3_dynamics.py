"""The main text: Assumption 3.1, Theorem 3.2, Corollary 3.3 and eqs. (7)-(11)."""

from fractions import Fraction

from jepabook.claims.checks.motion import critical_time_check, deep_limit_check, fixed_points_check
from jepabook.claims.checks.sizes import (
    admitted_starts_check,
    aligned_decoders,
    integrated_agrees,
    ode_check,
    sign_matrices,
)
from jepabook.claims.ledger import Erratum, claim, decided_by
from jepabook.theory.objectives import JEPA, MAE

WHERE = "Section 3"

ASSUMPTION = "07-from-matrices-to-one-equation#assumption"
ONE_EQUATION = "07-from-matrices-to-one-equation#one-equation"
FIXED_POINTS = "02-what-is-learned#fixed-points"
TWO_CLOCKS = "02-what-is-learned#two-clocks"
CRITICAL_TIME = "02-what-is-learned#critical-time"


def jepa_size_flow(w, f, L):
    """(7) in the time of gradient flow."""
    return L * (w ** (3 - Fraction(1, L)) * f.lam - w**3 * f.lam / f.rho)


def mae_size_flow(w, f, L):
    """(8) in the time of gradient flow."""
    return L * (w ** (2 - Fraction(1, L)) * f.lam - w**3 * f.lam / f.rho)


CLOCK = (
    r"Under gradient flow (6) the right side is $L$ times that: $L$ is absorbed into time, as the "
    r"proof says at (64) and the theorem does not."
)
CLOCK_CONSEQUENCE = (
    "Nothing at one depth; but times at different depths are on different clocks, in the limit "
    "(10) and across the panels of Figure 4."
)


@claim(
    "eq:7",
    where="Section 3, Theorem 3.2",
    says=r"JEPA: $\dot{\bar w}_i=\bar w_i^{3-1/L}\lambda_i-\bar w_i^3\lambda_i\rho_i^{-1}$ under "
    r"gradient flow (6), from a start as in Assumption 3.1 (corrected).",
    chapter=ONE_EQUATION,
    check=ode_check(JEPA, absorbed=False),
    erratum=Erratum(jepa_size_flow, says=CLOCK, consequence=CLOCK_CONSEQUENCE),
)
def jepa_size_ode(w, f, L):
    return w ** (3 - Fraction(1, L)) * f.lam - w**3 * f.lam / f.rho


@claim(
    "eq:8",
    where="Section 3, Theorem 3.2",
    says=r"MAE: $\dot{\bar w}_i=\bar w_i^{2-1/L}\lambda_i-\bar w_i^3\lambda_i\rho_i^{-1}$ under "
    r"gradient flow (6), from a start as in Assumption 3.1 (corrected).",
    chapter=ONE_EQUATION,
    check=ode_check(MAE, absorbed=False),
    erratum=Erratum(mae_size_flow, says=CLOCK, consequence=CLOCK_CONSEQUENCE),
)
def mae_size_ode(w, f, L):
    return w ** (2 - Fraction(1, L)) * f.lam - w**3 * f.lam / f.rho


FLOW_RATES = {JEPA: jepa_size_flow, MAE: mae_size_flow}


@claim(
    "assumption:3.1",
    says=r"$\Sigma^{xx},\Sigma^{yx}$ diagonal and positive; $W_a(0)=\epsilon^{1/L}U_a$, $V(0)="
    r"\epsilon^{1/L}U_v$ orthogonal; $U_v$ diagonal (JEPA) or $U_v\prod_aU_a$ diagonal (MAE): "
    r"a start from which the features obey (7), (8) up to the clock.",
    methods="S",
    chapter=ASSUMPTION,
    check=lambda statement: admitted_starts_check(statement, FLOW_RATES),
    mutants=[
        lambda objective, frame: aligned_decoders(objective, frame, signs=(-1,)),
        lambda objective, frame: sign_matrices(len(frame), signs=(1,)),
        lambda objective, frame: [frame.T],
        lambda objective, frame: [frame],
    ],
    erratum=Erratum(
        lambda objective, frame: aligned_decoders(objective, frame, signs=(1,)),
        says=r"Clause 3 must read $U_v=I$ for JEPA and $U_v\prod_aU_a=I$ for MAE: a diagonal "
        r"orthogonal matrix may have entries $-1$, and each of them breaks (7), (8).",
        consequence=r"Theorem 3.2 is false for $2^d-1$ of the $2^d$ diagonal matrices that the "
        "assumption admits, see `new:sign-condition`; B.3 and B.4 prove it for $+1$ only.",
        changes_result=True,
    ),
)
def admitted_decoders(objective, frame):
    return aligned_decoders(objective, frame, signs=(1, -1))


@decided_by("SE")
def equivalence_check(statement):
    """Statements () -> (signs, rates): from starts with these signs, sizes obey these rates."""
    signs, rates = statement()

    def decoders(objective, frame):
        return aligned_decoders(objective, frame, signs)

    return admitted_starts_check(decoders, rates) and integrated_agrees(rates)


@claim(
    "thm:3.2",
    says="Gradient flow (6) from any start that Assumption 3.1 admits makes the sizes of the "
    "features obey (7) for JEPA and (8) for MAE, each feature on its own.",
    chapter=ONE_EQUATION,
    check=equivalence_check,
    mutants=[
        lambda: ((1,), {JEPA: jepa_size_ode, MAE: mae_size_ode}),
        lambda: ((1, -1), FLOW_RATES),
        lambda: ((-1,), FLOW_RATES),
        lambda: ((1,), {JEPA: mae_size_flow, MAE: jepa_size_flow}),
    ],
    erratum=Erratum(
        lambda: ((1,), FLOW_RATES),
        says=r"It holds with signs $+1$ in clause 3 of Assumption 3.1, and with $L$ times the "
        r"right sides of (7) and (8), that is, with them as printed in the time $L\,t$.",
        consequence="With the signs $+1$ the theorem stands, up to the unit of time: Theorems B.3 "
        "and B.4 prove it. With a sign $-1$ an MAE feature decays instead; JEPA features mix in "
        "general if the signs differ, and decay if all are $-1$.",
        changes_result=True,
    ),
)
def ode_equivalence():
    return (1, -1), {JEPA: jepa_size_ode, MAE: mae_size_ode}


@claim(
    "eq:9",
    where="Section 3, Corollary 3.3",
    says=r"From any $\epsilon>0$: $\bar w_{MAE}(\infty,L)=\rho^{L/(L+1)}$ and "
    r"$\bar w_{JEPA}(\infty,L)=\rho^L$, the only positive fixed points, and stable.",
    chapter=FIXED_POINTS,
    check=fixed_points_check,
    mutants=[lambda rho, L: (0 * rho, 0 * rho), lambda rho, L: (rho**L, rho ** (L / (L + 1)))],
)
def fixed_points(rho, L):
    return rho ** (L / (L + 1)), rho**L


@claim(
    "eq:10",
    where="Section 3, Corollary 3.3",
    says=r"$\lim_{L'\to\infty}\bar w_{MAE}(t,L')=\bar w_{JEPA}(t,1)$, with an error of order "
    r"$1/L'$; true of (7), (8) as printed. In the time of gradient flow depth $L'$ runs $L'$ times "
    r"faster, and the limit is the fixed point.",
    chapter=TWO_CLOCKS,
    check=deep_limit_check,
    mutants=[
        lambda size, t, rho: (lambda depth: size(MAE, 2 * t, depth), size(JEPA, t, 1), rho),
        lambda size, t, rho: (*deep_limit(size, t, rho)[:2], size(JEPA, t, 1)),
    ],
)
def deep_limit(size, t, rho):
    return lambda depth: size(MAE, t, depth), size(JEPA, t, 1), rho


@decided_by("SN")
def depth_separation_check(statement):
    """Statements () -> statements of (9) and of (10)."""
    points, limit = statement()
    return fixed_points_check(points) and deep_limit_check(limit)


SEPARATION_MUTANTS = [
    lambda: (lambda rho, L: (rho ** (L / (L + 1)), rho), deep_limit),
    lambda: (
        fixed_points,
        lambda size, t, rho: (lambda depth: size(MAE, t, depth), size(JEPA, t, 2), rho),
    ),
]


@claim(
    "cor:3.3",
    says=r"The fixed points (9), and (10): MAE of infinite depth moves as JEPA of depth 1, each in "
    r"its own clock.",
    chapter=FIXED_POINTS,
    check=depth_separation_check,
    mutants=SEPARATION_MUTANTS,
)
def depth_separation():
    return fixed_points, deep_limit


@claim(
    "eq:11",
    says=r"The critical time is when a feature reaches a fraction of its final size, "
    r"$\bar w(t^*)=p\,\bar w(\infty)$.",
    definition=True,
    chapter=CRITICAL_TIME,
    check=critical_time_check,
    mutants=[lambda p, last: (1 - p) * last],
)
def critical_size(p, last):
    return p * last
