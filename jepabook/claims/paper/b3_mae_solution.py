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
        lambda L, u, rho: rho ** (L / (L - 1)) * u ** (L / (L - 1)),
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
    says=r"$I=\frac{L-1}{(L+1)u}\Phi\big(u^{(L+1)/(L-1)},1,\frac{1-L}{1+L}\big)$ (with any "
    r"constant).",
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
    says=r"The initial condition $u_0=\rho^{(1-L)/(L+1)}\epsilon^{(L-1)/L}$.",
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
    mutants=[
        lambda f: 1 / variable(f, f.epsilon),
        lambda f: variable(f, f.epsilon) ** 0,
        lambda f: variable(f, f.epsilon) - f.rho,
    ],
)
def vanishing_start(f):
    return variable(f, f.epsilon)


def start_constant(f):
    """C = I(u_0), (101)."""
    return integral(f.L, variable(f, f.epsilon))


def elapsed(f, rho_sign=-1):
    """The term of (97) that grows with time."""
    return -(f.rho ** (rho_sign * mpf(1 - f.L) / (f.L + 1))) * f.lam * (1 - f.L) / f.L * f.t


@claim(
    "eq:101",
    says=r"The constant of (97) is $C=I(u_0)$.",
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


def implicit(f, phi, sign=-1, weight=1):
    """t and the right side of (112) with C = I(psi(0)) and a given Phi; or a near miss."""
    a = mpf(1 - f.L) / (1 + f.L)
    psi = f.rho**a * mp.root(f.w, f.L) ** (f.L - 1)
    scale = f.rho ** (-sign * a) * f.L / f.lam
    second = weight / ((f.L + 1) * psi) * phi(psi ** (mpf(f.L + 1) / (f.L - 1)), 1, a)
    return f.t, scale * (sign * start_constant(f) / (f.L - 1) + second)


def right_lerch(z, s, a):
    """(95) at s = 1."""
    return lerch(z, a)


def printed_lerch(z, s, a):
    """(113) as printed, with exponent a; complex for a < 0."""
    return total(lambda n: z**n / mp.power(a + n, a))


EXPONENT = r"$\Phi(z,s,a)=\sum_{n\ge0}\frac{z^n}{(a+n)^s}$, as in (95)."
SOLUTION_MUTANTS = [
    lambda f: implicit(f, right_lerch, sign=1),
    lambda f: implicit(f, right_lerch, weight=mpf(f.L + 1) / f.L),
    lambda f: implicit(f, lambda z, s, a: lerch(z, a + 1)),
    lambda f: implicit(f, lambda z, s, a: lerch(z, -a)),
]


@claim(
    "eq:112",
    says=r"$t=-\rho^{(1-L)/(L+1)}\frac{CL}{\lambda(L-1)}+\rho^{(1-L)/(L+1)}\frac "
    r"L{\lambda(L+1)\psi}\Phi\big(\psi^{(L+1)/(L-1)},1,\frac{1-L}{1+L}\big)$ with "
    r"$C=I(\psi(0))$, of which (105) gives the leading term.",
    chapter=SOLUTION,
    check=equation_check(MAE, DEEP),
    mutants=SOLUTION_MUTANTS,
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
    mutants=[
        lambda z, s, a: total(lambda n: z**n / (a + n) ** (s + 1)),
        lambda z, s, a: total(lambda n: z**n / (a + n) ** s, start=1),
        lambda z, s, a: total(lambda n: z**n / (s + n) ** a),
    ],
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
    mutants=SOLUTION_MUTANTS,
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
    mutants=[
        lambda f: (-elapsed(f), -start_constant(f) + integral(f.L, f.star)),
        lambda f: (elapsed(f, rho_sign=1), -start_constant(f) + integral(f.L, f.star)),
    ],
)
def solution_rearranged(f):
    return elapsed(f), -start_constant(f) + integral(f.L, f.star)
