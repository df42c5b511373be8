"""``python -m jepabook.watch early.npy late.npy`` or ``python -m jepabook.watch log.csv``."""

import json
import sys
from dataclasses import asdict

import numpy as np

from jepabook._support import command as _command
from jepabook.watch import files, rule
from jepabook.watch.curves import log
from jepabook.watch.pairs import GROUPS, embeddings


def parser():
    """The command's arguments."""
    command = _command.Parser(
        "python -m jepabook.watch",
        description="Learning, collapse, noise? From embeddings of pairs of views, or a log.",
    )
    command.add_argument(
        "files",
        nargs="+",
        help="two or more checkpoints in time order, .npy of shape (2, pairs, width) or "
        ".safetensors with x and y, the same pairs in each; or one log, .csv or .jsonl, with loss "
        "and, where known, target_variance",
    )
    command.add_argument("--clusters", help=".npy file: an integer a row, what belongs together")
    command.add_argument("--groups", type=int, default=GROUPS, help=f"of rows ({GROUPS})")
    command.add_argument(
        "--since", type=float, default=0.1, help="share of a log at which to begin (0.1)"
    )
    command.add_argument("--confidence", type=float, default=0.95, help="of intervals (0.95)")
    command.add_argument("--json", action="store_true", help="print a JSON object")
    return command


def main(argv=None):
    """Run the command; returns the exit status, 2 for bad input."""
    return _command.status(parser(), _read, argv)


def _read(options):
    names = options.files
    if len(names) == 1 and names[0].endswith(files.LOGS):
        found = log(**files.columns(names[0]), since=options.since, confidence=options.confidence)
    elif len(names) > 1 and all(name.endswith(files.ARRAYS) for name in names):
        clusters = None if options.clusters is None else files.integers(options.clusters)
        views = [files.checkpoint(name) for name in names]
        found = embeddings(views, clusters, options.groups, options.confidence)
    else:
        kinds = "one .csv or .jsonl log, or two or more .npy or .safetensors checkpoints"
        raise ValueError(f"files must be {kinds}, got {' '.join(names)[:80]}")
    print(_json(found) if options.json else _told(found))


def _json(found):
    changes = {name: asdict(change) for name, change in found.changes.items()}
    whole = {"case": found.case, "why": found.why, "changes": changes, "levels": found.levels}
    return json.dumps(whole, allow_nan=False)


_WORDS = {"share": "loss / variance", "odds": "explained / unexplained"}


def _told(found):
    """What the command prints."""
    lines = [f"{found.case}: {found.why}"]
    for name, values in found.levels.items():
        told = ", ".join(f"{value:.3g}" for value in values)
        lines.append(f"  {_WORDS.get(name, name)}: {told}")
    lines.append("from the first to the last:")
    for name, change in found.changes.items():
        if name in rule.SHARES:
            numbers = [f"{100 * value:.0f} %" for value in asdict(change).values()]
            lines.append("  {}: {} ({} to {})".format(name, *numbers))
        else:
            numbers = [f"{value:.3g}" for value in np.array(list(asdict(change).values()))]
            word = _WORDS.get(name, name)
            lines.append("  {}: times {} ({} to {}), {}".format(word, *numbers, change.course))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
