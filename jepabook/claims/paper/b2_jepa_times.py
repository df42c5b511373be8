"""Appendix B.2: the critical time of JEPA, eqs. (78)-(83)."""

from mpmath import mp

from jepabook.claims.checks.orders import DEPTHS, order_check, subleading_check, theta
from jepabook.claims.checks.solutions import equation_check, separates_check
from jepabook.claims.ledger import Erratum, claim
from jepabook.claims.paper.b2_jepa_integral import antiderivative
from jepabook.theory.objectives import JEPA

WHERE = "Appendix B.2"
CHAPTER = "09-when-is-a-feature-learned#jepa-critical-time"


@claim(
    "eq:78",
    says=r"$I_L=\int\frac{d\psi}{\psi^{2L}-\psi^{2L+1}}=\frac{\sigma^2\rho^{2L}}Lt+C$ with "
    r"$\bar w=(\rho\psi)^L$, for symbolic $L$.",
    chapter=CHAPTER,
    check=separates_check(JEPA),
    mutants=[lambda L, psi, lam, rho: (rho * psi**L, *separated(L, psi, lam, rho)[1:])],
)
def separated(L, psi, lam, rho):
    sigma2 = lam / rho
    return (rho * psi) ** L, 1 / (psi ** (2 * L) - psi ** (2 * L + 1)), sigma2 * rho ** (2 * L) / L


@claim(
    "eq:79",
    says=r"$C=-\sum_{n=1}^{2L-1}\frac{\rho^n}{n\epsilon^{n/L}}+\frac1L\log\epsilon-\log\rho-"
    r"\log\big(1-\frac{\epsilon^{1/L}}\rho\big)$.",
    chapter=CHAPTER,
    check=equation_check(JEPA),
)
def initial_constant(f):
    root = mp.root(f.epsilon, f.L)
    powers = sum(f.rho**n / (n * root**n) for n in range(1, 2 * f.L))
    constant = -powers + mp.log(f.epsilon) / f.L - mp.log(f.rho) - mp.log(1 - root / f.rho)
    # (78) along the solution: I_L(psi) - sigma^2 rho^(2L) t / L
    return constant, antiderivative(f.L, f.x, mp.log) - f.sigma2 * f.rho ** (2 * f.L) / f.L * f.t


@claim(
    "eq:80",
    says=r"$\frac{\sigma^2\rho^{2L}}Lt^*=I_L(\psi_*)-C$ written out, with $\psi_*=p^{1/L}$, "
    r"(69) for $I_L$ and (79) for $C$.",
    chapter=CHAPTER,
    check=equation_check(JEPA),
)
def critical_time_equation(f):
    root = mp.root(f.epsilon, f.L)
    return (
        f.sigma2 * f.rho ** (2 * f.L) / f.L * f.t,
        -sum(1 / (n * f.x**n) for n in range(1, 2 * f.L))
        + mp.log(f.x)
        - mp.log(1 - f.x)
        + sum(f.rho**n / (n * root**n) for n in range(1, 2 * f.L))
        - mp.log(f.epsilon) / f.L
        + mp.log(f.rho)
        + mp.log(1 - root / f.rho),
    )


@claim(
    "eq:81",
    says=r"The part of $t^*$ that depends on $p$ is of smaller order than the rest if "
    r"$p^{1/L}\sim\epsilon^\beta$ with $\beta<\frac1L$, or $1-p^{1/L}\sim\exp(-\epsilon^{-"
    r"\beta})$ with $\beta<\frac{2L-1}L$; at no larger $\beta$. (It need not be "
    r"$O(\log\epsilon)$: see Theorem 3.4.)",
    chapter=CHAPTER,
    check=subleading_check(JEPA, DEPTHS),
    mutants=[
        lambda L, end, beta, power: beta * L <= (1 if end == 0 else 2 * L - 1),
        lambda L, end, beta, power: beta * 10 * L < (9 if end == 0 else 9 * (2 * L - 1)),
    ],
)
def range_of_fractions(L, end, beta, power):
    return beta * L < 1 if end == 0 else beta * L < 2 * L - 1


def jepa_sum(f):
    """(L / lam) sum over n = 1 ... 2L - 1 of rho^(n + 1 - 2L) / (n epsilon^(n/L))."""
    root = mp.root(f.epsilon, f.L)
    terms = (f.L / (n * f.rho ** (2 * f.L - n - 1) * root**n) for n in range(1, 2 * f.L))
    return sum(terms) / f.lam


def laurent(f):
    """(82) without its remainder."""
    return jepa_sum(f) - mp.log(f.epsilon) / (f.sigma2 * f.rho ** (2 * f.L))


def constant_term(f):
    """What (82) hides in its remainder: L / (sigma^2 rho^(2L)) (I_L(p^(1/L)) + log rho)."""
    powers = sum(1 / (n * f.x**n) for n in range(1, 2 * f.L))
    value = -powers + mp.log(f.x) - f.log_gap_star + mp.log(f.rho)
    return f.L / (f.sigma2 * f.rho ** (2 * f.L)) * value


def laurent_to_next_order(f):
    """(82) with its constant written out."""
    return theta(f.t, laurent(f) + constant_term(f), mp.root(f.epsilon, f.L))


@claim(
    "eq:82",
    says=r"At constant $p$: $t^*=\sum_{n=1}^{2L-1}\frac{L\rho^{n-2L}}{n\sigma^2\epsilon^{n/L}}-"
    r"\frac{\log\epsilon}{\sigma^2\rho^{2L}}+\Theta(1)$.",
    chapter=CHAPTER,
    check=order_check(JEPA),
    mutants=[
        lambda f: theta(f.t, laurent(f) + constant_term(f), 1),
        lambda f: theta(f.t, laurent(f) + constant_term(f), mp.root(f.epsilon, f.L) ** 2),
    ],
    erratum=Erratum(
        laurent_to_next_order,
        says=r"$O(1)$: the remainder is $\frac L{\sigma^2\rho^{2L}}\big(I_L(p^{1/L})+\log\rho"
        r"\big)+\Theta(\epsilon^{1/L})$, whose constant vanishes at the one $p$ with "
        r"$I_L(p^{1/L})=-\log\rho$.",
        consequence=r"None at constant $p$. Over the range (81) the remainder is larger: "
        r"$\Theta(\epsilon^{-\beta(2L-1)})$ near $p=0$ and $\Theta(\epsilon^{-\beta})$ near $p=1$; "
        r"see Theorem 3.4.",
    ),
)
def laurent_expansion(f):
    root = mp.root(f.epsilon, f.L)
    powers = sum(f.L * f.rho ** (n - 2 * f.L) / (n * f.sigma2 * root**n) for n in range(1, 2 * f.L))
    return theta(f.t, powers - mp.log(f.epsilon) / (f.sigma2 * f.rho ** (2 * f.L)), 1)


@claim(
    "eq:83",
    says=r"(82) with $\sigma^2=\lambda/\rho$, at constant $p$: $t^*=\frac1\lambda\sum_{n=1}^{2L-1}"
    r"\frac L{n\rho^{2L-n-1}\epsilon^{n/L}}+\Theta(\log\epsilon)$, which is (12).",
    chapter=CHAPTER,
    check=order_check(JEPA),
    mutants=[lambda f: theta(f.t, jepa_sum(f), 1)],
)
def laurent_in_lambda(f):
    root = mp.root(f.epsilon, f.L)
    powers = (f.L / (n * f.rho ** (2 * f.L - n - 1) * root**n) for n in range(1, 2 * f.L))
    return theta(f.t, sum(powers) / f.lam, mp.log(f.epsilon))
