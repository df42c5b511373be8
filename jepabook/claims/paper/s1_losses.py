"""The main text: the two losses, the linear network and its training, eqs. (1)-(6)."""

from jepabook.claims.checks.exact import multiply
from jepabook.claims.checks.losses import (
    covariances_check,
    linear_losses_check,
    linear_network_check,
    sample_loss_check,
)
from jepabook.claims.checks.networks import descent_check
from jepabook.claims.ledger import claim
from jepabook.theory.objectives import JEPA, MAE

WHERE = "Section 1"

TWO_LOSSES = "01-two-ways-to-predict#two-losses"
LINEAR_SETTING = "01-two-ways-to-predict#linear-setting"
LINEAR_LOSSES = "01-two-ways-to-predict#linear-losses"
GRADIENTS = "07-from-matrices-to-one-equation#gradients"


def half_square(column):
    """|v|^2 / 2."""
    return sum(v * v for v in column.flat) / 2


@claim(
    "eq:1",
    says=r"The MAE loss predicts $y$ itself: $\mathcal L_{MAE}=\frac12E\lVert g_V(f_W(x))-"
    r"y\rVert^2$.",
    definition=True,
    chapter=TWO_LOSSES,
    check=sample_loss_check(MAE),
    mutants=[lambda g, f, x, y: half_square(g(f(x)) - f(y))],
)
def mae_loss(g, f, x, y):
    return half_square(g(f(x)) - y)


@claim(
    "eq:2",
    says=r"The JEPA loss predicts the encoding of $y$: $\mathcal L_{JEPA}=\frac12E\lVert "
    r"g_V(f_W(x))-f_W(y)\rVert^2$; the text after it stops the target's gradient, (5) writes it.",
    definition=True,
    chapter=TWO_LOSSES,
    check=sample_loss_check(JEPA),
    mutants=[lambda g, f, x, y: half_square(g(f(x)) - g(f(y)))],
)
def jepa_loss(g, f, x, y):
    return half_square(g(f(x)) - f(y))


@claim(
    "eq:3",
    says=r"The linear network: $\bar W=W_L\cdots W_1$ (products run from right to left), "
    r"$f(x)=\bar Wx$, $g(f(x))=Vf(x)$.",
    definition=True,
    chapter=LINEAR_SETTING,
    check=linear_network_check,
    mutants=[
        lambda layers, V, x: deep_linear(layers[::-1], V, x),
        lambda layers, V, x: deep_linear(layers, V.T, x),
        lambda layers, V, x: deep_linear(layers[1:], V, x),
    ],
)
def deep_linear(layers, V, x):
    encoder = multiply(layers, len(x))
    return encoder, encoder @ x, V @ (encoder @ x)


@claim(
    "eq:4",
    says=r"Covariances: $\Sigma^{xx}=E[xx^\top]$, $\Sigma^{yy}=E[yy^\top]$, "
    r"$\Sigma^{xy}=E[xy^\top]$; so $\Sigma^{yx}=E[yx^\top]$ is $(\Sigma^{xy})^\top$.",
    definition=True,
    chapter=LINEAR_SETTING,
    check=covariances_check,
    mutants=[
        lambda x, y: (x @ x.T, y @ y.T, y @ x.T),
        lambda x, y: (y @ y.T, x @ x.T, x @ y.T),
        lambda x, y: (x @ x.T / 2, y @ y.T / 2, x @ y.T / 2),
    ],
)
def second_moments(x, y):
    return x @ x.T, y @ y.T, x @ y.T


@claim(
    "eq:5",
    says=r"The linear losses: $\mathcal L_{jepa}=\frac12E\lVert V\bar Wx-SG(\bar W)y\rVert^2$, "
    r"$\mathcal L_{mae}=\frac12E\lVert V\bar Wx-y\rVert^2$, where $SG$ stops the gradient.",
    definition=True,
    chapter=LINEAR_LOSSES,
    check=linear_losses_check,
    mutants=[
        lambda V, W, stop, x, y: (
            half_square(V @ stop(W) @ x - W @ y),
            half_square(V @ W @ x - y),
        ),
        lambda V, W, stop, x, y: (
            half_square(V @ W @ x - stop(W) @ y),
            half_square(V @ stop(W) @ x - y),
        ),
    ],
)
def linear_losses(V, W, stop_gradient, x, y):
    return half_square(V @ W @ x - stop_gradient(W) @ y), half_square(V @ W @ x - y)


@claim(
    "eq:6",
    where="Section 3",
    says=r"Both objectives are trained by gradient flow: $\dot W_a=-\nabla_{W_a}\mathcal L$, "
    r"$\dot V=-\nabla_V\mathcal L$.",
    definition=True,
    chapter=GRADIENTS,
    check=descent_check(JEPA, MAE),
    mutants=[lambda gradient: -gradient(stop_gradient=False)],
)
def descent(gradient):
    return -gradient()
