"""Appendix C.1, random masks: eqs. (122)-(133) and Theorem C.1."""

from fractions import Fraction
from functools import cache
from itertools import product

import numpy as np
import sympy

from jepabook.claims.ledger import Erratum, claim, decided_by
from jepabook.worlds.generative import (
    RandomMasks,
    gaussian_dictionary,
    masked_covariances,
    orthogonal_dictionary,
    sparse_power,
)

WHERE = "Appendix C.1, p. 34"
CHAPTER = "10-random-masks"
MODEL, MASKS = f"{CHAPTER}#mask-model", f"{CHAPTER}#mask-moments"
DATA, THEOREM = f"{CHAPTER}#mask-data", f"{CHAPTER}#theorem-c1"
SHARES = (Fraction(1, 4), Fraction(1, 2), Fraction(2, 3))


def _rational(rows, columns, seed):
    """A matrix of fractions, as an array of objects."""
    entries = np.random.default_rng([10, seed]).integers(-4, 5, (rows, columns))
    return np.array([[Fraction(int(x), 3) for x in row] for row in entries])


def _covariance(width, seed):
    """A covariance of fractions with a diagonal that is not constant."""
    factor = _rational(width, width, seed)
    return factor @ factor.T + np.diag([Fraction(i, 2) for i in range(1, width + 1)])


def _masks(width, visible):
    """Every mask (0 and 1 as fractions) and its probability."""
    for bits in product((0, 1), repeat=width):
        mask = np.array([Fraction(bit) for bit in bits])
        yield mask, visible ** sum(bits) * (1 - visible) ** (width - sum(bits))


def _orthogonal():
    """A 4 x 4 orthogonal matrix of fractions, not symmetric, whose entries differ in size."""
    v = np.array([Fraction(x) for x in (1, 2, 3, 1)])
    mirror = np.array([[Fraction(int(i == j)) for j in range(4)] for i in range(4)]) - (
        2 / (v @ v)
    ) * np.outer(v, v)
    return np.roll(mirror, 1, axis=0)


def _draws(scale):
    """All values of independent coefficients, -2a, 0, 0 or 2a each: E[s^2] = 2 a^2."""
    for signs in product((-2, 0, 0, 2), repeat=len(scale)):
        yield np.array([sign * a for sign, a in zip(signs, scale, strict=True)])


@cache
def _worlds():
    """Dictionaries, scales of coefficients, noise; and E[z z'] by summing over every draw.

    Two general dictionaries and an orthogonal one. The noise is +-eta in every pixel.
    """
    worlds = []
    for dictionary in (_rational(3, 3, 1), _rational(2, 3, 2), _orthogonal()):
        scale = np.array([Fraction(k + 1, 2) for k in range(len(dictionary))])
        eta = Fraction(3, 4)
        signal = [np.array([s @ column for column in dictionary.T]) for s in _draws(scale)]
        second = sum(np.outer(z, z) for z in signal) / Fraction(len(signal))
        # independent noise adds its own second moment, summed over every sign
        width = dictionary.shape[1]
        noise = [eta * np.array(signs) for signs in product((-1, 1), repeat=width)]
        second = second + sum(np.outer(n, n) for n in noise) / Fraction(len(noise))
        worlds.append((dictionary, scale, eta, second))
    return worlds


@decided_by("S")
def model_check(statement):
    """Statements (B, s, eta) -> (z, E[s^2] for the powers s^2).

    z must have the package's second moments when s and eta take all their signs, and the mean
    power must be the variance of a pixel without noise, on average, for an orthogonal B.
    """
    for dictionary, scale, eta, _ in _worlds():
        count, width = dictionary.shape
        moments, total = 0, 0
        for signs in product((-1, 1), repeat=count + width):
            s = scale * np.array(signs[:count])
            z, mean = statement(dictionary, s, eta * np.array(signs[count:]))
            moments, total = moments + np.outer(z, z), total + 1
        world = RandomMasks(
            dictionary.astype(float), (scale**2).astype(float), float(eta) ** 2, 0.5
        )
        found = (moments / Fraction(total)).astype(float)
        if not np.allclose(found, world.data_covariance(), rtol=1e-12, atol=1e-12):
            return False
        if count == 4 and np.trace(moments) / total / width != mean + eta**2:
            return False
    return True


