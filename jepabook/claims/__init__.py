"""The ledger of the paper's claims, each decided by a running check.

``python -m jepabook.claims`` runs it; `run` and `verify` do so from Python. Modules of `paper` and
`ours` make claims with the decorator `ledger.claim`; `checks` holds how they are decided.
"""

from importlib import import_module

from jepabook._support import validate
from jepabook.claims.ledger import collect, decide
from jepabook.claims.pages import Verdicts

#: The modules with claims, the paper's in its order.
MODULES = (
    "paper.s1_losses",
    "paper.s3_dynamics",
    "paper.s3_critical_times",
    "paper.b1_gradients",
    "paper.b1_flows",
    "paper.b1_balance",
    "paper.b1_shared_form",
    "paper.b1_jepa_aligned",
    "paper.b1_mae_aligned",
    "paper.b1_scalar_equation",
    "paper.b2_jepa_integral",
    "paper.b2_jepa_times",
    "paper.b2_jepa_solution",
    "paper.b3_mae_integral",
    "paper.b3_mae_times",
    "paper.b3_mae_solution",
    "paper.b4_mae_one_layer",
    "paper.figures_2_4",
    "ours.closed_form",
    "ours.critical_time_expansion",
    "ours.orientation",
    "ours.critical_scale",
    "ours.target_network",
    "ours.weight_decay",
    "paper.figures_1_5",
    "ours.stochastic_gradients",
    "ours.training_curve",
    "ours.knobs",
    "ours.assumptions",
    "paper.c1_random_masks",
    "ours.masked_features",
    "paper.c2_flicker",
    "ours.flickering_world",
    "ours.your_data",
    "paper.figure_7",
    "paper.prose",
    "paper.prose_orders",
    "ours.image_measures",
    "ours.ends",
    "ours.later_work",
)


def book():
    """Every claim by id, a dict of `ledger.Claim`."""
    return collect(import_module(f"jepabook.claims.{name}") for name in MODULES)


def run(ids=None):
    """Decide claims.

    Parameters
    ----------
    ids : sequence of str, optional
        Default: all.

    Returns
    -------
    list of (Claim, str)
        Each claim with the verdict that its check arrives at now.

    Raises
    ------
    ValueError
        For an unknown id.
    """
    entries = book()
    if ids is not None and not isinstance(ids, (list, tuple)):
        raise ValueError(f"ids must be a sequence of ids, got {validate.one_line(ids)}")
    unknown = [id for id in ids or () if not isinstance(id, str) or id not in entries]
    if unknown:
        raise ValueError(f"ids must be in the ledger, got {validate.one_line(unknown)}")
    return [(entries[id], decide(entries[id])) for id in ids or entries]


def verify(*ids):
    """Decide the claims named; AssertionError if a verdict differs from the recorded one.

    Returns
    -------
    pages.Verdicts
        Which claim has which verdict: with links to the ledger's rows where a notebook shows it.
    """
    results = run(ids)
    for claim, verdict in results:
        if verdict != claim.verdict:  # no assert, which python -O would pass over
            raise AssertionError(f"{claim.id}: {verdict}, recorded as {claim.verdict}")
    return Verdicts(tuple((claim.id, verdict) for claim, verdict in results))
