"""What the builders measure, kept in `_build/measured` until `python -m tools.status` collects it.

`make book` and `make execute` leave the time and the memory of each notebook, `make book` and
`make site` their own time, `make test` a JUnit file for each of its three rounds of tests.
"""

import datetime
import hashlib
import json
from pathlib import Path

from jepabook._support import files

FOLDER = Path("_build") / "measured"
NOTEBOOKS = "notebooks"


def today():
    """The date (UTC) as year-month-day."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write_whole(path, facts):
    """Write facts as JSON, in the order of their names, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())


def read(path):
    """What `write_whole` wrote, or nothing where there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def code_digest(path):
    """A short name for what the code cells of a notebook say, whatever their outputs are."""
    import nbformat  # here, so that the rest needs the standard library only

    cells = nbformat.read(path, as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def note(root, name, facts):
    """Keep what one command measured, with the date."""
    write_whole(root / FOLDER / f"{name}.json", facts | {"date": today()})


def note_runs(root, runs, jobs):
    """Keep time and memory of notebooks beside those of notebooks that were run before."""
    path = root / FOLDER / f"{NOTEBOOKS}.json"
    known = read(path)
    for run in runs:
        known[run.path.stem] = {
            "seconds": round(run.seconds, 1),
            "peak_mb": round(run.peak_mb),
            "at_once": min(jobs, len(runs)),
            "code": code_digest(run.path),
            "date": today(),
        }
    write_whole(path, known)