@claim(
    "eq:122",
    says=r"Data are $z_i=\sum_ks_kB_{ki}+\eta_i$; $E[s^2]=\frac1d\sum_{k=1}^dE[s_k^2]$ is the mean "
    "over all coefficients, also those that are always zero.",
    definition=True,
    chapter=MODEL,
    check=model_check,
    mutants=[
        lambda B, s, eta: (s @ B.T if len(B) == len(B.T) else s @ B, (s @ s) / len(B.T)),
        lambda B, s, eta: (s @ B + 2 * eta, (s @ s) / len(B.T)),
        lambda B, s, eta: (s @ B + eta, (s @ s) / (len(B.T) - 1)),
    ],
)
def data(B, s, eta):
    return s @ B + eta, np.mean(s**2)


@decided_by("S")
def mask_check(statement):
    """Statements (z, m, f) -> (x, y, probability of m), summed over every mask."""
    z = np.array([Fraction(3), Fraction(-2), Fraction(5, 7)])
    for visible in SHARES:
        total, shown = 0, 0
        for mask, expected in _masks(3, visible):
            x, y, probability = statement(z, mask, visible)
            if probability != expected or any(x + y != z) or any(x * y != 0):
                return False
            total, shown = total + probability, shown + probability * (x == z)
        if total != 1 or any(shown != visible):
            return False
    return True


def _probability(mask, f):
    return np.prod(np.where(mask == 1, f, 1 - f))


@claim(
    "eq:123",
    says=r"The views are complementary: $x_i=z_im_i$, $y_i=z_i(1-m_i)$, with independent $m_i=1$ "
    r"of probability $f$, else $0$.",
    definition=True,
    chapter=MODEL,
    check=mask_check,
    mutants=[lambda z, m, f: (z * (1 - m), z * m, _probability(m, f))],
)
def views(z, m, f):
    return z * m, z * (1 - m), _probability(m, f)


@decided_by("S")
def moment_check(first, second):
    """Check of statements (C, f) -> one or several forms of E[first second'].

    Against the sum over all masks of four pixels in exact fractions, and against the package.
    `first`, `second` are 0 for x and 1 for y.
    """

    def check(statement):
        package = {(0, 0): 0, (1, 1): 2}.get((first, second), 1)
        for seed, visible in enumerate(SHARES):
            covariance = _covariance(4, seed)
            exact = 0
            for mask, probability in _masks(4, visible):
                views = (mask, 1 - mask)
                exact = exact + probability * covariance * np.outer(views[first], views[second])
            forms = statement(covariance, visible)
            if any(np.any(form != exact) for form in forms):
                return False
            coded = masked_covariances(covariance.astype(float), float(visible))[package]
            if not np.allclose(coded, exact.astype(float), rtol=1e-13, atol=1e-13):
                return False
        return True

    return check


def _diagonal(matrix):
    return np.diag(np.diag(matrix))


@claim(
    "eq:127",
    says=r"$E[x_ix_j]=E[m_im_j]E[z_iz_j]=\big((f-f^2)\delta_{ij}+f^2\big)E[z_iz_j]$.",
    chapter=MASKS,
    check=moment_check(0, 0),
    mutants=[
        lambda C, f: (C * ((f - f**2) * np.eye(4, dtype=int)),),
        lambda C, f: (C * (f**2 * np.eye(4, dtype=int) + f - f**2),),
        lambda C, f: (C * (f * np.eye(4, dtype=int) + f**2),),
    ],
)
def visible_moments(C, f):
    moment = sum(p * np.outer(mask, mask) for mask, p in _masks(4, f))
    return moment * C, ((f - f**2) * np.eye(4, dtype=int) + f**2) * C


