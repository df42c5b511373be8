"""Appendix B.1: the gradient flow of the layers and of their product, eqs. (22)-(32)."""

from functools import partial

from jepabook.claims.checks.networks import gradient_check, product_flow_check, product_rule_check
from jepabook.claims.ledger import Erratum, claim
from jepabook.claims.paper.b1_gradients import layer_velocity
from jepabook.theory.objectives import JEPA, MAE

WHERE = "Appendix B.1"

FLOWS = "07-from-matrices-to-one-equation#flow-equations"
PRODUCT_RULE = "07-from-matrices-to-one-equation#product-rule"

BRACKETS = (
    r"The products of transposed layers need brackets: $[\prod_b W_b]^\top$. By the paper's own "
    r"convention, eq. (3), $\prod_{b=a+1}^{n}W_b^\top$ reads $W_n^\top\cdots W_{a+1}^\top$, but "
    r"the gradient contains $W_{a+1}^\top\cdots W_n^\top$."
)
AS_BEFORE = (
    r"As (26) and (30), which are substituted here: $[\prod_b W_b]^\top$, with brackets, in every "
    r"term of the sum."
)
A_SLIP = (
    "A slip of notation: eqs. (18), (20), (33) and (34) have the brackets, and the proofs use them."
)


def without_brackets(n, a, xi, sides="above and below"):
    """`layer_velocity` with the transposes in the order in which (3) reads a product."""
    above, below = n.product(a + 1, n.depth + 1).T, n.product(1, a - 1).T
    if "above" in sides:
        above = n.transposes(a + 1, n.depth + 1)
    if "below" in sides:
        below = n.transposes(1, a - 1)
    return above @ (xi - n.total @ n.xx) @ below


@claim(
    "eq:22",
    says=r"JEPA: $\dot W_a$ is minus the gradient (20), printed without the brackets around the "
    r"products (one of them has only its closing bracket).",
    chapter=FLOWS,
    check=gradient_check(JEPA, "encoder", sign=-1),
    mutants=[
        lambda n, a: layer_velocity(n, a, n.encoder @ n.yx.T),
        lambda n, a: without_brackets(n, a, n.encoder @ n.yx, "below"),
    ],
    erratum=Erratum(
        lambda n, a: layer_velocity(n, a, n.encoder @ n.yx),
        says=BRACKETS,
        consequence=A_SLIP + " It shows from $L=3$ on.",
    ),
)
def jepa_encoder_flow(n, a):
    # the left product of the second term has a closing bracket: it is given the opening one
    left, right = n.transposes(a + 1, n.depth), n.transposes(1, a - 1)
    return left @ n.decoder.T @ n.encoder @ n.yx @ right - (
        n.product(a + 1, n.depth).T @ n.decoder.T @ n.total @ n.xx @ right
    )


@claim(
    "eq:23",
    says=r"JEPA: $\dot V=\bar W\Sigma^{yx}\bar W^\top-V\bar W\Sigma^{xx}\bar W^\top$.",
    chapter=FLOWS,
    check=gradient_check(JEPA, "decoder", sign=-1),
    mutants=[lambda n: (n.encoder @ n.yx.T - n.total @ n.xx) @ n.encoder.T],
)
def jepa_decoder_flow(n):
    return n.encoder @ n.yx @ n.encoder.T - n.decoder @ n.encoder @ n.xx @ n.encoder.T


@claim(
    "eq:24",
    says=r"MAE: $\dot W_a$ is (22) with $\Sigma^{yx}$ in place of $\bar W\Sigma^{yx}$, printed "
    r"without the brackets.",
    chapter=FLOWS,
    check=gradient_check(MAE, "encoder", sign=-1),
    mutants=[
        lambda n, a: layer_velocity(n, a, n.yx.T),
        lambda n, a: layer_velocity(n, a, n.encoder @ n.yx),
        lambda n, a: without_brackets(n, a, n.yx, "below"),
    ],
    erratum=Erratum(
        lambda n, a: layer_velocity(n, a, n.yx),
        says=BRACKETS,
        consequence=A_SLIP + " It shows from $L=3$ on.",
    ),
)
def mae_encoder_flow(n, a):
    left, right = n.transposes(a + 1, n.depth), n.transposes(1, a - 1)
    return left @ n.decoder.T @ n.yx @ right - (
        n.product(a + 1, n.depth).T @ n.decoder.T @ n.total @ n.xx @ right
    )


@claim(
    "eq:25",
    says=r"MAE: $\dot V=\Sigma^{yx}\bar W^\top-V\bar W\Sigma^{xx}\bar W^\top$.",
    chapter=FLOWS,
    check=gradient_check(MAE, "decoder", sign=-1),
    mutants=[
        lambda n: (n.encoder @ n.yx - n.total @ n.xx) @ n.encoder.T,
        lambda n: (n.yx.T - n.total @ n.xx) @ n.encoder.T,
    ],
)
def mae_decoder_flow(n):
    return n.yx @ n.encoder.T - n.decoder @ n.encoder @ n.xx @ n.encoder.T


