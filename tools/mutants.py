"""Try every variant of one token of every claim's statement: `make mutants`.

Prints a line a claim, then what the checks let pass and no list excuses, and what is listed but
not there any more, or rejected. Claims run side by side, each in a process that holds what its
check remembers. A run of all claims without a fault is counted on the status page.
"""

import os
import sys
import time
import tomllib
from multiprocessing import Pool

from jepabook import claims
from jepabook._support.command import Parser
from jepabook.claims import mutants
from tools import measured, surroundings
from tools.surroundings import ROOT

NAME = "mutants"
LIST = ROOT / "tests" / "claims" / "equivalent.toml"


def excused():
    """The variants that say the same, or less: {claim: {variant: reason}}."""
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


def tried(id):
    """A claim, how many variants it has, the names of those that its check lets pass, seconds."""
    started = time.perf_counter()
    claim, variants = claims.book()[id], _variants()[id]
    passed = [v.name for v in variants if not mutants.is_rejected(claim, v)]
    return id, len(variants), passed, time.perf_counter() - started


_made = {}


def _variants():
    if not _made:  # once a process
        _made.update(mutants.of_book(claims.book()))
    return _made


def main():
    parser = Parser("python -m tools.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("ids", nargs="*", help="only these claims, e.g. eq:46 lemma:B.1")
    parser.add_argument("--jobs", type=surroundings.jobs, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    book, known = claims.book(), excused()
    unknown = [id for id in arguments.ids if id not in book]
    if unknown:
        parser.error(f"ids must be in the ledger, got {unknown}")
    bad, all_tried = [], 0
    ids = arguments.ids or list(book)
    _variants()  # before the processes part
    with Pool(arguments.jobs) as pool:
        for id, count, passed, seconds in pool.imap(tried, ids):
            listed = known.get(id, {})
            print(f"{id:<28} {count:>4} variants, {len(passed):>2} pass ({seconds:.1f} s)")
            wrong = [f"passes: {name}" for name in passed if name not in listed]
            wrong += [f"listed, but rejected: {name}" for name in listed if name not in passed]
            print(*(f"  {told}" for told in wrong), sep="\n", end="\n" * bool(wrong), flush=True)
            bad += [f"{id}: {told}" for told in wrong]
            all_tried += count
    bad += [f"{id}: listed, but no claim" for id in known if id not in book]
    excuses = sum(len(known.get(id, {})) for id in ids)
    print(f"{len(ids)} claims, {all_tried} variants, {excuses} of them listed")
    print("\n".join(bad))
    if not (bad or arguments.ids):
        measured.note(ROOT, NAME, {"variants": all_tried, "listed": excuses})
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