@claim(
    "eq:128",
    says=r"$E[xx^\top]=f^2E[zz^\top]+(f-f^2)\mathrm{Diag}(E[zz^\top])$, for any data.",
    chapter=MASKS,
    check=moment_check(0, 0),
    mutants=[
        lambda C, f: (f**2 * C + (1 - f) ** 2 * _diagonal(C),),
        lambda C, f: hidden_covariance(C, f),
    ],
)
def visible_covariance(C, f):
    return (f**2 * C + (f - f**2) * _diagonal(C),)


@claim(
    "eq:129",
    says=r"$E[xy^\top]=f(1-f)E[zz^\top]-f(1-f)\mathrm{Diag}(E[zz^\top])$, for any data; symmetric, "
    r"so it is $E[yx^\top]$ too.",
    chapter=MASKS,
    check=moment_check(0, 1),
    mutants=[lambda C, f: (f**2 * (C - _diagonal(C)),)],
)
def cross_covariance(C, f):
    return (f * (1 - f) * C - f * (1 - f) * _diagonal(C),)


@claim(
    "eq:130",
    says=r"$E[yy^\top]=(1-f)^2E[zz^\top]+(f-f^2)\mathrm{Diag}(E[zz^\top])$, for any data.",
    chapter=MASKS,
    check=moment_check(1, 1),
    mutants=[lambda C, f: ((1 - f**2) * C + (f - f**2) * _diagonal(C),)],
)
def hidden_covariance(C, f):
    return ((1 - f) ** 2 * C + (f - f**2) * _diagonal(C),)


@decided_by("S")
def data_covariance_check(statement):
    """Statements (B, power, noise) -> the forms of E[z z'] that are claimed to be equal.

    Against the sum over all draws, for dictionaries of any kind; where B is orthogonal two forms
    must be given.
    """
    for dictionary, scale, eta, exact in _worlds():
        forms = statement(dictionary, 2 * scale**2, eta**2)
        if any(np.any(form != exact) for form in forms):
            return False
        if len(dictionary) == 4 and len(forms) < 2:
            return False
    return True


def _noisy(B, power, noise):
    return B.T @ np.diag(power) @ B + noise * np.eye(len(B.T), dtype=int)


def _inside(B, power, noise):
    return B.T @ np.diag(power + noise) @ B


def _is_orthogonal(B):
    return np.all(B.T @ B == np.eye(len(B.T), dtype=int))


@claim(
    "eq:131",
    says=r"$E[zz^\top]=B^\top\Sigma^sB+\sigma_\epsilon^2I=B^\top[\Sigma^s+\sigma_\epsilon^2I]B$.",
    chapter=DATA,
    check=data_covariance_check,
    mutants=[
        lambda B, power, noise: (_inside(B, power, noise),),
        lambda B, power, noise: (_noisy(B, power, noise), B.T @ np.diag(power) @ B),
        lambda B, power, noise: (_noisy(B, power**2, noise),) * 2,
    ],
    erratum=Erratum(
        lambda B, power, noise: (
            _noisy(B, power, noise),
            *((_inside(B, power, noise),) if _is_orthogonal(B) else ()),
        ),
        says=r"The second form needs $B^\top B=I$. The noise is added to each pixel, it does not "
        r"pass through $B$. For $B_{ki}\sim N(0,\frac1d)$ the two differ by "
        r"$\sigma_\epsilon^2(B^\top B-I)$, whose norm tends to $3\sigma_\epsilon^2$.",
        consequence="That the noise is isotropic in the basis $B$, and with it the place of "
        r"$E[\eta^2]$ in Theorem C.1, is true for an orthogonal $B$ only.",
        changes_result=True,
    ),
)
def data_covariance(B, power, noise):
    return _noisy(B, power, noise), _inside(B, power, noise)


