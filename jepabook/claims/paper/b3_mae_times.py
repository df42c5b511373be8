"""Appendix B.3: the critical time of MAE for L > 1, eqs. (102)-(111), Lemma B.9."""

from mpmath import mp, mpf

from jepabook.claims.checks.orders import (
    DEPTHS,
    admissible,
    any_fraction,
    big_o,
    exactly,
    leading_check,
    order_check,
    small_argument_check,
    subleading_check,
    theta,
)
from jepabook.claims.checks.scalar import antiderivative, lerch
from jepabook.claims.checks.solutions import DEEP, equation_check, total
from jepabook.claims.ledger import Erratum, claim
from jepabook.claims.paper.b3_mae_solution import integral, start_constant, variable
from jepabook.claims.paper.s3_critical_times import mae_leading
from jepabook.theory.objectives import MAE

WHERE = "Appendix B.3"
TIME = "09-when-is-a-feature-learned#mae-critical-time"
SOLUTION = "08-solving-the-dynamics#mae-solution"
LARGER_DEPTHS = DEPTHS[1:]


@claim(
    "eq:102",
    says=r"$C$ is the leading term of $I$ at $u_0$ plus $\Theta(\epsilon^r)$ for some $r$: it is "
    r"$r=\frac2L$.",
    chapter=TIME,
    check=order_check(MAE, depths=LARGER_DEPTHS),
    mutants=[
        lambda f: theta(start_constant(f), -1 / variable(f, f.epsilon), mp.root(f.epsilon, f.L))
    ],
)
def leading_order_of_constant(f):
    start = variable(f, f.epsilon)
    leading = mpf(f.L - 1) / (f.L + 1) / start / (mpf(1 - f.L) / (1 + f.L))  # n = 0 of (98)
    return theta(start_constant(f), leading, mp.root(f.epsilon, f.L) ** 2)


def lerch_over_u(L, u):
    """Phi / u at the arguments of (98)."""
    return lerch(u ** (mpf(L + 1) / (L - 1)), mpf(1 - L) / (1 + L)) / u


@claim(
    "eq:103",
    says=r"$\frac\Phi u=\frac{1+L}{1-L}\frac1u+\sum_{n\ge1}\frac{u^{n(L+1)/(L-1)-1}}{n+"
    r"\frac{1-L}{1+L}}$ at the arguments of (98).",
    methods="NR",
    chapter=TIME,
    check=equation_check(MAE, DEEP),
)
def expansion_of_lerch(f):
    u, a = variable(f, f.epsilon), mpf(1 - f.L) / (1 + f.L)
    rest = total(lambda n: u ** (mpf(f.L + 1) / (f.L - 1) * n - 1) / (n + a), start=1)
    return lerch_over_u(f.L, u), mpf(1 + f.L) / (1 - f.L) / u + rest


@claim(
    "eq:104",
    says=r"$\frac\Phi u=\frac{1+L}{1-L}\frac1u+\Theta(u^{2/(L-1)})$ as $u\to0$.",
    chapter=TIME,
    check=small_argument_check(LARGER_DEPTHS, near=0),
)
def two_terms_of_lerch(L, u):
    return theta(lerch_over_u(L, u), mpf(1 + L) / (1 - L) / u, u ** (mpf(2) / (L - 1)))


def printed_constant(f):
    """The leading term in (105)."""
    return -1 / (f.rho ** (mpf(1 - f.L) / (1 + f.L)) * mp.root(f.epsilon, f.L) ** (f.L - 1))


@claim(
    "eq:105",
    says=r"$C=-\rho^{-(1-L)/(1+L)}\epsilon^{-(L-1)/L}+\Theta(\epsilon^{2/L})$.",
    chapter=TIME,
    check=order_check(MAE, depths=LARGER_DEPTHS),
    mutants=[
        lambda f: theta(start_constant(f), printed_constant(f), mp.root(f.epsilon, f.L + 1) ** 2)
    ],
)
def constant_in_epsilon(f):
    leading = -1 / (f.rho ** (mpf(1 - f.L) / (1 + f.L)) * f.epsilon ** (mpf(f.L - 1) / f.L))
    return theta(start_constant(f), leading, f.epsilon ** (mpf(2) / f.L))


def time_equation(f):
    """Both sides of (106)."""
    a = mpf(1 - f.L) / (1 + f.L)
    left = f.rho**-a * f.lam * (1 - f.L) / f.L * f.t
    return left, printed_constant(f) - integral(f.L, f.star)


@claim(
    "eq:106",
    says=r"$\rho^{-(1-L)/(L+1)}\frac{\lambda(1-L)}Lt^*=-\rho^{-(1-L)/(1+L)}\epsilon^{-"
    r"(L-1)/L}-I(u_*)$ with (98) for $I$, printed as an equality.",
    chapter=TIME,
    check=order_check(MAE, depths=LARGER_DEPTHS),
    erratum=Erratum(
        lambda f: theta(*time_equation(f), mp.root(f.epsilon, f.L) ** 2),
        says=r"Plus $\Theta(\epsilon^{2/L})$, which (105) has; exact is $C-I(u_*)$ on the right "
        r"side.",
        consequence="None: (111) has the remainder again.",
    ),
)
def critical_time_equation(f):
    return exactly(*time_equation(f))


