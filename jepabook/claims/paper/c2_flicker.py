"""The temporal model, eqs. (15), (16) and Appendix C.2, with Figures 3 and 6.

Random variables are exact: a vector holds the coefficients of one on independent standard normal
variables, so that E[a b] is a scalar product of rationals.
"""

from dataclasses import replace
from fractions import Fraction
from functools import cache
from random import Random

import numpy as np

from jepabook.claims.ledger import Erratum, claim, decided_by
from jepabook.worlds import autocorrelation, generative

CHAPTER = "11-a-flickering-world"
MODEL = f"{CHAPTER}#model"
FIGURE_3 = f"{CHAPTER}#figure-3"
FIGURE_6 = f"{CHAPTER}#figure-6"
WHERE = "Appendix C.2"
REGION = (0, 0, 0, 1, 1)
FRAMES = 5
# gamma and sqrt(1 - gamma^2), both rational
MEMORIES = [(Fraction(a, h), Fraction(b, h)) for a, b, h in ((3, 4, 5), (12, 5, 13), (-8, 15, 17))]


def recursion(eta, gamma, root):
    """Eq. (137): u(1), u(2), ... from eta_0, eta_1, ... with root = sqrt(1 - gamma^2)."""
    u = [eta[0]]
    for fresh in eta[1:]:
        u.append(gamma * u[-1] + root * fresh)
    return u


def normals(count):
    """`count` independent standard normal variables."""
    return np.array([[Fraction(int(i == j)) for j in range(count)] for i in range(count)])


class World:
    """Two images on five pixels with exact numbers: u_a(t), v_a, noise, and E[x x'], E[y x']."""

    def __init__(self, seed, rule=recursion):
        rng = Random(seed)
        number = lambda: Fraction(rng.randint(1, 9), rng.randint(1, 9))  # noqa: E731
        self.memories = rng.sample(MEMORIES, 2)
        self.gamma = [gamma for gamma, _ in self.memories]
        self.noise = [number(), number()]
        self.images = np.array([[number() * (r == a) for r in REGION] for a in range(2)])
        pixels = len(REGION)
        free = normals(FRAMES * (2 + pixels)).reshape(2 + pixels, FRAMES, -1)
        self.u = [rule(free[a], *self.memories[a]) for a in range(2)]
        amplitude = np.array([self.noise[r] for r in REGION])[:, None, None]
        self.xi = amplitude * free[2:]

    def norm(self, a):
        """|v_a|^2."""
        return (self.images[a] ** 2).sum()

    def frame(self, t, model):
        """z(t) by a statement of eq. (15), pixels by variables."""
        return model([u[t] for u in self.u], self.images, [xi[t] for xi in self.xi])

    def covariances(self):
        """E[x x'] and E[y x'] at one time, from eqs. (15) and (137)."""
        now, then = self.frame(2, frame), self.frame(3, frame)
        return now @ now.T, then @ now.T


@cache
def worlds():
    """A few exact worlds."""
    return [World(seed) for seed in range(4)]


def equal(one, other):
    """Whether two exact arrays are the same."""
    return bool(np.all(np.asarray(one) == np.asarray(other)))


@decided_by("S")
def frame_check(statement):
    """Statements (u, v, xi) -> z, against the second moments that the package's world has."""
    for world in worlds():
        exact = [world.frame(t, statement) for t in (2, 3)]
        model = generative.FlickeringWorld(
            world.images.astype(float),
            np.array(world.gamma, dtype=float),
            np.array(world.noise, dtype=float),
            np.array(REGION),
        )
        expected = model.covariances()
        found = [exact[0] @ exact[0].T, exact[1] @ exact[0].T]
        if not all(np.allclose(f.astype(float), e) for f, e in zip(found, expected, strict=False)):
            return False
    return True


FRAME_MUTANTS = [
    lambda u, v, xi: frame(u, v, 0 * np.array(xi)),
    lambda u, v, xi: frame(u[::-1], v, xi),
    lambda u, v, xi: frame([2 * a for a in u], v, xi),
    lambda u, v, xi: frame([sum(u)] * 2, v, xi),
]