@decided_by("S")
def pixel_check(statement):
    """Statements (B, s, power, noise) -> E[z_i^2] of every pixel, for one draw s of the data."""
    for dictionary, scale, eta, exact in _worlds():
        for s in (2 * scale, 0 * scale):
            found = statement(dictionary, s, 2 * scale**2, eta**2)
            if np.any(found != np.diag(exact)):
                return False
    return True


@claim(
    "eq:132",
    says=r"$E[z_i^2]=b_i^\top[\Sigma^s+\sigma_\epsilon^2]b_i=\sum_kB_{ki}^2(s_k^2+"
    r"\sigma_\epsilon^2)$.",
    chapter=DATA,
    check=pixel_check,
    mutants=[
        lambda B, s, power, noise: (B**2).T @ (power + noise),
        lambda B, s, power, noise: (B**2).T @ s**2 + noise,
    ],
    erratum=Erratum(
        lambda B, s, power, noise: (B**2).T @ power + noise,
        says=r"$E[z_i^2]=\sum_kB_{ki}^2E[s_k^2]+\sigma_\epsilon^2$: an expectation is missing, and "
        r"the noise has the factor $\lvert b_i\rvert^2$, which is 1 for an orthogonal $B$ only.",
        consequence=r"None in the limit: $\lvert b_i\rvert^2\to1$ for $B_{ki}\sim N(0,\frac1d)$.",
    ),
)
def pixel_variance(B, s, power, noise):
    return (B**2).T @ (s**2 + noise)


@cache
def _pixels():
    """(powers, noise, variances of pixels) for growing d, gamma = 0.2 and both ensembles."""
    found = []
    for make in (gaussian_dictionary, orthogonal_dictionary):
        series = []
        for width in (64, 256, 1024):
            rng = np.random.default_rng([10, width])
            power = sparse_power(width, 0.2) * rng.exponential(1.5, width)
            world = RandomMasks(make(width, width, width), power, 0.4, 0.5)
            series.append((power, 0.4, np.diag(world.data_covariance())))
        found.append(series)
    return found


@decided_by("E")
def self_averaging_check(statement):
    """Statements (powers, noise) -> the limit of the variance of a pixel.

    For gamma-sparse powers drawn from an exponential law the root mean square distance of the
    exact variances must fall with d like d^(-1/2), for Gaussian and for orthogonal dictionaries.
    """
    for series in _pixels():
        off = [
            np.sqrt(np.mean((variance - statement(power, noise)) ** 2))
            for power, noise, variance in series
        ]
        if not (off[1] < 0.75 * off[0] and off[2] < 0.35 * off[0] and off[2] < 0.06):
            return False
    return True


@claim(
    "eq:133",
    says=r"$E[z_i^2]\to E[s^2]+\sigma_\epsilon^2$ as $\gamma d\to\infty$: in probability, pixel by "
    r"pixel, if $P_s$ has a finite variance.",
    chapter=DATA,
    check=self_averaging_check,
    mutants=[
        lambda power, noise: power[power > 0].mean() + noise,
        lambda power, noise: power.mean() + 2 * noise,
        lambda power, noise: power.sum() + noise,
    ],
)
def pixel_limit(power, noise):
    return power.mean() + noise


@cache
def _world(make, width, gamma):
    """Masked data with a square dictionary, f = 1/3, noise 0.3."""
    world = RandomMasks(
        make(width, width, np.random.default_rng([10, width])),
        sparse_power(width, gamma),
        0.3,
        visible=1 / 3,
    )
    return world, world.covariances()[:2]