@claim(
    "eq:107",
    says=r"$I(u)=-\frac1u+\Theta(u^{2/(L-1)})$ as $u\to0$.",
    chapter=TIME,
    check=small_argument_check(LARGER_DEPTHS, near=0),
)
def integral_near_zero(L, u):
    return theta(integral(L, u), -1 / u, u ** (mpf(2) / (L - 1)))


@claim(
    "eq:108",
    says=r"$I(u)=-\frac{L-1}{L+1}\log(1-u)+\Theta(1)$ as $u\to1$.",
    chapter=TIME,
    check=small_argument_check(LARGER_DEPTHS, near=1),
)
def integral_near_one(L, u):
    # (L - 1) J of `antiderivative` is the I of (98); Phi itself is slow this near to 1
    r = mp.root(u, L - 1)
    exact = (L - 1) * antiderivative(MAE, L, r, mp.log(1 - r))
    return theta(exact, -mpf(L - 1) / (L + 1) * mp.log(1 - u), 1)


@claim(
    "lemma:B.9",
    says=r"$I(u_*)$ is sub-leading in (106) unless $u_*\sim\Theta(\epsilon^\beta)$ or "
    r"$1-u_*\sim\Theta[\exp(-\epsilon^{-\beta})]$ with $\beta>\frac{L-1}L$.",
    chapter=TIME,
    check=subleading_check(MAE, LARGER_DEPTHS, logarithms=(-1, 0, 1)),
    mutants=[lambda L, end, beta, power: beta * (L + 1) < L or (beta * L == L - 1 and power > 0)],
    erratum=Erratum(
        lambda L, end, beta, power: (beta * L, -power) < (L - 1, 0),
        says=r"$I(u_*)$ is sub-leading if and only if $u_*\epsilon^{-(L-1)/L}\to\infty$ and "
        r"$\epsilon^{(L-1)/L}\log\frac1{1-u_*}\to0$; so the exception among powers is "
        r"$\beta\ge\frac{L-1}L$, with equality, and powers times logarithms count too.",
        consequence=r"At $\beta=\frac{L-1}L$ both terms of (106) are of one order, and (13) has "
        r"another leading coefficient. (109) has the strict inequality and is right. (Near 0 with "
        r"$\beta>\frac{L-1}L$ the goal $p\,\bar w(\infty)$ lies below $\epsilon$: that case never "
        r"arises.)",
    ),
)
def subleading_unless(L, end, beta, power):
    return not (beta * L > L - 1 and power == 0)


@claim(
    "eq:109",
    says=r"$u_*=p^{(L-1)/L}$ with $u_*\sim\Theta(\epsilon^\beta)$ or $1-u_*\sim\Theta[\exp(-"
    r"\epsilon^{-\beta})]$, $\beta<\frac{L-1}L$: there $I(u_*)$ is sub-leading in (106), and at no "
    r"larger $\beta$. (It need not be $O(1)$: see Theorem 3.5.)",
    chapter=TIME,
    check=subleading_check(MAE, LARGER_DEPTHS),
    mutants=[lambda L, end, beta, power: beta * L < 1],
)
def range_of_fractions(L, end, beta, power):
    return beta * L < L - 1


@claim(
    "eq:110",
    says=r"Leading order, for $p$ as in (109): $t^*=\frac L{\lambda(L-1)\epsilon^{(L-1)/L}}$.",
    chapter=TIME,
    check=leading_check(MAE, admissible, LARGER_DEPTHS),
    mutants=[lambda f: (f.t, mae_leading(f) / f.rho)],
)
def leading_time(f):
    return f.t, f.L / (f.lam * (f.L - 1) * f.epsilon ** (mpf(f.L - 1) / f.L))


def gamma(f):
    """gamma of (111) for any p."""
    log_gap = mp.log(1 - f.x) if f.log_gap is None else f.log_gap
    value = (f.L - 1) * antiderivative(MAE, f.L, f.x, log_gap)
    return f.L * f.rho ** (mpf(1 - f.L) / (1 + f.L)) * value


@claim(
    "eq:111",
    says=r"$t^*=\frac L{\lambda(L-1)\epsilon^{(L-1)/L}}+\frac\gamma{(L-1)\lambda}+\Theta("
    r"\epsilon^{2/L})$, $\gamma=L\rho^{(1-L)/(1+L)}I(u_*)$; for every $p$, since $\gamma$ has "
    r"it (so $\gamma$ is $\Theta(1)$ only at constant $p$, and not at all of them: see (13)).",
    chapter=TIME,
    check=order_check(MAE, any_fraction, LARGER_DEPTHS),
    mutants=[
        lambda f: theta(
            f.t,
            mae_leading(f) + gamma(f) / f.rho / (f.lam * (f.L - 1)),
            mp.root(f.epsilon, f.L) ** 2,
        ),
        lambda f: big_o(f.t, mae_leading(f), 1),
    ],
)
def critical_time_to_next_order(f):
    constant = gamma(f) / ((f.L - 1) * f.lam)
    return theta(f.t, mae_leading(f) + constant, f.epsilon ** (mpf(2) / f.L))
