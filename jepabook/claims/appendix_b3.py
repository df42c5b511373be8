"""Appendix B.3: the MAE equation solved for L > 1, eqs. (89)-(101), Lemma B.8; elementary form."""

from mpmath import mp, mpf

from jepabook import MAE
from jepabook.claims.checks_orders import DEPTHS, limit_check
from jepabook.claims.checks_solutions import (
    DEEP,
    elementary_check,
    equation_check,
    geometric_check,
    integral_check,
    lerch_check,
    power_integral_check,
    separates_check,
    total,
)
from jepabook.claims.ledger import CORRECTED, DEFINITION, HOLDS, Erratum, claim
from jepabook.claims.scalar_features import lerch

WHERE = "Appendix B.3"
INTEGRAL = "04-solving-the-dynamics#mae-integral"
SOLUTION = "04-solving-the-dynamics#mae-solution"
ELEMENTARY = "04-solving-the-dynamics#elementary-form"

# 2 + 1/n are the exponents at which the lemma divides by zero
ALPHAS = (2.5, 2.7, 3, 4.25)


def power_term(u, exponent):
    """The antiderivative of psi^(exponent - 1) at u: a logarithm if the exponent is 0."""
    return u**exponent / exponent if exponent else mp.log(u)


def all_exponents(alpha, delta, u, first=0, shift=1, sign=1):
    """The corrected (89), (91)-(94), valid for every alpha > 2, less its value at delta."""
    return sign * total(
        lambda n: (
            power_term(u, n * (alpha - 2) - shift) - power_term(delta, n * (alpha - 2) - shift)
        ),
        first,
    )


EXCEPTION = (
    r"Not for $\alpha=2+\frac1n$, $n=1,2,\dots$, where the $n$-th term divides by zero: there it "
    r"is $\log u$."
)
NOT_USED = (
    r"None for the paper, which uses $\frac1{\alpha-2}=\frac{L-1}{L+1}$, never an integer for "
    r"$L>1$. The exception is the logarithm of Lemma B.6 and of $L=1$ in Appendix B.4."
)
SERIES_MUTANTS = [
    lambda alpha, delta, u: all_exponents(alpha, delta, u, first=1),
    lambda alpha, delta, u: all_exponents(alpha, delta, u, shift=2),
    lambda alpha, delta, u: all_exponents(alpha, delta, u, sign=-1),
]


