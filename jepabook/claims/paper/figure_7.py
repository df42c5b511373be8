"""Figure 7 on images at hand, and what its measure can and cannot see."""

from functools import cache

import numpy as np

from jepabook import recorded
from jepabook.claims.ledger import claim, decided_by

WHERE = "Appendix D, Figure 7"

CHAPTER = "12-images"
BOTTOM, TOP = 0, 1
SETTLED = 0.1  # of the training: from then on models are compared


@cache
def choices():
    """JEPA less MAE, over the models after SETTLED, by how it is measured.

    Returns
    -------
    dict of str to ndarray (seeds, 2)
        For (bottom, top). "CCA" is mean CCA of the evaluated encoders' mean over patches.
    """
    arrays, _ = recorded.result("vision")
    later = arrays["steps"] >= SETTLED * arrays["steps"][-1]
    cca, cka, cut, few = (arrays[name] for name in ("cca", "cka", "cut", "few"))
    found = {"CCA": cca[..., 0, 0, :], "CCA, one patch": cca[..., 0, 1, :]}
    found |= {"CCA, online": cca[..., 1, 0, :], "CCA, online, one patch": cca[..., 1, 1, :]}
    for k, tolerance in enumerate(arrays["tolerances"][1:], 1):
        found[f"CCA, below {tolerance:.0%} cut"] = cut[..., k, :]
    for k, count in enumerate(arrays["counts"][:-1]):
        found[f"CCA, {count} images"] = few[..., k, :]
    found |= {"CKA": cka[..., 0, 0, :], "CKA, online": cka[..., 1, 0, :]}
    means = {name: values[:, :, later].mean(2) for name, values in found.items()}
    return {name: jepa - mae for name, (jepa, mae) in means.items()}


@decided_by("E")
def figure_7_check(statement):
    """Statements (subspace) -> sign of JEPA less MAE in every seed, by mean CCA."""
    return all((np.sign(choices()["CCA"][:, s]) == statement(s)).all() for s in (BOTTOM, TOP))


@claim(
    "fig:7",
    says="On ImageNet, full images and their bottom quarter of variance are more alike to JEPA's "
    "encoder than to MAE's, and full images and their top less, by mean CCA throughout training. "
    "(Decided on crops of photographs and a small ViT after 1600 steps, by the mean over the "
    "models after a tenth of them; not on ImageNet.)",
    unreproduced=True,
    chapter=f"{CHAPTER}#figure-7",
    check=figure_7_check,
    mutants=[
        lambda subspace: 1,
        lambda subspace: 0,
        lambda subspace: -1,
    ],
)
def figure_7(subspace):
    return 1 if subspace == BOTTOM else -1