@claim(
    "eq:15",
    where="Section 4.1",
    says=r"A frame is a sum of flickering images and noise: $z_i(t)=\sum_au_a(t)v_i^a+\xi_i(t)$.",
    definition=True,
    chapter=MODEL,
    check=frame_check,
    mutants=FRAME_MUTANTS,
)
@claim(
    "eq:134",
    says=r"Equation (15) again.",
    definition=True,
    chapter=MODEL,
    check=frame_check,
    mutants=FRAME_MUTANTS,
)
def frame(u, v, xi):
    return sum(np.outer(image, light) for light, image in zip(u, v, strict=True)) + np.array(xi)


@decided_by("S")
def moments_check(statement):
    """Statements (gamma) -> E[u^2], E[u(t) u(t+1)], E[u], at all times of eq. (137)."""
    return all(
        (u[t] @ u[t], u[t] @ u[t + 1], 0) == statement(gamma)
        for world in worlds()
        for u, gamma in zip(world.u, world.gamma, strict=True)
        for t in range(FRAMES - 1)
    )


@claim(
    "eq:135",
    says=r"Assumed of the light: $E[u_a^2]=1$, $E[u_a(t)u_a(t+1)]=\gamma_a$, $E[u_a]=0$.",
    definition=True,
    chapter=MODEL,
    check=moments_check,
    mutants=[
        lambda gamma: (1, gamma**2, 0),
        lambda gamma: (1 / (1 - gamma**2), gamma, 0),
        lambda gamma: (1, gamma, gamma),
    ],
)
def light_moments(gamma):
    return 1, gamma, 0


@decided_by("S")
def cross_check(statement):
    """Statements (gamma_a, gamma_b) -> E[u_a(t) u_b(t)], E[u_a(t) u_b(t+1)], a != b."""
    return all(
        (w.u[a][t] @ w.u[1 - a][t], w.u[a][t] @ w.u[1 - a][t + 1])
        == statement(w.gamma[a], w.gamma[1 - a])
        for w in worlds()
        for a in (0, 1)
        for t in range(FRAMES - 1)
    )


@claim(
    "eq:136",
    says=r"Assumed of two lights: $E[u_a(t)u_b(t)]=0=E[u_a(t)u_b(t+1)]$, for $a\ne b$ (which the "
    r"paper leaves unsaid).",
    definition=True,
    chapter=MODEL,
    check=cross_check,
    mutants=[lambda a, b: (1, b), lambda a, b: (0, a * b), lambda a, b: (a * b, 0)],
)
def cross_moments(gamma_a, gamma_b):
    return 0, 0


@decided_by("S")
def recursion_check(statement):
    """Statements (eta, gamma, sqrt(1 - gamma^2)) -> u(1), u(2), ...: do they obey (135), (136)?"""
    for seed in range(4):
        world = World(seed, statement)
        for a, gamma in enumerate(world.gamma):
            u, other = world.u[a], world.u[1 - a]
            for t in range(FRAMES - 1):
                own = (u[t] @ u[t], u[t + 1] @ u[t + 1], u[t] @ u[t + 1])
                across = (u[t] @ other[t], u[t] @ other[t + 1])
                if own != (1, 1, gamma) or across != (0, 0):
                    return False
    return True


def from_darkness(eta, gamma, root):
    """The mutant that starts at u(1) = 0."""
    return recursion([0 * eta[0], *eta[1:]], gamma, root)


@claim(
    "eq:137",
    says=r"$u_a(1)=\eta_0$, $u_a(t+1)=\gamma_au_a(t)+\sqrt{1-\gamma_a^2}\,\eta_t$ with independent "
    r"$\eta\sim N(0,1)$ has the moments (135), (136), exactly and from the first frame on: $T$ "
    r"need not be large for them.",
    chapter=MODEL,
    check=recursion_check,
    mutants=[
        from_darkness,
        lambda eta, gamma, root: recursion(eta, gamma, root**2),
        lambda eta, gamma, root: recursion(eta, gamma**2, root),
    ],
)
def light(eta, gamma, root):
    return recursion(eta, gamma, root)


@decided_by("S")
def yx_check(statement):
    """Statements (v, gamma, noise) -> E[y x']."""
    return all(equal(w.covariances()[1], statement(w.images, w.gamma, w.noise)) for w in worlds())


@claim(
    "eq:138",
    says=r"$C^{xy}=\sum_a\gamma_av_av_a^\top$ (symmetric, so $C^{yx}$ too).",
    chapter=MODEL,
    check=yx_check,
    mutants=[
        lambda v, gamma, noise: cross_covariance(v, [g**2 for g in gamma], noise),
        lambda v, gamma, noise: covariance(v, noise),
    ],
)
def cross_covariance(v, gamma, noise):
    return sum(g * np.outer(image, image) for g, image in zip(gamma, v, strict=True))


