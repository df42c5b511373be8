"""Appendix B.1: the layers stay balanced, Lemma B.1 and eqs. (33)-(39), (41)."""

import numpy as np

from jepabook.claims.checks.balance import (
    balance_check,
    balanced_flow_check,
    conserved_check,
    layers_check,
)
from jepabook.claims.ledger import Erratum, claim
from jepabook.theory.objectives import JEPA, MAE

WHERE = "Appendix B.1"
BALANCE = "07-from-matrices-to-one-equation#balance"
SHARED_FORM = "07-from-matrices-to-one-equation#shared-form"


def sandwich(n, a, xi, left):
    """left (xi - W Sigma_xx) [W_a ... W_1]'."""
    return left @ (xi - n.total @ n.xx) @ n.product(1, a).T


@claim(
    "eq:33",
    says=r"MAE, $a<L$: $\dot "
    r"W_aW_a^\top=[\prod_{b>a}^{L+1}W_b]^\top(\Sigma^{yx}-W\Sigma^{xx})[\prod_{b\le "
    r"a}W_b]^\top$.",
    chapter=BALANCE,
    check=layers_check(MAE, layers="inner"),
    mutants=[
        lambda n, dot, a: (
            dot(a) @ n.layer(a).T,
            sandwich(n, a, n.yx.T, n.product(a + 1, n.depth + 1).T),
        ),
        lambda n, dot, a: (
            dot(a) @ n.layer(a).T,
            sandwich(n, a, n.yx, n.transposes(a + 1, n.depth + 1)),
        ),
    ],
)
def velocity_times_layer(n, dot, a):
    left, right = n.product(a + 1, n.depth + 1).T, n.product(1, a).T
    return dot(a) @ n.layer(a).T, left @ n.yx @ right - left @ n.total @ n.xx @ right


@claim(
    "eq:34",
    says=r"MAE, $a<L$: $W_{a+1}^\top\dot W_{a+1}$ is the right side of (33), and so equals "
    r"$\dot W_aW_a^\top$.",
    chapter=BALANCE,
    check=layers_check(MAE, layers="inner"),
    mutants=[
        lambda n, dot, a: (n.layer(a + 1) @ dot(a + 1), dot(a) @ n.layer(a).T),
        lambda n, dot, a: (n.layer(a + 1).T @ dot(a + 1), n.layer(a).T @ dot(a)),
        lambda n, dot, a: (n.layer(a + 1).T @ dot(a + 1), n.layer(a) @ dot(a).T),
    ],
)
def layer_times_next_velocity(n, dot, a):
    left, right = n.product(a + 1, n.depth + 1).T, n.product(1, a).T
    return (
        n.layer(a + 1).T @ dot(a + 1),
        left @ n.yx @ right - left @ n.total @ n.xx @ right,
        dot(a) @ n.layer(a).T,
    )


@claim(
    "eq:35",
    says=r"The transpose of (34): $\dot W_{a+1}^\top W_{a+1}=W_a\dot W_a^\top$.",
    chapter=BALANCE,
    check=layers_check(MAE, layers="inner"),
    mutants=[
        lambda n, dot, a: (dot(a + 1).T @ n.layer(a + 1), dot(a) @ n.layer(a).T),
        lambda n, dot, a: (dot(a + 1) @ n.layer(a + 1).T, n.layer(a) @ dot(a).T),
        lambda n, dot, a: (dot(a + 1).T @ n.layer(a + 1), n.layer(a).T @ dot(a)),
    ],
)
def transposed_velocities(n, dot, a):
    return dot(a + 1).T @ n.layer(a + 1), n.layer(a) @ dot(a).T


