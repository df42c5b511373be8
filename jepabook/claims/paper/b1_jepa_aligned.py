"""Appendix B.1: the aligned solution of JEPA, Theorem B.3 and eqs. (49)-(55)."""

from fractions import Fraction

from flint import fmpq

from jepabook.claims.checks.aligned import along_flow_check, sides_check, solution_check
from jepabook.claims.ledger import Erratum, claim
from jepabook.theory.objectives import JEPA

WHERE = "Appendix B.1"
JEPA_ANSATZ = "07-from-matrices-to-one-equation#jepa-ansatz"


@claim(
    "thm:B.3",
    says=r"JEPA: $\bar W=\mathcal U\bar\omega$, $W=\mathcal U\bar\omega^{1+1/L}$ with constant "
    r"orthogonal $\mathcal U$ and diagonal $\bar\omega$ solve gradient flow, in every layer, if "
    r"$\dot{\bar\omega}$ is (51).",
    chapter=JEPA_ANSATZ,
    check=solution_check(JEPA),
    mutants=[lambda U, w, n: (w**1 @ U, *jepa_solution(U, w, n)[1:])],
)
def jepa_solution(U, w, n):
    L = n.depth
    rate = L * (w ** (3 - Fraction(1, L)) @ n.yx - w**3 @ n.xx)
    return U @ w**1, U @ w ** (1 + Fraction(1, L)), rate


@claim(
    "eq:49",
    says=r"JEPA: $\bar W(t)=\mathcal U\bar\omega(t)$ along the flow.",
    chapter=JEPA_ANSATZ,
    check=along_flow_check(JEPA),
    mutants=[lambda n, U, w: (n.encoder, w**1 @ U)],
)
def jepa_encoder(n, U, w):
    return n.encoder, U @ w**1


@claim(
    "eq:50",
    says=r"JEPA: $W(t)=V\bar W=\mathcal U\bar\omega(t)^{1+1/L}$ along the flow.",
    chapter=JEPA_ANSATZ,
    check=along_flow_check(JEPA),
)
def jepa_product(n, U, w):
    return n.total, U @ w ** (1 + Fraction(1, n.depth))


@claim(
    "eq:51",
    says=r"JEPA: $\dot{\bar\omega}=L[\bar\omega^{3-1/L}\Sigma^{yx}-\bar\omega^3\Sigma^{xx}]$, in "
    r"the time of gradient flow.",
    chapter=JEPA_ANSATZ,
    check=sides_check(JEPA, lambda n, U: U.T @ n.encoder),
)
def jepa_matrix_ode(U, w, d, n):
    L = n.depth
    return d(w**1), L * (w ** (3 - Fraction(1, L)) @ n.yx - w**3 @ n.xx)


@claim(
    "eq:52",
    says=r"The ansatz in (40), JEPA: $\mathcal U(1+\frac1L)\bar\omega^{1/L}\dot{\bar\omega}="
    r"(L+1)\,\mathcal U[\bar\omega^3\Sigma^{yx}-\bar\omega^{3+1/L}\Sigma^{xx}]$.",
    chapter=JEPA_ANSATZ,
    check=sides_check(JEPA, lambda n, U: n.total),
)
def jepa_ansatz_in_shared_form(U, w, d, n):
    L = n.depth
    left = fmpq(L + 1, L) * U @ w ** Fraction(1, L) @ d(w**1)
    return left, (L + 1) * U @ (w**3 @ n.yx - w ** (3 + Fraction(1, L)) @ n.xx)


@claim(
    "eq:53",
    says=r"JEPA: $V=\mathcal U\bar\omega^{1/L}\,\mathcal U^\top$ along the flow.",
    chapter=JEPA_ANSATZ,
    check=along_flow_check(JEPA),
    mutants=[lambda n, U, w: (n.decoder, U.T @ w ** Fraction(1, n.depth) @ U)],
)
def jepa_decoder(n, U, w):
    return n.decoder, U @ w ** Fraction(1, n.depth) @ U.T


def jepa_decoder_sides(U, w, d, n):
    """(54) with its factor."""
    L = n.depth
    growth = U @ w**2 @ n.yx @ U.T
    return U @ d(w ** Fraction(1, L)) @ U.T, growth - U @ w ** (2 + Fraction(1, L)) @ n.xx @ U.T


@claim(
    "eq:54",
    says=r"The ansatz in (27), JEPA, as printed: $\mathcal U\frac{d\bar\omega^{1/L}}{dt}\mathcal "
    r"U^\top=\mathcal U\bar\omega^2\Sigma^{yx}\mathcal U^\top-\mathcal U\bar\omega^{2+1/L}"
    r"\mathcal U^\top$.",
    chapter=JEPA_ANSATZ,
    check=sides_check(JEPA, lambda n, U: n.decoder),
    erratum=Erratum(
        jepa_decoder_sides,
        says=r"The last term lacks a factor: $\mathcal U\bar\omega^{2+1/L}\Sigma^{xx}"
        r"\,\mathcal U^\top$.",
        consequence="A slip: nothing depends on it; (55) has the factor.",
    ),
)
def jepa_ansatz_in_decoder_flow(U, w, d, n):
    L = n.depth
    return (
        U @ d(w ** Fraction(1, L)) @ U.T,
        U @ w**2 @ n.yx @ U.T - U @ w ** (2 + Fraction(1, L)) @ U.T,
    )


@claim(
    "eq:55",
    says=r"JEPA: $\mathcal U\dot{\bar\omega}\,\mathcal U^\top=L\,\mathcal U[\bar\omega^{3-1/L}"
    r"\Sigma^{yx}-\bar\omega^3\Sigma^{xx}]\,\mathcal U^\top$, which is (51).",
    chapter=JEPA_ANSATZ,
    check=sides_check(JEPA, lambda n, U: n.encoder @ U.T),
)
def jepa_rotated_ode(U, w, d, n):
    L = n.depth
    bracket = w ** (3 - Fraction(1, L)) @ n.yx - w**3 @ n.xx
    return U @ d(w**1) @ U.T, L * U @ bracket @ U.T