@claim(
    "lemma:B.8",
    where=WHERE,
    says=r"For $\alpha>2$ and $0<\delta<u<1$ the integral of $\frac1{\psi^2-\psi^\alpha}$ over "
    r"$[\delta,u]$ is (89).",
    methods="NR",
    verdict=CORRECTED,
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
@claim(
    "eq:89",
    where=WHERE,
    says=r"$\int_\delta^u\frac{d\psi}{\psi^2-\psi^\alpha}=\frac1{(\alpha-2)u}\sum_{n\ge0}\frac{"
    r"u^{n(\alpha-2)}}{n-\frac1{\alpha-2}}+C$ for all $\alpha>2$.",
    methods="NR",
    verdict=CORRECTED,
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
    where=WHERE,
    says=r"$\frac1{\psi^2-\psi^\alpha}=\frac1{\psi^2}+\sum_{n\ge1}\psi^{n(\alpha-2)-2}$ for "
    r"$\alpha>2$, $0<\psi<1$.",
    methods="N",
    verdict=HOLDS,
    chapter=INTEGRAL,
    check=geometric_check,
    mutants=[
        lambda alpha, psi: (geometric(alpha, psi)[0], geometric(alpha, psi)[1] - 1 / psi**2),
        lambda alpha, psi: (geometric(alpha, psi)[0], geometric(alpha, psi)[1] * psi),
        lambda alpha, psi: (1 / (psi**2 + psi**alpha), geometric(alpha, psi)[1]),
    ],
)
def geometric(alpha, psi):
    terms = total(lambda n: psi ** (n * (alpha - 2) - 2), start=1)
    return 1 / (psi**2 - psi**alpha), 1 / psi**2 + terms


@claim(
    "eq:91",
    where=WHERE,
    says=r"(90) integrated term by term: $-\frac1u+\sum_{n\ge1}\frac{u^{n(\alpha-2)-1}}{n("
    r"\alpha-2)-1}+C_\delta$.",
    methods="NR",
    verdict=CORRECTED,
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
def integrated_termwise(alpha, delta, u):
    return -1 / u + total(lambda n: u ** (n * (alpha - 2) - 1) / (n * (alpha - 2) - 1), start=1)


@claim(
    "eq:92",
    where=WHERE,
    says=r"The same as one sum, $\sum_{n\ge0}\frac{u^{n(\alpha-2)-1}}{n(\alpha-2)-1}+C_\delta$.",
    methods="NR",
    verdict=CORRECTED,
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
def one_sum(alpha, delta, u):
    return total(lambda n: u ** (n * (alpha - 2) - 1) / (n * (alpha - 2) - 1))


@claim(
    "eq:93",
    where=WHERE,
    says=r"The same with $\frac1{(\alpha-2)u}$ taken out, which is (89).",
    methods="NR",
    verdict=CORRECTED,
    chapter=INTEGRAL,
    check=integral_check(ALPHAS),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(all_exponents, says=EXCEPTION, consequence=NOT_USED),
)
def factored_sum(alpha, delta, u):
    return power_series(alpha, delta, u)


@claim(
    "eq:94",
    where=WHERE,
    says=r"The same as a Lerch transcendent, $I(u)=\frac1{(\alpha-2)u}\Phi\big(u^{\alpha-2},1,-"
    r"\frac1{\alpha-2}\big)$, printed without the constant.",
    methods="NR",
    verdict=CORRECTED,
    chapter=INTEGRAL,
    check=integral_check(ALPHAS, constant=False),
    mutants=SERIES_MUTANTS,
    erratum=Erratum(
        all_exponents,
        says=r"With $+C_\delta$, where $C_\delta$ is minus the right side at $u=\delta$, if $I$ "
        r"is the "
        "integral of (89). " + EXCEPTION,
        consequence=r"None: (98) and (101) mean by $I$ the antiderivative with $C_\delta=0$, for "
        r"which "
        r"the formula is right. " + NOT_USED,
    ),
)
def lerch_form(alpha, delta, u):
    return lerch(u ** (alpha - 2), -1 / (alpha - 2)) / ((alpha - 2) * u)


@claim(
    "eq:95",
    where=WHERE,
    says=r"$\Phi(z,s,a)=\sum_{n\ge0}\frac{z^n}{(n+a)^s}$ for $\lvert z\rvert<1$ ($a\ne0,-1,-2,"
    r"\dots$).",
    methods="NR",
    verdict=DEFINITION,
    definition=True,
    chapter=INTEGRAL,
    check=lerch_check,
    mutants=[
        lambda z, s, a: total(lambda n: z**n / (n + a) ** s, start=1),
        lambda z, s, a: total(lambda n: z**n / (n + a + 1) ** s),
        lambda z, s, a: total(lambda n: z**n / (n + s) ** a),
    ],
)
def lerch_transcendent(z, s, a):
    return total(lambda n: z**n / (n + a) ** s)


def mae_integrand(L, u):
    """1 / (u^2 - u^alpha), alpha = (-3L + 1) / (1 - L)."""
    return 1 / (u**2 - u ** ((-3 * L + 1) / (1 - L)))


def separated_by(w_power, u_power=None, rate_sign=-1):
    """A near miss of (97): other exponents of rho in (96) and in the rate."""

    def statement(L, u, lam, rho):
        power = L / (L - 1) if u_power is None else u_power(L)
        w = rho ** w_power(L) * u**power
        return w, mae_integrand(L, u), -(rho ** (rate_sign * (1 - L) / (L + 1))) * lam * (1 - L) / L

    return statement


@claim(
    "eq:96",
    where=WHERE,
    says=r"The variable $u$: $\bar w=\rho^{L/(L+1)}u^{L/(L-1)}$, in which the MAE equation "
    r"separates as (97) says.",
    methods="S",
    verdict=DEFINITION,
    definition=True,
    chapter=SOLUTION,
    check=lambda statement: separates_check(MAE)(
        lambda L, u, lam, rho: (statement(L, u, rho), *separated(L, u, lam, rho)[1:])
    ),
    mutants=[
        lambda L, u, rho: rho ** (L / (L + 1)) * u ** ((L - 1) / L),
        lambda L, u, rho: rho**L * u ** (L / (L - 1)),
        lambda L, u, rho: rho ** (L / (L - 1)) * u ** (L / (L - 1)),
    ],
)
def size_from_u(L, u, rho):
    return rho ** (L / (L + 1)) * u ** (L / (L - 1))


@claim(
    "eq:97",
    where=WHERE,
    says=r"$\int\frac{du}{u^2-u^{(-3L+1)/(1-L)}}=-\rho^{-\frac{1-L}{L+1}}\frac{\lambda(1-L)}Lt"
    r"+C$, for symbolic $L$.",
    methods="S",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=separates_check(MAE),
    mutants=[
        separated_by(lambda L: L / (L + 1), rate_sign=1),
        separated_by(lambda L: L, rate_sign=-1),
        separated_by(lambda L: L / (L + 1), lambda L: (L + 1) / (L - 1)),
    ],
)
def separated(L, u, lam, rho):
    return (
        rho ** (L / (L + 1)) * u ** (L / (L - 1)),
        1 / (u**2 - u ** ((-3 * L + 1) / (1 - L))),
        -(rho ** (-(1 - L) / (L + 1))) * lam * (1 - L) / L,
    )


def integral(L, u, shift=0, weight=None, exponent=None):
    """(98); a near miss has another weight, exponent, or third argument."""
    weight = mpf(L - 1) / (L + 1) if weight is None else weight
    exponent = mpf(L + 1) / (L - 1) if exponent is None else exponent
    return weight / u * lerch(u**exponent, mpf(1 - L) / (1 + L) + shift)


@claim(
    "eq:98",
    where=WHERE,
    says=r"$I=\frac{L-1}{(L+1)u}\Phi\big(u^{\frac{L+1}{L-1}},1,\frac{1-L}{1+L}\big)$ (with any "
    r"constant).",
    methods="NR",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=power_integral_check,
    mutants=[
        lambda L, u: integral(L, u, weight=mpf(L + 1) / (L - 1)),
        lambda L, u: integral(L, u, shift=1),
        lambda L, u: integral(L, u, exponent=mpf(L + 1) / L),
        lambda L, u: -integral(L, u),
    ],
)
def integral_by_lerch(L, u):
    return mpf(L - 1) / (L + 1) / u * lerch(u ** (mpf(L + 1) / (L - 1)), mpf(1 - L) / (1 + L))


def variable(f, w, exponent=1):
    """u of (96) at size w; a near miss has another exponent of rho."""
    return f.rho ** (exponent * mpf(1 - f.L) / (1 + f.L)) * mp.root(w, f.L) ** (f.L - 1)


@claim(
    "eq:99",
    where=WHERE,
    says=r"The initial condition $u_0=\rho^{\frac{1-L}{L+1}}\epsilon^{\frac{L-1}L}$.",
    methods="N",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=equation_check(MAE, DEEP),
    mutants=[
        lambda f: (f.epsilon, size_from_u(mpf(f.L), variable(f, f.epsilon, exponent=-1), f.rho)),
        lambda f: (f.epsilon, size_from_u(mpf(f.L), variable(f, f.epsilon, exponent=0), f.rho)),
        lambda f: (f.epsilon, size_from_u(mpf(f.L), mp.root(variable(f, f.epsilon), f.L), f.rho)),
    ],
)
def initial_condition(f):
    start = f.rho ** (mpf(1 - f.L) / (f.L + 1)) * f.epsilon ** (mpf(f.L - 1) / f.L)
    return f.epsilon, size_from_u(mpf(f.L), start, f.rho)  # (96) at u_0


@claim(
    "eq:100",
    where=WHERE,
    says=r"$u_0\to0$ as $\epsilon\to0$ for $L>1$.",
    methods="N",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=limit_check(MAE, DEPTHS[1:]),
    mutants=[
        lambda f: 1 / variable(f, f.epsilon),
        lambda f: variable(f, f.epsilon) ** 0,
        lambda f: variable(f, f.epsilon) - f.rho,
    ],
)
def vanishing_start(f):
    return variable(f, f.epsilon)


def elapsed(f, rho_sign=-1):
    """The term of (97) that grows with time."""
    return -(f.rho ** (rho_sign * mpf(1 - f.L) / (f.L + 1))) * f.lam * (1 - f.L) / f.L * f.t


@claim(
    "eq:101",
    where=WHERE,
    says=r"The constant of (97) is $C=I(u_0)$.",
    methods="N",
    verdict=HOLDS,
    chapter=SOLUTION,
    check=equation_check(MAE, DEEP),
    mutants=[
        lambda f: (integral(f.L, f.star), elapsed(f) - integral(f.L, variable(f, f.epsilon))),
        lambda f: (integral(f.L, f.star), elapsed(f)),
        lambda f: (integral(f.L, f.star), elapsed(f) - 1 / variable(f, f.epsilon)),
    ],
)
def constant_of_integration(f):
    return integral(f.L, f.star), elapsed(f) + integral(f.L, variable(f, f.epsilon))


def roots_of_one(L, r, power=2, leading=1, count=None):
    """The claim below; a near miss has another power of the roots, or another number of them."""
    n = L + 1 if count is None else count
    roots = [mp.expjpi(mpf(2 * j) / n) for j in range(n)]
    logs = mp.fsum(root**power * mp.log(1 - r / root) for root in roots)
    return -leading / ((L - 1) * r ** (L - 1)) - logs.real / n


@claim(
    "new:elementary-form",
    where="this book",
    says=r"With $r=(\bar w/\bar w(\infty))^{1/L}$, $n=L+1$, $\omega_j=e^{2\pi ij/n}$, $L>1$: "
    r"$\int\frac{dr}{r^L(1-r^n)}=-\frac1{(L-1)r^{L-1}}-\frac1n\sum_{j=0}^L\omega_j^2\log\big(1-"
    r"\frac r{\omega_j}\big)=\frac1{L-1}I(u)$, $u=r^{L-1}$, and $t=\frac L\lambda\rho^{"
    r"\frac{1-L}{1+L}}$ times its increase.",
    methods="NR",
    verdict=HOLDS,
    chapter=ELEMENTARY,
    check=elementary_check,
    mutants=[
        lambda L, r: roots_of_one(L, r, power=1),
        lambda L, r: roots_of_one(L, r, power=-2),
        lambda L, r: roots_of_one(L, r, leading=-1),
        lambda L, r: roots_of_one(L, r, count=L + 2),
    ],
)
def elementary_form(L, r):
    roots = [mp.expjpi(mpf(2 * j) / (L + 1)) for j in range(L + 1)]
    logs = mp.fsum(root**2 * mp.log(1 - r / root) for root in roots)
    return -1 / ((L - 1) * r ** (L - 1)) - logs / (L + 1)
