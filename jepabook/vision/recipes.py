"""How JEPA and MAE on images are trained: their authors' settings, as functions of the step.

Sources: I-JEPA's `configs/in1k_vith14_ep300.yaml` and `src/utils/schedulers.py`; MAE's
`main_pretrain.py`, `util/lr_sched.py` and the pre-training table of its appendix.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

from jepabook._support import validate
from jepabook.vision import objectives


@dataclass(frozen=True)
class Recipe:
    """What differs between the two objectives' training.

    Attributes
    ----------
    name : str
    model : callable
        Of a Config and a seed: an `objectives.ImageJEPA` or `objectives.ImageMAE`.
    rate : float
        Peak of the learning rate for 256 images a step; it grows in proportion to the batch.
    start, end : float
        The learning rate at the start and at the end, in peaks.
    warmup : float
        Share of the steps in which the rate rises, linearly; then it falls as a cosine.
    weight_decay : pair of float
        At the start and at the end; a cosine between.
    betas : pair of float
        AdamW's.
    """

    name: str
    model: type
    rate: float
    start: float
    end: float
    warmup: float
    weight_decay: tuple
    betas: tuple


MAE = Recipe("mae", objectives.ImageMAE, 1.5e-4, 0.0, 0.0, 40 / 800, (0.05, 0.05), (0.9, 0.95))
RECIPES = {
    # 1e-3 for 2048 images a step, from 2e-4 and to 1e-6; 40 of 300 epochs
    "jepa": Recipe(
        "jepa", objectives.ImageJEPA, 1e-3 / 8, 0.2, 1e-3, 40 / 300, (0.04, 0.4), (0.9, 0.999)
    ),
    # 40 of 800 epochs
    "mae": MAE,
    # the same without normalising the patches of the target
    "mae-pixels": replace(
        MAE, name="mae-pixels", model=partial(objectives.ImageMAE, normalise=False)
    ),
}


def recipe(name):
    """The Recipe called `name`, "jepa", "mae" or "mae-pixels"; ValueError for other names."""
    return RECIPES[validate.option("objective", name, RECIPES)]


def learning_rate(recipe, peak, step, steps):
    """The learning rate of a step.

    The warm-up counts as I-JEPA does, so that no step has MAE's rate of 0; the cosine as MAE does,
    from `peak` again: I-JEPA's is a step ahead.

    Parameters
    ----------
    recipe : Recipe
    peak : float
        The largest rate.
    step, steps : int
        From 0, and how many there are.

    Returns
    -------
    float
        Of the last step of the warm-up `peak`; of the last of all close to `recipe.end` peaks.
    """
    step, steps = _progress(recipe, step, steps)
    peak = validate.number("peak", peak, validate.positive)
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return peak * (recipe.start + (1 - recipe.start) * (step + 1) / warmup)
    return peak * _cosine(1.0, recipe.end, (step - warmup) / max(1, steps - warmup))


def weight_decay(recipe, step, steps):
    """The weight decay of a step, as `learning_rate`; I-JEPA's cosine is a step ahead."""
    step, steps = _progress(recipe, step, steps)
    return _cosine(*recipe.weight_decay, step / steps)


def _progress(recipe, step, steps):
    """A step and how many there are, as ints, or ValueError."""
    validate.instance("recipe", recipe, Recipe)
    steps = validate.integer("steps", steps, most=validate.MOST_STEPS)
    return validate.integer("step", step, least=0, most=steps), steps


def _cosine(start, end, progress):
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
