"""Appendix B.2: the JEPA equation solved, eqs. (68)-(77), (84)-(88), Lemma B.6, Theorem B.7."""

import sympy
from mpmath import mp

from jepabook import JEPA
from jepabook.claims.checks_solutions import (
    EVERY_DEPTH,
    L,
    antiderivative_check,
    constant_check,
    equation_check,
    identity_check,
    induction_check,
    initial_condition_check,
    separates_check,
)
from jepabook.claims.ledger import CORRECTED, DEFINITION, HOLDS, Erratum, claim

WHERE = "Appendix B.2"
INTEGRAL = "04-solving-the-dynamics#jepa-integral"
SOLUTION = "04-solving-the-dynamics#jepa-solution"


def jepa_variables(integrand):
    """A check of integrands in psi = w^(1/L) / rho, for `separates_check`."""

    def check(statement):
        return separates_check(JEPA)(
            lambda L, psi, lam, rho: (
                (rho * psi) ** L,
                integrand(statement, L, psi),
                lam * rho ** (2 * L - 1) / L,
            )
        )

    return check


@claim(
    "eq:68",
    where=WHERE,
    says=r"$I_L(\psi)=\int\frac{d\psi}{\psi^{2L}-\psi^{2L+1}}$, the integral in which the JEPA "
    r"equation separates when $\psi=\bar w^{1/L}/\rho$.",
    methods="S",
    verdict=DEFINITION,
    definition=True,
    chapter=INTEGRAL,
    check=jepa_variables(lambda statement, *arguments: statement(*arguments)),
    mutants=[
        lambda L, psi: 1 / (psi ** (2 * L) + psi ** (2 * L + 1)),
        lambda L, psi: 1 / (psi ** (2 * L - 1) - psi ** (2 * L)),
        lambda L, psi: 1 / (psi**L - psi ** (L + 1)),
    ],
)
def integrand(L, psi):
    return 1 / (psi ** (2 * L) - psi ** (2 * L + 1))


def closed_form(L, psi, last=-1, sign=1, weight=1, log=sympy.log):
    """(69) without its constant; a near miss has another last n, sign or weight."""
    powers = sum(1 / (weight * n * psi**n) for n in range(1, 2 * L + 1 + last))
    return -powers + log(psi) - sign * log(1 - psi)


@claim(
    "lemma:B.6",
    where=WHERE,
    says=r"The integral $I_L$ of (68) is given by (69).",
    methods="S",
    verdict=HOLDS,
    chapter=INTEGRAL,
    check=antiderivative_check(integrand),
    mutants=[
        lambda L, psi: closed_form(L, psi, last=0),
        lambda L, psi: closed_form(L, psi, last=-2),
        lambda L, psi: closed_form(L, psi, sign=-1),
    ],
)
@claim(
    "eq:69",
    where=WHERE,
    says=r"$I_L=-\sum_{n=1}^{2L-1}\frac1{n\psi^n}+\log\psi-\log(1-\psi)+C$.",
    methods="S",
    verdict=HOLDS,
    chapter=INTEGRAL,
    check=antiderivative_check(integrand),
    mutants=[
        lambda L, psi: closed_form(L, psi, last=0),
        lambda L, psi: closed_form(L, psi, sign=-1),
        lambda L, psi: closed_form(L, psi, weight=-1),
        lambda L, psi: closed_form(L, psi) - sympy.log(psi),
    ],
)
def antiderivative(L, psi, log=sympy.log):
    return -sum(1 / (n * psi**n) for n in range(1, 2 * L)) + log(psi) - log(1 - psi)


@claim(
    "eq:70",
    where=WHERE,
    says=r"The base case: $I_1=-\frac1\psi+\log\psi-\log(1-\psi)+C$.",
    methods="S",
    verdict=HOLDS,
    chapter=INTEGRAL,
    check=antiderivative_check(integrand, depths=(1,)),
    mutants=[
        lambda L, psi: 1 / psi + sympy.log(psi) - sympy.log(1 - psi),
        lambda L, psi: -1 / psi + sympy.log(psi) + sympy.log(1 - psi),
        lambda L, psi: -1 / psi - sympy.log(1 - psi),
    ],
)
def first_antiderivative(L, psi):
    return -1 / psi + sympy.log(psi) - sympy.log(1 - psi)


