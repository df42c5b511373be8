"""Claims that the paper does not make: one solution for both objectives, and the sign condition."""

from fractions import Fraction

from mpmath import mp, mpf

from jepabook.claims.checks.motion import closed_form_check, logit_check
from jepabook.claims.checks.sizes import signed_growth_check
from jepabook.claims.checks.solutions import (
    elementary_check,
)
from jepabook.claims.ledger import claim
from jepabook.claims.paper.b3_mae_solution import ELEMENTARY

CLOSED_FORM = "02-what-is-learned#closed-form"
VIOLATIONS = "07-from-matrices-to-one-equation#violations"


@claim(
    "new:closed-form",
    says=r"With $q=k-\frac1L$ ($k=3$ JEPA, $2$ MAE), $s=3-q$, $m=\frac{q-1}s$, $z=w^s/\rho$, both "
    r"ODEs are solved by $s\lambda\rho^m t=\big[z^{-m}\Phi(z,1,-m)\big]_{z(0)}^{z(t)}$, with $\log "
    r"z$ for the resonant term if $m$ is an integer; $m=2L-1$ (JEPA), $\frac{L-1}{L+1}$ (MAE).",
    chapter=CLOSED_FORM,
    ground="proved",
    check=closed_form_check,
    mutants=[
        lambda k, L, *rest: closed_form(5 - k, L, *rest),
        lambda k, L, *rest: closed_form(k, L, *rest) * (3 - k + 1 / L),
        lambda k, L, lam, rho, *rest: closed_form(k, L, lam, rho, *rest) * rho,
        lambda *known: closed_form(*known[:-1], lambda z, a: known[-1](z, a + 1)),
    ],
)
def closed_form(k, L, lam, rho, w, epsilon, phi):
    q = k - 1 / L
    s = 3 - q
    m = (q - 1) / s

    def clock(w):
        z = w**s / rho
        return z ** (-m) * phi(z, -m)

    return (clock(w) - clock(epsilon)) / (s * lam * rho**m)


@claim(
    "new:logit-form",
    says=r"In the log-odds $\ell=\log\frac z{1-z}$ both objectives obey "
    r"$\dot\ell=s\lambda\rho^mz^m$.",
    chapter=CLOSED_FORM,
    check=logit_check,
    mutants=[lambda s, m, lam, rho, z: s * lam * rho**m * z ** (m + 1)],
)
def logit_form(s, m, lam, rho, z):
    return s * lam * rho**m * z**m


@claim(
    "new:sign-condition",
    says=r"From any orthogonal $U_v$: $\dot "
    r"w_i=D_i\lambda_iw_i^q-\frac{\lambda_i}{\rho_i}w_i^3$ at $t=0$ ($L$ absorbed), "
    r"$D_i=(\mathcal U^\top U_v\,\mathcal U)_{ii}$ (JEPA), $(U_v\,\mathcal U)_{ii}$ (MAE), "
    r"$\mathcal U=\prod_aU_a$; so (7), (8) need $U_v=I$ (JEPA), $U_v\,\mathcal U=I$ (MAE). For "
    r"MAE and $U_v\,\mathcal U=\mathrm{diag}(\pm1)$ it holds at all times: a feature with sign "
    r"$-1$ decays to zero.",
    chapter=VIOLATIONS,
    check=signed_growth_check,
    mutants=[
        lambda o, kappa, w, f, L: kappa * signed_growth(o, 1, w, f, L),
        lambda o, kappa, w, f, L: signed_growth(o, kappa**2, w, f, L),
    ],
)
def signed_growth(objective, kappa, w, f, L):
    growth = w ** (objective.base_exponent - Fraction(1, L)) * f.lam
    return kappa * growth - w**3 * f.lam / f.rho


def roots_of_one(L, r, power=2, leading=1, count=None):
    """The claim below; a near miss has another power of the roots, or another number of them."""
    n = L + 1 if count is None else count
    roots = [mp.expjpi(mpf(2 * j) / n) for j in range(n)]
    logs = mp.fsum(root**power * mp.log(1 - r / root) for root in roots)
    return -leading / ((L - 1) * r ** (L - 1)) - logs.real / n


@claim(
    "new:elementary-form",
    says=r"With $\hat\omega=(\bar w/\bar w(\infty))^{1/L}$, $\xi_j=e^{2\pi ij/(L+1)}$, $L>1$: "
    r"$\int\frac{d\hat\omega}{\hat\omega^L(1-\hat\omega^{L+1})}=-\frac1{(L-1)\hat\omega^{L-1}}"
    r"-\frac1{L+1}\sum_{j=0}^L\xi_j^2\log\big(1-\frac{\hat\omega}{\xi_j}\big)=\frac1{L-1}I(u)"
    r"$, $u=\hat\omega^{L-1}$, and $t=\frac L\lambda\rho^{(1-L)/(1+L)}$ times its increase.",
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
