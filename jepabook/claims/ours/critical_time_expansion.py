"""Ours on the critical time: its complete expansion, its limit, and which p the theory admits."""

from fractions import Fraction
from math import ceil, floor

from mpmath import mp, mpf

from jepabook.claims.checks.expansion import expansion_check, vanishing_start_check
from jepabook.claims.checks.orders import (
    DEPTHS,
    big_o,
    fraction_range_check,
    mae_order_check,
    ratio_check,
    theta,
)
from jepabook.claims.ledger import claim
from jepabook.theory.objectives import JEPA

RATIO = "09-when-is-a-feature-learned#ratios"
EXPANSION = "09-when-is-a-feature-learned#expansion"
LIMIT = "03-who-goes-first#limit"


def varied_expansion(f, count, sign=1, logarithm=1, log_rho=1, shift=0):
    """A near miss of `expansion`: another sign beyond the constant, logarithm, or exponent."""
    terms = expansion(f, count)
    number, log, first = f.ring.number, f.ring.log, ceil(f.m)
    resonant = f.m == first
    if resonant and count > first:
        terms[first] = terms[first] * logarithm
    if resonant and count > first + 1:
        scale = 1 / (number(f.s) * f.lam * f.rho ** number(f.m))
        terms[first + 1] = terms[first + 1] + (log_rho - 1) * scale * log(f.rho)
    beyond = first + resonant + 1
    return [
        (sign if n >= beyond else 1) * term * f.rho ** number(shift) for n, term in enumerate(terms)
    ]


@claim(
    "new:expansion",
    says=r"$s\lambda\rho^mt^*=\sum_{0\le "
    r"n<m}\frac{z_0^{n-m}}{m-n}-\sum_{n>m}\frac{z_0^{n-m}}{n-m}+F(p^s)$ with "
    r"$z_0=\epsilon^s/\rho$, $F(z)=z^{-m}\Phi(z,1,-m)$; if $m$ is an integer, its term $n=m$ "
    r"in $F$ is $\log z$ and $-\log z_0$ joins the sum. It converges for all $\epsilon<\bar "
    r"w(\infty)$; past $n=m$ the error is below the next term over $1-z_0$.",
    chapter=EXPANSION,
    check=expansion_check,
    mutants=[
        lambda f, count: varied_expansion(f, count, sign=-1),
        lambda f, count: varied_expansion(f, count, logarithm=2),
        lambda f, count: varied_expansion(f, count, log_rho=0),
        lambda f, count: varied_expansion(f, count, log_rho=-1),
        lambda f, count: varied_expansion(f, count, shift=Fraction(1, f.depth)),
        lambda f, count: [*expansion(f, count)[:-1], 2 * expansion(f, count)[-1]],
    ],
)
def expansion(f, count):
    s, m, number = f.s, f.m, f.ring.number
    start = f.epsilon ** number(s) / f.rho
    scale = 1 / (number(s) * f.lam * f.rho ** number(m))
    stop = f.x ** f.objective.saturation_power(depth=f.depth)  # p^s
    terms = [scale * start ** number(n - m) / number(m - n) for n in range(ceil(m))]
    if m == ceil(m):
        terms.append(-f.ring.log(f.epsilon) / (f.lam * f.rho ** number(m)))
        powers = sum(stop ** number(n - m) / number(m - n) for n in range(ceil(m)))
        constant = f.ring.log(stop) - f.ring.log(1 - stop) - powers + f.ring.log(f.rho)
    else:
        constant = stop ** number(-m) * f.ring.lerch(stop, number(-m))
    terms.append(scale * constant)
    first = floor(m) + 1
    beyond = range(first, count)
    return (terms + [-scale * start ** number(n - m) / number(n - m) for n in beyond])[:count]


@claim(
    "new:epsilon-to-zero",
    says=r"For both objectives $t_i/t_j\to\lambda_j/\lambda_i$ as $\epsilon\to0$, whatever "
    r"$\rho$: the larger $\lambda$ goes first in the end, since the leading term has no $\rho$. "
    r"Once in that order, with $\dot{\bar w}_i>\dot{\bar w}_j$ at $\epsilon$, two features keep "
    r"it at all smaller $\epsilon$.",
    methods="NR",
    chapter=LIMIT,
    ground="proved",
    check=vanishing_start_check,
    mutants=[
        lambda a, b: a.lam / b.lam,
        lambda a, b: b.lam * b.rho / (a.lam * a.rho),
        lambda a, b: b.sigma2 / a.sigma2,
        lambda a, b: (b.lam / a.lam) ** 2,
    ],
)
def limiting_ratio(a, b):
    return b.lam / a.lam


def second_order(ratio, objective, L, rho, larger, epsilon, square=-2, weight=1, order=3):
    """The claim below; a near miss has another power of 2L - 2, weight, or order."""
    if L == 1:
        return None
    root, delta = mp.root(epsilon, L), 1 / rho - 1 / larger
    if objective is not JEPA:
        return big_o(ratio, 1, root ** (L - 1))
    first = mpf(2 * L - 1) / (2 * L - 2) * delta * root
    next_weight = weight * mpf(2 * L - 1) / (2 * L - 3) * delta
    second = next_weight * (1 / rho + mpf(2 * L - 2) ** square / larger) * root**2
    rest = root**order * (mp.log(epsilon) if L == 2 else 1)
    return theta(ratio, 1 + first + second, rest)