@decided_by("S")
def xx_check(statement):
    """Statements (v, noise) -> E[x x']."""
    return all(equal(w.covariances()[0], statement(w.images, w.noise)) for w in worlds())


def covariance(v, noise):
    """sum_a v_a v_a' and, on the diagonal, the noise of the pixel's own region."""
    own = np.diag([noise[region] ** 2 for region in REGION])
    return sum(np.outer(image, image) for image in v) + own


@claim(
    "eq:139",
    says=r"$C^{xx}_{ij}=\sum_av^a_iv^a_j+\sum_a\sigma_a^2\,\delta_{ij}\,\delta_{a(i)a(j)}$.",
    chapter=MODEL,
    check=xx_check,
    mutants=[
        lambda v, noise: covariance(v, [s**2 for s in noise]),
        lambda v, noise: covariance(v, noise[::-1]),
    ],
    erratum=Erratum(
        covariance,
        says=r"$\delta_{a\,a(i)}$ for the last factor: the noise is "
        r"$\delta_{ij}\,\sigma_{a(i)}^2$.",
        consequence=r"As printed the last factor is 1 wherever $i=j$, so every pixel would have "
        r"the noise $\sum_a\sigma_a^2$ of all regions, against (141), which is right.",
    ),
)
def printed_covariance(v, noise):
    everywhere = sum(s**2 for s in noise) * np.eye(len(REGION), dtype=int)
    return sum(np.outer(image, image) for image in v) + everywhere


@decided_by("S")
def eigen_check(statement):
    """Statements (gamma, |v|^2, sigma) -> lambda, rho of an image; orthogonal to all, both are 0.

    Either may be None: not claimed.
    """
    for world in worlds():
        xx, yx = world.covariances()
        for a in range(2):
            lam, rho = statement(world.gamma[a], world.norm(a), world.noise[a])
            v = world.images[a]
            if lam is not None and not equal(yx @ v, lam * v):
                return False
            if rho is not None and not equal(yx @ v, rho * (xx @ v)):
                return False
        # orthogonal to both images: the third pixel of the first region against the first
        u = np.array([-world.images[0, 2], 0, world.images[0, 0], 0, 0])
        if not (equal(yx @ u, 0 * u) and equal(xx @ u, world.noise[0] ** 2 * u)):
            return False
    return True


@claim(
    "eq:16",
    where="Section 4.1",
    says=r"$\lambda_a=\gamma_a\lVert v_a\rVert^2$, $\rho_a=\frac{\gamma_a\lVert v_a\rVert^2}"
    r"{\sigma_a^2+\lVert v_a\rVert^2}$.",
    chapter=MODEL,
    check=eigen_check,
    mutants=[
        lambda gamma, norm, sigma: (gamma * (norm + sigma**2), gamma),
        lambda gamma, norm, sigma: (gamma, gamma / (1 + sigma**2)),
    ],
)
def features_of_images(gamma, norm, sigma):
    return gamma * norm, gamma * norm / (sigma**2 + norm)


@claim(
    "eq:140",
    says=r"The images are eigenvectors of $C^{xy}$ with $\lambda_a=\gamma_a\lVert v_a\rVert^2$; in "
    r"all directions orthogonal to them $\lambda=0$.",
    chapter=MODEL,
    check=eigen_check,
    mutants=[lambda gamma, norm, sigma: (gamma * (norm + sigma**2), None)],
)
def covariance_of_images(gamma, norm, sigma):
    return gamma * norm, None


@claim(
    "eq:141",
    says=r"$\rho_a=\frac{\gamma_a\lVert v_a\rVert^2}{\sigma_a^2+\lVert v_a\rVert^2}$, and $\rho=0$ "
    r"in all other directions (if there is noise; without it $x$ is 0 there).",
    chapter=MODEL,
    check=eigen_check,
)
def coefficient_of_images(gamma, norm, sigma):
    return None, gamma * norm / (sigma**2 + norm)


RUNS, SMALL = 10, 4


