"""Appendix B.3: the MAE equation solved for L > 1, eqs. (96)-(101), (112)-(114), Theorem B.10."""

from mpmath import mp, mpf

from jepabook.claims.checks.orders import DEPTHS, limit_check
from jepabook.claims.checks.scalar import lerch
from jepabook.claims.checks.solutions import (
    DEEP,
    equation_check,
    lerch_check,
    power_integral_check,
    separates_check,
    total,
)
from jepabook.claims.ledger import Erratum, claim, decided_by
from jepabook.theory.objectives import MAE

WHERE = "Appendix B.3"
SOLUTION = "08-solving-the-dynamics#mae-solution"
ELEMENTARY = "08-solving-the-dynamics#elementary-form"


@claim(
    "eq:96",
    says=r"The variable $u$: $\bar w=\rho^{L/(L+1)}u^{L/(L-1)}$, in which the MAE equation "
    r"separates as (97) says.",
    methods="S",
    definition=True,
    chapter=SOLUTION,
    check=lambda statement: separates_check(MAE)(
        lambda L, u, lam, rho: (statement(L, u, rho), *separated(L, u, lam, rho)[1:])
    ),
    mutants=[
        lambda L, u, rho: rho ** (L / (L + 1)) * u ** ((L - 1) / L),
        lambda L, u, rho: rho**L * u ** (L / (L - 1)),
    ],
)
def size_from_u(L, u, rho):
    return rho ** (L / (L + 1)) * u ** (L / (L - 1))


@claim(
    "eq:97",
    says=r"$\int\frac{du}{u^2-u^{(-3L+1)/(1-L)}}=-\rho^{-(1-L)/(L+1)}\frac{\lambda(1-L)}Lt"
    r"+C$, for symbolic $L$.",
    chapter=SOLUTION,
    check=separates_check(MAE),
    mutants=[lambda L, u, lam, rho: (rho**L * u ** (L / (L - 1)), *separated(L, u, lam, rho)[1:])],
)
def separated(L, u, lam, rho):
    return (
        rho ** (L / (L + 1)) * u ** (L / (L - 1)),
        1 / (u**2 - u ** ((-3 * L + 1) / (1 - L))),
        -(rho ** (-(1 - L) / (L + 1))) * lam * (1 - L) / L,
    )


@claim(
    "eq:98",
    says=r"$I=\frac{L-1}{(L+1)u}\Phi\big(u^{(L+1)/(L-1)},1,\frac{1-L}{1+L}\big)$ (with any "
    r"constant).",
    chapter=SOLUTION,
    check=power_integral_check,
    mutants=[lambda L, u: -integral(L, u)],
)
def integral(L, u):
    return mpf(L - 1) / (L + 1) / u * lerch(u ** (mpf(L + 1) / (L - 1)), mpf(1 - L) / (1 + L))


def variable(f, w):
    """u of (96) at size w."""
    return f.rho ** (mpf(1 - f.L) / (1 + f.L)) * mp.root(w, f.L) ** (f.L - 1)


@claim(
    "eq:99",
    says=r"The initial condition $u_0=\rho^{(1-L)/(L+1)}\epsilon^{(L-1)/L}$.",
    chapter=SOLUTION,
    check=equation_check(MAE, DEEP),
)
def initial_condition(f):
    start = f.rho ** (mpf(1 - f.L) / (f.L + 1)) * f.epsilon ** (mpf(f.L - 1) / f.L)
    return f.epsilon, size_from_u(mpf(f.L), start, f.rho)  # (96) at u_0


@decided_by("N")
def start_check(statement):
    """Statements (feature) -> u_0: it tends to 0 with epsilon, the size (96) that it stands for."""
    starts = equation_check(MAE, DEEP)(
        lambda f: (f.epsilon, size_from_u(mpf(f.L), statement(f), f.rho))
    )
    return starts and limit_check(MAE, DEPTHS[1:])(statement)


@claim(
    "eq:100",
    says=r"$u_0\to0$ as $\epsilon\to0$ for $L>1$.",
    chapter=SOLUTION,
    check=start_check,
    mutants=[lambda f: 1 / variable(f, f.epsilon)],
)
def vanishing_start(f):
    return variable(f, f.epsilon)


def start_constant(f):
    """C = I(u_0), (101)."""
    return integral(f.L, variable(f, f.epsilon))