@claim(
    "eq:71",
    where=WHERE,
    says=r"$\frac1{\psi^{2L+2}(1-\psi)}-\frac1{\psi^{2L}(1-\psi)}=\frac1{\psi^{2L+2}}+"
    r"\frac1{\psi^{2L+1}}$, for symbolic $L$.",
    methods="S",
    verdict=HOLDS,
    chapter=INTEGRAL,
    check=identity_check(L),
    mutants=[
        lambda L, psi: (step_of_integrand(L, psi), psi ** (-2 * L - 2) - psi ** (-2 * L - 1)),
        lambda L, psi: (step_of_integrand(L, psi), psi ** (-2 * L - 1) + psi ** (-2 * L)),
        lambda L, psi: (-step_of_integrand(L, psi), psi ** (-2 * L - 2) + psi ** (-2 * L - 1)),
    ],
)
def recursion_of_integrands(L, psi):
    return (
        1 / (psi ** (2 * L + 2) * (1 - psi)) - 1 / (psi ** (2 * L) * (1 - psi)),
        1 / psi ** (2 * L + 2) + 1 / psi ** (2 * L + 1),
    )


def step_of_integrand(L, psi):
    """From the integrand of I_L to that of I_{L+1}."""
    return integrand(L + 1, psi) - integrand(L, psi)


@claim(
    "eq:72",
    where=WHERE,
    says=r"$I_{L+1}-I_L=-\frac1{(2L+1)\psi^{2L+1}}-\frac1{2L\psi^{2L}}+C$.",
    methods="S",
    verdict=HOLDS,
    chapter=INTEGRAL,
    check=antiderivative_check(step_of_integrand),
    mutants=[
        lambda L, psi: -recursion(L, psi),
        lambda L, psi: recursion(L, psi) + 1 / (L * psi ** (2 * L)),
        lambda L, psi: psi * recursion(L, psi),
    ],
)
def recursion(L, psi):
    return -1 / ((2 * L + 1) * psi ** (2 * L + 1)) - 1 / (2 * L * psi ** (2 * L))


def induction_step(L, psi):
    """I_{L+1} from I_L, both in the form (69)."""
    step = 1 / (2 * L * psi ** (2 * L)) + 1 / ((2 * L + 1) * psi ** (2 * L + 1))
    return antiderivative(L + 1, psi), antiderivative(L, psi) - step


@claim(
    "eq:73",
    where=WHERE,
    says=r"The induction step $I_{L+1}=I_L-\frac1{2L\psi^{2L}}-\frac1{(2L+1)\psi^{2L+1}}+C$, made "
    r"for $L\ne1$ as printed.",
    methods="S",
    verdict=CORRECTED,
    chapter=INTEGRAL,
    check=induction_check,
    mutants=[
        lambda: (induction_step, lambda L: L > 2),
        lambda: (induction_step, lambda L: L < 4),
        lambda: (
            lambda L, psi: (
                antiderivative(L + 1, psi),
                antiderivative(L, psi) + recursion(L - 1, psi),
            ),
            lambda L: L >= 1,
        ),
    ],
    erratum=Erratum(
        lambda: (induction_step, lambda L: L >= 1),
        says=r"The induction hypothesis is for some $L\ge1$, not for some $L\ne1$: otherwise the "
        r"base case $L=1$ leads nowhere.",
        consequence="A slip of the proof; the step itself is right for every depth from 1 on.",
    ),
)
def induction():
    return induction_step, lambda L: L != 1


@claim(
    "eq:74",
    where=WHERE,
    says=r"The same with (69) put in for $I_L$.",
    methods="S",
    verdict=HOLDS,
    chapter=INTEGRAL,
    check=identity_check(*EVERY_DEPTH),
    mutants=[
        lambda L, psi: (
            antiderivative(L + 1, psi),
            closed_form(L, psi, last=0) + recursion(L, psi),
        ),
        lambda L, psi: (antiderivative(L + 1, psi), antiderivative(L, psi) - recursion(L, psi)),
    ],
)
def induction_put_in(L, psi):
    return (
        antiderivative(L + 1, psi),
        -sum(1 / (n * psi**n) for n in range(1, 2 * L))
        + sympy.log(psi)
        - sympy.log(1 - psi)
        - 1 / (2 * L * psi ** (2 * L))
        - 1 / ((2 * L + 1) * psi ** (2 * L + 1)),
    )


