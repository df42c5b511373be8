"""Appendix B.4: MAE at L = 1, eqs. (115)-(121); Appendix B.5: Corollary B.11."""

from mpmath import mp

from jepabook.claims.checks.orders import (
    DEPTHS,
    big_o,
    leading_check,
    order_check,
    ratio_check,
    theta,
)
from jepabook.claims.checks.solutions import constant_check, equation_check, separates_check
from jepabook.claims.ledger import Erratum, claim, decided_by
from jepabook.claims.paper.s3_critical_times import (
    RATIO_ERRATUM,
    critical_time_ratio,
)
from jepabook.theory.objectives import MAE

WHERE = "Appendix B.4"
SOLUTION = "08-solving-the-dynamics#one-layer"
TIME = "09-when-is-a-feature-learned#one-layer-critical-time"
RATIO = "09-when-is-a-feature-learned#ratios"
ONE = (1,)


@claim(
    "eq:115",
    says=r"MAE, $L=1$: $\frac1{\sigma^2}\int\frac{d\bar w}{\rho\bar w-\bar w^3}=t+C$.",
    chapter=SOLUTION,
    check=separates_check(MAE, 1),
    mutants=[lambda L, w, lam, rho: (w, rho / lam / (w - rho * w**3), 1)],
)
def separated(L, w, lam, rho):
    sigma2 = lam / rho
    return w, 1 / sigma2 / (rho * w - w**3), 1


@claim(
    "eq:116",
    says=r"$\ln\bar w^2-\ln\lvert\bar w^2-\rho\rvert=2\sigma^2\rho t+C$.",
    chapter=SOLUTION,
    check=constant_check(MAE, ONE),
)
def logarithms(f):
    return mp.log(f.w**2) - mp.log(abs(f.w**2 - f.rho)) - 2 * f.sigma2 * f.rho * f.t


def constant(f):
    """C of (119)."""
    return mp.log(f.epsilon**2 / (f.rho - f.epsilon**2))


@claim(
    "eq:117",
    says=r"$\bar w^2=(\rho-\bar w^2)e^{2\lambda t+C}$, from $\bar w<\sqrt\rho$; $C$ as in (119).",
    chapter=SOLUTION,
    check=equation_check(MAE, ONE),
)
def implicit_solution(f):
    return f.w**2, (f.rho - f.w**2) * mp.exp(2 * f.lam * f.t + constant(f))


@claim(
    "eq:118",
    says=r"$\bar w=\sqrt\rho\,\frac{e^{\lambda t+C/2}}{\sqrt{1+e^{2\lambda t+C}}}$, explicit, "
    r"with $C$ as in (119).",
    chapter=SOLUTION,
    check=equation_check(MAE, ONE),
)
def explicit_solution(f):
    growth = f.lam * f.t + constant(f) / 2
    return f.w, mp.sqrt(f.rho) * mp.exp(growth) / mp.sqrt(1 + mp.exp(2 * growth))


@claim(
    "eq:119",
    says=r"$C=\log\frac{\epsilon^2}{\rho-\epsilon^2}$, from $\bar w(0)=\epsilon<\sqrt\rho$.",
    chapter=SOLUTION,
    check=equation_check(MAE, ONE),
)
def initial_constant(f):
    return mp.log(f.epsilon**2 / (f.rho - f.epsilon**2)), logarithms(f)


@decided_by("N")
def critical_equation_check(statement):
    """Statements (feature) -> two sides, and an Estimate of the order of the second."""
    orders = order_check(MAE, depths=ONE)(lambda f: statement(f)[1])
    return orders and equation_check(MAE, ONE)(lambda f: statement(f)[0])


def critical_equation(f, estimate):
    """(120): its two sides, and the order of the right one; w* = p sqrt(rho)."""
    left = 2 * f.lam * f.t + mp.log(f.epsilon**2 / (f.rho - f.epsilon**2))
    right = mp.log(f.w**2) - mp.log(abs(f.w**2 - f.rho))
    return (left, right), estimate(right, 0, 1)


@claim(
    "eq:120",
    says=r"$2\lambda t^*+\log\frac{\epsilon^2}{\rho-\epsilon^2}=\log\bar w_*^2-\log\lvert\bar "
    r"w_*^2-\rho\rvert\sim\Theta(1)$ at constant $p$.",
    chapter=TIME,
    check=critical_equation_check,
    mutants=[
        lambda f: critical_equation(f, lambda *e: big_o(e[0], 0, mp.log(f.epsilon))),
        lambda f: critical_equation(f, lambda *e: big_o(e[0], 0, f.epsilon)),
    ],
    erratum=Erratum(
        lambda f: critical_equation(f, big_o),
        says=r"$O(1)$: the right side is $\log\frac{p^2}{1-p^2}$, which is zero at $p=1/\sqrt2$.",
        consequence=r"None for (121). The value does not depend on $\rho$.",
    ),
)
def critical_time_equation(f):
    return critical_equation(f, theta)


@decided_by("N")
def leading_term_check(statement):
    """Statements (feature) -> leading term, next term: beyond both t* is Theta(epsilon^2)."""

    def leading(f):
        return f.t, statement(f)[0]

    def both(f):
        return theta(f.t, sum(statement(f)), f.epsilon**2)

    return leading_check(MAE, depths=ONE)(leading) and order_check(MAE, depths=ONE)(both)


@claim(
    "eq:121",
    says=r"$t^*\approx\frac{\lvert\log\epsilon\rvert}\lambda$ to leading order; by `new:expansion` "
    r"the next term is $\frac1{2\lambda}\log\frac{\rho p^2}{1-p^2}$.",
    chapter=TIME,
    check=leading_term_check,
    mutants=[lambda f: (leading_critical_time(f)[0], mp.log(f.p**2 / (1 - f.p**2)) / (2 * f.lam))],
)
def leading_critical_time(f):
    p = f.p
    return abs(mp.log(f.epsilon)) / f.lam, mp.log(f.rho * p**2 / (1 - p**2)) / (2 * f.lam)


@claim(
    "cor:B.11",
    where="Appendix B.5",
    says="Corollary 3.6 again, with its proof: Theorems 3.4 and 3.5 divided and expanded.",
    chapter=RATIO,
    check=ratio_check(DEPTHS),
    erratum=RATIO_ERRATUM,
)
def ratio_again(*arguments):
    return critical_time_ratio(*arguments)