def _errors(matrix, dictionary, values):
    """How far `matrix` is from being diagonal "in the basis B" with the given values.

    Three readings, each relative to the largest value: it is B' diag(values) B; its eigenvalues
    are the values; its quadratic forms along the unit rows of B are (with the root mean square of
    a row of mixed terms).
    """
    largest = np.abs(values).max()
    unit = dictionary / np.linalg.norm(dictionary, axis=1, keepdims=True)
    forms = unit @ matrix @ unit.T - np.diag(values)
    return (
        np.array(
            [
                np.linalg.norm(matrix - (dictionary.T * values) @ dictionary, 2),
                np.abs(np.linalg.eigvalsh(matrix) - np.sort(values)).max(),
                np.sqrt((forms**2).sum(1).mean()),
            ]
        )
        / largest
    )


@decided_by("E")
def theorem_check(parts):
    """Check of statements () -> (dictionary, values): an ensemble, and formulas of the diagonals.

    values(power, noise, mean power, f) gives one array for each of `parts`, (0: xx, 1: yx). In
    one of the three readings the error must fall to below 0.35 of its first value from d = 32 to
    d = 512, and below 0.25, for every gamma.
    """

    def check(statement):
        make, values = statement()
        for gamma in (0.1, 0.3, 0.6):
            errors = []
            for width in (32, 512):
                world, matrices = _world(make, width, gamma)
                f, mean = world.visible, world.power.mean()
                claimed = values(world.power, world.noise, mean, f)
                errors.append(
                    np.array(
                        [
                            _errors(matrices[part], world.dictionary, value)
                            for part, value in zip(parts, claimed, strict=True)
                        ]
                    )
                )
            falls = (errors[1] < 0.35 * errors[0]) & (errors[1] < 0.25)
            if not np.any(np.all(falls, axis=0)):
                return False
        return True

    return check


def variance_formula(power, noise, mean, f):
    """Right side of eq. (124)."""
    return f**2 * power + f * noise + (f - f**2) * mean


def covariance_formula(power, noise, mean, f):
    """Right side of eq. (125)."""
    return f * (1 - f) * (power - mean)


def _with(make, *formulas):
    return lambda: (make, lambda *known: tuple(formula(*known) for formula in formulas))


ORTHOGONAL = r"Orthogonal in place of Gaussian $B$: "
SPREAD = (
    r"With Gaussian $B$ the eigenvalues of active features are spread by the law of Marchenko and "
    r"Pastur; the formulas give their mean only."
)


@claim(
    "thm:C.1",
    says=r"For $B_{ki}\sim N(0,\frac1d)$, $\gamma$-sparse coefficients and $d\to\infty$, "
    r"$\Sigma^{xx}$ and $\Sigma^{xy}$ are simultaneously diagonal in the basis $B$ with (124) and "
    "(125).",
    chapter=THEOREM,
    check=theorem_check((0, 1)),
    mutants=[
        _with(orthogonal_dictionary, variance_formula, lambda p, n, m, f: f * (1 - f) * p),
        _with(orthogonal_dictionary, lambda p, n, m, f: f**2 * p + f * n, covariance_formula),
        _with(
            lambda count, width, seed: gaussian_dictionary(count, width, seed) / 2,
            variance_formula,
            covariance_formula,
        ),
        _with(
            lambda *size: (lambda b: b / np.linalg.norm(b, axis=1, keepdims=True))(
                gaussian_dictionary(*size)
            ),
            variance_formula,
            covariance_formula,
        ),
    ],
    erratum=Erratum(
        _with(orthogonal_dictionary, variance_formula, covariance_formula),
        says=r"$B$ must be orthogonal, uniform in the orthogonal group, say. The distance from the "
        r"stated form is then $f(1-f)\max_i\lvert E[z_i^2]-E[s^2]-E[\eta^2]\rvert$: with equal "
        r"powers of order $E[s^2]\sqrt{\log d/(\gamma d)}$. It is zero at every $d$ if "
        r"the entries are $\pm d^{-1/2}$.",
        consequence=r"With Gaussian $B$ the two covariances do commute in the limit, but in the "
        r"eigenbasis of $B^\top\Sigma^sB$, which is not $B$. Their eigenvalues are those stated "
        r"only as $\gamma\to0$.",
        changes_result=True,
    ),
)
def theorem():
    return _with(gaussian_dictionary, variance_formula, covariance_formula)()


