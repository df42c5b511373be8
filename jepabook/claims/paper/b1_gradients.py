"""Appendix B.1: the gradients of the JEPA loss, eqs. (17)-(21)."""

from jepabook.claims.checks.networks import descent_check, gradient_check
from jepabook.claims.ledger import claim
from jepabook.theory.objectives import JEPA

WHERE = "Appendix B.1"
GRADIENTS = "07-from-matrices-to-one-equation#gradients"


def layer_velocity(n, a, xi):
    """[W_{L+1} ... W_{a+1}]' (xi - W Sigma_xx) [W_{a-1} ... W_1]'."""
    above, below = n.product(a + 1, n.depth + 1), n.product(1, a - 1)
    return above.T @ (xi - n.total @ n.xx) @ below.T


@claim(
    "eq:17",
    says=r"JEPA is trained by gradient flow, $\dot W_a=-\nabla_{W_a}\mathcal L$ and "
    r"$\dot V=-\nabla_V\mathcal L$, the gradient of its target being stopped.",
    definition=True,
    chapter=GRADIENTS,
    check=descent_check(JEPA),
    mutants=[lambda gradient: -gradient(stop_gradient=False)],
)
def jepa_descent(gradient):
    return -gradient()


@claim(
    "eq:18",
    says=r"$\nabla_{W_a}\mathcal L_{jepa}=E\big[[\prod_{b>a}W_b]^\top V^\top(V\bar Wx-\bar Wy)"
    r"x^\top[\prod_{b<a}W_b]^\top\big]$, with the target held constant.",
    chapter=GRADIENTS,
    check=gradient_check(JEPA, "encoder", sign=1),
)
def encoder_gradient_as_mean(n, a):
    return n.mean(
        lambda x, y: (
            n.product(a + 1, n.depth).T
            @ n.decoder.T
            @ (n.decoder @ n.encoder @ x - n.encoder @ y)
            @ x.T
            @ n.product(1, a - 1).T
        )
    )


@claim(
    "eq:19",
    says=r"$\nabla_V\mathcal L_{jepa}=E[(V\bar Wx-\bar Wy)x^\top\bar W^\top]$.",
    chapter=GRADIENTS,
    check=gradient_check(JEPA, "decoder", sign=1),
)
def decoder_gradient_as_mean(n):
    return n.mean(lambda x, y: (n.decoder @ n.encoder @ x - n.encoder @ y) @ x.T @ n.encoder.T)


@claim(
    "eq:20",
    says=r"Eq. (18) in covariances: the bracket becomes $V\bar W\Sigma^{xx}-\bar W\Sigma^{yx}$, "
    r"where $\Sigma^{yx}=E[yx^\top]$ need not be symmetric.",
    chapter=GRADIENTS,
    check=gradient_check(JEPA, "encoder", sign=1),
    mutants=[
        lambda n, a: -layer_velocity(n, a, n.encoder @ n.yx.T),
        lambda n, a: -layer_velocity(n, a, n.yx),
    ],
)
def encoder_gradient(n, a):
    left, right = n.product(a + 1, n.depth).T, n.product(1, a - 1).T
    return (
        left @ n.decoder.T @ n.decoder @ n.encoder @ n.xx @ right
        - left @ n.decoder.T @ n.encoder @ n.yx @ right
    )


@claim(
    "eq:21",
    says=r"$\nabla_V\mathcal L_{jepa}=V\bar W\Sigma^{xx}\bar W^\top-\bar W\Sigma^{yx}\bar W^\top$.",
    chapter=GRADIENTS,
    check=gradient_check(JEPA, "decoder", sign=1),
    mutants=[lambda n: (n.total @ n.xx - n.encoder @ n.yx.T) @ n.encoder.T],
)
def decoder_gradient(n):
    return n.total @ n.xx @ n.encoder.T - n.encoder @ n.yx @ n.encoder.T
