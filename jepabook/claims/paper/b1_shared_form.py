"""Appendix B.1: the form that both flows share, Lemma B.2 and eqs. (40), (42)-(48)."""

from fractions import Fraction

from numpy.linalg import matrix_power

from jepabook.claims.checks.balance import decompositions_check, shared_form_check, spectra_check
from jepabook.claims.ledger import Erratum, claim
from jepabook.claims.paper.b1_balance import SHARED_FORM

WHERE = "Appendix B.1"


OF_MAE = [lambda n, xi, power: shared_form(n, n.yx, power)]  # for JEPA, too


@claim(
    "lemma:B.2",
    says=r"For balanced layers the product $W=V\bar W$ obeys (40), with $\Xi=\bar W\Sigma^{yx}$ "
    r"for JEPA and $\Xi=\Sigma^{yx}$ for MAE.",
    chapter=SHARED_FORM,
    check=shared_form_check,
    mutants=OF_MAE,
)
@claim(
    "eq:40",
    says=r"$\dot W=\sum_{a=1}^{L+1}[WW^\top]^{1-a/(L+1)}(\Xi-W\Sigma^{xx})"
    r"[W^\top W]^{(a-1)/(L+1)}$, also for singular $W$ if a zeroth power is the identity.",
    chapter=SHARED_FORM,
    check=shared_form_check,
    mutants=OF_MAE,
)
def shared_form(n, xi, power):
    order = n.depth + 1
    outer, inner = n.total @ n.total.T, n.total.T @ n.total
    terms = [
        [power(outer, 1 - Fraction(a, order)), power(inner, Fraction(a - 1, order))]
        for a in range(1, order + 1)
    ]
    return sum(left @ xi @ right for left, right in terms) - sum(
        left @ n.total @ n.xx @ right for left, right in terms
    )


@claim(
    "eq:42",
    says=r"With $W_a=Q_a\omega_aP_a$: $P_{a+1}^\top\omega_{a+1}^2P_{a+1}=Q_a\omega_a^2Q_a^\top$.",
    chapter=SHARED_FORM,
    check=decompositions_check(0),
    mutants=[
        lambda n, svd, a: (
            svd(a + 1)[2].T @ svd(a + 1)[1] @ svd(a + 1)[1] @ svd(a + 1)[2],
            svd(a)[2].T @ svd(a)[1] @ svd(a)[1] @ svd(a)[2],
        )
    ],
)
def balance_of_decompositions(n, svd, a):
    (q, omega, _), (_, omega_next, p_next) = svd(a), svd(a + 1)
    return p_next.T @ omega_next @ omega_next @ p_next, q @ omega @ omega @ q.T


def frames_commute(n, svd, a):
    """What (42) does imply: P_{a+1} Q_a commutes with omega."""
    (q, omega, _), (_, _, p_next) = svd(a), svd(a + 1)
    return p_next @ q @ omega, omega @ p_next @ q


@claim(
    "eq:43",
    says=r"The singular vectors of neighbouring layers agree, $P_{a+1}^\top=Q_a$; it is said to "
    r"follow from (42).",
    chapter=SHARED_FORM,
    check=decompositions_check(0),
    mutants=[
        lambda n, svd, a: (svd(a + 1)[2], svd(a)[0]),
        lambda n, svd, a: (svd(a + 1)[2].T @ svd(a)[1], svd(a)[0] @ svd(a)[1]),
        lambda n, svd, a: (svd(a + 1)[2] @ svd(a + 1)[2].T, svd(a)[0] @ svd(a + 1)[2]),
    ],
    erratum=Erratum(
        frames_commute,
        says=r"(42) implies only that $P_{a+1}Q_a$ commutes with $\omega$; signs, and any rotation "
        r"among equal singular values, are free (at $t=0$ all of them are equal). So "
        r"$P_{a+1}^\top=Q_a$ holds for a suitable choice of the decompositions, not for any.",
        consequence="A slip: (45) to (48) and Lemma B.2 hold for every choice.",
    ),
)
def frames_agree(n, svd, a):
    return svd(a + 1)[2].T, svd(a)[0]


