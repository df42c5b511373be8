"""Figure 7 on images at hand, and what its measure can and cannot see."""

from functools import cache

import numpy as np

from jepabook import recorded
from jepabook.claims.checks.bounds import judge
from jepabook.claims.ledger import claim, decided_by
from jepabook.training import learning_order

WHERE = "Appendix D, Figure 7"

CHAPTER = "12-images"
BOTTOM, TOP = 0, 1
SETTLED = 0.1  # of the training: from then on models are compared
# the paper compares models throughout; an order that turns with this choice is not decided
SINCE = {"all that are trained": 0.0, "from a tenth of the training on": SETTLED, "the last": 1.0}
# what the row says of (bottom, top) for each of these: the sign of the interval, 0 for either
TOLD = ((1, 0), (0, 1), (-1, 1))


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


@cache
def since():
    """JEPA less MAE by mean CCA of the evaluated encoders, by which models are averaged.

    Returns
    -------
    dict of str to ndarrays (2,)
        For each of `SINCE`: mean, low and high over seeds (95 %), for (bottom, top).
    """
    arrays, _ = recorded.result("vision")
    steps, (jepa, mae) = arrays["steps"], arrays["cca"][..., 0, 0, :]
    averaged = {name: steps >= max(1, share * steps[-1]) for name, share in SINCE.items()}
    return {
        name: learning_order.mean_interval((jepa - mae)[:, models].mean(1))
        for name, models in averaged.items()
    }


@decided_by("E")
def figure_7_check(statement):
    """Statements (subspace) -> sign of JEPA less MAE by mean CCA, throughout training.

    Judged by the interval over seeds for each of `SINCE`: True if all agree for both subspaces,
    False if one of them is contradicted by all, else None. False, too, if signs are not `TOLD`.
    """
    signs = [
        [int(np.sign(low) + np.sign(high)) // 2 for low, high in zip(*ends, strict=True)]
        for _, *ends in since().values()
    ]
    if signs != [list(row) for row in TOLD]:
        return False
    found = []
    for subspace in (BOTTOM, TOP):
        bounds = {1: (0, np.inf), -1: (-np.inf, 0), 0: (0, 0)}[statement(subspace)]
        intervals = ([end[subspace] for end in ends] for ends in since().values())
        verdicts = {judge(interval, bounds) for interval in intervals}
        found.append(verdicts.pop() if len(verdicts) == 1 else None)
    return False if False in found else True if None not in found else None


@claim(
    "fig:7",
    says="On ImageNet, full images and their bottom quarter of variance are more alike to JEPA's "
    "encoder than to MAE's, and full images and their top less, by mean CCA throughout training. "
    "(Tried on crops of six photographs, with a small ViT, 1600 steps and three seeds, not on "
    "ImageNet. By the 95 % interval over seeds JEPA less MAE changes with the models that are "
    "averaged. Bottom: positive over every trained model, of either sign after a tenth of the "
    "training, negative for the last model. Top: of either sign, positive, positive.)",
    undecided=True,
    chapter=f"{CHAPTER}#figure-7",
    check=figure_7_check,
    mutants=[
        lambda subspace: 1,
        lambda subspace: 0,
        lambda subspace: -1,
        lambda subspace: -figure_7(subspace),
    ],
)
def figure_7(subspace):
    return 1 if subspace == BOTTOM else -1