@claim(
    "eq:124",
    says=r"With $B_{ki}\sim N(0,\frac1d)$, $\sigma_i^2=f^2E[s_i^2]+fE[\eta^2]+(f-f^2)E[s^2]$ as "
    r"$d\to\infty$.",
    chapter=THEOREM,
    check=theorem_check((0,)),
    mutants=[
        _with(orthogonal_dictionary, lambda p, n, m, f: f**2 * p + n + (f - f**2) * m),
        _with(orthogonal_dictionary, lambda p, n, m, f: f**2 * p + f * n),
        _with(orthogonal_dictionary, lambda p, n, m, f: f * p + f * n + (f - f**2) * m),
    ],
    erratum=Erratum(
        _with(orthogonal_dictionary, variance_formula),
        says=ORTHOGONAL + r"then the formula holds as $d\to\infty$, $\gamma d/\log d\to\infty$.",
        consequence=SPREAD,
        changes_result=True,
    ),
)
def diagonal_of_xx():
    return _with(gaussian_dictionary, variance_formula)()


@claim(
    "eq:125",
    says=r"With $B_{ki}\sim N(0,\frac1d)$, $\lambda_i=f(1-f)(E[s_i^2]-E[s^2])$ as $d\to\infty$.",
    chapter=THEOREM,
    check=theorem_check((1,)),
    mutants=[
        _with(orthogonal_dictionary, lambda p, n, m, f: f * (1 - f) * p),
        _with(orthogonal_dictionary, lambda p, n, m, f: f * (p - m)),
        _with(orthogonal_dictionary, lambda p, n, m, f: f * (1 - f) * (p - m - n)),
        _with(orthogonal_dictionary, lambda p, n, m, f: f * (1 - f) * (p - p[p > 0].mean())),
    ],
    erratum=Erratum(
        _with(orthogonal_dictionary, covariance_formula),
        says=ORTHOGONAL + r"then the formula holds as $d\to\infty$, $\gamma d/\log d\to\infty$.",
        consequence=SPREAD + r" With equal powers the largest misses by the factor "
        r"$\frac{1+2\sqrt\gamma}{1-\gamma}$.",
        changes_result=True,
    ),
)
def diagonal_of_yx():
    return _with(gaussian_dictionary, covariance_formula)()


@decided_by("S")
def ratio_check(statement):
    """Statements (p, mean, noise, f) -> rho, against the quotient of (125) and (124)."""
    p, mean, noise, f = sympy.symbols("p mean noise f", positive=True)
    quotient = covariance_formula(p, noise, mean, f) / variance_formula(p, noise, mean, f)
    return sympy.simplify(quotient - statement(p, mean, noise, f)) == 0


@claim(
    "eq:126",
    says=r"$\rho_i=\frac{(1-f)(E[s_i^2]-E[s^2])}{E[s^2]+E[\eta^2]+f(E[s_i^2]-E[s^2])}$ is the "
    "quotient of (125) and (124), and holds where they do.",
    chapter=THEOREM,
    check=ratio_check,
    mutants=[
        lambda p, mean, noise, f: f * (p - mean) / (mean + noise + f * (p - mean)),
        lambda p, mean, noise, f: (1 - f) * (p - mean) / (mean + noise + (1 - f) * (p - mean)),
        lambda p, mean, noise, f: (1 - f) * (p - mean) / (mean + f * noise + f * (p - mean)),
    ],
)
def regression_coefficient(p, mean, noise, f):
    return (1 - f) * (p - mean) / (mean + noise + f * (p - mean))