@cache
def streams(count):
    """lambda and rho, the means of ten streams' estimates and their standard errors; the world.

    And the deviations of the ten. Of 4 x 4 pixels, with images of norm 5/4, for that is not its own
    square. Each (2, images).
    """
    world = generative.two_images(SMALL)
    world = replace(world, images=world.images * 5 / 4)
    v, law = world.images, autocorrelation.components(world)
    runs = [autocorrelation.moments(world, [count], run) for run in range(RUNS)]
    lam, variance = (
        np.array([(v @ run[k][0] * v).sum(-1) for run in runs]) / (v**2).sum(-1) for k in (1, 0)
    )
    spread = autocorrelation.estimate_covariance(law.power[:2], law.gamma[:2], count)
    of_rho = autocorrelation.ratio_moments(spread, law.lam[:2], law.sigma_squared[:2])[1]
    errors = np.array([spread[:, 0, 0] ** 0.5, of_rho]) / np.sqrt(RUNS)
    both = np.array([lam, lam / variance])
    return both.mean(1), errors, world, both.std(1, ddof=1)


@decided_by("E")
def figure_3_check(statement):
    """Statements (gamma, |v|^2, sigma) -> lambda, rho, and the trends of both.

    The mean of ten streams lies within four of its standard errors (at most 7 %) of the
    statement, image by image; the spread of the runs shrinks from a tenth of the frames; from
    image 1 to 2 lambda falls, and rho rises up to a common norm of 4.19 and falls beyond.
    """
    spreads = [streams(count)[3] for count in (10_000, 100_000)]
    if not np.all(spreads[1] < 0.7 * spreads[0]):
        return False
    memory, noise = generative.two_images(SMALL).gamma, generative.two_images(SMALL).noise
    for norm, change in ((4.18, 1), (4.2, -1)):
        if np.sign(np.diff(statement(memory, norm**2, noise)[1])) != change:
            return False
    found, errors, world, _ = streams(100_000)
    stated = np.array(statement(world.gamma, (world.images**2).sum(1), world.noise))
    near = np.abs(found - stated) < 4 * errors
    trend = np.sign(np.diff(stated, axis=1)[:, 0])
    return bool(near.all() and (4 * errors < 0.07 * stated).all() and (trend == (-1, 1)).all())


@claim(
    "fig:3",
    where="Section 4.1, Figure 3",
    says=r"Simulated $\hat\lambda,\hat\rho$ agree with (16) within their fluctuation over ten "
    r"runs, which shrinks with $T$; from image 1 to 2 $\lambda$ decreases and $\rho$ increases. "
    r"(Images ours; with a common norm beyond 4.19 $\rho$ decreases, too.)",
    chapter=FIGURE_3,
    check=figure_3_check,
    mutants=[
        lambda gamma, norm, sigma: (norm, norm / (sigma**2 + norm)),
        lambda gamma, norm, sigma: (gamma * (norm + sigma**2), gamma * norm / (sigma**2 + norm)),
    ],
)
def figure_3(gamma, norm, sigma):
    return gamma * norm, gamma * norm / (sigma**2 + norm)


@cache
def off_diagonals():
    """Counts and the mean squared off-diagonal elements of ten streams, (counts, runs); the world.

    Of Sigma_xy_hat in the eigenbasis of Sigma_xx_hat.
    """
    world = generative.two_images(SMALL)
    counts, width = np.array([3000, 10_000, 30_000, 100_000]), SMALL**2
    found = []
    for run in range(RUNS):
        xx, yx = autocorrelation.moments(world, counts, run)
        basis = np.linalg.eigh(xx)[1]
        turned = basis.mT @ yx.mT @ basis
        off = turned * (1 - np.eye(width))
        found.append((off**2).sum((1, 2)) / (width * (width - 1)))
    return counts, np.array(found).T, world


@decided_by("E")
def figure_6_check(statement):
    """Statements (T) -> what the mean squared off-diagonal element goes like."""
    counts, found, _ = off_diagonals()
    ratio = np.log(found.mean(1) / [statement(int(count)) for count in counts])
    return bool(np.abs(ratio - ratio.mean()).max() < 0.35)


@claim(
    "fig:6",
    where="Appendix C.2, Figure 6",
    says=r"In the eigenbasis of $\hat\Sigma^{xx}$ the off-diagonal elements of $\hat\Sigma^{xy}$ "
    r"vanish as $T$ grows. (Measured: their mean square like $1/T$.)",
    chapter=FIGURE_6,
    check=figure_6_check,
    mutants=[lambda count: count**-0.5],
)
def figure_6(count):
    return count**-1.0