@claim(
    "eq:26",
    says=r"With $V=W_{L+1}$ and $W=V\bar W$, JEPA: $\dot W_a=[\prod_{b>a}^{L+1}W_b]^\top"
    r"(\bar W\Sigma^{yx}-W\Sigma^{xx})[\prod_{b<a}W_b]^\top$, printed without the brackets.",
    chapter=FLOWS,
    check=gradient_check(JEPA, "encoder", sign=-1),
    mutants=[
        lambda n, a: without_brackets(n, a, n.encoder @ n.yx, "above"),
        lambda n, a: without_brackets(n, a, n.encoder @ n.yx, "below"),
        lambda n, a: layer_velocity(n, a, n.total @ n.yx),
    ],
    erratum=Erratum(
        lambda n, a: layer_velocity(n, a, n.encoder @ n.yx),
        says=BRACKETS,
        consequence=A_SLIP + " It shows from $L=2$ on.",
    ),
)
def jepa_layer_flow(n, a):
    return without_brackets(n, a, n.encoder @ n.yx)


@claim(
    "eq:27",
    says=r"JEPA: $\dot W_{L+1}=\bar W\Sigma^{yx}\bar W^\top-W\Sigma^{xx}\bar W^\top$.",
    chapter=FLOWS,
    check=gradient_check(JEPA, "decoder", sign=-1),
    mutants=[
        lambda n: (n.encoder @ n.yx - n.total @ n.xx) @ n.total.T,
        lambda n: (n.encoder @ n.yx.T - n.total @ n.xx) @ n.encoder.T,
    ],
)
def jepa_last_layer_flow(n):
    return n.encoder @ n.yx @ n.encoder.T - n.total @ n.xx @ n.encoder.T


@claim(
    "eq:28",
    says=r"The product rule: $\dot W=\sum_{a=1}^{L+1}\big(\prod_{b>a}^{L+1}W_b\big)\dot W_a"
    r"\big(\prod_{b<a}W_b\big)$.",
    chapter=PRODUCT_RULE,
    check=product_rule_check,
)
def product_velocity(n, velocities):
    return sum(
        n.product(a + 1, n.depth + 1) @ velocities[a - 1] @ n.product(1, a - 1)
        for a in range(1, n.depth + 2)
    )


def substituted(n, xi, velocity=layer_velocity):
    """The product rule (28) with the layers' velocities put in."""
    return product_velocity(n, [velocity(n, a, xi) for a in range(1, n.depth + 2)])


@claim(
    "eq:29",
    says="JEPA: the flow (26) put into the product rule (28), printed without the brackets.",
    chapter=PRODUCT_RULE,
    check=product_flow_check(JEPA),
    mutants=[
        lambda n: substituted(n, n.encoder @ n.yx, partial(without_brackets, sides="above")),
        lambda n: substituted(n, n.encoder @ n.yx, partial(without_brackets, sides="below")),
        lambda n: substituted(n, n.yx),
    ],
    erratum=Erratum(
        lambda n: substituted(n, n.encoder @ n.yx),
        says=AS_BEFORE,
        consequence=A_SLIP + " It shows from $L=2$ on.",
    ),
)
def jepa_product_flow(n):
    return substituted(n, n.encoder @ n.yx, without_brackets)


@claim(
    "eq:30",
    says=r"MAE: (26) with $\Sigma^{yx}$ in place of $\bar W\Sigma^{yx}$, printed without the "
    r"brackets.",
    chapter=FLOWS,
    check=gradient_check(MAE, "encoder", sign=-1),
    mutants=[
        lambda n, a: without_brackets(n, a, n.yx, "above"),
        lambda n, a: without_brackets(n, a, n.yx, "below"),
        lambda n, a: layer_velocity(n, a, n.yx.T),
    ],
    erratum=Erratum(
        lambda n, a: layer_velocity(n, a, n.yx),
        says=BRACKETS,
        consequence=A_SLIP + " It shows from $L=2$ on.",
    ),
)
def mae_layer_flow(n, a):
    return without_brackets(n, a, n.yx)


@claim(
    "eq:31",
    says=r"MAE: $\dot W_{L+1}=\Sigma^{yx}\bar W^\top-W\Sigma^{xx}\bar W^\top$.",
    chapter=FLOWS,
    check=gradient_check(MAE, "decoder", sign=-1),
    mutants=[
        lambda n: (n.encoder @ n.yx - n.total @ n.xx) @ n.encoder.T,
        lambda n: (n.yx.T - n.total @ n.xx) @ n.encoder.T,
    ],
)
def mae_last_layer_flow(n):
    return n.yx @ n.encoder.T - n.total @ n.xx @ n.encoder.T


@claim(
    "eq:32",
    says="MAE: the flow (30) put into the product rule (28), printed without the brackets.",
    chapter=PRODUCT_RULE,
    check=product_flow_check(MAE),
    mutants=[
        lambda n: substituted(n, n.yx, partial(without_brackets, sides="above")),
        lambda n: substituted(n, n.yx, partial(without_brackets, sides="below")),
        lambda n: substituted(n, n.encoder @ n.yx),
    ],
    erratum=Erratum(
        lambda n: substituted(n, n.yx),
        says=AS_BEFORE,
        consequence=A_SLIP + " It shows from $L=2$ on.",
    ),
)
def mae_product_flow(n):
    return substituted(n, n.yx, without_brackets)
