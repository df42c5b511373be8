"""The two objectives of eq. (5) and the one exponent in which their dynamics differ.

Both objectives regress a target of y on x through the same network,
``1/2 E |V W x - T y|^2``: JEPA takes T = W (the encoder, gradient stopped), MAE takes T = I. In
the aligned network every feature then follows ``dw/dt = lam w^q - (lam/rho) w^3``, eqs. (7) and
(8), with q = 3 - 1/L for JEPA and q = 2 - 1/L for MAE. Everything else in the package is written
in terms of q, so JEPA and MAE share all code.
"""

from dataclasses import dataclass

import numpy as np

from jepabook._support import validate


@dataclass(frozen=True)
class Objective:
    """One of the two objectives, `JEPA` or `MAE`.

    Attributes
    ----------
    name : str
    base_exponent : int
        k in q = k - 1/L: 3 for JEPA, 2 for MAE.
    targets_encoder : bool
        True if the target is the encoder of y (JEPA), False if it is y itself (MAE).
    """

    name: str
    base_exponent: int
    targets_encoder: bool

    def __post_init__(self):
        validate.instance("name", self.name, str)
        validate.integer("base_exponent", self.base_exponent, least=2, most=3)
        validate.flag("targets_encoder", self.targets_encoder)

    def __str__(self):
        return self.name

    def growth_exponent(self, *, depth):
        """The exponent q = k - 1/L of the growth term in eqs. (7), (8)."""
        return self.base_exponent - 1 / validate.depth(depth)

    def saturation_power(self, *, depth):
        """The integer j = L (3 - q): z = (w / w_inf)^(3-q) obeys z^L = w^j / rho^L."""
        return (3 - self.base_exponent) * validate.depth(depth) + 1

    def slowdown(self, *, depth):
        """The exponent m = (q - 1) / (3 - q): 2L - 1 for JEPA, (L - 1) / (L + 1) for MAE.

        In the coordinate y = logit z both objectives obey dy/dt = (3 - q) lam rho^m z^m
        (ours). -m is the parameter a of the Lerch transcendent in the closed form.
        """
        depth = validate.depth(depth)
        return ((self.base_exponent - 1) * depth - 1) / self.saturation_power(depth=depth)

    def target(self, encoder):
        """The matrix T of the target T y: the encoder itself (JEPA) or the identity (MAE)."""
        encoder = validate.shaped("encoder", encoder, ("d", "d"))
        return encoder if self.targets_encoder else np.eye(len(encoder))


#: Predicts the encoding of the other view, with a stop-gradient on the target.
JEPA = Objective("JEPA", base_exponent=3, targets_encoder=True)
#: Predicts the other view itself.
MAE = Objective("MAE", base_exponent=2, targets_encoder=False)
#: The two that the book compares.
BOTH = (JEPA, MAE)


def loss(objective, encoder, decoder, sigma_xx, sigma_yx, sigma_yy):
    """The population loss of eq. (5), ``1/2 E |V W x - T y|^2``, from covariances.

    Parameters
    ----------
    objective : Objective
    encoder, decoder : arrays (d, d)
        The products W and V.
    sigma_xx, sigma_yx, sigma_yy : arrays (d, d)
        E[x x'], E[y x'], E[y y'].

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed; also where a product of the matrices
        overflows float64.
    """
    validate.objective(objective)
    given = {"encoder": encoder, "decoder": decoder}
    given |= {"sigma_xx": sigma_xx, "sigma_yx": sigma_yx, "sigma_yy": sigma_yy}
    encoder, decoder, sigma_xx, sigma_yx, sigma_yy = validate.squares(**given)
    with np.errstate(over="ignore", invalid="ignore"):
        product, target = decoder @ encoder, objective.target(encoder)
        value = 0.5 * (
            np.vdot(product, product @ sigma_xx)
            - 2 * np.vdot(product, target @ sigma_yx)
            + np.vdot(target, target @ sigma_yy)
        )
    if not np.isfinite(value):
        largest = max(np.abs(encoder).max(), np.abs(decoder).max())
        told = "must be small enough for the loss to fit in float64, got a largest entry of"
        raise ValueError(f"encoder and decoder {told} {largest:.3g}")
    return value
