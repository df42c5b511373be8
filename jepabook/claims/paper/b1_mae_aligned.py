"""Appendix B.1: the aligned solution of MAE, Theorem B.4 and eqs. (56)-(62)."""

from fractions import Fraction

import numpy as np

from jepabook.claims.checks.aligned import along_flow_check, sides_check, solution_check
from jepabook.claims.ledger import claim
from jepabook.claims.paper.b1_jepa_aligned import mae_rate
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
    mutants=[
        lambda U, w, n: (U @ w**1, w ** (1 + Fraction(1, n.depth)), mae_rate(w, n, scale=1)),
        lambda U, w, n: (U @ w**1, U @ w ** (1 + Fraction(1, n.depth)), mae_rate(w, n)),
    ],
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
        lambda n, U, w: (n.decoder, U @ w ** Fraction(1, n.depth)),
        lambda n, U, w: (n.decoder, U @ w ** Fraction(1, n.depth) @ U.T),
        lambda n, U, w: (n.encoder, w**1 @ U),
    ],
)
def mae_weights(n, U, w):
    root = w ** Fraction(1, n.depth)
    return np.hstack([n.encoder, n.decoder]), np.hstack([U @ w**1, root @ U.T])


MAE_NEAR_MISSES = [
    lambda U, w, d, n: (d(w**1), mae_rate(w, n, scale=1)),
    lambda U, w, d, n: (d(w**1), mae_rate(w, n, scale=n.depth + 1)),
]


@claim(
    "eq:57",
    says=r"MAE: $\dot{\bar\omega}=L[\bar\omega^{2-1/L}\Sigma^{yx}-\bar\omega^3\Sigma^{xx}]$, in "
    r"the time of gradient flow.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: U.T @ n.encoder),
    mutants=MAE_NEAR_MISSES,
)
@claim(
    "eq:61",
    says="MAE: (57) again, as the end of its derivation.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: U.T @ n.encoder),
    mutants=MAE_NEAR_MISSES,
)
def mae_matrix_ode(U, w, d, n):
    L = n.depth
    return d(w**1), L * (w ** (2 - Fraction(1, L)) @ n.yx - w**3 @ n.xx)


@claim(
    "eq:58",
    says=r"MAE: $W=W_{L+1}\bar W=\omega^{1+L}$ along the flow.",
    chapter=MAE_ANSATZ,
    check=along_flow_check(MAE),
    mutants=[
        lambda n, U, w: (n.total, U @ w ** (1 + Fraction(1, n.depth))),
        lambda n, U, w: (n.total, w ** (2 + Fraction(1, n.depth))),
    ],
)
def mae_product(n, U, w):
    return n.decoder @ n.encoder, w ** Fraction(1 + n.depth, n.depth)


def mae_shared_form(w, d, n, extra, shift=0):
    """(59), with omega^(L + extra) in the saturation term or the second exponent shifted."""
    L = n.depth

    def omega(power):
        return w ** Fraction(power, L)

    exponents = [2 * (L + 1 - a) + 2 * (a - 1 + shift) for a in range(1, L + 2)]
    growth = sum(omega(power) @ n.yx for power in exponents)
    saturation = sum(omega(power + L + extra) @ n.xx for power in exponents)
    return (L + 1) * omega(L) @ d(omega(1)), growth - saturation


@claim(
    "eq:59",
    says=r"The ansatz in (40), MAE: $(L+1)\omega^L\dot\omega=\sum_a\omega^{2(L+1-a)+2(a-1)}"
    r"(\Sigma^{yx}-\omega^{L+1}\Sigma^{xx})$, $a=1\ldots L+1$.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: n.total),
    mutants=[
        lambda U, w, d, n: mae_shared_form(w, d, n, extra=1, shift=1),
    ],
)
def mae_ansatz_in_shared_form(U, w, d, n):
    L = n.depth

    def omega(power):
        return w ** Fraction(power, L)

    layers = range(1, L + 2)
    growth = sum(omega(2 * (L + 1 - a) + 2 * (a - 1)) @ n.yx for a in layers)
    saturation = sum(omega(2 * (L + 1 - a) + L + 1 + 2 * (a - 1)) @ n.xx for a in layers)
    return (L + 1) * omega(L) @ d(omega(1)), growth - saturation


def mae_layer_rate(w, d, n, growth, saturation):
    """d omega/dt against omega^growth Sigma_yx - omega^saturation Sigma_xx."""
    L = n.depth
    right = w ** Fraction(growth, L) @ n.yx - w ** Fraction(saturation, L) @ n.xx
    return d(w ** Fraction(1, L)), right


@claim(
    "eq:60",
    says=r"MAE: $\dot\omega=\omega^L\Sigma^{yx}-\omega^{2L+1}\Sigma^{xx}$.",
    chapter=MAE_ANSATZ,
    check=sides_check(MAE, lambda n, U: n.decoder @ U),
    mutants=[
        lambda U, w, d, n: mae_layer_rate(w, d, n, 2 * n.depth, 2 * n.depth + 1),
        lambda U, w, d, n: mae_layer_rate(w, d, n, n.depth + 1, 2 * n.depth + 1),
    ],
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
    mutants=[
        lambda U, w, d, n: mae_layer_rate(w, d, n, n.depth + 1, 2 * n.depth + 1),
        lambda U, w, d, n: (d(w**1), mae_layer_rate(w, d, n, n.depth, 2 * n.depth + 1)[1]),
    ],
)
def mae_ansatz_in_decoder_flow(U, w, d, n):
    L = n.depth
    omega = w ** Fraction(1, L)
    return d(omega), n.yx @ w**1 - w ** Fraction(L + 1, L) @ n.xx @ w**1
