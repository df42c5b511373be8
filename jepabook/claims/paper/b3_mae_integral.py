"""Appendix B.3: the integral of the MAE equation, eqs. (89)-(95), Lemma B.8."""

from mpmath import mp

from jepabook.claims.checks.scalar import lerch
from jepabook.claims.checks.solutions import geometric_check, integral_check, lerch_check, total
from jepabook.claims.ledger import Erratum, claim

WHERE = "Appendix B.3"
INTEGRAL = "08-solving-the-dynamics#mae-integral"
SOLUTION = "08-solving-the-dynamics#mae-solution"
ELEMENTARY = "08-solving-the-dynamics#elementary-form"

# 2 + 1/n are the exponents at which the lemma divides by zero
ALPHAS = (2.5, 2.7, 3, 4.25)


def power_term(u, exponent):
    """The antiderivative of psi^(exponent - 1) at u: a logarithm if the exponent is 0."""
    return u**exponent / exponent if exponent else mp.log(u)


def series(alpha, u, first=0):
    """An antiderivative of 1 / (psi^2 - psi^alpha) at u, for every alpha > 2."""
    return total(lambda n: power_term(u, n * (alpha - 2) - 1), first)


def all_exponents(alpha, delta, u):
    """The corrected (89), (91)-(93), where C is 0."""
    return series(alpha, u)


def from_delta(alpha, delta, u):
    """The corrected (94): an integral that begins at delta has no constant to choose."""
    return series(alpha, u) - series(alpha, delta)


EXCEPTION = (
    r"Not for $\alpha=2+\frac1n$, $n=1,2,\dots$, where the $n$-th term divides by zero: there it "
    r"is $\log u$."
)
NOT_USED = (
    r"The paper is not affected: it uses $\frac1{\alpha-2}=\frac{L-1}{L+1}$, never an integer for "
    r"$L>1$. (With $\frac1{\alpha-2}=2L-1$ the integral is JEPA's, and the exception is the "
    r"logarithm of Lemma B.6.)"
)
SERIES_MUTANTS = [
    lambda alpha, delta, u: series(alpha, u, first=1),
    lambda alpha, delta, u: series(alpha, 1 - u),
    lambda alpha, delta, u: -series(alpha, u),
]


@claim(
    "lemma:B.8",
    says=r"For $\alpha>2$ and $0<\delta<u<1$ the integral of $\frac1{\psi^2-\psi^\alpha}$ over "
    r"$[\delta,u]$ is (89).",
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
@claim(
    "eq:89",
    says=r"$\int_\delta^u\frac{d\psi}{\psi^2-\psi^\alpha}=\frac1{(\alpha-2)u}\sum_{n\ge0}\frac{"
    r"u^{n(\alpha-2)}}{n-\frac1{\alpha-2}}+C$ for all $\alpha>2$.",
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
def power_series(alpha, delta, u):
    terms = total(lambda n: u ** (n * (alpha - 2)) / (n - 1 / (alpha - 2)))
    return terms / ((alpha - 2) * u)


@claim(
    "eq:90",
    says=r"$\frac1{\psi^2-\psi^\alpha}=\frac1{\psi^2}+\sum_{n\ge1}\psi^{n(\alpha-2)-2}$ for "
    r"$\alpha>2$, $0<\psi<1$.",
    chapter=INTEGRAL,
    check=geometric_check,
)
def geometric(alpha, psi):
    terms = total(lambda n: psi ** (n * (alpha - 2) - 2), start=1)
    return 1 / (psi**2 - psi**alpha), 1 / psi**2 + terms


@claim(
    "eq:91",
    says=r"(90) integrated term by term: $-\frac1u+\sum_{n\ge1}\frac{u^{n(\alpha-2)-1}}{n("
    r"\alpha-2)-1}+C_\delta$.",
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
def integrated_termwise(alpha, delta, u):
    return -1 / u + total(lambda n: u ** (n * (alpha - 2) - 1) / (n * (alpha - 2) - 1), start=1)


@claim(
    "eq:92",
    says=r"The same as one sum, $\sum_{n\ge0}\frac{u^{n(\alpha-2)-1}}{n(\alpha-2)-1}+C_\delta$.",
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
def one_sum(alpha, delta, u):
    return total(lambda n: u ** (n * (alpha - 2) - 1) / (n * (alpha - 2) - 1))


@claim(
    "eq:93",
    says=r"The same with $\frac1{(\alpha-2)u}$ taken out, which is (89).",
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
def factored_sum(alpha, delta, u):
    return power_series(alpha, delta, u)


@claim(
    "eq:94",
    says=r"The same as a Lerch transcendent, $I(u)=\frac1{(\alpha-2)u}\Phi\big(u^{\alpha-2},1,-"
    r"\frac1{\alpha-2}\big)$, printed without the constant.",
    chapter=INTEGRAL,
    check=integral_check(ALPHAS, constant=False),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(
        from_delta,
        says=r"With $+C_\delta$, minus the formula at $u=\delta$, if $I$ is the integral of (89). "
        + EXCEPTION,
        consequence=r"(98) and (101) mean by $I$ the antiderivative with $C_\delta=0$, for which "
        r"the formula is right. " + NOT_USED,
    ),
)
def lerch_form(alpha, delta, u):
    return lerch(u ** (alpha - 2), -1 / (alpha - 2)) / ((alpha - 2) * u)


@claim(
    "eq:95",
    says=r"$\Phi(z,s,a)=\sum_{n\ge0}\frac{z^n}{(n+a)^s}$ for $\lvert z\rvert<1$ ($a\ne0,-1,-2,"
    r"\dots$).",
    definition=True,
    chapter=INTEGRAL,
    check=lerch_check,
    mutants=[lambda z, s, a: total(lambda n: z**n / (n + s) ** a)],
)
def lerch_transcendent(z, s, a):
    return total(lambda n: z**n / (n + a) ** s)
