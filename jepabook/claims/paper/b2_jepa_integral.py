"""Appendix B.2: the integral of the JEPA equation, eqs. (68)-(76), Lemma B.6."""

import sympy

from jepabook.claims.checks.solutions import (
    EVERY_DEPTH,
    L,
    antiderivative_check,
    identity_check,
    induction_check,
    separates_check,
)
from jepabook.claims.ledger import Erratum, claim
from jepabook.theory.objectives import JEPA

WHERE = "Appendix B.2"
INTEGRAL = "08-solving-the-dynamics#jepa-integral"


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
    says=r"$I_L(\psi)=\int\frac{d\psi}{\psi^{2L}-\psi^{2L+1}}$, the integral in which the JEPA "
    r"equation separates when $\psi=\bar w^{1/L}/\rho$.",
    methods="S",
    definition=True,
    chapter=INTEGRAL,
    check=jepa_variables(lambda statement, *arguments: statement(*arguments)),
    mutants=[lambda L, psi: 1 / (psi**L - psi ** (L + 1))],
)
def integrand(L, psi):
    return 1 / (psi ** (2 * L) - psi ** (2 * L + 1))


def one_term_more(L, psi):
    """(69) with one term more."""
    return antiderivative(L, psi) - 1 / (2 * L * psi ** (2 * L))


@claim(
    "lemma:B.6",
    says=r"The integral $I_L$ of (68) is given by (69).",
    chapter=INTEGRAL,
    check=antiderivative_check(integrand),
    mutants=[one_term_more],
)
@claim(
    "eq:69",
    says=r"$I_L=-\sum_{n=1}^{2L-1}\frac1{n\psi^n}+\log\psi-\log(1-\psi)+C$.",
    chapter=INTEGRAL,
    check=antiderivative_check(integrand),
    mutants=[one_term_more],
)
def antiderivative(L, psi, log=sympy.log):
    return -sum(1 / (n * psi**n) for n in range(1, 2 * L)) + log(psi) - log(1 - psi)


@claim(
    "eq:70",
    says=r"The base case: $I_1=-\frac1\psi+\log\psi-\log(1-\psi)+C$.",
    chapter=INTEGRAL,
    check=antiderivative_check(integrand, depths=(1,)),
)
def first_antiderivative(L, psi):
    return -1 / psi + sympy.log(psi) - sympy.log(1 - psi)


@claim(
    "eq:71",
    says=r"$\frac1{\psi^{2L+2}(1-\psi)}-\frac1{\psi^{2L}(1-\psi)}=\frac1{\psi^{2L+2}}+"
    r"\frac1{\psi^{2L+1}}$, for symbolic $L$.",
    chapter=INTEGRAL,
    check=identity_check(L),
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
    says=r"$I_{L+1}-I_L=-\frac1{(2L+1)\psi^{2L+1}}-\frac1{2L\psi^{2L}}+C$.",
    chapter=INTEGRAL,
    check=antiderivative_check(step_of_integrand),
)
def recursion(L, psi):
    return -1 / ((2 * L + 1) * psi ** (2 * L + 1)) - 1 / (2 * L * psi ** (2 * L))


def induction_step(L, psi):
    """I_{L+1} from I_L, both in the form (69)."""
    step = 1 / (2 * L * psi ** (2 * L)) + 1 / ((2 * L + 1) * psi ** (2 * L + 1))
    return antiderivative(L + 1, psi), antiderivative(L, psi) - step


@claim(
    "eq:73",
    says=r"The induction step $I_{L+1}=I_L-\frac1{2L\psi^{2L}}-\frac1{(2L+1)\psi^{2L+1}}+C$, made "
    r"for $L\ne1$ as printed.",
    chapter=INTEGRAL,
    check=induction_check,
    mutants=[lambda: (induction_step, lambda L: L < 4)],
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
    says=r"The same with (69) put in for $I_L$.",
    chapter=INTEGRAL,
    check=identity_check(*EVERY_DEPTH),
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
    says=r"Its two powers continue the sum to $n=2(L+1)-1$, which is (69) at $L+1$.",
    chapter=INTEGRAL,
    check=identity_check(*EVERY_DEPTH),
    mutants=[lambda L, psi: (induction_put_in(L, psi)[1], one_term_more(L + 1, psi))],
)
def induction_collected(L, psi):
    powers = sum(1 / (n * psi**n) for n in range(1, 2 * (L + 1)))
    return induction_put_in(L, psi)[1], -powers + sympy.log(psi) - sympy.log(1 - psi)


def partial_fractions(L, psi, first):
    """1 / (1 - psi) + sum of psi^n / psi^(2L) over n = first ... 2L - 1."""
    powers = sum(psi**n for n in range(first, 2 * L))
    return 1 / (psi ** (2 * L) * (1 - psi)), 1 / (1 - psi) + powers / psi ** (2 * L)


@claim(
    "eq:76",
    says=r"Partial fractions: $\frac1{\psi^{2L}(1-\psi)}=\frac1{1-\psi}+\psi^{-2L}\sum_n\psi^n$, "
    r"with the sum from $n=1$ to $2L-1$ as printed.",
    chapter=INTEGRAL,
    check=identity_check(*EVERY_DEPTH),
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
