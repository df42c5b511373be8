"""Sentences of the paper on who goes first, that have no number and can be checked."""

import numpy as np

from jepabook.claims.ledger import Erratum, claim, decided_by
from jepabook.claims.ours.masked_features import commuting_check, variances_agree
from jepabook.theory import critical_time, dynamics
from jepabook.theory.objectives import BOTH, JEPA, MAE
from jepabook.worlds import generative

RATIOS = "09-when-is-a-feature-learned#ratio-sentences"
PAIR = (0.6, 0.9)  # rho of two features of equal lam
#: What is held while the depth changes, as epsilon of the depth.
HELD = {"epsilon": lambda depth: 1e-4, "gain": lambda depth: 0.1**depth}


def later(objective, depth, epsilon):
    """How much later the smaller rho of `PAIR` is learned: the ratio of half-times, minus one."""
    smaller, larger = critical_time.exact(objective, 1.0, PAIR, depth=depth, epsilon=epsilon)
    return smaller / larger - 1


@decided_by("E")
def next_order_check(statement):
    """Statements (L) -> the power of epsilon in MAE's next term over its leading one; above 0."""
    for depth in range(2, 7):
        shares = []
        for epsilon in (1e-6, 1e-8):
            known = MAE, 1.3, 0.8
            time = critical_time.exact(*known, depth=depth, epsilon=epsilon, fraction=0.3)
            lead = critical_time.expansion(*known, depth=depth, epsilon=epsilon, terms=1)
            shares.append(abs(time / lead - 1))
        power = np.log10(shares[0] / shares[1]) / 2
        if not (statement(depth) > 0 and abs(power - statement(depth)) < 0.01):
            return False
    return True


@claim(
    "text:MAE-next-order",
    where="Section 3.2",
    says="At every depth ($L>1$) MAE's term next to the leading one is small beside it: their "
    r"ratio goes like $\epsilon^{(L-1)/L}$.",
    chapter="09-when-is-a-feature-learned#mae-critical-time",
    ground="checked",
    check=next_order_check,
    mutants=[lambda L: (L - 1) / (L + 1)],
)
def next_order(L):
    return (L - 1) / L


@decided_by("E")
def depth_check(statement):
    """Statements (what is held) -> whether JEPA's lead of the larger rho grows from L = 2 to 9."""
    for held, epsilon in HELD.items():
        leads = [later(JEPA, depth, epsilon(depth)) for depth in range(2, 10)]
        grows = set(np.diff(leads) > 0)
        if grows != {statement(held)}:
            return False
    return True


@claim(
    "text:priority-grows",
    where="Section 3.2",
    says=r"JEPA's priority for the larger $\rho$ grows with the depth.",
    chapter=RATIOS,
    ground="checked",
    check=depth_check,
    mutants=[lambda held: False],
    erratum=Erratum(
        lambda held: held == "epsilon",
        says=r"At a fixed $\epsilon$, as in Corollary 3.6, and as long as $\epsilon$ is small "
        r"against $\rho^L$. At a fixed scale per layer, $\epsilon=c^L$, it falls from two layers "
        r"on (for $c=0.1$; for a larger $c$ after some more) to a limit, $\frac{t(\rho)}"
        r"{t(\rho')}\to\frac{1-c/\rho'}{1-c/\rho}$.",
        consequence="A deeper network that is initialised as a shallow one, layer by layer, is "
        "not the more biased one; its start is only smaller.",
    ),
)
def priority_grows(held):
    return True


@decided_by("E")
def apparent_check(statement):
    """Statements (what is held, L) -> whether JEPA has the smaller rho more than 5 % later."""
    return all(
        (later(JEPA, depth, epsilon(depth)) > 0.05) == statement(held, depth)
        for held, epsilon in HELD.items()
        for depth in range(1, 8)
    )


