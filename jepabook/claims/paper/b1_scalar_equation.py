"""Appendix B.1: one equation for every feature, eqs. (63)-(67) and Corollary B.5."""

from fractions import Fraction

from jepabook.claims.checks.aligned import along_flow_check
from jepabook.claims.checks.motion import flow_limit_check
from jepabook.claims.checks.sizes import ode_check
from jepabook.claims.ledger import claim
from jepabook.claims.paper.s3_dynamics import (
    FIXED_POINTS,
    ONE_EQUATION,
    SEPARATION_MUTANTS,
    TWO_CLOCKS,
    deep_limit,
    depth_separation_check,
    fixed_points,
)
from jepabook.theory.objectives import JEPA, MAE

WHERE = "Appendix B.1"


def column_norms(matrix):
    """The squared norms of a matrix's columns, as a row."""
    return sum(matrix * matrix).reshape(1, -1)


@claim(
    "eq:63",
    says=r"Both objectives: $\bar w_i=\bar\omega_{ii}=\lVert\bar We_i\rVert$ along the flow.",
    chapter=ONE_EQUATION,
    check=along_flow_check(JEPA, MAE),
    mutants=[
        lambda n, U, w: (column_norms(w**1), column_norms(n.encoder.T)),
        lambda n, U, w: (column_norms(w**1), column_norms(n.total)),
    ],
)
def sizes(n, U, w):
    # both sides are positive, so their squares may be compared
    return column_norms(w**1), column_norms(n.encoder)


@claim(
    "eq:64",
    says=r"MAE, with $L$ absorbed into time: $\dot{\bar w}_i=\bar w_i^{2-1/L}\Sigma^{yx}_{ii}-"
    r"\bar w_i^3\Sigma^{xx}_{ii}$.",
    chapter=ONE_EQUATION,
    check=ode_check(MAE, absorbed=True),
    mutants=[lambda w, f, L: w ** (2 - Fraction(1, L)) * f.xx - w**3 * f.yx],
)
def mae_size_ode(w, f, L):
    return w ** (2 - Fraction(1, L)) * f.yx - w**3 * f.xx


@claim(
    "eq:65",
    says=r"MAE, (64) in $\lambda$ and $\rho$: $\dot{\bar w}=\bar w^{2-1/L}\lambda-\bar w^3\lambda"
    r"\rho^{-1}$; the derivation of (8), with $L$ absorbed into time.",
    chapter=ONE_EQUATION,
    check=ode_check(MAE, absorbed=True),
)
def mae_lambda_rho(w, f, L):
    return w ** (2 - Fraction(1, L)) * f.lam - w**3 * f.lam / f.rho


@claim(
    "eq:66",
    says=r"JEPA: $\dot{\bar w}=\bar w^{3-1/L}\lambda-\bar w^3\lambda\rho^{-1}$; the derivation of "
    r"(7), with $L$ absorbed into time.",
    chapter=ONE_EQUATION,
    check=ode_check(JEPA, absorbed=True),
)
def jepa_lambda_rho(w, f, L):
    return w ** (3 - Fraction(1, L)) * f.lam - w**3 * f.lam / f.rho


@claim(
    "cor:B.5",
    says="Corollary 3.3 again, with its proof.",
    chapter=FIXED_POINTS,
    check=depth_separation_check,
    mutants=SEPARATION_MUTANTS,
)
def depth_separation_again():
    return fixed_points, deep_limit


@claim(
    "eq:67",
    says=r"$\lim_{\zeta\to0}(\bar w^{2-\zeta}\lambda-\bar w^3\rho^{-1}\lambda)=\bar w^2\lambda-"
    r"\bar w^3\rho^{-1}\lambda$: the MAE equation with $\zeta=1/L$ tends to JEPA's at $L=1$.",
    chapter=TWO_CLOCKS,
    check=flow_limit_check,
    mutants=[
        lambda w, lam, rho, zeta: (
            w ** (3 - zeta) * lam - w**3 * lam / rho,
            w**3 * lam - w**3 * lam / rho,
        )
    ],
)
def deep_flow_limit(w, lam, rho, zeta):
    return w ** (2 - zeta) * lam - w**3 * lam / rho, w**2 * lam - w**3 * lam / rho