@claim(
    "eq:44",
    says=r"All layers, $V$ included, have the same singular values (in sorted order).",
    chapter=SHARED_FORM,
    check=spectra_check,
    mutants=[lambda n, spectrum, a: (spectrum(n.layer(a)), spectrum(n.layer(1)))],
)
def equal_singular_values(n, spectrum, a):
    return spectrum(n.layer(a).T @ n.layer(a)), spectrum(n.layer(1).T @ n.layer(1))


def gram(frame, omega, power):
    """frame omega^power frame'."""
    return frame @ matrix_power(omega, power) @ frame.T


@claim(
    "eq:45",
    says=r"$[\prod_{b>a}^{L+1}W_b][\prod_{b>a}^{L+1}W_b]^\top="
    r"Q_{L+1}\omega^{2(L-a+1)}Q_{L+1}^\top$, $a=1\ldots L+1$.",
    chapter=SHARED_FORM,
    check=decompositions_check(1),
    mutants=[
        lambda n, svd, a: (
            n.product(a + 1, n.depth + 1).T @ n.product(a + 1, n.depth + 1),
            gram(svd(n.depth + 1)[0], svd(a)[1], 2 * (n.depth - a + 1)),
        )
    ],
)
def upper_products(n, svd, a):
    upper = n.product(a + 1, n.depth + 1)
    q, omega, _ = svd(n.depth + 1)
    return upper @ upper.T, q @ matrix_power(omega, 2 * (n.depth - a + 1)) @ q.T


def lower_products(n, svd, a):
    """(46) with its transposes in the right places."""
    lower, (_, omega, p) = n.product(1, a - 1), svd(1)
    return lower.T @ lower, gram(p.T, omega, 2 * (a - 1))


@claim(
    "eq:46",
    says=r"$[\prod_{b<a}W_b]^\top[\prod_{b<a}W_b]=P_1\omega^{2(a-1)}P_1^\top$, as printed.",
    chapter=SHARED_FORM,
    check=decompositions_check(1),
    mutants=[
        lambda n, svd, a: (
            n.product(1, a - 1) @ n.product(1, a - 1).T,
            gram(svd(1)[2].T, svd(1)[1], 2 * (a - 1)),
        )
    ],
    erratum=Erratum(
        lower_products,
        says=r"The right side is $P_1^\top\omega^{2(a-1)}P_1$, since $W_1=Q_1\omega P_1$.",
        consequence="A slip: nothing depends on it; (48) has the transposes right.",
    ),
)
def lower_products_as_printed(n, svd, a):
    lower, (_, omega, p) = n.product(1, a - 1), svd(1)
    return lower.T @ lower, gram(p, omega, 2 * (a - 1))


@claim(
    "eq:47",
    says=r"$WW^\top=Q_{L+1}\omega^{2(L+1)}Q_{L+1}^\top$.",
    chapter=SHARED_FORM,
    check=decompositions_check(),
    mutants=[
        lambda n, svd: (
            n.total.T @ n.total,
            gram(svd(n.depth + 1)[0], svd(1)[1], 2 * (n.depth + 1)),
        )
    ],
)
def outer_gram(n, svd):
    q, omega, _ = svd(n.depth + 1)
    return n.total @ n.total.T, q @ matrix_power(omega, 2 * (n.depth + 1)) @ q.T


@claim(
    "eq:48",
    says=r"$W^\top W=P_1^\top\omega^{2(L+1)}P_1$.",
    chapter=SHARED_FORM,
    check=decompositions_check(),
    mutants=[lambda n, svd: (n.total @ n.total.T, gram(svd(1)[2].T, svd(1)[1], 2 * (n.depth + 1)))],
)
def inner_gram(n, svd):
    _, omega, p = svd(1)
    return n.total.T @ n.total, p.T @ matrix_power(omega, 2 * (n.depth + 1)) @ p