@claim(
    "text:only-deep",
    where="Section 5",
    says="JEPA's preference shows only if the encoder is deep (here: makes a difference of more "
    r"than 5 % in time between $\rho=0.6$ and $0.9$).",
    chapter=RATIOS,
    ground="checked",
    check=apparent_check,
    mutants=[lambda held, L: True, lambda held, L: held == "gain"],
    erratum=Erratum(
        lambda held, L: L > (3 if held == "epsilon" else 1),
        says=r"At a fixed small $\epsilon$ ($10^{-4}$: 1 % at two layers, 4 % at three, 14 % at "
        r"five). At a fixed scale per layer ($c=0.1$) two layers show it as five do; one layer in "
        "neither case.",
        consequence="What hides the preference is a small scale per layer, $\\epsilon^{1/L}$, "
        "and not a small depth.",
    ),
)
def only_deep(held, L):
    return L > 3


@decided_by("E")
def greedy_check(statement):
    """Statements (objective, what varies) -> whether leads of the larger grow as epsilon falls."""
    pairs = {"lam": ((1.0, 1.2), (0.8, 0.8)), "rho": ((1.0, 1.0), (0.8, 0.6))}
    for objective in BOTH:
        for depth in (2, 3, 5):
            for varies, (lam, rho) in pairs.items():
                leads = [
                    abs(
                        np.subtract(
                            *critical_time.exact(objective, lam, rho, depth=depth, epsilon=epsilon)
                        )
                    )
                    for epsilon in (1e-4, 1e-8, 1e-12)
                ]
                grows = leads[1] > 2 * leads[0] and leads[2] > 2 * leads[1]
                first = np.argmin(
                    critical_time.exact(objective, lam, rho, depth=depth, epsilon=1e-12)
                )
                right = first == (1 if varies == "lam" else 0)
                if (grows and right) != statement(objective, varies):
                    return False
    return True


@claim(
    "text:greedy-in-rho",
    where="Section 4, Figure 2",
    says=r"Both objectives are greedy in $\lambda$, only JEPA in $\rho$: as $\epsilon\to0$ the "
    r"lead in time of the larger one grows without bound ($L\ge2$).",
    chapter=RATIOS,
    ground="checked",
    check=greedy_check,
    mutants=[lambda objective, varies: True],
)
def is_greedy(objective, varies):
    return varies == "lam" or objective is JEPA


@decided_by("E")
def overlap_check(statement):
    """Statements (at one time) -> whether what the objectives have learned can be disjoint.

    Learned is what has a size above a bar, over a grid of times and bars.
    """
    known = {"lam": (1.0, 1.2), "rho": (1.0, 0.6), "depth": 5, "epsilon": 0.4**5}
    bars = np.geomspace(1.5 * known["epsilon"], 0.9, 12)[:, None]
    half = [critical_time.exact(objective, **known) for objective in BOTH]
    times = np.geomspace(np.min(half) / 50, 20 * np.max(half), 300)[:, None]
    jepa, mae = (
        dynamics.trajectory(objective, times, **known)[:, None] > bars for objective in BOTH
    )
    both, each = (jepa & mae).any(-1), jepa.any(-1) & mae.any(-1)
    first, second = (
        (sets == alone).all(-1).any(0) for sets, alone in ((jepa, (1, 0)), (mae, (0, 1)))
    )
    at_own = bool((first & second).any())
    return bool((each & ~both).any()) == statement(True) and at_own == statement(False)


@claim(
    "text:no-overlap",
    where="Section 2",
    says="With a finite budget of training JEPA and MAE can learn entirely different features.",
    chapter=RATIOS,
    ground="checked",
    check=overlap_check,
    mutants=[lambda at_one_time: False],
    erratum=Erratum(
        lambda at_one_time: not at_one_time,
        says=r"With a budget for each. After the same time of gradient flow from one aligned "
        r"start, and $\rho\le1$, MAE has made every feature at least as large as JEPA has: "
        r"$\lambda w^{2-1/L}(1-w)$, the difference of (8) and (7), is not negative for $w\le1$.",
        consequence="The objectives differ in order; at one learning rate and one number of steps "
        "MAE has learned what JEPA has, and more.",
    ),
)
def can_be_disjoint(at_one_time):
    return True


