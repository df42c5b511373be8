"""Appendix B.2: the JEPA equation solved, eqs. (77), (84)-(88), Theorem B.7."""

from mpmath import mp

from jepabook.claims.checks.solutions import (
    constant_check,
    equation_check,
    initial_condition_check,
    separates_check,
)
from jepabook.claims.ledger import Erratum, claim
from jepabook.claims.paper.b2_jepa_integral import antiderivative
from jepabook.theory.objectives import JEPA

WHERE = "Appendix B.2"
SOLUTION = "08-solving-the-dynamics#jepa-solution"


def logistic(f, start):
    """The right side of (77) at (psi, t) of a feature, with C from (87) at psi(0) = start."""

    def powers(psi):
        return sum(psi ** (n - 2 * f.L) / (n - 2 * f.L) for n in range(1, 2 * f.L))

    constant = -mp.log(1 - start) + mp.log(start) + powers(start)
    rate = f.lam * f.rho ** (2 * f.L - 1) / f.L
    size = mp.exp(rate * f.t - powers(f.x) + constant)
    return size / (1 + size)


def right_start(f):
    """psi(0), from psi = w^(1/L) / rho at w = epsilon."""
    return mp.root(f.epsilon, f.L) / f.rho


INITIAL_VALUE = (
    r"$\psi(0)=\frac1\rho\epsilon^{1/L}$, by $\psi=\frac1\rho\bar w^{1/L}$ at $\bar w=\epsilon$."
)
WRONG_START = (
    r"With $\epsilon^L$ the solution starts at $\bar w(0)=\epsilon^{L^2}$, far too small for "
    r"$L\ge2$ (equal at $L=1$). The proof of Theorem 3.4 uses $\epsilon^{1/L}$, so (12) is not "
    r"affected."
)


@claim(
    "thm:B.7",
    says=r"The JEPA equation is solved, implicitly in $\psi=\frac1\rho\bar w^{1/L}$, by (77); with "
    r"$\psi(0)=\frac1\rho\epsilon^L$ as printed.",
    chapter=SOLUTION,
    check=equation_check(JEPA),
    erratum=Erratum(
        lambda f: (f.x, logistic(f, right_start(f))), says=INITIAL_VALUE, consequence=WRONG_START
    ),
)
@claim(
    "eq:77",
    says=r"$\psi=\frac{e^E}{1+e^E}$ with $E=\frac\lambda L\rho^{2L-1}t-\sum_{n=1}^{2L-1}\frac{"
    r"\psi^{n-2L}}{n-2L}+C$, started at $\psi(0)=\frac1\rho\epsilon^L$ as printed.",
    chapter=SOLUTION,
    check=equation_check(JEPA),
    erratum=Erratum(
        lambda f: (f.x, logistic(f, right_start(f))), says=INITIAL_VALUE, consequence=WRONG_START
    ),
)
def implicit_solution(f):
    return f.x, logistic(f, start=f.epsilon**f.L / f.rho)


@claim(
    "eq:84",
    says=r"$\int\frac{d\psi}{\psi^{2L}-\psi^{2L+1}}=\frac{\sigma^2}L\rho^{2L}t+C$ after "
    r"$\bar w=(\rho\psi)^L$, for symbolic $L$.",
    chapter=SOLUTION,
    check=separates_check(JEPA),
    mutants=[lambda L, psi, lam, rho: (rho * psi**L, *separated_again(L, psi, lam, rho)[1:])],
)
def separated_again(L, psi, lam, rho):
    sigma2 = lam / rho
    return (rho * psi) ** L, 1 / (psi ** (2 * L) - psi ** (2 * L + 1)), sigma2 / L * rho ** (2 * L)


@claim(
    "eq:85",
    says=r"$-\log(1-\psi)+\log\psi+\sum_{n=1}^{2L-1}\frac{\psi^{n-2L}}{n-2L}=\frac{\sigma^2"
    r"\rho^{2L}}Lt+C$ along a solution.",
    chapter=SOLUTION,
    check=constant_check(JEPA),
)
def solution_in_logarithms(f):
    powers = sum(f.x ** (n - 2 * f.L) / (n - 2 * f.L) for n in range(1, 2 * f.L))
    left = -mp.log(1 - f.x) + mp.log(f.x) + powers
    return left - f.sigma2 * f.rho ** (2 * f.L) / f.L * f.t


@claim(
    "eq:86",
    says=r"The initial condition, as printed: $\psi(0)=\frac1\rho\epsilon^L$.",
    chapter=SOLUTION,
    check=initial_condition_check,
    mutants=[lambda f: mp.root(f.epsilon / f.rho, f.L)],
    erratum=Erratum(right_start, says=INITIAL_VALUE, consequence=WRONG_START),
)
def initial_value(f):
    return f.epsilon**f.L / f.rho


@claim(
    "eq:87",
    says=r"$C=-\log(1-\psi_0)+\log\psi_0+\sum_{n=1}^{2L-1}\frac{\psi_0^{n-2L}}{n-2L}$, where "
    r"$\psi_0$ is $\psi$ at $t=0$ (which is not (86)).",
    chapter=SOLUTION,
    check=equation_check(JEPA),
    mutants=[lambda f: (antiderivative(f.L, initial_value(f), mp.log), solution_in_logarithms(f))],
)
def initial_constant(f):
    start = right_start(f)
    powers = sum(start ** (n - 2 * f.L) / (n - 2 * f.L) for n in range(1, 2 * f.L))
    return -mp.log(1 - start) + mp.log(start) + powers, solution_in_logarithms(f)


@claim(
    "eq:88",
    says=r"(85) solved for the $\psi$ outside the sum: (77), with $C$ as in (87).",
    chapter=SOLUTION,
    check=equation_check(JEPA),
)
def solution_as_logistic(f):
    return f.x, logistic(f, right_start(f))
