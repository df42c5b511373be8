"""The ledger of the paper's claims, each decided by a running check.

``python -m jepabook.claims`` runs it; `run` and `verify` do so from Python. Modules beside this
one make claims with the decorator `ledger.claim`.
"""

from jepabook import _validate
from jepabook.claims import (
    balance,
    critical_time_expansion,
    critical_times,
    data,
    decay,
    equations_of_motion,
    flicker,
    flicker_theory,
    flows,
    gradients,
    images,
    jepa_ansatz,
    jepa_integral,
    jepa_solution,
    jepa_times,
    mae_ansatz,
    mae_integral,
    mae_one_layer,
    mae_solution,
    mae_times,
    main_text,
    masked_features,
    ode_figures,
    ordering,
    orientation,
    ours,
    random_masks,
    scalar_equation,
    sgd_figures,
    shared_form,
    target_network,
    violations,
)
from jepabook.claims.ledger import collect, decide
from jepabook.claims.pages import Verdicts


def book():
    """Every claim by id, a dict of `ledger.Claim`."""
    return collect(
        (
            main_text,
            equations_of_motion,
            critical_times,
            gradients,
            flows,
            balance,
            shared_form,
            jepa_ansatz,
            mae_ansatz,
            scalar_equation,
            jepa_integral,
            jepa_times,
            jepa_solution,
            mae_integral,
            mae_times,
            mae_solution,
            mae_one_layer,
            ode_figures,
            ours,
            critical_time_expansion,
            orientation,
            ordering,
            target_network,
            decay,
            sgd_figures,
            violations,
            random_masks,
            masked_features,
            flicker,
            flicker_theory,
            data,
            images,
        )
    )


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
        raise ValueError(f"ids must be a sequence of ids, got {_validate.one_line(ids)}")
    unknown = [id for id in ids or () if not isinstance(id, str) or id not in entries]
    if unknown:
        raise ValueError(f"ids must be in the ledger, got {_validate.one_line(unknown)}")
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
