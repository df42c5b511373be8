"""Print the ledger: ``python -m jepabook.claims [--json] [id ...]``."""

import inspect
import json
import sys

from jepabook import claims
from jepabook._support import command
from jepabook.claims import pages


def main(arguments=None):
    """Run the ledger; return 1 if a verdict differs from the recorded one, else 0."""
    parser = command.Parser("python -m jepabook.claims", description=claims.__doc__)
    parser.add_argument("ids", nargs="*", help="decide only these, e.g. eq:46 lemma:B.1")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    return command.status(parser, _ledger, arguments)


def _ledger(options):
    results = claims.run(options.ids or None)
    if options.json:  # in ASCII, which is JSON in every encoding
        print(json.dumps([_row(*result) for result in results], indent=1))
    else:
        for claim, verdict in results:
            changed = "" if verdict == claim.verdict else f"  (recorded: {claim.verdict})"
            ground = f" ({', '.join(claim.ground)})" if claim.ground else ""
            print(f"{claim.id:<16} {claim.methods:<3} {verdict}{ground}{changed}")
    return int(any(verdict != claim.verdict for claim, verdict in results))


def _row(claim, verdict):
    return pages.record(claim, verdict) | {"line": inspect.getsourcelines(claim.statement)[1]}


if __name__ == "__main__":
    sys.exit(main())