@claim(
    "eq:36",
    says=r"The last pair, both objectives: $V^\top\dot V=\dot W_LW_L^\top$ and its transpose.",
    chapter=BALANCE,
    check=layers_check(JEPA, MAE, layers="last"),
    mutants=[
        lambda n, dot, a: (n.decoder @ dot(a + 1), dot(a) @ n.layer(a).T),
        lambda n, dot, a: (n.decoder.T @ dot(a + 1), n.layer(a) @ dot(a).T),
        lambda n, dot, a: (dot(a + 1).T @ n.decoder, dot(a).T @ n.layer(a)),
    ],
)
def last_layers(n, dot, a):
    v, w = n.decoder, n.layer(a)
    return (
        np.hstack([v.T @ dot(a + 1), dot(a + 1).T @ v]),
        np.hstack([dot(a) @ w.T, w @ dot(a).T]),
    )


@claim(
    "eq:37",
    says=r"Both objectives, $a=1\ldots L$: $W_{a+1}^\top\dot W_{a+1}+\dot W_{a+1}^\top "
    r"W_{a+1}=\dot W_aW_a^\top+W_a\dot W_a^\top$.",
    chapter=BALANCE,
    check=layers_check(JEPA, MAE),
    mutants=[
        lambda n, dot, a: (
            n.layer(a + 1).T @ dot(a + 1) + dot(a + 1).T @ n.layer(a + 1),
            dot(a).T @ n.layer(a) + n.layer(a).T @ dot(a),
        )
    ],
)
def sum_of_both(n, dot, a):
    return (
        n.layer(a + 1).T @ dot(a + 1) + dot(a + 1).T @ n.layer(a + 1),
        dot(a) @ n.layer(a).T + n.layer(a) @ dot(a).T,
    )


@claim(
    "eq:38",
    says=r"Gradient flow conserves $W_{a+1}^\top W_{a+1}-W_aW_a^\top$, whatever the weights, "
    "for both objectives.",
    chapter=BALANCE,
    check=conserved_check,
    mutants=[
        lambda n, a: n.layer(a + 1) @ n.layer(a + 1).T - n.layer(a).T @ n.layer(a),
        lambda n, a: n.layer(a + 1).T @ n.layer(a + 1) - n.layer(a).T @ n.layer(a),
    ],
)
def conserved(n, a):
    return n.layer(a + 1).T @ n.layer(a + 1) - n.layer(a) @ n.layer(a).T


OTHER_BALANCES = [
    lambda n, a: (n.layer(a + 1) @ n.layer(a + 1).T, n.layer(a).T @ n.layer(a)),
    lambda n, a: (n.layer(a + 1).T @ n.layer(a + 1), n.layer(a).T @ n.layer(a)),
    lambda n, a: (n.layer(a + 1).T @ n.layer(a + 1), 2 * n.layer(a) @ n.layer(a).T),
]


@claim(
    "eq:39",
    says=r"The constant of (38) is zero: $W_{a+1}^\top W_{a+1}=W_aW_a^\top$.",
    chapter=BALANCE,
    check=balance_check,
    mutants=OTHER_BALANCES,
)
@claim(
    "eq:41",
    says="Lemma B.1 again, as the start of the proof of Lemma B.2.",
    chapter=SHARED_FORM,
    check=balance_check,
    mutants=OTHER_BALANCES,
)
def balanced(n, a):
    return n.layer(a + 1).T @ n.layer(a + 1), n.layer(a) @ n.layer(a).T


@claim(
    "lemma:B.1",
    says=r"Layers that follow the flow are balanced: $W_{a+1}^\top W_{a+1}=W_aW_a^\top$ at all "
    r"times, $a=1\ldots L$, both objectives.",
    chapter=BALANCE,
    check=balanced_flow_check,
    mutants=[lambda balanced_start: not balanced_start, lambda balanced_start: False],
    erratum=Erratum(
        lambda balanced_start: balanced_start,
        says="Of a start from Assumption 3.1.2, or any other that is balanced: the flow "
        "conserves the difference of the two sides, (38), whatever it is.",
        consequence="None within the paper, where Assumption 3.1 stands; the proof uses it at "
        "(39). From an unbalanced start the sizes of (9) change (`new:imbalance`).",
    ),
)
def always_balanced(balanced_start):
    return True
