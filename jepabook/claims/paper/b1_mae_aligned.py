"""Appendix B.1: the aligned solution of MAE, Theorem B.4 and eqs. (56)-(62)."""

from fractions import Fraction

import numpy as np

from jepabook.claims.checks.aligned import along_flow_check, sides_check, solution_check
from jepabook.claims.ledger import claim
from jepabook.theory.objectives import MAE

WHERE = "Appendix B.1"

MAE_ANSATZ = "07-from-matrices-to-one-equation#mae-ansatz"


@claim(
    "thm:B.4",
    says=r"MAE: $\bar W=\mathcal U\omega^L$, $V=\omega\,\mathcal U^\top$ with constant orthogonal "
    r"$\mathcal U$ and diagonal $\omega$ solve gradient flow, in every layer, if "
    r"$\dot{\bar\omega}$ is (57).",
    chapter=MAE_ANSATZ,
    check=solution_check(MAE),
    mutants=[lambda U, w, n: (w**1 @ U, *mae_solution(U, w, n)[1:])],
)
def mae_solution(U, w, n):
    L = n.depth
    encoder, decoder = U @ w**1, w ** Fraction(1, L) @ U.T
    return encoder, decoder @ encoder, L * (w ** (2 - Fraction(1, L)) @ n.yx - w**3 @ n.xx)


@claim(
    "eq:56",
    says=r"MAE: $\bar W=\mathcal U\omega^L$ and $W_{L+1}=\omega\,\mathcal U^\top$ along the flow.",
    chapter=MAE_ANSATZ,
    check=along_flow_check(MAE),
    mutants=[
        lambda n, U, w: (n.decoder, U @ w ** Fraction(1, n.depth) @ U.T),
        lambda n, U, w: (n.encoder, w**1 @ U),
    ],
)
def mae_weights(n, U, w):
    root = w ** Fraction(1, n.depth)
    return np.hstack([n.encoder, n.decoder]), np.hstack([U @ w**1, root @ U.T])


@claim(
    "eq:57",
    says=r"MAE: $\dot{\bar\omega}=L[\bar\omega^{2-1/L}\Sigma^{yx}-\bar\omega^3\Sigma^{xx}]$, in "
    r"the time of gradient flow.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: U.T @ n.encoder),
)
@claim(
    "eq:61",
    says="MAE: (57) again, as the end of its derivation.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: U.T @ n.encoder),
)
def mae_matrix_ode(U, w, d, n):
    L = n.depth
    return d(w**1), L * (w ** (2 - Fraction(1, L)) @ n.yx - w**3 @ n.xx)


@claim(
    "eq:58",
    says=r"MAE: $W=W_{L+1}\bar W=\omega^{1+L}$ along the flow.",
    chapter=MAE_ANSATZ,
    check=along_flow_check(MAE),
    mutants=[lambda n, U, w: (n.total, U @ w ** (1 + Fraction(1, n.depth)))],
)
def mae_product(n, U, w):
    return n.decoder @ n.encoder, w ** Fraction(1 + n.depth, n.depth)


@claim(
    "eq:59",
    says=r"The ansatz in (40), MAE: $(L+1)\omega^L\dot\omega=\sum_a\omega^{2(L+1-a)+2(a-1)}"
    r"(\Sigma^{yx}-\omega^{L+1}\Sigma^{xx})$, $a=1\ldots L+1$.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: n.total),
)
def mae_ansatz_in_shared_form(U, w, d, n):
    L = n.depth

    def omega(power):
        return w ** Fraction(power, L)

    layers = range(1, L + 2)
    growth = sum(omega(2 * (L + 1 - a) + 2 * (a - 1)) @ n.yx for a in layers)
    saturation = sum(omega(2 * (L + 1 - a) + L + 1 + 2 * (a - 1)) @ n.xx for a in layers)
    return (L + 1) * omega(L) @ d(omega(1)), growth - saturation


@claim(
    "eq:60",
    says=r"MAE: $\dot\omega=\omega^L\Sigma^{yx}-\omega^{2L+1}\Sigma^{xx}$.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: n.decoder @ U),
)
def mae_layer_ode(U, w, d, n):
    L = n.depth
    return (
        d(w ** Fraction(1, L)),
        w ** Fraction(L, L) @ n.yx - w ** Fraction(2 * L + 1, L) @ n.xx,
    )


@claim(
    "eq:62",
    says=r"The ansatz in (31), MAE: $\dot\omega=\Sigma^{yx}\omega^L-\omega^{L+1}\Sigma^{xx}"
    r"\omega^L$, the same as (60) since all are diagonal.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: n.decoder @ U),
)
def mae_ansatz_in_decoder_flow(U, w, d, n):
    L = n.depth
    omega = w ** Fraction(1, L)
    return d(omega), n.yx @ w**1 - w ** Fraction(L + 1, L) @ n.xx @ w**1
