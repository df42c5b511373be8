"""`make pythons`: the stages of `make test` on this Python, each kept for the page.

The outcomes are in `book/pythons.json`, by Python and stage, from which the page on reproducibility
has its table; each stays until its stage is run again on that Python. What was interrupted or not
run is not kept.
"""

import os
import platform
import sys
from dataclasses import asdict

from jepabook._support.command import Parser
from tools import measured, stages, status, surroundings
from tools.notebooks import ROOT


def record(outcomes):
    """Keep outcomes for the page, with machine, versions, commit and date."""
    python = ".".join(platform.python_version_tuple()[:2])
    facts = status.facts()
    known = measured.read(ROOT / status.PYTHONS)
    for one in outcomes:
        if one.verdict in stages.ENDED:
            known[f"{python}: {one.name}"] = asdict(one) | facts
    measured.write_whole(ROOT / status.PYTHONS, known)


def main():
    names = [stage.name for stage in stages.stages(jobs=1)]
    parser = Parser(
        "python -m tools.pythons", description="Run the stages of make test and keep the outcomes."
    )
    parser.add_argument("--jobs", type=surroundings.jobs, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", choices=names, help="one of the stages")
    arguments = parser.parse_args()
    stages.listen()
    chosen = [
        stage for stage in stages.stages(arguments.jobs) if stage.name in (arguments.only or names)
    ]
    outcomes = stages.run_all(chosen)
    print(f"\n{stages.table(outcomes)}", flush=True)
    record(outcomes)
    return stages.status(outcomes)


if __name__ == "__main__":
    sys.exit(main())