def elapsed(f):
    """The term of (97) that grows with time."""
    return -(f.rho ** (-mpf(1 - f.L) / (f.L + 1))) * f.lam * (1 - f.L) / f.L * f.t


@claim(
    "eq:101",
    says=r"The constant of (97) is $C=I(u_0)$.",
    chapter=SOLUTION,
    check=equation_check(MAE, DEEP),
    mutants=[lambda f: (integral(f.L, f.star), elapsed(f) - 1 / variable(f, f.epsilon))],
)
def constant_of_integration(f):
    return integral(f.L, f.star), elapsed(f) + integral(f.L, variable(f, f.epsilon))


def implicit(f, phi):
    """t and the right side of (112) with C = I(psi(0)) and a given Phi."""
    a, psi = mpf(1 - f.L) / (1 + f.L), variable(f, f.w)
    second = phi(psi ** (mpf(f.L + 1) / (f.L - 1)), 1, a) / ((f.L + 1) * psi)
    return f.t, f.rho**a * f.L / f.lam * (second - start_constant(f) / (f.L - 1))


def right_lerch(z, s, a):
    """(95) at s = 1."""
    return lerch(z, a) if s == 1 else mp.nan


def printed_lerch(z, s, a):
    """(113) as printed, with exponent a; complex for a < 0."""
    return total(lambda n: z**n / mp.power(a + n, a))


EXPONENT = r"$\Phi(z,s,a)=\sum_{n\ge0}\frac{z^n}{(a+n)^s}$, as in (95)."


@claim(
    "eq:112",
    says=r"$t=-\rho^{(1-L)/(L+1)}\frac{CL}{\lambda(L-1)}+\rho^{(1-L)/(L+1)}\frac "
    r"L{\lambda(L+1)\psi}\Phi\big(\psi^{(L+1)/(L-1)},1,\frac{1-L}{1+L}\big)$ with "
    r"$C=I(\psi(0))$, of which (105) gives the leading term.",
    chapter=SOLUTION,
    check=equation_check(MAE, DEEP),
)
def implicit_solution(f):
    a = mpf(1 - f.L) / (1 + f.L)
    psi = f.rho**a * f.w ** (mpf(f.L - 1) / f.L)
    first = -(f.rho**a) * start_constant(f) * f.L / (f.lam * (f.L - 1))
    phi = lerch(psi ** (mpf(f.L + 1) / (f.L - 1)), a)
    return f.t, first + f.rho**a * f.L / (f.lam * (f.L + 1) * psi) * phi


@claim(
    "eq:113",
    says=r"The Lerch transcendent, as printed: $\Phi(z,s,a)=\sum_{n\ge0}\frac{z^n}{(a+n)^a}$.",
    chapter=SOLUTION,
    check=lerch_check,
    mutants=[lambda z, s, a: total(lambda n: z**n / (s + n) ** a)],
    erratum=Erratum(
        lambda z, s, a: total(lambda n: z**n / (a + n) ** s),
        says="The exponent is $s$: " + EXPONENT,
        consequence="A misprint: (95) has it right. (The theorem also calls its arguments "
        "$z,a,q$.)",
    ),
)
def printed_definition(z, s, a):
    return printed_lerch(z, s, a)


@claim(
    "thm:B.10",
    says=r"For $L>1$ the MAE equation is solved, implicitly in $\psi=\rho^{(1-L)/(L+1)}\bar w^{"
    r"(L-1)/L}$, by (112), with $\Phi$ as (113) defines it.",
    chapter=SOLUTION,
    check=equation_check(MAE, DEEP),
    erratum=Erratum(
        lambda f: implicit(f, right_lerch),
        says="With " + EXPONENT,
        consequence=r"Only the definition of $\Phi$ is misprinted; (112) is right. Its $C$ is "
        r"$I(\psi(0))$; the proof's (105) gives it up to $\Theta(\epsilon^{2/L})$ only.",
    ),
)
def mae_dynamics(f):
    return implicit(f, printed_lerch)


@claim(
    "eq:114",
    says=r"$-\rho^{-(1-L)/(L+1)}\frac{\lambda(1-L)}Lt=-C+\frac{L-1}{u(L+1)}\Phi\big(u^{"
    r"(L+1)/(L-1)},1,\frac{1-L}{1+L}\big)$.",
    chapter=SOLUTION,
    check=equation_check(MAE, DEEP),
)
def solution_rearranged(f):
    return elapsed(f), -start_constant(f) + integral(f.L, f.star)