#: (gamma, |v|^2, noise) of pairs of images: equal lam; Figure 3; the quieter one weak.
IMAGES = (
    ((0.9, 1.0, 1.0), (0.9, 1.0, 0.2)),
    ((0.99, 1.0, 1.0), (0.95, 1.0, 0.25)),
    ((0.9, 1.0, 0.2), (0.99, 0.3, 0.0)),
    ((0.6, 1.0, 0.5), (0.99, 1.0, 0.5)),
    ((0.5, 2.0, 0.2), (0.9, 1.0, 0.3)),
)


@decided_by("E")
def quiet_check(statement):
    """Statements (one, other, c) -> which image (0 or 1) JEPA learns first; L = 6, c = 0.3."""
    for pair in IMAGES:
        lam = np.array([gamma * power for gamma, power, _ in pair])
        rho = lam / [power + noise for _, power, noise in pair]
        times = critical_time.exact(JEPA, lam, rho, depth=6, epsilon=0.3**6)
        if times.argmin() != statement(*pair, 0.3):
            return False
    return True


@claim(
    "text:slow-features",
    where="Section 5",
    says="JEPA gives priority to the features of smallest variance (among them slow ones).",
    chapter="11-a-flickering-world#slow-noise",
    check=quiet_check,
    erratum=Erratum(
        lambda one, other, c: int(prospect(*other, c) > prospect(*one, c)),
        says=r"At equal covariance. In general by $\lambda-c\,\sigma^2$ (deep encoders), which a "
        r"small variance raises only by $c$ times what is missing: an image of $\lVert v\rVert^2="
        r"0.3$ without noise has the smaller variance than one of $\lVert v\rVert^2=1$ with noise, "
        "and is learned after it.",
        consequence="Nor does slowness decide: of the two images of Figure 3 JEPA learns the "
        "faster one first, since it is the less noisy.",
        changes_result=True,
    ),
)
def smallest_variance_first(one, other, c):
    return int(other[1] + other[2] < one[1] + one[2])


def prospect(gamma, power, noise, c):
    """lam - c sigma^2 of an image."""
    return gamma * power - c * (power + noise)


@decided_by("E")
def correlation_check(statement):
    """Statements (gamma, |v|^2, s^2) -> the correlation of two frames along each image."""
    gamma, noise, scale = np.array([0.9, 0.4]), np.array([0.7, 0.2]), np.array([1.5, 0.8])
    images = np.array([[1.0, -1, 1, 0, 0], [0, 0, 0, 1, 1]])
    images *= (scale / np.linalg.norm(images, axis=1))[:, None]
    world = generative.FlickeringWorld(images, gamma, noise, np.array([0, 0, 0, 1, 1]))
    xx, yx, yy = (np.diag(images @ moments @ images.T) for moments in world.covariances())
    return np.allclose(yx / np.sqrt(xx * yy), statement(gamma, scale**2, noise**2), rtol=1e-12)


@claim(
    "text:correlation",
    where="Section 4.1, before (16)",
    says=r"The $\rho_a$ of (16) is the correlation coefficient of two frames along image $a$: here "
    "it is the regression coefficient, too, because both frames have one variance.",
    chapter="11-a-flickering-world#model",
    ground="checked",
    check=correlation_check,
    mutants=[
        lambda gamma, power, noise: gamma * power / np.sqrt(noise + power),
        lambda gamma, power, noise: gamma * power / (noise**0.5 + power),
    ],
)
def correlation(gamma, power, noise):
    return gamma * power / (noise + power)


@claim(
    "text:diagonal-identity",
    where="Appendix C.1, after (131)",
    says="The covariance of the data and its diagonal commute only if the diagonal is a multiple "
    "of the identity.",
    chapter="10-random-masks#mask-table",
    ground="proved",
    check=commuting_check,
    erratum=Erratum(
        variances_agree,
        says="If and only if any two correlated pixels have the same variance "
        "(`new:equal-variance`): pixels of different variance are allowed in parts of the image "
        "that are not correlated.",
        consequence="None for Theorem C.1; more data than the text allows have exact features.",
    ),
)
def one_variance(C):
    return bool(np.ptp(np.diag(C)) < 1e-12)