@claim(
    "eq:75",
    where=WHERE,
    says=r"Its two powers continue the sum to $n=2(L+1)-1$, which is (69) at $L+1$.",
    methods="S",
    verdict=HOLDS,
    chapter=INTEGRAL,
    check=identity_check(*EVERY_DEPTH),
    mutants=[
        lambda L, psi: (induction_put_in(L, psi)[1], closed_form(L + 1, psi, last=0)),
        lambda L, psi: (induction_put_in(L, psi)[1], closed_form(L + 1, psi, last=-2)),
        lambda L, psi: (induction_put_in(L, psi)[1], closed_form(L, psi)),
    ],
)
def induction_collected(L, psi):
    powers = sum(1 / (n * psi**n) for n in range(1, 2 * (L + 1)))
    return induction_put_in(L, psi)[1], -powers + sympy.log(psi) - sympy.log(1 - psi)


def partial_fractions(L, psi, first, last=-1):
    """1 / (1 - psi) + sum of psi^n / psi^(2L) over n = first ... 2L + last."""
    powers = sum(psi**n for n in range(first, 2 * L + last + 1))
    return 1 / (psi ** (2 * L) * (1 - psi)), 1 / (1 - psi) + powers / psi ** (2 * L)


@claim(
    "eq:76",
    where=WHERE,
    says=r"Partial fractions: $\frac1{\psi^{2L}(1-\psi)}=\frac1{1-\psi}+\psi^{-2L}\sum_n\psi^n$, "
    r"with the sum from $n=1$ to $2L-1$ as printed.",
    methods="S",
    verdict=CORRECTED,
    chapter=INTEGRAL,
    check=identity_check(*EVERY_DEPTH),
    mutants=[
        lambda L, psi: partial_fractions(L, psi, 0, last=0),
        lambda L, psi: partial_fractions(L, psi, 0, last=-2),
        lambda L, psi: partial_fractions(L, psi, 1, last=0),
    ],
    erratum=Erratum(
        lambda L, psi: partial_fractions(L, psi, 0),
        says=r"The sum starts at $n=0$: $\frac1{\psi^{2L}(1-\psi)}=\frac1{1-\psi}+\psi^{-2L}"
        r"\sum_{n=0}^{2L-1}\psi^n$.",
        consequence=r"As printed it misses $\psi^{-2L}$, the leading term of (12) and the only one "
        r"without $\rho$. The proof offers it as an alternative only, and (69) is right.",
    ),
)
def printed_partial_fractions(L, psi):
    return partial_fractions(L, psi, first=1)


def logistic(f, start, rate=None, sign=1, first=1):
    """The right side of (77) at (psi, t) of a feature, with C from (87) at psi(0) = start."""
    rate = f.lam * f.rho ** (2 * f.L - 1) / f.L if rate is None else rate

    def powers(psi):
        return sum(psi ** (n - 2 * f.L) / (n - 2 * f.L) for n in range(first, 2 * f.L))

    constant = -mp.log(1 - start) + mp.log(start) + powers(start)
    size = mp.exp(rate * f.t - sign * powers(f.x) + constant)
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
LOGISTIC_MUTANTS = [
    lambda f: (f.x, logistic(f, right_start(f), sign=-1)),
    lambda f: (f.x, logistic(f, right_start(f), rate=f.lam * f.rho ** (2 * f.L - 1))),
    lambda f: (f.x, logistic(f, right_start(f), rate=f.lam * f.rho ** (2 * f.L) / f.L)),
    lambda f: (f.x, logistic(f, right_start(f), first=0)),
]


@claim(
    "thm:B.7",
    where=WHERE,
    says=r"The JEPA equation is solved, implicitly in $\psi=\frac1\rho\bar w^{1/L}$, by (77); with "
    r"$\psi(0)=\frac1\rho\epsilon^L$ as printed.",
    methods="N",
    verdict=CORRECTED,
    chapter=SOLUTION,
    check=equation_check(JEPA),
    mutants=LOGISTIC_MUTANTS,
    erratum=Erratum(
        lambda f: (f.x, logistic(f, right_start(f))), says=INITIAL_VALUE, consequence=WRONG_START
    ),
)
@claim(
    "eq:77",
    where=WHERE,
    says=r"$\psi=\frac{e^E}{1+e^E}$ with $E=\frac\lambda L\rho^{2L-1}t-\sum_{n=1}^{2L-1}\frac{"
    r"\psi^{n-2L}}{n-2L}+C$, started at $\psi(0)=\frac1\rho\epsilon^L$ as printed.",
    methods="N",
    verdict=CORRECTED,
    chapter=SOLUTION,
    check=equation_check(JEPA),
    mutants=LOGISTIC_MUTANTS,
    erratum=Erratum(
        lambda f: (f.x, logistic(f, right_start(f))), says=INITIAL_VALUE, consequence=WRONG_START
    ),
)
def implicit_solution(f):
    return f.x, logistic(f, start=f.epsilon**f.L / f.rho)


