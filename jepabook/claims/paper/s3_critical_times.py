"""Section 3: the critical times, eqs. (12)-(14), Theorems 3.4, 3.5, Corollary 3.6; and L = 1."""

from mpmath import mp, mpf

from jepabook.claims.checks.orders import (
    DEPTHS,
    admissible,
    big_o,
    exactly,
    order_check,
    ratio_check,
    theta,
)
from jepabook.claims.ledger import Erratum, claim, decided_by
from jepabook.claims.ours.critical_time_expansion import expansion
from jepabook.claims.paper.b2_jepa_times import jepa_sum
from jepabook.theory.objectives import JEPA, MAE

WHERE = "Section 3.1"

TIMES = "Section 3.1"
RATIOS = "Section 3.2"
JEPA_TIME = "09-when-is-a-feature-learned#jepa-critical-time"
MAE_TIME = "09-when-is-a-feature-learned#mae-critical-time"
RATIO = "09-when-is-a-feature-learned#ratios"


@decided_by("N")
def jepa_time_check(statement):
    """Statements (feature) -> Estimate; its approximation is also the start of `expansion`."""

    def start(f):
        return exactly(statement(f).approximation, mp.fsum(expansion(f, 2 * f.L - 1)))

    return order_check(JEPA)(statement) and order_check(JEPA)(start)


@claim(
    "eq:12",
    says=r"JEPA, constant $p$: $t^*=\frac1\lambda\sum_{n=1}^{2L-1}\frac L{n\rho^{2L-n-1}"
    r"\epsilon^{n/L}}+\Theta(\log\epsilon)$, the first $2L-1$ terms of `new:expansion`.",
    chapter=JEPA_TIME,
    check=jepa_time_check,
    mutants=[lambda f: theta(f.t, jepa_sum(f), mp.log(f.epsilon) ** 2)],
)
def jepa_critical_time(f):
    root = mp.root(f.epsilon, f.L)
    powers = (f.L / (n * f.rho ** (2 * f.L - n - 1) * root**n) for n in range(1, 2 * f.L))
    return theta(f.t, sum(powers) / f.lam, mp.log(f.epsilon))


def jepa_order(f):
    """The order of the remainder of (12) for any p."""
    return max(abs(mp.log(f.epsilon)), f.star ** (1 - 2 * f.L), abs(f.log_gap_star))


@claim(
    "thm:3.4",
    says=r"(12) holds for every $p$ in the range (81), which admits $p\to0$ and $p\to1$ with "
    r"$\epsilon$.",
    chapter=JEPA_TIME,
    check=order_check(JEPA, admissible),
    mutants=[lambda f: big_o(f.t, jepa_sum(f), mp.log(f.epsilon))],
    erratum=Erratum(
        lambda f: big_o(f.t, jepa_sum(f), jepa_order(f)),
        says=r"The remainder is $O\big(\lvert\log\epsilon\rvert+p^{-(2L-1)/L}+\log\frac1{1-p}"
        r"\big)$. So (12) holds with $O(\log\epsilon)$ exactly if $p\ge c\lvert\log\epsilon"
        r"\rvert^{-L/(2L-1)}$ and $1-p\ge\epsilon^K$ for some $c,K>0$, and with "
        r"$\Theta(\log\epsilon)$ at constant $p$.",
        consequence=r"In the rest of (81) only the leading term is safe: with $p^{1/L}=\epsilon^"
        r"\beta$ the terms with $n\le\beta L(2L-1)$ drown in a remainder $\Theta(\epsilon^{-"
        r"\beta(2L-1)})$. For a constant $p$, the case that the paper uses, the theorem stands.",
        changes_result=True,
    ),
)
def jepa_critical_time_in_range(f):
    return jepa_critical_time(f)


def mae_leading(f):
    """L / (lam (L - 1) epsilon^((L - 1) / L))."""
    return f.L / (f.lam * (f.L - 1) * mp.root(f.epsilon, f.L) ** (f.L - 1))