@claim(
    "new:corollary-3-6-next-term",
    says=r"JEPA, $L\ge2$: the $\Theta(\epsilon^{2/L})$ of (14) is "
    r"$\frac{2L-1}{2L-3}\big(\frac1\rho-\frac1{\rho'}\big)\big(\frac1\rho+\frac1{(2L-2)"
    r"^2\rho'}\big)\epsilon^{2/L}$, up to $\Theta(\epsilon^{3/L})$, for $L=2$ times "
    r"$\log\epsilon$; positive for all $\rho'>\rho$.",
    chapter=RATIO,
    check=ratio_check(DEPTHS),
    mutants=[
        lambda *a: second_order(*a, square=-1),
        lambda *a: second_order(*a, square=2),
        lambda *a: second_order(*a, weight=-1),
        lambda *a: second_order(*a, order=2),
        lambda *a: second_order(*a, order=4),
    ],
)
def ratio_to_second_order(ratio, objective, L, rho, larger, epsilon):
    return second_order(ratio, objective, L, rho, larger, epsilon)


TURNS = {2: 0.938, 3: 0.761, 4: 0.611, 5: 0.500, 6: 0.419}


@claim(
    "new:mae-order-in-rho",
    says=r"MAE at equal $\lambda$ as $\epsilon\to0$: the larger $\rho$ goes first (by a constant "
    r"time) if $p$ is above $0.938,\,0.761,\,0.611,\,0.500,\,0.419$ for $L=2,\dots,6$, the "
    r"smaller $\rho$ if it is below, and at $L=1$ for every $p$.",
    chapter=RATIO,
    check=mae_order_check,
    mutants=[
        lambda L, p: p > TURNS.get(L, 0.99) + 0.002,
        lambda L, p: p > TURNS.get(L, 0.99) - 0.002,
        lambda L, p: p > TURNS.get(L, 0.5),
    ],
)
def larger_rho_first(L, p):
    return L > 1 and p > TURNS[L]


@claim(
    "new:range-of-p",
    says=r"JEPA, $L\ge2$, $p^{1/L}\sim\epsilon^\beta$: the correction in (14) is the leading one "
    r"for $\beta<\frac{2L-2}{L(2L-1)}$ and its remainder is $O(\epsilon^{2/L})$ for "
    r"$\beta\le\frac{2L-3}{L(2L-1)}$; if $1-p^{1/L}\sim\exp(-\epsilon^{-\beta})$, for $2L-1$ "
    r"times these $\beta$.",
    chapter=RATIO,
    check=fraction_range_check,
    mutants=[
        lambda L, end: [Fraction(1, L), admitted_fractions(L, end)[1]],
        lambda L, end: [admitted_fractions(L, end)[0], Fraction(2 * L - 2, L * (2 * L - 1))],
        lambda L, end: admitted_fractions(L + 1, end),
    ],
)
def admitted_fractions(L, end):
    scale = 1 if end == 0 else 2 * L - 1
    return [scale * Fraction(2 * L - k, L * (2 * L - 1)) for k in (2, 3)]


def ratio_at_depth_one(
    ratio, objective, L, rho, larger, epsilon, weight=1, jepa=None, mae=-0.5, order_of_mae=2
):
    """The claim below; a near miss has another weight or another order."""
    logarithm = -mp.log(epsilon)
    if objective is JEPA:
        order = epsilon if jepa is None else jepa(epsilon)
        return big_o(ratio, 1 + weight * (1 / rho - 1 / larger) * epsilon * logarithm, order)
    return big_o(ratio, 1 + mae * mp.log(larger / rho) / logarithm, logarithm**-order_of_mae)


@claim(
    "new:corollary-3-6-one-layer",
    says=r"Corollary 3.6 at $L=1$: the ratio is "
    r"$1+\big(\frac1\rho-\frac1{\rho'}\big)\epsilon\log\frac1\epsilon+O(\epsilon)$ for JEPA, "
    r"and $1-\frac{\log(\rho'/\rho)}{2\lvert\log\epsilon\rvert}+O(\log^{-2}\epsilon)$ for MAE, "
    r"where the smaller $\rho$ goes first.",
    chapter=RATIO,
    check=ratio_check((1,), must=(1,)),
    mutants=[
        lambda *a: ratio_at_depth_one(*a, weight=2),
        lambda *a: ratio_at_depth_one(*a, weight=-1),
        lambda *a: ratio_at_depth_one(*a, jepa=lambda e: e * mp.log(e)),
        lambda *a: ratio_at_depth_one(*a, jepa=lambda e: e**2),
        lambda *a: ratio_at_depth_one(*a, mae=0.5),
        lambda *a: ratio_at_depth_one(*a, mae=-1),
        lambda *a: ratio_at_depth_one(*a, order_of_mae=3),
    ],
)
def shallow_critical_time_ratio(ratio, objective, L, rho, larger, epsilon):
    logarithm = -mp.log(epsilon)
    if objective is JEPA:
        return big_o(ratio, 1 + (1 / rho - 1 / larger) * epsilon * logarithm, epsilon)
    return big_o(ratio, 1 - mp.log(larger / rho) / (2 * logarithm), 1 / logarithm**2)