@claim(
    "eq:84",
    where=WHERE,
    says=r"$\int\frac{d\psi}{\psi^{2L}-\psi^{2L+1}}=\frac{\sigma^2}L\rho^{2L}t+C$ after "
    r"$\bar w=(\rho\psi)^L$, for symbolic $L$.",
    methods="S",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=separates_check(JEPA),
    mutants=[
        lambda L, psi, lam, rho: ((rho * psi) ** L, integrand(L, psi), lam * rho ** (2 * L) / L),
        lambda L, psi, lam, rho: ((rho * psi) ** L, integrand(L, psi), lam * rho ** (2 * L - 1)),
        lambda L, psi, lam, rho: (rho * psi**L, integrand(L, psi), lam * rho ** (2 * L - 1) / L),
    ],
)
def separated_again(L, psi, lam, rho):
    sigma2 = lam / rho
    return (rho * psi) ** L, 1 / (psi ** (2 * L) - psi ** (2 * L + 1)), sigma2 / L * rho ** (2 * L)


def excess(f, power=0, sign=1):
    """The left side of (85) less sigma^2 rho^(2L + power) t / L, which is C."""
    powers = sum(f.x ** (n - 2 * f.L) / (n - 2 * f.L) for n in range(1, 2 * f.L))
    left = -mp.log(1 - f.x) + mp.log(f.x) + sign * powers
    return left - f.sigma2 * f.rho ** (2 * f.L + power) / f.L * f.t


@claim(
    "eq:85",
    where=WHERE,
    says=r"$-\log(1-\psi)+\log\psi+\sum_{n=1}^{2L-1}\frac{\psi^{n-2L}}{n-2L}=\frac{\sigma^2"
    r"\rho^{2L}}Lt+C$ along a solution.",
    methods="N",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=constant_check(JEPA),
    mutants=[
        lambda f: excess(f, power=-1),
        lambda f: excess(f, sign=-1),
        lambda f: excess(f) + f.t,
    ],
)
def solution_in_logarithms(f):
    powers = sum(f.x ** (n - 2 * f.L) / (n - 2 * f.L) for n in range(1, 2 * f.L))
    left = -mp.log(1 - f.x) + mp.log(f.x) + powers
    return left - f.sigma2 * f.rho ** (2 * f.L) / f.L * f.t


@claim(
    "eq:86",
    where=WHERE,
    says=r"The initial condition, as printed: $\psi(0)=\frac1\rho\epsilon^L$.",
    methods="N",
    verdict=CORRECTED,
    chapter=SOLUTION,
    check=initial_condition_check,
    mutants=[
        lambda f: mp.root(f.epsilon, f.L),
        lambda f: mp.root(f.epsilon, f.L) * f.rho,
        lambda f: mp.root(f.epsilon / f.rho, f.L),
    ],
    erratum=Erratum(right_start, says=INITIAL_VALUE, consequence=WRONG_START),
)
def initial_value(f):
    return f.epsilon**f.L / f.rho


@claim(
    "eq:87",
    where=WHERE,
    says=r"$C=-\log(1-\psi_0)+\log\psi_0+\sum_{n=1}^{2L-1}\frac{\psi_0^{n-2L}}{n-2L}$, where "
    r"$\psi_0$ is $\psi$ at $t=0$ (which is not (86)).",
    methods="N",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=equation_check(JEPA),
    mutants=[
        lambda f: (-initial_constant(f)[0], excess(f)),
        lambda f: (closed_form(f.L, right_start(f), last=0, log=mp.log), excess(f)),
        lambda f: (closed_form(f.L, initial_value(f), log=mp.log), excess(f)),
    ],
)
def initial_constant(f):
    start = right_start(f)
    powers = sum(start ** (n - 2 * f.L) / (n - 2 * f.L) for n in range(1, 2 * f.L))
    return -mp.log(1 - start) + mp.log(start) + powers, solution_in_logarithms(f)


@claim(
    "eq:88",
    where=WHERE,
    says=r"(85) solved for the $\psi$ outside the sum: (77), with $C$ as in (87).",
    methods="N",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=equation_check(JEPA),
    mutants=LOGISTIC_MUTANTS,
)
def solution_as_logistic(f):
    return f.x, logistic(f, right_start(f))