@claim(
    "eq:13",
    says=r"MAE, $L>1$, constant $p$: $t^*=\frac L{\lambda(L-1)\epsilon^{(L-1)/L}}+\Theta(1)$.",
    chapter=MAE_TIME,
    check=order_check(MAE, depths=DEPTHS[1:]),
    mutants=[
        lambda f: big_o(f.t, mae_leading(f), mp.log(f.epsilon)),
        lambda f: big_o(f.t, mae_leading(f), mp.root(f.epsilon, f.L)),
    ],
    erratum=Erratum(
        lambda f: big_o(f.t, mae_leading(f), 1),
        says=r"$O(1)$: the constant $\frac\gamma{(L-1)\lambda}$ of (111) is zero at one $p$ for "
        r"each $L$, whatever $\rho$: $p=0.938,\,0.761,\,0.611,\,0.500,\,0.419$ for $L=2,\dots,6$.",
        consequence=r"Nothing at leading order; but at $L=5$, $p=\frac12$ the leading term "
        r"alone is nearly exact by accident. The order in $\rho$ turns at this $p$: see "
        r"`new:mae-order-in-rho`.",
    ),
)
def mae_critical_time(f):
    return theta(f.t, f.L / (f.lam * (f.L - 1) * mp.root(f.epsilon, f.L) ** (f.L - 1)), 1)


def mae_order(f):
    """The order of the remainder of (13) for any p; 1 / u* = p^(-(L-1)/L)."""
    return max(1 / f.star, abs(f.log_gap_star))


@claim(
    "thm:3.5",
    says=r"(13) holds for $L>1$ and every $p$ in the range (109), which admits $p\to0$ and $p\to1$ "
    r"with $\epsilon$.",
    chapter=MAE_TIME,
    check=order_check(MAE, admissible, depths=DEPTHS[1:]),
    mutants=[lambda f: big_o(f.t, mae_leading(f), 1)],
    erratum=Erratum(
        lambda f: big_o(f.t, mae_leading(f), mae_order(f)),
        says=r"The remainder is $O\big(p^{-(L-1)/L}+\log\frac1{1-p}\big)$; it is $O(1)$ exactly if "
        r"$p$ stays away from 0 and 1.",
        consequence=r"In the range (109) the leading term is safe, its remainder $\Theta(1)$ is "
        r"not: it is $\Theta(\epsilon^{-\beta})$ at either end. For a constant $p$, the case that "
        r"the paper uses, the theorem stands, with (13) as corrected.",
        changes_result=True,
    ),
)
def mae_critical_time_in_range(f):
    return mae_critical_time(f)


def ratio_from_depth_two(ratio, objective, L, rho, larger, epsilon):
    """(14) for L >= 2, with O for the MAE half."""
    if L == 1:
        return None
    root = mp.root(epsilon, L)
    if objective is JEPA:
        delta = 1 / rho - 1 / larger
        return theta(ratio, 1 + mpf(2 * L - 1) / (2 * L - 2) * delta * root, root**2)
    return big_o(ratio, 1, root ** (L - 1))


RATIO_ERRATUM = Erratum(
    ratio_from_depth_two,
    says=r"For $L\ge2$, at the same constant $p$, and with $O(\epsilon^{(L-1)/L})$ for MAE, whose "
    r"coefficient is zero at the $p$ given with (13). The JEPA half is then right: its next "
    r"coefficient, in `new:corollary-3-6-next-term`, is never zero.",
    consequence=r"At $L=1$ the JEPA half divides by zero and the MAE half, $1+\Theta(1)$, is "
    r"false: the ratio tends to 1; `new:corollary-3-6-one-layer` has that case, "
    r"`new:range-of-p` the $p$ "
    r"that may go to 0 or 1.",
)


@claim(
    "cor:3.6",
    where=RATIOS,
    says=r"At equal $\lambda$ and $\epsilon$ the ratios of the critical times of two features with "
    r"$\rho'>\rho$ are those of (14).",
    chapter=RATIO,
    check=ratio_check(DEPTHS),
    erratum=RATIO_ERRATUM,
)
@claim(
    "eq:14",
    where=RATIOS,
    says=r"$\frac{t^*(\rho)}{t^*(\rho')}=1+\frac{2L-1}{2L-2}\Delta\rho\,\epsilon^{1/L}+\Theta("
    r"\epsilon^{2/L})$ for JEPA, $1+\Theta(\epsilon^{(L-1)/L})$ for MAE; $\Delta\rho=\frac1\rho-"
    r"\frac1{\rho'}$.",
    chapter=RATIO,
    check=ratio_check(DEPTHS),
    erratum=RATIO_ERRATUM,
)
def critical_time_ratio(ratio, objective, L, rho, larger, epsilon):
    root = mp.root(epsilon, L)
    if objective is JEPA:
        delta = 1 / rho - 1 / larger
        return theta(ratio, 1 + mpf(2 * L - 1) / (2 * L - 2) * delta * root, root**2)
    return theta(ratio, 1, root ** (L - 1))
