"""The ledger of the paper's claims, each decided by a running check.

``python -m jepabook.claims`` runs it; `run` and `verify` do so from Python. Modules beside this
one make claims with the decorator `ledger.claim`.
"""

from jepabook.claims import (
    balance,
    equations_of_motion,
    flows,
    gradients,
    jepa_ansatz,
    mae_ansatz,
    main_text,
    ode_figures,
    orientation,
    ours,
    scalar_equation,
    shared_form,
)
from jepabook.claims.ledger import collect, decide


def book():
    """Every claim by id, a dict of `ledger.Claim`."""
    return collect(
        (
            main_text,
            equations_of_motion,
            gradients,
            flows,
            balance,
            shared_form,
            jepa_ansatz,
            mae_ansatz,
            scalar_equation,
            ode_figures,
            ours,
            orientation,
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
    unknown = [id for id in ids or () if id not in entries]
    if unknown:
        raise ValueError(f"ids must be in the ledger, got {unknown}")
    return [(entries[id], decide(entries[id])) for id in ids or entries]


def verify(*ids):
    """Decide the claims named and print one line each; AssertionError if a verdict has changed."""
    for claim, verdict in run(ids):
        assert verdict == claim.verdict, f"{claim.id}: {verdict}, recorded as {claim.verdict}"
        print(f"{claim.id:<14} {verdict}")
